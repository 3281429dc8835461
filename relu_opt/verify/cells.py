r"""The number of cells of a hyperplane arrangement, exactly, for `relu_opt.verify`.

Doubles are whole numbers times a power of two, so the rows of X are whole vectors up to factors
that no hyperplane {g : xᵀg = 0} depends on. In Python's integers nothing is rounded and nothing is
too close.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Vector = tuple[int, ...]

# Bits of a double's significand.
PRECISION = 53


class Exceeded(Exception):
    """There are more cells than were asked about."""


def count_cells(X: FloatArray, most: int) -> int | None:
    """Number of open cells into which the hyperplanes {g : x_kᵀg = 0} cut the space.

    Deletion and restriction: a further hyperplane adds as many cells as the earlier ones cut out
    of it (Zaslavsky, 1975).

    Parameters
    ----------
    X : (m, d) array
        Normals of the hyperplanes; rows of zeros have none.
    most : int
        Counting ends beyond this, so that it never takes much longer than to list as many.

    Returns
    -------
    int or None
        None if there are more than `most`.
    """
    try:
        return _count(_lines(map(whole, X)), most)
    except Exceeded:
        return None


def whole(vector: FloatArray) -> Vector:
    """The vector times the least power of two that makes it whole."""
    shares, exponents = np.frexp(vector)
    entries = [int(share) for share in np.ldexp(shares, PRECISION)]
    lowest = int(exponents[shares != 0].min(initial=2**15))
    return tuple(
        entry << int(exponent) - lowest if entry else 0
        for entry, exponent in zip(entries, exponents, strict=True)
    )


def _lines(vectors: Iterable[Vector]) -> list[Vector]:
    """The distinct lines through the vectors: without common factors, the first entry positive."""
    found = set()
    for vector in vectors:
        divisor = math.gcd(*vector)
        if divisor:
            first = next(entry for entry in vector if entry)
            divisor = divisor if first > 0 else -divisor
            found.add(tuple(entry // divisor for entry in vector))
    return sorted(found)


def _count(lines: list[Vector], most: int) -> int:
    if not lines:
        return 1
    if len(lines[0]) <= 2:
        total = 2 * len(lines)
    else:
        total = 1
        for i, normal in enumerate(lines):
            total += _count(_restricted(lines[:i], normal), most - total)
    if total > most:
        raise Exceeded
    return total


def _restricted(lines: list[Vector], normal: Vector) -> list[Vector]:
    """What the lines are on the hyperplane of a normal, without the coordinate of its pivot."""
    pivot = next(k for k, entry in enumerate(normal) if entry)
    top = normal[pivot]
    rest = [k for k in range(len(normal)) if k != pivot]
    return _lines(tuple(top * line[k] - line[pivot] * normal[k] for k in rest) for line in lines)
