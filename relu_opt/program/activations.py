r"""What an activation answers: ReLU, leaky ReLU of any slope, and gates.

A neuron with the pattern D gives (D + κ(I − D))Xw: a row counts once where the pattern is on and κ
times where it is off. κ = 0 is the ReLU, κ = −1 the absolute value. Whatever κ is, its neurons lie
in the cone of the pattern, and φ_κ(z) = max(0, z) + κ min(0, z) is positively homogeneous, so that
layers balance. A gated neuron has κ = 0 and no cone: its pattern comes from another vector.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray, as_number
from relu_opt.errors import DataError, did_you_mean


class Activation:
    """An activation; it equals its name.

    Attributes
    ----------
    name : str
        `relu`, `gated`, `leaky` or `absolute`.
    kind : str
        The same in words.
    slope : float
        κ.
    gated : bool
        Whether gates decide where a neuron is on. Otherwise it does so itself, and lies in the
        cone of its pattern.
    signs : tuple of float
        Output signs of a pattern's blocks.
    """

    slope: float = 0.0
    gated: bool = False

    @property
    def name(self) -> str:
        raise NotImplementedError

    @property
    def kind(self) -> str:
        raise NotImplementedError

    @property
    def signs(self) -> tuple[float, ...]:
        return (1.0,) if self.gated else (1.0, -1.0)

    @property
    def reach(self) -> float:
        """By how much a change of the linear part may change the activation: max(1, |κ|)."""
        return max(1.0, abs(self.slope))

    @property
    def rounds(self) -> int:
        """Roundings of a product with κ."""
        return int(self.slope not in (0.0, 1.0, -1.0))

    @property
    def meta(self) -> dict[str, Any]:
        """What a file says of it; `activation_of` reads it."""
        return {"activation": self.name, **({"slope": self.slope} if self.slope else {})}

    def counts(self, masks: BoolArray) -> FloatArray:
        """How often each row counts: the entries of D + κ(I − D)."""
        counts = masks.astype(np.float64)
        if self.slope:
            counts[~masks] = self.slope
        return counts

    def apply(self, linear: FloatArray, on: BoolArray | None = None) -> FloatArray:
        """The hidden layer from its linear part; `on` says where neurons are on, if gates do."""
        on = linear > 0 if on is None else on
        return np.where(on, linear, self.slope * linear if self.slope else 0.0)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str):
            return self.name == other
        return isinstance(other, Activation) and (self.gated, self.slope) == (
            other.gated,
            other.slope,
        )

    def __hash__(self) -> int:
        return hash(self.name)

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False)
class Leaky(Activation):
    """x ↦ x for x > 0, κx for x ≤ 0.

    Parameters
    ----------
    slope : float
        κ < 1: 0 is the ReLU, 0.01 what `"leaky"` means, −1 the absolute value, `"absolute"`.

    Raises
    ------
    DataError
        If κ is not a number below 1: the identity needs no patterns, and beyond it the activation
        is that of −x up to a factor.
    """

    slope: float = 0.01

    def __post_init__(self) -> None:
        slope = as_number(self.slope, "slope")
        if not (math.isfinite(slope) and slope < 1):
            raise DataError(f"slope is {slope:g}, and a number below 1 is needed.", slope=slope)
        object.__setattr__(self, "slope", slope + 0.0)

    @property
    def name(self) -> str:
        return {0.0: "relu", -1.0: "absolute"}.get(self.slope, "leaky")

    @property
    def kind(self) -> str:
        return {"relu": "ReLU", "absolute": "absolute-value"}.get(
            self.name, f"leaky ReLU (slope {self.slope:g})"
        )


@dataclass(frozen=True, eq=False)
class Gated(Activation):
    """A neuron that is on where its gate is."""

    gated: bool = True

    @property
    def name(self) -> str:
        return "gated"

    @property
    def kind(self) -> str:
        return "gated ReLU"


RELU, GATED = Leaky(0.0), Gated()
ACTIVATIONS: dict[str, Activation] = {
    each.name: each for each in (RELU, GATED, Leaky(), Leaky(-1.0))
}


def get_activation(activation: str | Activation) -> Activation:
    """The activation of this name; an object is returned as it is.

    Raises
    ------
    DataError
        If none has this name.
    """
    if isinstance(activation, Activation):
        return activation
    if activation not in ACTIVATIONS:
        raise DataError(
            f"Unknown activation {activation!r}. {did_you_mean(str(activation), ACTIVATIONS)}",
            activation=activation,
        )
    return ACTIVATIONS[activation]


def activation_of(meta: Mapping[str, Any]) -> Activation:
    """The activation that a file's description has.

    Raises
    ------
    DataError
        If it is none.
    """
    found = get_activation(meta.get("activation"))  # type: ignore[arg-type]
    return found if found.gated or "slope" not in meta else Leaky(meta["slope"])
