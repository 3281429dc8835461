"""Table 1 of the paper, with certificates: how much do equally good networks differ?

500 gates, lam 1e-3, 0.8 of the rows for test and a quarter of the rest for validation, 5 splits.
Over the exact optimal set: the min-norm, the max-l1, the validation-tuned and the test-tuned
network. Over the set within eps of the optimal objective: the tuned ones. Every network is
certified, to 1e-8 or to eps.

Usage:
    python tests/paper/table1.py FOLDER [--names pima ...] [--splits 5] [--json FILE]

FOLDER has the UCI sets as CSV files without header, the class in the last column.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
from splits import NAMES, accuracy, make_split, read
from threadpoolctl import threadpool_limits

import relu_opt as ro

EPS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def one_split(X: np.ndarray, y: np.ndarray, r: int) -> dict[str, float]:
    """Dimensions and accuracies of a split."""
    split = make_split(X, y, 0.8, 0.25, r)
    solution = ro.solve(split.program(1e-3, 500, 123 + r), tol=1e-12)
    exact = ro.optimal_set(solution)
    ranges = exact.prediction_range(split.test[0])
    facts = {
        "rows": len(split.train[1]),
        "rel_gap": solution.rel_gap,
        "neurons": int(exact.support.sum()),
        "network_dim": exact.network_dim,
        "convex_dim": exact.convex_dim,
        "doubtful": len(exact.doubtful),
        "next_slack": exact.found.next_slack,
        "widest": float(ranges.width.max()),
        "flips": int(ranges.can_flip.sum()),
        "min-norm": accuracy(exact.min_norm(), split.test),
        "max-l1": accuracy(exact.extreme("max_l1"), split.test),
        "tuned": accuracy(exact.tune(*split.valid), split.test),
        "test-tuned": accuracy(exact.tune(*split.test), split.test),
    }
    for eps in EPS:
        near = exact.near_optimal(eps * solution.objective)
        for name, data in (("tuned", split.valid), ("test-tuned", split.test)):
            network = near.tune(*data)
            assert network.certificate.rel_gap <= eps * 1.001
            facts[f"{name} {eps:g}"] = accuracy(network, split.test)
    return facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", nargs="*", default=NAMES)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    results = {}
    print("| data | train | network dim | convex dim | flips | min-norm | max-l1 ", end="")
    print("| " + " | ".join(f"tuned / test-tuned, eps {eps:g}" for eps in (0.0, *EPS)), end=" |\n")
    print("|---" * (7 + 1 + len(EPS)) + "|")
    for name in given.names:
        X, y = read(given.folder, name)
        started = time.perf_counter()
        splits = [one_split(X, y, r) for r in range(given.splits)]
        results[name] = {"seconds": time.perf_counter() - started, "splits": splits}

        def mean(key: str, splits: list[dict[str, float]] = splits) -> float:
            return float(np.mean([facts[key] for facts in splits]))

        def span(key: str, splits: list[dict[str, float]] = splits) -> str:
            values = sorted({int(facts[key]) for facts in splits})
            return f"{values[0]}" if len(values) == 1 else f"{values[0]}–{values[-1]}"

        cells = [name, span("rows"), span("network_dim"), span("convex_dim")]
        cells += [span("flips"), f"{mean('min-norm'):.3f}", f"{mean('max-l1'):.3f}"]
        for suffix in ("", *(f" {eps:g}" for eps in EPS)):
            cells.append(f"{mean('tuned' + suffix):.3f} / {mean('test-tuned' + suffix):.3f}")
        print("| " + " | ".join(cells) + " |", flush=True)
    everything = [facts for result in results.values() for facts in result["splits"]]
    print(
        f"\n{len(everything)} programs, relative gaps up to "
        f"{max(facts['rel_gap'] for facts in everything):.1e}; smallest slack of a block outside "
        f"the set {min(facts['next_slack'] for facts in everything):.1e} of lam; "
        f"{sum(facts['doubtful'] for facts in everything):.0f} blocks in doubt; "
        f"{sum(result['seconds'] for result in results.values()):.0f} s"
    )
    if given.json is not None:
        given.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
