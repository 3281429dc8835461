r"""The oracle `ascent`: climbs from many directions and a bound by eigenvalues, for any rank.

The values z = (Xu)₊ satisfy z_i² = z_i x_iᵀu. With h = Ωᵀz, for every diagonal N > 0 with
ΩᵀN⁻¹Ω ≺ I

    ‖h‖² = ‖Ωᵀz‖² + Σ_i N_i (z_i x_iᵀu − z_i²) ≤ ¼ uᵀXᵀ(N + Ω(I − ΩᵀN⁻¹Ω)⁻¹Ωᵀ)Xu,

the maximum of a concave quadratic over all z. So M(V)² is at most a quarter of the largest
eigenvalue of that matrix. N is a multiple of the identity, or of ‖ω_i‖/‖x_i‖; the multiple is the
best one. For XXᵀ = s²I the identity gives ‖X‖‖V‖. In general the bound is some 1.5 to 3 times M(V),
and it costs a few decompositions whatever the rank. (Derived here.)
"""

from __future__ import annotations

import math
import time

import numpy as np
from scipy.optimize import minimize_scalar

from relu_opt.arrays import FloatArray
from relu_opt.globally.bounds import EPS, RowSpace
from relu_opt.plugins.types import StopReason
from relu_opt.vector.bounds import MOST_DIRECTIONS, Terms, VectorSeparation, distinct

# Random starts of a climb.
STARTS = 64
# Where log(t/τ − 1) is looked for: t is the multiple of N, τ the least that is allowed.
LEAST, MOST = np.log(0.01), np.log(1e4)


class VectorAscent:
    """Climbs for the rows that the neurons see.

    Parameters
    ----------
    space : RowSpace
        Of those rows.
    """

    name = "ascent"

    def __init__(self, space: RowSpace) -> None:
        self.space = space

    def search(
        self,
        weights: FloatArray,
        target: float,
        rel: float,
        deadline: float | None,
        starts: FloatArray | None = None,
    ) -> VectorSeparation:
        """Bound M; see `VectorSphere.search`. The bounds stay apart, whatever `rel` is."""
        terms = Terms.of(self.space, weights)
        climber, stop = Climber(terms, target), StopReason.CONVERGED
        try:
            if self.space.rank and terms.size > 0:
                climber.start(starts, self.space, deadline)
        except TimeoutError:
            stop = StopReason.TIME_LIMIT
        except KeyboardInterrupt:
            stop = StopReason.INTERRUPTED
        directions, values = climber.found()
        lower = float(values.max(initial=0.0))
        bound = min(lifted_bound(self.space.rows, weights) + terms.error, terms.size)
        return VectorSeparation(
            lower,
            max(bound, lower),
            self.space.outward(directions),
            values,
            self.name,
            "a bound by eigenvalues, for all directions",
            stop,
            len(climber.points),
        )


class Climber:
    """The best directions so far, found by climbing."""

    def __init__(self, terms: Terms, target: float) -> None:
        self.terms, self.target = terms, target
        self.lower = 0.0
        self.points: list[FloatArray] = []

    def start(
        self, starts: FloatArray | None, space: RowSpace, deadline: float | None = None
    ) -> None:
        """Climb from given directions of the data's space and from random ones."""
        drawn = np.random.default_rng(0).standard_normal((STARTS, space.rank))
        points = drawn if starts is None else np.concatenate([starts @ space.axes.T, drawn])
        norms = np.linalg.norm(points, axis=1, keepdims=True)
        self.note(points[norms[:, 0] > 0] / norms[norms[:, 0] > 0], deadline)

    def note(self, points: FloatArray, deadline: float | None = None) -> None:
        """Remember the points uphill of some unit vectors."""
        points = self.terms.climb(points)
        values = self.terms.values(points)
        points, values = distinct(points, values, MOST_DIRECTIONS)
        if not len(points):
            return
        self.points.append(points[:1])
        self.lower = max(self.lower, float(values[0]))
        for point in points[values > max(self.target, 0.5 * self.lower)]:
            if deadline is not None and time.perf_counter() > deadline:
                raise TimeoutError
            polished = self.terms.polish(point)[None]
            self.points.append(polished)
            self.lower = max(self.lower, float(self.terms.values(polished)[0]))

    def found(self) -> tuple[FloatArray, FloatArray]:
        """The points with the largest values, best first; and the values."""
        if not self.points:
            return np.zeros((0, self.terms.a.shape[1])), np.zeros(0)
        points = np.concatenate(self.points)
        return distinct(points, self.terms.values(points), MOST_DIRECTIONS)


def lifted_bound(rows: FloatArray, weights: FloatArray) -> float:
    """What ‖Σ_i (x_iᵀu)₊ ω_i‖ does not exceed on the unit ball; rows (N, r), the ω_i (N, q)."""
    sizes, strengths = np.linalg.norm(rows, axis=1), np.linalg.norm(weights, axis=1)
    on = (sizes > 0) & (strengths > 0)
    if not on.any():
        return 0.0
    x, omega = rows[on], weights[on]
    both = (
        _least_eigenvalue_bound(x, omega, N) for N in (np.ones(len(x)), (strengths / sizes)[on])
    )
    return min(both) * (1 + 6400 * EPS * math.sqrt(x.size))


def _least_eigenvalue_bound(x: FloatArray, omega: FloatArray, N: FloatArray) -> float:
    """The bound for the best multiple of N; its square is convex in the multiple."""
    # With ΩᵀN⁻¹Ω = Q diag(s) Qᵀ the multiple t > τ = max s, and all is diagonal in it.
    s, Q = np.linalg.eigh(omega.T @ (omega / N[:, None]))
    plain, pulled = x.T @ (N[:, None] * x), x.T @ omega @ Q

    def square(at: float) -> float:
        t = s[-1] * (1 + np.exp(at))
        matrix = t * plain + (pulled / (1 - s / t)) @ pulled.T
        return 0.25 * float(np.linalg.eigvalsh(matrix)[-1])

    best = minimize_scalar(square, bounds=(LEAST, MOST), method="bounded", options={"xatol": 1e-7})
    return float(np.sqrt(best.fun))
