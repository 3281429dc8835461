"""Answers to standard programs: of real backends, spoiled ones, and pure inventions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

import relu_opt as ro
from relu_opt.errors import DataError, ReluOptError, SolveFailed, UnsupportedProgram
from relu_opt.plugins.manager import registry
from relu_opt.plugins.types import RawSolution, StopReason
from relu_opt.program import ConicProgram
from relu_opt.testing.fakes import fake

from .data import Rng
from .programs import KINDS, Known, Program
from .registry import tiny
from .trials import Trial, fault

TOL = 1e-8
BACKENDS = ("native", "highs", "clarabel")
# How far a certified objective may be from the optimum, and a right answer, in tolerances.
ALLOWED, RIGHT = 10.0, 1.0


def judged(known: Known, solve: Callable[[], ro.ProgramSolution]) -> tuple[str, str]:
    """What was said of an answer, and what is false about it."""
    try:
        found = solve()
    except UnsupportedProgram:
        return "refused", ""
    except SolveFailed as error:
        return _no_answer(known, error)
    except DataError as error:
        return "refused", "" if known.outcome == "nonconvex" else f"refused: {error}"
    except ReluOptError as error:
        return "refused", "" if error.message else "an error without a message"
    except Exception as error:  # noqa: BLE001 - any other error is what is looked for
        return "error", fault(error)
    said = found.verdict.value
    if said != "certified":
        return said, ""
    if known.optimum is None:
        return said, f"certified at {found.objective!r}, and the program is {known.outcome}"
    apart = abs(found.objective - float(known.optimum))
    if not apart <= ALLOWED * TOL * size_of(known):
        return said, f"certified at {found.objective!r}, and the optimum is {known.optimum}"
    return said, ""


def size_of(known: Known) -> float:
    """What an error of the objective is relative to: its terms, and a little of its costs."""
    costs = float(np.abs(known.program.c).max(initial=0.0))
    if isinstance(known.program, ro.QuadraticProgram):
        costs = max(costs, float(known.program.P.diagonal().max(initial=0.0)))
    return max(abs(float(known.optimum or 0)), known.size, 0.01 * costs)


def _no_answer(known: Known, error: SolveFailed) -> tuple[str, str]:
    stop = error.fields.get("stop")
    if stop not in (StopReason.INFEASIBLE, StopReason.UNBOUNDED):
        return "refused", ""
    if not error.fields["proved"]:
        return f"{stop.value}, claimed", ""
    false = stop.value != known.outcome
    return f"{stop.value}, proved", f"but the program is {known.outcome}" if false else ""


def is_right(known: Known, found: ro.ProgramSolution) -> bool:
    """Whether an answer is right by the planted optimum and the constraints themselves."""
    if known.optimum is None:
        return False
    near = abs(found.objective - float(known.optimum)) <= RIGHT * TOL * size_of(known)
    program = known.program
    if isinstance(program, ConicProgram):
        violation = program.residuals(found.x, np.zeros(len(program.b)))[0]
        return near and violation <= 1e-9 * (1 + np.abs(found.x).max(initial=0.0))
    return near and program.violation(found.x) <= 1e-9 * (1 + np.abs(found.x).max(initial=0.0))


def real(kind: str, rng: Rng, backend: str) -> Trial:
    """A real backend's answer; a right one that is not certified counts as `missed`."""
    known = KINDS[kind](rng)
    answers = []

    def solve() -> ro.ProgramSolution:
        answers.append(ro.solve_program(known.program, backend, tol=TOL))
        return answers[-1]

    said, failure = judged(known, solve)
    missed = answers and said != "certified" and is_right(known, answers[-1])
    return Trial((backend,), "missed" if missed and not failure else said, failure)


class Liar:
    """A backend that gives one answer to whatever it is asked."""

    raw = RawSolution(StopReason.UNKNOWN)

    def lie(self, solve: object, program: Program, options: object) -> RawSolution:
        """The answer, or zeros for programs of another size."""
        raw, size, rows = self.raw, len(program.c), program.A.shape[0]
        fits = raw.x is None or len(raw.x) == size
        fits &= raw.duals is None or len(raw.duals) == rows
        if raw.ray is not None:
            fits &= len(raw.ray) == (size if raw.stop is StopReason.UNBOUNDED else rows)
        if fits:
            return raw
        return RawSolution(StopReason.CONVERGED, np.zeros(size), np.zeros(rows), None, "lie")


LIAR = Liar()


def lied(kind: str, rng: Rng) -> Trial:
    """An answer that is true, spoiled, or made up."""
    if "liar" not in registry().infos():
        registry().add("liar", "the adversary", lambda: fake(LIAR.lie, None, name="liar"))
    known = KINDS[kind](rng)
    name = str(rng.choice(sorted(LIES)))
    LIAR.raw = LIES[name](known, rng)
    said, failure = judged(known, lambda: ro.solve_program(known.program, "liar", tol=TOL))
    return Trial((name,), said, failure)


def _base(known: Known, rng: Rng) -> tuple[np.ndarray, np.ndarray | None]:
    program = known.program
    size, rows = len(program.c), program.A.shape[0]
    x = rng.normal(size=size) if known.x is None else known.x
    y = rng.normal(size=rows) if known.y is None else known.y
    return np.array(x, dtype=float), np.array(y, dtype=float)


def _answer(x: np.ndarray, y: np.ndarray | None) -> RawSolution:
    return RawSolution(StopReason.CONVERGED, x, y, raw_status="optimal")


def truth(known: Known, rng: Rng) -> RawSolution:
    """The planted point and multipliers."""
    return _answer(*_base(known, rng))


def moved_point(known: Known, rng: Rng) -> RawSolution:
    """The point moved a little, or much."""
    x, y = _base(known, rng)
    step = tiny(rng) * rng.normal(size=len(x)) * (rng.random(len(x)) < 0.5)
    return _answer(x + step * max(1.0, np.abs(x).max(initial=0.0)), y)


def moved_multipliers(known: Known, rng: Rng) -> RawSolution:
    """The multipliers moved."""
    x, y = _base(known, rng)
    assert y is not None
    step = tiny(rng) * rng.normal(size=len(y)) * max(1.0, np.abs(y).max(initial=0.0))
    return _answer(x, y + step)


def both_moved(known: Known, rng: Rng) -> RawSolution:
    """Point and multipliers moved."""
    x = moved_point(known, rng).x
    assert x is not None
    return _answer(x, moved_multipliers(known, rng).duals)


def nothing(known: Known, rng: Rng) -> RawSolution:
    """Zeros."""
    x, y = _base(known, rng)
    assert y is not None
    return _answer(0 * x, 0 * y if rng.random() < 0.5 else y)


def scaled(known: Known, rng: Rng) -> RawSolution:
    """The point, or the multipliers, times a factor."""
    x, y = _base(known, rng)
    assert y is not None
    factor = 1 + rng.choice([-1, 1]) * tiny(rng)
    return _answer(x * factor, y) if rng.random() < 0.5 else _answer(x, y * factor)


def clipped(known: Known, rng: Rng) -> RawSolution:
    """A random point in the bounds."""
    x, y = _base(known, rng)
    x = 10 ** rng.uniform(-6, 6) * rng.normal(size=len(x))
    program = known.program
    if not isinstance(program, ConicProgram):
        x = np.clip(x, program.lower, program.upper)
    return _answer(x, y)


def huge(known: Known, rng: Rng) -> RawSolution:
    """Numbers near the end of doubles."""
    x, y = _base(known, rng)
    assert y is not None
    size = 10.0 ** rng.uniform(100, 290)
    return _answer(x * size, y) if rng.random() < 0.5 else _answer(x, y * size)


def says_infeasible(known: Known, rng: Rng) -> RawSolution:
    """A claim of infeasibility, with a ray or without."""
    _, y = _base(known, rng)
    assert y is not None
    if known.ray is not None and len(known.ray) == len(y):
        y = known.ray
    if rng.random() < 0.5:
        y = y + tiny(rng) * rng.normal(size=len(y))
    ray = None if rng.random() < 0.2 else y
    return RawSolution(StopReason.INFEASIBLE, raw_status="infeasible", ray=ray)


def says_unbounded(known: Known, rng: Rng) -> RawSolution:
    """A claim of unboundedness, with a ray or without."""
    x, _ = _base(known, rng)
    d = known.ray if known.ray is not None and len(known.ray) == len(x) else rng.normal(size=len(x))
    if rng.random() < 0.5:
        d = d + tiny(rng) * rng.normal(size=len(x))
    ray = None if rng.random() < 0.2 else d
    return RawSolution(StopReason.UNBOUNDED, raw_status="unbounded", ray=ray)


def claims_a_bound(known: Known, rng: Rng) -> RawSolution:
    """A point that is not the best, with a bound that says so."""
    raw = moved_point(known, rng)
    assert raw.x is not None
    x = np.rint(raw.x)
    return replace(raw, x=x, bound=float(known.program.objective(x)))


LIES: dict[str, Callable[[Known, Rng], RawSolution]] = {
    each.__name__: each
    for each in (
        truth,
        moved_point,
        moved_multipliers,
        both_moved,
        nothing,
        scaled,
        clipped,
        huge,
        says_infeasible,
        says_unbounded,
        claims_a_bound,
    )
}
