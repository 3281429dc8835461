"""How long networks with several outputs take, and what gap is left: digits of growing rank.

    python tests/benchmarks/vector_training.py [seconds]

Ten classes of 1,797 images, reduced to principal components, as one-hot targets with output
constants; and the semidefinite relaxation on random data. Prints tables in Markdown.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from sklearn.datasets import load_digits

import relu_opt as ro


def digits(rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Whitened principal components, and one-hot targets."""
    X, y = load_digits(return_X_y=True)
    U = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)[0]
    return U[:, :rank] * np.sqrt(len(X)), np.eye(10)[y]


def main(limit: float) -> None:
    print(f"numpy {np.__version__}, relu_opt {ro.__version__}; at most {limit:g} s each\n")
    print("| rank | lam | seconds | neurons | objective | gap | verify, seconds | its verdict |")
    print("|-----:|----:|--------:|--------:|----------:|----:|----------------:|-------------|")
    for rank, lam in [(2, 0.01), (3, 0.05), (4, 0.05), (10, 0.02), (61, 0.02)]:
        X, Y = digits(rank)
        start = time.perf_counter()
        found = ro.several_outputs.train_vector(X, Y, lam, intercept=True, time_limit=limit)
        seconds = time.perf_counter() - start
        start = time.perf_counter()
        checked = ro.verify(found.certificate, X, Y)
        print(
            f"| {rank} | {lam:g} | {seconds:.1f} | {len(found.network)} | {found.objective:.6g} | "
            f"{found.rel_gap:.1e} | {time.perf_counter() - start:.1f} | {checked.verdict} |",
            flush=True,
        )
    print(
        "\n| n | rank | outputs | patterns | sdp, seconds | its gap | search, seconds | its gap |"
    )
    print("|--:|-----:|--------:|---------:|-------------:|--------:|----------------:|--------:|")
    for n, rank, c in [(10, 2, 2), (40, 2, 3), (8, 3, 2), (12, 3, 2)]:
        rng = np.random.default_rng(n)
        X, Y = rng.standard_normal((n, rank)), rng.standard_normal((n, c))
        row = [f"{n}", f"{rank}", f"{c}", f"{ro.program.count_patterns(X)}"]
        for method in ("sdp", "column_generation"):
            start = time.perf_counter()
            found = ro.several_outputs.train_vector(X, Y, 0.02, method, time_limit=limit)
            row += [f"{time.perf_counter() - start:.1f}", f"{found.rel_gap:.1e}"]
        print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60.0)
