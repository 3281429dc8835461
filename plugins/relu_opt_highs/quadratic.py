"""Quadratic programs: HiGHS' active-set method, kept on a short lead.

Its regularisation costs accuracy, and it has been known to cycle, to call points optimal that are
not, and programs unbounded that are bounded. So it works on a scaled program, under a limit of
time and iterations; its answer is polished and then judged by the program itself; and if the
answer is no good, it tries again at another size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.optimality.rays import recession
from relu_opt.plugins.types import RawSolution, SolveOptions, StopReason
from relu_opt.program.linear import QuadraticProgram
from relu_opt_highs.checks import checked_stop, is_good
from relu_opt_highs.library import Outcome, leftover, new_highs, pass_program, run
from relu_opt_highs.polish import EXACT, polish
from relu_opt_highs.scaling import Scaled
from relu_opt_highs.settings import SMALLEST_COEFFICIENT, linear_settings, max_iter

# Of reduced costs. A smaller tolerance of feasibility, or less regularisation of P than HiGHS does
# by itself, makes it fail or cycle more often; polishing recovers what they cost.
TOLERANCE = 1e-10
# Iterations of an attempt that is not the last, per variable and row; one or two are usual.
PATIENCE = 10
LEAST_PATIENCE = 500
# Endings that leave open whether the program is bounded.
LIMITS = (
    StopReason.TIME_LIMIT,
    StopReason.ITERATION_LIMIT,
    StopReason.INFEASIBLE,
)
# A ray along which the scaled objective falls at least so fast.
DESCENT = 1e-6


@dataclass(frozen=True, eq=False)
class _Answer:
    """A polished answer in the source's units, its `residual`, and whether it is good enough."""

    outcome: Outcome
    x: FloatArray | None
    y: FloatArray | None
    error: float
    good: bool


def solve_quadratic(program: QuadraticProgram, options: SolveOptions) -> RawSolution:
    """Solve a quadratic program; that P is semidefinite is taken for granted."""
    given = options.time_limit
    limit = cast(float, options.extra.get("qp_time_limit", 60.0)) if given is None else given
    clock = Clock(limit)
    scaled = Scaled.of(program)
    best: _Answer | None = None
    count = 0
    sizes = scaled.likely_sizes()
    for count, size in enumerate(sizes, 1):
        answer = _attempt(scaled.shrunk(size), options, count == len(sizes), clock)
        if best is None or answer.error < best.error:
            best = answer
        if _is_final(scaled, answer, options, clock):
            best = answer
            break
    assert best is not None  # noqa: S101 - there is at least one attempt
    return _solution(scaled, best, options, count, clock)


def _attempt(scaled: Scaled, options: SolveOptions, last: bool, clock: Clock) -> _Answer:
    """One run of HiGHS, polished, in the units of the source."""
    program = scaled.program
    settings: dict[str, object] = {
        "dual_feasibility_tolerance": TOLERANCE,
        "small_matrix_value": SMALLEST_COEFFICIENT,
    }
    patience = max(LEAST_PATIENCE, PATIENCE * (program.columns + program.rows))
    iterations = max_iter(options) or (None if last else patience)
    if iterations is not None:
        settings["qp_iteration_limit"] = iterations
    highs = new_highs(settings, options.verbose)
    pass_program(highs, program)
    outcome = run(highs, options, clock.remaining)
    if outcome.stop is StopReason.INFEASIBLE:
        return _Answer(outcome, None, None, np.inf, False)
    # A point that HiGHS disowns is often good enough to start from.
    x, y = leftover(highs, program)
    x, y, error = polish(program, np.clip(x, program.lower, program.upper), y, clock)
    x, y = scaled.recover(x, y)
    good = error <= EXACT or is_good(scaled.source, x, y, options.tol)
    return _Answer(outcome, x, y, error, good)


def _is_final(scaled: Scaled, answer: _Answer, options: SolveOptions, clock: Clock) -> bool:
    """Whether there is nothing to gain from another attempt."""
    stop = answer.outcome.stop
    if answer.good:
        return True
    if stop is StopReason.UNBOUNDED:
        return _falls_for_ever(scaled.program, options, clock)
    limited = stop is StopReason.ITERATION_LIMIT and max_iter(options) is not None
    ends = (StopReason.INFEASIBLE, StopReason.INTERRUPTED, StopReason.TIME_LIMIT)
    return limited or stop in ends


def _solution(
    scaled: Scaled, answer: _Answer, options: SolveOptions, attempts: int, clock: Clock
) -> RawSolution:
    """The answer as the core wants it; its stop reason is what the program itself shows."""
    source, x, y = scaled.source, answer.x, answer.y
    stop = answer.outcome.stop
    if stop is StopReason.INTERRUPTED:
        pass  # whoever asked for it wants more than this program to end
    elif answer.good:
        stop = StopReason.CONVERGED
    elif stop not in LIMITS and _falls_for_ever(scaled.program, options, clock):
        stop = StopReason.UNBOUNDED
    elif stop is StopReason.UNBOUNDED:
        stop = StopReason.NUMERICAL
    else:
        stop = checked_stop(source, stop, x, y, options.tol)
    if stop in (StopReason.INFEASIBLE, StopReason.UNBOUNDED):
        x = y = None
    return RawSolution(
        stop,
        x,
        y,
        raw_status=answer.outcome.raw_status,
        objective=None if x is None else source.objective(x),
        stats={**answer.outcome.counts, "attempts": attempts, "residual": answer.error},
    )


def _falls_for_ever(program: QuadraticProgram, options: SolveOptions, clock: Clock) -> bool:
    """Whether the cost falls along a ray on which nothing curves and no bound is met."""
    rays = recession(program)
    highs = new_highs(linear_settings(SolveOptions(tol=options.tol)), options.verbose)
    pass_program(highs, rays)
    steepest = run(highs, options, clock.remaining)
    return steepest.status == "kOptimal" and cast(float, steepest.objective) < -DESCENT
