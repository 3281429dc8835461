"""Fits that are demanded and not paid for: interpolation, and classification with a margin.

They are losses that are 0 where the demand is met and infinite elsewhere, so that primal and dual
are computed by the code that serves the other losses. Their strength is λ = 1: the objective is
the cost of the network itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program.losses import check_labels

# What rounding may do to a fit, relative to the largest target.
FIT_TOL = 1e-9


@dataclass(frozen=True)
class Interpolation:
    """0 if z = y, infinite otherwise."""

    name: ClassVar[str] = "interpolation"
    classifies: ClassVar[bool] = False

    @property
    def parameters(self) -> dict[str, float]:
        return {}

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.where(np.abs(z - y) <= FIT_TOL * np.abs(y).max(), 0.0, np.inf)

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        return t * y

    def check_targets(self, y: FloatArray, intercept: bool) -> None:
        """All are targets."""

    def rescaled(self, power: int) -> Interpolation:
        return self


@dataclass(frozen=True)
class HardMargin:
    """0 if yz ≥ 1, infinite otherwise; labels −1 and +1."""

    name: ClassVar[str] = "hard_margin"
    classifies: ClassVar[bool] = True

    @property
    def parameters(self) -> dict[str, float]:
        return {}

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.where(y * z >= 1 - FIT_TOL, 0.0, np.inf)

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        return np.where(t * y <= 0, t * y, np.inf)

    def check_targets(self, y: FloatArray, intercept: bool) -> None:
        """Labels alone."""
        check_labels(y, self.name)

    def rescaled(self, power: int) -> None:
        return None


Constraint = Interpolation | HardMargin
CONSTRAINTS: dict[str, type[Interpolation] | type[HardMargin]] = {
    each.name: each for each in (Interpolation, HardMargin)
}
