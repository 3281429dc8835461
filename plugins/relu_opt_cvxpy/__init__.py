"""Backend `cvxpy`: every type of program through cvxpy's solvers."""

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
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram

INSTALL = "pip install 'relu-opt[cvxpy]'"
SOLVER = "one of cvxpy.installed_solvers(); None: HIGHS for integers, else CLARABEL"


def load() -> Backend:
    """The backend."""
    from relu_opt_cvxpy.backend import CvxpyBackend

    return CvxpyBackend()


def probe() -> Availability:
    """Whether cvxpy is installed; it is not imported."""
    if importlib.util.find_spec("cvxpy") is None:
        return Availability(State.NOT_INSTALLED, "the package cvxpy is not installed")
    return Availability(State.READY, version=version("cvxpy"))


@hookimpl
def relu_opt_backends() -> list[BackendInfo]:
    """Register the backend."""
    return [
        BackendInfo(
            name="cvxpy",
            load=load,
            probe=probe,
            takes=frozenset({ConvexProgram, LinearProgram, QuadraticProgram, ConicProgram}),
            features=frozenset(
                {
                    Feature.INTEGER,
                    Feature.SOC,
                    Feature.EXP,
                    Feature.PSD,
                    Feature.DUALS,
                    Feature.TIME_LIMIT,
                }
            ),
            options=(
                OptionSpec("solver", str, None, SOLVER),
                OptionSpec("max_iter", int, None, "iterations of the solver", least=1),
            ),
            install_hint=INSTALL,
        )
    ]
