"""What compiling the projections onto the activation cones brings.

For each problem, microseconds a projection at the first dual point −∇F(0) of 100 blocks (and of
the same blocks from the faces found, after the point has moved by 3%): by daqp, by the core (numpy
and scipy's nnls, in batches) and by the compiled kernel of the native backend; then seconds of the
whole training to 1e-6: without numba (the core's projections, and scipy's nnls for the quadratic
programs), with it, and with it and projections in two threads. One process, one thread of BLAS,
the fastest of three runs.

Usage:
    python tests/benchmarks/projections.py [--problems R1 R2 R4 R5]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import daqp
import numpy as np
from problems import problems
from scipy.optimize import nnls
from solve import versions
from threadpoolctl import threadpool_limits

import relu_opt as ro
from relu_opt.plugins.types import SolveOptions
from relu_opt.program.cones import Projections
from relu_opt.solving.column_generation import QuadraticSolver, train
from relu_opt.solving.column_generation.pricing import Projector
from relu_opt_native import quadratic
from relu_opt_native.projection import project

BLOCKS, RUNS, MOVE = 100, 3, 0.03


def fastest(run: Callable[[], object]) -> float:
    seconds = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def with_daqp(prog: ro.ConvexProgram, common: np.ndarray, blocks: np.ndarray) -> np.ndarray:
    """min ½‖v − c‖² subject to SXv ≥ 0, one block at a time; c normalised before the call."""
    points = np.empty((len(blocks), prog.d))
    free, zero = np.full(prog.n, 1e30), np.zeros(prog.n)
    sense, eye = np.zeros(prog.n, dtype=np.int32), np.eye(prog.d)
    for k, b in enumerate(blocks):
        size = np.linalg.norm(common[b])
        cone = np.where(prog.patterns.unpack(blocks[k : k + 1])[0], 1.0, -1.0)
        rows = cone[:, None] * prog.cone_rows.unit
        points[k] = size * daqp.solve(eye, -common[b] / size, rows, free, zero, sense)[0]
    return points


def row(name: str, prog: ro.ConvexProgram) -> str:
    rng = np.random.default_rng(0)
    common = prog.correlations(prog.dual_start())
    blocks = np.arange(min(BLOCKS, len(prog.patterns)))
    noise = rng.standard_normal(common.shape) / np.sqrt(prog.d)
    moved = common + MOVE * np.linalg.norm(common, axis=1, keepdims=True) * noise
    each = 1e6 / len(blocks)
    with ThreadPoolExecutor(2) as executor:
        compiled = partial(project, executor=executor, threads=1)
        found: Projections = compiled(prog, common, blocks, None, 0.0)
        core = prog.project(common, blocks)
        assert np.allclose(core.points, found.points, atol=1e-9 * np.abs(common).max())
        times = [
            fastest(lambda: with_daqp(prog, common, blocks)),
            fastest(lambda: prog.project(common, blocks)),
            fastest(lambda: compiled(prog, common, blocks, None, 0.0)),
            fastest(lambda: prog.project(moved, blocks, found.rows)),
            fastest(lambda: compiled(prog, moved, blocks, found.rows, 0.0)),
        ]
        with without_numba():
            plain = fastest(lambda: solve(prog, ro.ConvexProgram.project))
        one = fastest(lambda: solve(prog, compiled))
        two = fastest(lambda: solve(prog, partial(project, executor=executor, threads=2)))
    numbers = " | ".join(f"{each * seconds:.0f}" for seconds in times)
    return (
        f"| {name} | {numbers} | {plain:.2f} | {one:.2f} | {two:.2f} "
        f"| {plain / one:.1f} | {plain / two:.1f} |"
    )


def solve(prog: ro.ConvexProgram, projector: Projector) -> None:
    options = SolveOptions(tol=1e-6, threads=1)
    train(prog, options, QuadraticSolver(quadratic.nonnegative_qp), projector=projector)


@contextmanager
def without_numba() -> Iterator[None]:
    """scipy's nnls, from nothing, for the quadratic programs over x ≥ 0."""

    def least_squares(A: np.ndarray, guess: np.ndarray) -> np.ndarray:
        target = np.zeros(len(A))
        target[-1] = 1.0
        return nnls(A, target)[0]

    kept = quadratic._least_squares
    quadratic._least_squares = least_squares
    try:
        yield
    finally:
        quadratic._least_squares = kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="+", default=["R1", "R2", "R4", "R5"])
    given = parser.parse_args()
    known = problems()
    with threadpool_limits(1):
        print(
            "| problem | daqp µs | core µs | compiled µs | core, warm µs | compiled, warm µs "
            "| training without numba, s | with numba, s | two threads, s | ratio | ratio |"
        )
        print("|" + "---|" * 11, flush=True)
        for name in given.problems:
            print(row(name, known[name].build()), flush=True)
    print(f"\n{versions(('relu-opt', 'numpy', 'scipy', 'numba', 'daqp'))}; one thread")


if __name__ == "__main__":
    main()
