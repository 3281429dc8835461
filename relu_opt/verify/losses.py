"""The losses and their conjugates, written a second time for `relu_opt.verify`."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np

from relu_opt.verify.claim import LABELLED, FloatArray

# A value on the edge of a conjugate's domain may leave it by the last bits.
EDGE_TOL = 1e-14


class Term(Protocol):
    """What the mean loss depends on, beside the data."""

    @property
    def loss(self) -> str: ...

    @property
    def delta(self) -> float: ...

    @property
    def weight(self) -> FloatArray: ...


def mean_loss(claim: Term, fits: FloatArray, y: FloatArray) -> float:
    """F at the fits."""
    if claim.loss == "logistic":
        losses = np.logaddexp(0.0, -y * fits)
    elif claim.loss == "hinge":
        losses = np.maximum(1 - y * fits, 0.0)
    elif claim.loss == "squared_hinge":
        losses = np.maximum(1 - y * fits, 0.0) ** 2 / 2
    elif claim.loss == "huber":
        far = np.abs(fits - y)
        near = np.minimum(far, claim.delta)
        losses = near * (far - near / 2)
    else:
        losses = (fits - y) ** 2 / 2
    return float(np.mean(claim.weight * losses))


def dual_objective(claim: Term, nu: FloatArray, y: FloatArray) -> float:
    """D(ν); −inf where a conjugate is infinite."""
    slope = len(y) * nu / claim.weight  # −t of the conjugate ℓ*(t, y)
    edge = {"logistic": 1.0, "hinge": 1.0, "huber": claim.delta}.get(claim.loss, math.inf)
    labels = claim.loss in LABELLED
    tau = slope * y if labels else np.abs(slope)
    if not ((tau >= 0) & (tau <= edge * (1 + EDGE_TOL))).all():
        return -math.inf
    tau = np.minimum(tau, edge)
    if claim.loss == "logistic":
        minus_conjugate = -_entropy(tau) - _entropy(1 - tau)
    elif claim.loss == "hinge":
        minus_conjugate = tau
    elif claim.loss == "squared_hinge":
        minus_conjugate = tau - tau**2 / 2
    else:
        minus_conjugate = np.copysign(tau, slope) * y - tau**2 / 2
    return float(np.mean(claim.weight * minus_conjugate))


def _entropy(p: FloatArray) -> FloatArray:
    return np.asarray(p * np.log(np.where(p > 0, p, 1.0)))
