r"""The loss term F(z) = (1/n) Σ_k s_k ℓ(z_k, y_k) of a training problem, and its dual side.

Everything here needs the targets, the loss and the weights of the samples only, not how the
fits z come about: any training problem with one output has it from here.
"""

from __future__ import annotations

import math
from functools import cached_property

import numpy as np
from scipy.optimize import minimize_scalar

from relu_opt.arrays import FloatArray, frozen
from relu_opt.errors import DataError
from relu_opt.program.losses import Loss
from relu_opt.program.units import exponent, scaled


def of_mean_one(weights: FloatArray) -> FloatArray:
    """Sample weights, rescaled to the mean 1, (n,).

    Raises
    ------
    DataError
        If one is not positive.
    """
    if (weights <= 0).any():
        first = int(np.argmax(weights <= 0))
        raise DataError(
            f"sample_weight is {weights[first]} at index {first}, and positive weights are "
            "needed. Drop rows of weight zero.",
            index=first,
        )
    _, power = np.frexp(weights.max())
    weights = np.ldexp(weights, -power)
    # Scaled first, so that their sum does not overflow.
    weights = scaled(weights, -exponent(weights))
    shares = weights / weights.mean()
    if not (shares > 0).all():
        raise DataError(
            "sample_weight has entries that vanish beside its largest in double precision. Drop "
            "their rows, or weight the others less."
        )
    return np.asarray(frozen(shares))


class LossTerm:
    """What a training problem gets from its targets `y`, `loss`, `sample_weight`, `intercept`."""

    y: FloatArray
    lam: float
    loss: Loss
    sample_weight: FloatArray | None
    intercept: bool

    # -- the loss term F -------------------------------------------------------

    @cached_property
    def sample_scale(self) -> FloatArray:
        """s_k / n: what multiplies sample k's loss."""
        count = len(self.y)
        ones = np.ones(count) if self.sample_weight is None else self.sample_weight
        return ones / count

    def mean_loss(self, fits: FloatArray) -> float:
        """F(z); inf where no double is as large."""
        with np.errstate(over="ignore"):
            return float(self.sample_scale @ self.loss.value(fits, self.y))

    def loss_gradient(self, fits: FloatArray) -> FloatArray:
        """∇F(z), (n,)."""
        return self.sample_scale * self.loss.gradient(fits, self.y)

    def loss_hessian(self, fits: FloatArray) -> FloatArray:
        """The diagonal of ∇²F(z), (n,)."""
        return self.sample_scale * self.loss.hessian(fits, self.y)

    def loss_majorant(self, fits: FloatArray) -> FloatArray:
        """The diagonal of a quadratic that lies above F and touches it at z, (n,)."""
        return self.sample_scale * self.loss.majorant(fits, self.y)

    def best_intercept(self, fits: FloatArray) -> float:
        """argmin over c of F(z + c); 0 for a program without intercept."""
        if not self.intercept:
            return 0.0
        return self.loss.best_constant(fits, self.y, self.sample_scale)

    # -- dual ------------------------------------------------------------------

    def dual_objective(self, nu: FloatArray) -> float:
        """D(ν) = −F*(−ν), a lower bound on the optimum *if* ν is dual feasible.

        Feasible means g_b(ν) ≤ λ for every block, and Σν = 0 with an intercept.
        −inf outside the domain of the conjugate.
        """
        scaled = -np.asarray(nu) / self.sample_scale
        value = -float(self.sample_scale @ self.loss.conjugate(scaled, self.y))
        return value if not math.isnan(value) else -math.inf

    def admissible(self, nu: FloatArray) -> FloatArray:
        """ν with Σν = 0 where the program has an intercept, by shrinking its heavier sign.

        Shrinking entries never leaves the domain of the conjugate.
        """
        if not self.intercept:
            return nu
        positive, negative = np.maximum(nu, 0.0), np.minimum(nu, 0.0)
        up, down = float(positive.sum()), -float(negative.sum())
        if up == 0.0 or down == 0.0:
            return np.zeros_like(nu)
        lighter = min(up, down)
        return positive * (lighter / up) + negative * (lighter / down)

    def dual_start(self) -> FloatArray:
        """ν = −∇F at the zero network (its intercept optimised), (n,)."""
        if self.loss.smooth:
            return self.dual_candidate(np.zeros(len(self.y)))
        # Where the best constant meets kinks, some subgradients between both slopes sum to zero.
        fits = np.full(len(self.y), self.best_intercept(np.zeros(len(self.y))))
        low, high = self.loss.subgradients(fits, self.y)
        if not self.intercept:
            return np.asarray(-self.sample_scale * np.clip(0.0, low, high))
        apart = float(self.sample_scale @ (high - low))
        share = -float(self.sample_scale @ low) / apart if apart > 0 else 0.0
        slope = low + min(max(share, 0.0), 1.0) * (high - low)
        return self.admissible(np.asarray(-self.sample_scale * slope))

    def dual_candidate(self, fits: FloatArray) -> FloatArray:
        """ν = −∇F(ŷ) at the fits without intercept, which is optimised first; (n,)."""
        slope = self.loss_gradient(fits + self.best_intercept(fits))
        return self.admissible(-slope)

    def best_scale(self, nu: FloatArray, largest: float) -> float:
        """The t in [0, min(1, λ/largest)] with the largest D(tν); largest = max_b g_b(ν)."""
        limit = 1.0 if largest <= self.lam else self.lam / largest
        if self.dual_objective(limit * nu) >= self.dual_objective((1 - 1e-6) * limit * nu):
            return limit
        found = minimize_scalar(
            lambda share: -self.dual_objective(share * limit * nu),
            bounds=(0.0, 1.0),
            method="bounded",
            options={"xatol": 1e-9},
        )
        return limit * float(found.x)
