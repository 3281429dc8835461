"""Which solvers Pyomo has, whether they can be used here, and what they call relu_opt's options."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from relu_opt.errors import BackendUnavailable, OptionError, UnsupportedProgram, did_you_mean
from relu_opt.plugins.types import SolveOptions
from relu_opt.program.conic import ConicProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt_pyomo.model import StandardProgram

# The relative gap that the core certifies also pays for the solver's residuals: ask for less.
SAFETY = 0.1


@dataclass(frozen=True)
class SolverNames:
    """A solver's own names of settings, and what it has to be kept from.

    Attributes
    ----------
    tolerances : tuple of str
        Each is set to a share of the tolerance of the solve, but not below `least`.
    least : float
    seed, threads : str
        Empty where there is none; threads are named for solvers with Pyomo's older interface.
    always, quiet : mapping
        Settings that make its answers usable; those of a run that is not verbose.
    integers, cones : bool
        False where the solver would leave integrality out of account, or fail at cones.
    guarded : bool
        Whether it may never end on programs that are not linear.
    missing : str
        What is missing where Pyomo does not find the solver, and the fix.
    """

    tolerances: tuple[str, ...] = ()
    least: float = 0.0
    seed: str = ""
    threads: str = ""
    always: Mapping[str, object] = field(default_factory=dict)
    quiet: Mapping[str, object] = field(default_factory=dict)
    integers: bool = True
    cones: bool = True
    guarded: bool = False
    missing: str = ""


_HIGHS = SolverNames(
    (
        "primal_feasibility_tolerance",
        "dual_feasibility_tolerance",
        "mip_feasibility_tolerance",
        "mip_rel_gap",
        "mip_abs_gap",
    ),
    1e-10,
    "random_seed",
    cones=False,
    guarded=True,
    missing="the package highspy is missing: pip install highspy",
)
_SCIP = SolverNames(
    ("numerics/feastol", "numerics/dualfeastol", "limits/gap", "limits/absgap"),
    1e-9,
    "randomization/randomseedshift",
    quiet={"display/verblevel": 0},
    guarded=True,
    missing="the package pyscipopt is missing: pip install pyscipopt",
)
_GUROBI = SolverNames(
    (
        "FeasibilityTol",
        "OptimalityTol",
        "IntFeasTol",
        "BarConvTol",
        "BarQCPConvTol",
        "MIPGap",
        "MIPGapAbs",
    ),
    1e-9,
    "Seed",
    "Threads",
    {"QCPDual": 1},
    missing="the package gurobipy or its licence is missing: pip install gurobipy, and "
    "ask gurobi.com for a licence",
)
_IPOPT = SolverNames(
    ("tol", "constr_viol_tol", "compl_inf_tol"),
    1e-11,
    integers=False,
    missing="the executable ipopt is not on the PATH: conda install -c conda-forge ipopt, or "
    "pip install idaes-pse and idaes get-extensions",
)
KNOWN = {
    "highs": _HIGHS,
    "appsi_highs": _HIGHS,
    "scip_direct": _SCIP,
    "scip_persistent": _SCIP,
    "gurobi": _GUROBI,
    "gurobi_direct": _GUROBI,
    "gurobi_direct_minlp": _GUROBI,
    "gurobi_persistent": _GUROBI,
    "ipopt": _IPOPT,
    "ipopt_v2": _IPOPT,
    "glpk": SolverNames(
        ("mipgap",),
        1e-9,
        "seed",
        cones=False,
        missing="the executable glpsol is not on the PATH: apt-get install glpk-utils",
    ),
    "cbc": SolverNames(
        ("primalT", "dualT", "ratio"),
        1e-9,
        cones=False,
        missing="the executable cbc is not on the PATH: apt-get install coinor-cbc",
    ),
}


def find_solver(name: str) -> tuple[Any, bool]:
    """The solver of this name, and whether it has Pyomo's new interface (its own, if it has both).

    Raises
    ------
    OptionError
        If Pyomo knows no such solver.
    BackendUnavailable
        If it is not installed.
    """
    import pyomo.environ as pyo
    from pyomo.contrib.solver.common.factory import SolverFactory

    # The names with a leading underscore are parts of other solvers.
    known = sorted({*SolverFactory, *(each for each in pyo.SolverFactory if each[0] != "_")})
    if name not in known:
        raise OptionError(
            f"Pyomo knows no solver {name!r}. {did_you_mean(name, known)}",
            backend="pyomo",
            option="solver",
            value=name,
            known=known,
        )
    new = name in SolverFactory
    solver = SolverFactory(name) if new else pyo.SolverFactory(name)
    found = solver.available() if new else solver.available(exception_flag=False)
    if not found:
        state = str(found) if new else "not available"
        missing = KNOWN.get(name, SolverNames()).missing or (
            "its executable or Python package is missing, or its licence: install it, so that "
            f"pyomo.environ.SolverFactory({name!r}).available() is true"
        )
        raise BackendUnavailable(
            f"Pyomo cannot use the solver {name!r} here ({state}): {missing}. Or leave the option "
            "solver out, for HiGHS.",
            backend="pyomo",
            solver=name,
            state=state,
        )
    return solver, new


def check_solver(name: str, program: StandardProgram) -> None:
    """Refuse a program that the solver is known to fail at, or to answer a different one.

    Raises
    ------
    UnsupportedProgram
    """
    names = KNOWN.get(name, SolverNames())
    curved = isinstance(program, ConicProgram) and any(s > 1 for s in program.cones.second_order)
    whole = isinstance(program, LinearProgram) and program.is_mixed_integer
    if curved and not names.cones:
        raise unsupported(name, program, "it takes no second-order cones")
    if whole and not names.integers:
        raise unsupported(name, program, "it takes integer variables for continuous ones")


def unsupported(solver: str, program: StandardProgram, why: str) -> UnsupportedProgram:
    """The error for a program that this solver does not take."""
    if isinstance(program, ConicProgram) and program.cones.second_order:
        fix = "Use solver='scip_direct'."
    else:
        fix = "Use solver='highs', for linear and quadratic programs, or solver='scip_direct'."
    kind = type(program).__name__
    return UnsupportedProgram(
        f"The solver {solver!r} cannot take this {kind}: {why}. {fix}",
        backend="pyomo",
        solver=solver,
        program=kind,
    )


def needs_guard(name: str, program: StandardProgram) -> bool:
    """Whether the solver may never end on this program."""
    if isinstance(program, ConicProgram):
        curved = any(size > 1 for size in program.cones.second_order)
    else:
        curved = isinstance(program, QuadraticProgram) and program.P.nnz > 0
    return curved and KNOWN.get(name, SolverNames()).guarded


def holds_the_interpreter(name: str) -> bool:
    """Whether no other thread of Python can run while the solver does."""
    return KNOWN.get(name) is _SCIP


def free_threads(solver: str, threads: int | None) -> None:
    """HiGHS keeps the threads of its first run, and fails if it is then told another number."""
    if threads is not None and KNOWN.get(solver) is _HIGHS:
        import highspy

        highspy.Highs.resetGlobalScheduler(True)


def solver_settings(name: str, options: SolveOptions, new: bool) -> dict[str, object]:
    """What the solver is told, in its own words; the user's settings come last.

    `new` says that the solver has Pyomo's new interface, which sets time limit and threads itself.

    Raises
    ------
    OptionError
        If `solver_options` cannot be read, or names a setting that the solver does not have.
    """
    names = KNOWN.get(name, SolverNames())
    values: dict[str, object] = dict.fromkeys(
        names.tolerances, max(SAFETY * options.tol, names.least)
    )
    if names.seed:
        values[names.seed] = options.seed
    if names.threads and options.threads is not None and not new:
        values[names.threads] = options.threads
    told = read_settings(cast(str, options.extra.get("solver_options", "")))
    _check_names(name, told)
    quiet = {} if options.verbose else names.quiet
    return {**values, **names.always, **quiet, **told}


def read_settings(text: str) -> dict[str, object]:
    """name=value,name=value as a mapping; values become booleans and numbers where they can.

    Raises
    ------
    OptionError
        If it is something else.
    """
    settings: dict[str, object] = {}
    for piece in filter(None, (part.strip() for part in text.split(","))):
        name, sign, value = (part.strip() for part in piece.partition("="))
        if not (name and sign and value):
            raise OptionError(
                f"solver_options has the part {piece!r}, and name=value is needed, with commas "
                "between: solver_options='presolve=off,qp_iteration_limit=1000'.",
                backend="pyomo",
                option="solver_options",
                value=text,
            )
        settings[name] = _literal(value)
    return settings


def _literal(text: str) -> object:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _check_names(solver: str, told: Mapping[str, object]) -> None:
    """Settings that the solver does not have: HiGHS would pass over them in silence."""
    if not told:
        return
    known = set(_names_of(solver))
    for name in told if known else ():
        if name not in known:
            near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
            raise OptionError(
                f"solver_options sets {name!r}, and the solver {solver!r} has no such setting. "
                f"{did_you_mean(name, near) if near else 'Its manual lists them.'}",
                backend="pyomo",
                option="solver_options",
                solver=solver,
                value=name,
            )


def _names_of(solver: str) -> Iterable[str]:
    """All settings of HiGHS and SCIP; nothing for solvers that cannot be asked."""
    if KNOWN.get(solver) is _HIGHS:
        import highspy

        return (name for name in dir(highspy.HighsOptions) if name[0] != "_")
    if KNOWN.get(solver) is _SCIP:
        import pyscipopt

        return cast("dict[str, object]", pyscipopt.Model().getParams())
    return ()
