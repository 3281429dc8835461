r"""The networks that fit the data at the least cost, as a polytope, and the ν that shows it.

For *every* optimal ν of the dual of `least_cost_network`, an optimal network has neurons of
directions v_b = P_K(X_bᵀν) with ‖v_b‖ = 1 only: the networks of least cost are {α ≥ 0 : Aα = y}
with the columns s_b (Xv_b)_+. Which blocks belong is a question about a number, so ν has to be
exact.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls
from scipy.sparse import block_diag

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork, group_rows
from relu_opt.proof.dual_bound import feasibility
from relu_opt.train.formulas.formula import network_of_blocks

# Blocks with 1 − ‖v_b‖ up to this may be in a network of least cost; between it and `DOUBT`
# rounding could decide.
TIGHT = 1e-9
DOUBT = 1e-8
# Entries of unit neurons that differ by at most this are those of one neuron.
SAME = 1e-7
# Largest residual of the fits, relative to the largest target.
FIT_TOLERANCE = 1e-9
# Shares of the sum of norms above which a solver's block counts as not zero, each a guess.
CUTS = (1e-3, 1e-5, 1e-7)
NEWTON_STEPS = 12
# Lower bounds that differ by no more, relative to them, are one.
SAME_BOUND = 1e-11
# Singular values, relative to the largest, that count as zero.
RANK_TOL = 1e-9


def polished_dual(prog: ConvexProgram, weights: FloatArray, nu: FloatArray) -> FloatArray:
    """ν to the last digits, from the blocks (2, p, d) and the ν of a conic solver.

    Newton's method finds ν with X_bᵀν = w_b/‖w_b‖ on the faces of the cones that carry the blocks,
    for some guesses of which blocks are not zero. Of those that prove most, the one of the smallest
    residual is taken: bounds hardly change with an error of ν.
    """
    norms = np.linalg.norm(weights, axis=2)
    candidates = [(np.inf, nu)]
    for cut in CUTS:
        sign, which = np.nonzero(norms > cut * norms.sum())
        candidates.append(_newton(prog, weights[sign, which], sign, which, nu))
    bounds = [float(each @ prog.y) / feasibility(prog, each, None)[1] for _, each in candidates]
    good = [k for k, bound in enumerate(bounds) if bound >= max(bounds) * (1 - SAME_BOUND)]
    return candidates[min(good, key=lambda k: candidates[k][0])][1]


def _newton(
    prog: ConvexProgram, blocks: FloatArray, sign: IntArray, which: IntArray, nu: FloatArray
) -> tuple[float, FloatArray]:
    """The smallest residual along Newton's steps on blocks (k, d), and its ν."""
    projected = prog.project(prog.correlations(nu), sign * len(prog.patterns) + which)
    masks = np.where(sign == 0, 1.0, -1.0)[:, None] * prog.patterns.unpack(which)
    bases = [_null_basis(prog.X[rows], prog.d) for rows in projected.rows]
    maps = [mask[:, None] * prog.X @ basis for mask, basis in zip(masks, bases, strict=True)]
    z = [basis.T @ block for basis, block in zip(bases, blocks, strict=True)]
    M = np.hstack(maps)
    ends = np.cumsum([len(part) for part in z])
    best, least = nu, np.inf
    for _ in range(NEWTON_STEPS):
        sizes = [float(np.linalg.norm(part)) for part in z]
        if not min(sizes) > 0:
            break
        units = [part / size for part, size in zip(z, sizes, strict=True)]
        residual = np.concatenate(
            [M.T @ nu - np.concatenate(units), M @ np.concatenate(z) - prog.y]
        )
        largest = float(np.abs(residual).max())
        if not largest < least:
            break
        best, least = nu, largest
        curved = [
            (np.outer(unit, unit) - np.eye(len(unit))) / size
            for unit, size in zip(units, sizes, strict=True)
        ]
        system = np.block([[block_diag(curved).toarray(), M.T], [M, np.zeros((prog.n, prog.n))]])
        step = np.linalg.lstsq(system, -residual, rcond=RANK_TOL)[0]
        moves = np.split(step[: ends[-1]], ends[:-1])
        z = [part + move for part, move in zip(z, moves, strict=True)]
        nu = nu + step[ends[-1] :]
    return least, best


def _null_basis(rows: FloatArray, d: int) -> FloatArray:
    """An orthonormal basis of {u : rows @ u = 0}, (d, k)."""
    if not len(rows):
        return np.eye(d)
    _, sizes, axes = np.linalg.svd(rows)
    rank = int((sizes > RANK_TOL * sizes[0]).sum())
    return np.asarray(axes[rank:].T)


@dataclass(frozen=True, eq=False)
class Face:
    """All networks of least cost: {α ≥ 0 : Aα = y}, each column one neuron of norm 1.

    Attributes
    ----------
    directions : (k, d) array
        Unit neurons v, distinct.
    signs : (k,) array
        Output signs.
    columns : (n, k) array
        A = s (Xv)_+.
    y : (n,) array
    doubtful : int
        Neurons that a larger tolerance would have added.
    """

    directions: FloatArray
    signs: FloatArray
    columns: FloatArray
    y: FloatArray
    doubtful: int

    @classmethod
    def of(cls, prog: ConvexProgram, nu: FloatArray) -> Face:
        """The face that an optimal ν shows."""
        points = prog.project(prog.correlations(nu), np.arange(2 * len(prog.patterns))).points
        norms = np.linalg.norm(points, axis=1)
        slack = 1 - norms / norms.max()
        on = np.flatnonzero(slack <= TIGHT)
        units = points[on] / norms[on, None]
        signs = np.where(on < len(prog.patterns), 1.0, -1.0)
        firsts, _ = group_rows(np.column_stack([units, signs]), SAME)
        units, signs = units[firsts], signs[firsts]
        near = points[(slack > TIGHT) & (slack <= DOUBT)]
        return cls(
            units,
            signs,
            signs * np.maximum(prog.X @ units.T, 0.0),
            prog.y,
            len(group_rows(near, SAME)[0]),
        )

    def sizes_on(self, chosen: IntArray) -> FloatArray | None:
        """α ≥ 0 on some columns with Aα = y, all of it positive; None if there is none."""
        sizes, _ = nnls(self.columns[:, chosen], self.y)
        left = self.columns[:, chosen] @ sizes - self.y
        if np.abs(left).max() > FIT_TOLERANCE * np.abs(self.y).max():
            return None
        return np.asarray(sizes)

    def network(self, chosen: IntArray, sizes: FloatArray) -> ReLUNetwork:
        """The network of some of the neurons and their sizes."""
        return network_of_blocks(sizes[:, None] * self.directions[chosen], self.signs[chosen])

    def vertex(self) -> ReLUNetwork:
        """A network of least cost with linearly independent neurons, as near to the data as any."""
        every = np.arange(len(self.signs))
        return self.network(every, np.asarray(nnls(self.columns, self.y)[0]))
