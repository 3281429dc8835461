r"""Batch normalisation in the last hidden layer: whitened data, whatever the data are.

BN(h) = γ (h − mean)/‖h − mean‖ + α 1/√n is a vector of length √(γ² + α²) of any direction that the
layers before can make, up to constants. So last hidden layers are what one hidden layer makes of
whitened rows, (u)_+ with ‖u‖² = γ² + α², and with the penalty (β/2) Σ (γ² + α² + ‖w‖²) the problem
is that of two layers. For targets that come apart (`chains`), with β = nλ,

    Σ_g h_β(t_g),   h_β(t) = βt − ½β² if t > β, else ½t²,

and no network is below it, whatever it has before the normalisation: the dual point
V = Σ_g min(β, t_g) u_g v_gᵀ has ‖Vᵀ(u)_+‖ ≤ β for all unit vectors u. The network that has it
is built, if the layers before can make u_g.
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.train.deep.chains import Chains, Parts
from relu_opt.train.deep.formula import DeepFormula
from relu_opt.train.deep.network import BatchNorm, DeepNetwork

REASON = (
    "a batch-normalised neuron is a unit vector times its scale, and the dual point holds on all"
)
# How far, relative to their length, the pre-activations may be from what the formula asks for.
TOLERANCE = 1e-10
# Random neurons of the first layer, as multiples of the rows, where one is needed.
WIDTHS = (2, 4, 8)


def batch_norm(X: FloatArray, Y: FloatArray, lam: float, depth: int) -> DeepFormula:
    """The formula, and a network with ReLU that has it."""
    n = len(X)
    parts = Parts.of(Y)
    chains = Chains.solve(parts.sizes, np.ones(len(parts)), n * lam, 2)
    value = float(chains.values(n * lam, 2).sum()) / n
    on = chains.alive
    root, units = np.sqrt(chains.gains[on]), parts.rows[on].T
    means = units.mean(axis=0)
    centred = units - means
    sizes = np.linalg.norm(centred, axis=0)
    # One class alone is constant: its neuron is its shift.
    centred[:, sizes <= TOLERANCE] = 0.0
    sizes = np.where(sizes <= TOLERANCE, 0.0, sizes)
    layers, off = _layers(X, centred, depth)
    if off > TOLERANCE:
        raise DataError(
            f"The layers before the batch normalisation cannot make what the formula asks for: "
            f"they miss it by {off:.3g}. {_advice(X, depth)}",
            distance=off,
            bound=value,
        )
    norm = BatchNorm(root * sizes, root * np.sqrt(n) * means, means * 0, sizes, n)
    network = DeepNetwork((*layers, parts.directions[on].T * root), norm=norm).with_statistics(X)
    return DeepFormula("batch_norm", network, value, value, REASON, chains)


def _layers(X: FloatArray, wanted: FloatArray, depth: int) -> tuple[list[FloatArray], float]:
    """W_1 to W_{L−1} whose last pre-activations are as wanted, up to constants; the misfit."""
    if depth == 2:
        weights, off = _towards(X, wanted)
        return [weights], off
    n, d = X.shape
    before: list[FloatArray] = []
    inputs = X
    if depth > 3:
        # x_+ and (−x)_+ hold what x does, and identities pass them on.
        before = [np.vstack([np.eye(d), -np.eye(d)]), *(np.eye(2 * d) for _ in range(depth - 4))]
        inputs = np.maximum(X @ before[0].T, 0.0)
    rng = np.random.default_rng(0)
    scale = max(float(np.abs(X).max()), np.finfo(float).tiny)
    found: tuple[list[FloatArray], float] = ([], np.inf)
    for width in (n * k for k in WIDTHS):
        mixing = rng.standard_normal((width, inputs.shape[1])) / scale
        weights, off = _towards(np.maximum(inputs @ mixing.T, 0.0), wanted)
        if off < found[1]:
            found = ([*before, mixing, weights], off)
        if off <= TOLERANCE:
            break
    return found


def _towards(features: FloatArray, wanted: FloatArray) -> tuple[FloatArray, float]:
    """Weights (k, m) that make the centred targets of centred features, and the misfit."""
    centred = features - features.mean(axis=0)
    solution = np.linalg.lstsq(centred, wanted, rcond=1e-13)[0]
    lengths = np.linalg.norm(wanted, axis=0)
    misfit = np.linalg.norm(centred @ solution - wanted, axis=0)
    off = float((misfit / np.where(lengths > 0, lengths, 1.0)).max(initial=0.0))
    return solution.T, off


def _advice(X: FloatArray, depth: int) -> str:
    """What stands in the way, and what to do."""
    if depth == 2:
        return (
            f"X has {X.shape[1]} columns for {len(X)} rows, and with two layers the classes have "
            "to be linear functions of X. Use depth=3, which puts a layer before it."
        )
    return (
        "Rows of X that are positive multiples of each other stay so in every layer. Add a column "
        "of ones to X, and drop copies of rows."
    )
