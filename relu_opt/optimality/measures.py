r"""How far an answer is from feasible and from optimal, each error against its own size.

The lower bound is Lagrangian duality at a point x̂ and multipliers y of the rows:

    f(x) ≥ offset − ½x̂ᵀPx̂ − h(y) − h(z)   for every feasible x,   z = −(Px̂ + c + Aᵀy)

with h(y) = Σ y⁺·row_upper − y⁻·row_lower (bᵀy for cones) and h(z) likewise. A multiplier z whose
bound is not there is charged at the bound that the rows imply. One that is rounding of its own
column is charged over a region: points that are at most `REACH` times as large as x̂.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.optimality.form import Form, StandardProgram, form_of, largest_of
from relu_opt.optimality.implied import implied_bounds
from relu_opt.optimality.violations import EPSILON, LEAST_VIOLATION, Excess, positive
from relu_opt.program.conic import dual_lift
from relu_opt.proof.verdict import Verdict

# The smallest tolerance of a gap, and the share of it that violations may be.
LEAST_GAP, SHARE = 1e-9, 1e-2
# Right answers of two backends may be apart by so many tolerances.
APART = 10.0
# A gap is relative to the objective without its offset, and at least to this share of its terms.
TERMS = 1e-2
# How far to go into a cone, of what leads to it.
PAST = 1.01
# Rounding of a sum, relative to the sum of its terms' sizes, and how far it is charged.
ROUNDING, REACH, FAR = 1e-13, 64.0, 1e6


@dataclass(frozen=True)
class Residuals:
    """How far a primal and a dual point are from optimal.

    Attributes
    ----------
    objective, dual_objective : float
        Upper bound if x is feasible; lower bound (−inf where the duals show none, NaN without
        duals).
    rel_gap : float
        (objective − dual_objective) over the objective without its offset, or over a hundredth of
        the size of its terms where that is more. Negative for points that are not feasible.
    primal : float
        Largest violation of a constraint, each relative to its own row: its side, and its entries
        times the units of their variables.
    dual : float
        Largest multiplier of a bound that is not there, each relative to its own column, or of a
        cone, relative to the cone's multipliers.
    worth : float
        What the violations come to, each times its multiplier, relative to the same as the gap.
    """

    objective: float
    dual_objective: float
    rel_gap: float
    primal: float
    dual: float
    worth: float = 0.0


def measure(program: StandardProgram, x: FloatArray, duals: FloatArray | None) -> Residuals:
    """Objective, gap and residuals of an answer, from the program and the vectors alone.

    Parameters
    ----------
    program : LinearProgram, QuadraticProgram or ConicProgram
    x : (k,) array
    duals : (m,) array or None
        Multipliers of the rows, with the signs of `RawSolution.duals`.
    """
    return residuals_of(form_of(program), x, x, duals)


def residuals_of(form: Form, x: FloatArray, at: FloatArray, y: FloatArray | None) -> Residuals:
    """Of a point, and of the lower bound by multipliers y and the gradient at `at`."""
    with np.errstate(all="ignore"):
        objective = float(form.c @ x) + form.curvature(x)
        excess = Excess.of(form, x)
        bound, stray, terms, worth = math.nan, math.nan, math.inf, 0.0
        if y is not None:
            bound, stray, terms = lower_bound(form, at, y)
            worth = excess.worth(y, form.multipliers(at, y))
        size = scale(form, x, objective, terms)
        return Residuals(
            objective + form.offset,
            bound + form.offset,
            (objective - bound) / size,
            excess.largest(),
            stray,
            worth / size,
        )


def scale(form: Form, x: FloatArray, objective: float, bound_terms: float = math.inf) -> float:
    """What a gap is relative to.

    Parameters
    ----------
    form : Form
    x : (k,) array
    objective : float
        At x, without offset.
    bound_terms : float
        The size of the terms of the lower bound. Those of the objective are no measure of it where
        x is far out on a face that has no end.
    """
    P, _ = form.sizes
    size = np.abs(x)
    terms = min(float(np.abs(form.c) @ size + 0.5 * size @ (P @ size)), bound_terms)
    terms = max(terms, float((form.costs * form.units).max(initial=0.0)))
    tiny = float(np.finfo(np.float64).tiny)
    return max(min(abs(objective), abs(objective + form.offset)), TERMS * terms, tiny)


def admissible(form: Form, y: FloatArray) -> FloatArray:
    """Multipliers without those of sides that are not there."""
    plain = slice(0, form.plain)
    y = y.copy()
    part = y[plain]
    part = np.where(np.isinf(form.row_upper[plain]), np.minimum(part, 0.0), part)
    y[plain] = np.where(np.isinf(form.row_lower[plain]), np.maximum(part, 0.0), part)
    return y


@np.errstate(all="ignore")
def lower_bound(
    form: Form, at: FloatArray, y: FloatArray, far: bool = False
) -> tuple[float, float, float]:
    """A lower bound without the offset, and what it is made of.

    Parameters
    ----------
    form : Form
    at : (k,) array
        Where the gradient is taken.
    y : (m,) array
    far : bool
        Charge rounding over points `FAR` times as large as the units, and not over those `REACH`
        times as large as `at`.

    Returns
    -------
    bound : float
    stray : float
        The largest multiplier of a bound that is not there, relative to its own column.
    terms : float
        The sum of the sizes of the bound's terms.
    """
    if not (np.isfinite(at).all() and np.isfinite(y).all()):
        return math.nan, math.nan, math.nan
    y = admissible(form, y)
    plain = slice(0, form.plain)
    held = _support(y[plain], form.row_lower[plain], form.row_upper[plain])
    total = -form.curvature(at) - float(form.b @ y) - float(held.sum())
    terms = form.curvature(at) + float(np.abs(form.b) @ np.abs(y) + np.abs(held).sum())
    stray = 0.0
    if form.cones.rows:
        charge, stray = _cone_charge(form, at, y)
        total -= charge
    z = form.multipliers(at, y)
    lower, upper = form.lower, form.upper
    homeless = np.where(z > 0, np.isinf(upper), np.isinf(lower)) & (z != 0)
    worth = _support(z, lower, upper)
    uneven = float(np.abs(worth - z * at).sum()) > EPSILON * terms
    if not (uneven or homeless.any() or form.P.nnz):
        terms += float(np.abs(worth).sum())
        return total - float(worth.sum()) - EPSILON * terms, stray, terms
    shares = np.abs(z) / positive(column_sizes(form, at, y))
    stray = max(stray, float(shares[homeless].max(initial=0.0)))
    tiny = shares <= ROUNDING
    if (homeless & ~tiny).any():
        lower, upper = implied_bounds(form)
    reach = (FAR if far else REACH) * form.magnitudes(at)
    lower = np.where(tiny, np.maximum(lower, np.minimum(at, 0.0) - reach), lower)
    upper = np.where(tiny, np.minimum(upper, np.maximum(at, 0.0) + reach), upper)
    if form.P.nnz and (form.dent or form.loose.nnz):
        # What P is not semidefinite by may go down from `at`.
        width = np.maximum(np.minimum(upper - at, reach), np.minimum(at - lower, reach))
        total -= 0.5 * form.dent * float(np.maximum(form.P.diagonal(), 0.0) @ width**2)
        total -= 0.5 * float(width @ (form.loose @ width))
    worth = _support(z, lower, upper)
    terms += float(np.abs(worth).sum())
    return total - float(worth.sum()) - EPSILON * terms, stray, terms


def column_sizes(form: Form, at: FloatArray, y: FloatArray) -> FloatArray:
    """Of each column, the sum of the sizes of what z is the sum of, none below its unit."""
    P, _ = form.sizes
    multipliers = form.coarse @ np.maximum(np.abs(y), form.prices)
    return np.asarray(np.abs(form.c) + P @ form.magnitudes(at) + multipliers)


def _support(v: FloatArray, lower: FloatArray, upper: FloatArray) -> FloatArray:
    """v⁺·upper − v⁻·lower, entry by entry; infinite where v ≠ 0 has no bound."""
    return np.where(v > 0, v * upper, np.where(v < 0, v * lower, 0.0))


def into_cones(form: Form, y: FloatArray) -> FloatArray:
    """The multipliers, those of cones moved a little into their dual cones where they are not."""
    if not form.cones.rows:
        return y
    rows, y = slice(form.plain, None), y.copy()
    y[rows] += PAST * dual_lift(y[rows], form.cones)
    return y


def _cone_charge(form: Form, at: FloatArray, y: FloatArray) -> tuple[float, float]:
    """What multipliers outside their dual cones may cost, and how far out they are, relatively.

    A short vector leads into the cones, and its product with s is at most what the reach of x
    allows: there is no bound if it is more than rounding.
    """
    rows = slice(form.plain, None)
    lift = dual_lift(y[rows], form.cones)
    sizes = largest_of(np.abs(y[rows]), form.owners)
    share = float((largest_of(np.abs(lift), form.owners) / positive(sizes)).max(initial=0.0))
    if share > ROUNDING:
        return math.inf, share
    slack = np.abs(form.b[rows]) + (form.sizes[1] @ (REACH * form.magnitudes(at)))[rows]
    return float(np.abs(lift) @ slack), share


def allowed_residual(tol: float) -> float:
    """The largest violation that goes with a gap of `tol`."""
    return max(SHARE * tol, LEAST_VIOLATION)


def agreement(tol: float) -> float:
    """How far right answers to a tolerance may be apart, relative to their sizes."""
    return max(APART * tol, LEAST_GAP)


def judge(residuals: Residuals, tol: float) -> Verdict:
    """The verdict on an answer: gap and violations against the tolerance; NaN never passes."""
    if not residuals.primal <= allowed_residual(tol):
        return Verdict.NOT_CERTIFIED
    if math.isnan(residuals.dual_objective):
        return Verdict.INCONCLUSIVE
    limit = max(tol, LEAST_GAP)
    good = abs(residuals.rel_gap) <= limit and residuals.worth <= limit
    return Verdict.CERTIFIED if good else Verdict.NOT_CERTIFIED
