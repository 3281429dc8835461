"""relu_opt's options in HiGHS' words."""

from __future__ import annotations

from typing import cast

from relu_opt.plugins.types import SolveOptions

# The gap that the core certifies also pays for residuals: ask for less, within HiGHS' limits.
SAFETY = 0.1
LOOSEST, TIGHTEST = 1e-7, 1e-10
INTERIOR_LOOSEST, INTERIOR_TIGHTEST = 1e-8, 1e-12
# Smaller coefficients are dropped; HiGHS' default is 1e-9.
SMALLEST_COEFFICIENT = 1e-12
ITERATION_LIMITS = ("simplex_iteration_limit", "ipm_iteration_limit", "pdlp_iteration_limit")


def feasibility(tol: float) -> float:
    """The tolerance of rows, bounds and reduced costs."""
    return min(max(SAFETY * tol, TIGHTEST), LOOSEST)


def linear_settings(options: SolveOptions) -> dict[str, object]:
    """For a linear program."""
    solver = str(options.extra.get("solver", "choose"))
    inner = min(max(SAFETY * options.tol, INTERIOR_TIGHTEST), INTERIOR_LOOSEST)
    values = _common(options)
    values |= {"solver": solver, "ipm_optimality_tolerance": inner}
    if solver == "pdlp":
        values["pdlp_optimality_tolerance"] = feasibility(options.tol)
    count = max_iter(options)
    if count is not None:
        values |= dict.fromkeys(ITERATION_LIMITS, count)
    return values


def integer_settings(options: SolveOptions) -> dict[str, object]:
    """For a mixed-integer program.

    `solver` is not passed on: with some of its values HiGHS would leave integrality out.
    """
    values = _common(options)
    values["mip_feasibility_tolerance"] = feasibility(options.tol)
    values |= dict.fromkeys(("mip_rel_gap", "mip_abs_gap"), mip_gap(options))
    count = max_iter(options)
    return values if count is None else {**values, "mip_max_nodes": count}


def mip_gap(options: SolveOptions) -> float:
    """The relative gap to end branch and bound at."""
    given = options.extra.get("mip_rel_gap")
    return options.tol if given is None else cast(float, given)


def max_iter(options: SolveOptions) -> int | None:
    """The iterations that the user allows."""
    return cast("int | None", options.extra.get("max_iter"))


def _common(options: SolveOptions) -> dict[str, object]:
    tolerance = feasibility(options.tol)
    return {
        "presolve": options.extra.get("presolve", "choose"),
        "primal_feasibility_tolerance": tolerance,
        "dual_feasibility_tolerance": tolerance,
        "small_matrix_value": SMALLEST_COEFFICIENT,
    }
