r"""Spike-free data: the pattern D = I alone, and the formula for interpolation where it holds.

With G = (XXᵀ)⁻¹ (the pseudo-inverse where rows repeat), ‖z‖_G = √(zᵀGz) and a_± = Gy_±/‖y_±‖_G, the
two neurons of directions X⁺y_± interpolate at the cost ‖y_+‖_G + ‖y_-‖_G. That is *not* always the
least cost. It is if y has one sign, or if a_+ + a_- ≥ 0: ν = a_+ − ρ with ρ = a_+ + a_- where y ≤ 0
and 0 elsewhere is then dual feasible, and νᵀy is the cost. (Derived here.)
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Loss
from relu_opt.program.spike_free import is_spike_free
from relu_opt.proof.assembly import certificate_of
from relu_opt.proof.certificate import SPIKE_FREE
from relu_opt.proof.dual_bound import DualBound
from relu_opt.rounding import UNIT
from relu_opt.solving.training import Solution, solve
from relu_opt.train.formulas.formula import (
    Formula,
    ones_pattern,
    out_of_reach,
    spike_free_multipliers,
)

# Residual of an interpolation, relative to the largest target.
FIT_TOLERANCE = 1e-9
# How negative a_+ + a_- may be, relative to its largest entry.
CONDITION_TOLERANCE = 1e-10


def spike_free_program(
    X: ArrayLike,
    y: ArrayLike,
    lam: float,
    *,
    loss: str | Loss = "squared",
    sample_weight: ArrayLike | None = None,
    intercept: bool = False,
) -> ConvexProgram:
    """The training program over D = I alone, which is all that spike-free data need.

    Parameters
    ----------
    X, y, lam, loss, sample_weight, intercept
        As in `ConvexProgram`.

    Returns
    -------
    ConvexProgram
        Two blocks. A lower bound on it speaks of all networks.

    Raises
    ------
    DataError
        If X is not spike-free, with the reason of `is_spike_free`.
    """
    found = is_spike_free(X)
    if not found:
        raise DataError(
            f"X is not spike-free ({found.verdict}): {found.reason} The pattern D = I then does "
            "not speak of all networks. Use train_globally.",
            verdict=found.verdict,
            excess=found.excess,
        )
    n = len(np.asarray(X))
    return ConvexProgram(
        X,  # type: ignore[arg-type]
        y,  # type: ignore[arg-type]
        lam,
        ones_pattern(n),
        loss=loss,  # type: ignore[arg-type]
        sample_weight=sample_weight,  # type: ignore[arg-type]
        intercept=intercept,
    )


def train_spike_free(prog: ConvexProgram, backend: str = "auto", **settings: Any) -> Solution:
    """Train over D = I alone, certified among networks of all widths.

    Parameters
    ----------
    prog : ConvexProgram
        What `spike_free_program` made.
    backend, **settings
        As of `solve`.

    Returns
    -------
    Solution
        Its certificate has the scope "all" and the coverage "spike_free".
    """
    solution = solve(prog, backend, **settings)
    said = solution.certificate
    largest = prog.lam * (1 + said.kkt.dual_infeasibility)
    bound = DualBound(said.nu, said.multipliers, said.lower_bound, largest)
    bound = for_all_networks(prog, bound, is_spike_free(prog.X).stretch)
    certificate = certificate_of(prog, solution.network, bound, "all", said.tol, SPIKE_FREE)
    return replace(solution, certificate=certificate)


def for_all_networks(prog: ConvexProgram, bound: DualBound, stretch: float) -> DualBound:
    """A bound over D = I, shrunk for the v of (Xu)_+ = Xv that are longer than u."""
    if stretch == 1:
        return bound
    share = (1 - 2 * UNIT) / stretch
    nu = share * bound.nu
    multipliers = replace(bound.multipliers, values=share * bound.multipliers.values)
    return DualBound(nu, multipliers, prog.dual_objective(nu), share * bound.largest)


def interpolation_margin(X: FloatArray, y: FloatArray) -> float:
    """min(a_+ + a_-) over its largest entry; inf for one sign. The formula is optimal iff ≥ 0."""
    _, duals, sizes = _parts(X, y)
    if not sizes.all():
        return np.inf
    total = duals.sum(axis=0)
    return float(total.min() / np.abs(total).max())


def spike_free_interpolation(X: FloatArray, y: FloatArray) -> Formula:
    """The two neurons X⁺y_±, for spike-free X; whether they are optimal is not looked at."""
    blocks, duals, sizes = _parts(X, y)
    residual = (blocks[0] - blocks[1]) @ X.T - y
    if np.abs(residual).max() > FIT_TOLERANCE * np.abs(y).max():
        raise out_of_reach(y, residual)
    if sizes.all():
        rho = np.where(y > 0, 0.0, np.maximum(duals.sum(axis=0), 0.0))
        nu = duals[0] - rho
        known = spike_free_multipliers(rho, np.maximum(nu + duals[1], 0.0))
    else:
        nu, known = duals[0] - duals[1], None
    return Formula(
        kind="spike_free",
        blocks=blocks,
        signs=np.array([1.0, -1.0]),
        value=float(sizes.sum()),
        nu=nu,
        patterns=ones_pattern(len(X)),
        coverage="spike_free",
        multipliers=known,
    )


def _parts(X: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """X⁺y_±, the a_±, and ‖y_±‖_G."""
    inverse = np.linalg.pinv(X)
    blocks = np.array([inverse @ np.maximum(y, 0.0), inverse @ np.maximum(-y, 0.0)])
    sizes = np.linalg.norm(blocks, axis=1)
    units = blocks / np.where(sizes > 0, sizes, 1.0)[:, None]
    return blocks, units @ inverse, sizes
