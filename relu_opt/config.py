"""Settings: argument > environment > config file > default.

The config file is the one that RELU_OPT_CONFIG names, or else the nearest `relu-opt.toml` or
`pyproject.toml` with a table `[tool.relu-opt]`, in the current folder or those above it::

    backend = "native"
    tol = 1e-9
    time_limit = 60

    [options.native]        # options of one backend
    max_iter = 50

The environment variables are RELU_OPT_BACKEND, RELU_OPT_TOL, RELU_OPT_TIME_LIMIT,
RELU_OPT_THREADS, RELU_OPT_SEED and RELU_OPT_VERBOSE; an empty one counts as not set.
"""

from __future__ import annotations

import functools
import os
import re
import reprlib
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from relu_opt.arrays import as_count, as_tolerance
from relu_opt.errors import ConfigError, DataError, OptionError, did_you_mean
from relu_opt.verify.archives import regular_file

CONFIG_VARIABLE = "RELU_OPT_CONFIG"
# What a config file may be: bytes, and dots in a line outside of texts in quotes.
MAX_BYTES, MAX_DOTS = 2**20, 64
STRINGS = re.compile(r'"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\'')
TOL = 1e-8


@dataclass(frozen=True)
class Settings:
    """What every solve takes its settings from.

    Attributes
    ----------
    backend : str
        A backend's name, or `auto`.
    tol : float
        Relative duality gap to reach, above 0 and below 1.
    time_limit : float or None
        Seconds, > 0, or no limit.
    threads : int or None
        Threads a backend may use, ≥ 1, or its own choice.
    seed : int
        Seed for anything random, ≥ 0.
    verbose : bool
        Whether backends may print their own logs.
    options : mapping
        Options by backend name.
    origins : mapping
        Where each setting that is not the default came from: "argument", the name of a variable,
        or that of a file.
    """

    backend: str = "auto"
    tol: float = TOL
    time_limit: float | None = None
    threads: int | None = None
    seed: int = 0
    verbose: bool = False
    options: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False)

    def with_arguments(self, **given: object) -> Settings:
        """These settings with arguments in their place; None means not given.

        Raises
        ------
        OptionError
            If an argument is unknown or cannot be used.
        """
        chosen = {name: value for name, value in given.items() if value is not None}
        for name, value in chosen.items():
            if name not in RULES:
                raise OptionError(
                    f"There is no setting {name!r}. {did_you_mean(name, RULES)}", option=name
                )
            if not RULES[name].accepts(value):
                raise OptionError(
                    f"{name} is {value!r}, and {RULES[name].needed} is needed.",
                    option=name,
                    value=value,
                )
        origins = {**self.origins, **dict.fromkeys(chosen, "argument")}
        return replace(self, **chosen, origins=origins)  # type: ignore[arg-type]

    def options_for(self, backend: str) -> dict[str, object]:
        """What a backend is told: the common settings that are set, then its own options."""
        common = {name: getattr(self, name) for name in RULES if name != "backend"}
        told = {name: value for name, value in common.items() if value is not None}
        return {**told, **self.options.get(backend, {})}


def load_settings(config_path: str | os.PathLike[str] | None = None) -> Settings:
    """The settings of the environment and the config file, defaults filled in.

    Parameters
    ----------
    config_path : path, optional
        A config file to use in place of the one found.

    Raises
    ------
    ConfigError
        If the file or a variable holds something that cannot be used; the message names it.
    """
    file = _config_file(config_path)
    values = {} if file is None else _from_file(file)
    surrounding = _from_environment()
    origins = {
        **dict.fromkeys(values, str(file)),
        **{name: variable_of(name) for name in surrounding},
    }
    return Settings(**{**values, **surrounding}, origins=origins)


def settled(name: str, given: object, default: object) -> Any:
    """What was given, or else the setting of the environment or config file, or else a default."""
    if given is not None:
        return given
    settings = load_settings()
    return getattr(settings, name) if name in settings.origins else default


def settled_tol(given: object = None, default: float = TOL) -> float:
    """The tolerance that counts where one may be given; anything but 0 < tol < 1 is an error."""
    return as_tolerance(settled("tol", given, default), "tol")


def settled_seed(given: object = None) -> int:
    """The seed that counts where one may be given."""
    return as_count(settled("seed", given, 0), "seed", 0)


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return f"RELU_OPT_{name.upper()}"


# -- what each setting may be --------------------------------------------------------------


@dataclass(frozen=True)
class _Rule:
    """Which values a setting takes, and how a text becomes one."""

    accepts: Callable[[Any], bool]
    parse: Callable[[str], object]
    needed: str


def _is_count(least: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and value >= least


def _is_positive(value: Any) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and 0 < value <= sys.float_info.max


def _is_tolerance(value: Any) -> bool:
    return _is_positive(value) and value < 1


def _parse_flag(text: str) -> bool:
    return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
        text.lower()
    ]


RULES = {
    "backend": _Rule(lambda value: isinstance(value, str) and value != "", str, "a name"),
    "tol": _Rule(_is_tolerance, float, "a number above 0 and below 1"),
    "time_limit": _Rule(_is_positive, float, "a number of seconds greater than zero"),
    "threads": _Rule(_is_count(1), int, "an integer of at least 1"),
    "seed": _Rule(_is_count(0), int, "an integer of at least 0"),
    "verbose": _Rule(lambda value: isinstance(value, bool), _parse_flag, "true or false"),
}


# -- sources -------------------------------------------------------------------------------


def _from_environment() -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, rule in RULES.items():
        variable = variable_of(name)
        text = os.environ.get(variable, "").strip()
        if not text:
            continue
        try:
            values[name] = rule.parse(text)
        except (ValueError, KeyError):
            values[name] = text
        if not rule.accepts(values[name]):
            raise ConfigError(
                f"The environment variable {variable} is {text!r:.60}, and {rule.needed} is "
                "needed.",
                source=variable,
                setting=name,
                value=text,
            )
    return values


def _config_file(given: str | os.PathLike[str] | None) -> Path | None:
    named = given if given is not None else os.environ.get(CONFIG_VARIABLE) or None
    if named is not None:
        try:
            return regular_file(named)
        except DataError as error:
            source = "" if given is not None else f" (from {CONFIG_VARIABLE})"
            raise ConfigError(
                f"The config file{source} will not do. {error.message}", source=str(named)
            ) from error
    try:
        here = Path.cwd()
    except OSError as error:
        raise ConfigError(
            f"The current folder cannot be searched for a config file: {error.strerror}. Change to "
            "another, or name a file by RELU_OPT_CONFIG."
        ) from error
    for folder in (here, *here.parents):
        if os.path.lexists(folder / "relu-opt.toml"):
            return folder / "relu-opt.toml"
        project = folder / "pyproject.toml"
        if os.path.isfile(project) and _project_table(_read_toml(project)) is not None:
            return project
    return None


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        with regular_file(file).open("rb") as stream:
            content = stream.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES} bytes")
        return _parsed(content)
    except DataError as error:
        raise ConfigError(error.message, source=str(file)) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"{file} is not valid TOML: {error!s:.200}. Mend it.", source=str(file)
        ) from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}.", source=str(file)) from error


@functools.lru_cache(maxsize=16)
def _parsed(content: bytes) -> dict[str, Any]:
    """The content, parsed once: every proof asks for the settings. It is not to be changed."""
    text = content.decode()
    # A parser needs time with the square of the parts of a key.
    if any(line.count(".") > MAX_DOTS for line in STRINGS.sub("", text).splitlines()):
        raise ValueError(f"a key has more than {MAX_DOTS} parts")
    return tomllib.loads(text)


def _project_table(content: Mapping[str, Any]) -> Any:
    tools = content.get("tool")
    return tools.get("relu-opt") if isinstance(tools, dict) else None


def _from_file(file: Path) -> dict[str, Any]:
    content: Any = _read_toml(file)
    if file.name == "pyproject.toml":
        table = _project_table(content)
        content = {} if table is None else table
    if not isinstance(content, dict):
        raise ConfigError(f"{file}: [tool.relu-opt] is not a table.", source=str(file))
    known = {each.name for each in fields(Settings)} - {"origins"}
    for name, value in content.items():
        if name not in known:
            raise ConfigError(
                f"{file} has an unknown setting {name!r:.60}. {did_you_mean(name, known)}",
                source=str(file),
                setting=name,
            )
        if name != "options" and not RULES[name].accepts(value):
            raise ConfigError(
                f"{file}: {name} is {reprlib.repr(value)}, and {RULES[name].needed} is needed.",
                source=str(file),
                setting=name,
                value=value,
            )
    _check_options(file, content.get("options", {}))
    return content


def _check_options(file: Path, options: Any) -> None:
    tables = isinstance(options, dict) and all(isinstance(each, dict) for each in options.values())
    if not tables:
        raise ConfigError(
            f"{file}: options need one table a backend, such as [options.native].",
            source=str(file),
            setting="options",
        )
    for backend, table in options.items():
        for name in table.keys() & RULES.keys():
            raise ConfigError(
                f"{file}: {name} stands in [options.{backend}], and it is a setting of every "
                f"backend. Move it to the top of the file.",
                source=str(file),
                setting=name,
            )
