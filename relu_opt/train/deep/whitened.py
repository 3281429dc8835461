r"""Whitened data: chains that do not disturb each other, linear or ReLU.

The sum of losses and β = nλ, networks of any widths without biases; Σ‖W_l‖² is short for the sum of
the squared Frobenius norms of all L layers.

*Linear*, X = s U Vᵀ (all singular values that are not zero are s: whitened rows or columns).
Σ‖W_l‖² ≥ L Σ_i σ_i(Z)^{2/L} for every product Z = W_1ᵀ⋯W_Lᵀ (Hölder's inequality for Schatten
norms, then arithmetic and geometric means), and ‖XZ − Y‖² ≥ Σ_i (sσ_i(Z) − σ_i(UᵀY))² + const (von
Neumann). So nothing is below Σ_i φ_L(σ_i(UᵀY)) + const, and chains along the singular vectors are
there: the optimum, for every depth.

*ReLU*, whitened rows, XXᵀ = s²I, and targets that come apart (`chains`). The chains are there with
Σ_g φ_L(t_g). Nothing is below it if L = 2, or if there are no more than two chains:

1. ‖W_1‖ ≥ ‖A_1‖/s, and every A_1 ≥ 0 can be had for that: rows of A_1 are free.
2. What follows is positively homogeneous. So all rows of one direction v_g may as well have
   multiples of one row of A_1, the cheapest: there are as many different rows as chains.
3. With two rows, ReLU helps no further layer. Take a neuron w on two rows of activations, B ≥ 0. If
   it is on for one and off for the other, shrink its negative entries together until the other is
   exactly 0: B ≥ 0, so the first has not fallen meanwhile, and ‖w‖ has not grown; then scale down.
   (Bw)_+ is what it was, and so is Bw. The network is linear on the data.
4. Two chains at a right angle: the linear bound, whose singular values are t_1, t_2.
   Two opposite chains, f = p on one row and −m on the other, m, p > 0: let b_1, b_2 be the lengths
   of the rows of A_{L−2} and s̃ > 0 the sine of their angle, which is at most a right one. The last
   two layers cost 2(p/(b_1 s̃) + m/(b_2 s̃)) at least (dual point (1/(b_1 s̃), −1/(b_2 s̃))), and
   those before (L − 2) Σ_i σ_i(A_{L−2})^{2/(L−2)}. The squares of the singular values majorise
   b_i² s̃ in logarithms, so that this is at least (L − 2) Σ_i (b_i √s̃)^{2/(L−2)}. Each chain then
   has (L − 2) b^{2/(L−2)} + 2p/b ≥ L p^{2/L} with b = b_i √s̃.

Of three chains and more, L ≥ 3, only the two best enter the bound. That is not for want of a
proof: chains are not optimal there for large L, see `tests/train/deep/test_deep.py`.
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.train.deep.chains import Chains, Parts, chain_weights
from relu_opt.train.deep.formula import DeepFormula
from relu_opt.train.deep.network import DeepNetwork

LINEAR_REASON = (
    "the sum of squared norms of any L layers is at least L Σ σ_i^{2/L} of their product"
)
TWO_LAYER_REASON = (
    "every neuron of two layers is a unit vector ≥ 0, and the dual point holds on all"
)
TWO_CHAIN_REASON = "with two chains ReLU helps no layer after the first, and linear bounds hold"
MORE_CHAINS_REASON = "the two largest chains alone; with more, chains are not always the best"


def distance_from_isometry(X: FloatArray) -> float:
    """How far X/s is from having no singular values but 0 and 1, s the largest; inf for X = 0."""
    largest = float(np.abs(X).max())
    if largest == 0:
        return np.inf
    sizes = np.linalg.svd(X / largest, compute_uv=False)
    sizes /= sizes[0]
    return float(np.minimum(sizes, 1 - sizes).max())


def linear(X: FloatArray, Y: FloatArray, lam: float, depth: int) -> DeepFormula:
    """Deep linear networks, for X whose non-zero singular values are equal."""
    n = len(X)
    left, sizes, right = np.linalg.svd(X, full_matrices=False)
    on = sizes > sizes[0] / 2
    s = float(sizes[on].mean())
    # Unit rows of the input, targets of each.
    left, right = left[:, on], right[on]
    seen = left.T @ Y
    rest = float(((Y - left @ seen) ** 2).sum()) if on.sum() < n else 0.0
    into, targets, out = np.linalg.svd(seen, full_matrices=False)
    chains = Chains.solve(targets, np.full(len(targets), s), n * lam, depth)
    network = DeepNetwork(
        chain_weights(into.T @ right, out, chains.gains, depth), activation="linear"
    )
    value = (0.5 * rest + float(chains.values(n * lam, depth).sum())) / n
    return DeepFormula("whitened", network, value, value, LINEAR_REASON, chains)


def relu(X: FloatArray, Y: FloatArray, lam: float, depth: int) -> DeepFormula:
    """Deep ReLU networks, for whitened rows and targets that come apart."""
    n = len(X)
    s = float(np.linalg.norm(X)) / np.sqrt(n)
    parts = Parts.of(Y)
    chains = Chains.solve(parts.sizes, np.full(len(parts), s), n * lam, depth)
    weights = chain_weights(parts.rows @ X / s, parts.directions, chains.gains, depth)
    network = DeepNetwork(weights)
    values = chains.values(n * lam, depth)
    value = float(values.sum()) / n
    bound, reason = value, TWO_LAYER_REASON if depth == 2 else TWO_CHAIN_REASON
    if depth > 2 and len(parts) > 2:
        # Rows of the other chains only add to the loss.
        bound, reason = float(np.sort(values)[-2:].sum()) / n, MORE_CHAINS_REASON
    return DeepFormula("whitened", network, value, bound, reason, chains)
