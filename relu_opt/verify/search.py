r"""Whether |νᵀ(Xu)₊| ≤ level for every ‖u‖ ≤ 1, for `relu_opt.verify`: by its own search.

A cone of directions is the set of nonnegative combinations of r unit vectors, the rows of V. Let
h(u) = Σ_k c_k (x_kᵀu)₊ + bᵀu. On the cone, (x_kᵀu)₊ lies below its linear interpolant for c_k > 0,
and −(x_kᵀu)₊ below −τ x_kᵀu for c_k < 0 and any τ in [0, 1]; so h(u) ≤ gᵀu with Vg = F, F the
values of these at the rows of V, or anything larger. A cone is settled when some such g has
‖g‖ ≤ level; other cones are cut in two. Where only rows with c_k < 0 change sign within the cone, g
needs no V: it is b + Σ c_k x_k over the active rows, less Σ τ_k |c_k| x_k over those that change.
Convex kinks are added by looking at both sides: where ±x_kᵀu ≥ 0, any ρ_k ≥ 0 gives ± ρ_k x_k.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Convex kinks in a cone whose sides are looked at one by one.
MOST_KINKS = 2
# Cones that are looked at before the search gives up, the length of an edge that rounding hides,
# and entries of a matrix of products.
MOST_CONES, SHORTEST = 3_000_000, 1e-6
CHUNK_ENTRIES = 2**21
# Beyond this rank the orthants alone are too many.
MOST_RANK = 12
EPS = float(np.finfo(np.float64).eps)


def reach(X: FloatArray, nu: FloatArray, level: float) -> tuple[float, str]:
    """A bound on |νᵀ(Xu)₊| for all ‖u‖ ≤ 1: `level` plus rounding, or inf and why it is not."""
    _, sizes, axes = np.linalg.svd(X, full_matrices=False)
    kept = sizes > 4 * max(X.shape) * EPS * sizes[0]
    rows = X @ axes[kept].T
    if not rows.shape[1]:
        return 0.0, ""
    slack = float(sizes[~kept].max(initial=0.0)) * float(np.linalg.norm(nu))
    # Sums of n products, as elsewhere in the verifier.
    slack += 8 * EPS * math.sqrt(len(X) + 1) * float(np.abs(nu) @ np.linalg.norm(rows, axis=1))
    a, c, b, merged = _kinks(rows, nu)
    for sign in (1.0, -1.0):
        problem = _one_side(a, sign * c, sign * b, level, slack + merged)
        if problem:
            return math.inf, problem
    # ‖V⁻¹1‖, by which an error in F may grow, is at most √r in the first cones and their parts.
    return level + 2 * math.sqrt(rows.shape[1]) * (slack + merged), ""


def _kinks(rows: FloatArray, nu: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray, float]:
    """νᵀ(Xu)₊ as Σ c_k (a_kᵀu)₊ + bᵀu with no two a_k parallel, and the error of making it so.

    A row −z beside a row z has the same kink: (−zᵀu)₊ = (zᵀu)₊ − zᵀu.
    """
    found: dict[bytes, int] = {}
    a: list[FloatArray] = []
    c: list[float] = []
    b, error = np.zeros(rows.shape[1]), 0.0
    general = np.random.default_rng(1).uniform(1.0, 2.0, rows.shape[1])
    for row, weight in zip(rows, nu, strict=True):
        size = float(np.linalg.norm(row))
        if size == 0 or weight == 0:
            continue
        side = math.copysign(1.0, float(row @ general))
        unit = side / size * row
        k = found.setdefault((np.round(unit, 12) + 0.0).tobytes(), len(a))
        if k == len(a):
            a.append(unit)
            c.append(0.0)
        error += abs(weight) * size * float(np.linalg.norm(unit - a[k]))
        c[k] += weight * size
        if side < 0:
            b -= weight * size * unit
    return np.array(a).reshape(-1, rows.shape[1]), np.array(c), b, error


def _one_side(a: FloatArray, c: FloatArray, b: FloatArray, level: float, slack: float) -> str:
    """Why h(u) ≤ level may not hold for all ‖u‖ ≤ 1."""
    r, looked = len(b), 0
    if r > MOST_RANK:
        return f"a search of directions in {r} dimensions is too long to repeat here"
    corners = np.where(np.arange(2**r)[:, None] >> np.arange(r) & 1, -1.0, 1.0)
    cones = corners[:, :, None] * np.eye(r)
    step = max(1, CHUNK_ENTRIES // (r * max(1, len(a))))
    while True:
        looked += len(cones)
        if looked > MOST_CONES:
            return "the search for directions with |νᵀ(Xu)₊| > lam is too long to repeat here"
        left = []
        for start in range(0, len(cones), step):
            part = cones[start : start + step]
            heights = part @ a.T
            values = np.maximum(heights, 0.0) @ c + part @ b
            if values.max() > level + slack:
                return f"a direction has |νᵀ(Xu)₊| = {values.max():.17g}"
            open_ = ~_settled(part, heights, c, b, level, slack)
            for k in np.flatnonzero(open_):
                open_[k] = not _settled_exactly(a, c, b, heights[k], level, slack)
            left.append(part[open_])
        open_cones = np.concatenate(left)
        if not len(open_cones):
            return ""
        i, j, length = _edges(open_cones)
        if length.min() < SHORTEST:
            return "rounding hides whether a direction has |νᵀ(Xu)₊| > lam"
        cones = _cut(open_cones, i, j)


def _settled(
    V: FloatArray, heights: FloatArray, c: FloatArray, b: FloatArray, level: float, slack: float
) -> NDArray[np.bool_]:
    """Cones whose linear bound shows h ≤ level."""
    low, high = heights.min(axis=1, keepdims=True), heights.max(axis=1, keepdims=True)
    across = np.where(high > low, high / np.where(high > low, high - low, 1.0), 0.0)
    tau = np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, np.clip(across, 0.0, 1.0)))
    F = np.where(c > 0, np.maximum(heights, 0.0), tau * heights) @ c + V @ b
    top = F.max(axis=1)
    inverse = np.linalg.inv(V)
    g = (inverse @ F[:, :, None])[:, :, 0]
    h = top[:, None] * inverse.sum(axis=2)
    best = np.full(len(V), math.inf)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        best = np.minimum(best, np.linalg.norm((1 - share) * g + share * h, axis=1))
    return np.asarray((top <= 0) | (best <= level + slack))


def _settled_exactly(
    a: FloatArray, c: FloatArray, b: FloatArray, heights: FloatArray, level: float, slack: float
) -> bool:
    """Whether τ is found with which h ≤ gᵀu and ‖g‖ ≤ level on one cone."""
    low, high = heights.min(axis=0), heights.max(axis=0)
    changes = (low < 0) & (high > 0)
    kinks = np.flatnonzero(changes & (c > 0))
    if len(kinks) > MOST_KINKS:
        return False
    falling = changes & (c < 0)
    for choice in range(2 ** len(kinks)):
        # One side of each convex kink, where side · a_kᵀu ≥ 0.
        side = np.where(choice >> np.arange(len(kinks)) & 1, 1.0, -1.0)
        active = low >= 0
        active[kinks] = side > 0
        g = b + c[active] @ a[active]
        pull = np.concatenate([-c[falling, None] * a[falling], -side[:, None] * a[kinks]])
        limit = np.concatenate([np.ones(falling.sum()), np.full(len(kinks), math.inf)])
        while len(pull):
            tau = nnls(pull.T, g)[0]
            over = tau >= limit
            if not over.any():
                g = g - tau @ pull
                break
            g = g - limit[over] @ pull[over]
            pull, limit = pull[~over], limit[~over]
        if not float(np.linalg.norm(g)) <= level + slack:
            return False
    return True


def _edges(cones: FloatArray) -> tuple[IntArray, IntArray, FloatArray]:
    """The corners of each cone that are farthest apart, and how far; a ray has none."""
    i, j = np.triu_indices(cones.shape[1], 1)
    if not len(i):
        return i[:0], j[:0], np.zeros(1)
    edges = np.sqrt(((cones[:, i] - cones[:, j]) ** 2).sum(axis=2))
    longest = edges.argmax(axis=1)
    return i[longest], j[longest], edges.max(axis=1)


def _cut(cones: FloatArray, one: IntArray, two: IntArray) -> FloatArray:
    """Every cone in two, at the middle of an edge."""
    every = np.arange(len(cones))
    middle = cones[every, one] + cones[every, two]
    middle /= np.sqrt((middle**2).sum(axis=1, keepdims=True))
    halves = np.stack([cones, cones])
    halves[0, every, one] = middle
    halves[1, every, two] = middle
    return halves.reshape(-1, *cones.shape[1:])
