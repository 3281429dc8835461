r"""How few neurons fit the data, against how few the least cost gets by with: ℓ0 and ℓ1.

ℓ0 is the least k for which some k blocks (pattern, sign) have Σ s D X u = y with each u in its
cone. Two neurons of one block are one, u + u', so that sets of blocks are all there is to try. Each
set is one linear program, min ‖Σ s D X u − y‖₁, and its multipliers ν show that a set cannot fit:
νᵀy > 0 although g_b(ν) = ‖P_K(X_bᵀν)‖ = 0 for its blocks. That rules out every set of such blocks,
and few programs are left to solve.

ℓ1 is the least number of neurons among the networks of least cost, {α ≥ 0 : Aα = y} over the
neurons that an optimal ν shows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import block_diag, csc_array, eye_array, hstack, vstack

from relu_opt.arrays import FloatArray, IntArray, as_count, as_floats, as_targets
from relu_opt.errors import DataError, NotCertified
from relu_opt.program.arrangement import count_patterns_bound
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram
from relu_opt.program.network import ReLUNetwork, users_network
from relu_opt.program.units import Units, exponent
from relu_opt.progress.bar import Announcer
from relu_opt.solving.standard import solve_program
from relu_opt.train.formulas.formula import network_of_blocks
from relu_opt.train.interpolation.least_cost_face import FIT_TOLERANCE, Face, polished_dual
from relu_opt.train.interpolation.least_cost_network import (
    Interpolant,
    listed_program,
    prove_interpolant,
    solve_conic,
    users_interpolant,
)
from relu_opt.train.interpolation.recovery import Recovery, recovery

# Sets of blocks that are tried at most, unless more are asked for.
MAX_SETS = 200_000
# A set is ruled out if no network on it of a cost up to this many times the least cost fits.
REACH = 1e5
# Misfit of a linear program, relative to ‖y‖₁, below which its blocks are tried as a network.
FITS = 1e-6
# Rows of a neuron that are this near to zero, relative to the largest, are put on zero.
ON_FACE = 1e-6
# A neuron of a size up to this, relative to the largest, is not there.
ABSENT = 1e-9
# The gap of the least cost.
TOL = 1e-8


@dataclass(frozen=True, eq=False)
class Sparsity:
    """The fewest neurons that fit the data, and the fewest at the least cost.

    `verify` re-checks the least cost, by `least_norm`. That no network has fewer neurons than `l0`,
    and that none of least cost has fewer than `l1`, is claimed, and there is no certificate of it.

    Attributes
    ----------
    l0 : int
        Number of neurons of `sparsest`: no network with fewer fits (of a cost up to 1e5 times the
        least cost: the proof has that reach).
    l1 : int
        Least number of neurons among the networks of least cost.
    cost : float
        The least cost ½ Σ_j (‖u_j‖² + a_j²) of a network that fits, of any width.
    sparsest : ReLUNetwork
        A network with l0 neurons that fits; its cost may be larger.
    least_norm : Interpolant
        A network of least cost with l1 neurons, with the proof of its cost.
    is_unique : bool
        Whether it is the only network of least cost.
    recovery : Recovery
        The cheap sufficient check, and what it speaks of.
    sets, programs : int
        Sets of blocks that were looked at, and linear programs that had to be solved.
    doubtful : int
        Neurons that may or may not be in a network of least cost; 0 where rounding hides nothing.
    """

    l0: int
    l1: int
    cost: float
    sparsest: ReLUNetwork
    least_norm: Interpolant
    is_unique: bool
    recovery: Recovery
    sets: int
    programs: int
    doubtful: int

    @property
    def equivalent(self) -> bool:
        """Whether the least cost finds the fewest neurons: l0 = l1."""
        return self.l0 == self.l1

    def __repr__(self) -> str:
        return (
            f"Sparsity(l0={self.l0}, l1={self.l1}, equivalent={self.equivalent}, "
            f"cost={self.cost:.12g})"
        )


def sparsest_interpolant(
    X: ArrayLike, y: ArrayLike, max_sets: int = MAX_SETS, backend: str = "auto"
) -> Sparsity:
    """The fewest neurons that fit the data exactly, and whether the least cost finds as few.

    For tiny data: sets of up to l1 − 1 of the 2P blocks (P patterns, both signs) are tried, from
    small to large. Everything is about exact fits: there is no loss and no λ. Observers of
    progress are told, and an interrupt ends the search at once.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample; a hidden bias is a column of ones.
    y : (n,) array
        Targets.
    max_sets : int
        The search is refused, before it begins, if there are more sets to try than this, or more
        pairs of blocks.
    backend : str
        Who solves the linear and conic programs.

    Returns
    -------
    Sparsity

    Raises
    ------
    DataError
        If no network fits, or there are too many sets.
    NotCertified
        If rounding hides whether a set of blocks fits, or the least cost.
    """
    data = as_floats(X, "X", 2)
    targets = as_targets(y, "y", len(data), "X")
    limit = as_count(max_sets, "max_sets")
    units = Units(exponent(data), exponent(targets))
    found = _sparsest(units.in_data(data), units.in_targets(targets), limit, backend)
    least = users_interpolant(found.least_norm, units)
    return replace(
        found, cost=least.cost, sparsest=users_network(found.sparsest, units), least_norm=least
    )


def _sparsest(data: FloatArray, targets: FloatArray, limit: int, backend: str) -> Sparsity:
    """`sparsest_interpolant` of data and targets of size one."""
    patterns = count_patterns_bound(data)
    if math.comb(2 * patterns, 2) > limit:
        raise _too_many(math.comb(2 * patterns, 2), patterns, limit)
    prog = listed_program(data, targets)
    if not targets.any():
        return _nothing(prog)
    nu = polished_dual(prog, *solve_conic(prog, backend))
    face = Face.of(prog, nu)
    vertices = _vertices(face, limit)
    least = prove_interpolant(prog, face.network(*vertices[0]), nu, "listed")
    if not (least.rel_gap <= TOL and least.residual <= FIT_TOLERANCE):
        raise _unclear()
    count = len(least.network)
    blocks = 2 * len(prog.patterns)
    sets = sum(math.comb(blocks, k) for k in range(1, count))
    if sets > limit:
        raise _too_many(sets, len(prog.patterns), limit)
    search = _Search(prog, least.cost, backend)
    found = search.run(count, sets)
    sparsest = least.network if found is None else found
    return Sparsity(
        l0=len(sparsest),
        l1=count,
        cost=least.cost,
        sparsest=sparsest,
        least_norm=least,
        is_unique=len(vertices) == 1,
        recovery=recovery(prog, face, nu, least.network),
        sets=search.sets,
        programs=search.programs,
        doubtful=face.doubtful,
    )


def _too_many(sets: int, patterns: int, limit: int) -> DataError:
    return DataError(
        f"There are {sets} sets of blocks to try ({patterns} patterns, both signs), more than "
        f"max_sets = {limit}. Take fewer rows or columns, or raise max_sets; "
        "minimum_norm_interpolant(X, y) has no such limit.",
        sets=sets,
        patterns=patterns,
        limit=limit,
    )


def _nothing(prog: ConvexProgram) -> Sparsity:
    """Targets that are zero: the network without neurons."""
    network = ReLUNetwork(np.zeros((0, prog.d)), np.zeros(0))
    least = prove_interpolant(prog, network, np.zeros(prog.n), "listed")
    trivial = recovery(prog, None, np.zeros(prog.n), network)
    return Sparsity(0, 0, 0.0, network, least, True, trivial, 0, 0, 0)


# -- ℓ1 ------------------------------------------------------------------------


def _vertices(face: Face, limit: int) -> list[tuple[IntArray, FloatArray]]:
    """The vertices of the face, the narrowest first: each its neurons and their sizes."""
    most = int(np.linalg.matrix_rank(face.columns))
    sets = sum(math.comb(len(face.signs), k) for k in range(1, most + 1))
    if sets > limit:
        raise DataError(
            f"{len(face.signs)} neurons may be in a network of least cost, and there are {sets} "
            f"sets of them, more than max_sets = {limit}. Raise max_sets; "
            "minimum_norm_interpolant(X, y) has no such limit.",
            sets=sets,
            limit=limit,
        )
    tell = Announcer("sparsity", sets)
    found, done = [], 0
    for k in range(1, most + 1):
        for chosen in combinations(range(len(face.signs)), k):
            tell(done, f"networks of least cost, {k} neurons")
            done += 1
            sizes = face.sizes_on(np.array(chosen))
            if sizes is not None and (sizes > ABSENT * sizes.max()).all():
                found.append((np.array(chosen), sizes))
    if not found:
        raise _unclear()
    return found


def _unclear() -> NotCertified:
    return NotCertified(
        "No network of least cost came out to the last digits. Scale the data to like sizes, or "
        "try another backend."
    )


# -- ℓ0 ------------------------------------------------------------------------


class _Search:
    """The smallest set of blocks that fits; what multipliers rule out is not tried again."""

    def __init__(self, prog: ConvexProgram, cost: float, backend: str) -> None:
        self.prog = prog
        self.backend = backend
        self.blocks = 2 * len(prog.patterns)
        self.sets = self.programs = 0
        # A network of cost c on blocks with g_b(ν) ≤ g has νᵀf ≤ g c.
        self.reach = REACH * cost
        # Blocks that can do something about ν, as bits; a set without any of them is ruled out.
        self.helpful: list[int] = []
        for k in np.flatnonzero(prog.y):
            self._rule_out(np.sign(prog.y[k]) * np.eye(prog.n)[k])

    def run(self, count: int, total: int) -> ReLUNetwork | None:
        """A network with fewer than `count` neurons, as few as can be; None if there is none."""
        tell = Announcer("sparsity", total)
        for k in range(1, count):
            for chosen in combinations(range(self.blocks), k):
                tell(self.sets, f"sets of {k} of {self.blocks} blocks")
                self.sets += 1
                bits = sum(1 << b for b in chosen)
                if all(bits & helpful for helpful in self.helpful):
                    network = self._fit(np.array(chosen), bits)
                    if network is not None:
                        return network
        return None

    def _rule_out(self, nu: FloatArray) -> int:
        """Remember which blocks can do something about ν; their bits."""
        prog = self.prog
        points = prog.project(prog.correlations(nu), np.arange(self.blocks)).points
        norms = np.linalg.norm(points, axis=1)
        bits = sum(1 << int(b) for b in np.flatnonzero(norms * self.reach >= nu @ prog.y))
        self.helpful.insert(0, bits)
        return bits

    def _fit(self, chosen: IntArray, bits: int) -> ReLUNetwork | None:
        """The network of these blocks that fits, or None if multipliers show that there is none."""
        self.programs += 1
        program, unit = self._program(chosen)
        answer = solve_program(program, self.backend).require()
        size = float(np.abs(self.prog.y).sum())
        if answer.objective <= FITS:
            vectors = answer.x[: len(chosen) * self.prog.d].reshape(len(chosen), -1) * size / unit
            network = self._polished(chosen, vectors)
            misfit = np.abs(network.predict(self.prog.X) - self.prog.y).max()
            if misfit <= FIT_TOLERANCE * np.abs(self.prog.y).max():
                return network
        assert answer.duals is not None  # noqa: S101 - a certified answer has them
        nu = -answer.duals[: self.prog.n]
        if nu @ self.prog.y > 0 and not self._rule_out(nu) & bits:
            return None
        raise NotCertified(
            f"Rounding hides whether the blocks {chosen.tolist()} fit: the misfit is "
            f"{answer.objective:.1e} of the targets. Round the data to fewer digits.",
            blocks=chosen.tolist(),
            misfit=answer.objective,
        )

    def _program(self, chosen: IntArray) -> tuple[LinearProgram, float]:
        """min Σ (p + q) subject to Σ s D X u + p − q = y/‖y‖₁, S X u ≥ 0, p, q ≥ 0."""
        prog = self.prog
        n, d, k = prog.n, prog.d, len(chosen)
        unit = float(prog.cone_rows.norms.max())
        masks = prog.patterns.unpack(chosen % len(prog.patterns))
        signs = np.where(chosen < len(prog.patterns), 1.0, -1.0)
        X = prog.X / unit
        gated = np.hstack([s * mask[:, None] * X for s, mask in zip(signs, masks, strict=True)])
        cones = block_diag(
            [np.where(mask, 1.0, -1.0)[:, None] * prog.cone_rows.unit for mask in masks]
        )
        fits = hstack([csc_array(gated), eye_array(n), -eye_array(n)])
        target = prog.y / np.abs(prog.y).sum()
        program = LinearProgram(
            c=np.r_[np.zeros(k * d), np.ones(2 * n)],
            A=csc_array(vstack([fits, hstack([cones, csc_array((k * n, 2 * n))])])),
            row_lower=np.r_[target, np.zeros(k * n)],
            row_upper=np.r_[target, np.full(k * n, np.inf)],
            lower=np.r_[np.full(k * d, -np.inf), np.zeros(2 * n)],
        )
        return program, unit

    def _polished(self, chosen: IntArray, vectors: FloatArray) -> ReLUNetwork:
        """The vectors moved onto the faces that they are near to, and onto the targets."""
        prog = self.prog
        signs = np.where(chosen < len(prog.patterns), 1.0, -1.0)
        masks = prog.patterns.unpack(chosen % len(prog.patterns))
        slack = np.abs(vectors @ prog.cone_rows.unit.T)
        flat = slack <= ON_FACE * np.linalg.norm(vectors, axis=1, keepdims=True)
        faces = block_diag([prog.cone_rows.unit[on] for on in flat]).toarray()
        gated = np.hstack(
            [s * mask[:, None] * prog.X for s, mask in zip(signs, masks, strict=True)]
        )
        system = np.vstack([gated, faces])
        wanted = np.r_[prog.y, np.zeros(len(faces))]
        left = wanted - system @ vectors.ravel()
        moved = vectors.ravel() + np.linalg.lstsq(system, left, rcond=1e-12)[0]
        return network_of_blocks(moved.reshape(vectors.shape), signs)
