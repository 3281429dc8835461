"""Linear programs, also mixed-integer ones, and hot starts from one to the next."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.plugins.types import RawSolution, SolveOptions, StopReason
from relu_opt.program.linear import LinearProgram
from relu_opt_highs.checks import checked_stop
from relu_opt_highs.library import Outcome, new_highs, pass_program, run, set_options
from relu_opt_highs.settings import integer_settings, linear_settings

# Methods that start from a basis.
BASIS_METHODS = ("choose", "simplex")
# A first run with another number of iterations must not limit the next one.
NO_LIMIT = 2**31 - 1
CONSTRAINTS = ("A", "row_lower", "row_upper", "lower", "upper")


@dataclass(eq=False)
class Live:
    """A solver that holds a program's constraints, and the basis that it is at (None: unknown)."""

    highs: Any
    basis: Any = None


@dataclass(frozen=True, eq=False)
class HotStart:
    """What a solve leaves for the next: the basis, and the solver with the constraints in it.

    It can be used any number of times, in any order. Programs with the very same constraints
    (`program.with_cost`) share the solver, so do not use it in two threads at once.
    """

    program: LinearProgram
    basis: Any
    live: Live

    def same_constraints(self, program: LinearProgram) -> bool:
        """Whether the arrays are the very same, so that only costs can differ."""
        return all(getattr(program, name) is getattr(self.program, name) for name in CONSTRAINTS)

    def same_size(self, program: LinearProgram) -> bool:
        """Whether the basis fits."""
        return bool(program.A.shape == self.program.A.shape)


def solve_linear(program: LinearProgram, options: SolveOptions) -> RawSolution:
    """Solve a linear program, from a hot start where there is one that fits."""
    live, kind = _prepare(program, options)
    live.basis = None
    outcome = run(live.highs, options, options.time_limit)
    if outcome.stop is StopReason.UNKNOWN:
        outcome = _by_defaults(program, outcome, options)
    basis = live.highs.getBasis()
    live.basis = basis if basis.valid else None
    outcome = settled(program, outcome, options)
    x, y = outcome.x, outcome.y
    if outcome.status == "kModelEmpty":
        outcome, x, y = _without_variables(program, outcome)
    stop = checked_stop(program, outcome.stop, x, y, options.tol)
    if stop in (StopReason.INFEASIBLE, StopReason.UNBOUNDED):
        x = y = None
    return RawSolution(
        stop,
        x,
        y,
        raw_status=outcome.raw_status,
        objective=None if x is None else outcome.objective,
        stats={**outcome.counts, "start": kind},
        state=None if live.basis is None else HotStart(program, live.basis, live),
    )


def solve_integer(program: LinearProgram, options: SolveOptions) -> RawSolution:
    """Solve a mixed-integer program by branch and bound."""
    highs = new_highs(integer_settings(options), options.verbose)
    pass_program(highs, program)
    started = _start_at(highs, program, options.warm_start)
    outcome = settled(program, run(highs, options, options.time_limit), options)
    stop, x = outcome.stop, outcome.x
    if stop in (StopReason.INFEASIBLE, StopReason.UNBOUNDED) or x is None:
        return RawSolution(stop, raw_status=outcome.raw_status, bound=outcome.bound)
    x = _rounded(program, x)
    if stop is StopReason.CONVERGED:
        stop = checked_stop(program, stop, x, None, options.tol)
        gap = program.objective(x) - (-np.inf if outcome.bound is None else outcome.bound)
        proved = gap <= options.tol * max(1.0, abs(program.objective(x)))
        if stop is StopReason.CONVERGED and not proved:
            stop = StopReason.CONVERGED_LOOSE
    return RawSolution(
        stop,
        x,
        raw_status=outcome.raw_status,
        objective=outcome.objective,
        stats={**outcome.counts, "start": "point" if started else "cold"},
        bound=outcome.bound,
    )


def settled(program: LinearProgram, outcome: Outcome, options: SolveOptions) -> Outcome:
    """The outcome; "unbounded or infeasible" is settled by the program without its costs."""
    if outcome.status != "kUnboundedOrInfeasible":
        return outcome
    whole = program.is_mixed_integer
    settings = integer_settings(options) if whole else linear_settings(options)
    highs = new_highs(settings, options.verbose)
    pass_program(highs, replace(program, c=np.zeros(program.columns)))
    feasible = run(highs, options, options.time_limit)
    found = {"kOptimal": "kUnbounded", "kInfeasible": "kInfeasible"}.get(feasible.status)
    if found is None:
        return outcome
    return replace(outcome, status=found, raw_status=f"{outcome.raw_status}: {found[1:]}")


def _by_defaults(program: LinearProgram, outcome: Outcome, options: SolveOptions) -> Outcome:
    """What HiGHS finds by its own defaults, where tight tolerances leave it without a word."""
    highs = new_highs({}, options.verbose)
    pass_program(highs, program)
    again = run(highs, options, options.time_limit)
    return outcome if again.stop is StopReason.UNKNOWN else again


def _prepare(program: LinearProgram, options: SolveOptions) -> tuple[Live, str]:
    """A solver that is ready to run, and how it starts."""
    settings = linear_settings(options)
    left = options.state if settings["solver"] in BASIS_METHODS else None
    state = left if isinstance(left, HotStart) else None
    if state is not None and state.same_constraints(program):
        highs = state.live.highs
        limit = {"simplex_iteration_limit": NO_LIMIT}
        set_options(highs, {"output_flag": options.verbose, **limit, **settings})
        every = np.arange(program.columns, dtype=np.int32)
        highs.changeColsCost(program.columns, every, program.c)
        highs.changeObjectiveOffset(program.offset)
        if state.live.basis is not state.basis:
            highs.setBasis(state.basis)
        return state.live, "costs changed"
    highs = new_highs(settings, options.verbose)
    pass_program(highs, program)
    if state is not None and state.same_size(program):
        highs.setBasis(state.basis)
        return Live(highs), "basis"
    started = _start_at(highs, program, options.warm_start)
    return Live(highs), "point" if started else "cold"


def _start_at(highs: Any, program: LinearProgram, point: FloatArray | None) -> bool:
    """Start from a point; HiGHS makes it a basis or an incumbent if it is good for that."""
    if point is None:
        return False
    inside = np.clip(point, program.lower, program.upper)
    highs.setSolution(program.columns, np.arange(program.columns, dtype=np.int32), inside)
    return True


def _rounded(program: LinearProgram, x: FloatArray) -> FloatArray:
    """Whole numbers where they have to be, unless that would break other constraints more."""
    whole = np.where(cast(BoolArray, program.integrality), np.rint(x), x)
    return whole if program.violation(whole) <= program.violation(x) else x


def _without_variables(
    program: LinearProgram, outcome: Outcome
) -> tuple[Outcome, FloatArray | None, FloatArray | None]:
    """HiGHS does not look at the rows of a program without variables."""
    nothing = np.empty(0)
    if program.violation(nothing) > 0:
        return replace(outcome, status="kInfeasible"), None, None
    return replace(outcome, objective=program.offset), nothing, np.zeros(program.rows)
