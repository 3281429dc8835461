r"""Half the Poisson deviance, a second time: eᶻ − yz − (y − y log y).

−ℓ*(−v) = −v − q log q + y log y with q = y − v ≥ 0, which is v log y − y φ(v/y) with
φ(w) = (1 − w) log(1 − w) + w; of y = 0 it is −v − q log q. c is convex, so that it is largest at an
end of an interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from relu_opt.verify.exact_logs import BITS, STEEPEST, exp_bounds, log_bounds
from relu_opt.verify.faults import Flaw
from relu_opt.verify.logs import exponential_above, log_within, power_rest_above, relative_above
from relu_opt.verify.losses.base import Loss
from relu_opt.verify.rounding import UNIT, FloatArray, gamma

if TYPE_CHECKING:
    from relu_opt.verify.exact_integers import Integers
    from relu_opt.verify.losses.exact_mean import Term


@dataclass(frozen=True)
class Poisson(Loss):
    """eᶻ − yz − (y − y log y), y ≥ 0."""

    name: ClassVar[str] = "poisson"
    linear: ClassVar[bool] = False
    enclosed: ClassVar[bool] = True

    def refused(self, y: FloatArray) -> str:
        return "The loss is poisson, and y holds values below 0." if (y < 0).any() else ""

    def above(
        self, hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
    ) -> FloatArray:
        fits, counted = hidden + constant, y > 0
        error = (error + UNIT * np.abs(fits)) * (1 + 4 * UNIT)
        middle, doubt = log_within(np.where(counted, y, 1.0))
        far = fits - middle
        wide = (error + doubt + UNIT * np.abs(far)) * (1 + 4 * UNIT)
        # y (eʳ − 1 − r) at r = z − log y.
        ends = np.maximum(power_rest_above(far - wide), power_rest_above(far + wide))
        return np.where(counted, y * ends, exponential_above(fits + error))

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full_like(y, -np.inf), y

    def offset(self, y: FloatArray) -> FloatArray:
        return np.log(np.where(y > 0, y, 1.0))

    def rest_above(self, v: FloatArray, y: FloatArray) -> FloatArray:
        ends = v * (1 - gamma(5)), np.minimum(v * (1 + gamma(5)), y)
        middle, doubt = log_within(np.where(y > 0, y, 1.0))
        off = (np.abs(middle - self.offset(y)) * (1 + 2 * UNIT) + doubt) * (1 + 8 * UNIT)
        return np.maximum(*(relative_above(end, y) for end in ends)) + np.abs(v) * off

    def twice(self, fit: int, target: int, one: int, grid: int) -> Fraction:
        if fit > STEEPEST * one:
            raise Flaw(f"The network's mean at a sample is above e^{STEEPEST}: no double holds it.")
        mean = exp_bounds(max(fit, -STEEPEST * one), one)[1]
        y = Fraction(target, one)
        deviance = mean - y * Fraction(fit, one) - y + y * _log(y, 1)
        return 2 * one * one * deviance

    def exact_slopes(self, target: Fraction) -> tuple[None, Fraction]:
        return None, target

    def exact_dual(self, term: Term, nu: Integers, t: Fraction) -> Fraction:
        n, shift = len(nu.values), term.targets.shift
        total = Fraction(0)
        for v, s, target in zip(nu.values, term.weights.values, term.targets.values, strict=True):
            slope = t * Fraction(n * v << term.weights.shift, s << nu.shift)
            y = Fraction(target, 1 << shift)
            q = y - slope
            total += s * (y * _log(y, 0) - slope - q * _log(q, 1))
        return total / (n << term.weights.shift)


def _log(value: Fraction, side: int) -> Fraction:
    """log of a positive number from below (0) or above (1); 0 of zero."""
    if not value:
        return Fraction(0)
    return Fraction(log_bounds(value.numerator, value.denominator)[side], 1 << BITS)
