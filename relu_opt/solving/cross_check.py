"""`cross_check`: one program, several backends, their answers side by side."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.config import settled_tol
from relu_opt.errors import BackendUnavailable, DataError, ReluOptError
from relu_opt.optimality import agreement
from relu_opt.plugins.manager import registry
from relu_opt.plugins.routes import find_route, route_or_none
from relu_opt.plugins.types import Program, State
from relu_opt.program.convex import ConvexProgram
from relu_opt.solving.standard import ProgramSolution, solve_program
from relu_opt.solving.training import Solution, solve
from relu_opt.verify.renamed import renamed

# How far a lower bound may lie above another backend's objective by rounding.
CROSSING = 1e-9


@dataclass(frozen=True)
class CrossCheckRow:
    """One backend's answer.

    Attributes
    ----------
    backend : str
    objective, lower_bound, rel_gap : float
        As the core computed them; NaN where there is no answer.
    violation : float
        The largest constraint violation, relative to the sizes in it.
    difference : float
        Largest difference of the fits (of x, for a program that trains no network) from those of
        the best answer, relative to the largest of them. Where the optimum is not unique, right
        answers may differ in x.
    seconds : float
        Wall-clock time of the whole solve, certificate included.
    verdict : str
        The core's verdict on this answer alone, or `failed`.
    stop : str
        Why the backend stopped, or what error it ended with.
    """

    backend: str
    objective: float
    lower_bound: float
    rel_gap: float
    violation: float
    difference: float
    seconds: float
    verdict: str
    stop: str

    dual_objective: ClassVar[renamed] = renamed("lower_bound")


@dataclass(frozen=True)
class CrossCheck:
    """What several backends say of one program; print it to see a table.

    Attributes
    ----------
    rows : tuple of CrossCheckRow
        In the order of the backends.
    tol : float
        What agreement is against.
    best : float
        The lowest objective of a feasible answer; NaN if there is none.
    lower_bound : float
        The highest lower bound; NaN if no answer has one.
    unit : float
        What differences of objectives are relative to: |best|, for programs that train no network
        at least 1.
    """

    rows: tuple[CrossCheckRow, ...]
    tol: float
    best: float
    lower_bound: float
    unit: float

    bound: ClassVar[renamed] = renamed("lower_bound")

    @property
    def agree(self) -> bool:
        """Whether all answers are feasible, within `tol` of the best, and no bounds contradict.

        Differences of fits do not count: they follow from the gap where the optimum is unique.
        """
        if not all(
            row.violation <= agreement(self.tol)
            and abs(row.objective - self.best) <= self.tol * self.unit
            for row in self.rows
        ):
            return False
        above = self.lower_bound - self.best
        return math.isnan(self.lower_bound) or above <= max(CROSSING, self.tol) * self.unit

    def __str__(self) -> str:
        names = ("backend", "objective", "rel. gap", "violation", "difference", "seconds")
        head = (*names, "verdict", "stop")
        lines = [
            (
                row.backend,
                f"{row.objective:.12g}",
                f"{row.rel_gap:.1e}",
                f"{row.violation:.1e}",
                f"{row.difference:.1e}",
                f"{row.seconds:.2f}",
                row.verdict,
                row.stop,
            )
            for row in self.rows
        ]
        lines.insert(0, head)
        widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
        table = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in lines
        ]
        verdict = "agree" if self.agree else "do NOT agree"
        return "\n".join([*table, f"The answers {verdict} to {self.tol:.0e}."])


def cross_check(
    program: Program,
    backends: Sequence[str] | None = None,
    tol: float | None = None,
    time_limit: float | None = None,
    options: Mapping[str, Mapping[str, object]] | None = None,
) -> CrossCheck:
    """Solve a program with several backends and compare their answers.

    Parameters
    ----------
    program : ConvexProgram, LinearProgram, QuadraticProgram or ConicProgram
    backends : sequence of str, optional
        Which; all free ones that are ready and able if left out.
    tol : float, optional
        Relative gap to ask of each, and to compare within; that of the settings if left out.
    time_limit : float, optional
        Seconds, for each.
    options : mapping, optional
        Options by backend name.

    Returns
    -------
    CrossCheck
        A backend that fails has a row that says why.

    Raises
    ------
    DataError
        If the program is none, or `backends` is empty.
    UnknownBackend, BackendUnavailable, UnsupportedProgram, PluginLoadError, PluginConflict
        If a backend that was named cannot be asked at all.
    """
    if not isinstance(program, Program):
        raise DataError(f"program is a {type(program).__name__}, and a program is needed.")
    names = _able(program) if backends is None else list(backends)
    for name in names:
        find_route(registry().find(name), program)
    if not names:
        raise DataError("backends is empty. Name at least one, or leave it out to ask all.")
    chosen = options or {}
    tol = settled_tol(tol)
    found = [_ask(program, name, tol, time_limit, chosen.get(name, {})) for name in names]
    answers = [answer for answer, _, _ in found if answer is not None]
    feasible = [answer for answer in answers if violation_of(answer) <= agreement(tol)]
    best = min(feasible, key=lambda answer: answer.objective, default=None)
    reference = None if best is None else _fits(best)
    bounds = [a.lower_bound for a in answers if not math.isnan(a.lower_bound)]
    rows = [_row(name, *result, reference) for name, result in zip(names, found, strict=True)]
    lowest = math.nan if best is None else best.objective
    unit = abs(lowest) if isinstance(program, ConvexProgram) else max(1.0, abs(lowest))
    return CrossCheck(tuple(rows), tol, lowest, max(bounds, default=math.nan), unit)


Answer = Solution | ProgramSolution


def solve_any(
    program: Program,
    backend: str,
    tol: float | None = None,
    time_limit: float | None = None,
    options: Mapping[str, object] | None = None,
) -> Answer:
    """`solve` for a training program, `solve_program` for the others."""
    if isinstance(program, ConvexProgram):
        return solve(program, backend, tol, time_limit, options=options)
    return solve_program(program, backend, tol, time_limit, options=options)


def violation_of(answer: Answer) -> float:
    """The largest constraint violation of an answer, relative to the sizes in it."""
    if isinstance(answer, Solution):
        return answer.certificate.kkt.cone_violation
    return answer.residuals.primal


def _able(program: Program) -> list[str]:
    """The free backends that are ready and can take the program."""
    infos = registry().infos()
    able = [
        name
        for name, info in infos.items()
        if info.free
        and route_or_none(info, program) is not None
        and registry().probe(info).state is State.READY
    ]
    if not able:
        raise BackendUnavailable(
            f"No backend is ready for this {type(program).__name__}. `relu-opt backends` says why.",
            backend="auto",
        )
    return sorted(able)


def _ask(
    program: Program,
    name: str,
    tol: float,
    time_limit: float | None,
    options: Mapping[str, object],
) -> tuple[Answer | None, str, float]:
    """The answer, or what went wrong; and the seconds."""
    started = time.perf_counter()
    answer: Answer | None = None
    try:
        answer = solve_any(program, name, tol, time_limit, options)
        said = answer.stop.value
    except ReluOptError as error:
        said = f"{type(error).__name__}: {error.message}"
    return answer, said, time.perf_counter() - started


def _fits(answer: Answer) -> FloatArray:
    if isinstance(answer, Solution):
        return answer.network.predict(answer.program.X)
    return answer.x


def _row(
    name: str, answer: Answer | None, said: str, seconds: float, reference: FloatArray | None
) -> CrossCheckRow:
    if answer is None:
        nan = math.nan
        return CrossCheckRow(name, nan, nan, nan, nan, nan, seconds, "failed", said)
    difference = math.nan
    if reference is not None:
        size = np.abs(reference).max(initial=0.0) or 1.0
        difference = float(np.abs(_fits(answer) - reference).max(initial=0.0) / size)
    verdict = answer.certificate.verdict if isinstance(answer, Solution) else answer.verdict
    return CrossCheckRow(
        name,
        answer.objective,
        answer.lower_bound,
        answer.rel_gap,
        violation_of(answer),
        difference,
        seconds,
        verdict.value,
        said,
    )
