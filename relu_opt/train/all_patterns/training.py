"""`train_globally`: a network that no other network beats, of any width and with any patterns."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import as_floats
from relu_opt.clock import Clock
from relu_opt.config import settled, settled_seed, settled_tol
from relu_opt.plugins.dispatch import can_start
from relu_opt.plugins.options import as_options
from relu_opt.plugins.stopping import StopNow, until_stopped
from relu_opt.plugins.types import StopReason
from relu_opt.program.activations import RELU
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
from relu_opt.solving.search import LOOSEST, SHARE, CuttingPlanes
from relu_opt.solving.shards.executors import opened
from relu_opt.solving.training import Solution, proof_seconds, solve
from relu_opt.train.all_patterns.oracles import ScaledOracle, make_oracle
from relu_opt.train.all_patterns.separation_bounds import Separation
from relu_opt.train.all_patterns.solution import GlobalSolution, Round
from relu_opt.train.formulas.formula import ones_pattern
from relu_opt.train.formulas.spike_free import train_spike_free

# Gates of the first master program, and directions that join it in a round.
FIRST_GATES, JOIN = 100, 64
# Share of the tolerance that the oracle and the master program may each leave.
AIM = 0.25
MAX_ROUNDS = 500
# Share of the time left that a master program may take.
MASTER_TIME = 0.5
# About the seconds, a row, that it takes to measure what a search has found.
FOUND_ROW = 4e-6
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
    prog = ConvexProgram(data, y, lam, first, loss, RELU, sample_weight, intercept)  # type: ignore[arg-type]
    if oracle == "auto" and executor is None and is_spike_free(prog.canonical.X):
        return _over_ones(prog, tol, clock, backend, options)
    with opened(1 if executor is None else executor) as workers:
        chosen = make_oracle(data, oracle, max_patterns, None if executor is None else workers)
        end = clock.before(proof_seconds(prog) + FOUND_ROW * prog.n)
        search = _Search(prog, chosen, tol, end, backend, as_options(options))
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


class _Search(CuttingPlanes[Separation]):
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
        super().__init__(tol, clock, MAX_ROUNDS)
        self.prog = prog
        self.oracle = oracle
        self.backend = backend
        self.options = options
        self.warm = can_start(prog, backend)
        self.solution: Solution | None = None
        self.history: list[Round] = []
        # ν = 0 is feasible whatever X is.
        self.best = DualBound(np.zeros(prog.n), ConeMultipliers.pack({}), 0.0, 0.0)
        self.lower = 0.0
        self.listed = False
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

    def run(self) -> StopReason:
        """Rounds of solving and searching until the gap is small enough."""
        self.solve()
        return super().run()

    def solve(self) -> None:
        """Solve over the patterns so far; without a search there is no bound, and it needs time."""
        left = self.clock.remaining
        self.last = self._solve(self.aim, None if left is None else MASTER_TIME * left)
        if self.last.stop is StopReason.INTERRUPTED:
            raise StopNow(self.last.stop)

    def ask(self) -> Separation:
        """Search at the dual point, scaled until it is feasible; the best bound is kept."""
        nu = self.last.nu
        rel = max(AIM * self.tol, SHARE * min(1.0, self.last.rel_gap))
        found = self.oracle.search(nu, (1 + rel) * self.prog.lam, rel, self.clock)
        known = None
        if self.oracle.cells is not None and found.stop is StopReason.CONVERGED:
            known = self.oracle.multipliers(nu)
        upper = found.upper if known else found.upper * (1 + ROOM * self.tol)
        bound = bound_at(self.prog, nu, known or ConeMultipliers.pack({}), upper)
        if bound.value > self.lower or not self.history:
            self.best, self.lower, self.found = bound, bound.value, found
            self.listed = known is not None
        return found

    def join(self, found: Separation) -> StopReason | None:
        """Let the patterns of the best directions join."""
        if not found.stop.converged:
            return found.stop
        gates = found.directions[np.abs(found.values) > self.prog.lam].T
        packed = np.packbits(masks_of(self.prog.X, gates).T, axis=1)
        known, count = self.prog.patterns, len(self.prog.patterns)
        every = np.concatenate([known.packed, packed])
        keep = unique_rows(every)[: count + JOIN]
        if len(keep) > count:
            assert known.gates is not None  # noqa: S101 - they were sampled
            joined = np.hstack([known.gates, gates])[:, keep]
            patterns = Patterns.from_packed(every[keep], self.prog.n, joined)
            self.prog = self.prog.with_patterns(patterns)
        return self.tighten(len(keep) > count, AIM * self.tol)

    def size(self) -> str:
        """How many patterns the program has, and who searches."""
        return f"{len(self.prog.patterns)} patterns, oracle {self.oracle.name}"

    def tell(self) -> None:
        """Tell observers, and keep it."""
        count = len(self.prog.patterns)
        self.history.append(Round(self.upper, self.lower, count, self.clock.elapsed))
        super().tell()

    def answer(self, stop: StopReason) -> GlobalSolution:
        """What was found."""
        solution = self.solution or self._solve(LOOSEST, self.clock.remaining)
        prog, coverage = self.prog, LISTED
        if self.oracle.cells is not None and self.listed:
            prog = prog.with_patterns(self.oracle.cells)
            bound = lower_bound(prog, self.best.nu, self.best.multipliers)
        else:
            sphere = self.found.oracle == "sphere"
            coverage = Coverage(
                "searched" if sphere else "oracle", self.found.statement, self.prog.lam
            )
            multipliers, _ = feasibility(prog, self.best.nu, None)
            bound = DualBound(self.best.nu, multipliers, self.lower, prog.lam)
        proof = certificate_of(prog, solution.network.balance(), bound, "all", self.tol, coverage)
        stop = stop.beside(proof.verdict, proof.rel_gap)
        return GlobalSolution(solution, proof, self.found, tuple(self.history), stop)

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
            self.solution, self.upper = found, found.objective
        return found
