"""The shortest solution of sparse equations, as nearly as there is one."""

from __future__ import annotations

import numpy as np
from scipy.sparse import block_array, csc_array, diags_array, eye_array
from scipy.sparse.linalg import splu

from relu_opt.arrays import FloatArray

# Damping, refinements that take it back, and how many entries are factored at most.
DAMPING, REFINEMENTS, LARGEST = 1e-13, 5, 50_000


def shortest(system: csc_array, target: FloatArray, sizes: FloatArray) -> FloatArray:
    """The shortest v with Sv = t, in the sense of least squares; 0 where S is too large to factor.

    Parameters
    ----------
    system : (r, w) csc_array
    target : (r,) array
    sizes : (r,) array
        What errors are relative to, where it is more than the row's own length.
    """
    norms = np.sqrt(np.asarray(system.power(2).sum(axis=1)).ravel())
    movable = np.flatnonzero(norms > 0)
    count, width = len(movable), system.shape[1]
    step = np.zeros(width)
    if not count or system.nnz > LARGEST:
        return step
    inverse = 1.0 / np.maximum(norms, sizes)[movable]
    system = csc_array(diags_array(inverse) @ system.tocsr()[movable])
    target = inverse * target[movable]
    corner = -DAMPING * eye_array(count)
    try:
        factors = splu(block_array([[eye_array(width), system.T], [system, corner]], format="csc"))
    except RuntimeError:  # singular, as damped systems are only beyond all doubles
        return step
    for _ in range(REFINEMENTS):
        missing = target - system @ step
        change = factors.solve(np.concatenate([np.zeros(width), missing]))[:width]
        if not np.isfinite(change).all():
            break
        step += change
    return step
