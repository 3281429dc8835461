"""What relu_opt's options are called by each solver behind cvxpy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from relu_opt.errors import OptionError

# The relative gap that the core certifies also pays for the solver's residuals: ask for less.
SAFETY = 0.1
TIGHTEST = 1e-12
SEEDS = 2**31


@dataclass(frozen=True)
class SettingNames:
    """A solver's own names: of its tolerances, time limit (seconds), iterations, threads, seed.

    An empty name says that the solver has no such setting. `tightest` is the smallest tolerance
    that it takes, or that makes sense; `always` is set in every run.
    """

    tolerances: tuple[str, ...] = ()
    time_limit: str = ""
    max_iter: tuple[str, ...] = ()
    threads: str = ""
    seed: str = ""
    tightest: float = TIGHTEST
    always: Mapping[str, object] = field(default_factory=dict)


KNOWN = {
    # accept_unknown: a run without further progress brings its last point, not an exception.
    "CLARABEL": SettingNames(
        ("tol_gap_abs", "tol_gap_rel", "tol_feas"),
        "time_limit",
        ("max_iter",),
        "max_threads",
        always={"accept_unknown": True},
    ),
    "SCS": SettingNames(("eps_abs", "eps_rel"), "time_limit_secs", ("max_iters",)),
    "ECOS": SettingNames(("abstol", "reltol", "feastol"), max_iter=("max_iters",)),
    # Its quadratic programs get a curvature of 1e-7 more otherwise, which shows in the gap.
    "HIGHS": SettingNames(
        (
            "primal_feasibility_tolerance",
            "dual_feasibility_tolerance",
            "mip_feasibility_tolerance",
            "mip_rel_gap",
            "mip_abs_gap",
        ),
        "time_limit",
        ("simplex_iteration_limit", "ipm_iteration_limit", "qp_iteration_limit"),
        "threads",
        "random_seed",
        tightest=1e-10,
        always={"qp_regularization_value": 1e-10},
    ),
    # Its proofs of infeasibility are as good as these tolerances, 1e-4 unless they are set; and
    # an operator-splitting method needs more iterations for our tolerances than cvxpy lets it.
    "OSQP": SettingNames(
        ("eps_abs", "eps_rel"),
        "time_limit",
        ("max_iter",),
        always={"max_iter": 100_000, "eps_prim_inf": 1e-6, "eps_dual_inf": 1e-6},
    ),
    "SCIP": SettingNames(
        ("numerics/feastol",),
        "limits/time",
        seed="randomization/randomseedshift",
        tightest=1e-9,
    ),
    "MOSEK": SettingNames(
        (
            "MSK_DPAR_INTPNT_CO_TOL_REL_GAP",
            "MSK_DPAR_INTPNT_CO_TOL_PFEAS",
            "MSK_DPAR_INTPNT_CO_TOL_DFEAS",
            "MSK_DPAR_INTPNT_TOL_REL_GAP",
            "MSK_DPAR_INTPNT_TOL_PFEAS",
            "MSK_DPAR_INTPNT_TOL_DFEAS",
            "MSK_DPAR_MIO_TOL_REL_GAP",
        ),
        "MSK_DPAR_OPTIMIZER_MAX_TIME",
        ("MSK_IPAR_INTPNT_MAX_ITERATIONS",),
        "MSK_IPAR_NUM_THREADS",
        "MSK_IPAR_MIO_SEED",
    ),
}


def library() -> Any:
    """cvxpy, imported at its first use; its type hints are partial, hence Any."""
    import cvxpy

    return cvxpy


def check_settings(solver: str, time_limit: float | None, max_iter: int | None) -> None:
    """Refuse a limit that the solver cannot be told.

    Raises
    ------
    OptionError
    """
    names = KNOWN.get(solver, SettingNames())
    for option, value, name in (
        ("time_limit", time_limit, names.time_limit),
        ("max_iter", max_iter, names.max_iter),
    ):
        if value is not None and not name:
            able = sorted(key for key, known in KNOWN.items() if getattr(known, option))
            raise OptionError(
                f"Backend 'cvxpy' does not know how to set {option} for the solver {solver}. "
                f"Leave it out, or use solver={' or '.join(able)}.",
                backend="cvxpy",
                option=option,
                solver=solver,
            )


def solver_settings(
    solver: str,
    tol: float,
    time_limit: float | None,
    max_iter: int | None,
    threads: int | None,
    seed: int = 0,
) -> dict[str, Any]:
    """The keyword arguments for `solver`; one that is not in `KNOWN` runs with its defaults."""
    names = KNOWN.get(solver, SettingNames())
    values = dict(names.always)
    values |= dict.fromkeys(names.tolerances, max(SAFETY * tol, names.tightest))
    given = [
        (names.time_limit, time_limit),
        *((name, max_iter) for name in names.max_iter),
        (names.threads, threads),
        (names.seed, seed % SEEDS or None),
    ]
    values |= {name: value for name, value in given if name and value is not None}
    return {"mosek_params": values} if solver == "MOSEK" else values
