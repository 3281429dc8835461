"""Pyomo's two solver interfaces, the new and the older one, and one form for what they answer."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import OptionError
from relu_opt.plugins.types import StopReason
from relu_opt_pyomo.model import row_constraints

# The termination conditions of both interfaces. What is not listed is UNKNOWN; so is
# infeasibleOrUnbounded, unless the backend finds out which.
STOPS = {
    # of both
    "maxTimeLimit": StopReason.TIME_LIMIT,
    "minStepLength": StopReason.NUMERICAL,
    "unbounded": StopReason.UNBOUNDED,
    "error": StopReason.NUMERICAL,
    "unknown": StopReason.UNKNOWN,
    # of the new one
    "convergenceCriteriaSatisfied": StopReason.CONVERGED,
    "iterationLimit": StopReason.ITERATION_LIMIT,
    "objectiveLimit": StopReason.UNKNOWN,
    "provenInfeasible": StopReason.INFEASIBLE,
    "locallyInfeasible": StopReason.UNKNOWN,
    "infeasibleOrUnbounded": StopReason.UNKNOWN,
    "interrupted": StopReason.INTERRUPTED,
    "licensingProblems": StopReason.UNKNOWN,
    "emptyModel": StopReason.UNKNOWN,
    # of the older one
    "optimal": StopReason.CONVERGED,
    "globallyOptimal": StopReason.CONVERGED,
    "locallyOptimal": StopReason.CONVERGED,
    "feasible": StopReason.CONVERGED_LOOSE,
    "maxIterations": StopReason.ITERATION_LIMIT,
    "maxEvaluations": StopReason.ITERATION_LIMIT,
    "minFunctionValue": StopReason.UNKNOWN,
    "infeasible": StopReason.INFEASIBLE,
    "other": StopReason.UNKNOWN,
    "noSolution": StopReason.UNKNOWN,
    "invalidProblem": StopReason.UNKNOWN,
    "intermediateNonInteger": StopReason.UNKNOWN,
    "solverFailure": StopReason.NUMERICAL,
    "internalSolverError": StopReason.NUMERICAL,
    "userInterrupt": StopReason.INTERRUPTED,
    "resourceInterrupt": StopReason.UNKNOWN,
}
# What a point has to be called for its termination condition to be believed.
PROVEN, USABLE = ("optimal",), ("optimal", "feasible", "unknown")
WITHOUT_POINT = (StopReason.INFEASIBLE, StopReason.UNBOUNDED)


@dataclass(frozen=True)
class Order:
    """What a solver is to do: its settings, in its own words, and what Pyomo passes on."""

    settings: Mapping[str, object]
    time_limit: float | None
    threads: int | None
    verbose: bool
    duals: bool


@dataclass(frozen=True, eq=False)
class Answer:
    """What came back.

    Attributes
    ----------
    condition, status : str
        Pyomo's words: of the termination, and of the point.
    message : str
        The solver's own, where Pyomo passes it on.
    values : list of (float or None)
        Of the variables x; empty without a point, None for a variable that the solver left out.
    multipliers : mapping or None
        Pyomo's multipliers of rows, by their number; None where the solver gives none.
    """

    condition: str
    status: str
    message: str = ""
    values: list[float | None] = field(default_factory=list)
    multipliers: Mapping[int, float] | None = None
    objective: float | None = None
    bound: float | None = None
    stats: Mapping[str, object] = field(default_factory=dict)

    @property
    def raw_status(self) -> str:
        """Both of Pyomo's words, and the solver's message."""
        return ", ".join(filter(None, (self.condition, self.status, self.message)))

    @property
    def stop(self) -> StopReason:
        """Why the solver stopped, as far as its words tell."""
        stop = STOPS.get(self.condition, StopReason.UNKNOWN)
        if stop is StopReason.CONVERGED and self.status not in PROVEN:
            usable = self.status in USABLE and self.values
            return StopReason.CONVERGED_LOOSE if usable else StopReason.UNKNOWN
        return stop

    def point(self, nearest_to_zero: FloatArray) -> FloatArray | None:
        """x, with the given values for variables that the solver left out; None without a point."""
        if not self.values or self.stop in WITHOUT_POINT:
            return None
        pairs = zip(self.values, nearest_to_zero.tolist(), strict=True)
        x = np.array([spare if value is None else value for value, spare in pairs])
        return x if np.isfinite(x).all() else None

    def duals(self, rows: int) -> FloatArray | None:
        """y (rows,): Pyomo's multipliers are derivatives by the right-hand side, ours −that."""
        if not rows:
            return np.zeros(0)
        if self.multipliers is None:
            return None
        y = np.zeros(rows)
        y[list(self.multipliers)] = [-value for value in self.multipliers.values()]
        return y if np.isfinite(y).all() else None


def solve_new(solver: Any, model: Any, order: Order) -> Answer:
    """Through pyomo.contrib.solver.

    Raises
    ------
    OptionError
        If HiGHS refused a setting; Pyomo does not look.
    """
    if "writer_config" in solver.config:
        # Duals of what the presolve of the .nl writer removes would be wrong.
        solver.config.writer_config.linear_presolve = False
    try:
        results = solver.solve(
            model,
            tee=order.verbose,
            load_solutions=False,
            raise_exception_on_nonoptimal_result=False,
            time_limit=order.time_limit,
            threads=order.threads,
            solver_options=dict(order.settings),
        )
    except subprocess.TimeoutExpired:
        return Answer("maxTimeLimit", "noSolution")
    _check_log(results.solver_log or "")
    condition, status = results.termination_condition.name, results.solution_status.name
    extra = results.extra_info.value()
    message = str(extra.pop("solver_message", ""))
    word = message.lower()
    # The .sol file has one code for all limits, and none for the looser level of Ipopt.
    if condition == "iterationLimit" and "time" in word:
        condition = "maxTimeLimit"
    if status == "optimal" and "acceptable" in word:
        status = "feasible"
    stats = {name: value for name, value in extra.items() if isinstance(value, int | float)}
    values, multipliers = list[float | None](), None
    if status in USABLE:
        found = results.solution_loader.get_vars()
        values = [found.get(variable) for variable in model.x.values()]
        multipliers = _new_multipliers(results, model) if order.duals else None
    return Answer(
        condition,
        status,
        message,
        values,
        multipliers,
        results.incumbent_objective,
        results.objective_bound,
        stats,
    )


def _check_log(log: str) -> None:
    for line in log.splitlines():
        if "ERROR" in line and "OptionValue" in line:
            raise OptionError(
                f"HiGHS refused a setting of solver_options: {line.strip()}",
                backend="pyomo",
                option="solver_options",
            )


def _new_multipliers(results: Any, model: Any) -> dict[int, float] | None:
    """Pyomo's multipliers of rows; a row that it does not name was removed as idle."""
    from pyomo.contrib.solver.common.util import NoDualsError, NoSolutionError

    try:
        found = results.solution_loader.get_duals()
    except (NoDualsError, NoSolutionError, NotImplementedError):
        return None
    return {i: found.get(row, 0.0) for i, row in row_constraints(model).items()}


def solve_old(solver: Any, model: Any, order: Order) -> Answer:
    """Through the interface of `pyomo.environ.SolverFactory`, which most solvers have."""
    import pyomo.environ as pyo

    if order.duals:
        model.dual = pyo.Suffix(direction=pyo.Suffix.IMPORT)
    limit = {} if order.time_limit is None else {"timelimit": order.time_limit}
    results = solver.solve(
        model, tee=order.verbose, load_solutions=False, options=dict(order.settings), **limit
    )
    told = results.solver
    condition = str(told.termination_condition)
    message = str(told.message).replace("\n", " ") if isinstance(told.message, str) else ""
    stop = STOPS.get(condition, StopReason.UNKNOWN)
    if not len(results.solution) or stop in WITHOUT_POINT or condition == "infeasibleOrUnbounded":
        return Answer(condition, "noSolution", message)
    status = "optimal" if stop is StopReason.CONVERGED else str(results.solution(0).status)
    model.solutions.load_from(results)
    values = [variable.value for variable in model.x.values()]
    rows = row_constraints(model)
    multipliers = None
    if order.duals and any(row in model.dual for row in rows.values()):
        multipliers = {i: model.dual.get(row, 0.0) for i, row in rows.items()}
    if stop is not StopReason.CONVERGED and all(value is None for value in values):
        return Answer(condition, "noSolution", message)
    known = None not in values
    objective = float(pyo.value(model.cost)) if known else None
    bound = results.problem.lower_bound
    return Answer(
        condition,
        status,
        message,
        values,
        multipliers,
        objective,
        float(bound) if isinstance(bound, int | float) else None,
    )
