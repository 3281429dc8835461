"""All activation patterns of the data: the cells of a central hyperplane arrangement.

The rows of X are normals of hyperplanes {g : x_kᵀg = 0}; each open cell between them is one
pattern. Gates *on* a hyperplane make further patterns, but their cones lie in the closure of a
cell's cone and add nothing to a convex ReLU program (Pilanci & Ergen, ICML 2020).

`lines.py` finds the distinct hyperplanes, `cells.py` lists the cells in doubles, and `integers.py`
has the last word: on the signs of every gate, on the number of the cells, and on what cells there
are where doubles cannot tell.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import BoolArray, ByteArray, FloatArray, IntArray, as_count, as_floats
from relu_opt.errors import DataError
from relu_opt.program.cells import stream_cells
from relu_opt.program.integers import (
    Whole,
    all_cells,
    count_cells,
    dot,
    independent_columns,
    one_sided,
    shortest,
    strictly_on,
)
from relu_opt.program.lines import TooClose, distinct_lines, too_close
from relu_opt.program.patterns import Patterns, unique_rows

# More patterns than this are listed only on request.
MAX_PATTERNS = 100_000
# Elementary steps that an exact count may take: about a minute.
COUNT_STEPS = 200_000_000
# Signs of cells that are found in integers, where doubles cannot: some seconds.
EXACT_SIGNS = 600_000
# Binary digits of an inner point of norm 1, and the most doubles whose sum one of its entries is.
DIGITS, MOST_LAYERS = 400, 8
# Patterns that a stream yields at a time.
CHUNK = 10_000


def enumerate_patterns(X: ArrayLike, max_patterns: int = MAX_PATTERNS) -> Patterns:
    """All activation patterns of X, each with a gate strictly inside its cell.

    Rows of zeros are active in every pattern. Two rows are one hyperplane only if they are parallel
    exactly, as the doubles that they are: (0.3, 0.9) is not quite 3 times (0.1, 0.3).

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample.
    max_patterns : int
        The enumeration is refused if `count_patterns_bound(X)` is above this.

    Returns
    -------
    Patterns
        With `complete=True` and unit gates with masks = (X @ gates > 0) on non-zero rows. Where a
        cell is too thin to hold a double, as in data in tenths, `remainders` say what is missing.

    Raises
    ------
    DataError
        If there may be more patterns than `max_patterns`, or if rows are so nearly dependent
        that doubles cannot tell the cells apart, and too many for integers.
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
    try:
        parts = list(_chunks(data, CHUNK))
    except TooClose:
        return _in_integers(data)
    packed = np.concatenate([masks for masks, _ in parts])
    if not _distinct(packed):
        raise too_close()
    gates = np.concatenate([points for _, points in parts], axis=1)
    return Patterns.from_packed(packed, len(data), gates, complete=True)


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

    The count is in integers: nothing is rounded, and nothing is too close.

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
    arrangement = _Arrangement(data)
    m, rank = len(arrangement.lines), arrangement.rank
    steps = math.comb(m, max(0, rank - 2)) * m * rank
    if steps > limit:
        raise DataError(
            f"Counting the patterns of {m} hyperplanes of rank {rank} takes about {steps:.1e} "
            f"steps, more than max_steps = {limit:.1e}. count_patterns_bound(X) is immediate; "
            "or raise max_steps.",
            steps=steps,
            limit=limit,
        )
    return arrangement.count()


def count_patterns_bound(X: ArrayLike) -> int:
    """An upper bound on the number of patterns of X: 2 Σ_{k<r} C(m−1, k).

    r is the rank of X and m the number of non-zero rows, parallel ones counted once. It is
    exact for rows in general position, every r of them independent (Cover, 1965).

    Raises
    ------
    DataError
        If X is not a finite (n, d) array.
    """
    return _Arrangement(as_floats(X, "X", 2)).bound


def _distinct(packed: ByteArray) -> bool:
    """Whether no two rows are equal: most quickly, whether no two of their fingerprints are."""
    weights = np.random.default_rng(0).integers(2**63, size=packed.shape[1], dtype=np.uint64)
    if len(np.unique(packed.astype(np.uint64) @ weights)) == len(packed):
        return True
    return len(unique_rows(packed)) == len(packed)


class _Arrangement:
    """The distinct lines of a data matrix: in doubles, and in integers when these are asked for."""

    def __init__(self, data: FloatArray) -> None:
        self.data = data
        self.lines, self.axes, self.which, self.flipped = distinct_lines(data)
        self.present = self.which >= 0
        _, first = np.unique(self.which[self.present], return_index=True)
        self.first = np.flatnonzero(self.present)[first]

    @functools.cached_property
    def columns(self) -> IntArray:
        """Columns on which the lines are what they are on all; those of zeros never matter."""
        rows, rank = self.data[self.first], self.lines.shape[1]
        some = np.flatnonzero(rows.any(axis=0))
        if rank == min(len(rows), len(some)):
            return some
        whole = [shortest(row) for row in rows[:, some]]
        found = independent_columns(whole, rank, self.lines @ self.axes[:, some])
        return some if found is None else some[found]

    @property
    def rank(self) -> int:
        """The rank, or, where that is not known exactly, more."""
        return min(len(self.lines), len(self.columns))

    @property
    def bound(self) -> int:
        """2 Σ_{k<r} C(m−1, k)."""
        m = len(self.lines)
        return 2 * sum(math.comb(m - 1, k) for k in range(self.rank)) if m else 1

    @functools.cached_property
    def whole(self) -> list[Whole]:
        """The lines on those columns as integer vectors."""
        return [shortest(row) for row in self.data[np.ix_(self.first, self.columns)]]

    def count(self) -> int:
        return count_cells([one_sided(line)[0] for line in self.whole])

    def masks(self, sides: BoolArray) -> BoolArray:
        """The patterns of the data, (p, n), from the sides of the lines, (p, m)."""
        masks = np.ones((len(sides), len(self.data)), dtype=np.bool_)
        masks[:, self.present] = sides[:, self.which[self.present]] ^ self.flipped[self.present]
        return masks

    def inside(self, sides: BoolArray, *layers: FloatArray) -> BoolArray:
        """Which exact sums of layers, (d, p), lie strictly on these sides, (p, m), of all lines."""
        rows = np.tile(self.data[self.first], len(layers))
        return strictly_on(rows, np.concatenate(layers), sides)

    def points_in(self, cells: dict[tuple[bool, ...], Whole]) -> list[FloatArray]:
        """Unit points strictly inside cells, (d, p), as the exact sums of a few arrays.

        The first is a double next to the point; in cells thinner than rounding more are needed.
        """
        sides = np.array(list(cells), dtype=np.bool_)
        lengths = [math.isqrt(dot(point, point) << 2 * DIGITS) for point in cells.values()]
        rest = np.array(
            [
                [(entry << 2 * DIGITS) // length for entry in point]
                for point, length in zip(cells.values(), lengths, strict=True)
            ],
            dtype=object,
        ).T
        layers, inside = list[FloatArray](), np.zeros(len(sides), dtype=np.bool_)
        while not inside.all():
            if len(layers) == MOST_LAYERS:
                raise too_close()
            rest[:, inside] = 0
            layers.append(np.zeros((self.data.shape[1], len(sides))))
            nearest = rest.astype(np.float64)
            rest = rest - np.vectorize(int, otypes=[object])(nearest)
            layers[-1][self.columns] = np.ldexp(nearest, -DIGITS)
            inside = self.inside(sides, *layers)
        return layers


def _chunks(data: FloatArray, chunk: int) -> Iterator[tuple[ByteArray, FloatArray]]:
    """All patterns, packed, with their gates, (d, p); an error at the end if any is missing."""
    arrangement = _Arrangement(data)
    if not len(arrangement.lines):
        yield np.packbits(np.ones((1, len(data)), dtype=np.bool_), axis=1), _ones(data.shape[1])
        return
    total = 0
    for sides, points in stream_cells(arrangement.lines):
        total += len(sides)
        for start in range(0, len(sides), chunk):
            part = slice(start, start + chunk)
            gates = arrangement.axes.T @ points[part].T
            gates /= np.linalg.norm(gates, axis=0)
            if not arrangement.inside(sides[part], gates).all():
                raise too_close()
            yield np.packbits(arrangement.masks(sides[part]), axis=1), gates
    # Each is a pattern of X; if they are as many as there can be, or are, none is missing.
    if total != arrangement.bound and total != arrangement.count():
        raise too_close()


def _in_integers(data: FloatArray) -> Patterns:
    """All patterns at once, for data whose cells doubles cannot tell apart."""
    arrangement = _Arrangement(data)
    if arrangement.bound * len(arrangement.lines) > EXACT_SIGNS:
        raise too_close()
    cells = all_cells(arrangement.whole)
    gates, *rest = arrangement.points_in(cells)
    packed = np.packbits(arrangement.masks(np.array(list(cells), dtype=np.bool_)), axis=1)
    remainders = np.array(rest) if rest else None
    return Patterns.from_packed(packed, len(data), gates, True, remainders)


def _ones(d: int) -> FloatArray:
    return np.full((d, 1), 1 / math.sqrt(d))
