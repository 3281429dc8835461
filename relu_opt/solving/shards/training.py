r"""Training with the patterns spread over workers.

A master program over few of the patterns is solved here, by any backend. Its dual point ν goes out;
each worker prices its shards of the patterns and sends back those with the largest g_b(ν) = ‖v_b‖
beyond λ, which join the master program, until none is beyond: then ν is feasible for all patterns,
and the master's optimum is the optimum. The shards do not depend on the number of workers, and so
neither does the answer.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.clock import Clock
from relu_opt.plugins.stopping import StopNow, until_stopped
from relu_opt.plugins.types import RawSolution, SolveOptions, StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.solving.search import CuttingPlanes, best_multiple
from relu_opt.solving.shards.executors import Executor, WorkersLost, persist
from relu_opt.solving.shards.pricing import Bids, Priced, bids_of, multipliers_of, price

# Patterns a shard, and those that join the master program in a round.
SHARD = 1024
JOIN = 96
# The last part of the tolerance is left to rounding.
AIM = 0.5
MAX_ROUNDS = 200


@dataclass(frozen=True, eq=False)
class Master:
    """The answer to a master program: weights over some patterns, and both bounds' parts."""

    weights: FloatArray
    nu: FloatArray
    objective: float
    stop: StopReason


# Solves a program to a tolerance, within seconds or None, from weights or None.
Solver = Callable[[ConvexProgram, float, float | None, FloatArray | None], Master]


class Shards:
    """The patterns of a program on workers, which keep what they learn about them.

    Parameters
    ----------
    prog : ConvexProgram
        Its data and patterns are sent once; its λ plays no part.
    executor : Executor
        Where the workers are.
    """

    def __init__(self, prog: ConvexProgram, executor: Executor) -> None:
        self.prog = prog
        self.executor = executor
        self.starts = list(range(0, len(prog.patterns), SHARD))
        self.losses: list[WorkersLost] = []
        self._known: list[object] | None = None

    def fits(self, prog: ConvexProgram) -> bool:
        """Whether they are those of a program, at whatever λ."""
        mine = self.prog
        same = prog.patterns is mine.patterns and prog.X is mine.X and prog.y is mine.y
        return same and (prog.loss, prog.activation) == (mine.loss, mine.activation)

    def price(self, lam: float, nu: FloatArray) -> list[Bids]:
        """The bids of every shard at λ and ν."""

        def ask() -> list[Bids]:
            self._price(lam, nu)
            return self._ask(bids_of)

        return self._persist(ask)

    def patterns_of(self, bids: list[Bids]) -> IntArray:
        """The patterns of all shards' bids, by their places in the program."""
        parts = zip(self.starts, bids, strict=True)
        return np.concatenate([start + each.patterns for start, each in parts])

    def multipliers(self, lam: float, nu: FloatArray) -> ConeMultipliers:
        """Those that prove the bounds at λ and ν, where the shards were priced last."""

        def ask() -> list[ConeMultipliers]:
            if self._known is None:
                self._price(lam, nu)
            return self._ask(multipliers_of)

        return self._joined(self._persist(ask))

    def _price(self, lam: float, nu: FloatArray) -> None:
        if self._known is None:
            self._send()
        assert self._known is not None  # noqa: S101 - it was sent
        self._known = [
            self.executor.submit(price, self._base, shard, lam, nu, JOIN, known)
            for shard, known in zip(self._shards, self._known, strict=True)
        ]

    def _send(self) -> None:
        put, patterns = self.executor.put, self.prog.patterns
        self._base = put(self.prog.with_patterns(patterns.select(np.arange(1))), everywhere=True)
        ends = [*self.starts[1:], len(patterns)]
        self._shards = [
            put(patterns.select(np.arange(start, end)))
            for start, end in zip(self.starts, ends, strict=True)
        ]
        self._known = [None] * len(self.starts)

    def _ask(self, what: Callable[[Priced], Any]) -> list[Any]:
        assert self._known is not None  # noqa: S101 - only what was priced is asked
        return self.executor.gather([self.executor.submit(what, known) for known in self._known])

    def _persist(self, work: Callable[[], list[Any]]) -> list[Any]:
        def afresh() -> list[Any]:
            try:
                return work()
            except WorkersLost:
                self._known = None
                raise

        return persist(self.executor, afresh, self.losses)

    def _joined(self, parts: list[ConeMultipliers]) -> ConeMultipliers:
        """The shards' multipliers with the blocks of the whole program."""
        count = len(self.prog.patterns)
        pieces: dict[int, tuple[IntArray, FloatArray]] = {}
        for start, known in zip(self.starts, parts, strict=True):
            size = min(SHARD, count - start)
            for block, piece in known.pieces().items():
                sign, place = divmod(block, size)
                pieces[sign * count + start + place] = piece
        return ConeMultipliers.pack(pieces)


class ShardedSearch(CuttingPlanes[list[Bids]]):
    """One run: its working set of patterns, and its best points so far."""

    def __init__(
        self, prog: ConvexProgram, options: SolveOptions, shards: Shards, solver: Solver
    ) -> None:
        clock = Clock(options.time_limit)
        super().__init__(AIM * options.tol, clock, MAX_ROUNDS, options.progress)
        self.prog = prog
        self.solver = solver
        self.shards = shards
        self.working: IntArray = np.empty(0, dtype=np.intp)
        self.weights = np.zeros((len(prog.signs), 0, prog.d))
        self.nu = self.priced_nu = prog.dual_start()
        self.upper = prog.mean_loss(np.zeros(prog.n) + prog.best_intercept(np.zeros(prog.n)))
        self.seconds = {"price": 0.0, "master": 0.0}
        if options.warm_start is not None:
            self._begin(options.warm_start)

    def ask(self) -> list[Bids]:
        """The bids of all shards."""
        before = self.clock.elapsed
        bids = self.shards.price(self.prog.lam, self.nu)
        self.priced_nu = self.nu
        self.seconds["price"] += self.clock.elapsed - before
        largest = max(each.largest for each in bids)
        self.lower = max(self.lower, best_multiple(self.prog, self.nu, largest).value)
        return bids

    def join(self, bids: list[Bids]) -> StopReason | None:
        """Let the best bids of all shards join the working set."""
        places = self.shards.patterns_of(bids)
        norms = np.concatenate([each.norms for each in bids])
        fresh = ~np.isin(places, self.working)
        chosen = places[fresh][np.argsort(-norms[fresh], kind="stable")[:JOIN]]
        joined = np.union1d(self.working, chosen).astype(np.intp)
        weights = np.zeros((len(self.prog.signs), len(joined), self.prog.d))
        weights[:, np.searchsorted(joined, self.working)] = self.weights
        self.working, self.weights = joined, weights
        return self.tighten(len(chosen) > 0, 0.5 * self.tol)

    def solve(self) -> None:
        """Solve over the working set."""
        before = self.clock.elapsed
        part = self.prog.with_patterns(self.prog.patterns.select(self.working))
        start = self.weights if self.weights.any() else None
        found = self.solver(part, self.aim, self.clock.remaining, start)
        self.seconds["master"] += self.clock.elapsed - before
        if found.objective <= self.upper:
            self.weights, self.upper = found.weights, found.objective
        self.nu = found.nu
        if found.stop in (StopReason.TIME_LIMIT, StopReason.INTERRUPTED):
            raise StopNow(found.stop)

    def size(self) -> str:
        """How many patterns the master program has."""
        return f"{len(self.working)} of {len(self.prog.patterns)} patterns"

    def answer(self, stop: StopReason) -> RawSolution:
        """What was found."""
        weights = np.zeros(self.prog.weights_shape)
        weights[:, self.working] = self.weights
        multipliers = None
        if math.isfinite(self.lower):
            multipliers = self.shards.multipliers(self.prog.lam, self.priced_nu)
        return RawSolution(
            stop,
            weights,
            self.priced_nu,
            multipliers,
            f"{stop.value} after {self.rounds} rounds",
            self.upper,
            {
                "rounds": self.rounds,
                "shards": len(self.shards.starts),
                "working_patterns": len(self.working),
                "workers_lost": len(self.shards.losses),
                "price_seconds": self.seconds["price"],
                "master_seconds": self.seconds["master"],
            },
        )

    def _begin(self, start: FloatArray) -> None:
        """Take over the patterns of given weights."""
        self.working = np.flatnonzero(start.any(axis=(0, 2)))
        self.weights = start[:, self.working]
        fits = self.prog.fits(start)
        self.upper = self.prog.objective(start, self.prog.best_intercept(fits))
        self.nu = self.prog.dual_candidate(fits)


def train_in_shards(
    prog: ConvexProgram, options: SolveOptions, shards: Shards, solver: Solver
) -> RawSolution:
    """Train with the patterns on the executor's workers; also when stopped, the best so far.

    Parameters
    ----------
    prog : ConvexProgram
    options : SolveOptions
        `tol`, `time_limit`, `warm_start` and `progress` are honoured here.
    shards : Shards
        Of this program.
    solver : callable
        Solves the master programs.
    """
    search = ShardedSearch(prog, options, shards, solver)
    return search.answer(until_stopped(search.run).stop)
