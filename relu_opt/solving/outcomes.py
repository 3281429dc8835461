"""Whether a program has no optimum, as a backend says: proved by a ray, or a claim.

A backend may return a ray. Where it does not, or where the ray does not hold, the same backend is
asked for one: by the least violation of the rows, or by the steepest direction in which nothing
ends. Both are programs that always have an optimum, so that a backend whose word is empty has
nothing to show.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import SolveFailed
from relu_opt.optimality.form import Form, StandardProgram
from relu_opt.optimality.mending import mended_point, prove
from relu_opt.optimality.rays import elastic, proves_infeasible, proves_unbounded, recession
from relu_opt.plugins.types import RawSolution, StopReason
from relu_opt.program.conic import ConicProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.solving.asking import LEAST_TOL, TOL, Asking
from relu_opt.solving.branching import covered

# Seconds to look for a contradiction among integers, where no time limit is given.
PATIENCE = 10.0


def no_optimum(program: StandardProgram, raw: RawSolution, asking: Asking) -> SolveFailed:
    """The error that says what is known: a fact with its ray, or a backend's claim."""
    look = _infeasible if raw.stop is StopReason.INFEASIBLE else _unbounded
    ray = look(program, raw.ray, asking)
    name, stop = asking.request.info.name, raw.stop
    status = raw.raw_status or "no status"
    proof = "a ray" if ray is not None else _no_whole_point(program, stop, asking)
    if not proof:
        text = (
            f"Backend {name!r} claims that the program is {stop.value} ({status}), and has shown "
            "nothing that proves it. Compare with another backend (cross_check) before you "
            f"believe it. If it is so: {stop.advice[0].lower()}{stop.advice[1:]}"
        )
    else:
        text = (
            f"The program is {stop.value}, as backend {name!r} found ({status}) and {proof} "
            f"proves. {stop.advice}"
        )
    return SolveFailed(
        text,
        backend=name,
        stop=stop,
        raw_status=raw.raw_status,
        proved=bool(proof),
        ray=ray,
    )


def _no_whole_point(program: StandardProgram, stop: StopReason, asking: Asking) -> str:
    """What proves that no point with integers meets the constraints, where points without do."""
    if stop is not StopReason.INFEASIBLE or not isinstance(program, LinearProgram):
        return ""
    if not program.is_mixed_integer:
        return ""
    costless = replace(program, c=np.zeros(program.columns))
    empty = covered(costless, None, asking, PATIENCE).bound == np.inf
    return "branching" if empty else ""


def _infeasible(
    program: StandardProgram, given: FloatArray | None, asking: Asking
) -> FloatArray | None:
    def wanted(tol: float) -> FloatArray | None:
        if isinstance(program, ConicProgram):
            return None
        least = elastic(program)
        answer = asking.answer(least, tol)
        if answer is None or answer.x is None:
            return None
        return prove(least, answer.x, answer.duals, tol).duals

    return _first(lambda y: proves_infeasible(program, y), given, wanted)


def _unbounded(
    program: StandardProgram, given: FloatArray | None, asking: Asking
) -> FloatArray | None:
    point = _feasible_point(program, asking)
    if point is None:
        return None

    def wanted(tol: float) -> FloatArray | None:
        if isinstance(program, ConicProgram):
            return None
        answer = asking.answer(recession(program), tol)
        return None if answer is None else answer.x

    return _first(lambda d: proves_unbounded(program, d, point), given, wanted)


def _first(
    proves: Callable[[FloatArray], FloatArray | None],
    given: FloatArray | None,
    wanted: Callable[[float], FloatArray | None],
) -> FloatArray | None:
    """The ray that was given, if it proves something, or one that is asked for."""
    proof = None if given is None else proves(given)
    for tol in (TOL, LEAST_TOL):
        if proof is not None:
            break
        ray = wanted(tol)
        proof = None if ray is None else proves(ray)
    return proof


def _feasible_point(program: StandardProgram, asking: Asking) -> FloatArray | None:
    """A point that meets all constraints; that it does is checked with the ray."""
    flat = np.zeros(len(program.c))
    costless: StandardProgram
    if isinstance(program, QuadraticProgram):
        costless = LinearProgram(**{**program.parts(), "c": flat})
    else:
        costless = replace(program, c=flat)
    answer = asking.answer(costless)
    if answer is None or answer.x is None:
        return None
    return mended_point(Form.of(program), answer.x)
