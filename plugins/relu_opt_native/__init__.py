"""The native backend: column generation with second-order steps in the dual."""

from __future__ import annotations

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
from relu_opt.program import ConvexProgram


def _load() -> Backend:
    from relu_opt_native.backend import NativeBackend

    return NativeBackend()


def _probe() -> Availability:
    return Availability(State.READY, "needs numpy and scipy alone", version("relu-opt"))


@hookimpl
def relu_opt_backends() -> list[BackendInfo]:
    """Register the native backend."""
    return [
        BackendInfo(
            name="native",
            load=_load,
            probe=_probe,
            takes=frozenset({ConvexProgram}),
            features=frozenset({Feature.DUALS, Feature.WARM_START, Feature.TIME_LIMIT}),
            options=(OptionSpec("max_iter", int, 500, "outer iterations", least=1),),
        )
    ]
