r"""The oracle `sphere`: bounds on M(V) = max ‖Vᵀ(Xu)₊‖ by branch and bound over directions.

With h(u) = Σ_k (a_kᵀu)₊ ŵ_k + Bu and unit vectors ŵ_k, space is covered by simplicial cones
u = Σ_j θ_j v_j, θ ≥ 0. On a cone take any τ in [0, 1]: (a_kᵀu)₊ = τ_k a_kᵀu + e_k(u), where e_k ≥ 0
is convex, so e_k(u) ≤ Σ_j θ_j e_k(v_j). Rows that do not change their sign on the cone have
e_k = 0 with τ_k their sign. With Lu = Σ_k τ_k ŵ_k a_kᵀu + Bu and ρ ≥ ‖Σ_k e_k ŵ_k‖,

    ‖h(u)‖² ≤ ‖Lu‖² + 2 Σ_k e_k(u) (ŵ_kᵀLu + ½ρ(u)) ≤ θᵀQθ,
    Q_ij = v_iᵀLᵀLv_j + Σ_k (e_k(v_i) b_kj + b_ki e_k(v_j)),   b_kj = (ŵ_kᵀLv_j + ½ρ_j)₊.

Rows against which h pulls (ŵ_kᵀh < 0) have b_k = 0 on small cones, and cost nothing. As
‖u‖² = θᵀGθ with the cosines G_ij = v_iᵀv_j > 0,

    max ‖h‖² over the cone and the ball ≤ max_ij Q_ij / G_ij,

with an error that falls with the square of the cone's width. Everywhere M(V) ≤ Σ_k ‖a_k‖ + ‖B‖.
Cones with a larger bound than is wanted are cut in two across their longest edge. The number of
cones grows with the rank of X, hardly with n or the number of outputs. (Derived here.)
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.clock import Clock
from relu_opt.rounding import charge, chunk_rows, depth
from relu_opt.train.all_patterns.cone_search import NARROWEST, ConeSearch, searchable
from relu_opt.train.all_patterns.separation_bounds import RowSpace
from relu_opt.train.several_outputs.ascent import Climber
from relu_opt.train.several_outputs.bounds import Terms, VectorSeparation

# Entries of a matrix of products that are held at a time.
CHUNK_ENTRIES = 1_000_000
# A cosine that counts as zero.
RIGHT = 1e-100
# Vertices that one batch of cones may send uphill.
BATCH_STARTS = 8


class VectorSphere:
    """Branch and bound for the rows that the neurons see.

    Parameters
    ----------
    space : RowSpace
        Of those rows.
    """

    name = "sphere"

    def __init__(self, space: RowSpace) -> None:
        self.space: RowSpace = searchable(space, "ascent")

    def search(
        self,
        weights: FloatArray,
        target: float,
        rel: float,
        clock: Clock,
        starts: FloatArray | None = None,
    ) -> VectorSeparation:
        """Bound M.

        Parameters
        ----------
        weights : (N, q) array
            The ω_i.
        target : float
            The search may end when M is shown to be at most this.
        rel : float
            Or when M is known to this relative gap.
        clock : Clock
            When its limit is over, what is known is returned.
        starts : (k, h) array, optional
            Directions to climb from.
        """
        terms = Terms.of(self.space, weights)
        search = _Search(terms, target, rel, starts, self.space)
        if self.space.rank and terms.size > 0:
            search.run(clock)
        directions, values = search.climber.found()
        lower = float(values.max(initial=0.0))
        return VectorSeparation(
            terms.surely(lower),
            search.everywhere(),
            self.space.outward(directions),
            values,
            self.name,
            f"branch and bound over {search.cones} cones of directions",
            search.stop,
            search.cones,
        )


class _Search(ConeSearch):
    """One search, and a climber with the points that have large values."""

    def __init__(
        self, terms: Terms, target: float, rel: float, starts: FloatArray | None, space: RowSpace
    ) -> None:
        super().__init__(
            space.rank, terms.size, CHUNK_ENTRIES // (max(1, space.rank) * max(1, len(terms.a)))
        )
        self.terms, self.target, self.rel = terms, target, rel
        self.starts, self.space = starts, space
        # Rows of zeros, so that sums over the rows are of whole chunks.
        count = max(1, len(terms.a))
        chunks = -(-count // chunk_rows(count))
        self.chunk = -(-count // chunks)
        more = self.chunk * chunks - len(terms.a)
        self.a, self.w = (np.pad(each, ((0, more), (0, 0))) for each in (terms.a, terms.w))
        self.squares = (self.w[:, :, None] * self.w[:, None, :]).reshape(1, len(self.w), -1)
        r, q = terms.a.shape[1], terms.w.shape[1]
        # Of an entry of Q at corners of norm 1: no sum of sizes in it exceeds 4 (1 + …) size².
        self.rounding = charge(2 * depth(count) + 2 * (r + q) + 32) * 4.1 * terms.size**2
        # Heights at corners are taken as they are computed; Σθ ≤ √r ‖u‖ in an orthant.
        self.of_heights = 1.1 * np.sqrt(r) * charge(r + 2) * terms.size
        self.climber = Climber(terms, target)
        self.cuts = 0

    def cut(self, cones: FloatArray) -> FloatArray | None:
        """At the middle of the longest edge, scaled to norm 1: bounds here need narrow cones."""
        one, two = np.triu_indices(self.rank, 1)
        if not len(one):
            return None
        lengths = np.linalg.norm(cones[:, one] - cones[:, two], axis=2)
        longest, every = lengths.argmax(axis=1), np.arange(len(cones))
        if lengths.max(axis=1).min() < NARROWEST:
            return None
        i, j = one[longest], two[longest]
        middle = cones[every, i] + cones[every, j]
        middle /= np.linalg.norm(middle, axis=1, keepdims=True)
        first, second = cones.copy(), cones.copy()
        first[every, i] = second[every, j] = middle
        self.cuts += 1
        return np.concatenate([first, second])

    def everywhere(self) -> float:
        """What ‖h‖ does not exceed, from what it does not exceed on the closed cones.

        A middle is rounded in each entry relative to itself: after L cuts a direction may be within
        5uL of a cone instead of in it, and h changes by at most its size there.
        """
        far = charge(5 * self.cuts + 1)
        bound = (self.upper * (1 + charge(2)) + self.of_heights) * (1 + far)
        return self.terms.everywhere(bound + far * self.terms.size)

    @property
    def goal(self) -> float:
        """Cones with a bound of at most this are closed."""
        # Below a few times the rounding of a bound no cut would help.
        wanted = self.climber.lower * (1 + self.rel) + 4 * (self.terms.error + self.of_heights)
        return max(self.target, float(np.hypot(wanted, np.sqrt(2 * self.rounding))))

    def begin(self, clock: Clock) -> None:
        self.clock = clock
        self.climber.start(self.starts, self.space, clock)

    def bounds_of(self, cones: FloatArray) -> FloatArray:
        """An upper bound of ‖h‖ on each cone; vertices with large values are noted."""
        products = cones @ self.a.T  # (m, r, N)
        low, high = products.min(axis=1), products.max(axis=1)
        crossing = (low < 0) & (high > 0)
        share = np.divide(high, high - low, out=np.zeros_like(high), where=crossing)
        share[low >= 0] = 1.0
        bounds, L = self._with_shares(cones, products, share, crossing, True)
        open_ = np.flatnonzero((bounds > self.goal) & crossing.any(axis=1))
        if len(open_):
            part = cones[open_], products[open_]
            better = self._leaning(part[0], L[open_], share[open_], crossing[open_])
            bounds[open_] = np.minimum(
                bounds[open_], self._with_shares(*part, better, crossing[open_], False)[0]
            )
        return bounds

    def _with_shares(
        self,
        cones: FloatArray,
        products: FloatArray,
        share: FloatArray,
        crossing: BoolArray,
        note: bool,
    ) -> tuple[FloatArray, FloatArray]:
        """The bound of each cone with given τ, (m,); and L at its vertices, (m, r, q)."""
        w = self.w
        linear = share[:, None, :] * products
        over = np.where(crossing[:, None, :], np.maximum(products, 0.0) - linear, 0.0)
        over = np.maximum(over, 0.0)
        L = self._sums(linear, w[None]) + cones @ self.terms.B.T
        excess = self._sums(over, w[None])
        lengths = np.linalg.norm(cones, axis=2)
        if note:
            self._vertices(cones, np.linalg.norm(L + excess, axis=2) / lengths)
        # ρ: either all e_k at their largest, in one direction; or about their half.
        sums = over.sum(axis=2)
        outer = self._sums(over, self.squares).reshape(*sums.shape, w.shape[1], w.shape[1])
        spread = np.sqrt(sums * _spectral_bound(outer))
        rho = np.minimum(sums, 0.5 * (np.linalg.norm(excess, axis=2) + spread))
        b = np.maximum(L @ w.T + 0.5 * rho[:, :, None], 0.0)
        mixed = self._sums(over, b.transpose(0, 2, 1))
        Q = L @ L.transpose(0, 2, 1) + mixed + mixed.transpose(0, 2, 1)
        Q += self.rounding * (lengths[:, :, None] * lengths[:, None, :])
        # All entries of corners of one cone have the same signs.
        G = cones @ cones.transpose(0, 2, 1) * (1 - charge(self.rank + 4))
        # Corners at right angles bound nothing.
        ratios = np.divide(Q, G, out=np.full_like(Q, np.inf), where=G > RIGHT)
        ratios[Q <= 0] = 0.0
        return np.sqrt(ratios.max(axis=(1, 2))), L

    def _sums(self, a: FloatArray, b: FloatArray) -> FloatArray:
        """Products of matrices, (m, j, N) and (m or 1, N, k), summed over N chunk by chunk."""
        left = a.reshape(*a.shape[:2], -1, self.chunk).transpose(2, 0, 1, 3)
        right = b.reshape(len(b), -1, self.chunk, b.shape[2]).transpose(1, 0, 2, 3)
        return np.asarray((left @ right).sum(axis=0))

    def _leaning(
        self, cones: FloatArray, L: FloatArray, share: FloatArray, crossing: BoolArray
    ) -> FloatArray:
        """τ with which ‖Lu‖ has little slope along the cone, as Moreau's multipliers would."""
        middle = cones.sum(axis=1)
        middle /= np.linalg.norm(middle, axis=1, keepdims=True)
        images = L.mean(axis=1)
        t_a, t_w = self.a, self.w
        # L as a matrix is what its values at the vertices say.
        slope = np.linalg.solve(cones, L @ images[:, :, None])[:, :, 0]
        slope -= (slope * middle).sum(axis=1, keepdims=True) * middle
        pull = np.where(crossing, np.maximum(-(images @ t_w.T), 0.0), 0.0)
        across = t_a - (middle @ t_a.T)[:, :, None] * middle[:, None, :]
        moves = pull[:, :, None] * across  # (m, N, r)
        normal = moves.transpose(0, 2, 1) @ moves
        size = np.trace(normal, axis1=1, axis2=2)
        normal += (1e-9 * size + 1e-300)[:, None, None] * np.eye(self.rank)
        shift = moves @ np.linalg.solve(normal, slope[:, :, None])
        return np.where(crossing, np.clip(share + shift[:, :, 0], 0.0, 1.0), share)

    def _vertices(self, cones: FloatArray, values: FloatArray) -> None:
        """Climb from the best vertices, if one is better than all that is known."""
        if values.max() <= max(self.climber.lower * (1 + 1e-9), self.target):
            return
        flat = values.ravel()
        best = np.argsort(-flat)[:BATCH_STARTS]
        points = cones.reshape(-1, self.rank)[best]
        self.climber.note(points / np.linalg.norm(points, axis=1, keepdims=True), self.clock)


def _spectral_bound(matrices: FloatArray) -> FloatArray:
    """What the largest eigenvalue of positive semidefinite (…, q, q) matrices does not exceed.

    With μ_i the eigenvalues over the trace, max μ ≤ (Σ μ_i⁸)^(1/8).
    """
    trace = np.trace(matrices, axis1=-2, axis2=-1)
    powers = matrices / np.where(trace > 0, trace, 1.0)[..., None, None]
    for _ in range(3):
        powers = powers @ powers
    largest = np.abs(np.trace(powers, axis1=-2, axis2=-1)) + charge(64 * matrices.shape[-1])
    return np.asarray(trace * np.minimum(1.0, largest ** (1 / 8)) * (1 + charge(32)))
