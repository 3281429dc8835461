r"""Whether |νᵀ(Xu)₊| ≤ level for every ‖u‖ ≤ 1, for `relu_opt.verify`: by its own search.

Let h(u) = Σ_k c_k (a_kᵀu)₊ + bᵀu, and let the rows of V be the corners of a cone of directions. On
the cone, (a_kᵀu)₊ lies below its linear interpolant for c_k > 0, and −(a_kᵀu)₊ below −τ a_kᵀu for
c_k < 0 and any τ in [0, 1]. With F the values of these at the corners, h(Vᵀθ) ≤ θᵀF for θ ≥ 0, and
for *any* g

    h(u) ≤ gᵀu + miss Σ_j θ_j ≤ (‖g‖ + √r miss) ‖u‖,   miss = max_j (F_j − v_jᵀg)₊,

so that g = V⁻¹F may be as wrong as an inverse is. A cone is settled when this is small enough;
others are cut in two. Where only rows with c_k < 0 change sign within the cone, h(u) ≤ gᵀu for
g = b + Σ c_k a_k over the active rows, less Σ τ_k |c_k| a_k over those that change. Convex kinks
are added by looking at both sides: where ±a_kᵀu ≥ 0, any ρ_k ≥ 0 gives ± ρ_k a_k.

What sums in doubles may be off by is part of every bound (`Form.rounding`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from relu_opt.verify.directions import GAP, MOST_CUTS, cut, orthants
from relu_opt.verify.least_squares import nonnegative
from relu_opt.verify.rounding import UNDERFLOW, above, chunk_rows, depth, gamma

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

# Convex kinks in a cone whose sides are looked at one by one.
MOST_KINKS = 2
# Cones that are looked at before the search gives up, those of them whose sides are, and entries of
# a matrix of products.
MOST_CONES, MOST_TRIES = 3_000_000, 100_000
CHUNK_ENTRIES = 2**21
# Beyond this rank the orthants alone are too many.
MOST_RANK = 12
# Decimals of unit vectors that are one kink; what that moves is charged.
DIGITS = 12
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, eq=False)
class Form:
    """h(u) = Σ_k c_k (a_kᵀu)₊ + bᵀu, in exactly these doubles, ‖a_k‖ ≤ 1 + 2⁻⁴⁰."""

    a: FloatArray
    c: FloatArray
    b: FloatArray

    @property
    def size(self) -> float:
        """At least Σ_k |c_k|‖a_k‖ + ‖b‖: no intermediate sum is larger."""
        total = math.fsum(np.abs(self.c)) * (1 + 2.0**-40) + float(np.linalg.norm(self.b))
        return above(total, len(self.b) + 4)

    @property
    def rounding(self) -> float:
        """What the values of h and of its bounds at a corner may be off by."""
        return gamma(depth(len(self.c)) + 2 * len(self.b) + 12) * self.size + UNDERFLOW

    def __neg__(self) -> Form:
        return replace(self, c=-self.c, b=-self.b)


def reach(X: FloatArray, nu: FloatArray, level: float) -> tuple[float, str]:
    """A bound on |νᵀ(Xu)₊| for all ‖u‖ ≤ 1: `level` plus rounding, or inf and why it is not."""
    rows, rest, stretch = _rotated(X, nu)
    r = rows.shape[1]
    if not r:
        return rest, ""
    if r > MOST_RANK:
        return math.inf, f"a search of directions in {r} dimensions is too long to repeat here"
    form, merged = _kinks(rows, nu)
    # Bounds within a few roundings of the level are not worth cutting for.
    allowed = level + 4 * math.sqrt(r) * form.rounding
    for side in (form, -form):
        problem = _one_side(side, allowed)
        if problem:
            return math.inf, problem
    within = allowed * (1 + GAP) + GAP * form.size + merged
    return above(within * stretch + rest, 6), ""


def _rotated(X: FloatArray, nu: FloatArray) -> tuple[FloatArray, float, float]:
    """Rows in coordinates w = Qu of their row space; what they leave out; and ‖Q‖.

    With R = X − rows Q, |νᵀ(Xu)₊| ≤ |νᵀ(rows Qu)₊| + Σ|ν_k|‖R_k‖, whatever Q is.
    """
    n, d = X.shape
    _, sizes, axes = np.linalg.svd(X, full_matrices=False)
    Q = axes[sizes > 4 * max(X.shape) * EPS * sizes[0]]
    r = len(Q)
    rows = X @ Q.T
    overlaps = np.abs(Q @ Q.T - np.eye(r)).sum(axis=1).max(initial=0.0)
    stretch = 1 + above(float(overlaps) + r * gamma(d + 4), d)
    lengths = np.linalg.norm(X, axis=1) + stretch * math.sqrt(r) * np.linalg.norm(rows, axis=1)
    left_out = np.linalg.norm(X - rows @ Q, axis=1) + gamma(r + 4) * lengths
    return rows, above(float(np.abs(nu) @ left_out), n + d + r) + UNDERFLOW, stretch


def _kinks(rows: FloatArray, nu: FloatArray) -> tuple[Form, float]:
    """νᵀ(Xu)₊ as a form with no two a_k parallel, and the error of making it so.

    A row −z beside a row z has the same kink: (−zᵀu)₊ = (zᵀu)₊ − zᵀu.
    """
    lengths = np.linalg.norm(rows, axis=1)
    some = (lengths > 0) & (nu != 0)
    if not some.any():
        return Form(rows[:0], nu[:0], np.zeros(rows.shape[1])), 0.0
    rows, nu, lengths = rows[some], nu[some], lengths[some]
    general = np.random.default_rng(1).uniform(1.0, 2.0, rows.shape[1])
    back = rows @ general < 0
    sizes = np.where(back, -lengths, lengths)
    units = rows / sizes[:, None]
    _, first, kink = np.unique(
        np.round(units, DIGITS) + 0.0, axis=0, return_index=True, return_inverse=True
    )
    kink = kink.ravel()
    a = units[first].reshape(-1, rows.shape[1])
    moved = np.linalg.norm(sizes[:, None] * a[kink] - rows, axis=1) + gamma(4) * lengths
    weights = nu * lengths
    ends = np.cumsum(np.bincount(kink, minlength=len(a)))[:-1]
    c = np.array([math.fsum(part) for part in np.split(weights[np.argsort(kink)], ends)])
    b = -np.array([math.fsum(weights[back] * column) for column in a[kink[back]].T])
    error = float(np.abs(nu) @ moved) + 2 * gamma(4) * float(np.abs(weights).sum())
    return Form(a, c, b), above(error, len(nu) + rows.shape[1] + 8)


def _one_side(form: Form, allowed: float) -> str:
    """Why h(u) ≤ allowed may not hold for all ‖u‖ ≤ 1."""
    r, looked, tried = len(form.b), 0, 0
    cones: FloatArray | None = orthants(r)
    step = max(1, CHUNK_ENTRIES // (r * max(1, len(form.a))))
    for _ in range(MOST_CUTS):
        if cones is None:
            break
        looked += len(cones)
        if looked > MOST_CONES:
            return "the search for directions with |νᵀ(Xu)₊| > lam is too long to repeat here"
        left = []
        for start in range(0, len(cones), step):
            part = cones[start : start + step]
            heights = part @ form.a.T
            values = _times(np.maximum(heights, 0.0), form.c) + part @ form.b
            highest = float((values / np.linalg.norm(part, axis=2)).max())
            if highest > allowed + 2 * math.sqrt(r) * form.rounding:
                return f"a direction has |νᵀ(Xu)₊| = {highest:.17g}"
            open_ = ~_settled(form, part, heights, allowed)
            hard = np.flatnonzero(open_)[: MOST_TRIES - tried]
            tried += len(hard)
            for k in hard:
                open_[k] = not _settled_exactly(form, heights[k], allowed)
            left.append(part[open_])
        open_cones = np.concatenate(left)
        if not len(open_cones):
            return ""
        cones = cut(open_cones)
    return "rounding hides whether a direction has |νᵀ(Xu)₊| > lam"


def _times(parts: FloatArray, c: FloatArray) -> FloatArray:
    """Σ_k parts_k c_k over the last axis, chunk by chunk."""
    step = chunk_rows(len(c))
    total = np.zeros(parts.shape[:-1])
    for start in range(0, len(c), step):
        total += parts[..., start : start + step] @ c[start : start + step]
    return total


def _settled(form: Form, V: FloatArray, heights: FloatArray, allowed: float) -> NDArray[np.bool_]:
    """Cones on which some g shows h(u) ≤ allowed ‖u‖."""
    r = len(form.b)
    low, high = heights.min(axis=1, keepdims=True), heights.max(axis=1, keepdims=True)
    across = np.where(high > low, high / np.where(high > low, high - low, 1.0), 0.0)
    tau = np.where(low >= 0, 1.0, np.where(high <= 0, 0.0, np.clip(across, 0.0, 1.0)))
    F = _times(np.where(form.c > 0, np.maximum(heights, 0.0), tau * heights), form.c) + V @ form.b
    F += form.rounding
    lengths = np.linalg.norm(V, axis=2)
    top = (F / lengths).max(axis=1)
    inverse = np.linalg.inv(V)
    steep = (inverse @ F[:, :, None])[:, :, 0]
    even = (inverse @ (top[:, None] * lengths)[:, :, None])[:, :, 0]
    best, shortest = np.zeros_like(steep), np.where(top <= 0, 0.0, math.inf)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        g = (1 - share) * steep + share * even
        size = np.linalg.norm(g, axis=1)
        best = np.where((size < shortest)[:, None], g, best)
        shortest = np.minimum(size, shortest)
    size = shortest * (1 + gamma(r + 4))
    miss = (F - (V @ best[:, :, None])[:, :, 0]).max(axis=1) + gamma(r + 4) * size
    return np.asarray((size + math.sqrt(r) * np.maximum(miss, 0.0)) * (1 + 2.0**-45) <= allowed)


def _settled_exactly(form: Form, heights: FloatArray, allowed: float) -> bool:
    """Whether τ and ρ are found whose g shows h(u) ≤ allowed ‖u‖ on one cone."""
    a, c, b = form.a, form.c, form.b
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
        terms = np.concatenate([b[None], c[active, None] * a[active]])
        pull = np.concatenate([-c[falling, None] * a[falling], -side[:, None] * a[kinks]])
        limit = np.concatenate([np.ones(falling.sum()), np.full(len(kinks), math.inf)])
        shares = _shares(terms.sum(axis=0), pull, limit)
        g = _added(np.concatenate([terms, -shares[:, None] * pull]))
        # A row that is active up to rounding adds as much in each corner of the cone.
        wrong = (1 + math.sqrt(len(b))) * form.rounding
        wrong += 2 * gamma(depth(len(a)) + 12) * float(shares[falling.sum() :].sum())
        if not (float(np.linalg.norm(g)) + wrong) * (1 + gamma(len(b) + 8)) <= allowed:
            return False
    return True


def _shares(g: FloatArray, pull: FloatArray, limit: FloatArray) -> FloatArray:
    """Shares in [0, limit] that make g − Σ shares·pull short; any such shares will do."""
    shares, left = np.where(np.isfinite(limit), limit, 0.0), np.arange(len(pull))
    while len(left):
        found = nonnegative(pull[left].T, g)
        over = found >= limit[left]
        if not over.any():
            shares[left] = found
            break
        g = g - limit[left[over]] @ pull[left[over]]
        left = left[~over]
    return np.clip(shares, 0.0, limit)


def _added(terms: FloatArray) -> FloatArray:
    """Their sum, chunk by chunk."""
    starts = np.arange(0, len(terms), chunk_rows(len(terms)))
    return np.asarray(np.add.reduceat(terms, starts, axis=0).sum(axis=0))
