r"""How far data are from spike-free, for `relu_opt.verify`: in doubles, or exactly.

Data are spike-free if the directions of their rows are independent and the inverse S⁻¹ of their
Gram matrix has no positive entry beside its diagonal. With any B near S⁻¹ and R = 1 − BS,

    |S⁻¹ − B|_kl ≤ (|R||B|)_kl + ‖R‖²/(1 − ‖R‖) max_j |B_jl|,    ‖R‖ = max_k Σ_j |R_kj|,

which bounds the positive entries E. Then every (Xu)₊ with ‖u‖ ≤ 1 is an Xv with ‖v‖² ≤ 1/(1 − e²),
e = ‖E‖‖S‖ (Frobenius norm and trace; `exact_spikes` has the proof), and bounds are charged for it.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from relu_opt.verify.cells import whole
from relu_opt.verify.exact_spikes import MOST_DIRECTIONS
from relu_opt.verify.exact_spikes import stretch as exact_stretch
from relu_opt.verify.rounding import above, gamma

FloatArray = NDArray[np.float64]

# The charge in doubles is taken without a second look up to this.
SMALL = 1e-14


def stretch(X: FloatArray) -> tuple[float, str]:
    """How much longer than u the v of (Xu)₊ = Xv may be; inf and why, if no bound is known."""
    rows = _directions(X)
    k, d = len(rows), X.shape[1]
    if k > d:
        return math.inf, "the rows have more directions than there are features"
    charge = _charge(X[rows])
    if charge > SMALL and k <= MOST_DIRECTIONS:
        square, problem = exact_stretch([list(whole(row)) for row in X[rows]])
        charge = math.inf if problem else above(float(square - 1), 4)
    if charge == math.inf:
        problem = "the inverse Gram matrix of the rows has positive entries beside its diagonal"
        return math.inf, f"{problem}, or the rows are dependent"
    # √(1 + c) ≤ 1 + c.
    return (1 + charge) * (1 + gamma(2)) if charge else 1.0, ""


def _directions(X: FloatArray) -> list[int]:
    """The first row of each direction, exactly, at most d + 1 of them; rows of zeros have none."""
    known: dict[tuple[int, ...], int] = {}
    for k, row in enumerate(X):
        if row.any():
            vector = whole(row)
            divisor = math.gcd(*vector)
            known.setdefault(tuple(entry // divisor for entry in vector), k)
        if len(known) > X.shape[1]:
            break
    return list(known.values())


def _charge(rows: FloatArray) -> float:
    """1/(1 − e²) − 1, or inf where doubles cannot bound it."""
    k, d = rows.shape
    if k < 2:
        return 0.0
    C = np.ldexp(rows, -np.frexp(np.abs(rows).max(axis=1))[1][:, None])
    size = np.abs(C) @ np.abs(C).T
    gram = C @ C.T
    try:
        B = np.linalg.inv(gram)
    except np.linalg.LinAlgError:
        return math.inf
    R = np.abs(np.eye(k) - B @ gram) + (2 * gamma(k + d + 4)) * (np.abs(B) @ size)
    norm = above(float(R.sum(axis=1).max()), k)
    if not norm < 0.5:
        return math.inf
    E = B + (R @ np.abs(B) + 2 * norm**2 * np.abs(B).max(axis=0)) * (1 + gamma(2 * k))
    np.fill_diagonal(E, 0.0)
    e = above(float(np.linalg.norm(np.maximum(E, 0.0)) * np.trace(size)), k * k + k + d + 8)
    return 2 * e**2 if e < 0.5 else math.inf
