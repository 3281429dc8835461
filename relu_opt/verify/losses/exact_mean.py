"""The mean loss and its conjugate in integers; see `relu_opt.verify.exact`."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from relu_opt.verify.exact_integers import Integers, below
from relu_opt.verify.losses.base import Loss


@dataclass(frozen=True)
class Term:
    """A mean loss (1/n) Σ_k s_k ℓ(z_k, y_k).

    Attributes
    ----------
    loss : Loss
    targets : Integers
        y.
    weights : Integers
        s, all positive.
    """

    loss: Loss
    targets: Integers
    weights: Integers

    def mean(self, fits: Integers) -> Fraction:
        """The mean loss at the fits: exact, or from above where the loss is enclosed."""
        grid = self.loss.grid
        shift = max(fits.shift, self.targets.shift, grid.denominator.bit_length() - 1)
        z, y, one = fits.scaled(shift), self.targets.scaled(shift), 1 << shift
        parameter = int(grid * one)
        total = sum(
            (
                s * self.loss.twice(fit, target, one, parameter)
                for s, fit, target in zip(self.weights.values, z, y, strict=True)
            ),
            Fraction(0) if self.loss.enclosed else 0,
        )
        return Fraction(total, 2 * len(z) << 2 * shift + self.weights.shift)

    def dual(self, nu: Integers, t: Fraction) -> Fraction:
        """D(tν) for 0 ≤ t ≤ `shrink(ν)` from below; D(0) = 0."""
        return self.loss.exact_dual(self, nu, t) if t else Fraction(0)

    def shrink(self, nu: Integers) -> Fraction:
        """The largest t ≤ 1, rounded down, for which D(tν) is finite; 0 if there is none above."""
        n, shift, share = len(nu.values), self.targets.shift, Fraction(1)
        for v, s, target in zip(nu.values, self.weights.values, self.targets.values, strict=True):
            low, high = self.loss.exact_slopes(Fraction(target, 1 << shift))
            edge = high if v > 0 else low
            if not v or edge is None:
                continue
            if not edge:
                return Fraction(0)
            slope = Fraction(n * v << self.weights.shift, s << nu.shift)
            if slope / edge > 1 / share:
                share = edge / slope
        return share if share == 1 else below(share)
