"""Problems whose optimal networks are known by symmetry, and brute force over their polytopes."""

from __future__ import annotations

import itertools

import numpy as np

import relu_opt as ro


def crosspolytope(
    targets, loss="squared", activation="relu", lam=0.05, intercept=False, rotation=None
):
    """Rows ±q_i of an orthogonal matrix with target y_i on both rows of a pair.

    The optimal neurons of sign + are the vectors of entries ±|ν_i| over the pairs with y_i > 0,
    those of sign − over the pairs with y_i < 0, and a measure on them is optimal if each row gets
    the right share: for k pairs of one sign, 2^k neurons whose fits have rank k + 1.
    """
    targets = np.asarray(targets, dtype=np.float64)
    Q = np.eye(len(targets)) if rotation is None else rotation
    X = np.vstack([Q, -Q])
    # The gates of all orthants, so that no pattern is missed.
    gates = Q.T @ np.array(list(itertools.product((-1.0, 1.0), repeat=len(targets)))).T
    return ro.ConvexProgram(
        X,
        np.tile(targets, 2),
        lam,
        ro.program.patterns_of_gates(X, gates),
        loss=loss,
        activation=activation,
        intercept=intercept,
    )


def all_vertices(A, b, tol=1e-9):
    """Every vertex of {x ≥ 0 : Ax = b}, by trying all sets of independent columns."""
    rank = np.linalg.matrix_rank(A, tol=1e-8)
    found = []
    for size in range(rank + 1):
        for chosen in map(list, itertools.combinations(range(A.shape[1]), size)):
            part = A[:, chosen]
            if size and np.linalg.matrix_rank(part, tol=1e-8) < size:
                continue
            x = np.zeros(A.shape[1])
            if size:
                x[chosen] = np.linalg.lstsq(part, b, rcond=None)[0]
            if np.abs(A @ x - b).max() <= tol and x.min() >= -tol:
                x = np.maximum(x, 0.0)
                if not any(np.abs(x - other).max() <= 1e-7 for other in found):
                    found.append(x)
    return np.array(found)


def same_points(a, b, tol=1e-7):
    """Whether two lists of points are the same up to order."""
    a, b = np.asarray(a), np.asarray(b)
    if a.shape != b.shape:
        return False
    apart = np.abs(a[:, None, :] - b[None, :, :]).max(axis=2)
    return bool((apart.min(axis=0) <= tol).all() and (apart.min(axis=1) <= tol).all())
