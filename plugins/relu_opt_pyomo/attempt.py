"""One attempt: model, solve with the solver that was chosen, and measure what came back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.errors import BackendUnavailable, ReluOptError, SolveFailed
from relu_opt.optimality import prove
from relu_opt.plugins.types import RawSolution, SolveOptions, StopReason
from relu_opt.program.conic import ConicProgram
from relu_opt.program.linear import LinearProgram
from relu_opt.proof.verdict import Verdict
from relu_opt_pyomo.interfaces import Answer, Order, solve_new, solve_old
from relu_opt_pyomo.model import StandardProgram, build_model, forget_cost
from relu_opt_pyomo.settings import (
    find_solver,
    free_threads,
    needs_guard,
    solver_settings,
    unsupported,
)

# The limit of a solver that may never end, where none is given.
GUARD_SECONDS = 600.0
# An answer that is said to be optimal, and is further from it than this, is of no use.
LOOSE = 1e-3


@dataclass(frozen=True, eq=False)
class Request:
    """A program, the options, and a clock since it all began."""

    program: StandardProgram
    options: SolveOptions
    clock: Clock

    @property
    def solver(self) -> str:
        """The name of Pyomo's solver."""
        return str(self.options.extra.get("solver", "highs"))

    @property
    def is_mixed_integer(self) -> bool:
        """Whether there are integers, and so no duals."""
        return isinstance(self.program, LinearProgram) and self.program.is_mixed_integer

    def order(self, settings: Mapping[str, object]) -> Order:
        """What the solver is told; waiting and modelling have used up some of the time."""
        limit, options = self.clock.remaining, self.options
        if limit is None and needs_guard(self.solver, self.program):
            limit = GUARD_SECONDS
        wants_duals = not self.is_mixed_integer
        return Order(settings, limit, options.threads, options.verbose, wants_duals)


@dataclass(frozen=True, eq=False)
class Found:
    """An answer as the core wants it.

    Attributes
    ----------
    condition : str
        Pyomo's termination condition.
    raw : RawSolution
    distance : float
        How far it is from optimal: the largest of the core's measures, inf without a point.
    verdict : Verdict
        The core's, on x and the duals.
    """

    condition: str
    raw: RawSolution
    distance: float = float("inf")
    verdict: Verdict = Verdict.NOT_CERTIFIED


def attempt(
    request: Request,
    first: Mapping[str, object] | None = None,
    inside: StandardProgram | None = None,
    cost: bool = True,
) -> Found:
    """Model, solve and measure.

    Parameters
    ----------
    request : Request
    first : mapping, optional
        Settings of the solver that go before all others.
    inside : program, optional
        What the solver gets in place of the program, by which its answer is still measured.
    cost : bool
        False leaves the constraints alone, and any feasible point is optimal.
    """
    program, options = request.program, request.options
    solver, new = find_solver(request.solver)
    settings = {**(first or {}), **solver_settings(request.solver, options, new)}
    free_threads(request.solver, options.threads)
    began = request.clock.elapsed
    model = build_model(inside or program)
    if not cost:
        forget_cost(model)
    built = request.clock.elapsed
    answer = _run(request, solve_new if new else solve_old, solver, model, settings)
    stats = {
        "solver": request.solver,
        "settings": {name: str(value) for name, value in settings.items()},
        "build_seconds": built - began,
        "solve_seconds": request.clock.elapsed - built,
        **answer.stats,
    }
    x, duals = answer.point(_nearest_to_zero(program)), None
    if x is not None and not request.is_mixed_integer:
        duals = answer.duals(program.A.shape[0])
    objective = None if x is None else _finite(answer.objective)
    bound = _finite(answer.bound) if request.is_mixed_integer else None
    raw = RawSolution(answer.stop, x, duals, None, answer.raw_status, objective, stats, bound=bound)
    if x is None or not cost:
        return Found(answer.condition, raw)
    return _measured(request, answer.condition, raw)


def _run(
    request: Request, run: Any, solver: Any, model: Any, settings: Mapping[str, object]
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


def _measured(request: Request, condition: str, raw: RawSolution) -> Found:
    """With the core's measures; a claim of optimality that they do not bear out is corrected.

    Solvers behind Pyomo do not all keep to its sign of multipliers: the measures tell.
    """
    found = _measured_once(request, condition, raw)
    if found.verdict is Verdict.NOT_CERTIFIED and raw.duals is not None and raw.duals.any():
        other = _measured_once(request, condition, replace(raw, duals=-raw.duals))
        found = min(found, other, key=lambda each: each.distance)
    if found.raw.stop is StopReason.CONVERGED and found.verdict is Verdict.NOT_CERTIFIED:
        stop = stop_by_distance(found.distance)
        return replace(found, raw=replace(found.raw, stop=stop))
    return found


def _measured_once(request: Request, condition: str, raw: RawSolution) -> Found:
    x = cast(FloatArray, raw.x)
    proof = prove(request.program, x, raw.duals, request.options.tol)
    residuals = proof.residuals
    sizes = np.abs([residuals.rel_gap, residuals.primal, residuals.dual])
    return Found(condition, raw, float(np.nanmax(sizes)), proof.verdict)


def stop_by_distance(distance: float) -> StopReason:
    """Of an answer that misses the tolerance."""
    return StopReason.CONVERGED_LOOSE if distance <= LOOSE else StopReason.NUMERICAL


def _nearest_to_zero(program: StandardProgram) -> FloatArray:
    """What stands for variables on which nothing depends."""
    if isinstance(program, ConicProgram):
        return np.zeros(program.c.size)
    return np.asarray(np.clip(0.0, program.lower, program.upper))


def _finite(value: float | None) -> float | None:
    return value if value is not None and np.isfinite(value) else None
