r"""Pricing: how far a dual point is from feasible, with as few projections as possible.

For any ρ ≥ 0 and s ≥ 0 the norm ‖X_bᵀν + s(S_iX)ᵀρ‖ bounds g_b(ν) from above. The pricer keeps
for every block the r = (S_iX)ᵀρ of its last projection and takes the best s, so one matrix
product gives a valid bound for *all* blocks at a new ν, and only blocks whose bound exceeds λ
need to be projected again. Whatever it holds at any moment proves a lower bound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.clock import Clock
from relu_opt.program import ConvexProgram
from relu_opt.program.cones import Projections
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.proof.dual_bound import pulls
from relu_opt.solving.column_generation.neurons import outward

# What projects: of a program, XᵀD_iν, blocks, guesses and `enough`, as `ConvexProgram.project`.
Projector = Callable[
    [ConvexProgram, FloatArray, IntArray, list[IntArray] | None, float], Projections
]

# What runs between two looks at the clock: blocks, and entries of their slacks and faces.
BATCH_BLOCKS = 128
BATCH_ENTRIES = 2_000_000


@dataclass(frozen=True)
class Look:
    """All blocks as seen from a dual point ν.

    `common` is XᵀD_iν, (p, d); `bounds` are upper bounds on g_b(ν), and `shares` the factors s
    that give them.
    """

    nu: FloatArray
    common: FloatArray
    bounds: FloatArray
    shares: FloatArray


@dataclass(frozen=True)
class Proof:
    """Multipliers by block, to be taken times shares[b]."""

    rows: dict[int, IntArray]
    rho: dict[int, FloatArray]
    shares: FloatArray

    def pack(self) -> ConeMultipliers:
        """The same as one object."""
        return ConeMultipliers.pack(
            {b: (self.rows[b], self.shares[b] * rho) for b, rho in self.rho.items() if len(rho)}
        )


class Pricer:
    """Bounds on g_b(ν) for every block, tightened by projections.

    Block b is pattern b with sign +1 for b < p, and pattern b − p with sign −1 beyond.
    """

    def __init__(self, prog: ConvexProgram, clock: Clock, projector: Projector) -> None:
        self.prog = prog
        self.clock = clock
        self.projector = projector
        self.cones = not prog.activation.gated
        blocks = len(prog.signs) * len(prog.patterns)
        self._pull = np.zeros((blocks if self.cones else 0, prog.d))
        self._rows: dict[int, IntArray] = {}
        self._rho: dict[int, FloatArray] = {}
        self.projected = 0

    def targets(self, common: FloatArray, blocks: IntArray) -> FloatArray:
        """X_bᵀν of chosen blocks, from XᵀD_iν of all patterns."""
        count = len(self.prog.patterns)
        return np.asarray(outward(blocks, count) * common[blocks % count])

    def look(
        self, nu: FloatArray, blocks: IntArray, enough: float = 0.0
    ) -> tuple[Look, FloatArray]:
        """Project the chosen blocks at ν, (m, d), and bound all others; see `project`."""
        common = self.prog.correlations(nu, clock=self.clock)
        points = self.project(common, blocks, enough)
        return self.bound(nu, common), points

    def bound(self, nu: FloatArray, common: FloatArray) -> Look:
        """Bound every block with the multipliers at hand."""
        norms = np.linalg.norm(common, axis=1)
        if not self.cones:
            return Look(nu, common, norms, np.ones(len(norms)))
        count = len(common)
        sizes = (self._pull**2).sum(axis=1)
        along = np.concatenate(
            [
                -(common * self._pull[:count]).sum(axis=1),
                (common * self._pull[count:]).sum(axis=1),
            ]
        )
        shares = np.divide(np.maximum(along, 0.0), sizes, out=np.zeros_like(along), where=sizes > 0)
        pulled = shares[:, None] * self._pull
        pulled[:count] += common
        pulled[count:] -= common
        return Look(nu, common, np.linalg.norm(pulled, axis=1), shares)

    def project(self, common: FloatArray, blocks: IntArray, enough: float = 0.0) -> FloatArray:
        """v_b = P_K(X_bᵀν) of chosen blocks, (m, d); keeps their multipliers.

        Of a block that is shown to have ‖v_b‖ ≤ `enough` no more is found out.
        """
        if not self.cones:
            return self.targets(common, blocks)
        points = np.empty((len(blocks), self.prog.d))
        size = max(1, min(BATCH_BLOCKS, BATCH_ENTRIES // (self.prog.n + self.prog.d**2)))
        for start in range(0, len(blocks), size):
            self.clock.check()
            part = blocks[start : start + size]
            guesses = [self.rows(int(b)) for b in part]
            found = self.projector(self.prog, common, part, guesses, enough)
            points[start : start + size] = found.points
            self._pull[part] = found.points - self.targets(common, part)
            for k, b in enumerate(part):
                self._rows[int(b)], self._rho[int(b)] = found.rows[k], found.rho[k]
        self.projected += len(blocks)
        return points

    def rows(self, block: int) -> IntArray:
        """The samples with ρ > 0 at the block's last projection: its face."""
        return self._rows.get(block, np.empty(0, dtype=np.intp))

    def adopt(self, known: ConeMultipliers) -> None:
        """Take over multipliers from elsewhere: they bound g_b(ν) for every ν."""
        self._pull[known.blocks] = pulls(self.prog, known)
        for b, (rows, rho) in known.pieces().items():
            self._rows[b], self._rho[b] = rows, rho

    def proof(self, look: Look, scale: float) -> Proof | None:
        """What proves the bounds of a look at scale · ν."""
        if not self.cones:
            return None
        return Proof(dict(self._rows), dict(self._rho), scale * look.shares)
