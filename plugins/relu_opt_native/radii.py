r"""The sizes of groups along given directions: a quadratic program over sizes ≥ 0.

    minimise over m ≥ 0   ½ (m − m₀)ᵀ RᵀR (m − m₀) + (λ − u_iᵀXᵀD_iν)_i (m − m₀)

where RᵀR = UᵀΦU has the curvature of the loss between the columns D_iXu_i of U. It decides which
groups join and which leave.
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt_native.curvature import Curvature
from relu_opt_native.group_columns import GroupColumns
from relu_opt_native.quadratic import nonnegative_qp

# Up to so many samples R has a row a sample, which loses no digits; beyond, one a column.
FEW_SAMPLES = 2000


def curvature_root(
    columns: GroupColumns, directions: FloatArray, curvature: Curvature
) -> FloatArray:
    """R of one direction a group, (k, r): a matrix with k columns."""
    X, phi = columns.data.X, curvature.phi
    total = float(phi.sum()) if curvature.intercept else 0.0
    whole = np.empty((len(X), len(columns))) if len(X) <= FEW_SAMPLES else None
    gram, sums = np.zeros((len(columns), len(columns))), np.zeros(len(columns))
    for part, masks in columns.samples():
        rows = directions @ X[part].T
        rows *= masks
        sums += rows @ phi[part]
        rows *= np.sqrt(phi[part])
        if whole is not None:
            whole[part] = rows.T
        else:
            gram += rows @ rows.T
    if whole is not None:
        return whole - np.outer(np.sqrt(phi), sums / total) if total > 0 else whole
    if total > 0:
        gram -= np.outer(sums, sums) / total
    values, vectors = np.linalg.eigh(gram)
    return np.asarray(np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T)


def best_sizes(root: FloatArray, slope: FloatArray, start: FloatArray) -> FloatArray:
    """The sizes that minimise the model from its derivative `slope` (k,) at `start` (k,)."""
    return nonnegative_qp(root, slope - (root @ start) @ root, start)
