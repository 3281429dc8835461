r"""|Σ_i max(0, x_iᵀu) ω_i| ≤ level for |u| ≤ 1 by one matrix, in exact arithmetic.

The matrix M of `relu_opt.verify.lifted`, M ≽ 0, for weights N that are guessed: in integers. A
decomposition LLᵀ of M − cI is computed in doubles; then M = LLᵀ + cI + E, and M ≽ 0 if the norm of
Frobenius of E, which is computed exactly, is at most c.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from relu_opt.verify.exact_cones import Vector, dot
from relu_opt.verify.exact_integers import integers, largest
from relu_opt.verify.lifted import guess

# Products of integers that M may take, and binary digits of level².
MOST_PRODUCTS, DIGITS = 40_000_000, 200


def shown(rows: list[Vector], omega: list[Vector], square: Fraction) -> str:
    """Why |Σ_i max(0, x_iᵀu) ω_i|² ≤ square·|u|² is not shown; empty if it is."""
    pairs = [(x, w) for x, w in zip(rows, omega, strict=True) if any(x) and any(w)]
    if not pairs:
        return ""
    if len(pairs) * (len(rows[0]) + len(omega[0])) ** 2 > MOST_PRODUCTS:
        return "the lifted bound is too long to be shown in integers"
    x, w = [list(x) for x, _ in pairs], [list(w) for _, w in pairs]
    # In units in which the entries are at most 1, which is a matter of shifts alone.
    sx, sw = largest(x).bit_length(), largest(w).bit_length()
    ratio = square / (1 << 2 * (sx + sw))
    weights = _weights(x, w, sx, sw)
    M, shift = _matrix(x, w, (sx, sw), ratio, weights)
    return "" if _semidefinite(M, shift) else "the lifted bound is not shown to be at most lam"


def _weights(x: list[Vector], w: list[Vector], sx: int, sw: int) -> list[tuple[float, float]]:
    """N_i, and a number that 1/N_i does not exceed."""
    near, out = (
        np.array([[entry / (1 << shift) for entry in row] for row in each])
        for each, shift in ((x, sx), (w, sw))
    )
    kinds = np.ones(len(x)), np.linalg.norm(out, axis=1) / np.linalg.norm(near, axis=1)
    N = min((guess(near, out, kind) for kind in kinds), key=lambda found: found[0])[1]
    found = []
    for weight in N.tolist():
        inverse = 1 / weight
        while Fraction(inverse) * Fraction(weight) < 1:
            inverse = math.nextafter(inverse, math.inf)
        found.append((weight, inverse))
    return found


def _matrix(
    x: list[Vector],
    w: list[Vector],
    shifts: tuple[int, int],
    ratio: Fraction,
    weights: list[tuple[float, float]],
) -> tuple[list[Vector], int]:
    """M, and by which power of two its integers are too large."""
    sx, sw = shifts
    N, inverses = integers([n for n, _ in weights]), integers([m for _, m in weights])
    columns, outputs = list(zip(*x, strict=True)), list(zip(*w, strict=True))
    pulled = [[n * v for n, v in zip(N.values, column, strict=True)] for column in columns]
    divided = [[m * v for m, v in zip(inverses.values, out, strict=True)] for out in outputs]
    parts = 2 * sx + N.shift, sx + sw, 2 * sw + inverses.shift
    shift = max(*parts, DIGITS)
    four = 4 * math.floor(ratio * (1 << DIGITS)) << shift - DIGITS
    top = [
        [four * (i == j) - (dot(a, b) << shift - parts[0]) for j, b in enumerate(columns)]
        + [dot(columns[i], out) << shift - parts[1] for out in outputs]
        for i, a in enumerate(pulled)
    ]
    one = 1 << shift
    bottom = [
        [dot(o, column) << shift - parts[1] for column in columns]
        + [one * (i == j) - (dot(o, d) << shift - parts[2]) for j, d in enumerate(divided)]
        for i, o in enumerate(outputs)
    ]
    return [*top, *bottom], shift


def _semidefinite(M: list[Vector], shift: int) -> bool:
    """Whether M ≽ 0 is shown, for integers 2^shift times its entries."""
    floats = np.array([[entry / (1 << shift) for entry in row] for row in M])
    size = len(M)
    margin = 2.0**-50 * size * float(np.abs(np.diag(floats)).sum())
    try:
        factor = np.linalg.cholesky(floats - margin * np.eye(size))
    except np.linalg.LinAlgError:  # not positive definite
        return False
    L = integers(factor)
    rows, fine = L.rows(size), max(shift, 2 * L.shift, integers([margin]).shift)
    c = int(Fraction(margin) * (1 << fine))
    error = 0
    for i in range(size):
        for j in range(i + 1):
            product = dot(rows[i][: j + 1], rows[j][: j + 1]) << fine - 2 * L.shift
            entry = (M[i][j] << fine - shift) - c * (i == j) - product
            error += entry * entry * (1 if i == j else 2)
    return error <= c * c
