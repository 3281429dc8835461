r"""Losses: value, gradient, curvature and convex conjugate of one sample's loss.

The training loss is the weighted mean :math:`F(z) = \frac1n\sum_k s_k\,\ell(z_k, y_k)`.
This module has the summand :math:`\ell` only; the mean and the weights belong to
`ConvexProgram`. All functions act elementwise.

The conjugate is :math:`\ell^*(t, y) = \sup_z\, tz - \ell(z, y)`, `inf` outside its domain,
and enters the dual through :math:`D(\nu) = -\frac1n\sum_k s_k\,\ell^*(-n\nu_k/s_k, y_k)`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import numpy as np
from scipy.special import expit, xlogy

from relu_opt.arrays import FloatArray, as_positive
from relu_opt.errors import DataError, did_you_mean
from relu_opt.program.units import scaled

__all__ = ["Hinge", "Huber", "Logistic", "Loss", "Squared", "SquaredHinge"]

# A gradient on the edge of the conjugate's domain may leave it by the last bits.
ROUNDING = 1e-14
# Where a loss turns flat or linear, relative to the place.
EDGE = 1e-9


@runtime_checkable
class Loss(Protocol):
    """What a loss must know.

    `classifies` asks for labels −1 and +1. A loss that is not `smooth` has kinks: its minimisers
    need not have the same fits, and ∇F at them need not be a dual point.
    """

    name: ClassVar[str]
    classifies: ClassVar[bool]
    smooth: ClassVar[bool]

    @property
    def parameters(self) -> dict[str, float]:
        """Numbers that pin the loss down, beside its name."""
        ...

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """ℓ(z, y)."""
        ...

    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """∂ℓ/∂z."""
        ...

    def hessian(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """∂²ℓ/∂z² (a generalised one at kinks of the gradient)."""
        ...

    def majorant(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """The κ for which ℓ(z) + ℓ′(z)(x − z) + ½κ(x − z)² ≥ ℓ(x) for every x."""
        ...

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        """ℓ*(t, y); `inf` outside the domain."""
        ...

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The interval round z on which ∂ℓ/∂z does not change: (z, z) where ℓ is curved."""
        ...

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """∂²ℓ/∂z∂y; labels count as numbers."""
        ...

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """How far z is from where ∂²ℓ/∂z² jumps; `inf` where it never does."""
        ...

    def rescaled(self, power: int) -> Loss | None:
        """The ℓ′ with ℓ(2ᵏz, 2ᵏy) = 4ᵏ ℓ′(z, y), k = `power`, if ℓ is a function of z − y.

        None for all others: their targets have no unit and no origin.
        """
        ...


@dataclass(frozen=True)
class Squared:
    """½(z − y)²."""

    name: ClassVar[str] = "squared"
    classifies: ClassVar[bool] = False
    smooth: ClassVar[bool] = True

    @property
    def parameters(self) -> dict[str, float]:
        return {}

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return 0.5 * (z - y) ** 2

    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return z - y

    def hessian(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.ones_like(z)

    def majorant(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.ones_like(z)

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        return t * y + 0.5 * t**2

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return z, z

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return -np.ones_like(z)

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.full_like(z, np.inf)

    def rescaled(self, power: int) -> Squared:
        return self


@dataclass(frozen=True)
class Logistic:
    """log(1 + exp(−yz)), labels −1 and +1."""

    name: ClassVar[str] = "logistic"
    classifies: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    @property
    def parameters(self) -> dict[str, float]:
        return {}

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.logaddexp(0.0, -y * z)

    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.asarray(-y * expit(-y * z))

    def hessian(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.asarray(expit(z) * expit(-z))

    def majorant(self, z: FloatArray, y: FloatArray) -> FloatArray:
        # Jaakkola and Jordan's bound, tanh(z/2)/(2z).
        size = np.maximum(np.abs(z), 1e-8)
        return np.asarray(np.tanh(0.5 * size) / (2.0 * size))

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        tau = -t * y
        inside = (tau >= 0) & (tau <= 1 + ROUNDING)
        tau = np.clip(tau, 0.0, 1.0)
        return np.where(inside, xlogy(tau, tau) + xlogy(1 - tau, 1 - tau), np.inf)

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return z, z

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        wrong = expit(-y * z)
        return np.asarray(wrong * (y * z * (1 - wrong) - 1))

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.full_like(z, np.inf)

    def rescaled(self, power: int) -> None:
        return None


@dataclass(frozen=True)
class SquaredHinge:
    """½ max(0, 1 − yz)², labels −1 and +1."""

    name: ClassVar[str] = "squared_hinge"
    classifies: ClassVar[bool] = True
    smooth: ClassVar[bool] = True

    @property
    def parameters(self) -> dict[str, float]:
        return {}

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return 0.5 * np.maximum(0.0, 1 - y * z) ** 2

    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return -y * np.maximum(0.0, 1 - y * z)

    def hessian(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return (y * z < 1).astype(np.float64)

    def majorant(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.ones_like(z)

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        tau = -t * y
        return np.where(tau >= 0, 0.5 * tau**2 - tau, np.inf)

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        flat = y * z >= 1 - EDGE
        return np.where(flat & (y < 0), -np.inf, np.where(flat, 1.0, z)), np.where(
            flat & (y > 0), np.inf, np.where(flat, -1.0, z)
        )

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.where(y * z < 1, 2 * y * z - 1, 0.0)

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.abs(1 - y * z)

    def rescaled(self, power: int) -> None:
        return None


@dataclass(frozen=True)
class Hinge:
    """max(0, 1 − yz), labels −1 and +1. Not smooth: solved as a conic or a linear program."""

    name: ClassVar[str] = "hinge"
    classifies: ClassVar[bool] = True
    smooth: ClassVar[bool] = False

    @property
    def parameters(self) -> dict[str, float]:
        return {}

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.maximum(0.0, 1 - y * z)

    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """A subgradient; at the kink the one from the flat side."""
        return np.asarray(-y * np.heaviside(1 - y * z, 0.0))

    def hessian(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.zeros_like(z)

    def majorant(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """None touches at the kink: `inf` there."""
        away = np.abs(1 - y * z)
        return np.divide(0.5, away, out=np.full_like(away, np.inf), where=away > 0)

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        tau = -t * y
        inside = (tau >= 0) & (tau <= 1 + ROUNDING)
        return np.where(inside, -np.minimum(tau, 1.0), np.inf)

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        beyond = y * z >= 1
        above = np.where(y > 0, beyond, ~beyond)
        return np.where(above, y, -np.inf), np.where(above, np.inf, y)

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.where(y * z < 1, -1.0, 0.0)

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.abs(1 - y * z)

    def rescaled(self, power: int) -> None:
        return None


@dataclass(frozen=True)
class Huber:
    """½r² for |r| ≤ δ, δ(|r| − δ/2) beyond, with r = z − y.

    Parameters
    ----------
    delta : float
        The residual δ > 0 beyond which the loss grows linearly, in units of y.
    """

    delta: float = 1.0
    name: ClassVar[str] = "huber"
    classifies: ClassVar[bool] = False
    smooth: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", as_positive(self.delta, "delta"))

    @property
    def parameters(self) -> dict[str, float]:
        return {"delta": self.delta}

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        size = np.abs(z - y)
        return np.where(size <= self.delta, 0.5 * size**2, self.delta * (size - 0.5 * self.delta))

    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.clip(z - y, -self.delta, self.delta)

    def hessian(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return (np.abs(z - y) < self.delta).astype(np.float64)

    def majorant(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return self.delta / np.maximum(np.abs(z - y), self.delta)

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        inside = np.abs(t) <= self.delta * (1 + ROUNDING)
        return np.where(inside, t * y + 0.5 * t**2, np.inf)

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        above = z - y >= self.delta * (1 - EDGE)
        below = y - z >= self.delta * (1 - EDGE)
        low = np.where(below, -np.inf, np.where(above, y + self.delta, z))
        return low, np.where(above, np.inf, np.where(below, y - self.delta, z))

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return -self.hessian(z, y)

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.abs(np.abs(z - y) - self.delta)

    def rescaled(self, power: int) -> Huber:
        # A δ beyond all doubles is that of the squared loss, and so is the largest double.
        return Huber(min(scaled(self.delta, -power), sys.float_info.max))


LOSSES: dict[
    str, type[Squared] | type[Logistic] | type[SquaredHinge] | type[Hinge] | type[Huber]
] = {loss.name: loss for loss in (Squared, Logistic, SquaredHinge, Hinge, Huber)}


def get_loss(loss: str | Loss) -> Loss:
    """The loss of this name; a loss object is returned as it is.

    Raises
    ------
    DataError
        If no loss has this name.
    """
    if not isinstance(loss, str):
        if isinstance(loss, type) or not isinstance(loss, Loss):
            raise DataError(f"loss is {loss!r}, and a name or a loss object is needed.", loss=loss)
        return loss
    if loss not in LOSSES:
        raise DataError(f"Unknown loss {loss!r}. {did_you_mean(loss, LOSSES)}", loss=loss)
    return LOSSES[loss]()


def check_saved(loss: object) -> None:
    """Refuse to write what no file can say: a loss that is none of `LOSSES`.

    Raises
    ------
    DataError
    """
    if type(loss) not in LOSSES.values():
        raise DataError(
            f"The loss {type(loss).__name__} is your own: a file could only name it, and neither "
            "load nor verify would know it. Keep the result in memory, save its network "
            f"(result.network.save), or train with one of {', '.join(LOSSES)}.",
            loss=type(loss).__name__,
        )


def make_loss(name: str, parameters: dict[str, float]) -> Loss:
    """Rebuild a loss from what a file says of it.

    Raises
    ------
    DataError
        If the name or its parameters are unknown.
    """
    if name not in LOSSES:
        raise DataError(f"Unknown loss {name!r}. {did_you_mean(name, LOSSES)}", loss=name)
    try:
        return LOSSES[name](**parameters)
    except TypeError as error:
        raise DataError(
            f"Loss {name!r} does not take the parameters {sorted(parameters)}.", loss=name
        ) from error
