"""Losses of the residual z − y with a quadratic part: squared and Huber's."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relu_opt.arrays import FloatArray, as_positive
from relu_opt.program.losses.atoms import Atom, HalfSquare, HuberAtom
from relu_opt.program.losses.base import EDGE, ROUNDING, Loss
from relu_opt.program.units import scaled
from relu_opt.rounding import charge


@dataclass(frozen=True)
class Squared(Loss):
    """½(z − y)²."""

    name: ClassVar[str] = "squared"
    curved: ClassVar[bool] = True
    quadratic: ClassVar[bool] = True

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

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full_like(y, -np.inf), np.full_like(y, np.inf)

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return z, z

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return -np.ones_like(z)

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.full_like(z, np.inf)

    def rescaled(self, power: int) -> Squared:
        return self

    def atoms(self, y: FloatArray) -> tuple[Atom, ...]:
        return (HalfSquare(np.ones_like(y), np.ones_like(y), -y),)

    def best_constant(self, fits: FloatArray, y: FloatArray, weights: FloatArray) -> float:
        return float(weights @ (y - fits)) / float(weights.sum())

    def value_above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        return _residual_above(fits, constant - y, error, np.inf)

    def offset(self, y: FloatArray) -> FloatArray:
        return y

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        return half_square_above(slope)


@dataclass(frozen=True)
class Huber(Loss):
    """½r² for |r| ≤ δ, δ(|r| − δ/2) beyond, with r = z − y.

    Parameters
    ----------
    delta : float
        The residual δ > 0 beyond which the loss grows linearly, in units of y.
    """

    delta: float = 1.0
    name: ClassVar[str] = "huber"

    def __post_init__(self) -> None:
        object.__setattr__(self, "delta", as_positive(self.delta, "delta"))

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

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full_like(y, -self.delta), np.full_like(y, self.delta)

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

    def atoms(self, y: FloatArray) -> tuple[Atom, ...]:
        return (HuberAtom(np.ones_like(y), np.ones_like(y), -y, self.delta),)

    def value_above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        return _residual_above(fits, constant - y, error, self.delta)

    def offset(self, y: FloatArray) -> FloatArray:
        return y

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        return half_square_above(slope)


def _residual_above(
    fits: FloatArray, shift: FloatArray, error: FloatArray, delta: float
) -> FloatArray:
    # The constant meets the target first, so that an offset of both costs one rounding.
    far = (np.abs(fits + shift) + error + charge(1) * np.abs(shift)) * (1 + charge(3))
    near = np.minimum(far, delta)
    return np.asarray(near * (far - near / 2) * (1 + charge(3)))


def half_square_above(slope: FloatArray) -> FloatArray:
    """Numbers that ½v² does not exceed for any v within four roundings of `slope`."""
    return np.asarray(slope**2 / 2 * (1 + charge(11)))
