r"""A bound on |Σ_i max(0, x_iᵀu) ω_i| for |u| ≤ 1 by one matrix, for `relu_opt.verify`.

z_i = max(0, x_iᵀu) has z_i² = z_i x_iᵀu, so that |ωᵀz|² = |ωᵀz|² + Σ_i N_i (z_i x_iᵀu − z_i²) for
every N ≥ 0. That is at most b²|u|² for all z, and so for the right ones, if

    M = [ 4b² I − xᵀNx    xᵀω         ]
        [ ωᵀx             I − ωᵀN⁻¹ω  ]  ≽ 0.

N and b are guessed with eigenvalues, and nothing of that is believed. M ≽ 0 is shown by a Cholesky
decomposition of M − cI that runs to its end: c is what rounding may hide (Rump, Verification of
positive definiteness, BIT 2006), with the rounding of M itself.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from relu_opt.verify.rounding import UNDERFLOW, UNIT, above, chunk_rows, depth, gamma

FloatArray = NDArray[np.float64]

# Where log(t/τ − 1) is looked for, t the multiple of N and τ the least that is allowed; steps.
LEAST, MOST, STEPS = math.log(0.01), math.log(1e4), 40
# How far above the guess a bound is tried, one after another.
MARGINS = tuple(10.0**k for k in range(-13, -2))


def lifted(rows: FloatArray, omega: FloatArray, enough: float = 0.0) -> float:
    """A proved bound on |Σ_i max(0, x_iᵀu) ω_i|, |u| ≤ 1; inf if none of those tried is shown.

    Parameters
    ----------
    rows : (N, h) array
        The x_i.
    omega : (N, q) array
    enough : float
        No smaller bound is looked for.
    """
    some = rows.any(axis=1) & omega.any(axis=1)
    if not some.any():
        return 0.0
    x, w = rows[some], omega[some]
    size, strength = np.linalg.norm(x, axis=1), np.linalg.norm(w, axis=1)
    least, N = min(
        (guess(x, w, each) for each in (np.ones(len(x)), strength / size)),
        key=lambda found: found[0],
    )
    if enough > least and _shown(x, w, N, enough):
        return enough
    for margin in MARGINS:
        bound = max(least, enough) * (1 + margin)
        if _shown(x, w, N, bound):
            return bound
    return math.inf


def guess(x: FloatArray, w: FloatArray, N: FloatArray) -> tuple[float, FloatArray]:
    """The least bound with a multiple of N, up to rounding, and that multiple."""
    inner = w.T @ (w / N[:, None])
    least = float(np.linalg.eigvalsh(inner)[-1])
    xNx, xw = x.T @ (N[:, None] * x), x.T @ w

    def square(log: float) -> float:
        t = least * (1 + math.exp(log))
        middle = np.linalg.solve(np.eye(len(inner)) - inner / t, xw.T)
        return float(np.linalg.eigvalsh(t * xNx + xw @ middle)[-1]) / 4

    low, high = LEAST, MOST
    for _ in range(STEPS):
        one, two = low + (high - low) / 3, high - (high - low) / 3
        low, high = (low, two) if square(one) <= square(two) else (one, high)
    best = (low + high) / 2
    return math.sqrt(max(square(best), 0.0)), least * (1 + math.exp(best)) * N


def _shown(x: FloatArray, w: FloatArray, N: FloatArray, bound: float) -> bool:
    """Whether M ≽ 0 is shown for N and b = `bound`."""
    if not 0 < bound < math.inf:
        return False
    (n, h), q = x.shape, w.shape[1]
    # Four times the square, from below; a power of two brings both blocks to size one.
    square = 4 * bound * bound * (1 - 8 * UNIT)
    unit = 2.0 ** -round(math.log2(square) / 2)
    xs = unit * x
    weighted, divided = N[:, None] * xs, w / N[:, None]
    M = np.empty((h + q, h + q))
    M[:h, :h] = unit**2 * square * np.eye(h) - _product(xs, weighted)
    M[h:, :h] = _product(w, xs)
    M[h:, h:] = np.eye(q) - _product(w, divided)
    # Sums over the rows, in the norm of Frobenius, and the diagonals.
    k = depth(n) + 2
    sums = float((xs * weighted).sum()) + float((w * divided).sum())
    sums += math.sqrt(float((xs * xs).sum()) * float((w * w).sum()))
    error = gamma(k) * above(sums, n * (h + q) + 8)
    error += 4 * UNIT * (unit**2 * square + 1 + sums)
    return semidefinite(M, error)


def _product(a: FloatArray, b: FloatArray) -> FloatArray:
    """aᵀb, summed chunk by chunk."""
    step = chunk_rows(len(a))
    starts = range(0, len(a), step)
    return np.asarray(sum(a[s : s + step].T @ b[s : s + step] for s in starts))


def semidefinite(M: FloatArray, error: float) -> bool:
    """Whether every symmetric matrix within `error` (a norm) of M is shown to be ≽ 0.

    The part of M above its diagonal is not looked at.
    """
    size = len(M)
    lost = gamma(size + 2) / (1 - gamma(size + 2)) * above(float(np.abs(np.diag(M)).sum()), size)
    shift = above(lost + error, 4) + UNDERFLOW
    shifted = M.copy()
    shifted[np.diag_indices(size)] = np.nextafter(np.diag(M) - shift, -np.inf)
    try:
        factor = np.linalg.cholesky(shifted)
    except np.linalg.LinAlgError:  # not positive definite
        return False
    return bool(np.isfinite(factor).all())
