"""The pseudo-Huber loss, δ²(√(1 + (r/δ)²) − 1) of the residual r = z − y: a loss of one's own."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from relu_opt_pseudo_huber_verifier import PseudoHuber as Verifier

from relu_opt import losses
from relu_opt.plugins import hookimpl
from relu_opt.rounding import charge


@dataclass(frozen=True)
class PseudoHuber(losses.Loss):
    """δ²(√(1 + (r/δ)²) − 1), which is smooth, and linear far away."""

    delta: float = 1.0
    name: ClassVar[str] = "pseudo_huber"
    curved: ClassVar[bool] = True
    verifier: ClassVar[type] = Verifier

    def _root(self, z, y):
        return np.hypot(1.0, (z - y) / self.delta)

    def value(self, z, y):
        return (z - y) ** 2 / (1 + self._root(z, y))

    def gradient(self, z, y):
        return (z - y) / self._root(z, y)

    def hessian(self, z, y):
        return self._root(z, y) ** -3.0

    def majorant(self, z, y):
        return 1 / self._root(z, y)

    def conjugate(self, t, y):
        inside = np.abs(t) <= self.delta
        share = np.where(inside, t / self.delta, 0.0)
        return np.where(inside, t * y + t**2 / (1 + np.sqrt(1 - share**2)), np.inf)

    def slopes(self, y):
        return np.full_like(y, -self.delta), np.full_like(y, self.delta)

    def plateau(self, z, y):
        return z, z

    def cross(self, z, y):
        return -self.hessian(z, y)

    def kink_distance(self, z, y):
        return np.full_like(z, np.inf)

    def rescaled(self, power):
        return PseudoHuber(float(np.ldexp(self.delta, -power)))

    # What is proved of it, with every rounding.

    def value_above(self, fits, constant, y, error):
        shift = constant - y
        far = (np.abs(fits + shift) + error + charge(1) * np.abs(shift)) * (1 + charge(3))
        return far**2 / (1 + np.hypot(1.0, far / self.delta)) * (1 + charge(9))

    def offset(self, y):
        return y

    def rest_above(self, slope, y):
        v = np.minimum(np.abs(slope) * (1 + charge(4)), self.delta)
        share = np.minimum(v / self.delta * (1 + charge(1)), 1.0)
        return v**2 / (1 + np.sqrt((1 - share) * (1 + share))) * (1 + charge(9))


@hookimpl
def relu_opt_losses():
    return [PseudoHuber]
