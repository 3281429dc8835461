"""The oracle `cells`: bounds on M(ν) from all activation patterns, listed, each by projection."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.clock import Clock
from relu_opt.plugins.stopping import until_stopped
from relu_opt.program.arrangement import MAX_PATTERNS, enumerate_patterns
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.rounding import UNDERFLOW, gamma
from relu_opt.solving.shards.executors import Executor, Serial
from relu_opt.solving.shards.training import Shards
from relu_opt.train.all_patterns.separation_bounds import Separation, separation_of

# Cells that are looked at first, those with the largest bound.
FIRST = 64
# A goal that is above zero, for ν = 0.
LEAST = float(np.finfo(np.float64).tiny)


class _OnTime(Serial):
    """This process, while there is time."""

    clock = Clock()

    def submit(self, function: Callable[..., Any], *arguments: Any) -> Any:
        self.clock.check()
        return function(*arguments)


class CellsOracle:
    """All cells of the data's hyperplane arrangement.

    In a cell with the pattern D the maximum of ±νᵀDXu is ‖P_K(±XᵀDν)‖, and the multipliers of the
    projection bound it from above (Moreau). Multipliers are kept, and save most projections at
    the next ν.

    Parameters
    ----------
    X : (n, d) array
    max_patterns : int
        As of `enumerate_patterns`.
    executor : Executor, optional
        Where the cells are priced; in this process by default. Workers finish a round that they
        have begun, also beyond a time limit.
    """

    name = "cells"

    def __init__(
        self, X: FloatArray, max_patterns: int = MAX_PATTERNS, executor: Executor | None = None
    ) -> None:
        patterns = enumerate_patterns(X, max_patterns)
        self.prog = ConvexProgram(X, np.zeros(len(X)), 1.0, patterns)
        self.executor = _OnTime() if executor is None else executor
        self.shards = Shards(self.prog, self.executor)
        self.goal = LEAST

    def search(self, nu: FloatArray, target: float, rel: float, clock: Clock) -> Separation:
        """Bound M(ν); see `Oracle`."""
        if isinstance(self.executor, _OnTime):
            self.executor.clock = clock
        patterns = self.prog.patterns
        common = self.prog.correlations(nu)
        norms = np.linalg.norm(common, axis=1)
        points = [self._points(common, np.argsort(-norms)[:FIRST])]
        best = float(np.linalg.norm(points[0], axis=1).max(initial=0.0))
        self.goal = max(target, best * (1 - 1e-12), LEAST)
        upper, known = float(norms.max()), ConeMultipliers.pack({})

        def price() -> None:
            nonlocal upper, known
            bids = self.shards.price(self.goal, nu)
            upper, known = max(each.largest for each in bids), self.multipliers(nu)
            points.append(self._points(common, self.shards.patterns_of(bids)))

        stop = until_stopped(price).stop
        directions = np.concatenate(points)
        directions = directions[np.linalg.norm(directions, axis=1) > 0]
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        return separation_of(
            self.name,
            self.prog.X,
            nu,
            directions,
            upper + self._rounding(nu, known),
            f"projections onto the cones of all {len(patterns)} activation patterns",
            stop,
            len(patterns),
        )

    def _rounding(self, nu: FloatArray, known: ConeMultipliers) -> float:
        """What the norms ‖X_bᵀν + (S_iX)ᵀρ_b‖ may be off by."""
        n, d = self.prog.X.shape
        sizes = np.linalg.norm(self.prog.X, axis=1)
        owners = np.repeat(np.arange(len(known.blocks)), np.diff(known.starts))
        pushed = np.bincount(owners, known.values * sizes[known.rows]).max(initial=0.0)
        total = float(np.abs(nu) @ sizes) + float(pushed)
        return gamma(2 * n + d + 16) * total + (UNDERFLOW if total else 0.0)

    def multipliers(self, nu: FloatArray) -> ConeMultipliers:
        """Those that prove the bound at the ν of the last search."""
        return self.shards.multipliers(self.goal, nu)

    def _points(self, common: FloatArray, which: IntArray) -> FloatArray:
        """P_K(±XᵀDν) of chosen patterns, both signs."""
        blocks = np.concatenate([which, which + len(self.prog.patterns)]).astype(np.intp)
        return self.prog.project(common, blocks).points
