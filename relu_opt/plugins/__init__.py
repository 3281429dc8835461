"""All that a plugin imports: what it registers, receives and returns; and who is registered."""

from relu_opt.plugins.hookspec import hookimpl
from relu_opt.plugins.manager import BackendStatus, observe, registry
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
    "BackendStatus",
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
    "observe",
    "registry",
]
