"""The squared loss and Huber's, a second time."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

import numpy as np

from relu_opt.verify.losses.base import Loss
from relu_opt.verify.rounding import UNIT, FloatArray, gamma


@dataclass(frozen=True)
class Squared(Loss):
    """½(z − y)²."""

    name: ClassVar[str] = "squared"
    residual: ClassVar[bool] = True
    degree: ClassVar[int] = 2

    def above(
        self, hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
    ) -> FloatArray:
        size = distance_above(hidden, error, constant - y)
        return size * (size / 2)

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full_like(y, -np.inf), np.full_like(y, np.inf)

    def rest_above(self, v: FloatArray, y: FloatArray) -> FloatArray:
        return half_square_above(v)

    def twice(self, fit: int, target: int, one: int, grid: int) -> int:
        return (fit - target) ** 2

    def exact_slopes(self, target: Fraction) -> tuple[None, None]:
        return None, None


@dataclass(frozen=True)
class Huber(Loss):
    """½r² for |r| ≤ δ, δ(|r| − δ/2) beyond."""

    delta: float
    name: ClassVar[str] = "huber"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"delta": (0.0, math.inf)}
    residual: ClassVar[bool] = True
    degree: ClassVar[int] = 2

    def scaled(self, power: int) -> Huber:
        return replace(self, delta=float(np.ldexp(self.delta, -power)))

    def above(
        self, hidden: FloatArray, error: FloatArray, constant: float, y: FloatArray
    ) -> FloatArray:
        size = distance_above(hidden, error, constant - y)
        near = np.minimum(size, self.delta)
        return near * (size - near / 2)

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full_like(y, -self.delta), np.full_like(y, self.delta)

    def rest_above(self, v: FloatArray, y: FloatArray) -> FloatArray:
        return half_square_above(v)

    @property
    def grid(self) -> Fraction:
        return Fraction(self.delta)

    def twice(self, fit: int, target: int, one: int, grid: int) -> int:
        far = abs(fit - target)
        near = min(far, grid)
        return near * (2 * far - near)

    def exact_slopes(self, target: Fraction) -> tuple[Fraction, Fraction]:
        return -Fraction(self.delta), Fraction(self.delta)


def distance_above(hidden: FloatArray, error: FloatArray, offset: FloatArray) -> FloatArray:
    """What |z + offset| does not exceed, where `offset` has been rounded once."""
    # An offset of y that the constant takes up costs one rounding only.
    residual = hidden + offset
    error = error + UNIT * (np.abs(offset) + np.abs(residual))
    return np.asarray((np.abs(residual) + error * (1 + 8 * UNIT)) * (1 + 2 * UNIT))


def half_square_above(v: FloatArray) -> FloatArray:
    """What ½v² does not exceed within four roundings of v."""
    return np.asarray(v * v / 2 * (1 + gamma(9)))
