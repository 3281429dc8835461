"""The pseudo-Huber loss a second time, for the re-check: needs numpy and relu_opt.verify alone."""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import ClassVar

import numpy as np

from relu_opt.verify.exact_integers import root_below
from relu_opt.verify.losses import Loss
from relu_opt.verify.rounding import UNIT


@dataclass(frozen=True)
class PseudoHuber(Loss):
    """r²/(1 + √(1 + (r/δ)²)); c(v) = v²/(1 + √(1 − (v/δ)²))."""

    delta: float
    name: ClassVar[str] = "pseudo_huber"
    limits: ClassVar[dict[str, tuple[float, float]]] = {"delta": (0.0, math.inf)}
    residual: ClassVar[bool] = True
    enclosed: ClassVar[bool] = True

    def scaled(self, power):
        return replace(self, delta=float(np.ldexp(self.delta, -power)))

    def above(self, hidden, error, constant, y):
        offset = constant - y
        far = np.abs(hidden + offset) * (1 + 2 * UNIT)
        far = (far + error + UNIT * np.abs(offset)) * (1 + 4 * UNIT)
        return far * far / (1 + np.sqrt(1 + (far / self.delta) ** 2)) * (1 + 8 * UNIT)

    def slopes(self, y):
        return np.full_like(y, -self.delta), np.full_like(y, self.delta)

    def rest_above(self, v, y):
        v = np.minimum(np.abs(v) * (1 + 6 * UNIT), self.delta)
        share = np.minimum(v / self.delta * (1 + 2 * UNIT), 1.0)
        return v * v / (1 + np.sqrt((1 - share) * (1 + share))) * (1 + 8 * UNIT)

    @property
    def grid(self):
        return Fraction(self.delta)

    def twice(self, fit, target, one, grid):
        square = Fraction((fit - target) ** 2)
        return 2 * square / (1 + root_below(1 + square / grid**2))

    def exact_slopes(self, target):
        return -Fraction(self.delta), Fraction(self.delta)

    def exact_dual(self, term, nu, t):
        n, total = len(nu.values), Fraction(0)
        for v, s, y in zip(nu.values, term.weights.values, term.targets.values, strict=True):
            slope = t * Fraction(n * v << term.weights.shift, s << nu.shift)
            rest = slope**2 / (1 + root_below(1 - (slope / Fraction(self.delta)) ** 2))
            total += s * (slope * Fraction(y, 1 << term.targets.shift) - rest)
        return total / (n << term.weights.shift)
