"""All activation patterns of the data: the cells of a central hyperplane arrangement.

The rows of X are normals of hyperplanes {g : x_kᵀg = 0}; each open cell between them is one
pattern. Gates *on* a hyperplane make further patterns, but their cones lie in the closure of a
cell's cone and add nothing to a convex ReLU program (Pilanci & Ergen, ICML 2020).

`cells.py` lists the cells and `lines.py` finds the distinct hyperplanes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import ByteArray, FloatArray, as_count, as_floats
from relu_opt.errors import DataError
from relu_opt.program.cells import count_cells, stream_cells
from relu_opt.program.lines import distinct_lines, too_close
from relu_opt.program.patterns import Patterns

# More patterns than this are listed only on request.
MAX_PATTERNS = 100_000
# Elementary steps that an exact count may take: about a minute.
COUNT_STEPS = 200_000_000
# Patterns that a stream yields at a time.
CHUNK = 10_000


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
    count = count_patterns_bound(data)
    if count > limit:
        raise DataError(
            f"X has up to {count} activation patterns, more than max_patterns = {limit}. "
            "Use sample_patterns(X) and scope 'program', or raise max_patterns.",
            count=count,
            limit=limit,
        )
    packed, gates = zip(*_chunks(data, CHUNK), strict=True)
    return Patterns.from_packed(
        np.concatenate(packed), len(data), np.concatenate(gates, axis=1), complete=True
    )


def stream_patterns(X: ArrayLike, chunk: int = CHUNK) -> Iterator[Patterns]:
    """All activation patterns of X, a few at a time, in memory that does not grow with them.

    Each comes once, with its gate, as from `enumerate_patterns`. The memory is that of some
    megabytes, n·chunk/8 bytes and the data, whatever the number of patterns.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample.
    chunk : int
        How many patterns may come at a time.

    Yields
    ------
    Patterns
        At most `chunk` of them, with gates and `complete=False`: all chunks together are complete.

    Raises
    ------
    DataError
        If rows are so nearly dependent that a cell's inner point cannot be told from its border.
        This may come late; what was yielded before are patterns of X, but not all of them.
    """
    data = as_floats(X, "X", 2)
    size = as_count(chunk, "chunk")
    return (Patterns.from_packed(packed, len(data), gates) for packed, gates in _chunks(data, size))


def count_patterns(X: ArrayLike, max_steps: int = COUNT_STEPS) -> int:
    """How many activation patterns X has, exactly, without listing them.

    Rows that are parallel to within 1e-9 are taken as one hyperplane, as by `enumerate_patterns`.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample.
    max_steps : int
        The count is refused if it may take more elementary steps, about C(m, r−2)·m·r for m
        distinct hyperplanes of rank r. The default is about a minute.

    Raises
    ------
    DataError
        If the count may take too long, or X is not a finite (n, d) array.
    """
    data = as_floats(X, "X", 2)
    limit = as_count(max_steps, "max_steps")
    lines = distinct_lines(data)[0]
    m, rank = lines.shape
    steps = math.comb(m, max(0, rank - 2)) * m * rank
    if steps > limit:
        raise DataError(
            f"Counting the patterns of {m} hyperplanes of rank {rank} takes about {steps:.1e} "
            f"steps, more than max_steps = {limit:.1e}. count_patterns_bound(X) is immediate; "
            "or raise max_steps.",
            steps=steps,
            limit=limit,
        )
    return count_cells(lines)


def count_patterns_bound(X: ArrayLike) -> int:
    """An upper bound on the number of patterns of X: 2 Σ_{k<r} C(m−1, k).

    r is the rank of X and m the number of non-zero rows, parallel ones counted once. It is
    exact for rows in general position, every r of them independent (Cover, 1965).

    Raises
    ------
    DataError
        If X is not a finite (n, d) array.
    """
    return _bound(*distinct_lines(as_floats(X, "X", 2))[0].shape)


def _bound(m: int, rank: int) -> int:
    return 2 * sum(math.comb(m - 1, k) for k in range(rank)) if m else 1


def _chunks(data: FloatArray, chunk: int) -> Iterator[tuple[ByteArray, FloatArray]]:
    """All patterns, packed, with their gates, (d, p); an error at the end if any is missing."""
    lines, axes, which, flipped = distinct_lines(data)
    if not len(lines):
        yield np.packbits(np.ones((1, len(data)), dtype=np.bool_), axis=1), _ones(data.shape[1])
        return
    present = which >= 0
    total = 0
    for every, points in stream_cells(lines):
        total += len(every)
        for start in range(0, len(every), chunk):
            signs = every[start : start + chunk]
            gates = axes.T @ points[start : start + chunk].T
            gates /= np.linalg.norm(gates, axis=0)
            masks = np.ones((len(signs), len(data)), dtype=np.bool_)
            masks[:, present] = signs[:, which[present]] ^ flipped[present]
            # Products with zero rows are not positive, and their masks are true.
            if (((data @ gates).T > 0) != masks)[:, present].any():
                raise too_close()
            yield np.packbits(masks, axis=1), gates
    # Each is a pattern of X; if they are as many as there can be, or are, none is missing.
    if total != _bound(*lines.shape) and total != count_cells(lines):
        raise too_close()


def _ones(d: int) -> FloatArray:
    return np.full((d, 1), 1 / math.sqrt(d))
