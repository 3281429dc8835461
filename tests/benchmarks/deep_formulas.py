"""Time `train_deep` against the size of the data, for each formula.

One table: the formula, n, d, depth, λ, seconds of the whole call (the network is built and its own
objective measured), neurons of the last hidden layer, and what is proved. Sizes of a formula grow
until a call takes longer than --limit seconds.

Usage:
    python tests/benchmarks/deep_formulas.py [--limit 20] [--seed 0]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np

import relu_opt as ro

Case = tuple[np.ndarray, np.ndarray, float, int, dict[str, object]]


def orthogonal(rng: np.random.Generator, rows: int, columns: int) -> np.ndarray:
    """Orthonormal rows, or columns if there are fewer of these."""
    wide = np.linalg.qr(rng.standard_normal((max(rows, columns), min(rows, columns))))[0]
    return wide if rows > columns else wide.T


def classes(n: int, K: int) -> np.ndarray:
    return np.eye(K)[np.arange(n) % K]


def whitened(rng: np.random.Generator) -> Iterator[Case]:
    """Whitened rows, one column of targets."""
    for n in (100, 1000, 2000, 4000):
        yield orthogonal(rng, n, n), rng.standard_normal(n), 1e-3, 4, {}


def labels(rng: np.random.Generator) -> Iterator[Case]:
    """Whitened rows, ten classes."""
    for n in (100, 1000, 2000):
        yield orthogonal(rng, n, n), classes(n, 10), 1e-3, 4, {}


def linear(rng: np.random.Generator) -> Iterator[Case]:
    """Linear networks, whitened columns."""
    for n, d in ((1000, 100), (10_000, 100), (100_000, 100)):
        X, Y = orthogonal(rng, n, d), rng.standard_normal((n, 10))
        yield np.sqrt(n) * X, Y, 1e-4, 4, {"activation": "linear"}


def rank_one(rng: np.random.Generator) -> Iterator[Case]:
    """Rank one, one column of targets."""
    for n, d in ((1000, 100), (10_000, 100), (100_000, 100)):
        X = np.outer(rng.standard_normal(n), rng.standard_normal(d))
        yield X, rng.standard_normal(n), 1e-3, 4, {}


def batch_norm(rng: np.random.Generator) -> Iterator[Case]:
    """Batch normalisation, ten classes."""
    for n in (100, 1000, 2000, 4000):
        yield rng.standard_normal((n, 20)), classes(n, 10), 1e-3, 4, {"batch_norm": True}


def splines(rng: np.random.Generator, lam: float, depth: int) -> Iterator[Case]:
    """A noisy sine at random places."""
    for n in (100, 300, 1000, 3000, 10_000):
        x = rng.random(n)
        y = np.sin(12 * x) + 0.3 * rng.standard_normal(n)
        yield x[:, None], y, lam, depth, {"bias": "last_hidden"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--limit", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    formulas: dict[str, Callable[[np.random.Generator], Iterator[Case]]] = {
        "whitened, one column": whitened,
        "whitened, 10 classes": labels,
        "linear": linear,
        "rank one": rank_one,
        "batch normalisation": batch_norm,
    }
    for lam, depth in ((1e-2, 3), (1e-3, 3), (1e-4, 3), (1e-4, 5), (1e-6, 5)):
        formulas[f"spline, λ = {lam:g}, depth {depth}"] = partial(splines, lam=lam, depth=depth)
    print("| formula | n | d | depth | λ | seconds | neurons | proved |")
    print("|---|---|---|---|---|---|---|---|")
    for name, cases in formulas.items():
        for X, Y, lam, depth, options in cases(np.random.default_rng(arguments.seed)):
            began = time.perf_counter()
            found = ro.deep.train_deep(X, Y, lam, depth, **options)  # type: ignore[arg-type]
            seconds = time.perf_counter() - began
            proof = "global" if found.is_global else f"gap {found.rel_gap:.0e}"
            n, d = X.shape
            print(
                f"| {name.split(', λ')[0]} | {n:,} | {d} | {depth} "
                f"| {lam:g} | {seconds:.2f} | {len(found.network.weights[-2])} | {proof} |",
                flush=True,
            )
            if seconds > arguments.limit:
                break


if __name__ == "__main__":
    main()
