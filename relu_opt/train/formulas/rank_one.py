r"""Rank one, X = c aᵀ with ‖a‖ = 1, no bias: only the two neurons ±a matter.

Their features h_+ = c_+ and h_- = (−c)_+ have disjoint supports, so their sizes w_± are two
problems of one variable. With the sum of losses and strength β = nλ,

    squared         w = soft(hᵀy, β)/‖h‖²,      optimum ½‖y‖² − ½ Σ_± (|h_±ᵀy| − β)_+²/‖h_±‖²;
    hinge           w is 0 or a kink 1/(y_i h_i) of the piecewise-linear loss;
    interpolation   w = hᵀy/‖h‖² if that fits,  cost Σ_± |w_±|.

Data in doubles are of rank one up to rounding only, and have thin cells beside the two of c aᵀ.
The bound speaks of these as well: |νᵀ(Xu)₊| ≤ |νᵀ(c aᵀu)₊| + Σ_k |ν_k| ‖x_k − c_k a‖.
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program.patterns import patterns_of_gates
from relu_opt.rounding import gamma
from relu_opt.train.formulas.formula import Formula, out_of_reach

# The second singular value, relative to the first, up to which X is of rank one.
TOLERANCE = 1e-10
# Residual of an interpolation, relative to the largest target.
FIT_TOLERANCE = 1e-9


def distance_from_rank_one(X: FloatArray) -> float:
    """The second singular value over the first; inf for X = 0."""
    largest = float(np.abs(X).max())
    if largest == 0:
        return np.inf
    sizes = np.linalg.svd(X / largest, compute_uv=False)
    return float(sizes[1] / sizes[0]) if len(sizes) > 1 else 0.0


def rank_one(X: FloatArray, y: FloatArray, lam: float | None, loss: str) -> Formula:
    """The formula for X = c aᵀ; `lam` is None for interpolation."""
    n = len(X)
    a = np.linalg.svd(X, full_matrices=False)[2][0]
    c = X @ a
    features = np.maximum(c, 0.0), np.maximum(-c, 0.0)
    weights, nu = np.zeros(2), np.zeros(n)
    rest = y.copy()
    for k, h in enumerate(features):
        on = h > 0
        if not on.any():
            continue
        if lam is None:
            weights[k] = (h[on] @ y[on]) / (h[on] @ h[on])
            rest[on] -= weights[k] * h[on]
            nu[on] = np.sign(weights[k]) * h[on] / (h[on] @ h[on])
        elif loss == "squared":
            weights[k], nu[on] = _squared(h[on], y[on], n * lam)
        else:
            weights[k], nu[on] = _hinge(h[on], y[on], n * lam)
    if lam is None:
        if np.abs(rest).max() > FIT_TOLERANCE * np.abs(y).max():
            raise out_of_reach(y, rest)
        value = float(np.abs(weights).sum())
    else:
        fits = features[0] * weights[0] + features[1] * weights[1]
        nu[c == 0] = y[c == 0]
        nu /= n
        losses = 0.5 * (fits - y) ** 2 if loss == "squared" else np.maximum(0.0, 1 - y * fits)
        value = float(losses.mean()) + lam * float(np.abs(weights).sum())
    # Once for the two patterns, which are looked at on X, and once for all others.
    d = len(a)
    sizes = np.linalg.norm(X - c[:, None] * a, axis=1) + gamma(d + 4) * np.linalg.norm(X, axis=1)
    apart = 2 * float(np.abs(nu) @ sizes) * (1 + gamma(n + d + 8))
    limit = 1.0 if lam is None else lam
    nu *= limit / (limit + apart)
    return Formula(
        kind="rank_one",
        blocks=np.abs(weights)[:, None] * np.array([a, -a]),
        signs=np.sign(weights),
        value=value,
        nu=nu,
        patterns=patterns_of_gates(X, np.column_stack([a, -a])),
        coverage="searched",
    )


def _squared(h: FloatArray, y: FloatArray, beta: float) -> tuple[float, FloatArray]:
    """argmin ½‖wh − y‖² + β|w|, and y − wh."""
    pull = float(h @ y)
    w = float(np.sign(pull)) * max(abs(pull) - beta, 0.0) / float(h @ h)
    return w, y - w * h


def _hinge(h: FloatArray, y: FloatArray, beta: float) -> tuple[float, FloatArray]:
    """argmin Σ max(0, 1 − y w h) + β|w|, and y ∘ v with v the multipliers, 0 ≤ v ≤ 1.

    On the side to which hᵀy pulls, the slope rises by h_i at the kink 1/h_i of each sample with
    that label; the minimum is at the first kink after which it is not negative.
    """
    pull = float(h @ y)
    if abs(pull) <= beta:
        return 0.0, y
    side = float(np.sign(pull))
    mine = np.flatnonzero(y == side)
    order = mine[np.argsort(-h[mine], kind="stable")]
    slopes = beta - abs(pull) + np.cumsum(h[order])
    at = int(np.argmax(slopes >= 0))
    v = np.ones(len(h))
    v[order[:at]] = 0.0
    v[order[at]] = slopes[at] / h[order[at]]
    return side / float(h[order[at]]), y * v
