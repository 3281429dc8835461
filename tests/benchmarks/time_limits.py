"""How far doors with a time limit overrun it, and with what gap their incumbents come back.

A line a door and limit: the limit, the seconds that the call took, what is over, the reason of the
stop and the certified relative gap. Compilation is not counted: each door is called once before on
a small problem. `PYTHONPATH` of an older checkout gives the figures of before.

Usage:
    python tests/benchmarks/time_limits.py [--rows 1000000] [--limits 2 10 30]
        [--doors native clarabel cvxpy global vector spline path]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import relu_opt as ro
from relu_opt.errors import ReluOptError

# Doors that hand the whole to a solver of others get this share of the rows.
OTHERS_SHARE = 0.01
Door = Callable[[int], Callable[[float], Any]]


def data(n: int, d: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, d))
    X[:, -1] = 1.0
    y = np.maximum(X @ rng.standard_normal((d, 5)), 0.0) @ rng.standard_normal(5)
    return X, y + 0.1 * rng.standard_normal(n)


def training(n: int, d: int = 20, gates: int = 200) -> ro.ConvexProgram:
    X, y = data(n, d)
    return ro.ConvexProgram(X, y, 1e-3, ro.sample_patterns(X, gates, seed=0))


def solved_by(backend: str, share: float = 1.0, gates: int = 200) -> Door:
    def door(n: int) -> Callable[[float], Any]:
        prog = training(max(100, int(share * n)), gates=gates)
        return lambda limit: ro.solve(prog, backend, tol=1e-12, time_limit=limit)

    return door


def everywhere(n: int) -> Callable[[float], Any]:
    X, y = data(n, 4)
    return lambda limit: ro.train_globally(X, y, 1e-3, tol=1e-10, time_limit=limit)


def several(n: int) -> Callable[[float], Any]:
    X, y = data(n, 4)
    Y = np.column_stack([y, y[::-1]])
    return lambda limit: ro.several_outputs.train_vector(X, Y, 1e-3, tol=1e-10, time_limit=limit)


def one_input(loss: str) -> Door:
    def door(n: int) -> Callable[[float], Any]:
        x = np.sort(np.random.default_rng(0).standard_normal(n))
        y = np.sin(5 * x) + 0.1 * np.random.default_rng(1).standard_normal(n)
        y = np.where(y > 0, 1.0, -1.0) if loss == "hinge" else y
        return lambda limit: ro.one_input.fit_spline(x, y, 1e-6, loss=loss, time_limit=limit)

    return door


def along_lam(n: int) -> Callable[[float], Any]:
    prog = training(n, gates=50)
    lams = 1.0 * np.geomspace(1.0, 1e-3, 200)
    return lambda limit: ro.solution_path(prog, lams, time_limit=limit)


DOORS: dict[str, Door] = {
    "native": solved_by("native"),
    "clarabel": solved_by("clarabel", OTHERS_SHARE, 20),
    "highs": solved_by("highs", OTHERS_SHARE),
    "cvxpy": solved_by("cvxpy", OTHERS_SHARE, 20),
    "global": everywhere,
    "vector": several,
    "spline": one_input("squared"),
    "hinge": one_input("hinge"),
    "path": along_lam,
}


def gap_of(answer: Any) -> float:
    return float(answer.largest_gap if isinstance(answer, ro.SolutionPath) else answer.rel_gap)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--limits", type=float, nargs="+", default=[2.0, 10.0, 30.0])
    parser.add_argument("--doors", nargs="+", choices=DOORS, default=list(DOORS))
    arguments = parser.parse_args()
    print("| door | limit | wall | over | stop | gap |\n|---|---|---|---|---|---|")
    for name in arguments.doors:
        DOORS[name](300)(2.0)
        call = DOORS[name](arguments.rows)
        for limit in arguments.limits:
            started = time.perf_counter()
            try:
                answer = call(limit)
                said = f"{answer.stop.value} | {gap_of(answer):.1e}"
            except ReluOptError as error:
                said = f"{type(error).__name__} | none"
            wall = time.perf_counter() - started
            print(f"| {name} | {limit:g} | {wall:.2f} | {wall - limit:+.2f} | {said} |", flush=True)


if __name__ == "__main__":
    main()
