r"""Convex quadratic programs over x ≥ 0.

    minimise  ½‖Wx‖² + qᵀx   subject to   x ≥ 0

The dual asks for the shortest u with Wᵀu ≥ −q, and Lawson and Hanson (Solving Least Squares
Problems, ch. 23) turn that least-distance problem into non-negative least squares, which needs
no strict convexity: dependent columns are never chosen together.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import qr, solve_triangular

from relu_opt.arrays import FloatArray
from relu_opt.program.cones import least_squares

# The least-distance problem is scaled until its residual is this far from 0 and 1.
WELL_SCALED = 1e-3


def nonnegative_qp(W: FloatArray, q: FloatArray, length: float) -> FloatArray:
    """Solve the program; `length` is a guess of ‖Wx‖ at the solution, 0 for none."""
    result = np.zeros(len(q))
    norms = np.linalg.norm(W, axis=0)
    wanted = (q < 0) | (norms > 0)
    usable = wanted & (norms > 1e-150)
    if not usable.any():
        return result
    unit = W[:, usable] / norms[usable]
    if len(unit) > 1.5 * unit.shape[1]:
        unit = qr(unit, mode="r", check_finite=False)[0][: unit.shape[1]]
    result[usable] = _shortest(unit, -q[usable] / norms[usable], length) / norms[usable]
    return result


def _shortest(W: FloatArray, f: FloatArray, length: float) -> FloatArray:
    """x ≥ 0 with u = Wx the shortest vector for which Wᵀu ≥ f; W has unit columns."""
    least = float(f.max())
    if least <= 0:
        return np.zeros(len(f))
    scale = max(length, least)
    right = np.zeros(len(W) + 1)
    right[-1] = 1.0
    x = np.zeros(len(f))
    for _ in range(6):
        y = least_squares(np.vstack([W, f / scale]), right)
        residual = 1.0 - float(f @ y) / scale
        if residual <= 0:
            scale *= 1e3
            continue
        x = y * (scale / residual)
        if WELL_SCALED < residual < 1 - WELL_SCALED:
            break
        scale = max(float(np.linalg.norm(W @ x)), least)
    return _polished(W, f, x)


def _polished(W: FloatArray, f: FloatArray, x: FloatArray) -> FloatArray:
    """The exact solution on the support of x, if it is positive there."""
    support = np.flatnonzero(x > 0)
    if not len(support) or len(support) > len(W):
        return x
    triangle = qr(W[:, support], mode="r", check_finite=False)[0][: len(support)]
    if np.abs(triangle.diagonal()).min() < 1e-13:
        return x
    half = solve_triangular(triangle, f[support], trans="T", check_finite=False)
    exact = solve_triangular(triangle, half, check_finite=False)
    if not (exact > 0).all():
        return x
    polished = np.zeros(len(x))
    polished[support] = exact
    return polished
