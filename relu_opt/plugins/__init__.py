"""All that a plugin imports: what it registers, receives and returns."""

from relu_opt.plugins.hookspec import hookimpl
from relu_opt.plugins.types import (
    API_VERSION,
    Availability,
    Backend,
    BackendInfo,
    Feature,
    OptionSpec,
    Program,
    ProgressEvent,
    RawSolution,
    SolveOptions,
    State,
    StopReason,
    installed,
)
from relu_opt.program.multipliers import ConeMultipliers

__all__ = [
    "API_VERSION",
    "Availability",
    "Backend",
    "BackendInfo",
    "ConeMultipliers",
    "Feature",
    "OptionSpec",
    "Program",
    "ProgressEvent",
    "RawSolution",
    "SolveOptions",
    "State",
    "StopReason",
    "hookimpl",
    "installed",
]
