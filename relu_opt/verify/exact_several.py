r"""The proof of a certificate for several outputs in exact integer arithmetic.

The same bounds as in `relu_opt.verify.several_outputs`. |h(u)| ≤ level, h(u) = Σ_i (x_iᵀu)₊ ω_i,
is shown cone by cone as in `relu_opt.verify.vector_search`: with g_i = s_i x_iᵀu, s_i in [0, 1],
(x_iᵀu)₊ is above g_i by at most its interpolant c_i, so that |h|² is at most a quadratic form in
the weights of the corners. It is compared with level²|u|² entry by entry, in integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from relu_opt.verify.exact_cones import MOST_RANK, Cone, Vector, dot, merged, search, turned
from relu_opt.verify.exact_integers import (
    Integers,
    balanced,
    integers,
    products,
)
from relu_opt.verify.exact_lifted import shown
from relu_opt.verify.exact_outcome import ExactBounds, concluded_exactly
from relu_opt.verify.outcome import Verification
from relu_opt.verify.several_outputs import SeveralClaim, several_statement

# Binary digits of a slope.
SLOPE = 30


def check_several_exactly(claim: SeveralClaim) -> Verification:
    """What is proved in integers of a network with several outputs."""
    lam, Y, V = Fraction(claim.lam), integers(claim.Y), integers(claim.V)
    v = V.rows(claim.Y.shape[1])
    if claim.free:
        columns = [balanced(Integers(list(column), V.shift)) for column in zip(*v, strict=True)]
        v = [list(row) for row in zip(*(column.values for column in columns), strict=True)]
    doubts, t = list[str](), Fraction(1)
    bound, problem = _reach(claim, v, V.shift, lam)
    if problem:
        doubts, t = [f"The scope is all patterns, and {problem}."], Fraction(0)
    elif bound > lam:
        t = lam / bound
    flat = [entry for row in v for entry in row]
    linear = Fraction(dot(flat, Y.values), 1 << V.shift + Y.shift)
    square = Fraction(len(v) * dot(flat, flat), 2 << 2 * V.shift)
    dual = max(Fraction(0), t * linear - t**2 * square)

    def statement(primal: float, dual: float, rel_gap: float) -> str:
        return several_statement(claim, primal, dual, rel_gap, "exact")

    bounds = ExactBounds(_primal(claim), dual, tuple(doubts))
    return concluded_exactly(claim, bounds, "network", statement)


def _primal(claim: SeveralClaim) -> Fraction:
    """The network's objective."""
    (K, n, h), (m, groups, c) = claim.seen.shape, claim.output.shape
    # Values that are averaged are summed, and everything is counted K times.
    times = K if claim.pooled else 1
    x, u, w = integers(claim.seen), integers(claim.hidden), integers(claim.output)
    offsets = integers(claim.constants, claim.Y)
    inner = x.shift + u.shift + w.shift
    shift = max(inner, offsets.shift)
    constants, targets = offsets.scaled(shift)[:c], offsets.scaled(shift)[c:]
    errors = [times * (constants[i % c] - target) for i, target in enumerate(targets)]
    weights = [w.values[k * c : (k + 1) * c] for k in range(m * groups)]
    heights = products(x.rows(h), u.rows(h))
    for k in range(K):
        group = [weights[j * groups + k % groups] for j in range(m)]
        for i in range(n):
            for height, out in zip(next(heights), group, strict=True):
                if height > 0:
                    for o, weight in enumerate(out):
                        errors[i * c + o] += height * weight << shift - inner
    loss = Fraction(dot(errors, errors), 2 * n * times**2 << 2 * shift)
    layers = integers(claim.hidden, claim.output).values
    squares = Fraction(dot(layers, layers), 1 << 2 * integers(claim.hidden, claim.output).shift)
    return loss + Fraction(claim.lam) / 2 * squares


def _reach(
    claim: SeveralClaim, v: list[Vector], v_shift: int, level: Fraction
) -> tuple[Fraction, str]:
    """A bound on |h(u)| for all |u| ≤ 1, hardly above `level`; or why none is known."""
    K, n, h = claim.seen.shape
    x, c = integers(claim.seen), len(v[0])
    # Each patch has outputs of its own, or all are averaged: then everything is counted K times.
    if claim.pooled:
        omega, times = [v[i % n] for i in range(K * n)], K
    else:
        blank = [0] * c
        omega = [blank * (i // n) + v[i % n] + blank * (K - 1 - i // n) for i in range(K * n)]
        times = 1
    unit = times << x.shift + v_shift
    if claim.proof == "lifted":
        return level, shown(x.rows(h), omega, (level * unit) ** 2)
    z, shift, longer, missed = turned(x.rows(h))
    if not z[0]:
        return Fraction(0), ""
    if len(z[0]) > MOST_RANK:
        return level, f"an exact search of directions in {len(z[0])} dimensions is too long"
    problem = _search(z, omega, math.floor((level * (unit << shift)) ** 2))
    error = sum(
        (_above(each) * miss for each, miss in zip(omega, missed, strict=True)), Fraction(0)
    )
    return level * longer + error / unit, problem


def _above(vector: Vector) -> int:
    """An integer that is not below the norm."""
    return math.isqrt(dot(vector, vector)) + 1


def _search(rows: list[Vector], omega: list[Vector], limit: int) -> str:
    """Why |h(u)|² ≤ limit |u|² may not hold; empty if it does."""
    a, weights, g = merged(rows, omega)
    sizes = [_above(out) for out in weights]

    def exceeds(cone: Cone) -> bool:
        return any(
            dot(value, value) > limit * dot(corner.v, corner.v)
            for corner, value in zip(cone.corners, values(cone), strict=True)
        )

    def values(cone: Cone) -> Iterator[Vector]:
        for corner in cone.corners:
            value = [dot(part, corner.v) for part in cone.g]
            for k, height in zip(cone.across, corner.heights, strict=True):
                if height > 0:
                    value = [p + height * o for p, o in zip(value, weights[k], strict=True)]
            yield value

    def settled(cone: Cone) -> bool:
        return _settled(cone, weights, sizes, limit)

    return search(a, weights, g, exceeds, settled)


def _settled(cone: Cone, omega: list[Vector], sizes: list[int], limit: int) -> bool:
    """Whether the quadratic form shows |h|² ≤ limit |u|² on the cone."""
    corners = range(len(cone.corners))
    g = [[dot(part, corner.v) << SLOPE for part in cone.g] for corner in cone.corners]
    rises = []
    for k, column in zip(cone.across, cone.columns(), strict=True):
        slope = (max(column) << SLOPE) // (max(column) - min(column))
        rises.append([(max(0, height) << SLOPE) - slope * height for height in column])
        for j in corners:
            g[j] = [p + slope * column[j] * o for p, o in zip(g[j], omega[k], strict=True)]
    # ω_iᵀ(g + h) = 2ω_iᵀg + ω_iᵀΣ t ω, and the last is at most |ω_i| Σ c|ω|.
    across = [
        sum(sizes[k] * rise[j] for k, rise in zip(cone.across, rises, strict=True)) for j in corners
    ]
    pulls = [
        [max(0, 2 * dot(omega[k], g[j]) + sizes[k] * across[j]) for j in corners]
        for k in cone.across
    ]
    for i in corners:
        for j in range(i + 1):
            form = 2 * dot(g[i], g[j])
            for rise, pull in zip(rises, pulls, strict=True):
                form += rise[i] * pull[j] + rise[j] * pull[i]
            if form > 2 * limit * dot(cone.corners[i].v, cone.corners[j].v) << 2 * SLOPE:
                return False
    return True
