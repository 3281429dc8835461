"""The conformance kit for authors of backends.

A whole test file::

    from relu_opt.testing import BackendConformance


    class TestMine(BackendConformance):
        backend = "mine"

Without pytest, `check_backend("mine")` gives the same results as a list.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relu_opt.testing.checks import CheckResult, check_backend
from relu_opt.testing.programs import PROGRAMS, NamedProgram

if TYPE_CHECKING:
    from relu_opt.testing.conformance import BackendConformance

__all__ = ["PROGRAMS", "BackendConformance", "CheckResult", "NamedProgram", "check_backend"]


def __getattr__(name: str) -> object:
    # pytest is needed for this one alone.
    if name == "BackendConformance":
        from relu_opt.testing.conformance import BackendConformance

        return BackendConformance
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
