"""For backends that far sides and bounds lead astray: first without them, then with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from relu_opt.clock import Clock
from relu_opt.plugins.types import RawSolution, SolveOptions, StopReason
from relu_opt.program.far_bounds import without_far_bounds
from relu_opt.program.linear import LinearProgram, QuadraticProgram

P = TypeVar("P", bound=LinearProgram | QuadraticProgram)
# Endings that far bounds would not change, and one that somebody wants.
FINAL = (StopReason.INFEASIBLE, StopReason.INTERRUPTED)


def near_first(
    program: P, options: SolveOptions, solve: Callable[[P, SolveOptions], RawSolution]
) -> RawSolution:
    """The answer without far sides and bounds, if these change nothing, or else with them.

    Parameters
    ----------
    program : LinearProgram or QuadraticProgram
    options : SolveOptions
    solve : callable
        The backend's own, of a program and options.
    """
    clock = Clock(options.time_limit)
    near = without_far_bounds(program)
    if near is None:
        return solve(program, options)
    raw = solve(near, options)
    if raw.stop in FINAL:
        return raw
    inside = raw.x is not None and program.violation(raw.x) <= near.violation(raw.x)
    if raw.stop.converged and inside:
        return raw
    return solve(program, replace(options, time_limit=clock.remaining))
