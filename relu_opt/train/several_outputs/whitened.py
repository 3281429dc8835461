r"""Whitened rows, XXᵀ = s²I, and several outputs: the soft-thresholded singular values of Y.

With the sum of losses, β = nλ and b = β/s, Y = U diag(σ) Wᵀ, the fits Z = U diag((σ − b)₊) Wᵀ have
the least ½‖Z − Y‖² + b‖Z‖_* , Σ_i bσ_i − ½b² (or ½σ_i² if σ_i ≤ b). No network is below, since
M(V) ≤ ‖X‖‖V‖. A network has this value iff P = U diag((σ − b)₊) Uᵀ is *completely positive*,
P = Σ_j c_j z_j z_jᵀ with z_j ≥ 0: by the neurons u_j = Xᵀz_j/s, w_j = c_j z_jᵀUWᵀ. P is one if it
is ≥ 0 entrywise and each of its connected parts has rank at most 2, or at most 4 rows; here it has
to be found too. (Sahiner et al., ICLR 2021; the condition is derived here.)
"""

from __future__ import annotations

import numpy as np
from scipy.sparse.csgraph import connected_components

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.train.several_outputs.network import VectorNetwork

# Entries of P, relative to its largest, that count as zero; and singular values.
ZERO = 1e-12
# How far a factorisation may be from P, relative to P, and its steps.
FACTOR_TOLERANCE, FACTOR_STEPS, FACTOR_STARTS = 1e-11, 20_000, 5


def whitened_vector(X: FloatArray, Y: FloatArray, lam: float) -> tuple[VectorNetwork, float]:
    """The optimal network and its objective, or a DataError that says what fails.

    Raises
    ------
    DataError
        If the formula's fits are those of no network of its cost, or none was found; the field
        `bound` is what no network is below.
    """
    n = len(X)
    s = float(np.linalg.norm(X)) / np.sqrt(n)
    b = n * lam / s
    U, sizes, Wt = np.linalg.svd(Y, full_matrices=False)
    value = float(np.where(sizes > b, b * sizes - 0.5 * b * b, 0.5 * sizes**2).sum()) / n
    kept = sizes > b * (1 + ZERO)
    U, left, Wt = U[:, kept], sizes[kept] - b, Wt[kept]
    P = (U * left) @ U.T
    factor = completely_positive_factor(P, value)
    # P = B Bᵀ with the columns of B as √c_j z_j; ‖Xᵀz_j‖ = s.
    outer = factor.T @ U @ Wt
    return VectorNetwork(factor.T @ X / s**2, outer).balance(), value


def completely_positive_factor(P: FloatArray, bound: float) -> FloatArray:
    """B ≥ 0 with P = B Bᵀ, (n, k), or a DataError."""
    largest = float(np.abs(P).max(initial=0.0))
    if largest == 0.0:
        return np.zeros((len(P), 0))
    if P.min() < -ZERO * largest:
        i, j = np.unravel_index(int(P.argmin()), P.shape)
        raise DataError(
            f"There is no formula for these targets: the soft-thresholded fits need an entry of "
            f"{P.min():.3g} between the rows {i} and {j}, and neurons give none below 0. No "
            f"network's objective is below {bound:.12g}; use train_vector(X, Y, lam).",
            bound=bound,
            entry=float(P.min()),
            rows=(int(i), int(j)),
        )
    clean = np.where(ZERO * largest < P, P, 0.0)
    count, part = connected_components(clean > 0, directed=False)
    columns = []
    for k in range(count):
        rows = np.flatnonzero(part == k)
        block = _factor(clean[np.ix_(rows, rows)], bound)
        wide = np.zeros((len(P), block.shape[1]))
        wide[rows] = block
        columns.append(wide)
    return np.hstack(columns)


def _factor(P: FloatArray, bound: float) -> FloatArray:
    """Of a connected part."""
    sizes, vectors = np.linalg.eigh(P)
    on = sizes > 1e-11 * sizes[-1]
    B = vectors[:, on] * np.sqrt(sizes[on])
    rank = B.shape[1]
    if rank == 0:
        return np.zeros((len(P), 0))
    if rank == 1:
        return np.asarray(np.abs(B))
    if rank == 2:
        # Rows at right angles at most: turned, they lie in the first quadrant.
        angles = np.arctan2(B[:, 1], B[:, 0])
        middle = np.arctan2(B[:, 1].sum(), B[:, 0].sum())
        around = np.angle(np.exp(1j * (angles - middle)))
        turn = np.pi / 4 - middle - 0.5 * (around.max() + around.min())
        cos, sin = np.cos(turn), np.sin(turn)
        return np.asarray(np.maximum(B @ np.array([[cos, sin], [-sin, cos]]), 0.0))
    return _rotated(P, B, bound)


def _rotated(P: FloatArray, B: FloatArray, bound: float) -> FloatArray:
    """max(BQ, 0) for a matrix Q of orthonormal rows with BQ ≥ 0, by alternating projections."""
    rng, wide = np.random.default_rng(0), 2 * len(P)
    closest = np.inf
    for _ in range(FACTOR_STARTS):
        Q = np.linalg.qr(rng.standard_normal((wide, B.shape[1])))[0].T
        inverse = np.linalg.pinv(B)
        for _ in range(FACTOR_STEPS):
            image = B @ Q
            if image.min() >= -FACTOR_TOLERANCE * image.max():
                break
            near = Q + inverse @ (np.maximum(image, 0.0) - image)
            left, _, right = np.linalg.svd(near, full_matrices=False)
            Q = left @ right
        factor = np.maximum(B @ Q, 0.0)
        off = float(np.abs(factor @ factor.T - P).max() / np.abs(P).max())
        closest = min(closest, off)
        if off <= 100 * FACTOR_TOLERANCE:
            return np.asarray(factor)
    raise DataError(
        "There may be a formula for these targets, and none was found: the fits have a nonnegative "
        f"part of rank {B.shape[1]} over {len(P)} rows, which was written as a sum of neurons up "
        f"to {closest:.1e} only. No network's objective is below {bound:.12g}; use "
        "train_vector(X, Y, lam).",
        bound=bound,
        distance=closest,
        rank=B.shape[1],
    )
