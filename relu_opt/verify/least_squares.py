"""Nonnegative least squares, for searches that need a good guess and no more.

The systems are of a few columns, for which lists are faster than arrays.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# A pull below this share of the largest is rounding, and what keeps equations solvable.
NOTHING, DAMPING = 1e-12, 1e-14


def nonnegative(A: FloatArray, b: FloatArray) -> FloatArray:
    """x ≥ 0 with ‖Ax − b‖ about as small as can be (Lawson and Hanson, 1974, chapter 23).

    Whoever uses x proves what it shows; after 3k steps it is returned as it is.
    """
    width, pulls = A.shape[1], (A.T @ b).tolist()
    matrix = A.T @ A
    products: list[list[float]] = matrix.tolist()
    damping = DAMPING * float(matrix.diagonal().max(initial=0.0))
    if not damping > 0:
        return np.zeros(width)  # squares that vanish, or are no numbers, show nothing
    for k, row in enumerate(products):
        row[k] += DAMPING * row[k] + damping
    most = NOTHING * max(map(abs, pulls), default=0.0)
    x: dict[int, float] = {}
    for _ in range(3 * width):
        left = {
            k: pulls[k] - sum(products[k][j] * value for j, value in x.items())
            for k in range(width)
            if k not in x
        }
        best = max(left, key=left.__getitem__, default=-1)
        if best < 0 or not left[best] > most:
            break
        x[best] = 0.0
        while True:
            wanted = _solved(products, pulls, list(x))
            falling = [k for k, value in wanted.items() if not value > 0]
            if not falling:
                break
            # Back to where the first of them comes to zero.
            step = min(x[k] / (x[k] - wanted[k]) if x[k] > wanted[k] else 0.0 for k in falling)
            x = {k: value + step * (wanted[k] - value) for k, value in x.items()}
            least = NOTHING * max(x.values())
            x = {k: value for k, value in x.items() if k not in falling or value > least}
        x = wanted
    found = np.zeros(width)
    found[list(x)] = list(x.values())
    return found


def _solved(products: list[list[float]], pulls: list[float], some: list[int]) -> dict[int, float]:
    """The equations of some columns, by elimination; they are positive definite."""
    rows = [[products[i][j] for j in some] + [pulls[i]] for i in some]
    count = len(some)
    for i in range(count):
        pivot = rows[i]
        for k in range(i + 1, count):
            row = rows[k]
            share = row[i] / pivot[i]
            if share:
                for j in range(i + 1, count + 1):
                    row[j] -= share * pivot[j]
    values = [0.0] * count
    for i in reversed(range(count)):
        row = rows[i]
        rest = row[count] - sum(row[j] * values[j] for j in range(i + 1, count))
        values[i] = rest / row[i]
    return dict(zip(some, values, strict=True))
