r"""The independent re-check of a spline's certificate; see `relu_opt.verify`.

The file has neurons of one input (kinks, sides, weights) and a constant, and a dual point ν. The
objective is F(f) + λ Σ|w|, or Σ|w| where the fit is demanded. ν proves D(ν) if Σν = 0 and
|νᵀ(x − t)_+|, |νᵀ(t − x)_+| ≤ λ for every t: piecewise linear in t, so that the data are enough.

Arithmetic. The fits and the largest |νᵀ(±(x − t))_+| are computed in integers, without rounding,
and so is the distance of Σν from zero. Losses and conjugates are computed in doubles, in units in
which targets are of size one, with a bound on every rounding.

Where the fit is demanded, the stored spline meets it up to rounding only. So the upper bound is not
its own cost but that of a spline which meets the demand exactly: for margins the stored one over
its least margin; for targets the stored one and a second one through its misses.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.verify.claim import (
    MEAN_TOL,
    VERDICTS,
    FloatArray,
    check_fingerprint,
    read_choice,
    read_entry,
    read_loss,
    read_number,
)
from relu_opt.verify.exact_integers import rounded
from relu_opt.verify.faults import Flaw
from relu_opt.verify.losses import DualPoint, Loss, MeanLoss, dual_point, mean_loss_above
from relu_opt.verify.outcome import (
    ARITHMETIC,
    Terms,
    Verification,
    above_others,
    concluded,
    in_units,
    undecided,
)
from relu_opt.verify.rounding import UNIT, above, exact_dot, gamma, remainders, total
from relu_opt.verify.spline_sums import fits_and_targets, largest_hinge, mending_cost
from relu_opt.verify.units import RANGE, TOO_WIDE, exponent, in_range, scaled

# Fits that are demanded, and not paid for by a loss.
DEMANDS = ("interpolation", "hard_margin")
# How far a demanded fit may be missed, relative to the largest target.
FIT_TOL = 1e-9
# A hinge that is above λ by more than this share of it makes the file false, not only weak.
INFEASIBLE = 1e-12


@dataclass(frozen=True)
class SplineClaim:
    """The contents of a spline's certificate, in checked shapes and types."""

    kinks: FloatArray
    sides: FloatArray
    weights: FloatArray
    constant: float
    nu: FloatArray
    weight: FloatArray
    lam: float
    loss: Loss | None
    demand: str
    tol: float
    verdict: str
    numbers: dict[str, float]

    @property
    def terms(self) -> Terms:
        """What the certificate speaks of."""
        weights = bool((self.weight != 1).any())
        return Terms(
            "all",
            self.lam,
            self.loss.name if self.loss else self.demand,
            weights,
            "listed",
            self.tol,
        )

    @property
    def demanded(self) -> bool:
        """Whether the fit is demanded, and only the cost counts."""
        return self.loss is None

    @property
    def residual(self) -> bool:
        """Whether fits count by how far they are from the targets, which then have a unit."""
        return self.loss.residual if self.loss else self.demand == "interpolation"


def as_column(x: ArrayLike) -> ArrayLike:
    """One-dimensional data as a column; anything else as it is."""
    try:
        array = np.asarray(x)
    except ValueError:  # ragged: the check that follows says so
        return x
    return array[:, None] if array.ndim == 1 else array


def read_spline(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], X: FloatArray, y: FloatArray
) -> SplineClaim:
    """The claim of a spline's certificate; X is (n, 1). A `Flaw` if it is malformed."""
    n = len(X)
    if X.shape[1] != 1:
        raise Flaw(f"The certificate is of a spline, and x has {X.shape[1]} columns.")
    check_fingerprint(meta, X, y)
    demand = meta["loss"] if meta.get("loss") in DEMANDS else ""
    if demand == "hard_margin" and not np.isin(y, (-1.0, 1.0)).all():
        raise Flaw("The loss is hard_margin, and y holds values other than the labels −1 and +1.")
    if demand and meta.get("loss_parameters") != {}:
        raise Flaw(f"loss_parameters is {meta.get('loss_parameters')!r}, and {demand} takes none.")
    kinks = read_entry(arrays, "kinks", np.float64, (None,))
    sides = read_entry(arrays, "sides", np.float64, (len(kinks),))
    if not np.isin(sides, (-1.0, 1.0)).all():
        raise Flaw("The entry 'sides' should hold −1 and +1.")
    weight = np.ones(n)
    if "sample_weight" in arrays:
        weight = read_entry(arrays, "sample_weight", np.float64, (n,))
        if (weight <= 0).any() or not abs(weight.mean() - 1) <= MEAN_TOL:
            raise Flaw("The entry 'sample_weight' should be positive and have mean 1.")
    lam = read_number(meta, "lam", lambda value: 0 < value < math.inf)
    claim = SplineClaim(
        kinks=kinks,
        sides=sides,
        weights=read_entry(arrays, "weights", np.float64, (len(kinks),)),
        constant=float(read_entry(arrays, "constant", np.float64, ())),
        nu=read_entry(arrays, "nu", np.float64, (n,)),
        weight=weight,
        lam=lam,
        loss=None if demand else read_loss(meta, y),
        demand=demand,
        tol=read_number(meta, "tol", lambda value: 0 < value < 1),
        verdict=read_choice(meta, "verdict", VERDICTS),
        numbers={name: read_number(meta, name) for name in ("primal", "dual", "rel_gap")},
    )
    if claim.demanded and (lam != 1 or "sample_weight" in arrays):
        raise Flaw(f"With {demand}, lam is 1 and samples have no weights.")
    return claim


def check_spline(given: SplineClaim, x: FloatArray, y: FloatArray) -> Verification:
    """What is proved of a spline."""
    # In units of the range of x and of the largest target; labels have no unit.
    wide = exponent(np.array([x.max() / 2 - x.min() / 2])) + 1
    high = exponent(y) if given.residual else 0
    claim, targets = _near_one(given, wide, high), scaled(y, -high)
    if not (in_range(claim.nu, np.array(claim.lam)) and claim.lam):
        return undecided(given.terms, TOO_WIDE)
    # Objectives are of the size of the targets' squares; a cost alone is theirs over that of x.
    unit = high - wide if given.demanded else 2 * high
    loss, missed, away = _fit(given, claim, x, y, (wide, high))
    sizes = np.abs(given.weights).tolist()
    cost = float(scaled(np.array(above(total(sizes), 2)), wide - high))
    false = [missed] if missed else []
    if given.demand == "interpolation":
        primal = above(cost + loss, 2)
    elif given.demand == "hard_margin":
        primal = above(cost / loss, 2)
    else:
        primal = above(loss + above(claim.lam * cost, 2), 2)
    if claim.loss is None:
        point = _demanded_point(claim, targets)
    else:
        point = dual_point(MeanLoss(claim.loss, claim.weight), claim.nu, targets, True)
    dual = -math.inf
    if point is not None:
        # From the side from which a change of ν changes less.
        near = x if _reach(claim.nu, x) <= _reach(claim.nu, -x) else -x
        largest, shift = largest_hinge(claim.nu, near)
        reached = rounded(largest, shift + wide)
        if not point.share * reached <= claim.lam * (1 + INFEASIBLE):
            false.append(
                f"ν is infeasible: a kink has {point.share * reached / claim.lam:.17g} times lam, "
                "above lam."
            )
        dual = max(0.0, point.below(_shrink(claim, point, reached, scaled(near, -wide))))

    def statement(rel_gap: float) -> str:
        upper, lower = in_units(primal, unit, math.inf), in_units(dual, unit, -math.inf)
        return spline_statement(given, away, upper, lower, rel_gap, "float")

    return concluded(given, primal, dual, false, [], "spline", statement, unit=unit)


def _near_one(given: SplineClaim, wide: int, high: int) -> SplineClaim:
    """The claim where x is in units of 2^wide and y in those of 2^high, but for the neurons."""
    # Where the fit is demanded the strength 1 has no unit, and ν is one over that of x.
    lam, nu = (0, wide) if given.demanded else (-wide - high, -high)
    return replace(
        given,
        nu=scaled(given.nu, nu),
        lam=float(scaled(np.array(given.lam), lam)),
        loss=given.loss and given.loss.scaled(high),
    )


def spline_statement(
    claim: SplineClaim, away: float, primal: float, dual: float, rel_gap: float, arithmetic: str
) -> str:
    """What is proved of a spline, in plain words; `away` is how far a demanded fit is missed."""
    whom = "one-input ReLU network of any width whose hidden biases are free"
    if claim.demand == "interpolation":
        head = (
            f"The spline meets the targets up to {away:.1e} of the largest, and its cost, with "
            "what meeting them exactly adds to it,"
        )
        whom += " and which meets the targets"
    elif claim.demand == "hard_margin":
        head = (
            f"The spline has every margin up to {away:.1e}, and the cost of the one over its least "
            "margin, which has them,"
        )
        whom += " and which has every margin"
    else:
        weights = "weighted " if claim.terms.weights else ""
        head = (
            f"With the {weights}mean {claim.loss} and lam = {claim.lam:g}, the spline's objective"
        )
    others = above_others(primal, rel_gap, whom, dual)
    return f"{head} {others}. Proved {ARITHMETIC[arithmetic]}."


# -- from above ----------------------------------------------------------------


def _fit(
    given: SplineClaim, claim: SplineClaim, x: FloatArray, y: FloatArray, units: tuple[int, int]
) -> tuple[float, str, float]:
    """What the fits cost, from above; how a demanded fit is missed, if it is; and by how much.

    The mean loss; for targets to be met, what it costs to mend the misses; for margins the least
    one, at most 1, from below.
    """
    wide, high = units
    fits, targets, shift = fits_and_targets(
        x, y, given.kinks, given.sides, given.weights, given.constant
    )
    if given.demand == "interpolation":
        misses = [target - fit for fit, target in zip(fits, targets, strict=True)]
        far = [abs(miss) for miss in misses]
        away = _share(max(far), max(abs(target) for target in targets))
        mending = scaled(np.array(mending_cost(x, misses, shift)), wide - high)
        return float(mending), _missed(away, far), away
    if given.demand == "hard_margin":
        one = 1 << shift
        short = [one - int(label) * fit for label, fit in zip(y.tolist(), fits, strict=True)]
        away = _share(max(0, *short), one)
        return max(1 - away, UNIT) * (1 - 4 * UNIT) if away else 1.0, _missed(away, short), away
    if claim.loss is None:
        raise Flaw(f"The demand {claim.demand!r} is unknown.")
    # Where the loss is one of the misses, they are what is rounded.
    origins = targets if given.residual else [0] * len(y)
    values = np.array([rounded(f - o, shift + high) for f, o in zip(fits, origins, strict=True)])
    if not in_range(values):
        return math.inf, "", 0.0
    y = np.zeros(len(y)) if given.residual else y
    mean = MeanLoss(claim.loss, claim.weight)
    return mean_loss_above(mean, values, 2 * UNIT * np.abs(values), 0.0, y), "", 0.0


def _share(part: int, whole: int) -> float:
    """part/whole, rounded once, for 0 ≤ part; 0 for 0/0."""
    try:
        return part / whole if part else 0.0
    except (OverflowError, ZeroDivisionError):
        return math.inf


def _missed(away: float, far: list[int]) -> str:
    if away <= FIT_TOL:
        return ""
    return f"The fit is missed at sample {max(range(len(far)), key=far.__getitem__)}."


# -- from below ----------------------------------------------------------------


def _demanded_point(claim: SplineClaim, y: FloatArray) -> DualPoint | None:
    """The dual point of a demanded fit: D(ν) = νᵀy, with νy ≥ 0 for margins."""
    nu, parts = claim.nu, remainders(claim.nu)
    row = int(np.argmax(np.abs(nu)))
    left = above(math.fsum(map(abs, parts)), 2)
    margins = claim.demand == "hard_margin"
    if margins and not ((nu * y >= 0).all() and left <= abs(nu[row])):
        return None
    value = exact_dot((nu, y), *((np.array([-part]), y[row : row + 1]) for part in parts))

    def below(t: float) -> float:
        return t * value - 4 * UNIT * abs(t * value)

    return DualPoint(1.0, 0, ((row, left),), below)


def _reach(nu: FloatArray, x: FloatArray) -> float:
    """At least Σ|ν_i|(x_end − x_i)."""
    return above(math.fsum((np.abs(nu) * (x.max() - x)).tolist()), 4)


def _shrink(claim: SplineClaim, point: DualPoint, reached: float, x: FloatArray) -> float:
    """The t for which t times the dual point is feasible."""
    total = point.share * above(reached, 2)
    total += 2 * gamma(point.roundings) * _reach(claim.nu, x)
    total += 2 * math.fsum(size * (x.max() - x[row]) for row, size in point.moves)
    lam, total = min(claim.lam, 2.0**RANGE), above(total, 8)
    return 1.0 if total <= lam else lam / total * (1 - 8 * UNIT)
