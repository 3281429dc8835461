"""The backend: model, compile, solve, and read what came back without trusting it."""

from __future__ import annotations

import time
import warnings
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import OptionError, SolveFailed, UnsupportedProgram, did_you_mean
from relu_opt.plugins.types import Program, RawSolution, SolveOptions, StopReason
from relu_opt.program.conic import ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt_cvxpy.conic import ConicModel
from relu_opt_cvxpy.convex import ConvexModel
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
SHORTEST_TIME = 1e-3


@dataclass(frozen=True)
class _Request:
    """What the options ask of the solver behind cvxpy."""

    solver: str
    options: SolveOptions
    started: float

    @property
    def max_iter(self) -> int | None:
        return cast("int | None", self.options.extra.get("max_iter"))

    def settings(self) -> dict[str, Any]:
        """Keyword arguments for the solver; modelling has used up some of the time."""
        limit = self.options.time_limit
        if limit is not None:
            limit = max(SHORTEST_TIME, limit - self.elapsed())
        return solver_settings(
            self.solver, self.options.tol, limit, self.max_iter, self.options.threads
        )

    def elapsed(self) -> float:
        return time.perf_counter() - self.started


class CvxpyBackend:
    """Training programs and conic programs through cvxpy."""

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """Solve a program with the solver that the options name.

        Raises
        ------
        OptionError
            If the solver is not installed, or cannot be told a limit.
        UnsupportedProgram
            If the solver does not take the program's cones.
        SolveFailed
            If the solver failed and left nothing to use.
        DataError
            If the model would not fit into memory.
        """
        started = time.perf_counter()
        with _quiet(options.verbose):
            request = _Request(_solver_name(options), options, started)
            check_settings(request.solver, options.time_limit, request.max_iter)
            if isinstance(program, ConvexProgram):
                return _run(ConvexModel.of(program), request)
            return _run(ConicModel.of(cast(ConicProgram, program)), request)


@contextmanager
def _quiet(verbose: bool) -> Iterator[None]:
    """Silence Python warnings; what they say of the accuracy is in the stop reason."""
    with warnings.catch_warnings():
        if not verbose:
            warnings.simplefilter("ignore")
        yield


def _solver_name(options: SolveOptions) -> str:
    cp = library()
    name = str(options.extra.get("solver", "CLARABEL"))
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


def _run(model: ConvexModel | ConicModel, request: _Request) -> RawSolution:
    """Compile, solve, and collect."""
    cp = library()
    verbose, problem = request.options.verbose, model.problem
    try:
        data, chain, inverse = problem.get_problem_data(
            request.solver, verbose=verbose, solver_opts=request.settings()
        )
    except cp.error.SolverError as error:
        raise UnsupportedProgram(
            f"The solver {request.solver} cannot take this program: {error} Use solver='CLARABEL'.",
            backend="cvxpy",
            solver=request.solver,
        ) from error
    built = request.elapsed()
    try:
        answer = chain.solve_via_data(
            problem, data, verbose=verbose, solver_opts=request.settings()
        )
    except Exception as error:
        raise SolveFailed(
            f"The solver {request.solver} raised {type(error).__name__}: {error}. Try another "
            "solver of cvxpy, or backend='native'.",
            backend="cvxpy",
            solver=request.solver,
        ) from error
    raw_status = _raw_status(answer)
    status = _unpack(problem, answer, chain, inverse)
    stop = _stop_reason(status, raw_status, request)
    x, duals = model.recover()
    if x is None and stop is StopReason.NUMERICAL:
        raise SolveFailed(
            f"The solver {request.solver} ended with {raw_status or status} and left no point. "
            "Rescale the data, try another solver of cvxpy, or use backend='native'.",
            backend="cvxpy",
            solver=request.solver,
            stop=stop,
            raw_status=raw_status or status,
        )
    stats = {
        "solver": request.solver,
        "cvxpy": cp.__version__,
        "status": status,
        "build_seconds": built,
        "solve_seconds": request.elapsed() - built,
        **_solver_stats(problem),
    }
    found = RawSolution(stop, x, duals, None, raw_status or status, model.objective(), stats)
    return _finite(found)


def _unpack(problem: Any, answer: Any, chain: Any, inverse: Any) -> str:
    """Give the solver's answer to the problem's variables; cvxpy's status."""
    solution = chain.invert(answer, inverse)
    if solution.status != "solver_error":
        problem.unpack_results(answer, chain, inverse)
    return str(solution.status)


def _raw_status(answer: Any) -> str:
    """The solver's own word, where its answer has one."""
    if isinstance(answer, dict):
        info = answer.get("info")
        return str(info.get("status", "")) if isinstance(info, dict) else ""
    return str(getattr(answer, "status", ""))


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
        limit = request.options.time_limit
        if limit is not None and request.elapsed() >= limit:
            return StopReason.TIME_LIMIT
        return StopReason.ITERATION_LIMIT
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
