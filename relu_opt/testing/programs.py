"""Programs with known answers, of every type.

`PROGRAMS` are small; `LARGE` are for time limits. Every stored answer is checked by something
independent in `tests/testing/test_named_programs.py`.
"""

from __future__ import annotations

from collections.abc import Iterable

from relu_opt.testing.conic_programs import CONIC_PROGRAMS
from relu_opt.testing.large_programs import LARGE_PROGRAMS
from relu_opt.testing.linear_programs import LINEAR_PROGRAMS
from relu_opt.testing.named import NamedProgram
from relu_opt.testing.quadratic_programs import QUADRATIC_PROGRAMS
from relu_opt.testing.training_programs import TRAINING_PROGRAMS


def _by_name(programs: Iterable[NamedProgram]) -> dict[str, NamedProgram]:
    return {program.name: program for program in programs}


PROGRAMS = _by_name((*LINEAR_PROGRAMS, *QUADRATIC_PROGRAMS, *CONIC_PROGRAMS, *TRAINING_PROGRAMS))
LARGE = _by_name(LARGE_PROGRAMS)

__all__ = ["LARGE", "PROGRAMS", "NamedProgram"]
