"""A backend under test: it is asked for each program once, and its answers are kept."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relu_opt.arrays import FloatArray
from relu_opt.errors import ReluOptError, UnsupportedProgram
from relu_opt.plugins.dispatch import make_request
from relu_opt.plugins.manager import observe, registry
from relu_opt.plugins.options import as_options
from relu_opt.plugins.routes import Route, find_route, route_or_none
from relu_opt.plugins.types import (
    Availability,
    BackendInfo,
    Feature,
    Program,
    ProgressEvent,
    RawSolution,
    State,
)
from relu_opt.program.convex import ConvexProgram
from relu_opt.solving.run import run
from relu_opt.solving.standard import ProgramSolution, solve_program
from relu_opt.solving.training import Solution, solve
from relu_opt.testing.capture import captured, changes, copies
from relu_opt.testing.named import NamedProgram


class Failed(Exception):
    """A promise is broken; the message says how."""


class Skipped(Exception):
    """A check does not apply; the message says why."""


@dataclass(frozen=True, eq=False)
class Answer:
    """One raw answer, and what else happened meanwhile.

    Attributes
    ----------
    raw : RawSolution
        Of the program as it was named: a lowering is undone.
    output : str
        What was printed.
    changed : list of str
        The program's arrays that are no longer what they were.
    events : list
        What was sent to the observers of progress.
    seconds : float
    """

    raw: RawSolution
    output: str
    changed: list[str]
    events: list[ProgressEvent]
    seconds: float


class Subject:
    """A backend under test.

    Parameters
    ----------
    name : str
        Of the backend.
    programs : mapping
        The named programs that it is tested on.
    tol : float
        What is asked of every solve.
    time_limit, time_slack : float
        Seconds to ask for where time limits are tested, and by how much to be late.
    options : mapping
        Options for every solve.
    patience : float
        Seconds after which a solve is given up, where the backend can be told so.
    """

    def __init__(
        self,
        name: str,
        programs: Mapping[str, NamedProgram],
        tol: float = 1e-6,
        time_limit: float = 0.3,
        time_slack: float = 3.0,
        options: Mapping[str, object] | None = None,
        patience: float = 30.0,
    ) -> None:
        self.name: str = name
        self.programs: Mapping[str, NamedProgram] = programs
        self.tol: float = tol
        self.time_limit: float = time_limit
        self.time_slack: float = time_slack
        self.options: dict[str, object] = as_options(options)
        self.patience: float = patience
        self._probed: Availability | None = None
        self._raw: dict[str, Answer | Failed] = {}
        self._reachable: dict[str, bool] = {}

    @property
    def info(self) -> BackendInfo:
        """What the backend registered.

        Raises
        ------
        Skipped
            If it is not registered, which is a matter of the check `registration_found`.
        """
        try:
            return registry().infos()[self.name]
        except KeyError as error:
            raise Skipped(f"no backend {self.name!r} is registered") from error

    def need_ready(self) -> None:
        """Skip what needs a backend that runs here, if it does not."""
        if self._probed is None:
            self._probed = registry().probe(self.info)
        found = self._probed
        if found.state not in (State.READY, State.UNKNOWN):
            raise Skipped(f"{self.name!r} cannot be used here: {found.state.value}, {found.reason}")

    def need_route(self, program: Program, direct: bool = False) -> None:
        """Skip what needs a way to the backend (or the direct one), if there is none."""
        try:
            route = find_route(self.info, program)
        except UnsupportedProgram as error:
            raise Skipped(error.message.split(". ")[0]) from error
        refusal = self.info.refuses(program) if route is Route.DIRECT else ""
        if refusal:
            raise Skipped(f"{self.name!r} refuses it: {refusal}")
        if direct and route is not Route.DIRECT:
            raise Skipped(f"the program reaches {self.name!r} {route.value}")

    def can_reach(self, case: NamedProgram) -> bool:
        """Whether the backend is ready and the program has a way to it; also if it is not known."""
        if case.name not in self._reachable:
            try:
                self.need_ready()
                self.need_route(case.make())
            except Skipped:
                self._reachable[case.name] = self.name not in registry().infos()
            else:
                self._reachable[case.name] = True
        return self._reachable[case.name]

    def need_feature(self, feature: Feature) -> None:
        """Skip what needs a feature, if the backend does not declare it."""
        if feature not in self.info.features:
            raise Skipped(f"{self.name!r} does not declare Feature.{feature.name}")

    def ask(
        self,
        program: Program,
        time_limit: float | None = None,
        options: Mapping[str, object] | None = None,
    ) -> Answer:
        """Solve, and look at the backend's own word.

        Raises
        ------
        Failed
            If the backend raises or its answer is malformed.
        """
        events: list[ProgressEvent] = []
        given = {**self.options, **(options or {})}
        if time_limit is None and Feature.TIME_LIMIT in self.info.features:
            time_limit = self.patience
        before = copies(program)
        started = time.perf_counter()
        try:
            with captured() as output, observe(events.append):
                request = make_request(program, self.name, self.tol, time_limit, given)
                raw = run(request, program)
        except ReluOptError as error:
            raise Failed(f"{type(error).__name__}: {error.message}") from error
        seconds = time.perf_counter() - started
        return Answer(raw, output.text, changes(program, before), events, seconds)

    def answer(self, case: NamedProgram) -> Answer:
        """The answer to a named program, asked for once.

        Raises
        ------
        Failed
        """
        self.need_ready()
        if case.name not in self._raw:
            program = case.make()
            self.need_route(program)
            try:
                self._raw[case.name] = self.ask(program)
            except Failed as failure:
                self._raw[case.name] = failure
        found = self._raw[case.name]
        if isinstance(found, Failed):
            raise found
        return found

    def point(self, case: NamedProgram) -> tuple[RawSolution, FloatArray]:
        """The answer and its point; skipped where `answer_form` has failed."""
        try:
            raw = self.answer(case).raw
        except Failed as error:
            raise Skipped("there is no answer, see answer_form") from error
        if raw.x is None:
            raise Skipped("there is no point, see answer_form")
        return raw, raw.x

    def solve(self, program: Program, start: Any = None) -> Solution | ProgramSolution:
        """Solve through the public functions, without a limit; `start` is an earlier solution.

        Raises
        ------
        Failed
            If they raise.
        """
        self.need_ready()
        self.need_route(program)
        try:
            with captured():
                if isinstance(program, ConvexProgram):
                    return solve(program, self.name, self.tol, None, start, self.options)
                return solve_program(program, self.name, self.tol, None, start, self.options)
        except ReluOptError as error:
            raise Failed(f"{type(error).__name__}: {error.message}") from error

    def others(self, case: NamedProgram, same_size: bool = False) -> list[NamedProgram]:
        """Other solvable programs of its type that can reach the backend, the likest first."""
        size = _size(case.make())
        found: list[tuple[bool, bool, NamedProgram]] = []
        for each in self.programs.values():
            if each.kind is case.kind and each.outcome == "optimal" and each is not case:
                program = each.make()
                other = _size(program) != size
                if self.has_route(program) and not (same_size and other):
                    found.append((other, each.family != case.family, each))
        return [each for *_, each in sorted(found, key=lambda entry: entry[:2])]

    def has_route(self, program: Program) -> bool:
        """Whether there is a way to the backend."""
        return route_or_none(self.info, program) is not None


def _size(program: Program) -> tuple[int, ...]:
    return program.weights_shape if isinstance(program, ConvexProgram) else program.c.shape
