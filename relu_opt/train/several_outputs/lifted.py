r"""A bound on M(V) by one matrix, for any rank.

The values z = (Xu)₊ satisfy z_i² = z_i x_iᵀu. With h = Ωᵀz, for every diagonal N > 0

    ‖h‖² = ‖Ωᵀz‖² + Σ_i N_i (z_i x_iᵀu − z_i²) ≤ b²‖u‖²   for all z   if and only if

    [4b²I − XᵀNX, XᵀΩ; ΩᵀX, I − ΩᵀN⁻¹Ω] ≽ 0.

The least b is half the root of the largest eigenvalue of Xᵀ(N + Ω(I − ΩᵀN⁻¹Ω)⁻¹Ωᵀ)X. N is a
multiple of the identity, or of ‖ω_i‖/‖x_i‖; the multiple is the best one. Both are found with
eigenvalues, and the matrix is then shown to be ≽ 0. For XXᵀ = s²I the identity gives ‖X‖‖V‖. In
general the bound is some 1.5 to 3 times M(V), and it costs a few decompositions whatever the rank.
(Derived here.)
"""

from __future__ import annotations

import math

import numpy as np
from scipy.optimize import minimize_scalar

from relu_opt.arrays import FloatArray
from relu_opt.rounding import UNIT, charge, depth
from relu_opt.train.several_outputs.definite import row_sums, semidefinite

# Where log(t/τ − 1) is looked for: t is the multiple of N, τ the least that is allowed.
LEAST, MOST = np.log(0.01), np.log(1e4)
# How far above what eigenvalues say a bound is tried, one after another.
MARGINS = (1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)


def lifted_bound(rows: FloatArray, weights: FloatArray) -> float:
    """What ‖Σ_i (x_iᵀu)₊ ω_i‖ does not exceed on the unit ball; rows (N, r), the ω_i (N, q).

    inf where no bound that was tried is shown.
    """
    on = rows.any(axis=1) & weights.any(axis=1)
    if not on.any():
        return 0.0
    x, omega = rows[on], weights[on]
    ratio = np.linalg.norm(omega, axis=1) / np.linalg.norm(x, axis=1)
    both = (_by_eigenvalues(x, omega, N) for N in (np.ones(len(x)), ratio))
    least, N = min(both, key=lambda found: found[0])
    tried = (least * (1 + margin) for margin in MARGINS)
    return next((bound for bound in tried if _shown(x, omega, N, bound)), math.inf)


def _by_eigenvalues(x: FloatArray, omega: FloatArray, N: FloatArray) -> tuple[float, FloatArray]:
    """The bound for the best multiple of N, and N times it."""
    # Its square is convex in the multiple t. With ΩᵀN⁻¹Ω = Q diag(s) Qᵀ, t > τ = max s, and all is
    # diagonal in it.
    s, Q = np.linalg.eigh(row_sums(omega, omega / N[:, None]))
    plain, pulled = row_sums(x, N[:, None] * x), row_sums(x, omega) @ Q

    def square(at: float) -> float:
        t = s[-1] * (1 + np.exp(at))
        matrix = t * plain + (pulled / (1 - s / t)) @ pulled.T
        return 0.25 * float(np.linalg.eigvalsh(matrix)[-1])

    best = minimize_scalar(square, bounds=(LEAST, MOST), method="bounded", options={"xatol": 1e-7})
    return math.sqrt(max(float(best.fun), 0.0)), s[-1] * (1 + np.exp(best.x)) * N


def _shown(x: FloatArray, omega: FloatArray, N: FloatArray, bound: float) -> bool:
    """Whether the matrix is shown to be ≽ 0."""
    if not 0 < bound < math.inf:
        return False
    (n, r), q = x.shape, omega.shape[1]
    # A power of two brings the first block to size one.
    unit = 2.0 ** -round(math.log2(2 * bound))
    x, square = unit * x, (2 * unit * bound) ** 2 * (1 - 4 * UNIT)
    wide, narrow = N[:, None] * x, omega / N[:, None]
    matrix = np.zeros((r + q, r + q))
    matrix[:r, :r] = square * np.eye(r) - row_sums(x, wide)
    matrix[r:, :r] = row_sums(omega, x)
    matrix[r:, r:] = np.eye(q) - row_sums(omega, narrow)
    sizes = float((x * wide).sum()) + float((omega * narrow).sum())
    sizes += math.sqrt(float((x * x).sum()) * float((omega * omega).sum()))
    sizes *= 1 + charge(n * (r + q) + 8)
    return semidefinite(matrix, charge(depth(n) + 2) * sizes + charge(2) * (square + 1 + sizes))
