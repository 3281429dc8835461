r"""Convex quadratic programs over x ≥ 0.

    minimise  ½‖Wx‖² + qᵀx   subject to   x ≥ 0

The dual asks for the shortest u with Wᵀu ≥ −q, and Lawson and Hanson (Solving Least Squares
Problems, ch. 23) turn that least-distance problem into non-negative least squares, which needs
no strict convexity: dependent columns are never chosen together.
"""

from __future__ import annotations

import numpy as np
from scipy.linalg.lapack import dgeqrf, dtrtrs

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt_native.active_set import project_blocks

# The least-distance problem is scaled until its residual is this far from 0 and 1.
WELL_SCALED = 1e-3
# How far a constraint may be violated, in units of the last digits of what it is made of.
ROUNDING = 2e-16


def nonnegative_qp(W: FloatArray, q: FloatArray, start: FloatArray) -> FloatArray:
    """Solve the program; `start` ≥ 0 is a guess of the solution, of any quality."""
    result = np.zeros(len(q))
    norms = np.linalg.norm(W, axis=0)
    wanted = (q < 0) | (norms > 0)
    usable = wanted & (norms > 1e-150)
    if not usable.any():
        return result
    unit, f = W[:, usable] / norms[usable], -q[usable] / norms[usable]
    if len(unit) > 1.5 * unit.shape[1]:
        unit = np.triu(dgeqrf(unit)[0][: unit.shape[1]])
    result[usable] = _shortest(unit, f, start[usable] * norms[usable]) / norms[usable]
    return result


def _shortest(W: FloatArray, f: FloatArray, start: FloatArray) -> FloatArray:
    """x ≥ 0 with u = Wx the shortest vector for which Wᵀu ≥ f; W has unit columns."""
    least = float(f.max())
    if least <= 0:
        return np.zeros(len(f))
    x = _polished(W, f, start)
    u = W @ x
    scale = max(float(np.linalg.norm(u)), least)
    if x is not start and (u @ W >= f - ROUNDING * scale)[x == 0].all():
        return x
    for _ in range(6):
        y = _least_squares(np.vstack([W, f / scale]), x > 0)
        residual = 1.0 - float(f @ y) / scale
        if residual <= 0:
            scale *= 1e3
            continue
        x = y * (scale / residual)
        if WELL_SCALED < residual < 1 - WELL_SCALED:
            break
        scale = max(float(np.linalg.norm(W @ x)), least)
    return _polished(W, f, x)


def _least_squares(A: FloatArray, guess: BoolArray) -> FloatArray:
    """The y ≥ 0 with the smallest ‖Ay − (0, …, 0, 1)‖, its support guessed."""
    norms = np.linalg.norm(A, axis=0)
    size = len(A)
    target, point = np.zeros((1, size)), np.empty((1, size))
    target[0, -1] = -1.0
    rows, rho = np.zeros((1, size), dtype=np.intp), np.zeros((1, size))
    support = np.flatnonzero(guess)[:size]
    rows[0, : len(support)] = support
    counts = np.array([len(support)])
    everywhere = np.full((1, (len(norms) + 7) // 8), 255, dtype=np.uint8)
    unit = np.ascontiguousarray((A / norms).T)
    project_blocks(unit, everywhere, target, 0.0, ROUNDING, 0, 1, counts, rows, rho, point)
    y = np.zeros(len(norms))
    y[rows[0, : counts[0]]] = rho[0, : counts[0]]
    return np.asarray(y / norms)


def _polished(W: FloatArray, f: FloatArray, x: FloatArray) -> FloatArray:
    """The exact solution on the support of x, if it is positive there."""
    support = np.flatnonzero(x > 0)
    if not len(support) or len(support) > len(W):
        return x
    # LAPACK itself: on small matrices the functions round it take longer than it does.
    triangle = dgeqrf(W[:, support])[0][: len(support)]
    if np.abs(triangle.diagonal()).min() < 1e-13:
        return x
    exact = dtrtrs(triangle, dtrtrs(triangle, f[support], trans=1)[0])[0]
    if not (exact > 0).all():
        return x
    polished = np.zeros(len(x))
    polished[support] = exact
    return polished
