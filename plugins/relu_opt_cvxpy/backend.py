"""The backend: model, compile, solve, and read what came back without trusting it."""

from __future__ import annotations

import warnings
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from io import StringIO
from typing import TYPE_CHECKING, Any, TypeGuard, cast

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.errors import OptionError, SolveFailed, UnsupportedProgram, did_you_mean
from relu_opt.plugins.near_first import near_first
from relu_opt.plugins.types import Program, RawSolution, SolveOptions, StopReason
from relu_opt.program.conic import ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt_cvxpy.answers import bound, has_point, prepare_highs, raw_status, without_wrong_duals
from relu_opt_cvxpy.conic import ConicModel
from relu_opt_cvxpy.convex import ConvexModel
from relu_opt_cvxpy.linear import LinearModel
from relu_opt_cvxpy.settings import check_settings, library, solver_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# cvxpy's statuses. What is not listed is UNKNOWN; an inaccurate proof of infeasibility proves
# nothing.
STOPS = {
    "optimal": StopReason.CONVERGED,
    "optimal_inaccurate": StopReason.CONVERGED_LOOSE,
    "infeasible": StopReason.INFEASIBLE,
    "unbounded": StopReason.UNBOUNDED,
    "infeasible_inaccurate": StopReason.NUMERICAL,
    "unbounded_inaccurate": StopReason.NUMERICAL,
    "solver_error": StopReason.NUMERICAL,
}
DEFINITE = ("optimal", "infeasible", "unbounded")
NO_ANSWER = (StopReason.INFEASIBLE, StopReason.UNBOUNDED)

Model = ConvexModel | ConicModel | LinearModel


@dataclass(frozen=True)
class _Request:
    """What the options ask of the solver behind cvxpy."""

    solver: str
    options: SolveOptions
    clock: Clock

    @property
    def max_iter(self) -> int | None:
        return cast("int | None", self.options.extra.get("max_iter"))

    def settings(self) -> dict[str, Any]:
        """Keyword arguments for the solver; modelling has used up some of the time."""
        options, left = self.options, self.clock.remaining
        return solver_settings(
            self.solver, options.tol, left, self.max_iter, options.threads, options.seed
        )


class CvxpyBackend:
    """Every type of program through cvxpy."""

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """Solve a program with the solver that the options name.

        Raises
        ------
        OptionError
            If the solver is not installed, or cannot be told a limit.
        UnsupportedProgram
            If the solver does not take the program's cones or integers.
        SolveFailed
            If the solver failed and left nothing to use.
        DataError
            If the model would not fit into memory, or is not convex.
        """
        clock = Clock(options.time_limit)
        with _quiet(options.verbose):
            request = _Request(_solver_name(program, options), options, clock)
            check_settings(request.solver, options.time_limit, request.max_iter)
            if request.solver == "HIGHS":
                prepare_highs(options.threads, options.verbose)
            found = _run_near(program, request)
            if found.stats["status"] == "infeasible_or_unbounded":
                found = replace(found, stop=_which(program, request))
        return found


def _model(program: Program) -> Model:
    if isinstance(program, ConvexProgram):
        return ConvexModel.of(program)
    if isinstance(program, ConicProgram):
        return ConicModel.of(program)
    return LinearModel.of(program)


def _which(program: Program, request: _Request) -> StopReason:
    """Whether a program that is infeasible or unbounded is the one or the other: without a cost."""
    if isinstance(program, ConvexProgram):
        return StopReason.UNKNOWN
    costless = replace(program, c=np.zeros(len(program.c)))
    stop = _run(costless, request).stop
    known = {StopReason.CONVERGED: StopReason.UNBOUNDED, StopReason.INFEASIBLE: stop}
    return known.get(stop, StopReason.UNKNOWN)


@contextmanager
def _quiet(verbose: bool) -> Iterator[None]:
    """Silence Python warnings; what they say of the accuracy is in the stop reason."""
    with warnings.catch_warnings():
        if not verbose:
            warnings.simplefilter("ignore")
        yield


def _solver_name(program: Program, options: SolveOptions) -> str:
    cp = library()
    given = options.extra.get("solver")
    name = _fitting(program) if given is None else str(given)
    installed = cp.installed_solvers()
    if name.upper() not in installed:
        raise OptionError(
            f"The solver {name!r} is not among cvxpy's installed solvers. "
            f"{did_you_mean(name.upper(), installed)} Installed: {', '.join(installed)}.",
            backend="cvxpy",
            option="solver",
            value=name,
            known=installed,
        )
    return name.upper()


def _fitting(program: Program) -> str:
    """A solver that takes the program."""
    return "HIGHS" if _is_mixed_integer(program) else "CLARABEL"


def _is_mixed_integer(program: Program) -> TypeGuard[LinearProgram]:
    return isinstance(program, LinearProgram) and program.is_mixed_integer


def _run_near(program: Program, request: _Request) -> RawSolution:
    """`_run`, at first without sides and bounds that are far out."""
    if isinstance(program, LinearProgram | QuadraticProgram) and not _is_mixed_integer(program):
        return near_first(program, request.options, lambda each, _: _run(each, request))
    return _run(program, request)


def _run(program: Program, request: _Request) -> RawSolution:
    """Model, compile, solve, and collect."""
    model = _model(program)
    data, chain, inverse = _compiled(model, program, request)
    built = request.clock.elapsed
    answer = _answer(chain, model, data, request)
    word = raw_status(answer)
    status = _unpack(model.problem, answer, chain, inverse)
    stop = _stop_reason(status, word, request)
    x, duals = model.recover()
    if stop in NO_ANSWER or not has_point(answer):
        x = duals = None
    if x is None and stop is StopReason.NUMERICAL:
        raise SolveFailed(
            f"The solver {request.solver} ended with {word or status} and left no point. "
            "Rescale the data, try another solver of cvxpy, or use backend='native'.",
            backend="cvxpy",
            solver=request.solver,
            stop=stop,
            raw_status=word or status,
        )
    found = RawSolution(
        stop,
        x,
        duals,
        raw_status=word or status,
        objective=None if x is None else model.objective(),
        bound=bound(answer, program.offset) if _is_mixed_integer(program) else None,
        stats={
            "solver": request.solver,
            "cvxpy": library().__version__,
            "status": status,
            "build_seconds": built,
            "solve_seconds": request.clock.elapsed - built,
            **_solver_stats(model.problem),
        },
    )
    return _finite(found)


def _compiled(model: Model, program: Program, request: _Request) -> tuple[Any, Any, Any]:
    """cvxpy's data for the solver, its chain of reductions, and what takes the answer back."""
    verbose = request.options.verbose
    try:
        data, chain, inverse = model.problem.get_problem_data(
            request.solver, verbose=verbose, solver_opts=request.settings()
        )
        if chain.solver.REQUIRES_CONSTR and not data["param_prob"].constraints:
            raise library().error.SolverError("It needs a constraint.")
    except library().error.SolverError as error:
        raise UnsupportedProgram(
            f"The solver {request.solver} cannot take this program: {error} Use "
            f"solver={_fitting(program)!r}.",
            backend="cvxpy",
            solver=request.solver,
        ) from error
    return data, chain, inverse


def _answer(chain: Any, model: Model, data: Any, request: _Request) -> Any:
    """What the solver returns, in its own form."""
    verbose = request.options.verbose
    # OSQP prints what became of its polishing, whatever it was told.
    loud = request.solver == "OSQP" and not verbose
    try:
        with redirect_stdout(StringIO()) if loud else nullcontext():
            answer = chain.solve_via_data(
                model.problem, data, verbose=verbose, solver_opts=request.settings()
            )
        return without_wrong_duals(answer)
    except Exception as error:
        raise SolveFailed(
            f"The solver {request.solver} raised {type(error).__name__}: {error}. Try another "
            "solver of cvxpy, or backend='native'.",
            backend="cvxpy",
            solver=request.solver,
        ) from error


def _unpack(problem: Any, answer: Any, chain: Any, inverse: Any) -> str:
    """Give the solver's answer to the problem's variables; cvxpy's status."""
    known = library().settings
    try:
        solution = chain.invert(answer, inverse)
        if solution.status in (*known.SOLUTION_PRESENT, *known.INF_OR_UNB):
            problem.unpack_results(answer, chain, inverse)
    except Exception as error:
        raise SolveFailed(
            f"cvxpy cannot read the answer of the solver: {type(error).__name__}: {error}. Try "
            "another solver of cvxpy, or backend='native'.",
            backend="cvxpy",
        ) from error
    return str(solution.status)


def _stop_reason(status: str, raw_status: str, request: _Request) -> StopReason:
    """cvxpy folds several endings into one status; the solver's own word tells them apart."""
    word = raw_status.lower()
    if status not in DEFINITE:
        if "time" in word:
            return StopReason.TIME_LIMIT
        if "iter" in word:
            return StopReason.ITERATION_LIMIT
        if word == "insufficientprogress":
            return StopReason.NUMERICAL
    if status == "user_limit":
        return StopReason.TIME_LIMIT if request.clock.expired else StopReason.ITERATION_LIMIT
    return STOPS.get(status, StopReason.UNKNOWN)


def _solver_stats(problem: Any) -> dict[str, object]:
    stats = problem.solver_stats
    if stats is None:
        return {}
    numbers = {"iterations": stats.num_iters, "solver_seconds": stats.solve_time}
    return {name: value for name, value in numbers.items() if value is not None}


def _finite(found: RawSolution) -> RawSolution:
    """Without points that hold NaN or infinite values."""

    def usable(point: FloatArray | None) -> FloatArray | None:
        return None if point is None or not np.isfinite(point).all() else point

    return replace(found, x=usable(found.x), duals=usable(found.duals))
