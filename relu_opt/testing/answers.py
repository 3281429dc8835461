"""Checks of the answers to named programs: point, word and duals."""

from __future__ import annotations

import json

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.optimality import agreement, measure, prove
from relu_opt.optimality.rays import descent_for_ever, proves_infeasible
from relu_opt.plugins.routes import Route, find_route
from relu_opt.plugins.types import Feature, Program, RawSolution, StopReason
from relu_opt.program.conic import ConicProgram, split_rows
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.solving.standard import ProgramSolution
from relu_opt.solving.training import Solution
from relu_opt.testing.named import NamedProgram, is_mixed_integer
from relu_opt.testing.subject import Failed, Skipped, Subject

# A multiplier of a cone below this is negative, and no rounding.
LEAST_MULTIPLIER = 1e-9
CONVERGED = (StopReason.CONVERGED, StopReason.CONVERGED_LOOSE)
OUTCOMES = {"infeasible": StopReason.INFEASIBLE, "unbounded": StopReason.UNBOUNDED}


def allowed(subject: Subject) -> float:
    """What residuals and objectives may be off, relative to their scale."""
    return agreement(subject.tol)


def allowed_duals(subject: Subject, program: Program) -> float:
    """What the duals may be off.

    A curved program that reaches its backend as a conic one comes back with Px, and so with
    duals, that are right only up to the root of the tolerance.
    """
    return np.sqrt(allowed(subject)) if _curved_by_cones(subject, program) else allowed(subject)


def _curved_by_cones(subject: Subject, program: Program) -> bool:
    if not isinstance(program, QuadraticProgram) or not program.P.nnz:
        return False
    return find_route(subject.info, program) is Route.CONIC


def scale(program: Program, objective: float) -> float:
    """What an error of the objective is relative to."""
    return abs(objective) if isinstance(program, ConvexProgram) else max(1.0, abs(objective))


def objective_of(program: Program, x: FloatArray) -> float:
    """The objective at a point, with the best intercept if there is one."""
    if isinstance(program, ConvexProgram):
        return program.objective(x, program.best_intercept(program.fits(x)))
    return program.objective(x)


def answer_form(subject: Subject, case: NamedProgram) -> str:
    """A point of the right shape without NaN, an array of floats, and statistics for JSON."""
    raw = subject.answer(case).raw
    if raw.x is None:
        raise Failed(f"no point for a program that has an optimum: {_said(raw)}")
    try:
        json.dumps(dict(raw.stats))
    except (TypeError, ValueError) as error:
        raise Failed(f"stats are no JSON values: {error}") from error
    return f"x {raw.x.shape}, duals {None if raw.duals is None else raw.duals.shape}"


def answer_word(subject: Subject, case: NamedProgram) -> str:
    """It says that it converged, in its solver's words, and what it claims is so."""
    raw, x = subject.point(case)
    if raw.stop not in CONVERGED:
        raise Failed(f"the program has an optimum, and the backend stopped with: {_said(raw)}")
    if not isinstance(raw.raw_status, str) or not raw.raw_status:
        raise Failed(f"raw_status is {raw.raw_status!r}, and the solver's own word is needed")
    program = case.make()
    objective = objective_of(program, x)
    slack = allowed(subject) * scale(program, objective)
    if raw.objective is not None and not abs(raw.objective - objective) <= slack:
        raise Failed(f"it claims the objective {raw.objective:.12g}, which is {objective:.12g}")
    if raw.bound is not None and not raw.bound <= objective + slack:
        raise Failed(f"it claims the lower bound {raw.bound:.12g} above {objective:.12g}")
    return _said(raw)


def answer_feasible(subject: Subject, case: NamedProgram) -> str:
    """The point meets all constraints."""
    raw, x = subject.point(case)
    program = case.make()
    if isinstance(program, ConvexProgram):
        return _in_cones(subject, program, raw, x)
    violation = measure(program, x, None).primal
    if not violation <= allowed(subject):
        raise Failed(f"the point violates a constraint by {violation:.1e}")
    return f"violation {violation:.1e}"


def _in_cones(subject: Subject, program: ConvexProgram, raw: RawSolution, x: FloatArray) -> str:
    """Blocks may be a little off, if moving them changes little."""
    violation = program.cone_violation(x)
    if violation <= allowed(subject) or raw.stop not in CONVERGED:
        return f"cones violated by {violation:.1e}"
    found = subject.solve(program)
    before = objective_of(program, x)
    change = abs(found.objective - before) / scale(program, before)
    if not change <= allowed(subject):
        raise Failed(
            f"blocks leave their cones by {violation:.1e} of their size; moving them back changes "
            f"the objective by a share of {change:.1e}"
        )
    return f"cones violated by {violation:.1e}, objective changes by {change:.1e}"


def answer_optimal(subject: Subject, case: NamedProgram) -> str:
    """Through the public functions: the known optimum, and a gap that shows it."""
    raw, _ = subject.point(case)
    if raw.stop not in CONVERGED:
        raise Skipped("it did not converge, see answer_word")
    return right(subject, case, subject.solve(case.make()))


def right(subject: Subject, case: NamedProgram, found: Solution | ProgramSolution) -> str:
    """Whether a solution is the known optimum of a named program.

    Raises
    ------
    Failed
    """
    program = case.make()
    x = found.weights if isinstance(found, Solution) else found.x
    objective = objective_of(program, x)
    near_optimum(subject, case, objective, x)
    # Duals that are missing are for `duals_signs`.
    provable = Feature.DUALS in subject.info.features and not np.isnan(found.rel_gap)
    if not provable or _curved_by_cones(subject, program):
        return f"objective {objective:.9g}"
    if not abs(found.rel_gap) <= allowed(subject):
        raise Failed(
            f"the optimum was found, and the gap is {found.rel_gap:.1e} where {subject.tol:.0e} "
            "was asked for"
        )
    return f"objective {objective:.9g}, gap {found.rel_gap:.1e}"


def near_optimum(subject: Subject, case: NamedProgram, objective: float, x: FloatArray) -> None:
    """Whether objective and point are those that are known.

    Raises
    ------
    Failed
    """
    if case.objective is not None:
        error = abs(objective - case.objective) / scale(case.make(), case.objective)
        if not error <= allowed(subject):
            raise Failed(
                f"the objective is {objective:.12g}, and the optimum {case.objective:.12g}"
            )
    if case.x is not None:
        apart = float(np.abs(x - case.x).max(initial=0.0))
        size = max(1.0, float(np.abs(case.x).max(initial=0.0)))
        # An objective that is off by ε is of a point that is off by about √ε.
        if not apart <= np.sqrt(allowed(subject)) * 10 * size:
            raise Failed(f"the point is {apart:.1e} away from the only optimum")


def duals_signs(subject: Subject, case: NamedProgram) -> str:
    """Duals are there and feasible: signs, and the gradient they have to cancel."""
    raw, program = _dual_point(subject, case)
    if raw.duals is None or raw.x is None:
        return "none, as it has to be with integers"
    if isinstance(program, ConvexProgram):
        return _training_signs(subject, program, raw, raw.duals)
    violation = prove(program, raw.x, raw.duals, subject.tol).residuals.dual
    if not violation <= allowed_duals(subject, program):
        raise Failed(
            f"the duals violate dual feasibility by {violation:.1e} of the cost "
            f"({_flipped(program, raw.x, raw.duals, violation)})"
        )
    return f"violation {violation:.1e}"


def duals_optimal(subject: Subject, case: NamedProgram) -> str:
    """Duals show the optimum: their bound is the objective, and they are complementary."""
    raw, program = _dual_point(subject, case)
    if raw.duals is None or raw.x is None:
        return "none, as it has to be with integers"
    worst = 0.0
    if isinstance(program, ConvexProgram):
        bound = _training_bound(program, raw.duals)
    else:
        proof = prove(program, raw.x, raw.duals, subject.tol)
        bound = proof.residuals.dual_objective
        duals = raw.duals if proof.duals is None else proof.duals
        worst = _complementarity(program, proof.x, duals)
    assumed = objective_of(program, raw.x) if case.objective is None else case.objective
    slack = allowed_duals(subject, program) * scale(program, assumed)
    if not abs(bound - assumed) <= slack:
        raise Failed(f"the duals show the bound {bound:.12g}, and the optimum is {assumed:.12g}")
    if not worst <= slack:
        raise Failed(f"a multiplier times the slack of its constraint is {worst:.1e}")
    return f"bound {bound:.9g}"


def _dual_point(subject: Subject, case: NamedProgram) -> tuple[RawSolution, Program]:
    raw, _ = subject.point(case)
    program = case.make()
    if is_mixed_integer(program):
        if raw.duals is not None:
            raise Failed("duals of a program with integers, where none mean anything")
        return raw, program
    subject.need_feature(Feature.DUALS)
    if raw.duals is None:
        raise Failed("Feature.DUALS is declared, and there are no duals")
    return raw, program


def _flipped(
    program: LinearProgram | QuadraticProgram | ConicProgram,
    x: FloatArray,
    duals: FloatArray,
    violation: float,
) -> str:
    """A hint whether the sign is all that is wrong."""
    other = measure(program, x, -duals).dual
    return "with the other sign they are feasible" if other < 1e-3 * violation else _CONVENTION


_CONVENTION = "the convention is Px + c + Aᵀy + z = 0, and Aᵀz + c = 0 for cones"


def _complementarity(
    program: LinearProgram | QuadraticProgram | ConicProgram, x: FloatArray, duals: FloatArray
) -> float:
    """The largest |multiplier × slack| of a row, bound or cone."""
    if isinstance(program, ConicProgram):
        parts = split_rows((program.b - program.A @ x) * duals, program.cones)
        whole = [*parts.second_order, *parts.exponential, *parts.semidefinite]
        plain = np.concatenate([parts.zero, parts.nonnegative])
        return float(np.abs(np.r_[plain, [part.sum() for part in whole]]).max(initial=0.0))
    z = program.bound_multipliers(x, duals)
    pairs = (
        (duals, program.A @ x, program.row_lower, program.row_upper),
        (z, x, program.lower, program.upper),
    )
    worst = 0.0
    for multiplier, at, lower, upper in pairs:
        side = np.where(multiplier > 0, upper, lower)
        # Multipliers of bounds that are not there are for `duals_signs`.
        slack = np.where(np.isfinite(side), at - side, 0.0)
        worst = max(worst, float(np.abs(multiplier * slack).max(initial=0.0)))
    return worst


def _training_signs(
    subject: Subject, program: ConvexProgram, raw: RawSolution, nu: FloatArray
) -> str:
    """ν = −∇F(ŷ) up to the gap's root, feasible, and multipliers ρ ≥ 0."""
    expected = program.dual_candidate(program.fits(np.asarray(raw.x)))
    size = max(float(np.abs(expected).max()), 1e-300)
    apart = float(np.abs(nu - expected).max()) / size
    # On a kink of the loss ν may be any of many, and the bound alone judges it.
    if program.loss.smooth and not apart <= 10 * np.sqrt(allowed(subject)):
        raise Failed(f"ν differs from −∇F(ŷ) by {apart:.1e} of its size")
    excess = _largest_block(program, nu) / program.lam - 1.0
    if not excess <= allowed(subject):
        raise Failed(f"ν exceeds λ on a block by a share of {excess:.1e}")
    least = 0.0 if raw.multipliers is None else float(raw.multipliers.values.min(initial=0.0))
    if not least >= -LEAST_MULTIPLIER:
        raise Failed(f"a multiplier ρ of a cone is {least:.1e}")
    return f"ν is −∇F(ŷ) up to {apart:.1e}" if program.loss.smooth else "ν is feasible"


def _largest_block(program: ConvexProgram, nu: FloatArray) -> float:
    """max_b ‖P_K(X_bᵀν)‖, without pricing tricks: the programs are small."""
    common = program.correlations(nu)
    if program.activation.gated:
        return float(np.linalg.norm(common, axis=1).max())
    blocks = np.arange(2 * len(program.patterns))
    return float(np.linalg.norm(program.project(common, blocks).points, axis=1).max())


def _training_bound(program: ConvexProgram, nu: FloatArray) -> float:
    """D at ν, scaled until it is feasible."""
    settled = program.admissible(nu)
    return program.dual_objective(
        program.best_scale(settled, _largest_block(program, settled)) * settled
    )


def outcome_told(subject: Subject, case: NamedProgram) -> str:
    """A program without an optimum is said to be infeasible or unbounded."""
    raw = subject.answer(case).raw
    if raw.stop is not OUTCOMES[case.outcome]:
        raise Failed(f"the program is {case.outcome}, and the backend stopped with: {_said(raw)}")
    return _said(raw)


def outcome_empty(subject: Subject, case: NamedProgram) -> str:
    """Of such a program there is neither a point nor a dual point."""
    try:
        raw = subject.answer(case).raw
    except Failed as error:
        raise Skipped("there is no answer, see outcome_told") from error
    for name in ("x", "duals"):
        if getattr(raw, name) is not None:
            raise Failed(f"the program is {case.outcome}, and the backend returned {name}")
    return "no point"


def outcome_ray(subject: Subject, case: NamedProgram) -> str:
    """A ray, where the backend gives one, proves that there is no optimum."""
    try:
        raw = subject.answer(case).raw
    except Failed as error:
        raise Skipped("there is no answer, see outcome_told") from error
    program = case.make()
    if raw.ray is None or isinstance(program, ConvexProgram):
        return "no ray: the core asks for one"
    proves = proves_infeasible if raw.stop is StopReason.INFEASIBLE else descent_for_ever
    if proves(program, raw.ray) is None:
        raise Failed(f"the ray does not prove that the program is {raw.stop.value}")
    return "the ray proves it"


def _said(raw: RawSolution) -> str:
    return f"{raw.stop.value} ({raw.raw_status or 'no status'})"
