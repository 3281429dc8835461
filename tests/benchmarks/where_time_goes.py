"""Where the time of the native backend goes: the functions with the largest own time.

One process, one thread, tolerance 1e-6, after a run that warms up. Profiling itself slows Python
down, so shares are to be read, not seconds. Also how many blocks were projected, or how many
passes over the data the gated solver took, against the one pass that any method needs.

Usage:
    python tests/benchmarks/where_time_goes.py [--problems R1 R2 R3 R4 R5 R6] [--mnist FOLDER]
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
from pathlib import Path

from problems import problems
from threadpoolctl import threadpool_limits

import relu_opt as ro

SHOWN = 6


def profile(prog: ro.ConvexProgram) -> tuple[list[tuple[float, str]], ro.Solution]:
    """Shares of the whole, largest first, and the solution."""
    ro.solve(prog, "native", tol=1e-2, options={"threads": 1})
    profiler = cProfile.Profile()
    profiler.enable()
    solution = ro.solve(prog, "native", tol=1e-6, options={"threads": 1})
    profiler.disable()
    stats = pstats.Stats(profiler)
    own = sorted(
        (
            (times[2] / stats.total_tt, f"{Path(file).stem}.{name}" if file != "~" else name)
            for (file, _, name), times in stats.stats.items()
        ),
        reverse=True,
    )
    return own[:SHOWN], solution


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="+", default=["R1", "R2", "R3", "R4", "R5", "R6"])
    parser.add_argument("--mnist", type=Path, default=None)
    given = parser.parse_args()
    known = problems(given.mnist)
    print("| problem | own time | work |\n|---|---|---|", flush=True)
    for name in given.problems:
        if name not in known:
            print(f"| {name} | not run: it needs the data of --mnist | |")
            continue
        with threadpool_limits(1):
            shares, solution = profile(known[name].build())
        work = ", ".join(f"{key} {value}" for key, value in _work(solution).items())
        text = ", ".join(f"`{function}` {share:.0%}" for share, function in shares)
        print(f"| {name} | {text} | {work} |", flush=True)


def _work(solution: ro.Solution) -> dict[str, object]:
    stats = solution.stats["backend_stats"]
    return {key: stats[key] for key in ("iterations", "projections", "passes") if key in stats}


if __name__ == "__main__":
    main()
