r"""Doubles as integers, and many of them in one.

A double is an integer times a power of two, so that sums and products of doubles are those of
integers, without any rounding, and whatever their range.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

# Significant binary digits of the few quotients and roots that have to be rounded.
DIGITS = 160
_VALUES = bytes.maketrans(b"01", b"\0\1")


@dataclass(frozen=True)
class Integers:
    """The numbers `values` · 2^−`shift`."""

    values: list[int]
    shift: int

    def scaled(self, shift: int) -> list[int]:
        """The values for another shift, not below one's own."""
        return [value << shift - self.shift for value in self.values]

    def rows(self, width: int) -> list[list[int]]:
        """The values of a matrix of that width, row by row."""
        return [self.values[k : k + width] for k in range(0, len(self.values), width)]


def integers(*doubles: NDArray[np.float64] | Iterable[float]) -> Integers:
    """All entries, in their order, as integers with one shift."""
    flat = [x for each in doubles for x in np.ravel(np.asarray(each, dtype=np.float64)).tolist()]
    ratios = [x.as_integer_ratio() for x in flat]
    shift = max((q.bit_length() - 1 for _, q in ratios), default=0)
    return Integers([p << shift - q.bit_length() + 1 for p, q in ratios], shift)


class Packing:
    """Vectors of `count` integers of size at most `bound`, each vector as one integer.

    Packed vectors are added, and multiplied by integers, like numbers, as long as no entry
    exceeds the bound.
    """

    def __init__(self, count: int, bound: int) -> None:
        self.count = count
        self.bytes: int = (bound.bit_length() + 9) // 8
        self._half = 1 << 8 * self.bytes - 1
        # Added so that no entry is negative, and none borrows from its neighbour.
        self._offset = int.from_bytes(self._half.to_bytes(self.bytes, "little") * count, "little")

    def pack(self, values: Iterable[int]) -> int:
        fields = b"".join((v + self._half).to_bytes(self.bytes, "little") for v in values)
        return int.from_bytes(fields, "little") - self._offset

    def unpack(self, vector: int) -> list[int]:
        raw = (vector + self._offset).to_bytes(self.bytes * self.count, "little")
        step, half = self.bytes, self._half
        return [
            int.from_bytes(raw[k : k + step], "little") - half for k in range(0, len(raw), step)
        ]


def products(rows: Iterable[list[int]], vectors: Sequence[list[int]]) -> Iterator[list[int]]:
    """For each row x, the products xᵀu with every vector u."""
    rows = list(rows)
    width = len(rows[0])
    packing = Packing(len(vectors), width * largest(rows) * largest(vectors))
    columns = [packing.pack(column) for column in zip(*vectors, strict=True)] or [0] * width
    for row in rows:
        yield packing.unpack(sum(map(operator.mul, row, columns)))


def largest(rows: Iterable[Iterable[int]]) -> int:
    """The largest absolute value."""
    return max((abs(value) for row in rows for value in row), default=0)


def masks(packed: NDArray[np.uint8], n: int) -> list[int]:
    """Each pattern, packed in bytes, as an integer of n binary digits, the first sample's first."""
    return [int.from_bytes(row.tobytes(), "big") >> -n % 8 for row in packed]


def digits(mask: int, n: int) -> bytes:
    """The binary digits of a mask, the first sample's first: a byte 0 or 1 each."""
    return f"{mask:0{n}b}".encode().translate(_VALUES)


def mask(bits: Iterable[bool]) -> int:
    """The integer with these binary digits, the first sample's first."""
    return int("".join("1" if bit else "0" for bit in bits), 2)


def below(value: Fraction) -> Fraction:
    """A nonnegative number rounded down to `DIGITS` significant binary digits."""
    shift = DIGITS + value.denominator.bit_length() - value.numerator.bit_length()
    power = Fraction(2) ** shift
    return Fraction(math.floor(value * power)) / power


def balanced(numbers: Integers) -> Integers:
    """The numbers with sum zero: the remainder is taken out of the largest."""
    values = list(numbers.values)
    worst = max(range(len(values)), key=lambda k: abs(values[k]))
    values[worst] -= sum(values)
    return Integers(values, numbers.shift)


def root_below(square: Fraction, more: int = 0) -> Fraction:
    """The root of a nonnegative number, rounded down to about `DIGITS` binary digits."""
    shift = DIGITS + max(0, square.denominator.bit_length() - square.numerator.bit_length()) // 2
    return Fraction(math.isqrt(math.floor(square * (1 << 2 * shift))) + more, 1 << shift)


def root_above(square: Fraction) -> Fraction:
    """The root of a nonnegative number, rounded up."""
    low = root_below(square)
    return low if low**2 == square else root_below(square, 1)


def primitive(row: Sequence[int]) -> tuple[int, ...]:
    """The shortest integer vector in the direction of a row that is not zero."""
    divisor = math.gcd(*row)
    return tuple(value // divisor for value in row)


def rounded(value: int, shift: int) -> float:
    """value · 2^−shift, rounded once; inf where that is too large."""
    try:
        return value / (1 << shift) if shift >= 0 else float(value << -shift)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
