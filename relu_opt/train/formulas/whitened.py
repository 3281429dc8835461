r"""Whitened rows, XXᵀ = s²I: one neuron for each sign of the targets, soft-thresholded.

Each sign is by itself, y = y_+ − y_- (Ergen & Pilanci, JMLR 2021; X then has no spikes). With the
sum of losses, strength β = nλ and b = β/s, the fits and the optimum are

    squared         z_± = (1 − b/‖y_±‖)_+ y_±,           Σ_± b‖y_±‖ − ½b² (or ½‖y_±‖² if ‖y_±‖ ≤ b),
    hinge           z_± = y_± or 0,                      Σ_± min(n_±, b √n_±),
    interpolation   z_± = y_±,                           (‖y_+‖ + ‖y_-‖)/s,

by the neuron of direction Xᵀy_±. The dual point ν has ‖Xᵀν_±‖ = s‖ν_±‖, and ρ = ν_∓ shows that
this is all: P_K(Xᵀν) = Xᵀν_+ on K = {u : Xu ≥ 0}.
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.train.formulas.formula import Formula, ones_pattern, spike_free_multipliers

# How far entries of XXᵀ/s² may be from those of the identity.
TOLERANCE = 1e-10


def distance_from_whitened(X: FloatArray) -> float:
    """Largest entry of |XXᵀ/s² − I| with s² the mean squared norm of the rows; inf for X = 0."""
    n, d = X.shape
    largest = float(np.abs(X).max())
    if largest == 0:
        return np.inf
    if n > d:
        # XXᵀ has rank d, so its distance from s²I is at least what is left of the trace.
        return 1.0
    units = X / largest
    gram = units @ units.T
    gram /= np.trace(gram) / n
    return float(np.abs(gram - np.eye(n)).max())


def whitened(X: FloatArray, y: FloatArray, lam: float | None, loss: str) -> Formula:
    """The formula for rows with XXᵀ = s²I; `lam` is None for interpolation."""
    n = len(X)
    s = float(np.linalg.norm(X)) / np.sqrt(n)
    parts = np.maximum(y, 0.0), np.maximum(-y, 0.0)
    sizes = np.array([np.linalg.norm(part) for part in parts])
    if lam is None:
        shrunk, duals = sizes, np.full(2, 1 / s)
        value = float(sizes.sum()) / s
    elif loss == "squared":
        b = n * lam / s
        shrunk, duals = np.maximum(sizes - b, 0.0), np.minimum(sizes, b) / n
        each = np.where(sizes > b, b * sizes - 0.5 * b**2, 0.5 * sizes**2)
        value = float(each.sum()) / n
    else:
        # Labels: ‖y_±‖² counts them.
        b = n * lam / s
        shrunk, duals = np.where(sizes > b, sizes, 0.0), np.minimum(sizes, b) / n
        value = float(np.minimum(sizes**2, b * sizes).sum()) / n
    units = np.array([part / max(size, 1.0e-300) for part, size in zip(parts, sizes, strict=True)])
    nu_plus, nu_minus = duals[:, None] * units
    return Formula(
        kind="whitened",
        blocks=(shrunk / s**2)[:, None] * (units @ X),
        signs=np.array([1.0, -1.0]),
        value=value,
        nu=nu_plus - nu_minus,
        patterns=ones_pattern(n),
        coverage="spike_free",
        multipliers=spike_free_multipliers(nu_minus, nu_plus),
    )
