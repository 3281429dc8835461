r"""Between two neighbours of a path everything is mixed, and the gap is known in closed form.

For λ = (1 − θ)λ₁ + θλ₀ take w = (1 − θ)w₁ + θw₀ and ν = (1 − θ)ν₁ + θν₀. The cones are convex, so w
is feasible; each g_b is convex, so g_b(ν) ≤ (1 − θ)λ₁ + θλ₀ = λ and ν is feasible too. With
T = Σ_b ‖w_b‖ the gap at λ is therefore at most

    G(θ) = F((1 − θ)ŷ₁ + θŷ₀) + λ ((1 − θ)T₁ + θT₀) − D((1 − θ)ν₁ + θν₀),

a convex function of θ plus a concave parabola. For the squared loss and exact ends it is
θ(1 − θ) [(λ₀ − λ₁)(T₁ − T₀) − ‖ŷ₁ − ŷ₀‖²/n]: zero where the neurons keep their directions.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.path.point import PathPoint, full_weights
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import network_from_weights
from relu_opt.proof.assembly import certificate_of
from relu_opt.proof.dual_bound import lower_bound
from relu_opt.proof.verdict import relative_gap
from relu_opt.solving.training import Solution

# Pieces on which the convex part of the gap is bounded by its chord.
PIECES = 64


@dataclass(frozen=True, eq=False)
class Segment:
    """The path between two neighbours; `high` is the one with the larger λ."""

    high: PathPoint
    low: PathPoint

    def share(self, lam: float) -> float:
        """θ: how much of `high` there is at λ."""
        return (lam - self.low.lam) / (self.high.lam - self.low.lam)

    def bounds(self, lam: float) -> tuple[float, float]:
        """Upper and lower bound on the optimal value at λ; the upper one is the mixture's."""
        share = self.share(lam)
        loss, dual = self._convex(share)
        return loss + self._penalty(share), dual

    @cached_property
    def largest_gap(self) -> float:
        """What the relative gap of no mixture exceeds."""
        shares = np.linspace(0.0, 1.0, PIECES + 1)
        losses, duals = np.array([self._convex(share) for share in shares]).T
        convex = losses - duals
        slopes = np.diff(convex) * PIECES
        # The penalty is curve·θ² + …, so chord + penalty is largest where its slope is zero.
        width, fall = self.high.lam - self.low.lam, self.high.norm - self.low.norm
        curve = width * fall
        start = self.low.lam * fall + width * self.low.norm
        peaks = shares[:-1]
        if curve < 0:
            peaks = np.clip(-(slopes + start) / (2 * curve), shares[:-1], shares[1:])
        worst = 0.0
        for places in (shares[:-1], peaks, shares[1:]):
            penalty = np.array([self._penalty(share) for share in places])
            gaps = convex[:-1] + slopes * (places - shares[:-1]) + penalty
            # D is concave, so that no bound in between is below those of both ends.
            lowest = np.minimum(duals[:-1], duals[1:])
            worst = max(worst, *map(relative_gap, lowest + gaps, lowest))
        return worst

    def blocks(self, lam: float) -> tuple[IntArray, FloatArray]:
        """The mixture's blocks and their vectors."""
        share = self.share(lam)
        return _sum(
            (1 - share, self.low.blocks, self.low.vectors),
            (share, self.high.blocks, self.high.vectors),
        )

    def weights(self, lam: float) -> FloatArray:
        """The mixture's weights, in the program's shape."""
        return full_weights(self.high.prog, *self.blocks(lam))

    def solution(self, lam: float, tol: float) -> Solution:
        """The mixture as a solution, certified to `tol`."""
        prog, share = self.high.prog.with_lam(lam), self.share(lam)
        weights = self.weights(lam)
        fits = prog.fits(weights)
        network = network_from_weights(prog, weights, prog.best_intercept(fits))
        nu = (1 - share) * self.low.nu + share * self.high.nu
        bound = lower_bound(prog, nu, self._multipliers(prog, share))
        proof = certificate_of(prog, network.balance(), bound, "program", tol)
        stats = {**self.low.stats, "mixture_of": [self.high.lam, self.low.lam]}
        stop = StopReason.CONVERGED_LOOSE
        return Solution(prog, weights, network, proof.nu, proof, stop, self.low.backend, stats)

    # -- underneath ------------------------------------------------------------

    def _convex(self, share: float) -> tuple[float, float]:
        """F and D of the mixture."""
        prog, low, high = self.high.prog, self.low, self.high
        loss = prog.mean_loss((1 - share) * low.fits + share * high.fits)
        return loss, prog.dual_objective((1 - share) * low.nu + share * high.nu)

    def _penalty(self, share: float) -> float:
        """λ ((1 − θ)T₁ + θT₀)."""
        low, high = self.low, self.high
        lam = (1 - share) * low.lam + share * high.lam
        return lam * ((1 - share) * low.norm + share * high.norm)

    def _multipliers(self, prog: ConvexProgram, share: float) -> ConeMultipliers:
        """(1 − θ)ρ₁ + θρ₀, which shows that the mixture's ν is feasible."""
        parts = []
        for weight, known in ((1 - share, self.low.multipliers), (share, self.high.multipliers)):
            owners = np.repeat(known.blocks, np.diff(known.starts)).astype(np.int64)
            parts.append((weight, owners * prog.n + known.rows, known.values[:, None]))
        keys, values = _sum(*parts)
        owners, rows = np.divmod(keys, prog.n)
        blocks, starts = np.unique(owners, return_index=True)
        return ConeMultipliers(blocks, np.append(starts, len(keys)), rows, values[:, 0])


def _sum(*parts: tuple[float, IntArray, FloatArray]) -> tuple[IntArray, FloatArray]:
    """Σ weight · values by key, where the keys of each part are rising: keys and sums."""
    keys, place = np.unique(np.concatenate([key for _, key, _ in parts]), return_inverse=True)
    values = np.concatenate([weight * value for weight, _, value in parts])
    sums = np.zeros((len(keys), values.shape[1]))
    np.add.at(sums, place, values)
    return keys, sums
