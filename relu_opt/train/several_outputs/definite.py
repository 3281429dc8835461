r"""That a symmetric matrix is ≽ 0, shown with every rounding; and sums over rows in chunks.

A Cholesky decomposition of M − cI that runs to its end shows M ≽ 0 if c is at least what rounding
may take from it (Rump, Verification of positive definiteness, BIT 2006).
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.rounding import UNDERFLOW, charge, chunk_rows


def semidefinite(M: FloatArray, error: float) -> bool:
    """Whether every symmetric matrix within `error` (a norm) of M is shown to be ≽ 0.

    Parameters
    ----------
    M : (k, k) array
        Its lower triangle counts.
    error : float
        What rounding may have made of M.
    """
    diagonal = np.diag(M)
    lost = charge(len(M) + 2) * float(np.abs(diagonal).sum())
    shifted = M.copy()
    np.fill_diagonal(shifted, diagonal - (lost + error) * (1 + charge(len(M) + 4)) - UNDERFLOW)
    try:
        factor = np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:  # that is the answer
        return False
    return bool(np.isfinite(factor).all())


def row_sums(a: FloatArray, b: FloatArray) -> FloatArray:
    """aᵀb of arrays (n, p) and (n, q): `rounding.depth(n)` roundings a term."""
    step = chunk_rows(len(a))
    total = np.zeros((a.shape[1], b.shape[1]))
    for start in range(0, len(a), step):
        total += a[start : start + step].T @ b[start : start + step]
    return total
