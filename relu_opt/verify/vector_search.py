r"""Whether |h(u)| ≤ b for every |u| ≤ 1, h(u) = Σ_i max(0, x_iᵀu) ω_i, for `relu_opt.verify`.

A cone of directions is Σ_j θ_j v_j, θ ≥ 0, for r vectors v_j of one orthant, of length one up to
rounding. With a_i(u) = Σ_j θ_j x_iᵀv_j and g_i = s_i a_i for some slope s_i in [0, 1], what
max(0, a_i) is above g_i is at most its interpolant c_i. So h = g + Σ_i t_i ω_i, 0 ≤ t_i ≤ c_i, and
|h|² = |g|² + Σ_i t_i ω_iᵀ(g + h) is at most a quadratic form in θ, which is compared with
level²|u|² = level² θᵀ(v_jᵀv_k)θ entry by entry. A cone that fails is cut in two.

Rounding. The level is b less all that rounding may hide. With T = Σ|x_i||ω_i|, where |u| = 1:

* rows are taken in coordinates x = X Qᵀ; what X − xQ may add is at most Σ|X_i − x_i Q||ω_i|, and
  |Qu| ≤ (1 + ‖QQᵀ − I‖)^½;
* the computed heights x_iᵀv_j are taken as they are: a_i is off by γ_r |x_i| Σθ_j|v_j|, and
  Σθ_j ≤ √r, as vectors of one orthant have no obtuse angle;
* an entry of the form is off by 4T²|v_j||v_k| times γ of the depth of all its sums;
* the middle of an edge is rounded in each entry relative to itself, so that after L cuts every u
  is within 5uL of a cone that was looked at, and h has the Lipschitz constant T.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from relu_opt.verify.directions import orthants
from relu_opt.verify.rounding import UNDERFLOW, UNIT, above, chunk_rows, depth, gamma
from relu_opt.verify.search import MOST_RANK

FloatArray = NDArray[np.float64]

# Cones that are looked at before the search gives up, and entries of a matrix of products.
MOST_CONES, CHUNK_ENTRIES = 3_000_000, 2**20
# Times that cones are cut, one after another.
MOST_CUTS = 150
# Singular values below this share of the largest are left out, and charged.
LEFT_OUT = 1e-15


def reach_vector(rows: FloatArray, omega: FloatArray, wanted: float) -> tuple[float, str]:
    """A bound on |Σ_i max(0, x_iᵀu) ω_i|, |u| ≤ 1: `wanted`, or inf and why it is not shown."""
    some = rows.any(axis=1) & omega.any(axis=1)
    if not some.any():
        return 0.0, ""
    rows, omega = rows[some], omega[some]
    (n, h), q = rows.shape, omega.shape[1]
    _, sizes, axes = np.linalg.svd(rows, full_matrices=False)
    Q = axes[sizes > LEFT_OUT * max(n, h) * sizes[0]]
    x, r = rows @ Q.T, len(Q)
    if r > MOST_RANK:
        return math.inf, f"A search of directions in {r} dimensions is too long to repeat here."
    strength = above(1.0, q + 2) * np.linalg.norm(omega, axis=1)
    total = above(float(np.linalg.norm(x, axis=1) @ strength), n + r + 4)
    left_out = _left_out(rows, x, Q, strength)
    terms = _Terms.of(x, omega)
    # Of an entry of the form at unit corners, where no sum of sizes exceeds 4 (1 + …) T².
    error = gamma(2 * depth(n) + 2 * (r + q) + 24) * 4.1 * total**2
    gram = np.abs(Q @ Q.T - np.eye(r)) + gamma(h + 3) * (np.abs(Q) @ np.abs(Q.T))
    longest = math.sqrt(1 + above(float(gram.sum(axis=1).max()), h + r + 4))
    far = 5 * UNIT * MOST_CUTS
    hidden = total * (math.sqrt(r) * gamma(r + 2) * 1.1 + far) + UNDERFLOW
    level = (wanted - left_out) / (longest * (1 + far)) * (1 - gamma(8)) - above(hidden, 4)
    if not level > 0:
        return math.inf, "Rounding hides whether the largest |Vᵀ(Xu)₊| is at most lam."
    cones = orthants(r)
    step, looked = max(1, CHUNK_ENTRIES // (r * len(terms.x))), 0
    for _ in range(MOST_CUTS):
        looked += len(cones)
        if looked > MOST_CONES:
            break
        left = []
        for start in range(0, len(cones), step):
            part = cones[start : start + step]
            open_, highest = _open(part, terms, level, error)
            if highest > wanted + 4 * gamma(depth(n) + r + 8) * total:
                return math.inf, f"A direction has |Vᵀ(Xu)₊| = {highest:.17g}, above lam."
            left.append(part[open_])
        cones = np.concatenate(left)
        if not len(cones):
            return wanted, ""
        if r == 1:
            return math.inf, "The bound on a ray is above lam by no more than its rounding."
        cones = _cut(cones)
    return math.inf, "The search for directions is too long to repeat here."


def _left_out(rows: FloatArray, x: FloatArray, Q: FloatArray, strength: FloatArray) -> float:
    """At least Σ|X_i − x_i Q||ω_i|."""
    n, h = rows.shape
    sizes = np.linalg.norm(rows, axis=1) + np.linalg.norm(x, axis=1) * np.linalg.norm(Q)
    apart = np.linalg.norm(rows - x @ Q, axis=1) + gamma(len(Q) + 3) * sizes
    return above(float(apart @ strength), n + 2 * h + 8)


@dataclass(frozen=True)
class _Terms:
    """x, ω and the |ω_i|, with rows of zeros so that they are whole chunks of `step` rows."""

    x: FloatArray
    omega: FloatArray
    strength: FloatArray
    step: int

    @classmethod
    def of(cls, x: FloatArray, omega: FloatArray) -> _Terms:
        chunks = -(-len(x) // chunk_rows(len(x)))
        step = -(-len(x) // chunks)
        more = chunks * step - len(x)
        x, omega = (np.concatenate([each, np.zeros((more, each.shape[1]))]) for each in (x, omega))
        return cls(x, omega, np.linalg.norm(omega, axis=1), step)

    def sums(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """Products of matrices, (m, j, N) and (m or 1, N, k), summed over N chunk by chunk."""
        left = a.reshape(*a.shape[:2], -1, self.step).transpose(2, 0, 1, 3)
        right = b.reshape(len(b), -1, self.step, b.shape[2]).transpose(1, 0, 2, 3)
        return np.asarray((left @ right).sum(axis=0))


def _open(
    cones: FloatArray, terms: _Terms, level: float, error: float
) -> tuple[NDArray[np.bool_], float]:
    """Cones on which |h| ≤ level is not shown; and the largest |h| at their edges."""
    heights = cones @ terms.x.T
    most, least = heights.max(axis=1, keepdims=True), heights.min(axis=1, keepdims=True)
    between = (least < 0) & (most > 0)
    slope = np.where(least >= 0, 1.0, 0.0)
    slope = np.where(between, most / np.where(between, most - least, 1.0), slope)
    omega, strength = terms.omega, terms.strength
    g = terms.sums(slope * heights, omega[None])
    c = np.where(between, np.maximum(np.maximum(heights, 0.0) - slope * heights, 0.0), 0.0)
    lengths = np.linalg.norm(cones, axis=2) * (1 + gamma(cones.shape[2] + 4))
    highest = float((np.linalg.norm(g + terms.sums(c, omega[None]), axis=2) / lengths).max())
    # ω_iᵀ(g + h) = 2ω_iᵀg + ω_iᵀΣ t ω, and the last is at most |ω_i| Σ c|ω|.
    pull = 2 * g @ omega.T + strength * terms.sums(c, strength[None, :, None])
    mixed = terms.sums(c, np.maximum(pull, 0.0).transpose(0, 2, 1))
    form = g @ g.transpose(0, 2, 1) + 0.5 * (mixed + mixed.transpose(0, 2, 1))
    # All entries of a cosine have one sign.
    cosines = cones @ cones.transpose(0, 2, 1) * (1 - gamma(cones.shape[2] + 4))
    form += error * (lengths[:, :, None] * lengths[:, None, :])
    shown = form <= level**2 * cosines * (1 - 4 * UNIT)
    return np.asarray(~shown.all(axis=(1, 2))), highest


def _cut(cones: FloatArray) -> FloatArray:
    """Every cone in two, at the middle of its longest edge."""
    i, j = np.triu_indices(cones.shape[1], 1)
    longest = ((cones[:, i] - cones[:, j]) ** 2).sum(axis=2).argmax(axis=1)
    all_, one, two = np.arange(len(cones)), i[longest], j[longest]
    middle = cones[all_, one] + cones[all_, two]
    middle /= np.sqrt((middle**2).sum(axis=1, keepdims=True))
    halves = np.stack([cones, cones])
    halves[0, all_, one] = middle
    halves[1, all_, two] = middle
    return halves.reshape(-1, *cones.shape[1:])
