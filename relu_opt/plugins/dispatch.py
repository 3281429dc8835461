"""How a program reaches a backend: options, lowering, and the solve hook."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from scipy.sparse import csc_array

from relu_opt.arrays import FloatArray
from relu_opt.config import Settings, load_settings
from relu_opt.errors import (
    ContractViolation,
    OptionError,
    ReluOptError,
    SolveFailed,
    UnsupportedProgram,
)
from relu_opt.plugins.isolation import guarded, named, own_copy
from relu_opt.plugins.manager import announce, registry
from relu_opt.plugins.options import make_options
from relu_opt.plugins.routes import Route, choose_backend, find_route
from relu_opt.plugins.types import (
    BackendInfo,
    Feature,
    Program,
    ProgressEvent,
    RawSolution,
    SolveOptions,
    StopReason,
)
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.patterns import Patterns
from relu_opt.program.units import PLAIN, Units


@dataclass(frozen=True)
class Request:
    """A solve that was asked for, checked: by whom, which way, with which options.

    `given` are the options that differ from the defaults of the backend.
    """

    info: BackendInfo
    route: Route
    options: SolveOptions
    given: dict[str, object]


def make_request(
    program: Program,
    backend: str,
    tol: float | None,
    time_limit: float | None,
    given: dict[str, object],
) -> Request:
    """Choose the backend, and settle its options: argument > environment > config > default.

    Raises
    ------
    ConfigError, OptionError, UnknownBackend, BackendUnavailable, UnsupportedProgram,
    PluginLoadError, PluginConflict
    """
    settings: Settings = load_settings().with_arguments(
        backend=None if backend == "auto" else backend, tol=tol, time_limit=time_limit
    )
    info = choose_backend(settings.backend, program)
    told = {**settings.options_for(info.name), **given}
    told |= {k: v for k, v in (("tol", tol), ("time_limit", time_limit)) if v is not None}
    route = find_route(info, program)
    options = make_options(info, told)
    limited = options.time_limit is not None and route is not Route.COLUMNS
    if limited and Feature.TIME_LIMIT not in info.features:
        raise _unable(info, "time_limit", Feature.TIME_LIMIT)
    return Request(info, route, options, told)


def with_start(request: Request, start: FloatArray | None, state: object = None) -> Request:
    """The request with a point, and a backend's own state, to start from.

    Raises
    ------
    OptionError
        If the backend cannot start from a point.
    """
    if start is None:
        return request
    if not _starts(request):
        raise _unable(request.info, "warm_start", Feature.WARM_START)
    return replace(request, options=replace(request.options, warm_start=start, state=state))


def can_start(program: Program, backend: str) -> bool:
    """Whether the backend that would solve the program can start from a point."""
    return _starts(make_request(program, backend, None, None, {}))


def _starts(request: Request) -> bool:
    direct = request.route is Route.DIRECT and Feature.WARM_START in request.info.features
    return direct or request.route is Route.COLUMNS


def _unable(info: BackendInfo, option: str, feature: Feature) -> OptionError:
    lack = {
        Feature.TIME_LIMIT: "cannot stop at a time limit",
        Feature.WARM_START: "cannot start from a given point",
    }[feature]
    return OptionError(
        f"Backend {info.name!r} {lack}. Leave {option} out, or use backend='native'.",
        backend=info.name,
        option=option,
    )


def with_progress(options: SolveOptions, units: Units = PLAIN) -> SolveOptions:
    """The options with observers listening, who hear of bounds in the user's units."""

    def tell(event: ProgressEvent) -> None:
        announce(_in_users_units(event, units))

    return replace(options, progress=tell)


def _in_users_units(event: object, units: Units) -> object:
    """What a backend tells, its bounds in the user's units; what is no event stays as it is."""

    def told(value: float | None) -> float | None:
        return units.objective(value) if isinstance(value, int | float) else value

    if not isinstance(event, ProgressEvent):
        return event
    return replace(event, objective=told(event.objective), bound=told(event.bound))


def call_backend(info: BackendInfo, program: Program, options: SolveOptions) -> RawSolution:
    """One call of the solve hook, its answer checked for shape.

    Raises
    ------
    UnsupportedProgram
        If the backend refuses this very program.
    SolveFailed
        If the backend raised.
    ContractViolation
        If it returned something that is not an answer to this program.
    """
    refusal = info.refuses(program)
    if refusal:
        raise UnsupportedProgram(
            f"Backend {info.name!r} cannot take this {type(program).__name__}: {refusal}. Leave "
            "backend out to have one chosen.",
            backend=info.name,
            program=type(program).__name__,
            reason=refusal,
        )
    before, mine = _checksum(program), own_copy(program)
    hook = registry().manager.hook.relu_opt_solve
    try:
        raw = guarded(lambda: hook(backend=info, program=mine, options=options))
    except ReluOptError:
        raise
    except Exception as error:
        raise SolveFailed(
            f"Backend {info.name!r} raised {named(error)}. This is a fault of the backend or of a "
            "plugin that wraps it; try another backend.",
            backend=info.name,
        ) from error
    if _checksum(program) != before:
        raise ContractViolation(
            f"Backend {info.name!r}, or a plugin that wraps it, changed the arrays of the program "
            "that it was given. Its answer is to another program; make the program anew, and use "
            "another backend.",
            backend=info.name,
            field="program",
        )
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
    _check_words(info.name, raw)
    if isinstance(program, ConvexProgram):
        primal, dual = program.weights_shape, (program.n,)
    else:
        primal, dual = program.c.shape, (program.A.shape[0],)
    return replace(
        raw,
        x=_checked_point(info.name, "x", raw.x, primal),
        duals=_checked_point(info.name, "duals", raw.duals, dual),
        ray=_checked_point(info.name, "ray", raw.ray, _ray_shape(raw.stop, primal, dual)),
        multipliers=_own_multipliers(raw.multipliers),
        stats=dict(raw.stats),
    )


def _ray_shape(stop: StopReason, primal: tuple[int, ...], dual: tuple[int, ...]) -> tuple[int, ...]:
    """A ray is one of multipliers or a direction; with other stops there is none to check."""
    return primal if stop is StopReason.UNBOUNDED else dual


def _own_multipliers(known: ConeMultipliers | None) -> ConeMultipliers | None:
    """A copy; what are no arrays stay as they are, to be refused where multipliers are read."""
    if not isinstance(known, ConeMultipliers):
        return known
    parts = {
        name: part.copy() if isinstance(part, np.ndarray) else part
        for name, part in vars(known).items()
    }
    return ConeMultipliers(**parts)


def _check_words(backend: str, raw: RawSolution) -> None:
    """What a backend says beside its points has the types that are promised."""
    numbers = (int, float, type(None))
    for field, types, needed in (
        ("stats", Mapping, "a mapping"),
        ("raw_status", str, "a text"),
        ("objective", numbers, "a number or None"),
        ("bound", numbers, "a number or None"),
    ):
        value = getattr(raw, field)
        if not isinstance(value, types):
            raise ContractViolation(
                f"Backend {backend!r} returned {field} of type {type(value).__name__}, and "
                f"{needed} is needed.",
                backend=backend,
                field=field,
            )


def _checksum(program: Program) -> int:
    """Of all arrays of a program. They are read-only, and whoever insists can still write."""
    total = 0
    for field in fields(program):
        value = getattr(program, field.name)
        parts = [value]
        if isinstance(value, csc_array):
            parts = [value.data, value.indices, value.indptr]
        elif isinstance(value, Patterns):
            parts = [value.packed, value.gates]
        for part in parts:
            if isinstance(part, np.ndarray):
                total = zlib.crc32(np.ascontiguousarray(part).view(np.uint8).data, total)
    return total


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
    # The backend may go on to write in its own buffer.
    return np.array(point, dtype=np.float64)
