"""Whether data are spike-free, for `relu_opt.verify`: by regressions of rows on each other.

Independent rows have no spikes iff each row's best linear combination of the others has
coefficients ≥ 0 only. `relu_opt.is_spike_free` asks the same of the inverse Gram matrix, by other
code.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

# Unit rows that differ by no more are one.
SAME_ROW = 1e-12
# How much longer than u, relative to it, the v of (Xu)_+ = Xv may be; a bound is off by no more.
STRETCH = 1e-12
EPS = float(np.finfo(np.float64).eps)


def spikes(rows: FloatArray) -> str:
    """Why data with these rows (unit vectors, or zero) may have spikes; empty if they have none."""
    directions = np.zeros((0, rows.shape[1]))
    for row in rows[rows.any(axis=1)]:
        if (np.abs(directions - row).max(axis=1) > SAME_ROW).all():
            directions = np.vstack([directions, row])
            if len(directions) > rows.shape[1]:
                return "the rows have more directions than there are features"
    if len(directions) < 2:
        return ""
    triangle = np.linalg.qr(directions.T, mode="r")
    condition = float(np.linalg.cond(triangle))
    if not condition < 1 / (100 * EPS):
        return "the rows are linearly dependent"
    # Column k of the inverse is 1/δ_k times row k less its regression on the others, δ_k² the
    # squared residual: (inverse inverseᵀ)_kl = −coefficient_kl/δ_k².
    inverse = np.linalg.solve(triangle, np.eye(len(directions)))
    residuals = 1 / np.linalg.norm(inverse, axis=1)
    units = inverse * residuals[:, None]
    coefficients = -(units @ units.T) * np.divide.outer(residuals, residuals)
    negative = np.divide.outer(residuals, residuals) * 8 * len(directions) * EPS * condition
    negative = np.maximum(0.0, negative - coefficients)
    np.fill_diagonal(negative, 0.0)
    if not negative.any():
        return ""
    # ‖v‖ ≤ ‖u‖/√(1 − e²), as in `relu_opt.program.spike_free`, with 1/λ_min computed as a norm.
    shape = negative / np.divide.outer(residuals, residuals)
    e = np.linalg.norm(shape, 2) * np.linalg.norm(directions / residuals[:, None], 2) ** 2
    if e**2 / 2 <= STRETCH:
        return ""
    worst = np.unravel_index(int(np.argmax(shape)), shape.shape)
    return (
        f"the best combination for direction {worst[0]} of the rows has the coefficient "
        f"{coefficients[worst]:.3g} of direction {worst[1]}"
    )
