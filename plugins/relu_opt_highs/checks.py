"""HiGHS' word against the program."""

from __future__ import annotations

from relu_opt.arrays import FloatArray
from relu_opt.optimality import prove
from relu_opt.plugins.types import StopReason
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.proof.verdict import Verdict

# An answer that misses the tolerance, and meets this one, is called loose.
LOOSE = 1e-4


def is_good(
    program: LinearProgram | QuadraticProgram,
    x: FloatArray | None,
    y: FloatArray | None,
    tol: float,
) -> bool:
    """Whether gap and residuals are within the tolerance; without y, feasibility alone."""
    if x is None:
        return False
    return prove(program, x, y, tol).verdict is not Verdict.NOT_CERTIFIED


def checked_stop(
    program: LinearProgram | QuadraticProgram,
    stop: StopReason,
    x: FloatArray | None,
    y: FloatArray | None,
    tol: float,
) -> StopReason:
    """The stop reason; "converged" only if the answer shows it."""
    if stop is not StopReason.CONVERGED or is_good(program, x, y, tol):
        return stop
    loose = is_good(program, x, y, max(tol, LOOSE))
    return StopReason.CONVERGED_LOOSE if loose else StopReason.NUMERICAL
