"""How listing, streaming and counting all activation patterns grow with rows and rank.

Standard normal rows, which are in general position, or the first rows of a lattice with a bias,
of which many lie in common planes. Each point is a process of its own, one thread, and measures
seconds and the peak of memory above that of the imports. A stream is read to its end and its
patterns are dropped. Also: how many of the 382 patterns of 20 normal rows of rank 3 random gates
find.

Prints tables, and draws seconds and patterns against rows and rank into a file.

Usage:
    python tests/benchmarks/arrangement.py [--points 50x3 200x3 lattice:100x3 ...] [--plot FILE]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from peers import cpu
from peers_environment import THREAD_VARIABLES
from solve import versions

import relu_opt as ro

# fmt: off
POINTS = (
    "100x2", "300x2", "1000x2", "3000x2",
    "50x3", "100x3", "200x3", "500x3",
    "25x4", "50x4", "100x4", "150x4",
    "15x5", "25x5", "40x5", "60x5",
    "15x6", "20x6", "30x6", "40x6",
    "lattice:100x3", "lattice:81x4",
)
# fmt: on
WAYS = ("enumerate", "stream", "count")
LIST_LIMIT = 10_000_000
COLOURS = ("#7fb2d1", "#1f5f8b", "#b3402a", "#d8973c", "#6f6f6f")


@dataclass(frozen=True)
class Measured:
    """What one way took at one point."""

    n: int
    rank: int
    lattice: bool
    way: str
    patterns: int
    seconds: float
    memory_mib: float


def data(name: str) -> np.ndarray:
    """The rows of a point such as 200x3 or lattice:100x3."""
    kind, _, size = name.rpartition(":")
    n, rank = map(int, size.split("x"))
    if not kind:
        return np.random.default_rng(0).standard_normal((n, rank))
    side = int(np.ceil(n ** (1 / (rank - 1)) - 1e-9))
    points = itertools.islice(itertools.product(range(side), repeat=rank - 1), n)
    return np.column_stack([np.array(list(points), dtype=float), np.ones(n)])


def peak_mib() -> float:
    """Peak resident memory of this process so far (kilobytes on Linux, bytes on macOS)."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(name: str, way: str) -> Measured:
    """One way at one point, in this process."""
    X = data(name)
    ro.enumerate_patterns(X[:4])  # Warm imports.
    before, start = peak_mib(), time.perf_counter()
    if way == "enumerate":
        patterns = len(ro.enumerate_patterns(X, LIST_LIMIT))
    elif way == "stream":
        patterns = sum(map(len, ro.program.stream_patterns(X)))
    else:
        patterns = ro.program.count_patterns(X, 10**11)
    seconds = time.perf_counter() - start
    n, rank = X.shape
    return Measured(n, rank, ":" in name, way, patterns, seconds, peak_mib() - before)


def measure_apart(name: str, way: str) -> Measured:
    """The same in a process of its own."""
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, "1")}
    command = [sys.executable, __file__, "--one", name, way]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return Measured(**json.loads(done.stdout))


def table(results: list[Measured]) -> None:
    print("| rows | rank | patterns | list, s | MiB | stream, s | MiB | count, s |")
    print("|---|---|---|---|---|---|---|---|")
    for name in dict.fromkeys((r.n, r.rank, r.lattice) for r in results):
        found = {r.way: r for r in results if (r.n, r.rank, r.lattice) == name}
        if len({r.patterns for r in found.values()}) > 1:
            raise SystemExit(f"The ways disagree at {name}: {found}")
        listed, streamed, counted = (found[way] for way in WAYS)
        kind = ", lattice" if name[2] else ""
        print(
            f"| {name[0]}{kind} | {name[1]} | {listed.patterns:,} | {listed.seconds:.2g} "
            f"| {listed.memory_mib:.0f} | {streamed.seconds:.2g} | {streamed.memory_mib:.0f} "
            f"| {counted.seconds:.2g} |"
        )


def samplers() -> None:
    """How many of 382 patterns random gates find: the least and the most of ten seeds."""
    X = np.random.default_rng(0).standard_normal((20, 3))
    print(f"\n{ro.program.count_patterns(X)} patterns of 20 rows, rank 3; found by\n")
    print("| gates | gaussian | corners |")
    print("|---|---|---|")
    for count in (300, 1000, 3000, 10_000):
        cells = []
        for method in ("gaussian", "corners"):
            found = [len(ro.sample_patterns(X, count, seed, method)) for seed in range(10)]
            cells.append(f"{min(found)} to {max(found)}")
        print(f"| {count:,} | {' | '.join(cells)} |")


def picture(results: list[Measured], path: Path) -> None:
    """Seconds of listing and of counting against rows, a line a rank."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.8), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    ranks = sorted({r.rank for r in results})
    colours = dict(
        zip(ranks, ("#7fb2d1", "#1f5f8b", "#b3402a", "#d8973c", "#6f6f6f"), strict=False)
    )
    titles = {"enumerate": "listing all patterns", "count": "counting them"}
    for axis, (way, title) in zip(axes, titles.items(), strict=True):
        for rank in ranks:
            line = [r for r in results if (r.way, r.rank, r.lattice) == (way, rank, False)]
            rows, seconds = [r.n for r in line], [r.seconds for r in line]
            axis.plot(rows, seconds, "o-", color=colours[rank], ms=4)
            place = rows[-1], seconds[-1]
            style = {"textcoords": "offset points", "fontsize": 8, "color": colours[rank]}
            axis.annotate(f"rank {rank}", place, (0, 6), ha="center", **style)
        axis.set(xscale="log", yscale="log", xlabel="rows")
        axis.set_title(title, loc="left", fontsize=11)
        axis.margins(0.1)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("seconds")
    figure.savefig(path, dpi=130)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--points", nargs="+", default=POINTS, metavar="ROWSxRANK")
    parser.add_argument("--plot", type=Path, default=None, metavar="FILE")
    parser.add_argument("--one", nargs=2, default=None, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(asdict(measure(*arguments.one))))
        return
    results = [measure_apart(name, way) for name in arguments.points for way in WAYS]
    table(results)
    samplers()
    print(f"\n{versions(('relu-opt', 'numpy'))}; {cpu()}, {os.cpu_count()} processors.")
    if arguments.plot is not None:
        picture(results, arguments.plot)


if __name__ == "__main__":
    main()
