"""Every promise of the contract that can be tested from outside, as a plain function.

`check_backend` runs them without pytest; `relu_opt.testing.conformance` makes tests of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from relu_opt.errors import DataError, did_you_mean
from relu_opt.testing import answers, behaviour
from relu_opt.testing.named import NamedProgram
from relu_opt.testing.programs import LARGE, PROGRAMS
from relu_opt.testing.subject import Failed, Skipped, Subject


@dataclass(frozen=True)
class CheckResult:
    """What one check found.

    Attributes
    ----------
    check : str
        Name of the check.
    program : str
        Name of the program; empty where the check needs none.
    outcome : str
        `passed`, `failed` or `skipped`.
    detail : str
        What was found, what is wrong, or why the check does not apply.
    seconds : float
    """

    check: str
    program: str
    outcome: Literal["passed", "failed", "skipped"]
    detail: str
    seconds: float


Programs = Mapping[str, NamedProgram]
T = TypeVar("T")


@dataclass(frozen=True)
class Check:
    """A promise, and the programs that it is tested on.

    Attributes
    ----------
    run : callable
        Called with the subject, and with a program unless `choose` is None. Returns what it found,
        and raises `Failed` or `Skipped`. Its name is the check's, its docstring the promise.
    choose : callable or None
        The programs, out of those that are named.
    """

    run: Callable[..., str]
    choose: Callable[[Programs], Programs] | None = None

    @property
    def name(self) -> str:
        """Of the check."""
        return self.run.__name__

    def cases(self, programs: Programs) -> list[NamedProgram | None]:
        """What to run the check on: programs, or None once."""
        return [None] if self.choose is None else list(self.choose(programs).values())


def _every(programs: Programs) -> Programs:
    return programs


def _solvable(programs: Programs) -> Programs:
    return {name: case for name, case in programs.items() if case.outcome == "optimal"}


def _hopeless(programs: Programs) -> Programs:
    return {name: case for name, case in programs.items() if case.outcome != "optimal"}


def _one_of_each(programs: Programs) -> Programs:
    """The first solvable program of each family."""
    first: dict[str, NamedProgram] = {}
    for case in _solvable(programs).values():
        first.setdefault(case.family, case)
    return {case.name: case for case in first.values()}


def _large(programs: Programs) -> Programs:
    return LARGE


CHECKS: dict[str, Check] = {
    check.name: check
    for check in (
        Check(behaviour.registration_found),
        Check(behaviour.registration_declared),
        Check(behaviour.registration_light),
        Check(behaviour.registration_load),
        Check(behaviour.probe_ready),
        Check(behaviour.options_declared),
        Check(behaviour.options_unknown),
        Check(answers.answer_form, _solvable),
        Check(answers.answer_word, _solvable),
        Check(answers.answer_feasible, _solvable),
        Check(answers.answer_optimal, _solvable),
        Check(answers.duals_signs, _solvable),
        Check(answers.duals_optimal, _solvable),
        Check(answers.outcome_told, _hopeless),
        Check(answers.outcome_empty, _hopeless),
        Check(answers.outcome_ray, _hopeless),
        Check(behaviour.state_inputs, _every),
        Check(behaviour.state_independent, _one_of_each),
        Check(behaviour.output_quiet, _every),
        Check(behaviour.options_common, _one_of_each),
        Check(behaviour.progress_events, _one_of_each),
        Check(behaviour.start_warm, _one_of_each),
        Check(behaviour.limits_time, _large),
    )
}


def run_check(check: Check, subject: Subject, case: NamedProgram | None) -> CheckResult:
    """One check; whatever a backend raises is a failure of that check."""
    started = time.perf_counter()
    outcome: Literal["passed", "failed", "skipped"] = "passed"
    try:
        detail = check.run(subject) if case is None else check.run(subject, case)
    except Skipped as reason:
        outcome, detail = "skipped", str(reason)
    except Failed as failure:
        outcome, detail = "failed", str(failure)
    except Exception as error:  # noqa: BLE001 - a stranger's backend may raise anything
        outcome, detail = "failed", f"{type(error).__name__} leaked: {error}"
    seconds = time.perf_counter() - started
    return CheckResult(check.name, "" if case is None else case.name, outcome, detail, seconds)


def check_backend(
    name: str,
    tol: float = 1e-6,
    programs: Programs | Collection[str] | None = None,
    time_limit: float = 0.3,
    time_slack: float = 3.0,
    checks: Collection[str] | None = None,
    options: Mapping[str, object] | None = None,
    patience: float = 30.0,
) -> list[CheckResult]:
    """Check a registered backend against the contract.

    Parameters
    ----------
    name : str
        Of the backend.
    tol : float
        The tolerance that is asked of every solve, and that answers are measured against.
    programs : collection of str, or mapping, optional
        The named programs to solve: names of `PROGRAMS`, or your own by name; all `PROGRAMS` if
        left out.
    time_limit, time_slack : float
        Seconds to ask for where time limits are tested, and by how much to be late.
    checks : collection of str, optional
        Names of the checks to run; all if left out.
    options : mapping, optional
        Options for every solve, such as the backend's own.
    patience : float
        Seconds after which a solve is given up, where the backend can be told so.

    Returns
    -------
    list of CheckResult
        One for each check and program, in the order of `CHECKS`. What does not apply is there
        too, as `skipped`.

    Raises
    ------
    DataError
        If there is no check, or no program, of a name that is given.
    """
    named: Programs = (
        programs if isinstance(programs, Mapping) else _picked(PROGRAMS, programs, "program")
    )
    subject = Subject(name, named, tol, time_limit, time_slack, options, patience)
    return [
        run_check(check, subject, case)
        for check in _picked(CHECKS, checks, "check").values()
        for case in check.cases(named)
    ]


def _picked(known: Mapping[str, T], names: Collection[str] | None, what: str) -> dict[str, T]:
    """Those of these names, or all."""
    for name in names or ():
        if name not in known:
            raise DataError(f"There is no {what} {name!r}. {did_you_mean(name, known)}", name=name)
    return {name: known[name] for name in (known if names is None else names)}
