"""HiGHS' own Python interface: make, fill, run, read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, tril

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.errors import OptionError, SolveFailed
from relu_opt.plugins.types import SolveOptions, StopReason
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt_highs.interrupts import interruptible

# Every HighsModelStatus. What is not listed is UNKNOWN; that a program is unbounded or infeasible
# is settled before this map is asked.
STOPS = {
    "kOptimal": StopReason.CONVERGED,
    "kModelEmpty": StopReason.CONVERGED,
    "kInfeasible": StopReason.INFEASIBLE,
    "kUnbounded": StopReason.UNBOUNDED,
    "kUnboundedOrInfeasible": StopReason.UNKNOWN,
    "kTimeLimit": StopReason.TIME_LIMIT,
    "kIterationLimit": StopReason.ITERATION_LIMIT,
    "kSolutionLimit": StopReason.ITERATION_LIMIT,
    "kInterrupt": StopReason.INTERRUPTED,
    "kHighsInterrupt": StopReason.INTERRUPTED,
    "kPresolveError": StopReason.NUMERICAL,
    "kSolveError": StopReason.NUMERICAL,
    "kPostsolveError": StopReason.NUMERICAL,
    "kMemoryLimit": StopReason.UNKNOWN,
    "kObjectiveBound": StopReason.UNKNOWN,
    "kObjectiveTarget": StopReason.UNKNOWN,
    "kLoadError": StopReason.UNKNOWN,
    "kModelError": StopReason.UNKNOWN,
    "kNotset": StopReason.UNKNOWN,
    "kUnknown": StopReason.UNKNOWN,
}
COUNTS = (
    "simplex_iteration_count",
    "ipm_iteration_count",
    "pdlp_iteration_count",
    "crossover_iteration_count",
    "qp_iteration_count",
    "mip_node_count",
)
COLUMNWISE = LOWER_TRIANGLE = MINIMISE = 1


@dataclass(frozen=True)
class Outcome:
    """What a run left: HiGHS' status, points (None where there are none) and counts."""

    status: str
    raw_status: str
    x: FloatArray | None
    y: FloatArray | None
    objective: float | None
    bound: float | None
    counts: dict[str, int]

    @property
    def stop(self) -> StopReason:
        """The status in relu_opt's words."""
        return STOPS.get(self.status, StopReason.UNKNOWN)


def library() -> Any:
    """highspy, imported at its first use."""
    import highspy

    return highspy


def new_highs(options: Mapping[str, object], verbose: bool) -> Any:
    """An empty solver.

    Of the base class of `highspy.Highs`, which prints a line as it is made, before it can be
    told to be quiet.
    """
    highs = library()._Highs()
    set_options(highs, {"output_flag": verbose, **options})
    return highs


def set_options(highs: Any, values: Mapping[str, object]) -> None:
    """Set options of HiGHS by their own names.

    Raises
    ------
    OptionError
        If HiGHS refuses one.
    """
    for name, value in values.items():
        if highs.setOptionValue(name, value) != library().HighsStatus.kOk:
            raise OptionError(
                f"HiGHS {highs.version()} does not take {name}={value!r}. Change the option of "
                "backend 'highs' that it comes from, or install another version of highspy.",
                backend="highs",
                option=name,
                value=value,
            )


def pass_program(highs: Any, program: LinearProgram | QuadraticProgram) -> None:
    """Give the solver a program.

    Raises
    ------
    SolveFailed
        If it does not take it.
    """
    A = program.A
    sizes = [program.columns, program.rows, A.nnz]
    vectors = [program.c, program.lower, program.upper, program.row_lower, program.row_upper]
    matrices: list[NDArray[Any]] = [*_parts(A)]
    # Without this array, HiGHS would read what lies in memory there.
    whole = np.zeros(program.columns, dtype=np.int32)
    if isinstance(program, QuadraticProgram):
        triangle = csc_array(tril(program.P, format="csc"))
        head = [*sizes, triangle.nnz, COLUMNWISE, LOWER_TRIANGLE, MINIMISE]
        matrices += _parts(triangle)
    else:
        head = [*sizes, COLUMNWISE, MINIMISE]
        if program.integrality is not None:
            whole[program.integrality] = 1
    status = highs.passModel(*head, program.offset, *vectors, *matrices, whole)
    if status == library().HighsStatus.kError:
        raise SolveFailed(
            f"HiGHS did not take the {type(program).__name__}. Look for very large numbers in it, "
            "or try another backend.",
            backend="highs",
            raw_status=status.name,
        )


def run(highs: Any, options: SolveOptions, time_limit: float | None) -> Outcome:
    """Run the solver; Ctrl-C makes it stop with what it has.

    Raises
    ------
    SolveFailed
        If HiGHS raised.
    """
    # HiGHS' clock goes on from run to run.
    limit = np.inf if time_limit is None else highs.getRunTime() + time_limit
    values = {"time_limit": limit, "threads": options.threads or 0}
    set_options(highs, {**values, "random_seed": options.seed % 2**31})
    try:
        with interruptible(highs) as pressed:
            status = highs.run()
            unset = highs.getModelStatus() == library().HighsModelStatus.kNotset
            if options.threads and unset and status == library().HighsStatus.kError:
                # The threads of an earlier run are still there, and are not as many.
                library()._Highs.resetGlobalScheduler(True)
                highs.run()
    except RuntimeError as error:
        raise SolveFailed(
            f"HiGHS raised {type(error).__name__}: {error}. Try another backend.",
            backend="highs",
        ) from error
    return _read(highs, bool(pressed))


def leftover(highs: Any, program: QuadraticProgram) -> tuple[FloatArray, FloatArray]:
    """The points that are left in the solver, valid or not; zeros if there are none."""
    solution = highs.getSolution()
    x, y = _finite(solution.col_value), _finite(solution.row_dual, sign=-1.0)
    x = np.zeros(program.columns) if x is None or not x.size else x
    return x, np.zeros(program.rows) if y is None or not y.size else y


def _read(highs: Any, interrupted: bool) -> Outcome:
    solution, info, status = highs.getSolution(), highs.getInfo(), highs.getModelStatus()
    x = _finite(solution.col_value) if solution.value_valid else None
    # HiGHS' multipliers are derivatives of the objective with respect to the sides.
    y = _finite(solution.row_dual, sign=-1.0) if solution.dual_valid else None
    return Outcome(
        "kInterrupt" if interrupted else status.name,
        highs.modelStatusToString(status),
        x,
        y,
        _number(info.objective_function_value) if x is not None else None,
        _number(info.mip_dual_bound),
        {name: count for name in COUNTS if (count := int(getattr(info, name))) > 0},
    )


def _finite(values: list[float], sign: float = 1.0) -> FloatArray | None:
    """The values as an array, or None if they hold NaN or infinite ones."""
    array = sign * np.array(values, dtype=np.float64)
    return array if np.isfinite(array).all() else None


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _parts(matrix: csc_array) -> tuple[IntArray, IntArray, FloatArray]:
    """Column starts, row indices and values, in HiGHS' types."""
    return matrix.indptr.astype(np.int32), matrix.indices.astype(np.int32), matrix.data
