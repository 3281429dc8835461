"""`python tests/benchmarks/located.py`: whether `path.located` keeps the events of many programs.

Counts, over random programs, the neurons that enter less those that leave between neighbours of the
path, and between the same two λ of the located path: they have to agree.
"""

from __future__ import annotations

import argparse
from collections import Counter

import numpy as np

import relu_opt as ro

CHANGE = {"enters": 1, "leaves": -1, "face": 0}


def program(seed: int, activation: str) -> ro.ConvexProgram:
    """Normal data of a random shape, six patterns."""
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(8, 21)), int(rng.integers(2, 5))
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    return ro.ConvexProgram(X, y, 1.0, ro.sample_patterns(X, 6, seed=seed), activation=activation)


def net_changes(path: ro.SolutionPath, lams: np.ndarray) -> Counter[tuple[int, float]]:
    """By the interval between two of the λ, which fall, and the output sign."""
    found: Counter[tuple[int, float]] = Counter()
    for event in path.events:
        interval = int(np.searchsorted(-lams, -event.lam_high, side="right"))
        found[interval, event.sign] += CHANGE[event.kind]
    return Counter({key: count for key, count in found.items() if count})


def main() -> None:
    """Print what is found for each activation."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", type=int, default=40)
    parser.add_argument("--tol", type=float, default=1e-3, help="of `located`")
    chosen = parser.parse_args()
    for activation in ("gated", "relu"):
        events = points = differ = unknown = 0
        for seed in range(chosen.programs):
            path = ro.solution_path(program(seed, activation), eps=1e-3, lam_min_ratio=0.02)
            located = path.located(chosen.tol)
            if net_changes(path, path.lams) != net_changes(located, path.lams):
                differ += 1
                print(f"{activation}, seed {seed}: the events differ")
            events += len(located.events)
            points += len(located)
            unknown += sum(each.unique is None for each in located.uniqueness)
        print(
            f"{activation}: {chosen.programs} programs, {events} events, {differ} programs whose "
            f"events differ, {unknown} of {points} points in doubt",
            flush=True,
        )


if __name__ == "__main__":
    main()
