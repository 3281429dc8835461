"""Backend `cvxpy`: training programs and conic programs through cvxpy's solvers."""

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

INSTALL = "pip install 'relu-opt[cvxpy]'"


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
            takes=frozenset({ConvexProgram, ConicProgram}),
            features=frozenset({Feature.SOC, Feature.EXP, Feature.DUALS, Feature.TIME_LIMIT}),
            options=(
                OptionSpec("solver", str, "CLARABEL", "one of cvxpy.installed_solvers()"),
                OptionSpec("max_iter", int, None, "iterations of the solver", least=1),
            ),
            install_hint=INSTALL,
        )
    ]
