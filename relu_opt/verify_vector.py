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

import hashlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relu_opt.verification import Verification, nothing
from relu_opt.verify_claim import Flaw
from relu_opt.verify_search import EPS

FloatArray = NDArray[np.float64]

# Cones that are looked at before the search gives up, and entries of a matrix of products.
MOST_CONES, CHUNK_ENTRIES = 3_000_000, 2**20
# How far a claimed number may be from the recomputed one, relative to the primal objective, and
# shares of `tol` that the search may be off by, and that it may add to the gap.
CLAIM_TOL, SEARCH_SHARE, GAP_SHARE = 1e-9, 0.05, 0.1


def check_several(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], X: FloatArray, Y: FloatArray
) -> Verification:
    """Re-check a certificate of a network with several outputs; a `Flaw` if it is malformed."""
    hidden, output = _entry(arrays, "hidden", 2), _entry(arrays, "output", None)
    constants, V = _entry(arrays, "intercept", 1), _entry(arrays, "V", 2)
    lam, tol = _positive(meta, "lam"), _positive(meta, "tol")
    seen, pooled = _seen(arrays, meta, X)
    blocks = 1 if pooled else len(seen)
    shape = (len(hidden), blocks, Y.shape[1])
    if hidden.shape[1] != seen.shape[2] or output.size != math.prod(shape):
        raise Flaw(f"The network, {hidden.shape} and {output.shape}, does not take these data.")
    if V.shape != Y.shape or len(constants) != Y.shape[1]:
        raise Flaw(f"V is {V.shape} and the targets are {Y.shape}.")
    if meta.get("fingerprint") != _fingerprint(X, Y):
        raise Flaw("The certificate is about other data: its fingerprint differs.")
    free = meta.get("with_intercept")
    if not isinstance(free, bool) or (constants.any() and not free):
        raise Flaw("The network has output constants, and the certificate says that it has none.")
    false: list[str] = []
    if free and (np.abs(V.sum(axis=0)) > 1e-10 * np.abs(V).sum(axis=0)).any():
        false.append("A column of V does not sum to zero, and the output constants are free.")
    primal = _primal(seen, pooled, hidden, output.reshape(shape), constants, Y, lam)
    plain = _dual(V, Y)
    bound, doubts = _largest(seen, pooled, V, lam, tol, meta.get("proof"))
    shrink = min(1.0, lam / bound) if bound > 0 else 1.0
    dual = min(plain, _dual(shrink * V, Y))
    scale = max(1e-12, abs(primal))
    said = {"primal": primal, "dual": plain, "rel_gap": (primal - plain) / scale}
    for name, value in said.items():
        slack = CLAIM_TOL * (1.0 if name == "rel_gap" else scale)
        if not abs(_number(meta, name) - value) <= slack:
            false.append(f"The certificate says {name} = {meta[name]!r}, and it is {value:.17g}.")
    rel_gap = (primal - dual) / scale
    if rel_gap < -CLAIM_TOL:
        doubts.append("The bound lies above the objective of a network that it speaks of.")
    close = said["rel_gap"] <= tol and rel_gap <= (1 + GAP_SHARE) * tol
    gaps = [] if close else [f"The gap {rel_gap:.3g} is above {tol:g}, tol."]
    verdict = "inconclusive" if doubts else "not_certified" if gaps else "certified"
    if meta.get("verdict") == "certified" and verdict != "certified":
        false.append(f"The certificate says 'certified', and the verdict is {verdict!r}.")
    problems = (*false, *doubts, *gaps)
    statement = (
        f"With the mean squared loss over {Y.shape[1]} outputs, lam = {lam:g}, the network's "
        f"objective {primal:.12g} is at most {max(rel_gap, 0.0):.3g} (relative) above that of "
        f"every ReLU network of any width: none is below {dual:.12g}."
    )
    if false or doubts:
        statement = nothing(problems[0])
    return Verification("invalid" if false else verdict, primal, dual, rel_gap, problems, statement)


# -- reading -------------------------------------------------------------------


def _entry(arrays: Mapping[str, np.ndarray], name: str, ndim: int | None) -> FloatArray:
    array = arrays.get(name)
    if not isinstance(array, np.ndarray) or array.dtype.kind != "f":
        raise Flaw(f"The entry {name!r} is missing, or does not hold numbers.")
    if ndim is not None and array.ndim != ndim:
        raise Flaw(f"The entry {name!r} has {array.ndim} axes, and {ndim} are needed.")
    if not np.isfinite(array).all():
        raise Flaw(f"The entry {name!r} holds NaN or infinite values.")
    return np.ascontiguousarray(array, dtype=np.float64)


def _number(meta: Mapping[str, Any], name: str) -> float:
    value = meta.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Flaw(f"{name} is {value!r:.60}, which is no number.")
    return float(value)


def _positive(meta: Mapping[str, Any], name: str) -> float:
    value = _number(meta, name)
    if not 0 < value < math.inf:
        raise Flaw(f"{name} is {value}, and a number greater than zero is needed.")
    return value


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


def _fingerprint(X: FloatArray, Y: FloatArray) -> str:
    digest = hashlib.sha256(f"{X.shape[0]},{X.shape[1]};".encode())
    for array in (X, Y):
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


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
    seen: FloatArray, pooled: bool, V: FloatArray, lam: float, tol: float, proof: object
) -> tuple[float, list[str]]:
    """What |h| does not exceed on the unit ball, and why that may not be known."""
    K, n, _ = seen.shape
    rows = seen.reshape(K * n, -1)
    if proof == "spectral":
        sizes = float(np.linalg.norm(rows, 2)) * float(np.linalg.norm(V, 2))
        bound = sizes / (math.sqrt(K) if pooled else 1.0) * (1 + 64 * EPS * math.sqrt(rows.size))
        if not bound <= lam * (1 + SEARCH_SHARE * tol) * (1 + 1e-9):
            return bound, [f"‖X‖‖V‖ is {bound:.17g}, above lam = {lam:g}."]
        return bound, []
    # Whoever proved it, it is a statement about V alone.
    if proof not in ("searched", "relaxed"):
        return lam, [f"The proof is {proof!r:.60}, which is not re-checked here."]
    if pooled:
        omega = np.concatenate([V / K] * K)
    else:
        omega = np.concatenate([np.kron(np.eye(K)[k], V) for k in range(K)])
    bound, problem = reach_vector(rows, omega, lam * (1 + SEARCH_SHARE * tol))
    return bound, [problem] if problem else []


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
