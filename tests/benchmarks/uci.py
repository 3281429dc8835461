"""Train on the UCI files of a folder and print what is certified.

All rows of each data set (train and test files together), labels as −1 and +1, a column of
ones as the hidden bias, patterns of seed 0, squared loss. Data: one CSV file a set without
header, the class in the last column.

Usage:
    python tests/benchmarks/uci.py FOLDER [--gates 500] [--lam 1e-3] [--tol 1e-8]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

import relu_opt as ro


def read(files: list[Path]) -> tuple[np.ndarray, np.ndarray]:
    rows = np.vstack([np.loadtxt(file, delimiter=",") for file in files])
    X = np.column_stack([rows[:, :-1], np.ones(len(rows))])
    return X, np.where(rows[:, -1] == rows[:, -1].max(), 1.0, -1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--gates", type=int, default=500)
    parser.add_argument("--lam", type=float, default=1e-3)
    parser.add_argument("--tol", type=float, default=1e-8)
    given = parser.parse_args()
    sets: dict[str, list[Path]] = {}
    for file in sorted(given.folder.glob("*.csv")):
        sets.setdefault(file.stem.removesuffix("_train").removesuffix("_test"), []).append(file)
    print("| data | n × d | patterns | objective | rel. gap | neurons | seconds | re-checked |")
    print("|---|---|---|---|---|---|---|---|")
    for name, files in sets.items():
        X, y = read(files)
        program = ro.ConvexProgram(X, y, given.lam, ro.sample_patterns(X, given.gates, seed=0))
        solution = ro.solve(program, tol=given.tol)
        again = ro.verify(solution.certificate, X, y).verdict
        print(
            f"| {name} | {X.shape[0]} × {X.shape[1]} | {len(program.patterns)} "
            f"| {solution.objective:.10f} | {solution.rel_gap:.1e} | {len(solution.network)} "
            f"| {solution.stats['seconds']['solve']:.2f} | {again} |"
        )


if __name__ == "__main__":
    main()
