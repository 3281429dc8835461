r"""The Newton equations of the groups, solved nearly exactly in the space of samples.

With blocks T_i = τ_i (I − θ_i u_iu_iᵀ) in place of the curvature of the norms,

    (MᵀΦM + T)⁻¹ = T⁻¹ − T⁻¹MᵀΦ^½ (I + Φ^½KΦ^½)⁻¹ Φ^½M T⁻¹,   K = M T⁻¹Mᵀ,

and K is the elementwise product of XXᵀ with Σ_i D_iD_iᵀ/τ_i, plus one column D_iXu_i a group: an
(n, n) matrix, whatever the number of features. It preconditions where samples are few and the
cheaper preconditioner of `group_newton` is poor.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from relu_opt.arrays import FloatArray
from relu_opt_native.curvature import Curvature
from relu_opt_native.group_columns import GroupColumns

# θ at most: the directions u_i are nearly free, and T can be inverted.
FREEST = 1.0 - 1e-4


def kernel_inverse(
    columns: GroupColumns,
    curvature: Curvature,
    stiffness: FloatArray,
    units: FloatArray,
    freedom: FloatArray,
) -> Callable[[FloatArray], FloatArray]:
    """What applies (MᵀΦM + T)⁻¹ to weights (k, r); `stiffness` is τ, `freedom` θ, both (k,)."""
    X = columns.data.X
    freedom = np.clip(freedom, 0.0, FREEST)
    radial = freedom / (1.0 - freedom)
    overlaps, lines = np.zeros((len(X), len(X))), np.empty((len(units), len(X)))
    for part, masks in columns.groups():
        overlaps += (masks / stiffness[part, None]).T @ masks.astype(np.float64)
        lines[part] = (units[part] @ X.T) * masks
    kernel = overlaps * columns.data.kernel + (lines * (radial / stiffness)[:, None]).T @ lines
    root = np.sqrt(curvature.phi)
    kernel *= root[:, None] * root
    if curvature.intercept:
        kernel = curvature.centred(curvature.centred(kernel).T)
    kernel[np.diag_indices_from(kernel)] += 1.0
    factor = cho_factor(kernel, lower=True, overwrite_a=True, check_finite=False)

    def free(weights: FloatArray) -> FloatArray:
        along = radial * (weights * units).sum(axis=1)
        return np.asarray((weights + along[:, None] * units) / stiffness[:, None])

    def inverse(right: FloatArray) -> FloatArray:
        start = free(right)
        fits = curvature.centred(root * columns.fits(start))
        inner = curvature.centred(cho_solve(factor, fits, check_finite=False))
        return start - free(columns.correlate(root * inner))

    return inverse
