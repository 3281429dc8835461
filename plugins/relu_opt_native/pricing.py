r"""Pricing: how far a dual point is from feasible, with as few projections as possible.

For any ρ ≥ 0 the norm ‖X_bᵀν + (S_iX)ᵀρ‖ bounds g_b(ν) from above. The pricer keeps for
every block the ρ of its last projection, so one matrix product gives a valid bound for *all*
blocks at a new ν, and only blocks whose bound exceeds λ need to be projected again. Whatever
it holds at any moment proves a lower bound on the optimum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.plugins.types import ConeMultipliers
from relu_opt.program import ConvexProgram

# Entries of a slack matrix in one batch of projections: what runs between two looks at the clock.
BATCH_ENTRIES = 4_000_000
BATCH_BLOCKS = 128


@dataclass(frozen=True)
class DualPoint:
    """A feasible dual point with the multipliers that prove it, and its bound D(ν)."""

    nu: FloatArray
    multipliers: ConeMultipliers | None
    bound: float


class Pricer:
    """Bounds on g_b(ν) for every block, tightened by projections.

    Block b is pattern b with sign +1 for b < p, and pattern b − p with sign −1 beyond.
    """

    def __init__(self, prog: ConvexProgram, check: Callable[[], None]) -> None:
        self.prog = prog
        self.check = check
        self.count = len(prog.patterns)
        blocks = len(prog.signs) * self.count
        self.cones = prog.activation == "relu"
        self._pull = np.zeros((blocks, prog.d)) if self.cones else None
        self._rows: dict[int, IntArray] = {}
        self._rho: dict[int, FloatArray] = {}
        self.projected = 0

    def targets(self, common: FloatArray, blocks: IntArray) -> FloatArray:
        """X_bᵀν of chosen blocks, from XᵀD_iν of all patterns."""
        sign, which = np.divmod(blocks, self.count)
        return np.where(sign == 0, 1.0, -1.0)[:, None] * common[which]

    def bounds(self, common: FloatArray) -> FloatArray:
        """Valid upper bounds on g_b(ν) of all blocks."""
        if self._pull is None:
            return np.linalg.norm(common, axis=1)
        plus = np.linalg.norm(common + self._pull[: self.count], axis=1)
        minus = np.linalg.norm(common - self._pull[self.count :], axis=1)
        return np.concatenate([plus, minus])

    def project(self, common: FloatArray, blocks: IntArray) -> FloatArray:
        """v_b = P_K(X_bᵀν) of chosen blocks, (m, d); keeps their multipliers."""
        if self._pull is None:
            return self.targets(common, blocks)
        points = np.empty((len(blocks), self.prog.d))
        size = max(1, min(BATCH_BLOCKS, BATCH_ENTRIES // self.prog.n))
        nothing = np.empty(0, dtype=np.intp)
        for start in range(0, len(blocks), size):
            self.check()
            part = blocks[start : start + size]
            guesses = [self._rows.get(int(b), nothing) for b in part]
            found = self.prog.project(common, part, guesses)
            points[start : start + size] = found.points
            self._pull[part] = found.points - self.targets(common, part)
            for k, b in enumerate(part):
                self._rows[int(b)], self._rho[int(b)] = found.rows[k], found.rho[k]
        self.projected += len(blocks)
        return points

    def rows(self, block: int) -> IntArray:
        """The samples with ρ > 0 at the block's last projection: its face."""
        return self._rows.get(block, np.empty(0, dtype=np.intp))

    def dual_point(self, nu: FloatArray, bounds: FloatArray) -> DualPoint:
        """Scale ν to feasibility by the bounds, and pack the proof."""
        prog = self.prog
        scale = prog.best_scale(nu, float(bounds.max()))
        nu = scale * nu
        value = prog.dual_objective(nu)
        if not self.cones:
            return DualPoint(nu, None, value)
        blocks = np.array(sorted(b for b, rho in self._rho.items() if len(rho)), dtype=np.intp)
        lengths = np.array([len(self._rho[int(b)]) for b in blocks], dtype=np.intp)
        empty = np.empty(0, dtype=np.intp)
        packed = ConeMultipliers(
            blocks,
            np.concatenate([[0], np.cumsum(lengths)]).astype(np.intp),
            np.concatenate([empty, *(self._rows[int(b)] for b in blocks)]),
            scale * np.concatenate([np.empty(0), *(self._rho[int(b)] for b in blocks)]),
        )
        return DualPoint(nu, packed, value)
