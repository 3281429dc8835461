"""Backends that are honest, and backends that lie: they test the kit, wrappers and the core.

Each liar is a small change to the answer of an honest backend, which passes the program on to a
real one. `LIARS` says which check has to fail.

    registry().add("fake", "my tests", LIARS["duals_negated"].make)
    check_backend("fake")
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.plugins.dispatch import Request
from relu_opt.plugins.hookspec import hookimpl
from relu_opt.plugins.manager import registry
from relu_opt.plugins.options import make_options
from relu_opt.plugins.routes import find_route
from relu_opt.plugins.types import (
    Availability,
    BackendInfo,
    Feature,
    OptionSpec,
    Program,
    RawSolution,
    SolveOptions,
    State,
    StopReason,
)
from relu_opt.program.conic import ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.solving.run import run
from relu_opt.testing.capture import arrays_of

# Who solves for the fakes.
INNER: Mapping[type, str] = {
    ConvexProgram: "native",
    LinearProgram: "highs",
    QuadraticProgram: "clarabel",
    ConicProgram: "clarabel",
}
# A liar that ignores a time limit takes this many times as long.
TIMES_TOO_LATE = 20.0
ALL_TYPES = frozenset(INNER)
READY = Availability(State.READY, version="1.0")

Solve = Callable[[Program, SolveOptions], RawSolution]
Lie = Callable[[Solve, Program, SolveOptions], RawSolution]


class FakePlugin:
    """A plugin with these backends."""

    def __init__(self, *infos: BackendInfo) -> None:
        self.infos = list(infos)

    @hookimpl
    def relu_opt_backends(self) -> list[BackendInfo]:
        """Register them."""
        return self.infos


class FakeBackend:
    """Passes programs on to real backends, and bends what they answer.

    Parameters
    ----------
    lie : callable
        Called with the honest `solve`, the program and the options.
    inner : mapping
        The name of the real backend for each program type.
    """

    def __init__(self, lie: Lie, inner: Mapping[type, str] = INNER) -> None:
        self.lie, self.inner = lie, inner

    def solve(self, program: Program, options: SolveOptions) -> RawSolution:
        """The bent answer."""
        return self.lie(self.solve_honestly, program, options)

    def solve_honestly(self, program: Program, options: SolveOptions) -> RawSolution:
        """The answer of the real backend."""
        kinked = isinstance(program, ConvexProgram) and not program.loss.smooth
        info = registry().find(self.inner[ConicProgram if kinked else type(program)])
        options = replace(options, extra=make_options(info, {}).extra)
        if Feature.WARM_START not in info.features:
            options = replace(options, warm_start=None, state=None)
        raw = run(Request(info, find_route(info, program), options, {}), program)
        # Without a point, what there is belongs to a lowered program.
        return replace(raw, duals=None) if raw.x is None else raw


def _truth(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    return solve(program, options)


def fake(
    lie: Lie = _truth, inner: Mapping[type, str] | None = None, **changes: object
) -> FakePlugin:
    """A plugin with one fake backend, named `fake`; `changes` are of its `BackendInfo`."""
    backend = FakeBackend(lie, INNER if inner is None else {**INNER, **inner})
    info = BackendInfo(
        name="fake",
        load=lambda: backend,
        probe=lambda: READY,
        takes=ALL_TYPES,
        features=frozenset(Feature),
    )
    return FakePlugin(replace(info, **changes))  # type: ignore[arg-type]


def honest(inner: Mapping[type, str] | None = None, **changes: object) -> FakePlugin:
    """A plugin whose backend keeps every promise that the real ones keep."""
    return fake(_truth, inner, **changes)


# -- lies about the point ----------------------------------------------------------------


def point_far(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """Half as much again, and `converged`."""
    return _with_x(solve(program, options), lambda x: 1.5 * x + (x.ndim == 1))


def point_outside(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """A thousandth outside the constraints."""
    return _with_x(
        solve(program, options), lambda x: x + 1e-3 * np.cos(np.arange(x.size)).reshape(x.shape)
    )


def point_nan(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """NaN in the point."""
    return _with_x(
        solve(program, options),
        lambda x: np.where(np.arange(x.size) == 0, np.nan, x.ravel()).reshape(x.shape),
    )


def point_short(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """A point of another shape."""
    return _with_x(solve(program, options), lambda x: x.ravel()[1:])


def _with_x(raw: RawSolution, change: Callable[[FloatArray], FloatArray]) -> RawSolution:
    return raw if raw.x is None else replace(raw, x=change(raw.x))


def point_stale() -> Lie:
    """The answer to the last program of the same size."""
    last: dict[tuple[int, ...], RawSolution] = {}

    def lie(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
        raw = solve(program, options)
        if raw.x is None:
            return raw
        earlier = last.get(raw.x.shape, raw)
        last[raw.x.shape] = raw
        return replace(raw, x=earlier.x)

    return lie


def start_returned(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """The given start, and `converged`."""
    raw = solve(program, options)
    return raw if options.warm_start is None else replace(raw, x=options.warm_start)


# -- lies about duals --------------------------------------------------------------------


def duals_negated(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """The other sign convention."""
    return _with_duals(solve(program, options), lambda y: -y)


def duals_halved(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """Duals of another scale."""
    return _with_duals(solve(program, options), lambda y: 0.5 * y)


def duals_nan(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """NaN in the duals."""
    return _with_duals(solve(program, options), lambda y: np.nan * y)


def duals_missing(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """The feature DUALS is claimed, and there are none."""
    return replace(solve(program, options), duals=None, multipliers=None)


def duals_of_integers(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """Duals of a program with integers."""
    raw = solve(program, options)
    if raw.x is None or isinstance(program, ConvexProgram) or raw.duals is not None:
        return raw
    return replace(raw, duals=np.zeros(program.A.shape[0]))


def _with_duals(raw: RawSolution, change: Callable[[FloatArray], FloatArray]) -> RawSolution:
    return raw if raw.duals is None else replace(raw, duals=change(raw.duals))


# -- lies about the outcome --------------------------------------------------------------


def says_infeasible(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """Every program is infeasible."""
    return RawSolution(StopReason.INFEASIBLE, raw_status="infeasible")


def says_optimal(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """Programs without an optimum have one, at zero."""
    raw = solve(program, options)
    if raw.stop not in (StopReason.INFEASIBLE, StopReason.UNBOUNDED):
        return raw
    size = () if isinstance(program, ConvexProgram) else program.c.shape
    rows = () if isinstance(program, ConvexProgram) else program.A.shape[:1]
    return RawSolution(StopReason.CONVERGED, np.zeros(size), np.zeros(rows), raw_status="optimal")


def says_too_much(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """Programs without an optimum have a point all the same."""
    raw = solve(program, options)
    if raw.x is not None or isinstance(program, ConvexProgram):
        return raw
    return replace(raw, x=np.zeros(program.c.shape))


def says_nothing(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """The right point, and no word of why it stopped."""
    return replace(solve(program, options), stop=StopReason.UNKNOWN, raw_status="")


def claims_less(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """A lower objective than that of the point."""
    return replace(solve(program, options), objective=-1e3)


def stats_odd(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """Statistics that JSON does not have."""
    return replace(solve(program, options), stats={"model": object()})


def ray_false(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """Programs without an optimum come with a ray that proves nothing."""
    raw = solve(program, options)
    if isinstance(program, ConvexProgram) or raw.x is not None:
        return raw
    size = len(program.c) if raw.stop is StopReason.UNBOUNDED else program.A.shape[0]
    return replace(raw, ray=np.cos(np.arange(size)))


def point_by_largest(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """Rows are missed by the tolerance times the largest number of the program."""
    raw = solve(program, options)
    if isinstance(program, ConvexProgram | ConicProgram):
        return raw
    bounds = np.concatenate([program.lower, program.upper])
    largest = np.abs(bounds[np.isfinite(bounds)]).max(initial=0.0)
    return _with_x(raw, lambda x: x / (1 + options.tol * largest))


def swaps_program(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """The program is exchanged for one with other costs, and that is solved."""
    if isinstance(program, ConvexProgram):
        object.__setattr__(program, "lam", 2.0 * program.lam)
    else:
        object.__setattr__(program, "c", -1.0 - program.c[::-1])
    return solve(program, options)


# -- bad manners -------------------------------------------------------------------------


def raises(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """An exception of the solver leaks."""
    raise ZeroDivisionError("a pivot is zero")


def exits(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """The whole process is to end, as if all were well."""
    raise SystemExit(0)


def prints(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """A banner on file descriptor 1, as libraries in C write it."""
    os.write(1, b"Academic licence - for fun only\n")
    return solve(program, options)


def complains(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """A remark on Python's stderr."""
    sys.stderr.write("poorly scaled\n")
    return solve(program, options)


def overwrites(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """The program's arrays are scaled in place, though they are read-only."""
    raw = solve(program, options)
    array = next(each for each in arrays_of(program).values() if each.dtype.kind == "f")
    array.setflags(write=True)
    array *= 2.0
    return raw


def too_late(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """A time limit changes nothing."""
    raw = solve(program, options)
    if options.time_limit is not None:
        time.sleep(TIMES_TOO_LATE * options.time_limit)
    return raw


def refuses_threads(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """A common option is taken for a mistake."""
    if options.threads is not None:
        raise ValueError("unexpected keyword argument 'threads'")
    return solve(program, options)


def progress_odd(solve: Solve, program: Program, options: SolveOptions) -> RawSolution:
    """Progress as a number, not as an event."""
    options.progress(0.5)  # type: ignore[arg-type]
    return solve(program, options)


def _raise(error: Exception) -> Callable[[], object]:
    def call() -> object:
        raise error

    return call


# -- all of them -------------------------------------------------------------------------


@dataclass(frozen=True)
class Liar:
    """A plugin with a backend that breaks one promise.

    Attributes
    ----------
    make : callable
        Makes the plugin, whose backend is called `fake`; takes the argument `inner` of `fake`.
    check : str
        The check that has to fail.
    """

    make: Callable[..., FakePlugin]
    check: str


def _liar(lie: Lie, check: str) -> Liar:
    return Liar(lambda inner=None: fake(lie, inner), check)


def _registers(check: str, **changes: object) -> Liar:
    return Liar(lambda inner=None: honest(inner, **changes), check)


def _twice(inner: Mapping[type, str] | None = None) -> FakePlugin:
    return FakePlugin(*honest(inner).infos, *honest(inner).infos)


LIARS: dict[str, Liar] = {
    "point_far": _liar(point_far, "answer_optimal"),
    "point_outside": _liar(point_outside, "answer_feasible"),
    "point_nan": _liar(point_nan, "answer_form"),
    "point_short": _liar(point_short, "answer_form"),
    "point_stale": Liar(lambda inner=None: fake(point_stale(), inner), "state_independent"),
    "start_returned": _liar(start_returned, "start_warm"),
    "duals_negated": _liar(duals_negated, "duals_signs"),
    "duals_halved": _liar(duals_halved, "duals_optimal"),
    "duals_nan": _liar(duals_nan, "answer_form"),
    "duals_missing": _liar(duals_missing, "duals_signs"),
    "duals_of_integers": _liar(duals_of_integers, "duals_signs"),
    "says_infeasible": _liar(says_infeasible, "answer_form"),
    "says_optimal": _liar(says_optimal, "outcome_told"),
    "ray_false": _liar(ray_false, "outcome_ray"),
    "point_by_largest": _liar(point_by_largest, "answer_feasible"),
    "swaps_program": _liar(swaps_program, "answer_optimal"),
    "exits": _liar(exits, "answer_form"),
    "says_too_much": _liar(says_too_much, "outcome_empty"),
    "says_nothing": _liar(says_nothing, "answer_word"),
    "claims_less": _liar(claims_less, "answer_word"),
    "stats_odd": _liar(stats_odd, "answer_form"),
    "raises": _liar(raises, "answer_form"),
    "prints": _liar(prints, "output_quiet"),
    "complains": _liar(complains, "output_quiet"),
    "overwrites": _liar(overwrites, "state_inputs"),
    "too_late": _liar(too_late, "limits_time"),
    "refuses_threads": _liar(refuses_threads, "options_common"),
    "progress_odd": _liar(progress_odd, "progress_events"),
    "option_odd": _registers(
        "options_declared", options=(OptionSpec("steps", int, 0, "how many", least=1),)
    ),
    "takes_nothing": _registers("registration_declared", takes=frozenset()),
    "load_raises": _registers("registration_load", load=_raise(ImportError("libfake.so.1"))),
    "probe_raises": _registers("probe_ready", probe=_raise(OSError("no such device"))),
    "probe_without_version": _registers("probe_ready", probe=lambda: Availability(State.READY)),
    "name_twice": Liar(_twice, "registration_found"),
    "version_old": _registers("registration_found", api_version=0),
}
