"""The quantile (pinball) loss: its minimiser over constants is the τ-quantile of the targets."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np

from relu_opt.arrays import FloatArray, as_number
from relu_opt.errors import DataError
from relu_opt.program.losses.atoms import Atom, Positive
from relu_opt.program.losses.base import ROUNDING, Loss
from relu_opt.program.losses.constants import minimiser_of_kinks
from relu_opt.program.units import scaled
from relu_opt.rounding import charge


@dataclass(frozen=True)
class Quantile(Loss):
    """max(τr, (τ − 1)r), r = y − z. Not smooth: solved as a conic program.

    Koenker & Bassett, *Regression Quantiles* (Econometrica 1978).

    Parameters
    ----------
    level : float
        τ in (0, 1): the share of the targets that is to lie below the fit. At ½ it is half the
        absolute error.
    """

    level: float = 0.5
    # What multiplies the loss in other units of the targets.
    height: float = field(default=1.0, repr=False)
    name: ClassVar[str] = "quantile"
    smooth: ClassVar[bool] = False

    def __post_init__(self) -> None:
        level = as_number(self.level, "level")
        if not 0 < level < 1:
            raise DataError(
                f"level is {self.level!r}, and a number between 0 and 1 is needed: the share of "
                "the targets that is to lie below the fit.",
                level=level,
            )
        object.__setattr__(self, "level", level)

    @property
    def parameters(self) -> dict[str, float]:
        rest = {} if self.height == 1 else {"height": self.height}
        return {"level": self.level, **rest}

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        low, high = self.slopes(y)
        return np.maximum(high * (y - z), low * (y - z))

    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """A subgradient: where the target is met the one to the right."""
        return np.where(np.isnan(z), np.nan, self.subgradients(z, y)[1])

    def subgradients(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        low, high = self.slopes(y)
        return np.where(z <= y, -high, -low), np.where(z < y, -high, -low)

    def hessian(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.zeros_like(z)

    def majorant(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """None touches at the kink: `inf` there."""
        away = np.abs(y - z)
        return np.divide(0.5 * self.height, away, out=np.full_like(away, np.inf), where=away > 0)

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        low, high = self.slopes(y)
        inside = (-t >= low * (1 + ROUNDING)) & (-t <= high * (1 + ROUNDING))
        return np.where(inside, t * y, np.inf)

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        low, high = self.height * (self.level - 1), self.height * self.level
        return np.full_like(y, low), np.full_like(y, high)

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.where(z >= y, y, -np.inf), np.where(z >= y, np.inf, y)

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.zeros_like(z)

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.abs(z - y)

    def rescaled(self, power: int) -> Quantile:
        return Quantile(self.level, scaled(self.height, -power))

    def atoms(self, y: FloatArray) -> tuple[Atom, ...]:
        low, high = self.slopes(y)
        one = np.ones_like(y)
        return Positive(high, -one, y), Positive(-low, one, -y)

    def best_constant(self, fits: FloatArray, y: FloatArray, weights: FloatArray) -> float:
        return minimiser_of_kinks(y - fits, weights, -self.level * float(weights.sum()))

    def slope_terms(self, y: FloatArray) -> FloatArray:
        return np.full_like(y, self.height)

    def value_above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        # The constant meets the target first, so that an offset of both costs one rounding.
        shift = y - constant
        residual = shift - fits
        error = (error + charge(1) * (np.abs(shift) + np.abs(residual))) * (1 + charge(3))
        low, high = self.slopes(y)
        worst = np.maximum(high * (residual + error), low * (residual - error))
        return np.asarray(np.maximum(worst, 0.0) * (1 + charge(4)))

    def offset(self, y: FloatArray) -> FloatArray:
        return y

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        return np.zeros_like(slope)
