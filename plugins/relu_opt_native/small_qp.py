r"""Small dense quadratic programs, by proximal points and exact solution on the active set.

    minimise  ½xᵀPx + cᵀx   subject to   row_lower ≤ Ax ≤ row_upper,  lower ≤ x ≤ upper

P may be singular, and zero. daqp, a dual active-set method, solves the strictly convex programs

    x⁺ = argmin  ½xᵀPx + cᵀx + ½ε‖x − x̄‖²

of the proximal point method, in units that suit its absolute tolerances. The equations of
optimality on the active set that it finds are then solved without ε, which is exact as soon as
the set is right: most often after the first step. What is handed on has the smallest gap and
residuals, as the core measures them.

That there is no answer is said when one of two programs, which always have one, proves it with a
ray: the least violation of the rows among all x in their bounds is not zero; or the objective falls
along a direction in which nothing ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np
from scipy.sparse import csc_array, diags_array, vstack

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.errors import BackendUnavailable
from relu_opt.optimality import measure
from relu_opt.optimality.rays import descent_for_ever, proves_infeasible
from relu_opt.plugins.types import RawSolution, SolveOptions, StopReason
from relu_opt.program.embedding import factor
from relu_opt.program.linear import QuadraticProgram
from relu_opt_native.dense import DenseProgram

# daqp's exit flags, and what they mean if no answer is good. Its programs here are strictly
# convex and have nothing soft. It sees contradictions too soon now and then: see `_no_answer`.
FLAGS = {
    2: ("soft optimal", StopReason.UNKNOWN),
    1: ("optimal", StopReason.NUMERICAL),
    -1: ("infeasible", StopReason.NUMERICAL),
    -2: ("cycling detected", StopReason.NUMERICAL),
    -3: ("unbounded", StopReason.NUMERICAL),
    -4: ("iteration limit reached", StopReason.ITERATION_LIMIT),
    -5: ("nonconvex", StopReason.NUMERICAL),
    -6: ("initial working set overdetermined", StopReason.NUMERICAL),
    -7: ("time limit reached", StopReason.TIME_LIMIT),
    -8: ("unsupported problem", StopReason.UNKNOWN),
}
OPTIMAL, OUT_OF_TIME = 1, -7


@dataclass(frozen=True)
class Attempt:
    """ε, daqp's tolerance, and whether the mean side gets size one (otherwise the largest)."""

    eps: float
    tol: float
    mean: bool = False


# Tried one after the other until an answer is good. The first is enough for nearly every program.
ATTEMPTS = (
    Attempt(1e-5, 1e-8),
    Attempt(1e-5, 1e-8, mean=True),
    Attempt(1e-9, 1e-8),
    Attempt(1e-3, 1e-7, mean=True),
    Attempt(1e-8, 1e-8, mean=True),
    Attempt(1e-2, 1e-6),
)
# daqp's own 3.7e-11 takes rows for dependent that are not, and then for contradictory.
SINGULAR = 1e-13
STEPS = 20

# What error to try for, as a share of the tolerance and at the least, and which is good enough not
# to ask whether there is an answer at all.
SAFETY = 0.1
TIGHTEST = 1e-12
LOOSE = 1e-6

# How exactly to know, in scaled units, that there is no answer.
EXACT = 1e-10


@dataclass(frozen=True, eq=False)
class Answer:
    """A point, multipliers of the rows, and the largest of their gap and residuals."""

    x: FloatArray
    y: FloatArray
    error: float

    @classmethod
    def of(cls, program: QuadraticProgram, x: FloatArray, y: FloatArray) -> Answer:
        """Measure a point, moved into its bounds, and multipliers without impossible signs."""
        x = np.clip(x, program.lower, program.upper)
        y = np.where(np.isinf(program.row_upper), np.minimum(y, 0.0), y)
        y = np.where(np.isinf(program.row_lower), np.maximum(y, 0.0), y)
        found = measure(program, x, y)
        gap = found.rel_gap
        if not np.isfinite(gap):
            # No bound: the gap without the stray multipliers, which count by themselves.
            objective = program.objective(x)
            gap = (objective - program.dual_objective(x, y)) / max(1.0, abs(objective))
        error = max(abs(gap), found.primal, found.dual)
        return cls(x, y, error if np.isfinite(error) else np.inf)


@dataclass(frozen=True, eq=False)
class Found:
    """The best answer to a program, if there is one, daqp's last exit flag, and the work done."""

    answer: Answer | None = None
    flag: int = OPTIMAL
    steps: int = 0
    iterations: int = 0

    @property
    def error(self) -> float:
        return np.inf if self.answer is None else self.answer.error

    def then(self, other: Found) -> Found:
        """Both, with the better answer."""
        best = other.answer if other.error < self.error else self.answer
        steps, iterations = self.steps + other.steps, self.iterations + other.iterations
        return Found(best, other.flag, steps, iterations)

    def is_done(self, goal: float) -> bool:
        """Whether to go on makes no sense."""
        return self.error <= goal or self.flag == OUT_OF_TIME


def solve_qp(program: QuadraticProgram, options: SolveOptions) -> RawSolution:
    """Solve a small program.

    Raises
    ------
    DataError
        If P is not positive semidefinite.
    """
    clock = Clock(options.time_limit)
    goal = max(TIGHTEST, SAFETY * options.tol)
    L = factor(program.P)
    found = _search(program, goal, clock, ATTEMPTS[:1], options.warm_start)
    if found.error > LOOSE and not found.is_done(goal):
        shown = _no_answer(program, L, clock)
        if shown is not None:
            word = f"{_word(found.flag)}; shown to be {shown[0].value}"
            return RawSolution(shown[0], raw_status=word, stats=_stats(found), ray=shown[1])
    if not found.is_done(goal):
        others = ATTEMPTS[1:] if options.warm_start is None else ATTEMPTS
        found = found.then(_search(program, goal, clock, others))
    stop, answer = _stop(found, options.tol), found.answer
    if answer is None:
        return RawSolution(stop, raw_status=_word(found.flag), stats=_stats(found))
    return RawSolution(
        stop,
        answer.x,
        answer.y,
        raw_status=_word(found.flag),
        objective=program.objective(answer.x),
        stats=_stats(found),
    )


def _search(
    program: QuadraticProgram,
    goal: float,
    clock: Clock,
    attempts: Sequence[Attempt] = ATTEMPTS,
    start: FloatArray | None = None,
) -> Found:
    """Attempts, one after the other, until one reaches the goal."""
    if not program.columns:
        return Found(Answer.of(program, program.c, np.zeros(program.rows)))
    found = Found()
    for attempt in attempts:
        found = found.then(_proximal_points(program, attempt, goal, clock, start))
        if found.is_done(goal):
            break
    return found


def _proximal_points(
    program: QuadraticProgram,
    attempt: Attempt,
    goal: float,
    clock: Clock,
    start: FloatArray | None,
) -> Found:
    """Steps of the proximal point method until the goal is reached or daqp fails."""
    dense, eps = DenseProgram.of(program, attempt.mean), attempt.eps
    k, found, active = len(dense.c), Found(), b""
    centre = np.zeros(k) if start is None else start / dense.columns
    model = _library().Model()
    model.settings = {"primal_tol": attempt.tol, "eps_prox": 0.0, "sing_tol": SINGULAR}
    cost = dense.P + eps * np.eye(k), dense.c - eps * centre
    sides = dense.upper, dense.lower
    flag = model.setup(*cost, dense.A, *sides, primal_start=None if start is None else centre)[0]
    if flag < 0:
        return Found(flag=flag)
    for _ in range(STEPS):
        model.settings = {"time_limit": clock.remaining or 0.0}
        x, _, flag, info = model.solve()
        found = found.then(Found(None, flag, 1, info["iterations"]))
        if flag != OPTIMAL:
            break
        multipliers = np.array(info["lam"])
        points = [(np.array(x), multipliers[k:])]
        known, active = active, np.sign(multipliers).tobytes()
        if active != known:
            points.extend(dense.exact(x, multipliers))
        for point, y in points:
            answer = Answer.of(program, dense.columns * point, dense.rows * y)
            found = found.then(Found(answer, flag))
        if found.is_done(goal):
            break
        model.update(f=dense.c - eps * x)
    return found


def _no_answer(
    program: QuadraticProgram, L: csc_array, clock: Clock
) -> tuple[StopReason, FloatArray] | None:
    """What shows that the program is infeasible or unbounded, or None where neither is."""
    for mean in (False, True):
        dense = DenseProgram.of(program, mean)
        multipliers = _least_violation(dense, clock)
        ray = None if multipliers is None else proves_infeasible(program, dense.rows * multipliers)
        if ray is not None:
            return StopReason.INFEASIBLE, ray
    direction = _steepest(dense, L @ diags_array(dense.columns), clock)
    if direction is not None:
        ray = descent_for_ever(program, dense.columns * direction)
        if ray is not None:
            return StopReason.UNBOUNDED, ray
    return None


def _least_violation(dense: DenseProgram, clock: Clock) -> FloatArray | None:
    """The rows' multipliers at the least t for which some x violates no row by more than t."""
    k = len(dense.c)
    lower, upper = dense.lower[k:], dense.upper[k:]
    below, above = np.isfinite(lower), np.isfinite(upper)
    slack = np.r_[np.ones(below.sum()), -np.ones(above.sum())]
    program = QuadraticProgram(
        P=csc_array((k + 1, k + 1)),
        c=np.r_[np.zeros(k), 1.0],
        A=np.column_stack([np.vstack([dense.A[below], dense.A[above]]), slack]),
        row_lower=np.r_[lower[below], np.full(above.sum(), -np.inf)],
        row_upper=np.r_[np.full(below.sum(), np.inf), upper[above]],
        lower=np.r_[dense.lower[:k], 0.0],
        upper=np.r_[dense.upper[:k], np.inf],
    )
    answer = _search(program, EXACT, clock).answer
    if answer is None:
        return None
    multipliers, count = np.zeros(len(lower)), int(below.sum())
    multipliers[below] = answer.y[:count]
    multipliers[above] += answer.y[count:]
    return multipliers


def _steepest(dense: DenseProgram, L: csc_array, clock: Clock) -> FloatArray | None:
    """The direction d, Ld = 0, in which no bound is ever met and cᵀd is least."""
    k = len(dense.c)
    slope, flat = np.abs(dense.c).max(initial=0.0), np.zeros(L.shape[0])
    if slope == 0 or len(flat) == k:
        return None
    below, above = np.isfinite(dense.lower), np.isfinite(dense.upper)
    program = QuadraticProgram(
        P=csc_array((k, k)),
        c=dense.c / slope,
        A=vstack([L, csc_array(dense.A)]),
        row_lower=np.r_[flat, np.where(below[k:], 0.0, -np.inf)],
        row_upper=np.r_[flat, np.where(above[k:], 0.0, np.inf)],
        lower=np.where(below[:k], 0.0, -1.0),
        upper=np.where(above[:k], 0.0, 1.0),
    )
    answer = _search(program, EXACT, clock).answer
    return None if answer is None else answer.x


def _stop(found: Found, tol: float) -> StopReason:
    if found.error <= tol:
        return StopReason.CONVERGED
    if found.flag != OUT_OF_TIME and found.error <= LOOSE:
        return StopReason.CONVERGED_LOOSE
    return FLAGS.get(found.flag, ("", StopReason.UNKNOWN))[1]


def _word(flag: int) -> str:
    return f"{flag}: {FLAGS.get(flag, ('unknown', StopReason.UNKNOWN))[0]}"


def _stats(found: Found) -> dict[str, object]:
    return {
        "solver": "daqp",
        "daqp": _version(),
        "steps": found.steps,
        "iterations": found.iterations,
    }


@cache
def _version() -> str:
    return version("daqp")


def _library() -> Any:
    """daqp, imported at its first use."""
    try:
        import daqp
    except ImportError as error:
        raise BackendUnavailable(
            f"Quadratic programs need the package daqp, which cannot be imported: {error}. Install "
            "it with pip install daqp, or use another backend.",
            backend="native",
        ) from error
    return daqp
