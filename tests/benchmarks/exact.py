"""What a proof in exact arithmetic costs: `verify` in doubles and in integers; the tiny checker.

The certificates are those of the benchmark's programs, trained to 1e-8. CPU seconds, the fastest
of the runs, reading from memory; the tiny checker reads its files and is a process of its own, so
that its seconds are those of a clock. `added` is what doubles lose: the relative gap that they
prove, less the exact one.

Usage:
    python tests/benchmarks/exact.py [--problems R1 R2 R3 R4] [--mnist FOLDER] [--runs 3]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from problems import problems
from threadpoolctl import threadpool_limits

import relu_opt as ro

CHECKER = Path(__file__).resolve().parents[2] / "docs" / "tiny_checker.py"


def seconds(action: Callable[[], object], runs: int) -> float:
    """CPU seconds of an action, the least of the runs."""
    found = []
    for _ in range(runs):
        start = time.process_time()
        action()
        found.append(time.process_time() - start)
    return min(found)


def tiny(program: ro.ConvexProgram, certificate: ro.Certificate) -> str:
    """Seconds of the tiny checker, or why it does not take the certificate."""
    if program.activation != "relu":
        return "ReLU alone"
    with tempfile.TemporaryDirectory() as folder:
        files = Path(folder, "certificate.npz"), Path(folder, "data.npz")
        certificate.save(files[0])
        np.savez(files[1], X=program.X, y=program.y)
        start = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-I", "-S", str(CHECKER), *map(str, files)],
            capture_output=True,
            text=True,
            check=False,
        )
        spent = time.perf_counter() - start
    return f"{spent:.3g}" if done.returncode == 0 else done.stderr.strip()


def row(title: str, program: ro.ConvexProgram, runs: int) -> str:
    """One row of the table."""
    certificate = ro.solve(program, tol=1e-8).certificate
    data = program.X, program.y

    def check(arithmetic: str) -> ro.Verification:
        return ro.verify(certificate, *data, arithmetic=arithmetic)

    doubles, exact = check("float"), check("exact")
    times = [seconds(lambda kind=kind: check(kind), runs) for kind in ("float", "exact")]
    multipliers = len(certificate.to_arrays().get("rho_values", ()))
    return (
        f"| {title} | {multipliers} | {doubles.verdict}, {exact.verdict} | {times[0]:.3g} | "
        f"{times[1]:.3g} | {times[1] / times[0]:.1f} | {tiny(program, certificate)} | "
        f"{doubles.rel_gap - exact.rel_gap:.1e} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="+", default=["R1", "R2", "R3", "R4"])
    parser.add_argument("--mnist", type=Path, default=None)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args()
    known = problems(given.mnist)
    print(
        "| problem | multipliers | verdicts | doubles, s | exact, s | ratio | tiny checker, s | "
        "added |\n|---|---|---|---|---|---|---|---|"
    )
    for name in given.problems:
        with threadpool_limits(1):
            print(row(f"{name}: {known[name].title}", known[name].build(), given.runs), flush=True)


if __name__ == "__main__":
    main()
