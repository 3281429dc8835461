"""The mean losses and their conjugates, in integers; see `relu_opt.verify.exact`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from relu_opt.verify.exact_integers import DIGITS, Integers, below
from relu_opt.verify.exact_logs import entropy_below, softplus_above
from relu_opt.verify.losses import LABELLED

# Conjugates that are linear where they are finite; the last two are of fits that are demanded.
LINEAR = ("hinge", "interpolation", "hard_margin")


@dataclass(frozen=True)
class Term:
    """A mean loss (1/n) Σ_k s_k ℓ(z_k, y_k).

    Attributes
    ----------
    loss : str
    targets : Integers
        y.
    weights : Integers
        s, all positive.
    delta : Fraction
        Where the Huber loss becomes linear; 0 for other losses.
    """

    loss: str
    targets: Integers
    weights: Integers
    delta: Fraction

    @property
    def edge(self) -> Fraction | None:
        """The largest |n ν_k / s_k| at which the conjugate is finite; None if there is none."""
        return {"logistic": Fraction(1), "hinge": Fraction(1), "huber": self.delta}.get(self.loss)

    def mean(self, fits: Integers) -> Fraction:
        """The mean loss at the fits: exact, but for the logistic loss, which is from above."""
        n = len(fits.values)
        delta = self.delta
        shift = max(fits.shift, self.targets.shift, delta.denominator.bit_length() - 1)
        z, y = fits.scaled(shift), self.targets.scaled(shift)
        if self.loss == "logistic":
            one = 1 << shift
            mean = sum(
                (
                    s * softplus_above(-fit if label > 0 else fit, one)
                    for s, fit, label in zip(self.weights.values, z, y, strict=True)
                ),
                Fraction(0),
            )
            return mean / (n << self.weights.shift)
        twice = _twice(self.loss, 1 << shift, int(delta * (1 << shift)))
        total = sum(s * twice(*pair) for s, *pair in zip(self.weights.values, z, y, strict=True))
        return Fraction(total, 2 * n << 2 * shift + self.weights.shift)

    def dual(self, nu: Integers, t: Fraction) -> Fraction:
        """D(tν) for 0 ≤ t ≤ `shrink(ν)` from below, and exact without weights; 0 if it is −∞.

        The logistic loss is enclosed. D(ν) = −(1/n) Σ_k s_k ℓ*(−n ν_k/s_k, y_k).
        """
        n = len(nu.values)
        if self.loss in (*LABELLED, "hard_margin") and any(
            v * label < 0 for v, label in zip(nu.values, self.targets.values, strict=True)
        ):
            return Fraction(0)
        if self.loss == "logistic":
            up, down = n * t.numerator << self.weights.shift, t.denominator << nu.shift
            entropies = (
                s * entropy_below(up * abs(v), down * s)
                for s, v in zip(self.weights.values, nu.values, strict=True)
            )
            return sum(entropies, Fraction(0)) / (n << self.weights.shift)
        products = sum(v * y for v, y in zip(nu.values, self.targets.values, strict=True))
        linear = Fraction(products, 1 << nu.shift + self.targets.shift)
        if self.loss in LINEAR:
            return t * linear
        # Quotients by weights are rounded up, at a digit far behind those of ν².
        squares = sum(
            -(-(v * v << self.weights.shift + DIGITS) // s)
            for s, v in zip(self.weights.values, nu.values, strict=True)
        )
        return t * linear - t**2 * Fraction(n * squares, 2 << 2 * nu.shift + DIGITS)

    def steepest(self, nu: Integers) -> Fraction:
        """The largest n |ν_k| / s_k."""
        pairs = zip(nu.values, self.weights.values, strict=True)
        top, weight = 0, 1
        for v, s in pairs:
            if abs(v) * weight > top * s:
                top, weight = abs(v), s
        return Fraction(len(nu.values) * top << self.weights.shift, weight << nu.shift)

    def shrink(self, nu: Integers) -> Fraction:
        """The largest t ≤ 1, rounded down, with a finite conjugate at tν, as far as sizes go."""
        steepest = self.steepest(nu)
        if self.edge is None or steepest <= self.edge:
            return Fraction(1)
        return below(self.edge / steepest)


def _twice(loss: str, one: int, delta: int) -> Callable[[int, int], int]:
    """Twice the loss at a fit and a target, all integers on one grid, on the square of the grid."""

    def huber(fit: int, target: int) -> int:
        far = abs(fit - target)
        near = min(far, delta)
        return near * (2 * far - near)

    def hinge(fit: int, target: int) -> int:
        return 2 * one * max(0, one - fit if target > 0 else one + fit)

    def squared_hinge(fit: int, target: int) -> int:
        return max(0, one - fit if target > 0 else one + fit) ** 2

    def squared(fit: int, target: int) -> int:
        return (fit - target) ** 2

    known = {"huber": huber, "hinge": hinge, "squared_hinge": squared_hinge, "squared": squared}
    return known[loss]
