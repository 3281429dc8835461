"""The losses of margins, a second time: hinge, its square, and the logistic loss."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from relu_opt.verify import exact_logs
from relu_opt.verify.logs import entropy_below, softplus_above
from relu_opt.verify.losses.base import Loss
from relu_opt.verify.losses.residual import half_square_above
from relu_opt.verify.rounding import UNIT, FloatArray, gamma

if TYPE_CHECKING:
    from relu_opt.verify.exact_integers import Integers
    from relu_opt.verify.losses.exact_mean import Term

# The largest slope of a loss that is linear at last.
EDGE = Fraction(1)


class _Margin(Loss):
    """A loss of yz whose slopes lie between 0 and `edge` on the label's side."""

    labelled: ClassVar[bool] = True
    edge: ClassVar[Fraction | None] = EDGE

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        top = np.inf if self.edge is None else float(self.edge)
        return np.where(y > 0, 0.0, -top), np.where(y > 0, top, 0.0)

    def exact_slopes(self, target: Fraction) -> tuple[Fraction | None, Fraction | None]:
        if target > 0:
            return Fraction(0), self.edge
        return None if self.edge is None else -self.edge, Fraction(0)


@dataclass(frozen=True)
class Hinge(_Margin):
    """max(0, 1 − yz)."""

    name: ClassVar[str] = "hinge"

    def above(
        self, hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
    ) -> FloatArray:
        return _shortfall_above(hidden, error, constant, y)

    def rest_above(self, v: FloatArray, y: FloatArray) -> FloatArray:
        return np.zeros_like(v)

    def twice(self, fit: int, target: int, one: int, grid: int) -> int:
        return 2 * one * max(0, one - fit if target > 0 else one + fit)


@dataclass(frozen=True)
class SquaredHinge(_Margin):
    """½ max(0, 1 − yz)²."""

    name: ClassVar[str] = "squared_hinge"
    edge: ClassVar[Fraction | None] = None
    degree: ClassVar[int] = 2

    def above(
        self, hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
    ) -> FloatArray:
        short = _shortfall_above(hidden, error, constant, y)
        return short * short / 2

    def rest_above(self, v: FloatArray, y: FloatArray) -> FloatArray:
        return half_square_above(v)

    def twice(self, fit: int, target: int, one: int, grid: int) -> int:
        return max(0, one - fit if target > 0 else one + fit) ** 2


@dataclass(frozen=True)
class Logistic(_Margin):
    """log(1 + exp(−yz)); c is minus the entropy of τ = yv."""

    name: ClassVar[str] = "logistic"
    linear: ClassVar[bool] = False
    enclosed: ClassVar[bool] = True

    def above(
        self, hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
    ) -> FloatArray:
        fits = hidden + constant
        return softplus_above(-y * fits, error + UNIT * np.abs(fits))

    def rest_above(self, v: FloatArray, y: FloatArray) -> FloatArray:
        # The entropy is concave, so that it is least at an end of the interval round v.
        tau = np.abs(v)
        ends = tau * (1 - gamma(5)), np.minimum(tau * (1 + gamma(5)), 1.0)
        return -np.minimum(*(entropy_below(np.minimum(end, 1.0)) for end in ends))

    def twice(self, fit: int, target: int, one: int, grid: int) -> Fraction:
        return 2 * one * one * exact_logs.softplus_above(-fit if target > 0 else fit, one)

    def exact_dual(self, term: Term, nu: Integers, t: Fraction) -> Fraction:
        n = len(nu.values)
        up, down = n * t.numerator << term.weights.shift, t.denominator << nu.shift
        entropies = (
            s * exact_logs.entropy_below(up * abs(v), down * s)
            for s, v in zip(term.weights.values, nu.values, strict=True)
        )
        return sum(entropies, Fraction(0)) / (n << term.weights.shift)


def _shortfall_above(
    hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
) -> FloatArray:
    """What max(0, 1 − yz) does not exceed."""
    fits = hidden + constant
    short = 1 - y * fits
    error = (error + UNIT * (np.abs(fits) + np.abs(short))) * (1 + 8 * UNIT)
    return np.asarray(np.maximum(short + error, 0.0) * (1 + 2 * UNIT))
