"""The hooks that a plugin may implement.

A plugin is a module (or object) named by an entry point of the group `relu_opt`. It marks its
functions with `hookimpl` and defines those that it needs. A whole solver plugin::

    from relu_opt.plugins.hookspec import hookimpl
    from relu_opt.plugins.types import Availability, BackendInfo, State
    from relu_opt.program import ConvexProgram

    def load():
        from my_solver import MyBackend  # the heavy import, only when it is used
        return MyBackend()

    @hookimpl
    def relu_opt_backends():
        ready = Availability(State.READY, version="1.0")
        takes = frozenset({ConvexProgram})
        return [BackendInfo(name="mine", load=load, probe=lambda: ready, takes=takes)]
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import pluggy

from relu_opt.plugins.types import (
    BackendInfo,
    Program,
    ProgressEvent,
    RawSolution,
    Solved,
    SolveOptions,
)

if TYPE_CHECKING:
    from relu_opt.program.convex import ConvexProgram
    from relu_opt.program.losses import Loss

PROJECT = "relu_opt"

hookspec: pluggy.HookspecMarker = pluggy.HookspecMarker(PROJECT)
hookimpl: pluggy.HookimplMarker = pluggy.HookimplMarker(PROJECT)


@hookspec
def relu_opt_backends() -> Iterable[BackendInfo]:  # type: ignore[empty-body]
    """Register backends. Called once; must be cheap and import no solver library.

    Example::

        @hookimpl
        def relu_opt_backends():
            return [BackendInfo(name="mine", load=load, probe=probe,
                                takes=frozenset({ConicProgram}))]
    """


@hookspec
def relu_opt_losses() -> Iterable[type[Loss]]:  # type: ignore[empty-body]
    """Register losses of your own by name. Called once, before a name is looked up.

    Each is a subclass of `relu_opt.losses.Loss` with a `verifier`, so that its certificates can be
    re-checked; see `relu_opt.losses.register_loss`, which refuses others.

    Example::

        @hookimpl
        def relu_opt_losses():
            return [LogCosh]
    """


@hookspec(firstresult=True)
def relu_opt_solve(
    backend: BackendInfo, program: Program, options: SolveOptions
) -> RawSolution | None:
    """Solve one program. Every solve of every program goes through this hook.

    The core's own implementation runs last and calls the backend. Wrap it to cache, log,
    retry, or solve elsewhere.

    Example::

        @hookimpl(wrapper=True)
        def relu_opt_solve(backend, program, options):
            start = time.perf_counter()
            raw = yield
            log.info("%s took %.1f s", backend.name, time.perf_counter() - start)
            return raw
    """


@hookspec
def relu_opt_progress(event: ProgressEvent) -> None:
    """Observe a long computation. An error here is logged and changes nothing.

    Example::

        @hookimpl
        def relu_opt_progress(event):
            print(event.iteration, event.rel_gap)
    """


@hookspec
def relu_opt_solved(program: ConvexProgram, solution: Solved) -> None:
    """Observe a finished, certified solve. An error here is logged and changes nothing.

    Example::

        @hookimpl
        def relu_opt_solved(program, solution):
            database.add(solution.objective, solution.rel_gap)
    """
