"""Time the exact phase of pruning, and compare the methods beyond it.

First table: solved networks whose neurons are cut into random parts, solutions of an
interior-point method (which lie inside the optimal set), and random networks that are wider than
the data have rows. Milliseconds are of the pruning itself, from the weights to the path with its
objectives; the certificate of the start, which is not needed for the steps, is apart. Second
table: accuracy on held-out rows of breast cancer by the number of neurons that are left.

Usage:
    python tests/benchmarks/pruning.py [--repeats 7] [--seed 0]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator

import numpy as np
import sklearn.datasets

import relu_opt as ro
from relu_opt.pruning.prune import METHODS, prune_certified

WIDTHS = (60, 40, 30, 20, 15, 10, 8, 6, 4, 3, 2, 1)


def data(n: int, d: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A ReLU function with noise; the last column is the hidden bias."""
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((n, d - 1)), np.ones(n)] / np.sqrt(d - 1)
    return X, np.maximum(X @ rng.standard_normal(d), 0) + 0.3 * rng.standard_normal(n)


def cut(network: ro.ReLUNetwork, width: int, seed: int) -> ro.ReLUNetwork:
    """The same function with neurons cut into random parts, so many in all."""
    rng = np.random.default_rng(seed)
    count = len(network)
    which = np.concatenate([np.arange(count), rng.integers(0, count, max(0, width - count))])
    shares = rng.uniform(0.2, 1.0, len(which))
    shares /= np.bincount(which, shares)[which]
    return ro.ReLUNetwork(network.hidden[which] * shares[:, None], network.output[which])


def cases(seed: int) -> Iterator[tuple[str, ro.ConvexProgram, ro.Certificate]]:
    """Name, program and certified start of each row of the first table."""
    for n, d, lam, width in ((116, 10, 0.02, 91), (116, 10, 0.001, 91), (116, 10, 0.001, 400)):
        X, y = data(n, d, seed)
        prog = ro.ConvexProgram(X, y, lam, ro.sample_patterns(X, 300, seed))
        sol = ro.solve(prog, backend="native")
        yield "cut solution", prog, ro.certify(prog, cut(sol.network, width, seed), sol.nu)
    X, y = data(20, 4, seed)
    prog = ro.ConvexProgram(X, y, 0.001, ro.enumerate_patterns(X))
    yield "inner solution", prog, ro.solve(prog, backend="clarabel", tol=1e-10).certificate
    for n, d, width in ((116, 10, 400), (442, 11, 1000), (100, 10, 5000), (20_000, 30, 500)):
        X, y = data(n, d, seed)
        rng = np.random.default_rng(seed)
        network = ro.ReLUNetwork(
            rng.standard_normal((width, d)), rng.standard_normal(width) / width
        )
        prog = ro.ConvexProgram(X, y, 0.01, ro.program.patterns_of_gates(X, network.hidden.T))
        yield "random network", prog, ro.certify(prog, network, scope="program")


def exact_phase(repeats: int, seed: int) -> None:
    print("| start | n | neurons | left | ms | change of fits | rise of objective | gap |")
    print("|---|---|---|---|---|---|---|---|")
    for name, prog, start in cases(seed):
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            path = prune_certified(prog, start, "optimal", None)
            times.append(1e3 * (time.perf_counter() - began))
            if sum(times) > 1e4:
                break
        fits = path.network(0).predict(prog.X)
        steps = range(0, len(path), max(1, len(path) // 20))
        change = max(
            np.abs(path.network(k).predict(prog.X) - fits).max() for k in (*steps, len(path) - 1)
        )
        rise = max(0.0, float(np.diff(path.objectives).max(initial=0.0)))
        print(
            f"| {name} | {prog.n} | {path.widths[0]} | {path.widths[-1]} "
            f"| {np.median(times):.2f} | {change / np.abs(fits).max():.0e} "
            f"| {rise / path.objectives[0]:.0e} "
            f"| {path.rel_gaps[0]:.0e} to {path.rel_gaps[-1]:.0e} |",
            flush=True,
        )


def beyond(seed: int) -> None:
    raw, target = sklearn.datasets.load_breast_cancer(return_X_y=True)
    X = np.c_[(raw - raw.mean(axis=0)) / raw.std(axis=0), np.ones(len(raw))]
    X /= np.sqrt(raw.shape[1])
    y = 2.0 * target - 1
    order = np.random.default_rng(seed).permutation(len(y))
    train, test = order[:200], order[200:]
    patterns = ro.sample_patterns(X[train], 300, seed)
    sol = ro.solve(ro.ConvexProgram(X[train], y[train], 1e-4, patterns), backend="native")
    print(f"\nBreast cancer, 200 rows to train on, {len(sol.network)} neurons, test accuracy in %:")
    widths = [width for width in WIDTHS if width <= len(sol.network)]
    print("| method | all | " + " | ".join(map(str, widths)) + " |")
    print("|---|---|" + "---|" * len(widths))
    for method in METHODS:
        path = ro.prune(sol, method=method, to=0, seed=seed)
        scores = path.scores(X[test], y[test])
        rows = [int(np.argmax(path.widths <= width)) for width in widths]
        cells = " | ".join(f"{100 * scores[row]:.1f}" for row in [0, *rows])
        print(f"| {method} | {cells} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    exact_phase(given.repeats, given.seed)
    beyond(given.seed)


if __name__ == "__main__":
    main()
