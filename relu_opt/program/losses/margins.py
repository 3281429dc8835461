"""Losses of the margin yz, labels −1 and +1: hinge, its square, and the logistic loss."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import expit, xlogy

from relu_opt.arrays import FloatArray
from relu_opt.program.logarithms import entropy_below, softplus_above
from relu_opt.program.losses.atoms import Atom, HalfSquarePositive, Positive, Softplus
from relu_opt.program.losses.base import EDGE, ROUNDING, Loss
from relu_opt.program.losses.constants import minimiser_of_kinks
from relu_opt.program.losses.residual import half_square_above
from relu_opt.rounding import charge


@dataclass(frozen=True)
class Logistic(Loss):
    """log(1 + exp(−yz)), labels −1 and +1."""

    name: ClassVar[str] = "logistic"
    classifies: ClassVar[bool] = True
    curved: ClassVar[bool] = True
    probabilistic: ClassVar[bool] = True

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

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return _slopes(y, 1.0)

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return z, z

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        wrong = expit(-y * z)
        return np.asarray(wrong * (y * z * (1 - wrong) - 1))

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.full_like(z, np.inf)

    def atoms(self, y: FloatArray) -> tuple[Atom, ...]:
        return (Softplus(np.ones_like(y), -y, np.zeros_like(y)),)

    def log_probability(self, z: FloatArray) -> FloatArray:
        return np.asarray(-np.logaddexp(0.0, -z))

    def value_above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        outputs = fits + constant
        error = (error + charge(1) * np.abs(outputs)) * (1 + charge(2))
        return softplus_above(-y * outputs, error)

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        tau = y * slope
        # The entropy H is concave and zero at 0 and 1, so H(τ′) is at least H(τ) τ′/τ below τ, and
        # H(τ) (1 − τ′)/(1 − τ) above.
        odds = tau / np.where(tau < 1, 1 - tau, np.inf)
        share = 1 - charge(4) * np.maximum(1.0, odds)
        return np.asarray(-entropy_below(tau) * np.maximum(0.0, share))


@dataclass(frozen=True)
class SquaredHinge(Loss):
    """½ max(0, 1 − yz)², labels −1 and +1."""

    name: ClassVar[str] = "squared_hinge"
    classifies: ClassVar[bool] = True

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

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return _slopes(y, np.inf)

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        flat = y * z >= 1 - EDGE
        return np.where(flat & (y < 0), -np.inf, np.where(flat, 1.0, z)), np.where(
            flat & (y > 0), np.inf, np.where(flat, -1.0, z)
        )

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.where(y * z < 1, 2 * y * z - 1, 0.0)

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.abs(1 - y * z)

    def atoms(self, y: FloatArray) -> tuple[Atom, ...]:
        return (HalfSquarePositive(np.ones_like(y), -y, np.ones_like(y)),)

    def value_above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        short = _shortfall_above(fits, constant, y, error)
        return np.asarray(short**2 / 2 * (1 + charge(2)))

    def offset(self, y: FloatArray) -> FloatArray:
        return y

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        return half_square_above(slope)


@dataclass(frozen=True)
class Hinge(Loss):
    """max(0, 1 − yz), labels −1 and +1. Not smooth: solved as a conic or a linear program."""

    name: ClassVar[str] = "hinge"
    classifies: ClassVar[bool] = True
    smooth: ClassVar[bool] = False

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.maximum(0.0, 1 - y * z)

    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """A subgradient; at the kink the one from the flat side."""
        return np.asarray(-y * np.heaviside(1 - y * z, 0.0))

    def subgradients(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        flat, steep = self.gradient(z, y), np.asarray(-y * np.heaviside(1 - y * z, 1.0))
        return np.minimum(flat, steep), np.maximum(flat, steep)

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

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return _slopes(y, 1.0)

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        beyond = y * z >= 1
        above = np.where(y > 0, beyond, ~beyond)
        return np.where(above, y, -np.inf), np.where(above, np.inf, y)

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.where(y * z < 1, -1.0, 0.0)

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.abs(1 - y * z)

    def atoms(self, y: FloatArray) -> tuple[Atom, ...]:
        return (Positive(np.ones_like(y), -y, np.ones_like(y)),)

    def best_constant(self, fits: FloatArray, y: FloatArray, weights: FloatArray) -> float:
        return minimiser_of_kinks(y - fits, weights, -float(weights[y > 0].sum()))

    def value_above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        return _shortfall_above(fits, constant, y, error)

    def offset(self, y: FloatArray) -> FloatArray:
        return y

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        return np.zeros_like(slope)


def _slopes(y: FloatArray, top: float) -> tuple[FloatArray, FloatArray]:
    return np.where(y > 0, 0.0, -top), np.where(y > 0, top, 0.0)


def _shortfall_above(
    fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
) -> FloatArray:
    """Numbers that max(0, 1 − yz) does not exceed."""
    outputs = fits + constant
    error = error + charge(1) * np.abs(outputs)
    margin = 1 - y * outputs
    margin = np.maximum(0.0, margin + (error + charge(1) * np.abs(margin)) * (1 + charge(3)))
    return np.asarray(margin * (1 + charge(1)))
