"""How a program reaches a backend: choice, options, lowering, and the solve hook."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from relu_opt.arrays import FloatArray, as_count, as_number, as_positive
from relu_opt.errors import (
    BackendUnavailable,
    ContractViolation,
    OptionError,
    ReluOptError,
    SolveFailed,
    UnsupportedProgram,
    did_you_mean,
)
from relu_opt.plugins.manager import registry
from relu_opt.plugins.types import (
    BackendInfo,
    Feature,
    OptionSpec,
    Program,
    ProgressEvent,
    RawSolution,
    SolveOptions,
    State,
    StopReason,
)
from relu_opt.program.conic import ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.lowering import lower_to_conic

# What `auto` tries, in this order, before other free backends in the order of their names.
AUTO_ORDER = ("native", "cvxpy")

COMMON_OPTIONS = (
    OptionSpec("tol", float, 1e-8, "relative duality gap to reach", least=0.0),
    OptionSpec("time_limit", float, None, "seconds of wall-clock time", least=0.0),
    OptionSpec("threads", int, None, "threads the backend may use", least=1),
    OptionSpec("seed", int, 0, "seed for anything random", least=0),
    OptionSpec("verbose", bool, False, "let the backend print its own log"),
)


def supports(info: BackendInfo, prog: ConvexProgram) -> bool:
    """Whether a backend can train this network, directly or through the conic form."""
    if ConvexProgram in info.takes:
        return True
    needed = {Feature.SOC} | ({Feature.EXP} if prog.loss.name == "logistic" else set())
    return ConicProgram in info.takes and needed <= info.features


def choose_backend(name: str, prog: ConvexProgram) -> BackendInfo:
    """The backend of this name, or the first suitable one for `auto`.

    `auto` follows `AUTO_ORDER` over what is ready, capable and free. A backend that was asked
    for by name is never replaced.

    Raises
    ------
    UnknownBackend, BackendUnavailable, PluginLoadError, PluginConflict, UnsupportedProgram
    """
    if name != "auto":
        info = registry().find(name)
        if not supports(info, prog):
            raise UnsupportedProgram(
                f"Backend {name!r} takes {sorted(kind.__name__ for kind in info.takes)} and "
                f"cannot train a {prog.activation} network with the {prog.loss.name} loss. "
                "Use backend='native'.",
                backend=name,
                program=type(prog).__name__,
            )
        return info
    statuses = {status.name: status for status in registry().statuses()}
    others = [other for other in statuses if other not in AUTO_ORDER]
    for candidate in (*AUTO_ORDER, *others):
        status = statuses.get(candidate)
        if status is None or status.info is None:
            continue
        ready = status.availability.state is State.READY and status.info.free
        if ready and supports(status.info, prog):
            return status.info
    reasons = "; ".join(f"{s.name}: {s.availability.reason}" for s in statuses.values())
    raise BackendUnavailable(
        f"No backend is ready to train this network ({reasons or 'none is registered'}). "
        "`relu-opt backends` shows the fix for each.",
        backend="auto",
    )


def make_options(
    info: BackendInfo, given: Mapping[str, object], warm_start: FloatArray | None
) -> SolveOptions:
    """Validate options by name and fill in defaults.

    Raises
    ------
    OptionError
        If an option is unknown, of the wrong type or out of range.
    """
    specs = {spec.name: spec for spec in (*COMMON_OPTIONS, *info.options)}
    for name in given:
        if name not in specs:
            raise OptionError(
                f"Backend {info.name!r} has no option {name!r}. {did_you_mean(str(name), specs)}",
                backend=info.name,
                option=name,
            )
    values = {
        name: check_option(info.name, spec, given[name]) if name in given else spec.default
        for name, spec in specs.items()
    }
    common = {spec.name: values.pop(spec.name) for spec in COMMON_OPTIONS}
    options = SolveOptions(**common, extra=values)  # type: ignore[arg-type]
    if warm_start is not None:
        if Feature.WARM_START not in info.features:
            raise OptionError(
                f"Backend {info.name!r} has no warm start. Leave warm_start out, or use "
                "backend='native'.",
                backend=info.name,
                option="warm_start",
            )
        options = replace(options, warm_start=warm_start)
    if options.time_limit is not None and Feature.TIME_LIMIT not in info.features:
        raise OptionError(
            f"Backend {info.name!r} cannot stop at a time limit. Leave time_limit out, or use "
            "backend='native'.",
            backend=info.name,
            option="time_limit",
        )
    return options


def check_option(backend: str, spec: OptionSpec, value: object) -> object:
    """The value of an option in its declared type, or an OptionError."""
    try:
        checked = _converted(spec, value)
    except ReluOptError as error:
        raise OptionError(
            f"Option {spec.name!r} of backend {backend!r}: {error.message}",
            backend=backend,
            option=spec.name,
            value=value,
        ) from error
    if spec.choices and checked not in spec.choices:
        raise OptionError(
            f"Option {spec.name!r} of backend {backend!r} is {value!r}. "
            f"{did_you_mean(str(value), spec.choices)}",
            backend=backend,
            option=spec.name,
            value=value,
        )
    return checked


def _converted(spec: OptionSpec, value: object) -> object:
    if value is None and spec.default is None:
        return None
    if spec.type is float:
        if spec.least == 0.0:
            return as_positive(value, spec.name)
        return as_number(value, spec.name)
    if spec.type is int:
        return as_count(value, spec.name, least=int(spec.least or 0))
    if not isinstance(value, spec.type):
        raise OptionError(f"{spec.name} is {value!r}, and a {spec.type.__name__} is needed.")
    return value


def run(info: BackendInfo, prog: ConvexProgram, options: SolveOptions) -> RawSolution:
    """Solve a training program, lowering it when the backend does not take it as it is."""
    options = replace(options, progress=_forward_progress)
    if ConvexProgram in info.takes:
        return solve_program(info, prog, options)
    lowering = lower_to_conic(prog)
    raw = solve_program(info, lowering.program, replace(options, warm_start=None))
    if raw.x is None:
        return raw
    weights, _, nu = lowering.recover(raw.x, raw.duals)
    objective = None if raw.objective is None else raw.objective * lowering.units.cost
    return replace(raw, x=weights, duals=nu, objective=objective)


def solve_program(info: BackendInfo, program: Program, options: SolveOptions) -> RawSolution:
    """One call of the solve hook, its answer checked for shape.

    Raises
    ------
    SolveFailed
        If the backend raised.
    ContractViolation
        If it returned something that is not an answer to this program.
    """
    try:
        raw = registry().manager.hook.relu_opt_solve(backend=info, program=program, options=options)
    except ReluOptError:
        raise
    except Exception as error:
        raise SolveFailed(
            f"Backend {info.name!r} raised {type(error).__name__}: {error}. This is a fault of "
            "the backend or of a plugin that wraps it; try another backend.",
            backend=info.name,
        ) from error
    if not isinstance(raw, RawSolution):
        raise ContractViolation(
            f"Backend {info.name!r} returned {type(raw).__name__}, not a RawSolution.",
            backend=info.name,
        )
    if not isinstance(raw.stop, StopReason):
        raise ContractViolation(
            f"Backend {info.name!r} returned the stop reason {raw.stop!r}, which is no StopReason.",
            backend=info.name,
            field="stop",
        )
    if isinstance(program, ConvexProgram):
        primal, dual = program.weights_shape, (program.n,)
    else:
        primal, dual = program.c.shape, program.b.shape
    return replace(
        raw,
        x=_checked_point(info.name, "x", raw.x, primal),
        duals=_checked_point(info.name, "duals", raw.duals, dual),
    )


def _checked_point(
    backend: str, name: str, point: FloatArray | None, shape: tuple[int, ...]
) -> FloatArray | None:
    if point is None:
        return None
    if not isinstance(point, np.ndarray) or point.shape != shape or point.dtype.kind != "f":
        found = getattr(point, "shape", type(point).__name__)
        raise ContractViolation(
            f"Backend {backend!r} returned {name} of shape {found}, and floats of shape {shape} "
            "are needed.",
            backend=backend,
            field=name,
            shape=shape,
        )
    if not np.isfinite(point).all():
        raise ContractViolation(
            f"Backend {backend!r} returned {name} with NaN or infinite values. It can never be "
            "certified; try another backend.",
            backend=backend,
            field=name,
        )
    return np.asarray(point, dtype=np.float64)


def _forward_progress(event: ProgressEvent) -> None:
    registry().notify("relu_opt_progress", event=event)
