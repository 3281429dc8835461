"""The distinct hyperplanes {g : x_kᵀg = 0} of the rows of X, as unit normals."""

from __future__ import annotations

import functools

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray, IntArray, frozen
from relu_opt.errors import DataError
from relu_opt.program.integers import one_sided, shortest

# Sine of the angle below which doubles say little of whether two hyperplanes are one.
PARALLEL_TOL = 1e-9
# Products of unit vectors that rounding explains, and a few times as much.
ROUNDING, KEYS_TOL = 1e-14, 1e-12
EPS = float(np.finfo(np.float64).eps)


class TooClose(DataError):
    """Cells of the data that doubles cannot tell apart."""


def too_close() -> TooClose:
    """The error for rows whose cells cannot be told apart in floating point."""
    return TooClose(
        "Rows of X are so nearly dependent that rounding hides some cells. Round X to whole "
        "multiples of one power of two, or use sample_patterns(X).",
        tolerance=PARALLEL_TOL,
    )


def distinct_lines(X: FloatArray) -> tuple[FloatArray, FloatArray, IntArray, BoolArray]:
    """The distinct hyperplanes of X, in coordinates of its row space.

    Rows are one hyperplane iff they are parallel exactly. The row space is what doubles say of it.

    Returns
    -------
    lines : (m, r) array
        Unit normals, of rank r.
    axes : (r, d) array
        Orthonormal basis of the row space.
    which : (n,) array of int
        The hyperplane of each row; −1 for rows of zeros.
    flipped : (n,) array of bool
        Whether the row points against its hyperplane's normal.
    """
    present = X.any(axis=1)
    which, flipped = np.full(len(X), -1), np.zeros(len(X), dtype=np.bool_)
    if not present.any():
        return np.zeros((0, 0)), np.zeros((0, X.shape[1])), which, flipped
    # Scaled first, so that rows of tiny numbers do not underflow.
    scaled = np.ldexp(X[present], -np.frexp(np.abs(X[present]).max(axis=1))[1][:, None])
    rows = units(scaled)
    first, which[present], flipped[present] = _parallel(X[present], rows)
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    axes = axes[: int((sizes > 4 * max(rows.shape) * EPS * sizes[0]).sum())]
    return units(rows[first] @ axes.T), axes, which, flipped


def _parallel(X: FloatArray, rows: FloatArray) -> tuple[IntArray, IntArray, BoolArray]:
    """The first row of each line, the line of each row, and whether it is turned; exactly.

    `rows` are the unit rows of X: they tell which rows have to be compared.
    """
    first, flipped = np.arange(len(X)), np.zeros(len(X), dtype=np.bool_)
    for group in _close(rows, KEYS_TOL):
        known: dict[tuple[int, ...], tuple[int, bool]] = {}
        for k in np.sort(group).tolist():
            line, turned = one_sided(shortest(X[k]))
            first[k], back = known.setdefault(line, (k, turned))
            flipped[k] = turned != back
    chosen, which = np.unique(first, return_inverse=True)
    return chosen, which, flipped


def units(rows: FloatArray) -> FloatArray:
    """The rows, scaled to norm 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@functools.cache
def direction(size: int) -> FloatArray:
    """A unit vector in no special position."""
    return frozen(units(np.random.default_rng(size).standard_normal((1, size))).ravel())


def _close(vectors: FloatArray, tol: float) -> list[IntArray]:
    """Groups of unit vectors that hold, together, all that are within `tol` of a common line."""
    # |projection| on one direction is equal for parallel vectors: only neighbours can be.
    keys = np.abs(vectors @ direction(vectors.shape[1]))
    order = np.argsort(keys, kind="stable")
    close = np.diff(keys[order]) <= 2 * tol
    ends = np.flatnonzero(np.diff(close, prepend=False, append=False)).reshape(-1, 2)
    return [order[start : end + 1] for start, end in ends]


def merge(vectors: FloatArray, tol: float = PARALLEL_TOL) -> tuple[FloatArray, IntArray, BoolArray]:
    """Distinct lines of unit vectors, the line of each vector, and whether it is reversed.

    Two are one line if the sine of their angle is at most `tol`: not exact, and for guesses and
    for bounds that are charged for it.
    """
    first = np.arange(len(vectors))
    for group in _close(vectors, tol):
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
