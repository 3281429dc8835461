"""Standard programs whose outcome is known: the optimum is planted in whole numbers.

A point x, multipliers y and z and slacks are drawn that satisfy the conditions of optimality, and
costs and sides follow from them. All are small whole numbers times powers of two, so that no
rounding takes part, and the objective at x is the optimum exactly. Infeasible and unbounded
programs have their ray planted in the same way; small integer programs are searched in full.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

import numpy as np
from scipy.sparse import csc_array

import relu_opt as ro
from relu_opt.program import Cones, ConicProgram

from .data import Rng

Program = ro.LinearProgram | ro.QuadraticProgram | ConicProgram
# Sides and bounds that hold nothing.
SLACK = (1e6, 1e9, 1e12, 1e15)


@dataclass(frozen=True)
class Known:
    """A program and what is true of it.

    Attributes
    ----------
    outcome : str
        `optimal`, `infeasible`, `unbounded` or `nonconvex`.
    optimum : Fraction or None
    size : float
        What an error of the objective is relative to: the sum of the sizes of its terms.
    x, y, ray : array or None
        An optimal point and multipliers of the rows; a ray.
    """

    program: Program
    outcome: str
    optimum: Fraction | None = None
    size: float = 1.0
    x: np.ndarray | None = None
    y: np.ndarray | None = None
    ray: np.ndarray | None = None


def whole(rng: Rng, shape: int | tuple[int, ...], most: int = 5) -> np.ndarray:
    """Whole numbers, zeros among them."""
    return rng.integers(-most, most + 1, shape).astype(float)


def powers(rng: Rng, count: int, most: int) -> np.ndarray:
    """Powers of two."""
    return 2.0 ** rng.integers(-most, most + 1, count)


def planted(rng: Rng, curved: bool) -> Known:
    """A linear or quadratic program with its optimum."""
    k, m = int(rng.integers(1, 9)), int(rng.integers(0, 9))
    A, x = whole(rng, (m, k)), whole(rng, k)
    A *= rng.random((m, k)) < 0.7
    P = np.zeros((k, k))
    if curved:
        L = whole(rng, (int(rng.integers(0, k + 1)), k), 2)
        P = L.T @ L
    y, row_lower, row_upper = _held(rng, A @ x)
    z, lower, upper = _held(rng, x)
    c = -(P @ x + A.T @ y + z)
    if rng.random() < 0.4:  # badly scaled rows, columns and costs
        D, R, w = powers(rng, k, 12), powers(rng, m, 12), 2.0 ** rng.integers(-20, 21)
        P, c, A = w * D[:, None] * P * D, w * D * c, R[:, None] * A * D
        x, lower, upper = x / D, lower / D, upper / D
        y, row_lower, row_upper = w * y / R, R * row_lower, R * row_upper
    lower, upper = _loose(rng, lower, upper, x)
    row_lower, row_upper = _loose(rng, row_lower, row_upper, A @ x)
    offset = float(whole(rng, 1, 100)[0]) if rng.random() < 0.2 else 0.0
    parts = {"c": c, "A": A, "row_lower": row_lower, "row_upper": row_upper}
    parts |= {"lower": lower, "upper": upper, "offset": offset}
    program: Program = ro.LinearProgram(**parts)
    if curved:
        program = ro.QuadraticProgram(P=P, **parts)
    terms = float(np.abs(c) @ np.abs(x) + 0.5 * np.abs(x) @ np.abs(P) @ np.abs(x))
    return Known(program, "optimal", exact(P, c, x, offset), terms, x, y)


def _held(rng: Rng, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Multipliers, and sides that are met where they are not zero."""
    kind = rng.integers(0, 6, len(at))
    size = rng.integers(1, 6, len(at)).astype(float)
    room = rng.integers(1, 6, (2, len(at))).astype(float)
    y = np.select([kind == 0, kind == 1, kind == 2], [size, -size, whole(rng, len(at))], 0.0)
    upper = np.select([kind == 0, kind == 2, kind == 3], [at, at, at + room[0]], np.inf)
    lower = np.select([kind == 1, kind == 2, kind == 4], [at, at, at - room[1]], -np.inf)
    degenerate = (kind == 5) & (rng.random(len(at)) < 0.5)
    return y, lower, np.where(degenerate, at, upper)


def _loose(
    rng: Rng, lower: np.ndarray, upper: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Some of the sides that are not there become large ones."""
    far = rng.choice(SLACK, (2, len(at)))
    some = rng.random((2, len(at))) < 0.3
    upper = np.where(np.isinf(upper) & some[0] & (far[0] > at), far[0], upper)
    return np.where(np.isinf(lower) & some[1] & (-far[1] < at), -far[1], lower), upper


def exact(P: np.ndarray, c: np.ndarray, x: np.ndarray, offset: float) -> Fraction:
    """½xᵀPx + cᵀx + offset."""
    point = [Fraction(v) for v in x]
    value = Fraction(offset) + sum(Fraction(a) * b for a, b in zip(c, point, strict=True))
    for i, j in zip(*np.nonzero(P), strict=True):
        value += Fraction(P[i, j]) * point[i] * point[j] / 2
    return value


def infeasible(rng: Rng) -> Known:
    """Rows that contradict each other, by much or by little."""
    base = planted(rng, bool(rng.integers(2))).program
    assert not isinstance(base, ConicProgram)
    k = base.columns
    y = np.concatenate([np.zeros(base.rows), rng.integers(1, 5, 3)])
    new = whole(rng, (3, k))
    new[2] = -(y[-3] * new[0] + y[-2] * new[1]) / y[-1]
    # Only sums that are exact are a contradiction.
    if np.any(y[-3] * new[0] + y[-2] * new[1] + y[-1] * new[2]):
        new[2], y[-1] = -(y[-3] * new[0] + y[-2] * new[1]), 1.0
    sides = whole(rng, 3)
    margin = 2.0 ** -rng.integers(0, 24)
    sides[2] = -(y[-3] * sides[0] + y[-2] * sides[1]) / y[-1]
    if y[-3] * sides[0] + y[-2] * sides[1] + y[-1] * sides[2]:
        sides[2], y[-1] = -(y[-3] * sides[0] + y[-2] * sides[1]), 1.0
        new[2] = -(y[-3] * new[0] + y[-2] * new[1])
    sides[2] -= margin
    program = replace(
        base,
        A=csc_array(np.vstack([base.A.toarray(), new])),
        row_lower=np.concatenate([base.row_lower, np.full(3, -np.inf)]),
        row_upper=np.concatenate([base.row_upper, sides]),
    )
    return Known(program, "infeasible", ray=y)


def unbounded(rng: Rng) -> Known:
    """A feasible program with a direction in which nothing ends and the cost falls."""
    base = planted(rng, bool(rng.integers(2)))
    program, x = base.program, base.x
    assert not isinstance(program, ConicProgram)
    assert x is not None
    d = whole(rng, program.columns, 3)
    if not d.any():
        d[0] = 1.0
    A, row_lower, row_upper = program.A.toarray(), program.row_lower, program.row_upper
    along = A @ d
    parts = {
        "A": A,
        "row_lower": np.where(along < 0, -np.inf, row_lower),
        "row_upper": np.where(along > 0, np.inf, row_upper),
        "lower": np.where(d < 0, -np.inf, program.lower),
        "upper": np.where(d > 0, np.inf, program.upper),
        "c": np.array(program.c),
    }
    # What a double of such costs can tell.
    slope = 2.0 ** -rng.integers(0, 20) * max(1.0, float(np.abs(program.c).max()))
    column = int(np.argmax(np.abs(d)))
    parts["c"][column] -= (parts["c"] @ d + slope) / d[column]
    if isinstance(program, ro.QuadraticProgram):
        L = whole(rng, (2, program.columns), 2)
        L[:, column] -= L @ d / d[column]
        if np.any(L @ d) or np.any(np.rint(L) != L):
            L *= 0
        return Known(ro.QuadraticProgram(P=L.T @ L, **parts), "unbounded", x=x, ray=d)
    return Known(ro.LinearProgram(**parts), "unbounded", x=x, ray=d)


def nonconvex(rng: Rng) -> Known:
    """A quadratic program that curves downwards somewhere."""
    k = int(rng.integers(2, 9))
    L = whole(rng, (k, k), 2)
    D = powers(rng, k, 6)
    P = L.T @ L
    column = int(rng.integers(k))
    P[column, column] = -float(rng.integers(1, 3))
    P = D[:, None] * P * D
    box = float(rng.choice([1.0, 10.0, 1e9]))
    return Known(ro.QuadraticProgram(P=P, c=np.zeros(k), lower=-box, upper=box), "nonconvex")


def integers(rng: Rng) -> Known:
    """A small program with integers alone, searched in full."""
    k, m = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    A, c = whole(rng, (m, k)), whole(rng, k)
    upper = rng.integers(1, 5, k).astype(float)
    inside = np.array([rng.integers(0, int(u) + 1) for u in upper], dtype=float)
    row_upper = A @ inside + rng.integers(0, 3, m)
    if rng.random() < 0.1:
        row_upper = A @ inside - rng.integers(3, 30, m)
    points = np.array(list(product(*(range(int(u) + 1) for u in upper))), dtype=float)
    allowed = points[(points @ A.T <= row_upper).all(axis=1)]
    far = np.where(rng.random(m) < 0.5, -rng.choice(SLACK), -np.inf)
    program = ro.LinearProgram(
        c=c,
        A=A,
        row_lower=far,
        row_upper=row_upper,
        lower=0.0,
        upper=upper,
        integrality=np.ones(k, dtype=bool),
    )
    if not len(allowed):
        return Known(program, "infeasible")
    best = allowed[np.argmin(allowed @ c)]
    size = float(np.abs(c) @ np.abs(best))
    return Known(program, "optimal", exact(np.zeros((k, k)), c, best, 0.0), size, best)


def cones(rng: Rng) -> Known:
    """A program over second-order and semidefinite cones: slack and multiplier are orthogonal."""
    k = int(rng.integers(1, 6))
    zero, nonnegative = int(rng.integers(0, 3)), int(rng.integers(0, 5))
    s = [np.zeros(zero), rng.integers(0, 3, nonnegative).astype(float)]
    z = [whole(rng, zero), np.where(s[1] > 0, 0.0, rng.integers(0, 3, nonnegative))]
    second = int(rng.integers(0, 3))
    for _ in range(second):
        side = rng.integers(3)
        edge = np.array([[5.0, 3.0, 4.0], [13.0, 5.0, 12.0], [3.0, 1.0, -1.0]][side])
        opposite = edge * np.array([1.0, -1.0, -1.0]) if side < 2 else np.zeros(3)
        first = bool(rng.integers(2))
        s.append(edge if first else opposite)
        z.append(opposite if first else edge)
    orders = (2,) * int(rng.integers(0, 2))
    for _ in orders:
        s.append(np.array([4.0, 0.0, 0.0]))
        z.append(np.array([0.0, 0.0, 3.0]))
    slack, multiplier = np.concatenate(s), np.concatenate(z)
    A, x = whole(rng, (len(slack), k)), whole(rng, k)
    program = ConicProgram(
        c=-(A.T @ multiplier),
        A=csc_array(A),
        b=A @ x + slack,
        cones=Cones(zero, nonnegative, (3,) * second, 0, orders),
    )
    terms = float(np.abs(program.c) @ np.abs(x))
    optimum = exact(np.zeros((k, k)), program.c, x, 0.0)
    return Known(program, "optimal", optimum, terms, x, multiplier)


KINDS: dict[str, Callable[[Rng], Known]] = {
    "linear": lambda rng: planted(rng, curved=False),
    "quadratic": lambda rng: planted(rng, curved=True),
    "integers": integers,
    "cones": cones,
    "infeasible": infeasible,
    "unbounded": unbounded,
    "nonconvex": nonconvex,
}
