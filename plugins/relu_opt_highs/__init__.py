"""Backend `highs`: linear, mixed-integer and quadratic programs through HiGHS."""

from __future__ import annotations

import numpy as np

from relu_opt.plugins import Backend, BackendInfo, Feature, OptionSpec, Program, hookimpl, installed
from relu_opt.program import LinearProgram, QuadraticProgram

INSTALL = "pip install highspy"
TAKES: frozenset[type] = frozenset((LinearProgram, QuadraticProgram))

# What HiGHS takes for infinite, or refuses.
LARGEST_COEFFICIENT = 1e15
LARGEST_NUMBER = 1e20

OPTIONS = (
    OptionSpec(
        "solver",
        str,
        "choose",
        "method for linear programs",
        choices=("choose", "simplex", "ipm", "pdlp"),
    ),
    OptionSpec(
        "presolve",
        str,
        "choose",
        "simplify linear and mixed-integer programs first",
        choices=("choose", "on", "off"),
    ),
    OptionSpec("max_iter", int, None, "iterations, or nodes of branch and bound", least=1),
    OptionSpec(
        "mip_rel_gap", float, None, "gap to end branch and bound at; tol if not given", least=0.0
    ),
    OptionSpec(
        "qp_time_limit",
        float,
        60.0,
        "seconds for a quadratic program if there is no time_limit: the method can cycle",
        least=0.0,
    ),
)


def load() -> Backend:
    """The backend."""
    from relu_opt_highs.backend import HighsBackend

    return HighsBackend()


def refuses(program: Program) -> str:
    """Numbers so large that HiGHS would refuse them or take them for infinite."""
    if not isinstance(program, LinearProgram | QuadraticProgram):
        return ""
    coefficient = np.abs(program.A.data).max(initial=0.0)
    if coefficient >= LARGEST_COEFFICIENT:
        return f"it has a coefficient of {coefficient:.1e}, and HiGHS takes those below 1e15"
    sides = (program.row_lower, program.row_upper, program.lower, program.upper)
    finite = (np.abs(side[np.isfinite(side)]).max(initial=0.0) for side in (program.c, *sides))
    largest = max(finite)
    if largest >= LARGEST_NUMBER:
        return f"it has a cost or bound of {largest:.1e}, and HiGHS takes those below 1e20"
    return ""


@hookimpl
def relu_opt_backends() -> list[BackendInfo]:
    """Register the backend."""
    return [
        BackendInfo(
            name="highs",
            load=load,
            probe=installed("highspy"),
            takes=TAKES,
            features=frozenset(
                {Feature.INTEGER, Feature.DUALS, Feature.WARM_START, Feature.TIME_LIMIT}
            ),
            options=OPTIONS,
            install_hint=INSTALL,
            refuses=refuses,
        )
    ]
