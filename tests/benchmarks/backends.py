"""Every backend on every program type: is it right, how accurately, and how fast.

Four tables, in one process with one BLAS thread:

1. each backend on each named program of `relu_opt.testing` (with known answers): the error of the
   objective relative to max(1, |optimum|), the relative gap and the constraint violation that the
   core computes, the seconds; what a backend does not take says so;
2. a summary of it, one line a backend and type: how many right, the worst error, the median time;
3. training on the diabetes data (442 x 11, 50 patterns, lam 0.01) through each backend: the
   certified gap, the seconds, and how the program reached the backend;
4. the conic form of the same training, solved as a `ConicProgram` by those that take cones.

Usage:
    python tests/benchmarks/backends.py [--backends native highs ...] [--tol 1e-6] [--no-training]
        [--repeat 3]
"""

from __future__ import annotations

import argparse
import math
import statistics
import time

from problems import diabetes
from solve import versions
from threadpoolctl import threadpool_limits

import relu_opt as ro
from relu_opt.program.lowering import lower_to_conic
from relu_opt.testing import PROGRAMS
from relu_opt.testing.trial import Trial, try_program

ORDER = ("native", "highs", "clarabel", "cvxpy", "pyomo", "mosek")
TYPES = {
    "training": "ConvexProgram",
    "LP": "LinearProgram",
    "MILP": "LinearProgram",
    "QP": "QuadraticProgram",
    "conic": "ConicProgram",
}
PACKAGES = ("relu-opt", "numpy", "scipy", "highspy", "clarabel", "daqp", "cvxpy", "pyomo")


def sort_of(name: str) -> str:
    """The row of the summary that a program belongs to."""
    kind = PROGRAMS[name].kind.__name__
    if kind == "LinearProgram":
        return "MILP" if name.startswith("milp") else "LP"
    return next(sort for sort, type_name in TYPES.items() if type_name == kind)


def number(value: float, digits: int = 1) -> str:
    return "" if math.isnan(value) else f"{value:.{digits}e}"


def fastest(backend: str, name: str, arguments: argparse.Namespace) -> Trial:
    trials = [try_program(backend, PROGRAMS[name], arguments.tol) for _ in range(arguments.repeat)]
    return min(trials, key=lambda trial: (trial.outcome == "right", trial.seconds))


def table_of_programs(trials: list[Trial]) -> list[str]:
    lines = [
        "| program | backend | outcome | error | gap | violation | seconds |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {trial.program} | {trial.backend} | {trial.outcome} | {number(trial.error)} "
        f"| {number(trial.rel_gap)} | {number(trial.violation)} "
        f"| {'' if math.isnan(trial.seconds) else f'{trial.seconds:.4f}'} |"
        for trial in trials
    ]
    return lines


def summary(trials: list[Trial], backends: list[str]) -> list[str]:
    lines = [f"| backend | {' | '.join(TYPES)} |", "|---" * (1 + len(TYPES)) + "|"]
    for backend in backends:
        cells = []
        for sort in TYPES:
            mine = [t for t in trials if t.backend == backend and sort_of(t.program) == sort]
            taken = [trial for trial in mine if trial.outcome != "unsupported"]
            if not taken:
                cells.append("not supported")
                continue
            right = sum(trial.outcome == "right" for trial in taken)
            worst = max((t.error for t in taken if not math.isnan(t.error)), default=math.nan)
            median = statistics.median(trial.seconds for trial in taken)
            missing = f" ({len(mine) - len(taken)} not supported)" if len(taken) < len(mine) else ""
            cells.append(
                f"{right} of {len(taken)} right{missing}, error ≤ {number(worst, 0)}, "
                f"{1e3 * median:.0f} ms"
            )
        lines.append(f"| `{backend}` | {' | '.join(cells)} |")
    return lines


def training(backends: list[str], arguments: argparse.Namespace) -> list[str]:
    lines = [
        "| backend | seconds | certified gap | neurons | verdict | how |",
        "|---|---|---|---|---|---|",
    ]
    program = diabetes()
    for backend in backends:
        seconds = []
        for _ in range(arguments.repeat):
            start = time.perf_counter()
            solution = ro.solve(program, backend, tol=arguments.tol)
            seconds.append(time.perf_counter() - start)
        lines.append(
            f"| `{backend}` | {min(seconds):.2f} | {solution.rel_gap:.0e} "
            f"| {len(solution.network)} | {solution.certificate.verdict.value} "
            f"| {solution.stats['route']} |"
        )
    return lines


def conic_form(backends: list[str], arguments: argparse.Namespace) -> list[str]:
    lines = ["| backend | seconds | gap | residuals | verdict |", "|---|---|---|---|---|"]
    program = lower_to_conic(diabetes()).program
    for backend in backends:
        start = time.perf_counter()
        try:
            found = ro.solve_program(program, backend, tol=arguments.tol)
        except ro.errors.UnsupportedProgram:
            continue
        seconds = time.perf_counter() - start
        worst = max(found.residuals.primal, found.residuals.dual)
        lines.append(
            f"| `{backend}` | {seconds:.2f} | {found.rel_gap:.0e} | {worst:.0e} "
            f"| {found.verdict.value} |"
        )
    return lines


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the backends on every program type.")
    parser.add_argument("--backends", nargs="+", default=None, help="default: all that are ready")
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the fastest is shown")
    parser.add_argument("--no-training", action="store_true", help="leave the last two tables out")
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    statuses = {status.name: status.availability for status in ro.backends()}
    ready = [name for name in ORDER if statuses[name].state is ro.plugins.State.READY]
    chosen = arguments.backends or ready
    with threadpool_limits(1):
        for backend in chosen:
            fastest(backend, "lp_unique", argparse.Namespace(tol=1e-6, repeat=1))  # warm imports
        trials = [fastest(backend, name, arguments) for name in PROGRAMS for backend in chosen]
        print("\n".join(table_of_programs(trials)), end="\n\n")
        print("\n".join(summary(trials, chosen)), end="\n\n")
        if not arguments.no_training:
            print("\n".join(training(chosen, arguments)), end="\n\n")
            print("\n".join(conic_form(chosen, arguments)), end="\n\n")
    for name in ORDER:
        if name not in chosen:
            print(f"{name} is not there: {statuses[name].state.value}. {statuses[name].reason}")
    wrong = [trial for trial in trials if trial.outcome in ("wrong", "failed")]
    for trial in wrong:
        print(f"{trial.backend} on {trial.program}: {trial.outcome}. {trial.detail}")
    print(
        f"{versions(PACKAGES)}; one thread; fastest of {arguments.repeat} runs; "
        f"tol {arguments.tol:g}"
    )


if __name__ == "__main__":
    main()
