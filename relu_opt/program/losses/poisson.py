"""Half the Poisson deviance of counts, with the logarithm as the link."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from scipy.special import kl_div, logsumexp, xlogy

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.program.logarithms import excess_above, exp_above, log_near, relative_entropy_above
from relu_opt.program.losses.atoms import Atom, ExponentialExcess, Linear
from relu_opt.program.losses.base import ROUNDING, Loss
from relu_opt.rounding import charge

# Below, six terms of the series of eʳ − 1 − r are it.
SMALL = 1e-2


@dataclass(frozen=True)
class Poisson(Loss):
    """eᶻ − yz − (y − y log y), targets y ≥ 0, where eᶻ is the mean: half the deviance.

    It is the negative log-likelihood less what no model is below, so that it is 0 where eᶻ = y,
    and a relative gap is one of deviances. McCullagh & Nelder, *Generalized Linear Models* (1989),
    §2.3.
    """

    name: ClassVar[str] = "poisson"
    curved: ClassVar[bool] = True

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        apart, some = z - _log(y), y > 0
        with np.errstate(over="ignore"):
            # What is left of eʳ − 1 − r after cancelling has digits only where r is not small.
            far = np.exp(z) - y * z - np.where(some, y - xlogy(y, y), 0.0)
            return np.where(some & (np.abs(apart) < 1), y * _excess(apart), far)

    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.exp(z) - y

    def hessian(self, z: FloatArray, y: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.exp(z)

    def majorant(self, z: FloatArray, y: FloatArray) -> FloatArray:
        """Of the way to the minimiser, log y: there is none of the whole line."""
        return np.maximum(self.hessian(z, y), y)

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        mean, some = t + y, y > 0
        inside = mean >= -ROUNDING * y
        mean = np.maximum(mean, 0.0)
        counted = t * _log(y) + kl_div(mean, np.where(some, y, 1.0))
        return np.where(inside, np.where(some, counted, xlogy(mean, mean) - mean), np.inf)

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return np.full_like(y, -np.inf), y

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        return z, z

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return -np.ones_like(z)

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.full_like(z, np.inf)

    def atoms(self, y: FloatArray) -> tuple[Atom, ...]:
        # y (eʳ − 1 − r) with r = z − log y; where y is 0, (eᶻ − 1 − z) + (z + 1).
        some, one = y > 0, np.ones_like(y)
        counted = ExponentialExcess(np.where(some, y, 1.0), one, -_log(y))
        return (counted,) if some.all() else (counted, Linear((~some).astype(float), one, one))

    def check_targets(self, y: FloatArray, intercept: bool) -> None:
        if (y < 0).any():
            first = int(np.argmax(y < 0))
            raise DataError(
                f"y holds {y[first]} at index {first}, and the poisson loss is for counts: "
                "numbers of at least 0.",
                index=first,
            )
        if intercept and not y.any():
            raise DataError(
                "y holds zeros alone, so an unpenalised intercept has no optimum under the "
                "poisson loss. Pass data with a count, or intercept=False."
            )

    def mean(self, z: FloatArray) -> FloatArray:
        with np.errstate(over="ignore"):
            return np.exp(z)

    def best_constant(self, fits: FloatArray, y: FloatArray, weights: FloatArray) -> float:
        return math.log(float(weights @ y)) - float(logsumexp(fits, b=weights))

    def slope_terms(self, y: FloatArray) -> FloatArray:
        return y + max(float(y.max()), 1.0)

    def value_above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        outputs, some = fits + constant, y > 0
        error = error + charge(1) * np.abs(outputs)
        log, off = log_near(np.where(some, y, 1.0))
        apart = outputs - log
        off = (error + off + charge(1) * np.abs(apart)) * (1 + charge(3))
        # eʳ − 1 − r is convex: no larger in between than at the ends.
        ends = np.maximum(excess_above(apart - off), excess_above(apart + off))
        none = exp_above((outputs + error) + charge(1) * (np.abs(outputs) + error))
        return np.asarray(np.where(some, y * ends * (1 + charge(2)), none))

    def offset(self, y: FloatArray) -> FloatArray:
        return _log(y)

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        # −ℓ*(−v) = v log y − (q log(q/y) − q + y), q = y − v, whose rest is convex in v.
        near, far = slope * (1 - charge(4)), np.minimum(slope * (1 + charge(4)), y)
        rest = np.maximum(relative_entropy_above(near, y), relative_entropy_above(far, y))
        log, off = log_near(np.where(y > 0, y, 1.0))
        wrong = np.abs(log - _log(y)) * (1 + charge(2)) + off
        return np.asarray(rest + np.abs(slope) * wrong * (1 + charge(6)))


def _log(y: FloatArray) -> FloatArray:
    """log y; 0 where y is."""
    return np.log(np.where(y > 0, y, 1.0))


def _excess(r: FloatArray) -> FloatArray:
    """eʳ − 1 − r for |r| < 1; the difference has no digits near 0."""
    r = np.clip(r, -1.0, 1.0)
    near = r * r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r / 720))))
    return np.where(np.abs(r) < SMALL, near, np.expm1(r) - r)
