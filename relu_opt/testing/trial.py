"""One backend on one named program: what came of it, in numbers."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from relu_opt.errors import ReluOptError, SolveFailed, UnsupportedProgram
from relu_opt.plugins.types import StopReason
from relu_opt.solving.cross_check import solve_any, violation_of
from relu_opt.testing.named import NamedProgram

# How wrong, relative to max(1, |optimum|), an objective may be for each unit of tolerance.
FACTOR = 10.0

STOPS = {"infeasible": StopReason.INFEASIBLE, "unbounded": StopReason.UNBOUNDED}


@dataclass(frozen=True)
class Trial:
    """What a backend made of a program.

    Attributes
    ----------
    backend, program : str
    outcome : str
        `right`; `wrong`: an answer that is not the known one; `failed`: an error where there is
        an answer; `unsupported`: the backend does not take the program.
    error : float
        |objective − optimum|/max(1, |optimum|); NaN without an answer.
    rel_gap, violation : float
        As the core computed them: the gap, and the largest constraint violation.
    seconds : float
        Wall-clock time of the whole solve.
    detail : str
        What is wrong, or why it is not supported.
    """

    backend: str
    program: str
    outcome: Literal["right", "wrong", "failed", "unsupported"]
    error: float = math.nan
    rel_gap: float = math.nan
    violation: float = math.nan
    seconds: float = math.nan
    detail: str = ""


def try_program(
    backend: str,
    named: NamedProgram,
    tol: float = 1e-6,
    time_limit: float | None = None,
    options: Mapping[str, object] | None = None,
) -> Trial:
    """Solve a named program with a backend and compare with the known answer.

    Raises
    ------
    UnknownBackend, BackendUnavailable, PluginLoadError, PluginConflict
        If the backend cannot be asked at all.
    """
    program = named.make()
    started = time.perf_counter()
    try:
        answer = solve_any(program, backend, tol, time_limit, options)
    except UnsupportedProgram as error:
        return Trial(backend, named.name, "unsupported", detail=error.message)
    except SolveFailed as error:
        seconds = time.perf_counter() - started
        stop = error.fields.get("stop")
        if named.outcome != "optimal" and stop is STOPS[named.outcome]:
            return Trial(backend, named.name, "right", seconds=seconds)
        return Trial(backend, named.name, "failed", seconds=seconds, detail=error.message)
    except ReluOptError as error:
        seconds = time.perf_counter() - started
        detail = f"{type(error).__name__}: {error.message}"
        return Trial(backend, named.name, "failed", seconds=seconds, detail=detail)
    seconds = time.perf_counter() - started
    gap, violation, objective = answer.rel_gap, violation_of(answer), answer.objective
    if named.objective is None:
        detail = f"an answer of objective {objective:.6g}, and the program is {named.outcome}"
        return Trial(backend, named.name, "wrong", math.nan, gap, violation, seconds, detail)
    error_size = abs(objective - named.objective) / max(1.0, abs(named.objective))
    detail = ""
    if not error_size <= FACTOR * tol:
        detail = f"objective {objective:.9g}, and {named.objective:.9g} is known"
    elif not violation <= FACTOR * tol:
        detail = f"a constraint is violated by {violation:.1e}"
    right = not detail
    return Trial(
        backend,
        named.name,
        "right" if right else "wrong",
        error_size,
        gap,
        violation,
        seconds,
        detail,
    )
