"""The curvature of the loss, its intercept eliminated, and how it is kept from vanishing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program import ConvexProgram

# The share of the majorant that the curvature of a loss that is flat somewhere is at least.
LEAST = 1e-10
# After a step shorter than POOR (HOPELESS, where samples are damped one by one) all samples get
# more, FIRST at first; after one longer than GOOD they get CALMER times as much.
GOOD, POOR, HOPELESS = 0.9, 0.1, 1e-4
FIRST, CALMER = 1e-4, 0.1


@dataclass(frozen=True)
class Curvature:
    """∇²F with the intercept eliminated: diag(φ) − φφᵀ/Σφ, or diag(φ) without intercept.

    Attributes
    ----------
    phi : (n,) array
        φ ≥ 0.
    intercept : bool
    """

    phi: FloatArray
    intercept: bool

    def shift(self, fits: FloatArray) -> float:
        """How the intercept answers a change of the fits, to first order."""
        total = float(self.phi.sum()) if self.intercept else 0.0
        return -float(self.phi @ fits) / total if total > 0 else 0.0

    def apply(self, fits: FloatArray) -> FloatArray:
        """The product with a change of the fits."""
        return self.phi * (fits + self.shift(fits))

    def centred(self, values: FloatArray) -> FloatArray:
        """(I − qqᵀ) times a vector or the columns of a matrix, q = √φ/‖√φ‖; without intercept, I.

        The curvature is √Φ(I − qqᵀ)√Φ.
        """
        total = float(self.phi.sum()) if self.intercept else 0.0
        if total <= 0:
            return values
        q = np.sqrt(self.phi / total)
        return np.asarray(values - np.multiply.outer(q, q @ values))


class Damping:
    """Shares of the loss's majorant that its curvature is at least, one a sample.

    A quadratic model does not know of curvature that begins on the way, as that of the squared
    hinge does at the margin, and its step is then cut short there by the line search. The samples
    with such curvature get their majorant for the next steps.
    """

    def __init__(self, prog: ConvexProgram) -> None:
        self.prog = prog
        self.flat = not prog.loss.curved
        self.least = LEAST if self.flat else 0.0
        self.shares = np.full(prog.n, self.least)

    def curvature(self, fits: FloatArray) -> Curvature:
        """The curvature at the fits, intercept included."""
        phi = self.prog.loss_hessian(fits)
        if self.shares.any():
            phi = np.maximum(phi, self.shares * self.prog.loss_majorant(fits))
        return Curvature(phi, self.prog.intercept)

    def learn(self, step: float, fits: FloatArray, reach: FloatArray) -> None:
        """Note a step in (0, 1] from the fits, which led to `reach` at full length."""
        if self.prog.loss.quadratic:
            return
        if step >= GOOD:
            self.shares *= CALMER
        elif self.flat:
            self.shares[self.prog.loss_hessian(reach) > self.prog.loss_hessian(fits)] = 1.0
        if step < (HOPELESS if self.flat else POOR):
            self.shares = np.maximum(FIRST, 10 * self.shares)
        self.shares = np.where(self.shares < FIRST, self.least, np.minimum(self.shares, 1.0))
