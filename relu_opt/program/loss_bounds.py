r"""One sample's loss from above and its conjugate, with a bound on every rounding.

With v = nν/s, the slope that the dual point gives a sample,

    −ℓ*(−v, y) = v·o(y) − c(v, y),

a linear part with the offset o and a convex rest c: ½v² for the squared loss, and minus the entropy
for the logistic one. Losses of one's own have no bounds here, and so no proof.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program.logarithms import entropy_below, softplus_above
from relu_opt.program.losses import Hinge, Huber, Logistic, Loss, Squared, SquaredHinge
from relu_opt.rounding import charge


class LossBounds(Protocol):
    """What is proved of a loss; all act elementwise."""

    def above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        """Numbers that ℓ(z + c, y) does not exceed for any |z − fits| ≤ error."""
        ...

    def domain(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The least and the largest slope v with a finite conjugate; 0 is between them."""
        ...

    def offset(self, y: FloatArray) -> FloatArray:
        """o(y)."""
        ...

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        """Numbers that c(v, y) does not exceed for any v within four roundings of `slope`."""
        ...


@dataclass(frozen=True)
class _Residual:
    """Huber's loss of δ; without one, the squared loss."""

    delta: float = np.inf

    def above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        # The constant meets the target first, so that an offset of both costs one rounding.
        shift = constant - y
        far = (np.abs(fits + shift) + error + charge(1) * np.abs(shift)) * (1 + charge(3))
        near = np.minimum(far, self.delta)
        return np.asarray(near * (far - near / 2) * (1 + charge(3)))

    def domain(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full_like(y, -self.delta), np.full_like(y, self.delta)

    def offset(self, y: FloatArray) -> FloatArray:
        return y

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        return np.asarray(slope**2 / 2 * (1 + charge(11)))


@dataclass(frozen=True)
class _Margin:
    """The hinge loss of the margin 1 − yz, or half its square."""

    squared: bool

    def above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        outputs = fits + constant
        error = error + charge(1) * np.abs(outputs)
        margin = 1 - y * outputs
        margin = np.maximum(0.0, margin + (error + charge(1) * np.abs(margin)) * (1 + charge(3)))
        margin = margin * (1 + charge(1))
        return np.asarray(margin**2 / 2 * (1 + charge(2)) if self.squared else margin)

    def domain(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        top = np.inf if self.squared else 1.0
        return np.where(y > 0, 0.0, -top), np.where(y > 0, top, 0.0)

    def offset(self, y: FloatArray) -> FloatArray:
        return y

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        square = slope**2 / 2 * (1 + charge(11))
        return np.asarray(square) if self.squared else np.zeros_like(slope)


@dataclass(frozen=True)
class _Logistic:
    def above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        outputs = fits + constant
        error = (error + charge(1) * np.abs(outputs)) * (1 + charge(2))
        return softplus_above(-y * outputs, error)

    def domain(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return _Margin(squared=False).domain(y)

    def offset(self, y: FloatArray) -> FloatArray:
        return np.zeros_like(y)

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        tau = y * slope
        # The entropy H is concave and zero at 0 and 1, so H(τ′) is at least H(τ) τ′/τ below τ, and
        # H(τ) (1 − τ′)/(1 − τ) above.
        odds = tau / np.where(tau < 1, 1 - tau, np.inf)
        share = 1 - charge(4) * np.maximum(1.0, odds)
        return np.asarray(-entropy_below(tau) * np.maximum(0.0, share))


# By the very class: who overrides a method of a loss has another one.
BOUNDS: dict[type, Callable[[Any], LossBounds | None]] = {
    Squared: lambda loss: _Residual(),
    Huber: lambda loss: _Residual(loss.delta),
    Hinge: lambda loss: _Margin(squared=False),
    SquaredHinge: lambda loss: _Margin(squared=True),
    Logistic: lambda loss: _Logistic(),
}


def bounds_of(loss: Loss) -> LossBounds | None:
    """What is proved of a loss; None for one that is not known here."""
    made = BOUNDS.get(type(loss))
    return None if made is None else made(loss)
