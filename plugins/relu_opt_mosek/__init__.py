"""Backend `mosek`: linear, mixed-integer, quadratic and conic programs through MOSEK's API.

MOSEK needs a licence to solve, and none to build and write a model: `write_task` works without.
"""

from __future__ import annotations

from relu_opt.plugins.hookspec import hookimpl
from relu_opt.plugins.types import Backend, BackendInfo, Feature, OptionSpec
from relu_opt.program.conic import ConicProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt_mosek.licence import FIX, probe
from relu_opt_mosek.task import write_task

__all__ = ["relu_opt_backends", "write_task"]

INSTALL = f"pip install 'relu-opt[mosek]'; {FIX}"


def load() -> Backend:
    """The backend."""
    from relu_opt_mosek.backend import MosekBackend

    return MosekBackend()


@hookimpl
def relu_opt_backends() -> list[BackendInfo]:
    """Register the backend."""
    return [
        BackendInfo(
            name="mosek",
            load=load,
            probe=probe,
            takes=frozenset({LinearProgram, QuadraticProgram, ConicProgram}),
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
                OptionSpec(
                    "max_iter", int, None, "iterations of the interior-point method", least=1
                ),
                OptionSpec(
                    "mip_rel_gap",
                    float,
                    None,
                    "gap of branch and bound; tol if left out",
                    least=0.0,
                ),
                OptionSpec("write_to", str, "", "write each task to this file before it is solved"),
            ),
            install_hint=INSTALL,
            free=False,
        )
    ]
