"""Backend `cvxpy`: every type of program through cvxpy's solvers."""

from __future__ import annotations

from relu_opt.plugins import Backend, BackendInfo, Feature, OptionSpec, hookimpl, installed
from relu_opt.program.conic import ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram

INSTALL = "pip install 'relu-opt[cvxpy]'"
SOLVER = "one of cvxpy.installed_solvers(); None: HIGHS for integers, else CLARABEL"


def load() -> Backend:
    """The backend."""
    from relu_opt_cvxpy.backend import CvxpyBackend

    return CvxpyBackend()


@hookimpl
def relu_opt_backends() -> list[BackendInfo]:
    """Register the backend."""
    return [
        BackendInfo(
            name="cvxpy",
            load=load,
            probe=installed("cvxpy"),
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
