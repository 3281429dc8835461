"""The native backend: column generation with second-order steps in the dual, Newton's method on
groups for gated networks, and daqp."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from typing import Any

from relu_opt.plugins.hookspec import hookimpl
from relu_opt.plugins.types import (
    Availability,
    Backend,
    BackendInfo,
    Feature,
    OptionSpec,
    Program,
    State,
)
from relu_opt.program import ConvexProgram
from relu_opt.program.linear import QuadraticProgram

# Up to here dense active sets were measured to be several times as fast as interior points on dense
# data, and a few times as slow on sparse data: fractions of a second both.
MOST_VARIABLES = 300
MOST_ROWS = 1000


def _load() -> Backend:
    from relu_opt_native.backend import NativeBackend

    return NativeBackend()


def _projector() -> Callable[..., Any]:
    from relu_opt_native.projection import project

    return partial(project, executor=None, threads=1)


@cache
def _probe() -> Availability:
    return Availability(State.READY, "needs numpy, scipy and daqp alone", version("relu-opt"))


def _refuses(program: Program) -> str:
    """A quadratic program that is not small, or a loss with kinks."""
    if isinstance(program, ConvexProgram) and not program.loss.smooth:
        return f"it takes smooth losses only, and the {program.loss.name} loss has a kink"
    if not isinstance(program, QuadraticProgram):
        return ""
    if program.columns <= MOST_VARIABLES and program.rows <= MOST_ROWS:
        return ""
    return (
        f"it has {program.columns} variables and {program.rows} rows, and at most "
        f"{MOST_VARIABLES} and {MOST_ROWS} are supported"
    )


@hookimpl
def relu_opt_backends() -> list[BackendInfo]:
    """Register the native backend."""
    return [
        BackendInfo(
            name="native",
            load=_load,
            probe=_probe,
            takes=frozenset({ConvexProgram, QuadraticProgram}),
            features=frozenset({Feature.DUALS, Feature.WARM_START, Feature.TIME_LIMIT}),
            options=(OptionSpec("max_iter", int, 500, "outer iterations of training", least=1),),
            refuses=_refuses,
            projector=_projector,
        )
    ]
