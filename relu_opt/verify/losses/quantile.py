"""The quantile (pinball) loss, a second time."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

import numpy as np

from relu_opt.verify.losses.base import Loss
from relu_opt.verify.rounding import UNIT, FloatArray


@dataclass(frozen=True)
class Quantile(Loss):
    """max(τr, (τ − 1)r), r = y − z, times a height that only other units have."""

    level: float
    height: float = 1.0
    name: ClassVar[str] = "quantile"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"level": (0.0, 1.0)}
    residual: ClassVar[bool] = True

    def scaled(self, power: int) -> Quantile:
        return replace(self, height=float(np.ldexp(self.height, -power)))

    def above(
        self, hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
    ) -> FloatArray:
        offset = y - constant
        short = offset - hidden
        error = (error + UNIT * (np.abs(offset) + np.abs(short))) * (1 + 8 * UNIT)
        one_side = self.level * np.maximum(short + error, 0.0)
        other = (1 - self.level) * np.maximum(error - short, 0.0)
        return np.asarray(self.height * np.maximum(one_side, other) * (1 + 4 * UNIT))

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return (
            np.full_like(y, -self.height * (1 - self.level)),
            np.full_like(y, self.height * self.level),
        )

    def rest_above(self, v: FloatArray, y: FloatArray) -> FloatArray:
        return np.zeros_like(v)

    @property
    def grid(self) -> Fraction:
        return Fraction(self.level)

    def twice(self, fit: int, target: int, one: int, grid: int) -> int:
        short = target - fit
        return 2 * max(grid * short, (grid - one) * short)

    def exact_slopes(self, target: Fraction) -> tuple[Fraction, Fraction]:
        level = Fraction(self.level)
        return level - 1, level
