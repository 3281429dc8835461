"""Activation patterns: which samples a hidden neuron is active on.

Pattern i of gate vector g_i is the 0/1 vector 1[X g_i ≥ 0]. Patterns are stored as packed
bits, one row a pattern, so that p patterns of n samples take np/8 bytes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import (
    BoolArray,
    ByteArray,
    FloatArray,
    IntArray,
    as_count,
    as_floats,
    as_rows,
    frozen,
    without_mask,
)
from relu_opt.errors import DataError
from relu_opt.program.cells import sample_cells
from relu_opt.program.lines import distinct_lines
from relu_opt.program.signs import masks_of

# How `sample_patterns` draws gates.
METHODS = ("gaussian", "corners")
# Bytes of unpacked masks held at a time by loops over patterns.
CHUNK_BYTES = 32 * 2**20

# Random gates that an array can hold.
MOST_GATES = 2**31


@dataclass(frozen=True, init=False, eq=False)
class Patterns:
    """Activation patterns of n samples.

    Parameters
    ----------
    masks : (n, p) array of bool
        Column i says on which samples pattern i is active.
    gates : (d, p) array, optional
        Gate vectors with masks[:, i] = (X @ gates[:, i] ≥ 0). Gated-ReLU networks need
        them, since a gated neuron predicts through its gate.
    complete : bool
        Whether these are all patterns of the data, as `enumerate_patterns` returns.
    remainders : (k, d, p) array, optional
        What the gates, as doubles, lack of points strictly inside their cones: cells thinner than
        rounding hold no double. The exact sums gates + remainders[0] + … are inside. A gated
        neuron cannot have such a pattern.

    Attributes
    ----------
    packed : (p, ceil(n/8)) array of uint8
        The masks, packed along the samples.

    Raises
    ------
    DataError
        If the masks are not 0/1, empty, or do not match the gates in number.
    """

    packed: ByteArray
    n: int
    gates: FloatArray | None
    complete: bool
    remainders: FloatArray | None

    def __init__(
        self,
        masks: ArrayLike,
        gates: ArrayLike | None = None,
        complete: bool = False,
        remainders: ArrayLike | None = None,
    ) -> None:
        masks = without_mask(masks, "masks")
        try:
            array = np.asarray(masks)
        except ValueError as error:
            raise DataError(f"masks is not a matrix: {error}.") from error
        if array.ndim != 2 or array.size == 0:
            raise DataError(
                f"masks has shape {array.shape}, and (n, p) with at least one sample and one "
                "pattern is needed.",
                shape=array.shape,
            )
        if array.dtype != np.bool_ and not (
            array.dtype.kind in "iuf" and np.isin(array, (0, 1)).all()
        ):
            raise DataError("masks holds values other than 0 and 1. Pass booleans.")
        packed = np.packbits(array.astype(np.bool_).T, axis=1)
        self._fill(packed, array.shape[0], gates, complete, remainders)

    @classmethod
    def from_packed(
        cls,
        packed: ByteArray,
        n: int,
        gates: ArrayLike | None = None,
        complete: bool = False,
        remainders: ArrayLike | None = None,
    ) -> Patterns:
        """Patterns from bits that are packed already: (p, ceil(n/8)) uint8."""
        packed = np.asarray(packed)
        if packed.dtype != np.uint8 or packed.ndim != 2 or not packed.shape[0] or n < 1:
            raise DataError("Packed patterns need a (p, ceil(n/8)) array of uint8.")
        if packed.shape[1] != (n + 7) // 8:
            raise DataError(
                f"Packed patterns of {n} samples need {(n + 7) // 8} bytes a row, "
                f"not {packed.shape[1]}."
            )
        patterns = object.__new__(cls)
        patterns._fill(packed.copy(), n, gates, complete, remainders)
        return patterns

    def _fill(
        self,
        packed: ByteArray,
        n: int,
        gates: ArrayLike | None,
        complete: bool,
        remainders: ArrayLike | None,
    ) -> None:
        checked = None if gates is None else as_floats(gates, "gates", 2)
        if checked is not None and checked.shape[1] != len(packed):
            raise DataError(
                f"gates has {checked.shape[1]} columns and masks has {len(packed)}. "
                "Each pattern needs its own gate.",
                gates=checked.shape[1],
                masks=len(packed),
            )
        rest = None if remainders is None else as_floats(remainders, "remainders", 3)
        if rest is not None and (checked is None or rest.shape[1:] != checked.shape):
            raise DataError(
                f"remainders has shape {rest.shape}, and needs one or more layers of the shape of "
                "gates.",
                shape=rest.shape,
            )
        # Bits beyond the last sample have no meaning; equal patterns must have equal bytes.
        if n % 8:
            packed[:, -1] &= 0xFF << (8 - n % 8) & 0xFF
        object.__setattr__(self, "packed", frozen(packed))
        object.__setattr__(self, "n", int(n))
        object.__setattr__(self, "gates", checked)
        object.__setattr__(self, "complete", bool(complete))
        object.__setattr__(self, "remainders", rest)

    def __len__(self) -> int:
        return len(self.packed)

    def __repr__(self) -> str:
        kind = ", complete" if self.complete else ""
        return f"Patterns(n={self.n}, p={len(self)}{kind})"

    @property
    def masks(self) -> BoolArray:
        """The (n, p) boolean matrix, unpacked anew at each call."""
        return self.unpack(slice(None)).T

    def unpack(self, which: slice | np.ndarray) -> BoolArray:
        """The chosen patterns as a boolean matrix, one *row* a pattern."""
        return np.unpackbits(self.packed[which], axis=1, count=self.n).view(np.bool_)

    def select(self, which: IntArray) -> Patterns:
        """Some of the patterns with their gates, by position, (k,) int."""
        gates = None if self.gates is None else self.gates[:, which]
        rest = None if self.remainders is None else self.remainders[:, :, which]
        return Patterns.from_packed(self.packed[which], self.n, gates, remainders=rest)

    def with_rows(self, rows: ArrayLike) -> Patterns:
        """The distinct patterns on some of the samples, each with its first gate.

        All patterns of the data restrict to all patterns of a part, so `complete` stays.

        Parameters
        ----------
        rows : (k,) int array
            Positions of the samples, in their new order.
        """
        chosen = as_rows(rows, "rows", self.n)
        packed = np.concatenate(
            [np.packbits(self.unpack(part)[:, chosen], axis=1) for part in self.chunks(1)]
        )
        keep = unique_rows(packed)
        gates = None if self.gates is None else self.gates[:, keep]
        rest = None if self.remainders is None else self.remainders[:, :, keep]
        return Patterns.from_packed(packed[keep], len(chosen), gates, self.complete, rest)

    def chunks(self, bytes_each: int = 8) -> Iterator[slice]:
        """Slices of the patterns that keep unpacked chunks within `CHUNK_BYTES`."""
        step = max(1, CHUNK_BYTES // (bytes_each * self.n))
        for start in range(0, len(self), step):
            yield slice(start, min(start + step, len(self)))


def unique_rows(packed: ByteArray) -> np.ndarray:
    """Positions of the first occurrence of each distinct row, in order."""
    keys = np.ascontiguousarray(packed).view(np.dtype((np.void, packed.shape[1]))).ravel()
    first: np.ndarray = np.unique(keys, return_index=True)[1]
    return np.sort(first)


def patterns_of_gates(X: ArrayLike, gates: ArrayLike) -> Patterns:
    """The distinct patterns of given gate vectors, in the order of the gates.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample.
    gates : (d, k) array
        One gate vector a column. Gates that repeat a pattern are dropped.

    Returns
    -------
    Patterns
        At most k patterns, each with its gate.
    """
    data = as_floats(X, "X", 2)
    directions = as_floats(gates, "gates", 2)
    if directions.shape[0] != data.shape[1]:
        raise DataError(
            f"gates has {directions.shape[0]} rows, and X has {data.shape[1]} columns. "
            "A gate needs one entry a feature.",
            gates=directions.shape,
            X=data.shape,
        )
    step = max(1, CHUNK_BYTES // (8 * len(data)))
    packed = np.concatenate(
        [
            np.packbits(masks_of(data, directions[:, k : k + step]).T, axis=1)
            for k in range(0, directions.shape[1], step)
        ]
    )
    keep = unique_rows(packed)
    return Patterns.from_packed(packed[keep], len(data), directions[:, keep])


def sample_patterns(
    X: ArrayLike, n_gates: int = 500, seed: int = 0, method: str = "gaussian"
) -> Patterns:
    """Patterns of `n_gates` random gate vectors, duplicates dropped.

    A normal gate finds a cell by its share of the sphere, so thin cells are missed. A corner's
    gate finds it by the number of its corners, which thin cells have as many of as others.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample.
    n_gates : int
        How many gates to draw. Fewer patterns come back when gates share a pattern.
    seed : int
        Seed of `numpy.random.default_rng`; the same seed gives the same patterns.
    method : {"gaussian", "corners"}
        Standard normal gates, or: r − 1 random rows of X, of rank r, are orthogonal to one
        direction, a corner of the cells; the gate is inside a random one of the cells about it.
        Corners in which rounding hides the cells are left out.

    Returns
    -------
    Patterns
        With gates, and `complete=False`: sampling is never a proof of completeness.

    Raises
    ------
    DataError
        If the method is unknown, or the rows drawn have no corner: more gates may have one.
    """
    data = as_floats(X, "X", 2)
    count = as_count(n_gates, "n_gates")
    if count > MOST_GATES:
        raise DataError(f"n_gates is {count}, more than {MOST_GATES}.", n_gates=count)
    rng = np.random.default_rng(as_count(seed, "seed", least=0))
    if method not in METHODS:
        raise DataError(
            f"method is {method!r}, and 'gaussian' or 'corners' is needed.", method=method
        )
    if method == "gaussian" or not data.any():
        return patterns_of_gates(data, rng.standard_normal((data.shape[1], count)))
    lines, axes, _, _ = distinct_lines(data)
    points = sample_cells(lines, count, rng)
    if not len(points):
        raise DataError(
            f"None of the {count} choices of rows has a corner: they are dependent. Draw more "
            "gates, or take method='gaussian'.",
            n_gates=count,
        )
    return patterns_of_gates(data, axes.T @ points.T)
