"""The conformance kit as a pytest class.

::

    from relu_opt.testing import BackendConformance


    class TestMine(BackendConformance):
        backend = "mine"

Each check of `relu_opt.testing.checks` is a test, each program one line of the report. Programs
that cannot reach the backend make no tests (`check_backend` says why); what else does not apply is
skipped, with the reason.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import pytest

from relu_opt.errors import DataError, did_you_mean
from relu_opt.testing.checks import CHECKS, run_check
from relu_opt.testing.named import NamedProgram
from relu_opt.testing.programs import PROGRAMS
from relu_opt.testing.subject import Subject


class BackendConformance:
    """Tests of one backend; subclass it and set `backend`.

    Attributes
    ----------
    backend : str
        Name of the backend, which has to be registered.
    tol : float
        The tolerance that is asked of every solve, and that answers are measured against.
    time_limit, time_slack : float
        Seconds to ask for where time limits are tested, and by how much to be late.
    options : mapping
        Options for every solve, such as the backend's own.
    patience : float
        Seconds after which a solve is given up, where the backend can be told so.
    excludes : mapping
        What to skip, and why: `"test_name"`, `"program name"` or `"test_name[program name]"` to a
        reason. A key that names nothing is an error.
    programs : mapping
        The named programs to solve: add your own with `{**PROGRAMS, "lp_mine": …}`.
    """

    backend: ClassVar[str] = ""
    tol: ClassVar[float] = 1e-6
    time_limit: ClassVar[float] = 0.3
    time_slack: ClassVar[float] = 3.0
    options: ClassVar[Mapping[str, object]] = {}
    patience: ClassVar[float] = 30.0
    excludes: ClassVar[Mapping[str, str]] = {}
    programs: ClassVar[Mapping[str, NamedProgram]] = PROGRAMS
    _subject: ClassVar[Subject]

    def __init_subclass__(cls) -> None:
        """Refuse excludes that name nothing, so that a misspelled one does not hide."""
        super().__init_subclass__()
        cls._subject = Subject(
            cls.backend,
            cls.programs,
            cls.tol,
            cls.time_limit,
            cls.time_slack,
            cls.options,
            cls.patience,
        )
        known = _keys(cls.programs)
        for key, reason in cls.excludes.items():
            if key not in known:
                raise DataError(
                    f"excludes of {cls.__name__} names {key!r}, which is no test and no program. "
                    f"{did_you_mean(key, known)}",
                    key=key,
                )
            if not isinstance(reason, str) or not reason.strip():
                raise DataError(f"excludes of {cls.__name__} gives no reason for {key!r}.", key=key)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One test for each program that a check is made on, and that can reach the backend.

        Where none can, one is left, to be skipped with the reason.
        """
        if "program" in metafunc.fixturenames:
            check = CHECKS[metafunc.function.__name__.removeprefix("test_")]
            cases = [case for case in check.cases(self.programs) if case is not None]
            reachable = [case for case in cases if self._subject.can_reach(case)]
            metafunc.parametrize("program", [case.name for case in reachable or cases[:1]])

    def _run(self, name: str, program: str | None = None) -> None:
        """Run a check, and tell pytest of its outcome."""
        if not self.backend:
            pytest.fail(f"{type(self).__name__} has to set backend = 'name'", pytrace=False)
        test = f"test_{name}"
        for key in (test, program or test, f"{test}[{program}]"):
            if key in self.excludes:
                pytest.skip(f"excluded: {self.excludes[key]}")
        check = CHECKS[name]
        cases = {case.name: case for case in check.cases(self.programs) if case is not None}
        found = run_check(check, self._subject, None if program is None else cases[program])
        if found.outcome == "skipped":
            pytest.skip(found.detail)
        if found.outcome == "failed":
            pytest.fail(f"{self.backend!r} breaks a promise: {found.detail}", pytrace=False)


def _keys(programs: Mapping[str, NamedProgram]) -> set[str]:
    """What excludes may name."""
    keys = {f"test_{name}" for name in CHECKS}
    for name, check in CHECKS.items():
        for case in check.cases(programs):
            if case is not None:
                keys |= {case.name, f"test_{name}[{case.name}]"}
    return keys


def _test_of(name: str) -> Callable[..., None]:
    """The test of a check."""
    check = CHECKS[name]
    if check.choose is None:

        def test(self: BackendConformance) -> None:
            self._run(name)
    else:

        def test(self: BackendConformance, program: str) -> None:  # type: ignore[misc]
            self._run(name, program)

    test.__name__ = f"test_{name}"
    test.__qualname__ = f"BackendConformance.test_{name}"
    test.__doc__ = check.run.__doc__
    return test


for _name in CHECKS:
    setattr(BackendConformance, f"test_{_name}", _test_of(_name))
