"""Run one tool on one problem, in whichever environment it lives; `peers.py` starts this.

    python peers_worker.py TOOL PROBLEM.npz ANSWER.npz '{"tol": 1e-8, "threads": 1, ...}'

The problem is X, y, lam, masks, gates and the activation; the answer is the weights (signs,
patterns, features), or for a network of its own patterns `hidden` and `output`, with a JSON
description beside them. Making ready and solving are timed apart, after a run on a tiny problem
of the same types that warms up imports and compilation; short runs are repeated.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np
from peers_tools import TOOLS, Answer, Problem

# Short runs are repeated while the sum of their times is below this, and the fastest counts.
REPEAT_SECONDS, REPEATS = 6.0, 5


def timed(action: Callable[[], Any]) -> tuple[float, Any]:
    start = time.perf_counter()
    result = action()
    return time.perf_counter() - start, result


def run(tool: str, problem: Problem, settings: dict[str, Any]) -> tuple[Answer, dict[str, Any]]:
    """Warm up, make ready, solve; the answer, and the seconds of each."""
    make_ready, packages = TOOLS[tool]
    # Bounds on work that some tools take.
    brief = {**settings, "seconds": 0.1, "iterations": 20}
    warm, _ = timed(lambda: make_ready(problem.tiny(), brief)())
    ready, solve = timed(lambda: make_ready(problem, settings))
    each: list[float] = []
    while not each or (len(each) < REPEATS and sum(each) + each[-1] < REPEAT_SECONDS):
        seconds, answer = timed(solve)
        each.append(seconds)
    return answer, {
        "seconds": min(each),
        "repeats": len(each),
        "warm": warm,
        "ready": ready,
        "claimed": answer.objective,
        "status": answer.status,
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
        "versions": {package: version(package) for package in packages},
        **answer.extra,
    }


def main() -> None:
    tool, source, target, settings = sys.argv[1:]
    with np.load(source) as arrays:
        problem = Problem(
            arrays["X"],
            arrays["y"],
            float(arrays["lam"]),
            arrays["masks"],
            arrays["gates"],
            str(arrays["activation"]),
        )
    answer, facts = run(tool, problem, json.loads(settings))
    np.savez(target, facts=json.dumps(facts), **answer.arrays)


if __name__ == "__main__":
    main()
