r"""Newton's method for the non-zero groups, by preconditioned conjugate gradients.

At weights w_i ≠ 0 with units u_i = w_i/‖w_i‖ the objective F(Σ D_iXw_i) + λ Σ ‖w_i‖ has the
Hessian MᵀΦM + blockdiag(τ_i (I − u_iu_iᵀ)) with τ_i = λ/‖w_i‖. Here v_i, the dual's own estimate
XᵀD_iν/λ of u_i (shortened to length one), takes the place of one u_i, symmetrised: at the optimum
the two agree, and a group whose ‖v_i‖ < 1 is one that should vanish, towards which it has a
resistance that the Hessian lacks. It is the linearisation of ‖w_i‖v_i = w_i, after Chan, Golub
and Mulet (SIAM J. Sci. Comput. 1999).

Preconditioner. In the coordinates of `DiagonalData`, XᵀD_iΦD_jX ≈ π_ij diag(s²) with π the
overlaps of the patterns weighted by Φ. One generalised eigendecomposition of (π, diag(τ)) inverts
π ⊗ diag(s²) + diag(τ). The directions u_i, which τ does not hold, are added with their exact
matrix.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt_native.curvature import Curvature
from relu_opt_native.group_columns import GroupColumns
from relu_opt_native.group_kernel import kernel_inverse

# How much the preconditioner exaggerates τ: by the first at first (measured: better than 1), and
# more after a step that needed many products: where there are more directions than samples,
# π ⊗ diag(s²) promises curvature that is not there.
STIFFER, MORE, STIFFEST = 2.0, 5.0, 250.0
MANY_PRODUCTS = 40
# Up to so many samples, the equations are rather factored in their space then.
FEW_SAMPLES = 2000
# A share of the trace that keeps the matrix of the directions u_i invertible.
JITTER = 1e-12
# Single precision pays from so many multiplications on, and holds while the curvature of the norms
# is at least this share of the data's.
LARGE = 20_000_000
HELD = 1e-4


@dataclass(frozen=True)
class Manner:
    """How the equations are solved.

    Attributes
    ----------
    stiffer : float
        The factor of τ in the preconditioner.
    dense : bool
        Whether to precondition in the space of samples, see `group_kernel`.
    exact : bool
        Whether to work in double precision throughout.
    """

    stiffer: float = STIFFER
    dense: bool = False
    exact: bool = False

    def after(self, products: int, samples: int) -> Manner:
        """What to do after a step that needed so many products."""
        if products <= MANY_PRODUCTS:
            return self
        stiffer = min(STIFFEST, MORE * self.stiffer)
        return replace(self, stiffer=stiffer, dense=samples <= FEW_SAMPLES)


class NewtonSystem:
    """The Newton equations at one point.

    Parameters
    ----------
    columns : GroupColumns
        Of the non-zero groups.
    curvature : Curvature
    stiffness : (k,) array
        τ_i.
    units, pulls : (k, r) arrays
        u_i and v_i.
    radial : (k, k) array
        The exact matrix of the directions u_i: of ∇²F, between the D_iXu_i.
    manner : Manner
    """

    def __init__(
        self,
        columns: GroupColumns,
        curvature: Curvature,
        stiffness: FloatArray,
        units: FloatArray,
        pulls: FloatArray,
        radial: FloatArray,
        manner: Manner,
    ) -> None:
        self.columns, self.curvature, self.stiffness = columns, curvature, stiffness
        self.units, self.pulls = units, pulls
        self.products, self.single = 0, False
        if manner.dense:
            freedom = (units * pulls).sum(axis=1)
            self.precondition = kernel_inverse(columns, curvature, stiffness, units, freedom)
        else:
            overlaps = columns.overlaps(curvature.phi) / len(columns.data.X)
            self.precondition = self.overlap_inverse(overlaps, radial, manner.stiffer)
            squares = columns.data.squares
            stiffest = float(overlaps.sum(axis=1).max(initial=0.0)) * float(squares.max())
            small = len(columns) * columns.data.X.size < LARGE
            self.single = not (manner.exact or small or stiffness.min() < HELD * stiffest)

    def overlap_inverse(
        self, overlaps: FloatArray, radial: FloatArray, stiffer: float
    ) -> Callable[[FloatArray], FloatArray]:
        """What applies the preconditioner to a residual (k, r)."""
        stiffness, units = self.stiffness, self.units
        root = 1.0 / np.sqrt(stiffer * stiffness)
        shares, vectors = np.linalg.eigh(root[:, None] * overlaps * root)
        vectors = root[:, None] * vectors
        damping = 1.0 / (1.0 + np.maximum(shares, 0.0)[:, None] * self.columns.data.squares)
        held = stiffness * (1.0 - (units * self.pulls).sum(axis=1))
        radial = radial + np.diag(np.maximum(held, 0.0))
        radial += JITTER * np.trace(radial) * np.eye(len(radial)) / len(radial)
        along = np.linalg.pinv(radial, hermitian=True)

        def inverse(residual: FloatArray) -> FloatArray:
            answer = vectors @ (damping * (vectors.T @ residual))
            sizes = along @ (residual * units).sum(axis=1)
            return np.asarray(answer + sizes[:, None] * units)

        return inverse

    def apply(self, step: FloatArray) -> FloatArray:
        """The Hessian times a step, (k, r)."""
        self.products += 1
        along = (step * self.pulls).sum(axis=1)[:, None] * self.units
        along += (step * self.units).sum(axis=1)[:, None] * self.pulls
        held = self.stiffness[:, None] * (step - 0.5 * along)
        if self.single:
            fits = self.curvature.apply(self.columns.rough_fits(step))
            return np.asarray(held + self.columns.roughly_correlate(fits))
        fits = self.curvature.apply(self.columns.fits(step))
        return np.asarray(held + self.columns.correlate(fits))

    def solve(
        self, right: FloatArray, tol: float, most: int, check: Callable[[], None]
    ) -> FloatArray:
        """Conjugate gradients until the preconditioned residual has fallen by `tol`."""
        x, residual = np.zeros_like(right), right
        direction = solved = self.precondition(residual)
        size = start = float(np.vdot(residual, solved))
        for _ in range(most):
            check()
            image = self.apply(direction)
            curved = float(np.vdot(direction, image))
            if not curved > 0:
                break
            x = x + (size / curved) * direction
            residual = residual - (size / curved) * image
            solved = self.precondition(residual)
            before, size = size, float(np.vdot(residual, solved))
            if not size > tol**2 * start:
                break
            direction = solved + (size / before) * direction
        return x
