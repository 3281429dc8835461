"""Quadratic programs by HiGHS, whose word on them does not count for much.

Its method adds a small multiple of the identity to P. Without, it fails where P is singular, which
is the rule in column generation; with it, the answer is off by as much. It can go round in circles,
and call programs unbounded that are not; far less so where all variables have bounds. So it tries
in turn, under limits, with little regularisation and in a box, with more, and without the box; what
counts is the core's measure of the answer, by the program as it was. The first trial will do for
nearly all.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from relu_opt.plugins.types import RawSolution, StopReason
from relu_opt.program.linear import QuadraticProgram
from relu_opt.proof.verdict import Verdict
from relu_opt_pyomo.attempt import Found, Request, attempt, stop_by_distance

# Iterations of all trials but the last, per variable and row; one or two are usual.
PATIENCE, LEAST_PATIENCE = 10, 500


@dataclass(frozen=True)
class Trial:
    """How much HiGHS adds to the diagonal, and the box, in units of the likely size of x."""

    regularization: float
    box: float = np.inf


TRIALS = (Trial(1e-12, 1e3), Trial(1e-10, 1e3), Trial(0.0), Trial(1e-12), Trial(1e-7))
# No further trial changes these; of infeasibility the box may be the cause.
SETTLED = (StopReason.TIME_LIMIT, StopReason.INTERRUPTED)


def needs_trials(request: Request) -> bool:
    """Whether HiGHS gets a quadratic program."""
    program = request.program
    curved = isinstance(program, QuadraticProgram) and program.P.nnz > 0
    return curved and request.solver == "highs"


def solve_by_trials(request: Request) -> RawSolution:
    """Solve a quadratic program by HiGHS."""
    program = request.program
    assert isinstance(program, QuadraticProgram)  # noqa: S101 - `needs_trials` saw to it
    found: list[Found] = []
    for trial in TRIALS:
        settings: dict[str, object] = {"qp_regularization_value": trial.regularization}
        if trial is not TRIALS[-1]:
            patience = PATIENCE * (program.columns + program.rows)
            settings["qp_iteration_limit"] = max(LEAST_PATIENCE, patience)
        last = attempt(request, settings, boxed(program, trial.box))
        found.append(last)
        if last.verdict is Verdict.CERTIFIED:
            return replace(last.raw, stop=StopReason.CONVERGED)
        if last.raw.stop is StopReason.INFEASIBLE and not np.isfinite(trial.box):
            return last.raw
        if last.raw.stop in SETTLED:
            break
    return _best(found)


def _best(found: list[Found]) -> RawSolution:
    """Of answers that all miss the tolerance."""
    best, last = min(found, key=lambda each: each.distance), found[-1].raw
    if last.stop in SETTLED:
        return replace(best.raw, stop=last.stop, raw_status=last.raw_status)
    stop = stop_by_distance(best.distance)
    if stop is StopReason.NUMERICAL:
        # In a box nothing is unbounded, but nor is the answer then a good one.
        unbounded = (each.raw for each in found if each.raw.stop is StopReason.UNBOUNDED)
        return next(unbounded, replace(best.raw, stop=stop))
    return replace(best.raw, stop=stop)


def boxed(program: QuadraticProgram, size: float) -> QuadraticProgram:
    """The program with bounds where it has none, `size` times the likely size of x away."""
    if not np.isfinite(size):
        return program
    diagonal = program.P.diagonal()
    curved = diagonal > 0
    # Where each variable would go alone.
    alone = np.abs(program.c[curved]) / diagonal[curved]
    far = size * max(1.0, float(alone.max(initial=0.0)))
    lower, upper = program.lower, program.upper
    return replace(
        program,
        lower=np.where(np.isfinite(lower), lower, np.minimum(upper, 0.0) - far),
        upper=np.where(np.isfinite(upper), upper, np.maximum(lower, 0.0) + far),
    )
