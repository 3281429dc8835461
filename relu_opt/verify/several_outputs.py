r"""The re-check of a certificate for several outputs, from its contents and the data alone.

The network's objective (1/2n)‖f − Y‖² + (λ/2) Σ_j (‖u_j‖² + ‖w_j‖²) is an upper bound, and
⟨V, Y⟩ − (n/2)‖V‖² is a lower bound for every network if |h(u)| ≤ λ for all ‖u‖ ≤ 1, with
h(u) = Σ_i max(0, x_iᵀu) ω_i: x_i the rows that a neuron sees, ω_i the rows of V (each patch has its
own block of entries; pooled patches share it and are averaged). As in `relu_opt.verify`, nothing
of the trainer is imported, and the lower bound that is reported allows for rounding.

The search. A cone of directions is Σ_j θ_j v_j, θ ≥ 0, for r unit vectors. With g_i = s_i x_iᵀu for
some slope s_i in [0, 1], what max(0, x_iᵀu) is above g_i is at most its interpolant c_i. So
h = g + Σ_i t_i ω_i, 0 ≤ t_i ≤ c_i, and |h|² = |g|² + Σ_i t_i ω_iᵀ(g + h) is at most a quadratic
form in θ, which is compared with λ²|u|² entry by entry. A cone that fails is cut in two.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relu_opt.verify.claim import (
    VERDICTS,
    Flaw,
    check_fingerprint,
    read_choice,
    read_entry,
    read_number,
)
from relu_opt.verify.outcome import Terms, Verification, concluded
from relu_opt.verify.search import EPS, MOST_RANK

FloatArray = NDArray[np.float64]

# Cones that are looked at before the search gives up, and entries of a matrix of products.
MOST_CONES, CHUNK_ENTRIES = 3_000_000, 2**20
# Share of `tol` that the search may be off by.
SEARCH_SHARE = 0.005
PROOFS = ("searched", "relaxed", "lifted")


@dataclass(frozen=True)
class _Claim:
    """What a certificate for several outputs says of its bounds."""

    tol: float
    verdict: str
    numbers: Mapping[str, float]
    lam: float
    proof: str

    @property
    def terms(self) -> Terms:
        """What the certificate speaks of."""
        return Terms("all", self.lam, "squared", False, self.proof, self.tol)


def check_several(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], X: FloatArray, Y: FloatArray
) -> Verification:
    """Re-check a certificate of a network with several outputs; a `Flaw` if it is malformed."""
    seen, pooled = _seen(arrays, meta, X)
    (K, _, h), c = seen.shape, Y.shape[1]
    hidden = read_entry(arrays, "hidden", np.float64, (None, h))
    m, by_patch = len(hidden), "patches" in arrays and not pooled
    output = read_entry(arrays, "output", np.float64, (m, K, c) if by_patch else (m, c))
    constants = read_entry(arrays, "intercept", np.float64, (c,))
    V = read_entry(arrays, "V", np.float64, Y.shape)
    lam, tol = (read_number(meta, name, lambda x: 0 < x < math.inf) for name in ("lam", "tol"))
    claim = _Claim(
        tol,
        read_choice(meta, "verdict", VERDICTS),
        {name: read_number(meta, name) for name in ("primal", "dual", "rel_gap")},
        lam,
        read_choice(meta, "proof", PROOFS),
    )
    check_fingerprint(meta, X, Y)
    free = meta.get("with_intercept")
    if not isinstance(free, bool) or (constants.any() and not free):
        raise Flaw("The network has output constants, and the certificate says that it has none.")
    false: list[str] = []
    if free and (np.abs(V.sum(axis=0)) > 1e-10 * np.abs(V).sum(axis=0)).any():
        false.append("A column of V does not sum to zero, and the output constants are free.")
    weights = output if by_patch else output[:, None]
    primal = _primal(seen, pooled, hidden, weights, constants, Y, lam)
    plain = _dual(V, Y)
    bound, doubts = _largest(seen, pooled, V, lam, tol, claim.proof)
    shrink = min(1.0, lam / bound) if bound > 0 else 1.0
    dual = min(plain, _dual(shrink * V, Y))

    def statement(rel_gap: float) -> str:
        return (
            f"With the mean squared loss over {c} outputs, lam = {lam:g}, the network's "
            f"objective {primal:.12g} is at most {max(rel_gap, 0.0):.3g} (relative) above that of "
            f"every ReLU network of any width: none is below {dual:.12g}."
        )

    return concluded(claim, primal, dual, false, doubts, "network", statement)


# -- reading -------------------------------------------------------------------


def _seen(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], X: FloatArray
) -> tuple[FloatArray, bool]:
    """What a neuron sees of the data, (K, n, h), and whether it is averaged over the K."""
    pooled = meta.get("pooled")
    patches = arrays.get("patches")
    if not isinstance(pooled, bool) or (pooled and patches is None):
        raise Flaw(f"pooled is {pooled!r:.60}, which is not what it can be.")
    if patches is None:
        return X[None], False
    if patches.dtype.kind != "i" or patches.ndim != 2 or not patches.size:
        raise Flaw("The entry 'patches' is no table of column numbers.")
    if patches.min() < 0 or patches.max() >= X.shape[1]:
        raise Flaw("The entry 'patches' names columns that there are not.")
    return np.stack([X[:, patch] for patch in patches]), pooled


# -- the bounds ----------------------------------------------------------------


def _primal(
    seen: FloatArray,
    pooled: bool,
    hidden: FloatArray,
    output: FloatArray,
    constants: FloatArray,
    Y: FloatArray,
    lam: float,
) -> float:
    fits = np.tile(constants, (len(Y), 1))
    for k, rows in enumerate(seen):
        values = np.maximum(rows @ hidden.T, 0.0)
        fits += values @ output[:, 0] / len(seen) if pooled else values @ output[:, k]
    squares = float((hidden**2).sum() + (output**2).sum())
    return float(((fits - Y) ** 2).sum()) / (2 * len(Y)) + lam / 2 * squares


def _dual(V: FloatArray, Y: FloatArray) -> float:
    return float((V * Y).sum()) - len(Y) / 2 * float((V**2).sum())


def _largest(
    seen: FloatArray, pooled: bool, V: FloatArray, lam: float, tol: float, proof: str
) -> tuple[float, list[str]]:
    """What |h| does not exceed on the unit ball, and why that may not be known."""
    K, n, _ = seen.shape
    rows = seen.reshape(K * n, -1)
    if pooled:
        omega = np.concatenate([V / K] * K)
    else:
        omega = np.concatenate([np.kron(np.eye(K)[k], V) for k in range(K)])
    level = lam * (1 + SEARCH_SHARE * tol)
    if proof == "lifted":
        bound = lifted(rows, omega)
        problem = (
            "" if bound <= level else f"The lifted bound is {bound:.17g}, above lam = {lam:g}."
        )
    else:
        # Whoever proved it, it is a statement about V alone.
        bound, problem = reach_vector(rows, omega, level)
    return bound, [problem] if problem else []


def lifted(rows: FloatArray, omega: FloatArray) -> float:
    """A bound on |Σ_i max(0, x_iᵀu) ω_i| for |u| ≤ 1, by the largest eigenvalue of a matrix.

    z_i = max(0, x_iᵀu) has z_i² = z_i x_iᵀu, so |ωᵀz|² ≤ |ωᵀz|² + Σ_i N_i (z_i x_iᵀu − z_i²) for
    every N ≥ 0; the maximum over all z is ¼ uᵀxᵀ(N + ω(I − ωᵀN⁻¹ω)⁻¹ωᵀ)xu if ωᵀN⁻¹ω ≺ I. N is
    tried as a multiple of 1, and of |ω_i|/|x_i|.
    """
    size, strength = np.linalg.norm(rows, axis=1), np.linalg.norm(omega, axis=1)
    some = (size > 0) & (strength > 0)
    if not some.any():
        return 0.0
    x, w = rows[some], omega[some]
    found = []
    for N in (np.ones(len(x)), (strength / size)[some]):
        inner = w.T @ (w / N[:, None])
        least = float(np.linalg.eigvalsh(inner)[-1])
        xNx, xw = x.T @ (N[:, None] * x), x.T @ w

        def square(
            log: float, inner: FloatArray = inner, least: float = least,
            xNx: FloatArray = xNx, xw: FloatArray = xw,
        ) -> float:  # fmt: skip
            t = least * (1 + math.exp(log))
            middle = np.linalg.solve(np.eye(len(inner)) - inner / t, xw.T)
            return float(np.linalg.eigvalsh(t * xNx + xw @ middle)[-1]) / 4

        low, high = math.log(0.01), math.log(1e4)
        for _ in range(60):
            one, two = low + (high - low) / 3, high - (high - low) / 3
            low, high = (low, two) if square(one) <= square(two) else (one, high)
        found.append(square(0.5 * (low + high)))
    return math.sqrt(min(found)) * (1 + 6400 * EPS * math.sqrt(x.size))


def reach_vector(rows: FloatArray, omega: FloatArray, level: float) -> tuple[float, str]:
    """A bound on |Σ_i max(0, x_iᵀu) ω_i| for |u| ≤ 1: `level` plus rounding, or inf and why."""
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    kept = sizes > 4 * max(rows.shape) * EPS * sizes[0]
    left_out = float(sizes[~kept].max(initial=0.0)) * float(np.linalg.norm(omega))
    x = rows @ axes[kept].T
    total = float(np.linalg.norm(x, axis=1) @ np.linalg.norm(omega, axis=1))
    if not total:
        return left_out, ""
    slack = 8 * EPS * math.sqrt(len(x) + 1) * total
    r = x.shape[1]
    if r > MOST_RANK:
        return math.inf, f"A search of directions in {r} dimensions is too long to repeat here."
    some = x.any(axis=1) & omega.any(axis=1)
    x, omega = x[some], omega[some]
    corners = np.where(np.arange(2**r)[:, None] >> np.arange(r) & 1, -1.0, 1.0)
    cones = corners[:, :, None] * np.eye(r)
    step, looked = max(1, CHUNK_ENTRIES // (r * len(x))), 0
    while len(cones):
        looked += len(cones)
        if looked > MOST_CONES or (r == 1 and looked > 2):
            return math.inf, "The search for directions is too long to repeat here."
        left = []
        for start in range(0, len(cones), step):
            part = cones[start : start + step]
            open_, highest = _open(part, x, omega, level, 16 * slack * total)
            if highest > level + slack + left_out:
                return math.inf, f"A direction has |Vᵀ(Xu)₊| = {highest:.17g}, above lam."
            left.append(part[open_])
        cones = _cut(np.concatenate(left))
    return level + 2 * slack + left_out, ""


def _open(
    cones: FloatArray, x: FloatArray, omega: FloatArray, level: float, error: float
) -> tuple[NDArray[np.bool_], float]:
    """Cones on which |h| ≤ level is not shown; and the largest |h| at their edges."""
    heights = np.einsum("mjr,ir->mji", cones, x)
    most, least = heights.max(axis=1, keepdims=True), heights.min(axis=1, keepdims=True)
    between = (least < 0) & (most > 0)
    slope = np.where(least >= 0, 1.0, 0.0)
    slope = np.where(between, most / np.where(between, most - least, 1.0), slope)
    g = (slope * heights) @ omega
    c = np.where(between, np.maximum(heights, 0.0) - slope * heights, 0.0)
    highest = float(np.linalg.norm(g + c @ omega, axis=2).max())
    strength = np.linalg.norm(omega, axis=1)
    # ω_iᵀ(g + h) = 2ω_iᵀg + ω_iᵀΣ t ω, and the last is at most |ω_i| Σ c|ω|.
    pull = np.maximum(2 * g @ omega.T + strength * (c @ strength)[:, :, None], 0.0)
    form = np.einsum("mjq,mkq->mjk", g, g) + 0.5 * (
        np.einsum("mji,mki->mjk", c, pull) + np.einsum("mji,mki->mjk", pull, c)
    )
    cosines = np.einsum("mjr,mkr->mjk", cones, cones) * (1 - 1e-14)
    return ~((form + error <= level**2 * cosines).all(axis=(1, 2))), highest


def _cut(cones: FloatArray) -> FloatArray:
    """Every cone in two, at the middle of its longest edge."""
    if not len(cones):
        return cones
    i, j = np.triu_indices(cones.shape[1], 1)
    longest = ((cones[:, i] - cones[:, j]) ** 2).sum(axis=2).argmax(axis=1)
    all_, one, two = np.arange(len(cones)), i[longest], j[longest]
    middle = cones[all_, one] + cones[all_, two]
    middle /= np.sqrt((middle**2).sum(axis=1, keepdims=True))
    halves = np.stack([cones, cones])
    halves[0, all_, one] = middle
    halves[1, all_, two] = middle
    return halves.reshape(-1, *cones.shape[1:])
