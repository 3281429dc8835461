r"""Networks that fit the data exactly at the least cost ½ Σ_j (‖u_j‖² + a_j²).

As a convex program over activation patterns, both signs,

    minimise Σ_b ‖w_b‖   subject to  Σ_b X_b w_b = y,  w_b ∈ K_b,

with the dual: maximise νᵀy subject to g_b(ν) = ‖P_K(X_bᵀν)‖ ≤ 1 for every block. It is the limit of
training as λ → 0.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import block_diag, csc_array, eye_array, hstack, vstack

from relu_opt.arrays import FloatArray, as_floats, as_targets
from relu_opt.config import settled_tol
from relu_opt.errors import DataError, NotCertified, SolveFailed
from relu_opt.plugins.types import StopReason
from relu_opt.program.arrangement import count_patterns_bound, enumerate_patterns
from relu_opt.program.conic import Cones, ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import ReLUNetwork, users_network
from relu_opt.program.patterns import Patterns
from relu_opt.program.spike_free import is_spike_free
from relu_opt.program.units import Units, exponent, scaled
from relu_opt.proof.assembly import certificate_of
from relu_opt.proof.certificate import Coverage, NetworkCertificate
from relu_opt.proof.dual_bound import feasibility, lower_bound
from relu_opt.proof.primal_bound import squares_above
from relu_opt.proof.record import fingerprint
from relu_opt.proof.verdict import Verdict, relative_gap
from relu_opt.rounding import charge, exact_dot
from relu_opt.solving.standard import solve_program
from relu_opt.train.formulas.formula import ones_pattern, out_of_reach
from relu_opt.train.interpolation.least_cost_face import FIT_TOLERANCE, Face, polished_dual
from relu_opt.verify.renamed import renamed

# Entries of a conic program.
MAX_ENTRIES = 5_000_000
# Relative gap of the conic program that is asked for.
SOLVER_TOL = 1e-10
# The relative gap of the certificate.
CERTIFIED_TO = 1e-6


@dataclass(frozen=True, eq=False)
class Interpolant:
    """A network that fits the data, with a proof of how near its cost is to the least.

    `verify(interpolant, X, y)` re-checks it, and `save` writes what anybody else can.

    Attributes
    ----------
    network : ReLUNetwork
        Balanced.
    cost : float
        ½ Σ_j (‖u_j‖² + a_j²) of the network, rounded up; there is no loss and no λ in it.
    lower_bound : float
        νᵀy, rounded down: no network that fits the data costs less.
    nu : (n,) array
        Dual point, |νᵀ(Xu)_+| ≤ 1 for every ‖u‖ ≤ 1.
    multipliers : ConeMultipliers
        ρ ≥ 0 of the blocks: ‖X_bᵀν + (S_iX)ᵀρ_b‖ ≤ 1 for each of them, which proves the bound.
    patterns : Patterns
        The patterns that the bound speaks of.
    coverage : {"listed", "spike_free", "searched"}
        Why they speak of all networks.
    residual : float
        Largest |f(x_k) − y_k|, over the largest |y_k|.
    program : ConvexProgram
        The data, and λ = 1: the blocks, cones and the constraint of the dual are the same.
    """

    network: ReLUNetwork
    cost: float
    lower_bound: float
    nu: FloatArray
    multipliers: ConeMultipliers
    patterns: Patterns
    coverage: str
    residual: float
    program: ConvexProgram = field(repr=False)

    bound: ClassVar[renamed] = renamed("lower_bound")
    stop: ClassVar[StopReason] = StopReason.CONVERGED

    @property
    def objective(self) -> float:
        """The cost, which is all that there is to minimise."""
        return self.cost

    @property
    def verdict(self) -> Verdict:
        """That of the certificate."""
        return self.certificate.verdict

    @property
    def stats(self) -> dict[str, Any]:
        """How well it fits, and why the bound speaks of all networks."""
        return {"residual": self.residual, "coverage": self.coverage}

    @cached_property
    def certificate(self) -> NetworkCertificate:
        """What `verify` re-checks, also of this object: a certificate of *training* with a tiny λ.

        A network f that fits exactly has the objective λ·cost(f), and λν is a dual point, of value
        λνᵀy − (n/2)λ²‖ν‖². So no network that fits exactly costs less than
        `certificate.lower_bound`/λ. λ is so small that the square takes a tenth of
        `CERTIFIED_TO`, the tol, from that.
        """
        lam, size = 1.0, float(np.abs(self.nu).max())
        if self.lower_bound > 0:  # the squares of ν over its size do not overflow
            square = len(self.nu) * float(np.sum((self.nu / size) ** 2))
            lam = CERTIFIED_TO * (self.lower_bound / size) / (5 * square) / size
        prog = self.program.with_lam(lam)
        rho = replace(self.multipliers, values=lam * self.multipliers.values)
        bound = lower_bound(prog, lam * self.nu, rho)
        covered = Coverage(self.coverage)
        return certificate_of(prog, self.network, bound, "all", CERTIFIED_TO, covered)

    @property
    def rel_gap(self) -> float:
        """(cost − lower_bound)/lower_bound."""
        return relative_gap(self.cost, self.lower_bound)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the certificate, which holds network and dual point."""
        self.certificate.save(path)

    @classmethod
    def load(cls, path: str | os.PathLike[str], X: ArrayLike, y: ArrayLike) -> Interpolant:
        """Read what `save` wrote; the data are needed again, and the cost is bounded anew.

        That the file's patterns speak of all networks is read, and `verify` checks it.

        Raises
        ------
        DataError
            If the file is damaged, or of other data.
        """
        found = NetworkCertificate.load(path)
        data = as_floats(X, "X", 2)
        prog = unit_program(data, as_targets(y, "y", len(data), "X"), found.patterns)
        if found.fingerprint != fingerprint(prog.X, prog.y):
            raise DataError(f"{path} is of other data. Pass those that were fitted.")
        known = replace(found.multipliers, values=found.multipliers.values / found.lam)
        nu = found.nu / found.lam
        return prove_interpolant(prog, found.network, nu, found.coverage.kind, known)

    def __repr__(self) -> str:
        return (
            f"Interpolant(neurons={len(self.network)}, cost={self.cost:.12g}, "
            f"rel_gap={self.rel_gap:.2e})"
        )


def unit_program(X: FloatArray, y: FloatArray, patterns: Patterns) -> ConvexProgram:
    """The program whose blocks, cones and g_b(ν) ≤ 1 are those of interpolation."""
    return ConvexProgram(X, y, 1.0, patterns)


def listed_program(X: FloatArray, y: FloatArray) -> ConvexProgram:
    """The `unit_program` over all patterns of X, refused before any is listed if too large."""
    patterns = count_patterns_bound(X)
    entries = 2 * patterns * X.size
    if entries > MAX_ENTRIES:
        raise DataError(
            f"X has up to {patterns} patterns, and a conic program over all of them about "
            f"{entries:.1e} entries, more than {MAX_ENTRIES:.0e}. Take fewer rows or columns, or "
            "use train_globally(X, y, lam) with a small lam, which lists none.",
            patterns=patterns,
            entries=entries,
        )
    return unit_program(X, y, enumerate_patterns(X))


def prove_interpolant(
    prog: ConvexProgram,
    network: ReLUNetwork,
    nu: FloatArray,
    coverage: str,
    known: ConeMultipliers | None = None,
) -> Interpolant:
    """The network with the bound that ν gives, scaled until it is feasible.

    Parameters
    ----------
    prog : ConvexProgram
        What `unit_program` made.
    network : ReLUNetwork
    nu : (n,) array
        Any vector.
    coverage : str
        Why the program's patterns speak of all networks.
    known : ConeMultipliers, optional
        Multipliers that go with ν; missing ones are found by projection.
    """
    multipliers, largest = feasibility(prog, nu, known)
    scale = (1 - charge(4)) / largest if largest > 0 else 0.0
    network, point = network.balance(), scale * nu
    bound = exact_dot((point, prog.y))
    size = float(np.abs(prog.y).max()) or 1.0
    return Interpolant(
        network,
        0.5 * (squares_above(network.hidden) + squares_above(network.output)) * (1 + charge(1)),
        bound - charge(1) * abs(bound),
        point,
        ConeMultipliers(
            multipliers.blocks, multipliers.starts, multipliers.rows, scale * multipliers.values
        ),
        prog.patterns,
        coverage,
        float(np.abs(network.predict(prog.X) - prog.y).max()) / size,
        prog,
    )


def users_interpolant(found: Interpolant, units: Units) -> Interpolant:
    """An interpolant of data in these units, in the user's: w = 2^(y−x) w′ and ν = 2^−x ν′.

    The cost is charged with the rounding of the layers, which there is where y − x is odd.
    """
    known, cost, prog = found.multipliers, units.y - units.x, found.program
    return replace(
        found,
        program=unit_program(scaled(prog.X, units.x), scaled(prog.y, units.y), prog.patterns),
        network=users_network(found.network, units),
        cost=scaled(found.cost * (1 + charge(4)), cost),
        lower_bound=scaled(found.lower_bound, cost),
        nu=scaled(found.nu, -units.x),
        multipliers=replace(known, values=scaled(known.values, -units.x)),
    )


def minimum_norm_interpolant(
    X: ArrayLike, y: ArrayLike, backend: str = "auto", tol: float | None = None
) -> Interpolant:
    """The network of least cost ½ Σ_j (‖u_j‖² + a_j²) that fits the data exactly, of any width.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample; a hidden bias is a column of ones. All patterns of X are listed,
        unless it is spike-free.
    y : (n,) array
        Targets.
    backend : str
        Who solves the conic program.
    tol : float, optional
        The relative gap to certify, below 1; 1e−8 unless the settings say otherwise.

    Returns
    -------
    Interpolant

    Raises
    ------
    DataError
        If no network fits, or the patterns of X are too many to be listed.
    NotCertified
        If the gap or the residual stays above the tolerance.
    """
    data = as_floats(X, "X", 2)
    targets = as_targets(y, "y", len(data), "X")
    units = Units(exponent(data), exponent(targets))
    found = _cheapest(units.in_data(data), units.in_targets(targets), backend, settled_tol(tol))
    return users_interpolant(found, units)


def _cheapest(data: FloatArray, targets: FloatArray, backend: str, tol: float) -> Interpolant:
    """`minimum_norm_interpolant` of data and targets of size one."""
    if is_spike_free(data):
        prog, coverage = unit_program(data, targets, ones_pattern(len(data))), "spike_free"
    else:
        prog, coverage = listed_program(data, targets), "listed"
    if not targets.any():
        nothing = ReLUNetwork(np.zeros((0, data.shape[1])), np.zeros(0))
        return prove_interpolant(prog, nothing, np.zeros(len(data)), coverage)
    nu = polished_dual(prog, *solve_conic(prog, backend))
    face = Face.of(prog, nu)
    found = prove_interpolant(prog, face.vertex(), nu, coverage)
    if not (found.rel_gap <= tol and found.residual <= FIT_TOLERANCE):
        raise NotCertified(
            f"The interpolating network has a gap of {found.rel_gap:.1e} and a residual of "
            f"{found.residual:.1e}. Scale the data to like sizes, or try another backend.",
            rel_gap=found.rel_gap,
            residual=found.residual,
        )
    return found


def solve_conic(prog: ConvexProgram, backend: str = "auto") -> tuple[FloatArray, FloatArray]:
    """Blocks (2, p, d) of an optimum and its dual point ν, as a conic solver leaves them.

    Raises
    ------
    DataError
        If no network fits.
    """
    conic, unit, height = conic_program(prog)
    try:
        answer = solve_program(conic, backend, tol=SOLVER_TOL)
    except SolveFailed as error:
        if error.fields.get("stop") is not StopReason.INFEASIBLE:
            raise
        raise _no_fit(prog) from error
    p, d = len(prog.patterns), prog.d
    weights = answer.x[: 2 * p * d].reshape(2, p, d) * (height / unit)
    if np.abs(prog.fits(weights) - prog.y).max() > 1e-4 * height:
        raise _no_fit(prog)
    if answer.duals is None:
        raise NotCertified(f"Backend {answer.backend!r} returns no dual point. Use another.")
    return weights, -answer.duals[: prog.n] / unit


def conic_program(prog: ConvexProgram) -> tuple[ConicProgram, float, float]:
    """min Σ t_b subject to Σ X_b w_b = y, S_iX w_b ≥ 0, ‖w_b‖ ≤ t_b over x = (w, t).

    Returns
    -------
    program : ConicProgram
        Of data over `unit` and targets over `height`: w is to be multiplied by height/unit, and ν,
        minus the first n multipliers, to be divided by unit.
    unit, height : float
    """
    n, d, p = prog.n, prog.d, len(prog.patterns)
    unit = float(np.linalg.norm(prog.X, axis=1).max()) or 1.0
    height = float(np.abs(prog.y).max()) or 1.0
    X, masks = prog.X / unit, prog.patterns.unpack(slice(None))
    gated = np.hstack([mask[:, None] * X for mask in masks])
    cones = block_diag([np.where(mask, -1.0, 1.0)[:, None] * X for mask in masks])
    nothing = csc_array((n, 2 * p))
    fits = hstack([csc_array(gated), csc_array(-gated), nothing])
    sides = hstack([block_diag([cones, cones]), csc_array((2 * p * n, 2 * p))])
    # Each cone (t_b, w_b): its rows are those of −t_b and −w_b.
    order = np.concatenate(
        [np.r_[2 * p * d + b, b * d : (b + 1) * d] for b in range(2 * p)]
    ).astype(np.intp)
    norms = -csc_array(eye_array(2 * p * (d + 1)))[order]
    A = csc_array(vstack([fits, sides, norms]))
    b = np.r_[prog.y / height, np.zeros(A.shape[0] - n)]
    c = np.r_[np.zeros(2 * p * d), np.ones(2 * p)]
    return ConicProgram(c, A, b, Cones(n, 2 * p * n, (d + 1,) * (2 * p))), unit, height


def _no_fit(prog: ConvexProgram) -> Exception:
    """The error of targets that no network has: what the pattern-wise linear fit leaves."""
    masks = prog.patterns.unpack(slice(None))
    gated = np.hstack([mask[:, None] * prog.X for mask in masks])
    fit = gated @ np.linalg.lstsq(gated, prog.y, rcond=None)[0]
    return out_of_reach(prog.y, prog.y - fit)
