"""How long global training takes, by oracle, against the number of samples and the rank.

Standardised columns of scikit-learn's diabetes data and a column of ones (rank r), the first n
rows, standardised targets, squared loss, lam 0.05, to a relative gap of 1e-5 among networks of any
width. "cells" is how many activation patterns there are (a bound where columns repeat values);
"at 60 s" is the gap when the time was over; cells are listed up to 400,000. "verify" is the
re-check of the certificate of `sphere`.

Usage:
    python tests/benchmarks/global_training.py [--rows 25 50 100 200 442] [--ranks 2 3 4 5 6]
        [--limit 60] [--oracles sphere cells mip] [--plot FILE]
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass

import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.program.arrangement import count_patterns_bound

COLUMNS = [2, 8, 3, 6, 9]
MOST_CELLS = 400_000
TOL, LAM = 1e-5, 0.05


@dataclass
class Result:
    """One run, or why there is none."""

    rows: int
    rank: int
    oracle: str
    seconds: float
    gap: float
    work: int
    verify: float
    said: str


def data(rows: int, rank: int):
    """The problem of a size."""
    given = load_diabetes()
    X = StandardScaler().fit_transform(given.data[:rows, COLUMNS[: rank - 1]])
    y = given.target[:rows]
    return np.c_[X, np.ones(rows)], (y - y.mean()) / y.std()


def run(rows: int, rank: int, oracle: str, limit: float) -> Result:
    """Train once."""
    X, y = data(rows, rank)
    started = time.perf_counter()
    try:
        found = ro.train_globally(X, y, LAM, oracle, TOL, time_limit=limit, max_patterns=MOST_CELLS)
    except DataError:
        return Result(rows, rank, oracle, np.nan, np.nan, 0, np.nan, "too many cells")
    seconds = time.perf_counter() - started
    verify = np.nan
    said = f"{seconds:.2f} s" if found.rel_gap <= TOL else f"{found.rel_gap:.0e} at {limit:.0f} s"
    if oracle == "sphere" and found.rel_gap <= TOL:
        started = time.perf_counter()
        verdict = ro.verify(found.certificate, X, y).verdict
        verify = time.perf_counter() - started
        said += f", verify {verify:.2f} s ({verdict})"
    return Result(rows, rank, oracle, seconds, found.rel_gap, found.separation.work, verify, said)


def plot(results: list[Result], path: str) -> None:
    """Seconds against rows, one line a rank."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    oracles = list(dict.fromkeys(each.oracle for each in results))
    size = (3.6 * len(oracles), 3.4)
    figure, axes = plt.subplots(1, len(oracles), figsize=size, sharex=True, sharey=True)
    colours = plt.get_cmap("viridis")
    ranks = sorted({each.rank for each in results if each.gap <= TOL})
    rows = sorted({each.rows for each in results})
    for axis, oracle in zip(np.atleast_1d(axes), oracles, strict=True):
        for k, rank in enumerate(ranks):
            line = [e for e in results if (e.oracle, e.rank) == (oracle, rank) and e.gap <= TOL]
            colour = colours(0.9 * k / max(1, len(ranks) - 1))
            axis.plot(
                [each.rows for each in line],
                [each.seconds for each in line],
                "o-",
                color=colour,
                label=f"rank {rank}",
                markersize=4,
            )
        axis.set(xscale="log", yscale="log", title=oracle, xlabel="samples")
        axis.set_xticks(rows, [f"{each}" for each in rows])
        axis.minorticks_off()
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes = np.atleast_1d(axes)
    axes[0].set_ylabel(f"seconds to a gap of {TOL:.0e}")
    axes[0].legend(frameon=False, fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[25, 50, 100, 200, 442])
    parser.add_argument("--ranks", type=int, nargs="+", default=[2, 3, 4, 5, 6])
    parser.add_argument("--limit", type=float, default=60.0)
    parser.add_argument("--oracles", nargs="+", default=["sphere", "cells", "mip"])
    parser.add_argument("--plot")
    asked = parser.parse_args()
    # The first solve imports and compiles.
    ro.train_globally(*data(10, 2), LAM)
    print(f"{'n':>4} {'r':>2} {'cells':>12}  " + "".join(f"{each:<36}" for each in asked.oracles))
    results = []
    for rank in asked.ranks:
        for rows in asked.rows:
            line = [run(rows, rank, oracle, asked.limit) for oracle in asked.oracles]
            cells = count_patterns_bound(data(rows, rank)[0])
            told = "".join(f"{each.said:<36}" for each in line)
            print(f"{rows:>4} {rank:>2} {cells:>12,}  {told}", flush=True)
            results += line
    if asked.plot:
        plot(results, asked.plot)


if __name__ == "__main__":
    main()
