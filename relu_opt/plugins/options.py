"""The options of a solve: which there are, and whether a value will do."""

from __future__ import annotations

import math
from collections.abc import Mapping

from relu_opt.arrays import as_count, as_number, as_tolerance
from relu_opt.errors import OptionError, ReluOptError, did_you_mean
from relu_opt.plugins.types import BackendInfo, OptionSpec, SolveOptions

COMMON_OPTIONS = (
    OptionSpec("tol", float, 1e-8, "relative duality gap to reach", least=0.0),
    OptionSpec("time_limit", float, None, "seconds of wall-clock time", least=0.0),
    OptionSpec("threads", int, None, "threads the backend may use", least=1),
    OptionSpec("seed", int, 0, "seed for anything random", least=0),
    OptionSpec("verbose", bool, False, "let the backend print its own log"),
)


# The least integer, where an option has no least value.
ANY = -(2**63)


def make_options(info: BackendInfo, given: Mapping[str, object]) -> SolveOptions:
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
    return SolveOptions(**common, extra=values)  # type: ignore[arg-type]


def as_options(given: object) -> dict[str, object]:
    """Options by name, of a mapping or None; an OptionError for anything else."""
    if given is None or isinstance(given, Mapping):
        return dict(given or {})
    raise OptionError(
        f"options is {given!r:.60}, and a mapping from names to values is needed, such as "
        "{'threads': 1}.",
        value=given,
    )


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
    if spec.name == "tol":
        return as_tolerance(value, spec.name)
    if spec.type is float:
        number = as_number(value, spec.name)
        if spec.least is not None and not number > spec.least:
            above = f"{spec.least:g}" if spec.least else "zero"
            raise OptionError(
                f"{spec.name} is {number}, and a number greater than {above} is needed."
            )
        return number
    if spec.type is int:
        least = ANY if spec.least is None else math.ceil(spec.least)
        return as_count(value, spec.name, least)
    if not isinstance(value, spec.type):
        raise OptionError(f"{spec.name} is {value!r}, and a {spec.type.__name__} is needed.")
    return value
