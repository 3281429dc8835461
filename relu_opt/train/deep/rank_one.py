r"""Rank one, X = c aᵀ, no bias, one column of targets: what happens on each side of zero.

With N_± = ‖a‖‖c_±‖ and b_± = c_±ᵀy/‖c_±‖ a network has gains z_± on the two sides and the loss
½(N_+z_+ − b_+)² + ½(N_-z_- − b_-)² + const. The first layer has rows v_+ for c > 0 and v_- for
c < 0, with v = W_1a and disjoint supports, so that this is a network on two rows.

*b_+ and b_- of opposite signs*: two chains, and Σ‖W_l‖² ≥ L(|z_+|^{2/L} + |z_-|^{2/L}) as in
`whitened`.

*Of the same sign*, L ≥ 3: the two sides meet in one neuron from the second layer on, which costs
L(z_+ + z_-)^{2/L}: less than two chains. Nothing costs less: on two rows the layers after the first
are one linear map ω, and z_+ + z_- ≤ ‖v_+‖‖ω_1‖ + ‖v_-‖‖ω_2‖ ≤ ‖W_1‖‖a‖‖ω‖. The two chains of the
papers' formula are then not optimal.
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.train.deep.chains import Chains, chain_weights
from relu_opt.train.deep.formula import DeepFormula
from relu_opt.train.deep.kernel import threshold
from relu_opt.train.deep.network import DeepNetwork
from relu_opt.train.deep.powers import LossPath, best_size

REASON = "data of rank one are two rows, where ReLU helps no layer after the first"


def rank_one(X: FloatArray, Y: FloatArray, lam: float, depth: int) -> DeepFormula:
    """The formula for X = c aᵀ and Y (n, 1)."""
    n, y = len(X), Y[:, 0]
    beta = n * lam
    direction = np.linalg.svd(X, full_matrices=False)[2][0]
    c = X @ direction
    sides, slopes, pulls = [], [], []
    for sign in (1.0, -1.0):
        part = np.maximum(sign * c, 0.0)
        length = float(np.linalg.norm(part))
        pull = float(part @ y) / length if length else 0.0
        if pull:
            sides.append(sign)
            slopes.append(length)
            pulls.append(pull)
    first = np.array(sides).reshape(-1, 1) * direction
    N, b = np.array(slopes), np.array(pulls)
    rest = 0.5 * float(y @ y) - 0.5 * float(b @ b)
    if depth > 2 and len(b) == 2 and b[0] * b[1] > 0:
        chains, cost = _joined(N, np.abs(b), beta, depth)
        weights = _joined_weights(first, chains.gains, float(np.sign(b[0])), depth)
    else:
        chains = Chains.solve(np.abs(b), N, beta, depth)
        cost = float(chains.values(beta, depth).sum())
        weights = chain_weights(first, np.sign(b)[:, None], chains.gains, depth)
    value = (rest + cost) / n
    return DeepFormula("rank_one", DeepNetwork(weights), value, value, REASON, chains)


def _joined(N: FloatArray, b: FloatArray, beta: float, depth: int) -> tuple[Chains, float]:
    """Both sides of one sign: gains at a pull μ are (Nb − μ)_+/N², and S is their sum."""
    starts = N * b
    levels = np.array([starts.max(), starts.min(), 0.0])
    gains = np.maximum(starts - levels[:, None], 0.0) / N**2
    losses = 0.5 * ((N * gains - b) ** 2).sum(axis=1)
    size, pull, cost = best_size(LossPath(gains.sum(axis=1), losses, levels), beta, depth)
    best = np.maximum(starts - pull, 0.0) / N**2 if size else np.zeros(2)
    thresholds = np.array([threshold(float(slope), beta, depth) for slope in N])
    return Chains(b, N, best, thresholds), cost


def _joined_weights(
    first: FloatArray, gains: FloatArray, sign: float, depth: int
) -> tuple[FloatArray, ...]:
    """Two neurons that meet in one: all layers have the squared norm S^{2/L}."""
    on = gains > 0
    if not on.any():
        return chain_weights(first, np.full((len(gains), 1), sign), gains, depth)
    share = float(gains.sum()) ** (1 / depth)
    root = np.sqrt(gains[on] / share ** (depth - 2))
    single = np.array([[share]])
    middle = (single for _ in range(depth - 3))
    return (root[:, None] * first[on], root[None, :], *middle, sign * single)
