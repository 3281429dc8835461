"""Solve two fixed training problems with every backend that is ready, side by side.

Prints one line a problem and backend: wall-clock seconds, the objective of the network, the
relative gap that the core certifies, the solver's iterations and the non-zero neurons, and
under the table the versions. All runs share one process and one number of BLAS threads.

The problems, with features standardised, a column of ones as the hidden bias, everything
divided by the root of the number of features, and patterns of seed 123:

* diabetes: 442 rows, 50 gates, lam 0.01, standardised target;
* breast_cancer: 569 rows, 500 gates, lam 0.003, labels -1 and +1, squared loss. Its conic form
  has tens of millions of entries, so `cvxpy`, which builds it, is left out unless `--everything`
  is given.

Usage:
    python tests/benchmarks/solve.py [--problems diabetes breast_cancer]
        [--backends native cvxpy] [--tol 1e-8] [--time-limit 600] [--threads 1]
        [--repeat 3] [--everything]
"""

from __future__ import annotations

import argparse
import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version

from problems import breast_cancer, diabetes
from threadpoolctl import threadpool_limits

import relu_opt as ro

# Larger programs than this in n·p·d are left to backends that do not build the matrix.
LARGEST, BUILDS_MATRIX = 2_000_000, ("cvxpy",)
PACKAGES = ("relu-opt", "numpy", "scipy", "highspy", "clarabel", "cvxpy", "pyomo", "scikit-learn")


PROBLEMS = {"diabetes": diabetes, "breast_cancer": breast_cancer}


def measure(
    prog: ro.ConvexProgram, backend: str, arguments: argparse.Namespace
) -> tuple[list[float], ro.Solution]:
    """Solve again and again: the seconds of each run, and the last solution."""
    seconds = []
    for _ in range(arguments.repeat):
        start = time.perf_counter()
        solution = ro.solve(
            prog,
            backend=backend,
            tol=arguments.tol,
            time_limit=arguments.time_limit,
            options={"threads": arguments.threads},
        )
        seconds.append(time.perf_counter() - start)
    return seconds, solution


def row(name: str, backend: str, seconds: list[float], solution: ro.Solution) -> str:
    iterations = solution.stats["backend_stats"].get("iterations", "")
    return (
        f"| {name} | {backend} | {min(seconds):.2f} | {solution.objective:.10f} "
        f"| {solution.rel_gap:.1e} | {iterations} | {len(solution.network)} "
        f"| {solution.stop.value} |"
    )


def versions(packages: tuple[str, ...] = PACKAGES) -> str:
    found = [f"Python {platform.python_version()}"]
    for package in packages:
        try:
            found.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Compare the backends on two problems.")
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--backends", nargs="+", default=None, help="default: all that are ready")
    parser.add_argument("--tol", type=float, default=1e-8)
    parser.add_argument("--time-limit", type=float, default=600.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3, help="runs; the fastest is shown")
    parser.add_argument("--everything", action="store_true", help="also what may take hours")
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    ready = [s.name for s in ro.backends() if s.availability.state is ro.plugins.State.READY]
    chosen = arguments.backends or sorted(ready, key=lambda name: name != "native")
    print("| problem | backend | seconds | objective | rel. gap | iterations | neurons | stop |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for name in arguments.problems:
        prog = PROBLEMS[name]()
        size = prog.n * len(prog.patterns) * prog.d
        for backend in chosen:
            if size > LARGEST and backend in BUILDS_MATRIX and not arguments.everything:
                print(f"| {name} | {backend} | not run: too large | | | | | |")
                continue
            with threadpool_limits(arguments.threads):
                print(row(name, backend, *measure(prog, backend, arguments)), flush=True)
    print(
        f"\n{versions()}; {arguments.threads} thread(s) of {os.cpu_count()}, "
        f"{platform.machine()}; fastest of {arguments.repeat} run(s), tol {arguments.tol:g}"
    )


if __name__ == "__main__":
    main()
