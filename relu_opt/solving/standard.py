"""`solve_program`: a linear, quadratic or conic program through any backend, its answer checked.

The core computes objective, gap and residuals itself, from the program and the vectors alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock, TimeUp
from relu_opt.errors import DataError, NotCertified, SolveFailed
from relu_opt.optimality import Proof, Residuals, StandardProgram, prove
from relu_opt.plugins.dispatch import make_request, with_start
from relu_opt.plugins.options import as_options
from relu_opt.plugins.types import RawSolution, StopReason
from relu_opt.program.convexity import dent
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.proof.verdict import Verdict
from relu_opt.solving.asking import LEAST_TOL, Asking
from relu_opt.solving.branching import prove_whole
from relu_opt.solving.outcomes import no_optimum
from relu_opt.solving.run import run
from relu_opt.solving.training import provenance
from relu_opt.verify.renamed import renamed

# The proof of an answer with integers may take as long as the answer, and at least these seconds.
LEAST_PATIENCE = 1.0
# An answer that is not certified is asked for once more, to so many tolerances.
MORE_EXACT = 1e-4


@dataclass(frozen=True, eq=False)
class ProgramSolution:
    """An answer to a linear, quadratic or conic program, with what the core found out about it.

    Attributes
    ----------
    program : LinearProgram, QuadraticProgram or ConicProgram
        What was solved.
    x : (k,) array
        The backend's, moved onto its bounds and rows where it missed them by noise.
    duals : (m,) array or None
        Multipliers of the rows: Px + c + Aᵀduals + z = 0, or Aᵀduals + c = 0 for a conic program.
        Those that prove the bound; a QuadraticProgram's may go with another x, near to this one.
    residuals : Residuals
        Computed by the core.
    verdict : Verdict
        `certified` if the gap is within `tol` and the point meets its constraints;
        `inconclusive` if the point is feasible and nothing is there that would prove more (no
        duals, or a tree that was not finished); `not_certified` otherwise.
    tol : float
        What the verdict is against.
    claimed_bound : float or None
        The backend's own claim of a lower bound, for programs with integers; not checked. What is
        proved is `lower_bound`.
    stop, backend, stats
        As of a `Solution`. `stats["asked"]` is 2 where the first answer was not certified, and
        the backend was asked for a more exact one; `stats["parts"]` counts those of a tree.
    state : object
        Lets the same backend start faster on a related program; see `solve_program`.
    backend_duals : (m,) array or None
        Multipliers as the backend returned them, before any mending: those of interior points lie
        inside their cones.
    """

    program: StandardProgram
    x: FloatArray
    duals: FloatArray | None
    residuals: Residuals
    verdict: Verdict
    tol: float
    claimed_bound: float | None
    stop: StopReason
    backend: str
    stats: Mapping[str, Any]
    state: object = None
    backend_duals: FloatArray | None = None

    bound: ClassVar[renamed] = renamed("claimed_bound")
    dual_objective: ClassVar[renamed] = renamed("lower_bound")

    def __getstate__(self) -> dict[str, Any]:
        """What a pickle keeps: everything but `state`, which may be a solver in memory."""
        return {**vars(self), "state": None}

    @property
    def objective(self) -> float:
        """The objective at x."""
        return self.residuals.objective

    @property
    def lower_bound(self) -> float:
        """The lower bound that the duals, or a tree over the integers, show; NaN without."""
        return self.residuals.dual_objective

    @property
    def rel_gap(self) -> float:
        """The proved gap, relative to the objective without its offset; see `Residuals`."""
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
        If there is no point: the program is infeasible or unbounded, or the backend failed. The
        fields say what is known: `stop`, `proved`, and the `ray` that proves it (multipliers of the
        rows, or a direction); a `stop` that is not proved is the backend's claim.
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
    missing = dent(program.P) if isinstance(program, QuadraticProgram) else 0.0
    request = make_request(program, backend, tol, time_limit, as_options(options))
    if warm_start is not None:
        same = warm_start.backend == request.info.name
        if len(warm_start.x) != len(program.c):
            raise DataError(
                f"warm_start has {len(warm_start.x)} variables, and the program {len(program.c)}. "
                "Start from a program of the same size."
            )
        request = with_start(request, warm_start.x, warm_start.state if same else None)
    clock = Clock(request.options.time_limit)
    raw = run(request, program)
    seconds, asking = clock.elapsed, Asking(request, clock)
    if raw.stop in (StopReason.INFEASIBLE, StopReason.UNBOUNDED):
        raise no_optimum(program, raw, asking)
    if raw.x is None:
        raise SolveFailed(
            f"Backend {request.info.name!r} found no answer: {raw.stop.value} "
            f"({raw.raw_status or 'no status'}). {raw.stop.advice}",
            backend=request.info.name,
            stop=raw.stop,
            raw_status=raw.raw_status,
        )
    tol, whole, asked = request.options.tol, None, 1
    if isinstance(program, LinearProgram) and program.is_mixed_integer:
        proof, whole = prove_whole(program, raw.x, tol, asking, max(LEAST_PATIENCE, seconds))
    else:
        proof = prove(program, raw.x, raw.duals, tol, missing)
        if raw.stop.converged and proof.verdict is not Verdict.CERTIFIED:
            raw, proof = _more_exact(program, raw, proof, asking, missing)
            asked = 2
    stats = {"seconds": clock.elapsed, **provenance(request, raw)}
    stats |= {"asked": asked} if whole is None else {"parts": whole}
    return ProgramSolution(
        program,
        proof.x,
        proof.duals,
        proof.residuals,
        proof.verdict,
        tol,
        None if whole is None else raw.bound,
        raw.stop.beside(proof.verdict, proof.residuals.rel_gap),
        request.info.name,
        stats,
        raw.state,
        raw.duals,
    )


def solve_in_time(
    program: StandardProgram,
    backend: str,
    tol: float | None,
    clock: Clock,
    options: Mapping[str, object] | None = None,
) -> ProgramSolution:
    """`solve_program` within the time that is left; `TimeUp` if that brought no point."""
    clock.check()
    try:
        return solve_program(program, backend, tol, clock.remaining, options=options)
    except SolveFailed as error:
        if error.fields.get("stop") is StopReason.TIME_LIMIT:
            raise TimeUp from error
        raise


def _more_exact(
    program: StandardProgram, raw: RawSolution, proof: Proof, asking: Asking, missing: float
) -> tuple[RawSolution, Proof]:
    """The backend's answer to a smaller tolerance, if that is certified to the one wanted."""
    tol = asking.request.options.tol
    again = asking.answer(program, max(LEAST_TOL, MORE_EXACT * tol))
    if again is None or again.x is None:
        return raw, proof
    better = prove(program, again.x, again.duals, tol, missing)
    return (again, better) if better.verdict is Verdict.CERTIFIED else (raw, proof)
