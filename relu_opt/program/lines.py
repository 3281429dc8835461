"""The distinct hyperplanes {g : x_kᵀg = 0} of the rows of X, as unit normals."""

from __future__ import annotations

import functools

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray, IntArray, frozen
from relu_opt.errors import DataError

# Sine of the angle below which two hyperplanes are one, and singular values, relative to the
# largest, that count as zero.
PARALLEL_TOL = 1e-9
# Products of unit vectors that rounding explains.
ROUNDING = 1e-14


def too_close() -> DataError:
    """The error for rows whose cells cannot be told apart in floating point."""
    return DataError(
        "Rows of X are so nearly dependent that rounding hides some cells. Round X to fewer "
        "digits, or use sample_patterns(X).",
        tolerance=PARALLEL_TOL,
    )


def distinct_lines(X: FloatArray) -> tuple[FloatArray, FloatArray, IntArray, BoolArray]:
    """The distinct hyperplanes of X, in coordinates of its row space.

    Returns
    -------
    lines : (m, r) array
        Unit normals, no two parallel, of rank r.
    axes : (r, d) array
        Orthonormal basis of the row space.
    which : (n,) array of int
        The hyperplane of each row; −1 for rows of zeros.
    flipped : (n,) array of bool
        Whether the row points against its hyperplane's normal.
    """
    largest = np.abs(X).max(axis=1)
    present = largest > 0
    which, flipped = np.full(len(X), -1), np.zeros(len(X), dtype=np.bool_)
    if not present.any():
        return np.zeros((0, 0)), np.zeros((0, X.shape[1])), which, flipped
    # Scaled first, so that rows of tiny numbers do not underflow.
    rows = units(X[present] / largest[present, None])
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    axes = axes[: int((sizes > PARALLEL_TOL * sizes[0]).sum())]
    lines, which[present], flipped[present] = merge(units(rows @ axes.T))
    return lines, axes, which, flipped


def units(rows: FloatArray) -> FloatArray:
    """The rows, scaled to norm 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@functools.cache
def direction(size: int) -> FloatArray:
    """A unit vector in no special position."""
    return frozen(units(np.random.default_rng(size).standard_normal((1, size))).ravel())


def merge(vectors: FloatArray, tol: float = PARALLEL_TOL) -> tuple[FloatArray, IntArray, BoolArray]:
    """Distinct lines of unit vectors, the line of each vector, and whether it is reversed.

    Two are one line if the sine of their angle is at most `tol`.
    """
    # |projection| on one direction is equal for parallel vectors: only neighbours can be.
    keys = np.abs(vectors @ direction(vectors.shape[1]))
    order = np.argsort(keys, kind="stable")
    close = np.diff(keys[order]) <= 2 * tol
    if not close.any():
        return vectors, np.arange(len(vectors)), np.zeros(len(vectors), dtype=np.bool_)
    first = np.arange(len(vectors))
    ends = np.flatnonzero(np.diff(close, prepend=False, append=False)).reshape(-1, 2)
    for start, end in ends:
        group = order[start : end + 1]
        # Mostly all of them are one line.
        same = _across(vectors[group], vectors[group[:1]])[:, 0] <= tol
        first[group[same]] = group[0]
        kept = group[:1]
        for k in group[~same]:
            again = _across(vectors[k : k + 1], vectors[kept])[0] <= tol
            if again.any():
                first[k] = kept[int(np.argmax(again))]
            else:
                kept = np.append(kept, k)
    chosen, which = np.unique(first, return_inverse=True)
    reversed_ = np.einsum("kr,kr->k", vectors, vectors[first]) < 0
    return vectors[chosen], which, reversed_


def _across(vectors: FloatArray, lines: FloatArray) -> FloatArray:
    """The sines between unit vectors (k, r) and lines (l, r), (k, l)."""
    rest = vectors[:, None] - (vectors @ lines.T)[:, :, None] * lines
    return np.asarray(np.linalg.norm(rest, axis=2))
