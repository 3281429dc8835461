r"""Units: powers of two that bring data and targets to size one, and every quantity with them.

With X = 2^x X′ and y − c = 2^y y′ the training problem of X, y, λ is that of X′, y′, λ′, and

    fits = 2^y fits′ + c,   w = 2^(y−x) w′,   ν = 2^y ν′,   ρ = 2^y ρ′,   λ = 2^(x+y) λ′,

objectives and bounds 4^y times those of X′, y′, λ′. Multiplying by powers of two is exact, so an
answer in one unit is the answer in another, bit for bit; what is computed in these units sees no
others. Only the balanced neurons u = w/√‖w‖ and a = ±√‖w‖ are rounded, where y − x is odd.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

import numpy as np

from relu_opt.arrays import FloatArray

if TYPE_CHECKING:
    from relu_opt.program.losses import Loss


def exponent(values: FloatArray) -> int:
    """The k with the largest |value| in [2^k, 2^(k+1)); 0 if all are zero."""
    largest = float(np.abs(values).max(initial=0.0))
    return int(np.frexp(largest)[1]) - 1 if largest > 0 else 0


def centre_of(values: FloatArray) -> float:
    """The median of values (n,) that are far from zero beside their spread; 0 for others.

    Values of one sign within a factor of two differ from any number among them by a double
    (Sterbenz), so that values − centre has no rounding.
    """
    low, high = sorted((abs(float(values.min())), abs(float(values.max()))))
    one_sign = bool((values > 0).all() or (values < 0).all())
    return float(np.median(values)) if one_sign and high / 2 <= low else 0.0


@overload
def scaled(values: float, power: int) -> float: ...
@overload
def scaled(values: FloatArray, power: int) -> FloatArray: ...
def scaled(values: float | FloatArray, power: int) -> float | FloatArray:
    """2^power · values, exact unless it leaves the range of doubles."""
    if power == 0:
        return values
    with np.errstate(over="ignore", under="ignore"):
        result = np.ldexp(values, power)
    return float(result) if np.ndim(values) == 0 else np.asarray(result)


def survives(values: FloatArray, power: int) -> bool:
    """Whether 2^power · values are doubles: none overflows, none loses a bit."""
    return np.array_equal(scaled(scaled(values, power), -power), values)


@dataclass(frozen=True)
class Units:
    """What the number one means, of data and of targets.

    Methods without a prefix go from these units to the user's; those with `in_` the other way.

    Attributes
    ----------
    x, y : int
        Exponents: the unit of X is 2^x, and that of the targets and fits is 2^y.
    centre : float
        What targets are measured from, in the user's units; not 0 only where the network has a
        constant that is not penalised.
    """

    x: int = 0
    y: int = 0
    centre: float = 0.0

    @classmethod
    def of(cls, X: FloatArray, y: FloatArray, loss: Loss, intercept: bool) -> Units:
        """Those in which the largest entries of X (n, d) and of y (n,) lie in [1, 2).

        Losses whose targets have no unit (`Loss.scales` is false) leave y as it is.
        """
        if not loss.scales:
            return cls(exponent(X))
        centre = centre_of(y) if intercept else 0.0
        return cls(exponent(X), exponent(y - centre), centre)

    # -- into these units ------------------------------------------------------

    def in_data(self, X: FloatArray) -> FloatArray:
        """X′."""
        return scaled(X, -self.x)

    def in_targets(self, y: FloatArray) -> FloatArray:
        """y′, also of fits."""
        return scaled(y - self.centre, -self.y)

    def in_constant(self, constant: float) -> float:
        """A network's output constant."""
        return scaled(constant - self.centre, -self.y)

    def in_strength(self, lam: float) -> float:
        """λ′, also of g_b(ν)."""
        return scaled(lam, -self.x - self.y)

    def in_weights(self, weights: FloatArray) -> FloatArray:
        """w′."""
        return scaled(weights, self.x - self.y)

    def in_duals(self, nu: FloatArray) -> FloatArray:
        """ν′ and ρ′."""
        return scaled(nu, -self.y)

    def in_loss(self, loss: Loss) -> Loss:
        """ℓ′ with ℓ(2^y z, 2^y y) = 4^y ℓ′(z, y)."""
        return loss.rescaled(self.y) or loss

    # -- back to the user's ----------------------------------------------------

    def fits(self, fits: FloatArray) -> FloatArray:
        """Fits, or targets."""
        return scaled(fits, self.y) + self.centre

    def constant(self, constant: float) -> float:
        """A network's output constant; rounded where there is a centre."""
        return scaled(constant, self.y) + self.centre

    def strength(self, lam: float) -> float:
        """λ, also of g_b(ν)."""
        return scaled(lam, self.x + self.y)

    def weights(self, weights: FloatArray) -> FloatArray:
        """Blocks w."""
        return scaled(weights, self.y - self.x)

    def duals(self, nu: FloatArray) -> FloatArray:
        """ν and ρ."""
        return scaled(nu, self.y)

    def objective(self, value: float) -> float:
        """Objectives and bounds."""
        return scaled(value, 2 * self.y)

    def layer(self, values: FloatArray) -> FloatArray:
        """Either layer of a balanced network, 2^((y−x)/2) times it; rounded if y − x is odd."""
        half, odd = divmod(self.y - self.x, 2)
        return scaled(values * np.sqrt(2.0) if odd else values, half)


PLAIN = Units()
