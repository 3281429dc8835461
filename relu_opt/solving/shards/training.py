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
from relu_opt.plugins.stopping import until_stopped
from relu_opt.plugins.types import ProgressEvent, RawSolution, SolveOptions, StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.proof.verdict import relative_gap
from relu_opt.solving.shards.executors import Executor, WorkersLost, persist
from relu_opt.solving.shards.pricing import Bids, Priced, bids_of, multipliers_of, price

# Patterns a shard, and those that join the master program in a round.
SHARD = 1024
JOIN = 96
# A master program is solved to this share of the gap over all patterns, and to at most LOOSEST.
SHARE, LOOSEST = 0.05, 1e-2
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


class ShardedSearch:
    """One run: its working set of patterns, and its best points so far."""

    def __init__(
        self, prog: ConvexProgram, options: SolveOptions, shards: Shards, solver: Solver
    ) -> None:
        self.prog = prog
        self.options = options
        self.solver = solver
        self.clock = Clock(options.time_limit)
        self.shards = shards
        self.working: IntArray = np.empty(0, dtype=np.intp)
        self.weights = np.zeros((len(prog.signs), 0, prog.d))
        self.nu = self.priced_nu = prog.dual_start()
        self.upper = prog.mean_loss(np.zeros(prog.n) + prog.best_intercept(np.zeros(prog.n)))
        self.lower = -math.inf
        self.rounds = 0
        self.seconds = {"price": 0.0, "master": 0.0}

    @property
    def gap(self) -> float:
        """The relative gap over all patterns."""
        return relative_gap(self.upper, self.lower)

    def run(self) -> StopReason:
        """Rounds of pricing and solving until the gap is small enough."""
        start = self.options.warm_start
        if start is not None:
            self._begin(start)
        tol = AIM * self.options.tol
        stop = StopReason.CONVERGED
        for self.rounds in range(1, MAX_ROUNDS + 1):
            bids = self._price()
            self._tell()
            if self.gap <= tol:
                return StopReason.CONVERGED
            new = self._join(bids)
            if not new and stop is not StopReason.CONVERGED:
                return stop
            self.clock.check()
            aim = max(0.5 * tol, min(LOOSEST, SHARE * self.gap))
            stop = self._master(aim if new else 0.5 * tol)
            if stop in (StopReason.TIME_LIMIT, StopReason.INTERRUPTED):
                return stop
        return StopReason.ITERATION_LIMIT

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

    # -- underneath ------------------------------------------------------------

    def _begin(self, start: FloatArray) -> None:
        """Take over the patterns of given weights."""
        self.working = np.flatnonzero(start.any(axis=(0, 2)))
        self.weights = start[:, self.working]
        fits = self.prog.fits(start)
        self.upper = self.prog.objective(start, self.prog.best_intercept(fits))
        self.nu = self.prog.dual_candidate(fits)

    def _price(self) -> list[Bids]:
        before = self.clock.elapsed
        bids = self.shards.price(self.prog.lam, self.nu)
        self.priced_nu = self.nu
        self.seconds["price"] += self.clock.elapsed - before
        largest = max(each.largest for each in bids)
        scale = self.prog.best_scale(self.nu, largest)
        self.lower = max(self.lower, self.prog.dual_objective(scale * self.nu))
        return bids

    def _join(self, bids: list[Bids]) -> bool:
        """Let the best bids of all shards join the working set; whether there were any."""
        places = self.shards.patterns_of(bids)
        norms = np.concatenate([each.norms for each in bids])
        fresh = ~np.isin(places, self.working)
        best = np.argsort(-norms[fresh], kind="stable")[:JOIN]
        chosen = np.sort(places[fresh][best])
        if not len(chosen):
            return False
        joined = np.union1d(self.working, chosen).astype(np.intp)
        weights = np.zeros((len(self.prog.signs), len(joined), self.prog.d))
        weights[:, np.searchsorted(joined, self.working)] = self.weights
        self.working, self.weights = joined, weights
        return True

    def _master(self, tol: float) -> StopReason:
        """Solve over the working set."""
        before = self.clock.elapsed
        part = self.prog.with_patterns(self.prog.patterns.select(self.working))
        start = self.weights if self.weights.any() else None
        found = self.solver(part, tol, self.clock.remaining, start)
        self.seconds["master"] += self.clock.elapsed - before
        if found.objective <= self.upper:
            self.weights, self.upper = found.weights, found.objective
        self.nu = found.nu
        return found.stop

    def _tell(self) -> None:
        self.options.progress(
            ProgressEvent(
                "solve",
                self.rounds,
                self.clock.elapsed,
                self.upper,
                self.lower,
                self.gap,
                f"{len(self.working)} of {len(self.prog.patterns)} patterns",
            )
        )


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
