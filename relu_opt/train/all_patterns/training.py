"""`train_globally`: a network that no other network beats, of any width and with any patterns."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_floats
from relu_opt.clock import Clock
from relu_opt.config import settled, settled_seed, settled_tol
from relu_opt.plugins.dispatch import can_start
from relu_opt.plugins.manager import registry
from relu_opt.plugins.options import as_options
from relu_opt.plugins.stopping import until_stopped
from relu_opt.plugins.types import ProgressEvent, StopReason
from relu_opt.program.arrangement import MAX_PATTERNS
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Loss
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.patterns import Patterns, sample_patterns, unique_rows
from relu_opt.program.signs import masks_of
from relu_opt.program.spike_free import is_spike_free
from relu_opt.proof.assembly import certificate_of
from relu_opt.proof.certificate import LISTED, Coverage
from relu_opt.proof.dual_bound import DualBound, bound_at, feasibility, lower_bound
from relu_opt.proof.verdict import relative_gap
from relu_opt.solving.shards.executors import opened
from relu_opt.solving.training import Solution, solve
from relu_opt.train.all_patterns.oracles import ScaledOracle, make_oracle
from relu_opt.train.all_patterns.separation_bounds import Separation
from relu_opt.train.all_patterns.solution import GlobalSolution, Round
from relu_opt.train.formulas.formula import ones_pattern
from relu_opt.train.formulas.spike_free import train_spike_free

# Gates of the first master program, and directions that join it in a round.
FIRST_GATES, JOIN = 100, 64
# Share of the gap that a master program is solved to, and the loosest gap.
SHARE, LOOSEST = 0.05, 1e-2
# Share of the tolerance that the oracle and the master program may each leave.
AIM = 0.25
MAX_ROUNDS = 500
# Share of the tolerance by which ν stays below λ, in which another search can settle.
ROOM = 0.005
# The relative gap that training reaches, unless the user says another.
TOL = 1e-6


def train_globally(
    X: ArrayLike,
    y: ArrayLike,
    lam: float,
    oracle: str = "auto",
    tol: float | None = None,
    *,
    loss: str | Loss = "squared",
    sample_weight: ArrayLike | None = None,
    intercept: bool = False,
    time_limit: float | None = None,
    backend: str = "auto",
    options: Mapping[str, object] | None = None,
    max_patterns: int = MAX_PATTERNS,
    executor: object = None,
    seed: int | None = None,
) -> GlobalSolution:
    """Train a two-layer ReLU network to a proved optimum of its *non-convex* training problem.

    The convex program over few patterns is solved by a backend. Its dual point goes to an oracle,
    which searches all activation patterns for directions u with |νᵀ(Xu)₊| > λ. Their patterns join
    the program, until there are none; then no network of any width has a lower objective.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample. A hidden bias is a column of ones, which is penalised.
    y : (n,) array
        Targets; labels −1 and +1 for the classification losses.
    lam : float
        Regularization strength λ > 0 on the scale of the *mean* loss. (The companion papers have
        the sum of losses and β = nλ.)
    oracle : {"auto", "sphere", "cells", "mip"}
        As of `separation`; with an `executor`, `auto` is `cells`. Data that `is_spike_free` need
        no oracle, and `auto` uses none.
    tol : float, optional
        Relative gap to reach; 1e−6 unless the settings say otherwise.
    loss, sample_weight, intercept
        As of `ConvexProgram`.
    time_limit : float, optional
        Seconds; then the best network so far comes back with its bound.
    backend, options
        Who solves the programs, as of `solve`.
    max_patterns : int
        Of the oracle `cells`, as of `enumerate_patterns`.
    executor : optional
        Where the oracle `cells` prices the patterns, as of `solve`.
    seed : int, optional
        Of the gates of the first program; 0 unless the settings say otherwise.

    Returns
    -------
    GlobalSolution

    Raises
    ------
    DataError
        If the problem is none (see `ConvexProgram`), or there are too many patterns to list.

    Notes
    -----
    Source: Pilanci & Ergen (ICML 2020) for the program, Ergen & Pilanci (JMLR 2021) for the
    cutting planes. Whole cones join instead of single neurons, so that it ends.
    """
    tol, seed = settled_tol(tol, TOL), settled_seed(seed)
    clock = Clock(settled("time_limit", time_limit, None))
    data = as_floats(X, "X", 2)
    first = sample_patterns(data, FIRST_GATES, seed)
    prog = ConvexProgram(data, y, lam, first, loss, "relu", sample_weight, intercept)  # type: ignore[arg-type]
    if oracle == "auto" and executor is None and is_spike_free(prog.canonical.X):
        return _over_ones(prog, tol, clock, backend, options)
    with opened(1 if executor is None else executor) as workers:
        chosen = make_oracle(data, oracle, max_patterns, None if executor is None else workers)
        search = _Search(prog, chosen, tol, clock, backend, as_options(options))
        return search.answer(until_stopped(search.run).stop)


def _over_ones(
    prog: ConvexProgram,
    tol: float,
    clock: Clock,
    backend: str,
    options: Mapping[str, object] | None,
) -> GlobalSolution:
    """Spike-free data need the pattern that is active everywhere, and no search."""
    alone = prog.with_patterns(ones_pattern(prog.n))
    left = clock.remaining
    solution = train_spike_free(alone, backend, tol=tol, time_limit=left, options=options)
    proof = solution.certificate
    found = Separation(
        0.0,
        prog.lam,
        np.zeros((0, prog.d)),
        np.zeros(0),
        "spike_free",
        "X is spike-free, and the pattern D = I speaks of all",
        solution.stop,
        0,
    )
    only = Round(proof.objective, proof.lower_bound, 1, clock.elapsed)
    return GlobalSolution(solution, proof, found, (only,), solution.stop)


class _Search:
    """One run: the growing program, and the best bounds so far."""

    def __init__(
        self,
        prog: ConvexProgram,
        oracle: ScaledOracle,
        tol: float,
        clock: Clock,
        backend: str,
        options: dict[str, object],
    ) -> None:
        self.prog = prog
        self.oracle = oracle
        self.tol = tol
        self.clock = clock
        self.backend = backend
        self.options = options
        self.warm = can_start(prog, backend)
        self.solution: Solution | None = None
        self.rounds: list[Round] = []
        # ν = 0 is feasible whatever X is.
        self.nu = np.zeros(prog.n)
        self.lower = 0.0
        self.multipliers: ConeMultipliers | None = None
        self.found = Separation(
            0.0,
            math.inf,
            np.zeros((0, prog.d)),
            np.zeros(0),
            oracle.name,
            "nothing: no search has ended",
            StopReason.UNKNOWN,
            0,
        )

    @property
    def gap(self) -> float:
        """The relative gap over all patterns."""
        if self.solution is None:
            return math.inf
        return relative_gap(self.solution.objective, self.lower)

    def run(self) -> StopReason:
        """Rounds of solving and searching until the gap is small enough."""
        aim = LOOSEST
        for _ in range(MAX_ROUNDS):
            self.clock.check()
            solution = self._solve(aim, self.clock.remaining)
            if solution.stop in (StopReason.TIME_LIMIT, StopReason.INTERRUPTED):
                return solution.stop
            rel = max(AIM * self.tol, SHARE * min(1.0, solution.rel_gap))
            found = self.oracle.search(solution.nu, (1 + rel) * self.prog.lam, rel, self.clock)
            self._bound(solution.nu, found)
            self._tell()
            if self.gap <= self.tol:
                return StopReason.CONVERGED
            if not found.stop.converged:
                return found.stop
            if self._join(found):
                aim = max(AIM * self.tol, min(LOOSEST, SHARE * self.gap))
            elif aim > AIM * self.tol:
                aim = AIM * self.tol
            else:
                # What is left is the tolerance of the oracle or of the backend.
                return StopReason.CONVERGED_LOOSE
        return StopReason.ITERATION_LIMIT

    def answer(self, stop: StopReason) -> GlobalSolution:
        """What was found."""
        solution = self.solution or self._solve(LOOSEST, None)
        prog, coverage = self.prog, LISTED
        if self.oracle.cells is not None and self.multipliers is not None:
            prog = prog.with_patterns(self.oracle.cells)
            bound = lower_bound(prog, self.nu, self.multipliers)
        else:
            sphere = self.found.oracle == "sphere"
            coverage = Coverage(
                "searched" if sphere else "oracle", self.found.statement, self.prog.lam
            )
            multipliers, _ = feasibility(prog, self.nu, None)
            bound = DualBound(self.nu, multipliers, self.lower, prog.lam)
        proof = certificate_of(prog, solution.network.balance(), bound, "all", self.tol, coverage)
        stop = stop.beside(proof.verdict, proof.rel_gap)
        return GlobalSolution(solution, proof, self.found, tuple(self.rounds), stop)

    # -- underneath ------------------------------------------------------------

    def _solve(self, tol: float, limit: float | None) -> Solution:
        """Solve over the patterns so far, from the last solution; the better one is kept."""
        before, start = self.solution, None
        # Interior-point methods start afresh, and gain nothing from a loose tolerance.
        tol = tol if self.warm else AIM * self.tol
        if before is not None and self.warm:
            start = np.zeros(self.prog.weights_shape)
            start[:, : before.weights.shape[1]] = before.weights
        found = solve(self.prog, self.backend, tol, limit, start, self.options)
        if before is None or found.objective <= before.objective or found.rel_gap <= self.tol:
            self.solution = found
        return found

    def _bound(self, nu: FloatArray, found: Separation) -> None:
        """Scale ν until it is feasible for all patterns; the best bound is kept."""
        known = None
        if self.oracle.cells is not None and found.stop is StopReason.CONVERGED:
            known = self.oracle.multipliers(nu)
        upper = found.upper if known else found.upper * (1 + ROOM * self.tol)
        bound = bound_at(self.prog, nu, known or ConeMultipliers.pack({}), upper)
        if bound.value > self.lower or not self.rounds:
            self.nu, self.lower, self.found = bound.nu, bound.value, found
            self.multipliers = None if known is None else bound.multipliers

    def _join(self, found: Separation) -> bool:
        """Let the patterns of the best directions join; whether there were new ones."""
        beyond = np.abs(found.values) > self.prog.lam
        gates = found.directions[beyond].T
        packed = np.packbits(masks_of(self.prog.X, gates).T, axis=1)
        known, count = self.prog.patterns, len(self.prog.patterns)
        every = np.concatenate([known.packed, packed])
        keep = unique_rows(every)[: count + JOIN]
        if len(keep) == count:
            return False
        assert known.gates is not None  # noqa: S101 - they were sampled
        joined = np.hstack([known.gates, gates])[:, keep]
        patterns = Patterns.from_packed(every[keep], self.prog.n, joined)
        self.prog = self.prog.with_patterns(patterns)
        return True

    def _tell(self) -> None:
        assert self.solution is not None  # noqa: S101 - rounds begin with one
        seconds = self.clock.elapsed
        count = len(self.prog.patterns)
        self.rounds.append(Round(self.solution.objective, self.lower, count, seconds))
        event = ProgressEvent(
            "solve",
            len(self.rounds),
            seconds,
            self.solution.objective,
            self.lower,
            self.gap,
            f"{count} patterns, oracle {self.oracle.name}",
        )
        registry().notify("relu_opt_progress", event=event)
