"""The errors of relu_opt: one small tree, each error with fields.

Every message says what happened, why, and how to mend it. The fields let a
program react without parsing the message.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from relu_opt.verify.faults import DataError, ReluOptError

__all__ = [
    "BackendUnavailable",
    "ConfigError",
    "ContractViolation",
    "DataError",
    "DoubtWarning",
    "NotCertified",
    "NotDifferentiable",
    "OptionError",
    "PluginConflict",
    "PluginLoadError",
    "ReluOptError",
    "SolveFailed",
    "UnknownBackend",
    "UnsupportedProgram",
]


class ConfigError(ReluOptError):
    """A setting in the environment or in a config file cannot be used."""


class UnknownBackend(ReluOptError):
    """No registered backend has this name."""


class BackendUnavailable(ReluOptError):
    """The backend is registered but cannot run here."""


class UnsupportedProgram(ReluOptError):
    """The backend cannot take this program, directly or through a lowering."""


class OptionError(ReluOptError, ValueError):
    """An option is unknown, of the wrong type or out of range."""


class SolveFailed(ReluOptError):
    """The backend returned no usable answer."""


class PluginLoadError(ReluOptError):
    """A plugin could not be loaded."""


class PluginConflict(ReluOptError):
    """Two plugins register the same backend name."""


class ContractViolation(ReluOptError):
    """A backend returned something that the contract forbids."""


class NotCertified(ReluOptError):
    """A proof was asked for, and the answer does not have one."""


class NotDifferentiable(ReluOptError):
    """A derivative was asked for where there is none; the message says why."""


class DoubtWarning(UserWarning):
    """Numbers lie where rounding could decide a question either way; the message says which."""


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that suggests the nearest known name, or lists them all."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if near:
        return f"Did you mean {near[0]!r}?"
    return f"Known: {', '.join(names)}." if names else "None is known."
