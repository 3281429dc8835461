"""The backend: model, solve with the solver that was chosen, and measure what came back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.certificate import Verdict
from relu_opt.errors import BackendUnavailable, ReluOptError, SolveFailed
from relu_opt.plugins.types import Program, RawSolution, SolveOptions, StopReason
from relu_opt.program.conic import ConicProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.program_solution import judge, measure
from relu_opt_pyomo.interfaces import Answer, Order, solve_new, solve_old
from relu_opt_pyomo.model import StandardProgram, build_model, forget_cost
from relu_opt_pyomo.settings import (
    check_solver,
    find_solver,
    free_threads,
    solver_settings,
    unsupported,
)

# Pyomo redirects the output of the whole process and has global state: one solve at a time.
ONE_AT_A_TIME = threading.Lock()

SHORTEST_TIME = 1e-3
# HiGHS can fail to end on a quadratic program: it never goes without a limit.
GUARD_SECONDS = 600.0
# What HiGHS adds to the diagonal of P. Without, it fails at some singular ones; with it, the
# answer is wrong by about as much. So from the least on, until the answer is good enough.
REGULARIZATION = "qp_regularization_value"
REGULARIZATIONS = (0.0, 1e-11, 1e-9, 1e-7)
# What more regularisation would not change.
SETTLED = (
    StopReason.CONVERGED,
    StopReason.TIME_LIMIT,
    StopReason.ITERATION_LIMIT,
    StopReason.INFEASIBLE,
    StopReason.INTERRUPTED,
)
# An answer that is said to be optimal, and is further from it than this, is of no use.
LOOSE = 1e-3


class PyomoBackend:
    """Linear, quadratic and conic programs through Pyomo."""

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """Solve a program with the solver that the options name.

        Raises
        ------
        OptionError
            If Pyomo knows no such solver, or the solver no such setting.
        BackendUnavailable
            If the solver is not installed, or has no licence.
        UnsupportedProgram
            If the solver does not take the program.
        SolveFailed
            If the solver, or Pyomo, raised.
        """
        request = _Request(cast(StandardProgram, program), options, time.perf_counter())
        with ONE_AT_A_TIME, nullcontext() if options.verbose else _quiet():
            check_solver(request.solver, request.program)
            if request.is_guarded:
                return _regularized(request)
            found = _attempt(request, {})
            if found.condition == "infeasibleOrUnbounded":
                return replace(found.raw, stop=_which(request))
            return found.raw


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Pyomo's log; what it warns of is in the stop reason."""
    from pyomo.common.log import LoggingIntercept

    with LoggingIntercept(module="pyomo"):
        yield


@dataclass(frozen=True, eq=False)
class _Request:
    program: StandardProgram
    options: SolveOptions
    started: float

    @property
    def solver(self) -> str:
        return str(self.options.extra.get("solver", "highs"))

    @property
    def is_guarded(self) -> bool:
        """Whether HiGHS gets a quadratic program."""
        program = self.program
        curved = isinstance(program, QuadraticProgram) and program.P.nnz > 0
        return curved and self.solver == "highs"

    @property
    def is_mixed_integer(self) -> bool:
        return isinstance(self.program, LinearProgram) and self.program.is_mixed_integer

    @property
    def limit(self) -> float | None:
        if self.options.time_limit is None and self.is_guarded:
            return GUARD_SECONDS
        return self.options.time_limit

    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    def order(self, settings: dict[str, object]) -> Order:
        """What the solver is told; waiting and modelling have used up some of the time."""
        limit, options = self.limit, self.options
        if limit is not None:
            limit = max(SHORTEST_TIME, limit - self.elapsed())
        wants_duals = not self.is_mixed_integer
        return Order(settings, limit, options.threads, options.verbose, wants_duals)


@dataclass(frozen=True, eq=False)
class _Found:
    """An answer, and how far it is from optimal; inf without a point."""

    condition: str
    raw: RawSolution
    distance: float


def _regularized(request: _Request) -> RawSolution:
    """A quadratic program by HiGHS, with as little regularisation as will do."""
    found: list[_Found] = []
    for value in REGULARIZATIONS:
        found.append(_attempt(request, {REGULARIZATION: value}))
        if found[-1].raw.stop in SETTLED:
            return found[-1].raw
        if request.elapsed() > cast(float, request.limit):
            break
    # A regularised program is never unbounded, but nor is its answer then a good one.
    unbounded = [each for each in found if each.raw.stop is StopReason.UNBOUNDED]
    return (unbounded or sorted(found, key=lambda each: each.distance))[0].raw


def _which(request: _Request) -> StopReason:
    """Infeasible or unbounded? It is the latter if there is a point at all."""
    stop = _attempt(request, {}, cost=False).raw.stop
    if stop is StopReason.INFEASIBLE:
        return stop
    return StopReason.UNBOUNDED if stop is StopReason.CONVERGED else StopReason.UNKNOWN


def _attempt(request: _Request, first: dict[str, object], cost: bool = True) -> _Found:
    """Model, solve and measure; with `cost` False, any feasible point is optimal."""
    program, options = request.program, request.options
    solver, new = find_solver(request.solver)
    settings = {**first, **solver_settings(request.solver, options, new)}
    free_threads(request.solver, options.threads)
    began = request.elapsed()
    model = build_model(program)
    if not cost:
        forget_cost(model)
    built = request.elapsed()
    answer = _run(request, solve_new if new else solve_old, solver, model, settings)
    stats = {
        "solver": request.solver,
        "settings": {name: str(value) for name, value in settings.items()},
        "build_seconds": built - began,
        "solve_seconds": request.elapsed() - built,
        **answer.stats,
    }
    x, duals = answer.point(_nearest_to_zero(program)), None
    if x is not None and not request.is_mixed_integer:
        duals = answer.duals(program.A.shape[0])
    stop, distance = answer.stop, float("inf")
    if x is not None and cost:
        stop, distance = _measured(request, stop, x, duals)
    bound = answer.bound if request.is_mixed_integer else None
    raw = RawSolution(
        stop,
        x,
        duals,
        None,
        answer.raw_status,
        None if x is None else _finite(answer.objective),
        stats,
        bound=_finite(bound),
    )
    return _Found(answer.condition, raw, distance)


def _run(
    request: _Request, run: Any, solver: Any, model: Any, settings: dict[str, object]
) -> Answer:
    """The solver's answer; what it raises becomes an error of relu_opt."""
    from pyomo.common.errors import InfeasibleConstraintException, InvalidExpressionError
    from pyomo.contrib.solver.common.util import IncompatibleModelError

    name = request.solver
    try:
        answer = cast(Answer, run(solver, model, request.order(settings)))
    except ReluOptError:
        raise
    except InfeasibleConstraintException as error:
        return Answer("provenInfeasible", "noSolution", str(error))
    except (IncompatibleModelError, InvalidExpressionError) as error:
        raise unsupported(name, request.program, str(error).rstrip(".")) from error
    except Exception as error:
        raise SolveFailed(
            f"The solver {name!r} raised {type(error).__name__} in Pyomo: {error}. Check "
            "solver_options, or try another solver of Pyomo, such as solver='highs'.",
            backend="pyomo",
            solver=name,
        ) from error
    if answer.condition == "licensingProblems":
        raise BackendUnavailable(
            f"The solver {name!r} has no licence for this program ({answer.raw_status}). Install "
            "one, or leave the option solver out, for HiGHS.",
            backend="pyomo",
            solver=name,
        )
    return answer


def _measured(
    request: _Request, stop: StopReason, x: FloatArray, duals: FloatArray | None
) -> tuple[StopReason, float]:
    """The stop reason, corrected where the point does not bear it out, and the distance."""
    residuals = measure(request.program, x, duals)
    sizes = np.abs([residuals.rel_gap, residuals.primal, residuals.dual])
    distance = float(np.nanmax(sizes))
    claimed = stop in (StopReason.CONVERGED, StopReason.CONVERGED_LOOSE)
    if claimed and judge(residuals, request.options.tol) is Verdict.NOT_CERTIFIED:
        stop = StopReason.CONVERGED_LOOSE if distance <= LOOSE else StopReason.NUMERICAL
    return stop, distance


def _nearest_to_zero(program: StandardProgram) -> FloatArray:
    """What stands for variables on which nothing depends."""
    if isinstance(program, ConicProgram):
        return np.zeros(program.c.size)
    return np.asarray(np.clip(0.0, program.lower, program.upper))


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
