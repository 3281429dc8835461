"""`solve_program`: a linear, quadratic or conic program through any backend, its answer checked.

The core computes objective, gap and residuals itself, from the program and the vectors alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError, NotCertified, SolveFailed
from relu_opt.plugins.dispatch import make_request, run, with_start
from relu_opt.plugins.options import as_options
from relu_opt.plugins.types import StopReason
from relu_opt.program.conic import ConicProgram
from relu_opt.program.embedding import check_convex
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.solution import provenance
from relu_opt.verdicts import Verdict

StandardProgram = LinearProgram | QuadraticProgram | ConicProgram

# Residuals may be this many times the tolerance of the gap, but never need to be below the least.
RESIDUAL_FACTOR = 10.0
LEAST_RESIDUAL = 1e-9


@dataclass(frozen=True)
class Residuals:
    """How far a primal and a dual point are from optimal.

    Attributes
    ----------
    objective, dual_objective : float
        Upper bound if x is feasible; lower bound if the duals are (NaN without duals).
    rel_gap : float
        (objective − dual_objective)/max(1, |objective|). Negative for points that are not feasible.
    primal : float
        Largest violation of a constraint, over 1 + the largest finite bound or entry of b.
    dual : float
        Largest violation of dual feasibility (Px + c + Aᵀy + z = 0 and the signs of y and z, or
        Aᵀz + c = 0 and z in K*), over 1 + the largest cost.
    """

    objective: float
    dual_objective: float
    rel_gap: float
    primal: float
    dual: float


def measure(program: StandardProgram, x: FloatArray, duals: FloatArray | None) -> Residuals:
    """Objective, gap and residuals of an answer, from the program and the vectors alone.

    Parameters
    ----------
    program : LinearProgram, QuadraticProgram or ConicProgram
    x : (k,) array
    duals : (m,) array or None
        Multipliers of the rows, with the signs of `RawSolution.duals`.
    """
    objective = program.objective(x)
    cost_size = 1 + np.abs(program.c).max(initial=0.0)
    dual_objective = dual = math.nan
    if isinstance(program, ConicProgram):
        zero = np.zeros(len(program.b)) if duals is None else duals
        primal, violation = program.residuals(x, zero)
        size = np.abs(program.b).max(initial=0.0)
        if duals is not None:
            dual_objective, dual = program.dual_objective(duals), violation / cost_size
    else:
        sides = np.concatenate([program.row_lower, program.row_upper, program.lower, program.upper])
        size = np.abs(sides[np.isfinite(sides)]).max(initial=0.0)
        primal = program.violation(x)
        if duals is not None:
            dual_objective = program.dual_objective(x, duals)
            dual = program.dual_violation(x, duals) / cost_size
    gap = (objective - dual_objective) / max(1.0, abs(objective))
    return Residuals(objective, dual_objective, gap, primal / (1 + size), dual)


@dataclass(frozen=True, eq=False)
class ProgramSolution:
    """An answer to a linear, quadratic or conic program, with what the core found out about it.

    Attributes
    ----------
    program : LinearProgram, QuadraticProgram or ConicProgram
        What was solved.
    x : (k,) array
    duals : (m,) array or None
        Multipliers of the rows: Px + c + Aᵀduals + z = 0, or Aᵀduals + c = 0 for a conic program.
    residuals : Residuals
        Computed by the core.
    verdict : Verdict
        `certified` if gap and residuals are within `tol`; `inconclusive` if the point is feasible
        and there are no duals to prove more (integers); `not_certified` otherwise.
    tol : float
        What the verdict is against.
    bound : float or None
        The backend's own claim of a lower bound, for programs with integers; not checked.
    stop, backend, stats
        As of a `Solution`.
    state : object
        Lets the same backend start faster on a related program; see `solve_program`.
    """

    program: StandardProgram
    x: FloatArray
    duals: FloatArray | None
    residuals: Residuals
    verdict: Verdict
    tol: float
    bound: float | None
    stop: StopReason
    backend: str
    stats: Mapping[str, Any]
    state: object = None

    @property
    def objective(self) -> float:
        """The objective at x."""
        return self.residuals.objective

    @property
    def dual_objective(self) -> float:
        """The lower bound that the duals show; NaN without duals."""
        return self.residuals.dual_objective

    @property
    def rel_gap(self) -> float:
        """(objective − dual_objective)/max(1, |objective|)."""
        return self.residuals.rel_gap

    def require(self) -> ProgramSolution:
        """This solution, if it is certified.

        Raises
        ------
        NotCertified
            If gap or residuals are above the tolerance, or cannot be told.
        """
        if self.verdict is not Verdict.CERTIFIED:
            unclear = self.stop in (StopReason.CONVERGED, StopReason.UNKNOWN)
            advice = "Compare with another backend (cross_check)." if unclear else self.stop.advice
            raise NotCertified(
                f"The answer of backend {self.backend!r} is {self.verdict.value}: gap "
                f"{self.rel_gap:.1e}, primal residual {self.residuals.primal:.1e}, dual residual "
                f"{self.residuals.dual:.1e}, tolerance {self.tol:.0e}. {advice}",
                verdict=self.verdict.value,
                rel_gap=self.rel_gap,
                tol=self.tol,
            )
        return self

    def __repr__(self) -> str:
        return (
            f"ProgramSolution({self.verdict.value}, objective={self.objective:.12g}, "
            f"rel_gap={self.rel_gap:.2e}, backend={self.backend!r}, stop={self.stop.value!r})"
        )


def solve_program(
    program: StandardProgram,
    backend: str = "auto",
    tol: float | None = None,
    time_limit: float | None = None,
    warm_start: ProgramSolution | None = None,
    options: Mapping[str, object] | None = None,
) -> ProgramSolution:
    """Solve a linear (also mixed-integer), quadratic or conic program.

    Parameters
    ----------
    program : LinearProgram, QuadraticProgram or ConicProgram
    backend, tol, time_limit, options
        As of `solve`.
    warm_start : ProgramSolution, optional
        The answer to a related program, of the same size, to start from. It helps most when the
        same backend solved it and only the cost differs (`program.with_cost(c)`).

    Returns
    -------
    ProgramSolution
        Also when a limit stopped the backend with a point: look at `verdict`.

    Raises
    ------
    DataError
        If the program is none, or is quadratic and not convex.
    SolveFailed
        If there is no point: the program is infeasible or unbounded (see `error.fields["stop"]`),
        or the backend failed.
    ContractViolation
        If the backend returned something that is not an answer.
    OptionError, ConfigError, UnknownBackend, BackendUnavailable, UnsupportedProgram,
    PluginLoadError, PluginConflict
        If the request cannot be met.
    """
    if not isinstance(program, StandardProgram):
        raise DataError(
            f"program is a {type(program).__name__}, and a LinearProgram, QuadraticProgram or "
            "ConicProgram is needed. To train a network use solve."
        )
    started = time.perf_counter()
    if isinstance(program, QuadraticProgram):
        check_convex(program.P)
    request = make_request(program, backend, tol, time_limit, as_options(options))
    if warm_start is not None:
        same = warm_start.backend == request.info.name
        if len(warm_start.x) != len(program.c):
            raise DataError(
                f"warm_start has {len(warm_start.x)} variables, and the program {len(program.c)}. "
                "Start from a program of the same size."
            )
        request = with_start(request, warm_start.x, warm_start.state if same else None)
    raw = run(request, program)
    seconds = time.perf_counter() - started
    if raw.stop in (StopReason.INFEASIBLE, StopReason.UNBOUNDED) or raw.x is None:
        raise SolveFailed(
            f"Backend {request.info.name!r} found no answer: {raw.stop.value} "
            f"({raw.raw_status or 'no status'}). {raw.stop.advice}",
            backend=request.info.name,
            stop=raw.stop,
            raw_status=raw.raw_status,
        )
    whole = isinstance(program, LinearProgram) and program.is_mixed_integer
    duals = None if whole else raw.duals
    residuals = measure(program, raw.x, duals)
    tol = request.options.tol
    verdict = judge(residuals, tol)
    return ProgramSolution(
        program,
        raw.x,
        duals,
        residuals,
        verdict,
        tol,
        raw.bound if whole else None,
        raw.stop.beside(verdict, residuals.rel_gap),
        request.info.name,
        {"seconds": seconds, **provenance(request, raw)},
        raw.state,
    )


def allowed_residual(tol: float) -> float:
    """The largest residual that goes with a gap of `tol`."""
    return max(RESIDUAL_FACTOR * tol, LEAST_RESIDUAL)


def judge(residuals: Residuals, tol: float) -> Verdict:
    """The verdict on an answer: gap and residuals against the tolerance; NaN never passes."""
    allowed = allowed_residual(tol)
    if not residuals.primal <= allowed:
        return Verdict.NOT_CERTIFIED
    if math.isnan(residuals.dual_objective):
        return Verdict.INCONCLUSIVE
    good = abs(residuals.rel_gap) <= max(tol, LEAST_RESIDUAL) and residuals.dual <= allowed
    return Verdict.CERTIFIED if good else Verdict.NOT_CERTIFIED
