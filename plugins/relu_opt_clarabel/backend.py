"""The backend: a program in Clarabel's form, min ½xᵀPx + cᵀx subject to Ax + s = b, s in cones.

It is the form of `ConicProgram`, with the same signs and the same order of semidefinite cones. A
quadratic program keeps P in the objective, which tells x to more digits than a cone would.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
from scipy.sparse import csc_array, csc_matrix, triu

from relu_opt.arrays import FloatArray
from relu_opt.plugins import Program, RawSolution, SolveOptions, StopReason
from relu_opt.plugins.near_first import near_first
from relu_opt.program import ConicProgram, QuadraticProgram
from relu_opt.program.embedding import as_conic

# All of Clarabel's statuses. A nearly proved infeasibility proves nothing.
STOPS = {
    "Solved": StopReason.CONVERGED,
    "AlmostSolved": StopReason.CONVERGED_LOOSE,
    "PrimalInfeasible": StopReason.INFEASIBLE,
    "DualInfeasible": StopReason.UNBOUNDED,
    "AlmostPrimalInfeasible": StopReason.NUMERICAL,
    "AlmostDualInfeasible": StopReason.NUMERICAL,
    "MaxIterations": StopReason.ITERATION_LIMIT,
    "MaxTime": StopReason.TIME_LIMIT,
    "NumericalError": StopReason.NUMERICAL,
    "InsufficientProgress": StopReason.NUMERICAL,
    "CallbackTerminated": StopReason.INTERRUPTED,
    "Unsolved": StopReason.UNKNOWN,
}
# Endings whose vectors are a ray, or nothing.
POINTLESS = (
    "PrimalInfeasible",
    "DualInfeasible",
    "AlmostPrimalInfeasible",
    "AlmostDualInfeasible",
    "Unsolved",
)
# The relative gap that the core certifies also pays for the residuals: ask for less.
SAFETY = 0.1
TIGHTEST = 1e-12
# An objective of one of these sizes is solved for in its own.
TINY, SMALL = 1e-12, 0.1


class ClarabelBackend:
    """Quadratic and conic programs."""

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """Solve a program; a limit returns the last iterate."""
        if isinstance(program, ConicProgram):
            return _run(program, csc_array((len(program.c),) * 2), options)
        return near_first(cast(QuadraticProgram, program), options, _solve_quadratic)


def _solve_quadratic(program: QuadraticProgram, options: SolveOptions) -> RawSolution:
    embedding = as_conic(replace(program, P=csc_array(program.P.shape)))
    raw = _run(embedding.program, program.P, options)
    ray = embedding.recover_ray(raw.stop is StopReason.INFEASIBLE, raw.ray)
    raw = replace(raw, ray=ray)
    if raw.x is None:
        return raw
    x, y = embedding.recover(raw.x, raw.duals)
    return replace(raw, x=x, duals=y)


def _run(program: ConicProgram, P: csc_array, options: SolveOptions) -> RawSolution:
    import clarabel

    cones = program.cones
    kinds = [
        clarabel.ZeroConeT(cones.zero),
        clarabel.NonnegativeConeT(cones.nonnegative),
        *(clarabel.SecondOrderConeT(size) for size in cones.second_order),
        *(clarabel.ExponentialConeT() for _ in range(cones.exponential)),
        *(clarabel.PSDTriangleConeT(order) for order in cones.semidefinite),
    ]
    upper, A = csc_matrix(triu(P, format="csc")), csc_matrix(program.A)

    def solve(cost: float) -> Any:
        settings = _settings(clarabel.DefaultSettings(), options)
        parts = upper / cost, program.c / cost, A, program.b, kinds, settings
        return clarabel.DefaultSolver(*parts).solve()

    cost, found = 1.0, solve(1.0)
    if str(found.status) == "Solved" and TINY < abs(found.obj_val) < SMALL:
        # Its tolerances are absolute below one: again, in units of the objective.
        cost = float(np.exp2(np.rint(np.log2(abs(found.obj_val)))))
        again = solve(cost)
        cost, found = (cost, again) if str(again.status) == "Solved" else (1.0, found)
    status = str(found.status)
    pointless = status in POINTLESS
    ray = {"PrimalInfeasible": found.z, "DualInfeasible": found.x}.get(status)
    stats = {"iterations": found.iterations, "solver_seconds": found.solve_time}
    return RawSolution(
        STOPS.get(status, StopReason.UNKNOWN),
        None if pointless else _finite(found.x),
        None if pointless else _finite(cost * np.array(found.z)),
        raw_status=status,
        objective=None if pointless else _number(cost * found.obj_val + program.offset),
        stats=stats,
        ray=None if ray is None else _finite(ray),
    )


def _settings(settings: Any, options: SolveOptions) -> Any:
    tol = max(TIGHTEST, SAFETY * options.tol)
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tol
    settings.verbose = options.verbose
    settings.max_iter = options.extra["max_iter"]
    settings.equilibrate_enable = options.extra["equilibrate"]
    if options.time_limit is not None:
        settings.time_limit = options.time_limit
    # Versions before 0.10 have one thread, and no setting for it.
    if options.threads is not None and hasattr(settings, "max_threads"):
        settings.max_threads = options.threads
    return settings


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _finite(values: Any) -> FloatArray | None:
    point = np.array(values, dtype=np.float64)
    return point if np.isfinite(point).all() else None
