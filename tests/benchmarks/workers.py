"""How time splits between pricing, the master program and communication as patterns grow.

Breast cancer (569 × 31, squared loss, lam 0.003) with p random patterns, trained with these in
shards: in this process, and on 1 and 2 Dask workers (one thread each) that have imported and
compiled everything. "price" is the wall-clock time of waiting for bids. "not work" is what of that
is more than the time of this process, divided by the workers: sending, waiting for the slowest,
and cores that are shared with this process. "moved" are ν and the bids and, at the end, the
multipliers (pickled), out and back in all rounds together.

The last table is a projection on paper: master + certificate + work/W + 2 · rounds · latency +
bytes over the line, for W workers with the given latency and bandwidth. It is no measurement.

Usage:
    python tests/benchmarks/workers.py [--patterns 1000 10000 100000] [--workers 1 2]
        [--latency 0.005] [--bandwidth 1e8]
"""

from __future__ import annotations

import argparse
import pickle
import time
from dataclasses import dataclass

import numpy as np
from problems import breast_cancer
from threadpoolctl import threadpool_limits

import relu_opt as ro
from relu_opt.solving.shards.executors import Executor, Serial, as_executor
from relu_opt.solving.shards.pricing import price

PROJECTED = (1, 2, 10, 100)


class Counting:
    """Passes everything on to another executor, and counts the bytes of ν and of results."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner
        self.out = self.back = self.to_all = self.to_one = 0

    def put(self, value, everywhere=False):
        size = len(pickle.dumps(value))
        self.to_all += size * everywhere
        self.to_one += size * (not everywhere)
        return self.inner.put(value, everywhere)

    def submit(self, function, *arguments):
        self.out += sum(each.nbytes for each in arguments if isinstance(each, np.ndarray))
        return self.inner.submit(function, *arguments)

    def gather(self, references):
        values = self.inner.gather(references)
        self.back += len(pickle.dumps(values))
        return values

    def renew(self):
        self.inner.renew()

    def close(self):
        self.inner.close()


@dataclass(frozen=True)
class Run:
    """One training, in seconds and bytes."""

    patterns: int
    where: str
    total: float
    price: float
    master: float
    certify: float
    rounds: int
    to_all: int
    to_one: int
    moved: int
    objective: float
    weights: np.ndarray


def measured(prog: ro.ConvexProgram, where: str, inner: Executor) -> Run:
    counting = Counting(inner)
    started = time.perf_counter()
    sol = ro.solve(prog, executor=counting)
    total = time.perf_counter() - started
    sol.certificate.require()
    stats = sol.stats["backend_stats"]
    return Run(
        len(prog.patterns),
        where,
        total,
        stats["price_seconds"],
        stats["master_seconds"],
        sol.stats["seconds"]["certify"],
        stats["rounds"],
        counting.to_all,
        counting.to_one,
        counting.out + counting.back,
        sol.objective,
        sol.weights,
    )


def line(run: Run, work: float, workers: int) -> str:
    return (
        f"| {run.patterns} | {run.where} | {run.rounds} | {run.total:.1f} | {run.price:.1f} "
        f"| {max(0.0, run.price - work / workers):.1f} | {run.master:.1f} | {run.certify:.1f} "
        f"| {run.to_all / 1e6:.1f} | {run.to_one / 1e6:.1f} | {run.moved / 1e6:.2f} |"
    )


def projection(run: Run, latency: float, bandwidth: float) -> str:
    """The time with W workers, from the run without any."""
    cells = []
    for workers in PROJECTED:
        wire = (run.to_all * workers + run.to_one + run.moved) / bandwidth
        seconds = run.master + run.certify + run.price / workers + 2 * run.rounds * latency + wire
        cells.append(f"{seconds:.1f}")
    return f"| {run.patterns} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--patterns", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--latency", type=float, default=0.005, help="seconds a message")
    parser.add_argument("--bandwidth", type=float, default=1e8, help="bytes a second")
    given = parser.parse_args()
    from distributed import Client, LocalCluster

    base = breast_cancer()
    ro.solve(base.with_lam(0.1))
    print("| p | where | rounds | total s | price s | not work s | master s | certify s "
          "| X to all MB | shards MB | moved MB |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    serial: list[Run] = []
    with threadpool_limits(1, user_api="blas"):
        for count in given.patterns:
            prog = base.with_patterns(ro.sample_patterns(base.X, count, seed=123))
            alone = measured(prog, "this process", Serial())
            serial.append(alone)
            print(line(alone, alone.price, 1), flush=True)
            for workers in given.workers:
                options = {"n_workers": workers, "threads_per_worker": 1}
                with (
                    LocalCluster(**options, processes=True, dashboard_address=None) as cluster,
                    Client(cluster) as client,
                ):
                    # Every worker imports and compiles once.
                    client.run(price, base, base.patterns, 0.1, base.dual_start(), 5, None)
                    run = measured(prog, f"{workers} Dask", as_executor(client))
                assert np.array_equal(run.weights, alone.weights)
                print(line(run, alone.price, workers), flush=True)
    print("\nAll answers of a p are the same bit for bit. Seconds with W workers, on paper "
          f"({given.latency:g} s a message, {given.bandwidth:g} bytes a second):\n")  # fmt: skip
    print(f"| p | {' | '.join(f'W = {workers}' for workers in PROJECTED)} |")
    print("|---" * (1 + len(PROJECTED)) + "|")
    for run in serial:
        print(projection(run, given.latency, given.bandwidth))


if __name__ == "__main__":
    main()
