r"""Exact decisions about the rows of X: doubles are integers times a power of two.

A hyperplane {g : xᵀg = 0} does not change with the length of x, so its row may be taken as the
shortest integer vector of its direction. Python's integers then decide what doubles cannot: whether
rows are parallel, their rank, how many cells their hyperplanes have, and the cells themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.linalg import qr

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.rounding import gamma

Whole = tuple[int, ...]
# Products of integers that the exact rank may take.
RANK_STEPS = 20_000_000
# Products of scaled vectors below this say nothing: numbers may have underflowed.
LEAST = 2.0**-900


def shortest(row: FloatArray) -> Whole:
    """The shortest integer vector that is a positive multiple of a row; zeros for zeros."""
    ratios = [entry.as_integer_ratio() for entry in row.tolist()]
    # Denominators are powers of two, so that the largest is a multiple of all.
    unit = max((below for _, below in ratios), default=1)
    return _reduced([above * (unit // below) for above, below in ratios])


def _reduced(vector: Sequence[int]) -> Whole:
    divisor = math.gcd(*vector)
    return tuple(entry // divisor for entry in vector) if divisor > 1 else tuple(vector)


def one_sided(vector: Whole) -> tuple[Whole, bool]:
    """The vector or its negative, whose first entry is positive; and whether it was turned."""
    turned = next((entry for entry in vector if entry), 0) < 0
    return (tuple(-entry for entry in vector) if turned else vector), turned


def dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(x * z for x, z in zip(a, b, strict=True))


def strictly_on(X: FloatArray, gates: FloatArray, sides: BoolArray) -> BoolArray:
    """Which gates, (d, p), have products with all rows of the signs that sides, (p, n), say.

    Nothing is rounded: doubles decide where they can.
    """
    d = X.shape[1]
    rows = np.ldexp(X, -np.frexp(np.abs(X).max(axis=1))[1][:, None])
    points = np.ldexp(gates, -np.frexp(np.abs(gates).max(axis=0))[1])
    products = points.T @ rows.T
    np.negative(products, out=products, where=~sides)
    # Entries are below 1, so that no sum of absolute products is above d.
    doubt = d * gamma(d + 2) + LEAST
    least = products.min(axis=1)
    found = np.asarray(least > doubt)
    for j in np.flatnonzero(np.abs(least) <= doubt):
        close = np.flatnonzero(np.abs(products[j]) <= doubt)
        exact = [_product(X[k], gates[:, j]) for k in close]
        found[j] = all(
            value > 0 if side else value < 0
            for value, side in zip(exact, sides[j, close], strict=True)
        )
    return found


def _product(a: FloatArray, b: FloatArray) -> Fraction:
    pairs = zip(a.tolist(), b.tolist(), strict=True)
    return sum((Fraction(x) * Fraction(z) for x, z in pairs), start=Fraction(0))


def independent_columns(rows: list[Whole], guess: int, floats: FloatArray) -> IntArray | None:
    """Columns on which the rows have the rank that they have, if that is `guess`; else None.

    With r rows I and columns J of an invertible B, the rank is r iff W = W_J B⁻¹ W_I.
    """
    m, d = floats.shape
    if m * d * guess > RANK_STEPS:
        return None
    J = np.sort(qr(floats, mode="r", pivoting=True)[1][:guess])
    I = np.sort(qr(floats[:, J].T, mode="r", pivoting=True)[1][:guess])  # noqa: E741
    table = [[rows[i][j] for j in J] + list(rows[i]) for i in I]
    determinant = eliminated(table)
    if not determinant:
        return None
    W = np.array(rows, dtype=object).reshape(m, d)
    solved = np.array([row[guess:] for row in table], dtype=object).reshape(guess, d)
    same = (W * determinant == W[:, J] @ solved).all()
    return J if same else None


def eliminated(table: list[list[int]]) -> int:
    """Turn (B | C) into (det B · 1 | adj(B) C) in place, without fractions (Bareiss); det B."""
    last = 1
    for k in range(len(table)):
        pivot = next((i for i in range(k, len(table)) if table[i][k]), None)
        if pivot is None:
            return 0
        if pivot != k:
            table[k], table[pivot] = [-entry for entry in table[pivot]], table[k]
        top = table[k]
        for i, row in enumerate(table):
            if i != k:
                table[i] = [
                    (top[k] * entry - row[k] * other) // last
                    for entry, other in zip(row, top, strict=True)
                ]
        last = top[k]
    return last


# -- cells -----------------------------------------------------------------------------------


def count_cells(lines: list[Whole]) -> int:
    """How many open cells distinct lines have, by deletion and restriction.

    A further hyperplane adds as many cells as the earlier ones cut out of it (Zaslavsky, 1975).
    """
    if not lines:
        return 1
    if len(lines[0]) <= 2:
        return 2 * len(lines)
    return 1 + sum(count_cells(_within(lines[:i], normal)[0]) for i, normal in enumerate(lines))


def all_cells(lines: list[Whole]) -> dict[tuple[bool, ...], Whole]:
    """The open cells of distinct lines: the sides of each, and an integer point inside.

    Each line cuts those cells that its own cells, by the lines before it, are parts of.
    """
    size = len(lines[0]) if lines else 0
    cells: dict[tuple[bool, ...], Whole] = {(): (0,) * size}
    for i, normal in enumerate(lines):
        before = lines[:i]
        cut = dict(_on(before, normal))
        after = {}
        for sides, point in cells.items():
            if sides in cut:
                for positive in (True, False):
                    step = normal if positive else tuple(-entry for entry in normal)
                    after[(*sides, positive)] = _beside(cut[sides], step, before)
            else:
                after[(*sides, dot(normal, point) > 0)] = point
        cells = after
    return cells


def _on(lines: list[Whole], normal: Whole) -> list[tuple[tuple[bool, ...], Whole]]:
    """The cells of lines on the hyperplane of a normal, with points on it."""
    below, which, turned = _within(lines, normal)
    pivot = next(k for k, entry in enumerate(normal) if entry)
    rest = normal[:pivot] + normal[pivot + 1 :]
    top = abs(normal[pivot])
    side = 1 if normal[pivot] > 0 else -1
    found = []
    for sides, point in all_cells(below).items():
        point = point or (0,) * len(rest)
        lifted = [top * entry for entry in point]
        lifted.insert(pivot, -side * dot(rest, point))
        signs_ = tuple(sides[k] != back for k, back in zip(which, turned, strict=True))
        found.append((signs_, _reduced(lifted)))
    return found


def _within(lines: list[Whole], normal: Whole) -> tuple[list[Whole], list[int], list[bool]]:
    """The distinct lines that lines are on a hyperplane; which each is, and whether turned.

    Coordinates on the hyperplane are all but the first that its normal has.
    """
    pivot = next(k for k, entry in enumerate(normal) if entry)
    # A positive multiple of what is left of the line, so that sides stay what they are.
    top = abs(normal[pivot])
    side = 1 if normal[pivot] > 0 else -1
    rest = [k for k in range(len(normal)) if k != pivot]
    places: dict[Whole, int] = {}
    which, turned = [], []
    for line in lines:
        share = side * line[pivot]
        kept, back = one_sided(_reduced([top * line[k] - share * normal[k] for k in rest]))
        which.append(places.setdefault(kept, len(places)))
        turned.append(back)
    return list(places), which, turned


def _beside(point: Whole, step: Whole, lines: list[Whole]) -> Whole:
    """A point from here in the direction of a step, on the same sides of all lines.

    It goes 2ᵏ steps: less than the point's own length, and than half of the way to any line.
    """
    ways = [(sum(map(abs, point)), sum(map(abs, step)))]
    ways += [(dot(line, point), dot(line, step)) for line in lines]
    # 2ᵏ |l·s| < 2ᵏ⁺ᵇ ≤ |l·p|/2 with the numbers b of bits.
    k = min(to.bit_length() - by.bit_length() - 2 for to, by in ways if by)
    if not any(point):
        return step
    down, up = max(0, -k), max(0, k)
    return _reduced([(x << down) + (z << up) for x, z in zip(point, step, strict=True)])
