"""Backend `pyomo`: linear, quadratic and conic programs through Pyomo and its solvers.

HiGHS, the default, gives duals of continuous programs and takes no second-order cones; SCIP
(`solver="scip_direct"`) takes them and has no duals, so `solve_program` cannot prove its answers.
In training, the core finds a dual point by itself, whichever solver it is. `build_model` in
`relu_opt_pyomo.model` makes the Pyomo model of a program.
"""

from __future__ import annotations

import importlib.util
from importlib.metadata import version

from relu_opt.plugins.hookspec import hookimpl
from relu_opt.plugins.types import (
    Availability,
    Backend,
    BackendInfo,
    Feature,
    OptionSpec,
    State,
)
from relu_opt.program.conic import ConicProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram

INSTALL = "pip install 'relu-opt[pyomo]'"


def load() -> Backend:
    """The backend."""
    from relu_opt_pyomo.backend import PyomoBackend

    return PyomoBackend()


def probe() -> Availability:
    """Whether Pyomo and the solver that it uses by default are installed; neither is imported."""
    for package, role in (("pyomo", ""), ("highspy", ", the default solver of this backend,")):
        if importlib.util.find_spec(package) is None:
            return Availability(
                State.NOT_INSTALLED, f"the package {package}{role} is not installed"
            )
    return Availability(State.READY, version=version("pyomo"))


@hookimpl
def relu_opt_backends() -> list[BackendInfo]:
    """Register the backend."""
    return [
        BackendInfo(
            name="pyomo",
            load=load,
            probe=probe,
            takes=frozenset({LinearProgram, QuadraticProgram, ConicProgram}),
            features=frozenset({Feature.INTEGER, Feature.SOC, Feature.DUALS, Feature.TIME_LIMIT}),
            options=(
                OptionSpec(
                    "solver",
                    str,
                    "highs",
                    "a solver of Pyomo, as its factory knows it: highs, scip_direct, ipopt, gurobi",
                ),
                OptionSpec(
                    "solver_options",
                    str,
                    "",
                    "further settings of that solver: name=value,name=value",
                ),
            ),
            install_hint=INSTALL,
        )
    ]
