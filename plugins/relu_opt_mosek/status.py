"""MOSEK's three statuses, and the one reason why it stopped.

MOSEK says how the run ended (`rescode`), what it knows of the program (`prosta`) and what the
point is (`solsta`). All their members are named here; what is not is UNKNOWN.
"""

from __future__ import annotations

from dataclasses import dataclass

from relu_opt.plugins.types import StopReason

ENDED = "ok"
OPTIMAL = ("optimal", "integer_optimal")

# How the run ended, where it did not end by itself.
TERMINATIONS = {
    "trm_max_time": StopReason.TIME_LIMIT,
    "trm_server_max_time": StopReason.TIME_LIMIT,
    "trm_max_iterations": StopReason.ITERATION_LIMIT,
    "trm_mio_num_relaxs": StopReason.ITERATION_LIMIT,
    "trm_mio_num_branches": StopReason.ITERATION_LIMIT,
    "trm_num_max_num_int_solutions": StopReason.ITERATION_LIMIT,
    "trm_user_callback": StopReason.INTERRUPTED,
    "trm_stall": StopReason.NUMERICAL,
    "trm_numerical_problem": StopReason.NUMERICAL,
    "trm_max_num_setbacks": StopReason.NUMERICAL,
    "trm_objective_range": StopReason.UNKNOWN,
    "trm_server_max_memory": StopReason.UNKNOWN,
    "trm_lost_race": StopReason.UNKNOWN,
    "trm_internal": StopReason.UNKNOWN,
    "trm_internal_stop": StopReason.UNKNOWN,
}
# What the vectors prove beside optimality. A certificate of an ill-posed program says that a
# small change of the data makes it infeasible, and nothing about this one.
CERTIFICATES = {
    "prim_infeas_cer": StopReason.INFEASIBLE,
    "dual_infeas_cer": StopReason.UNBOUNDED,
    "prim_illposed_cer": StopReason.NUMERICAL,
    "dual_illposed_cer": StopReason.NUMERICAL,
}
# What is known of the program, where the vectors prove nothing (programs with integers have no
# certificates).
PROBLEMS = {
    "prim_infeas": StopReason.INFEASIBLE,
    "prim_and_dual_infeas": StopReason.INFEASIBLE,
    "dual_infeas": StopReason.UNBOUNDED,
    "ill_posed": StopReason.NUMERICAL,
    "prim_infeas_or_unbounded": StopReason.UNKNOWN,
    "prim_and_dual_feas": StopReason.UNKNOWN,
    "prim_feas": StopReason.UNKNOWN,
    "dual_feas": StopReason.UNKNOWN,
    "unknown": StopReason.UNKNOWN,
}
# What the vectors are: a point, though perhaps not a feasible one. With integers MOSEK has a
# point only if it says so.
POINTS = ("optimal", "integer_optimal", "prim_and_dual_feas", "prim_feas", "dual_feas", "unknown")
INTEGER_POINTS = ("integer_optimal", "prim_feas")


@dataclass(frozen=True)
class Outcome:
    """MOSEK's statuses, by the names of the members of `rescode`, `prosta` and `solsta`.

    The solution is "undefined" where MOSEK has no vectors at all.
    """

    termination: str
    problem: str = "unknown"
    solution: str = "undefined"

    @property
    def raw_status(self) -> str:
        """All three, in MOSEK's words."""
        return f"rescode.{self.termination}, prosta.{self.problem}, solsta.{self.solution}"

    @property
    def stop(self) -> StopReason:
        """Why MOSEK stopped; `UNBOUNDED` says no more than that there is a ray."""
        ended = TERMINATIONS.get(self.termination, StopReason.UNKNOWN)
        if self.solution == "integer_optimal" or (
            self.solution == "optimal" and self.termination == ENDED
        ):
            return StopReason.CONVERGED
        if self.solution == "optimal" and ended is StopReason.NUMERICAL:
            return StopReason.CONVERGED_LOOSE
        if self.solution in CERTIFICATES:
            return CERTIFICATES[self.solution]
        if self.termination != ENDED:
            return ended
        return PROBLEMS.get(self.problem, StopReason.UNKNOWN)

    def has_point(self, whole: bool) -> bool:
        """Whether x is a point of the program; `whole` if it is an integer solution."""
        nowhere = self.stop is StopReason.INFEASIBLE or self.may_be_infeasible
        return self.solution in (INTEGER_POINTS if whole else POINTS) and not nowhere

    @property
    def may_be_infeasible(self) -> bool:
        """Whether a ray was found, or one of two: the program may be infeasible all the same."""
        either = self.problem == "prim_infeas_or_unbounded" and self.termination == ENDED
        return self.stop is StopReason.UNBOUNDED or (either and self.stop is StopReason.UNKNOWN)


def settled(feasibility: StopReason) -> StopReason:
    """Of a program with a ray, from why MOSEK stopped on the same program without an objective."""
    if feasibility in (StopReason.CONVERGED, StopReason.CONVERGED_LOOSE):
        return StopReason.UNBOUNDED
    return StopReason.UNKNOWN if feasibility is StopReason.UNBOUNDED else feasibility
