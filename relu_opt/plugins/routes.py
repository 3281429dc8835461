"""Which way a program takes to a backend, and which backend `auto` chooses.

There are three lowerings, and no others:

1. a training program becomes one conic program;
2. a training program becomes a sequence of quadratic programs, by column generation;
3. a linear program is a quadratic one, and both are conic ones.
"""

from __future__ import annotations

import enum

from relu_opt.errors import BackendUnavailable, UnsupportedProgram
from relu_opt.plugins.manager import registry
from relu_opt.plugins.types import BackendInfo, Feature, Program, State
from relu_opt.program.conic import ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram

# The order of `auto`; other backends follow by name. Those that take a program as it is come
# before those that need it lowered.
AUTO_ORDER = ("native", "clarabel", "highs", "cvxpy", "pyomo")


class Route(enum.Enum):
    """How a program reaches a backend."""

    DIRECT = "as it is"
    COLUMNS = "by column generation, as a sequence of quadratic programs"
    QUADRATIC = "as a quadratic program"
    CONIC = "as a conic program"


def find_route(info: BackendInfo, program: Program) -> Route:
    """The way of a program to a backend.

    Raises
    ------
    UnsupportedProgram
        If there is none; the message says what is missing.
    """
    takes = info.takes
    candidates: list[tuple[type, Route, set[Feature]]]
    if isinstance(program, LinearProgram) and program.is_mixed_integer:
        candidates = [(LinearProgram, Route.DIRECT, {Feature.INTEGER})]
    elif isinstance(program, LinearProgram):
        candidates = [
            (LinearProgram, Route.DIRECT, set()),
            (QuadraticProgram, Route.QUADRATIC, set()),
            (ConicProgram, Route.CONIC, set()),
        ]
    elif isinstance(program, QuadraticProgram):
        curved = {Feature.SOC} if program.P.nnz else set()
        candidates = [
            (QuadraticProgram, Route.DIRECT, set()),
            (ConicProgram, Route.CONIC, curved),
        ]
    elif isinstance(program, ConicProgram):
        candidates = [(ConicProgram, Route.DIRECT, _cones(program))]
    else:
        atoms = program.loss.atoms(program.y)
        cones = {Feature.SOC} | {Feature.EXP for each in atoms if each.exponential}
        conic = [(ConicProgram, Route.CONIC, cones)] if atoms else []
        # Column generation takes second-order steps, which a loss with kinks has not.
        columns = [(QuadraticProgram, Route.COLUMNS, set[Feature]())] if program.loss.smooth else []
        candidates = [
            (ConvexProgram, Route.DIRECT, set()),
            *columns,
            *conic,
        ]
    lacking: set[Feature] = set()
    for kind, route, needed in candidates:
        if kind in takes and needed <= info.features:
            return route
        if kind in takes:
            lacking |= needed - info.features
    name = type(program).__name__
    why = (
        f"it lacks {', '.join(sorted(feature.value for feature in lacking))}"
        if lacking
        else f"it takes {', '.join(sorted(each.__name__ for each in takes)) or 'nothing'}"
    )
    raise UnsupportedProgram(
        f"Backend {info.name!r} cannot take this {name}: {why}. Leave backend out to have one "
        "chosen, or see `relu-opt backends`.",
        backend=info.name,
        program=name,
        lacking=sorted(feature.name for feature in lacking),
    )


def _cones(program: ConicProgram) -> set[Feature]:
    cones = program.cones
    present = {
        Feature.SOC: cones.second_order,
        Feature.EXP: cones.exponential,
        Feature.PSD: cones.semidefinite,
    }
    return {feature for feature, some in present.items() if some}


def route_or_none(info: BackendInfo, program: Program) -> Route | None:
    """The way of a program to a backend, or None where there is none or it is refused."""
    try:
        route = find_route(info, program)
    except UnsupportedProgram:
        return None
    return None if route is Route.DIRECT and info.refuses(program) else route


def choose_backend(name: str, program: Program) -> BackendInfo:
    """The backend of this name, or the first suitable one for `auto`.

    `auto` follows `AUTO_ORDER` over what is ready, capable and free. A backend that was asked
    for by name is never replaced.

    Raises
    ------
    UnknownBackend, BackendUnavailable, PluginLoadError, PluginConflict, UnsupportedProgram
    """
    if name != "auto":
        info = registry().find(name)
        find_route(info, program)
        return info
    known = registry().infos()
    order = [each for each in AUTO_ORDER if each in known]
    order += [each for each in sorted(known) if each not in AUTO_ORDER]
    routes = {each: route_or_none(known[each], program) for each in order if known[each].free}
    able = [each for each, route in routes.items() if route is not None]
    for candidate in sorted(able, key=lambda each: routes[each] is not Route.DIRECT):
        if registry().probe(known[candidate]).state is State.READY:
            return known[candidate]
    statuses = registry().statuses()
    reasons = "; ".join(
        f"{status.name}: {status.availability.reason or 'cannot take it'}" for status in statuses
    )
    raise BackendUnavailable(
        f"No backend is ready for this {type(program).__name__} "
        f"({reasons or 'none is registered'}). `relu-opt backends` shows the fix for each.",
        backend="auto",
    )
