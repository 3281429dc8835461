r"""All activation patterns of the data: the cells of a central hyperplane arrangement.

The rows of X are normals of hyperplanes {g : x_kᵀg = 0}; each open cell between them is one
pattern. Gates *on* a hyperplane make further patterns, but their cones lie in the closure of a
cell's cone and add nothing to a convex ReLU program (Pilanci & Ergen, ICML 2020).

The hyperplanes are added one at a time. A further hyperplane cuts just those cells whose signs
are the signs of a cell on it, in the arrangement that the earlier ones make there, which is
one dimension lower: recursion gives its cells, and an inner point of each is lifted to both
sides. The work is in proportion to the number of cells found (Zaslavsky, 1975), no linear
program is solved, and the signs of the new cells come from the recursion, never from a product
near zero.
"""

from __future__ import annotations

import functools
import math

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import BoolArray, ByteArray, FloatArray, IntArray, as_count, as_floats, frozen
from relu_opt.errors import DataError
from relu_opt.program.patterns import CHUNK_BYTES, Patterns

# Sine of the angle below which two hyperplanes are one, and singular values, relative to the
# largest, that count as zero.
PARALLEL_TOL = 1e-9
# More patterns than this are listed only on request.
MAX_PATTERNS = 100_000
# Products of unit vectors that rounding explains.
ROUNDING = 1e-14


def enumerate_patterns(X: ArrayLike, max_patterns: int = MAX_PATTERNS) -> Patterns:
    """All activation patterns of X, each with a gate strictly inside its cell.

    Rows of zeros are active in every pattern. Rows that are parallel to within 1e-9 are taken
    as one hyperplane, so cells thinner than that are not listed.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample.
    max_patterns : int
        The enumeration is refused if `count_patterns_bound(X)` is above this.

    Returns
    -------
    Patterns
        With `complete=True` and unit gates with masks = (X @ gates > 0) on non-zero rows.

    Raises
    ------
    DataError
        If there may be more patterns than `max_patterns`, or if rows are so nearly dependent
        that a cell's inner point cannot be told from its border.
    """
    data = as_floats(X, "X", 2)
    limit = as_count(max_patterns, "max_patterns")
    lines, axes, which, flipped = _reduce(data)
    count = _bound(len(lines), len(axes))
    if count > limit:
        raise DataError(
            f"X has up to {count} activation patterns, more than max_patterns = {limit}. "
            "Use sample_patterns(X) and scope 'program', or raise max_patterns.",
            count=count,
            limit=limit,
        )
    signs, points = _cells(lines)
    gates = axes.T @ points.T if len(lines) else np.ones((data.shape[1], 1))
    gates /= np.linalg.norm(gates, axis=0)
    packed = np.empty((len(signs), (len(data) + 7) // 8), dtype=np.uint8)
    step = max(1, CHUNK_BYTES // (8 * len(data)))
    for start in range(0, len(signs), step):
        part = slice(start, start + step)
        masks = np.ones((len(signs[part]), len(data)), dtype=np.bool_)
        masks[:, which >= 0] = signs[part][:, which[which >= 0]] ^ flipped[which >= 0]
        # Products with zero rows are not positive, and their masks are true.
        if (((data @ gates[:, part]).T > 0) != masks)[:, which >= 0].any():
            raise _too_close()
        packed[part] = np.packbits(masks, axis=1)
    return Patterns.from_packed(packed, len(data), gates, complete=True)


def count_patterns_bound(X: ArrayLike) -> int:
    """An upper bound on the number of patterns of X: 2 Σ_{k<r} C(m−1, k).

    r is the rank of X and m the number of non-zero rows, parallel ones counted once. It is
    exact for rows in general position, every r of them independent (Cover, 1965).

    Raises
    ------
    DataError
        If X is not a finite (n, d) array.
    """
    lines, axes, _, _ = _reduce(as_floats(X, "X", 2))
    return _bound(len(lines), len(axes))


def _bound(m: int, rank: int) -> int:
    return 2 * sum(math.comb(m - 1, k) for k in range(rank)) if m else 1


def _too_close() -> DataError:
    return DataError(
        "Rows of X are so nearly dependent that rounding hides some cells. Round X to fewer "
        "digits, or use sample_patterns(X).",
        tolerance=PARALLEL_TOL,
    )


def _reduce(X: FloatArray) -> tuple[FloatArray, FloatArray, IntArray, BoolArray]:
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
    rows = _units(X[present] / largest[present, None])
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    axes = axes[: int((sizes > PARALLEL_TOL * sizes[0]).sum())]
    lines, which[present], flipped[present] = _merge(_units(rows @ axes.T))
    return lines, axes, which, flipped


def _units(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


@functools.cache
def _direction(size: int) -> FloatArray:
    """A unit vector in no special position."""
    return frozen(_units(np.random.default_rng(size).standard_normal((1, size))).ravel())


def _merge(units: FloatArray) -> tuple[FloatArray, IntArray, BoolArray]:
    """Distinct lines of unit vectors, the line of each vector, and whether it is reversed."""
    # |projection| on one direction is equal for parallel vectors: only neighbours can be.
    keys = np.abs(units @ _direction(units.shape[1]))
    order = np.argsort(keys, kind="stable")
    close = np.diff(keys[order]) <= 2 * PARALLEL_TOL
    first = np.arange(len(units))
    if close.any():
        for group in np.split(order, np.flatnonzero(~close) + 1):
            kept = group[:1]
            for k in group[1:]:
                across = units[k] - (units[kept] @ units[k])[:, None] * units[kept]
                same = np.linalg.norm(across, axis=1) <= PARALLEL_TOL
                if same.any():
                    first[k] = kept[int(np.argmax(same))]
                else:
                    kept = np.append(kept, k)
    chosen, which = np.unique(first, return_inverse=True)
    reversed_ = np.einsum("kr,kr->k", units, units[first]) < 0
    return units[chosen], which, reversed_


def _cells(lines: FloatArray) -> tuple[BoolArray, FloatArray]:
    """The open cells of distinct lines (m, r) through the origin of an r-dimensional space.

    Returns
    -------
    signs : (p, m) array of bool
        Whether each line's product with the cell's points is positive.
    points : (p, r) array
        A unit vector inside each cell.
    """
    m, rank = lines.shape
    if rank == 2 and m:
        return _sectors(lines)
    packed = np.zeros((1, (m + 7) // 8), dtype=np.uint8)
    points, margins = _direction(rank)[None].copy(), np.ones(1)
    for i, normal in enumerate(lines):
        products = points @ normal
        margins = np.minimum(margins, np.abs(products))
        facets, up, down, lifted_margins = _facets(lines[:i], normal, m)
        cut = _find(packed, facets)
        above = products > 0
        column, bit = i // 8, np.uint8(128 >> i % 8)
        packed[above, column] |= bit
        # A cell that is cut keeps its point on one side, or takes the lifted one if it is
        # further from the border; the other side is new.
        side = above[cut][:, None]
        here, beyond = np.where(side, up, down), np.where(side, down, up)
        better = lifted_margins > margins[cut]
        points[cut[better]], margins[cut[better]] = here[better], lifted_margins[better]
        fresh = packed[cut]
        fresh[:, column] ^= bit
        packed = np.concatenate([packed, fresh])
        points = np.concatenate([points, beyond])
        margins = np.concatenate([margins, lifted_margins])
    if margins.min() <= ROUNDING:
        raise _too_close()
    return np.unpackbits(packed, axis=1, count=m).view(np.bool_), points


def _facets(
    before: FloatArray, normal: FloatArray, m: int
) -> tuple[ByteArray, FloatArray, FloatArray, FloatArray]:
    """The cells that the lines `before` cut out of a further hyperplane, lifted off it.

    Returns their signs, packed to m bits, a point above and one below each, and the least
    product of both points with a normal.
    """
    basis = np.linalg.svd(normal[None])[2][1:].T
    lines, which, flipped = _merge(_units(before @ basis))
    signs, feet = _cells(lines)
    feet = feet @ basis.T
    # Half of the way to the next hyperplane that the lift would cross.
    slopes, distances = np.abs(before @ normal), np.abs(feet @ before.T)
    ahead = slopes > 0
    heights = 0.5 * (distances[:, ahead] / slopes[ahead]).min(axis=1, initial=1.0)
    up, down = (_units(feet + sign * heights[:, None] * normal) for sign in (1.0, -1.0))
    signs = signs[:, which] ^ flipped
    margins = heights / np.sqrt(1 + heights**2)
    for points in (up, down):
        products = points @ before.T
        margins = np.minimum(margins, np.where(signs, products, -products).min(axis=1, initial=1.0))
    packed = np.zeros((len(signs), (m + 7) // 8), dtype=np.uint8)
    packed[:, : (len(before) + 7) // 8] = np.packbits(signs, axis=1)
    return packed, up, down, margins


def _find(packed: ByteArray, wanted: ByteArray) -> IntArray:
    """The row of `packed` that equals each row of `wanted`."""
    row = np.dtype((np.void, packed.shape[1]))
    keys, wanted_keys = packed.view(row).ravel(), wanted.view(row).ravel()
    order = np.argsort(keys)
    found = order[np.minimum(np.searchsorted(keys, wanted_keys, sorter=order), len(keys) - 1)]
    if (keys[found] != wanted_keys).any():
        raise _too_close()
    return np.asarray(found)


def _sectors(lines: FloatArray) -> tuple[BoolArray, FloatArray]:
    """The 2m sectors of m distinct lines in the plane."""
    m = len(lines)
    angles = np.arctan2(lines[:, 1], lines[:, 0])
    reversed_ = (angles < 0) | (angles >= np.pi)
    turned = angles + np.where(angles < 0, np.pi, np.where(angles >= np.pi, -np.pi, 0.0))
    order = np.argsort(turned)
    borders = turned[order] - np.pi / 2
    middles = (borders + np.append(borders[1:], borders[0] + np.pi)) / 2
    # In the sector after border j the first j + 1 normals are on the positive side.
    half = np.empty((m, m), dtype=np.bool_)
    half[:, order] = np.tri(m, dtype=np.bool_)
    half ^= reversed_
    points = np.column_stack([np.cos(middles), np.sin(middles)])
    return np.concatenate([half, ~half]), np.concatenate([points, -points])
