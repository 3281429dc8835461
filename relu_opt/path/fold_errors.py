"""The path of one fold, and the errors of its networks, in this process or in another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.errors import NotCertified, SolveFailed
from relu_opt.path.folds import Fold
from relu_opt.path.solution_path import solution_path
from relu_opt.plugins.stopping import until_stopped
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram


@dataclass(frozen=True, eq=False)
class FoldTask:
    """What one fold needs beside the program."""

    number: int
    fold: Fold
    metric: str
    lams: FloatArray
    backend: str
    tol: float
    options: Mapping[str, object]


@dataclass(frozen=True, eq=False)
class FoldResult:
    """A fold's held-out errors, training errors and gaps, (3, reached), and how it ended."""

    number: int
    values: FloatArray
    stop: StopReason


def in_processes(
    prog: ConvexProgram, tasks: Sequence[FoldTask], n_jobs: int
) -> Iterator[FoldResult]:
    from concurrent.futures.process import BrokenProcessPool

    from joblib import Parallel, delayed

    run = Parallel(n_jobs=n_jobs, backend="loky", return_as="generator_unordered")
    try:
        yield from run(delayed(solve_fold)(prog, task) for task in tasks)
    except BrokenProcessPool as error:
        raise SolveFailed(
            "A process that solved a fold has ended by itself, perhaps for want of memory. Use "
            "fewer n_jobs.",
            n_jobs=n_jobs,
        ) from error


def solve_fold(prog: ConvexProgram, task: FoldTask) -> FoldResult:
    """Follow one fold's path with one thread of linear algebra, and measure its networks."""
    from threadpoolctl import threadpool_limits

    results = [FoldResult(task.number, np.empty((3, 0)), StopReason.INTERRUPTED)]
    with threadpool_limits(1, user_api="blas"):
        until_stopped(lambda: results.append(_measure(prog, task)))
    return results[-1]


def _measure(prog: ConvexProgram, task: FoldTask) -> FoldResult:
    part = prog.with_rows(task.fold[0])
    try:
        path = solution_path(
            part, task.lams, backend=task.backend, tol=task.tol, options=task.options
        )
    except NotCertified as error:
        stop = error.fields.get("stop")
        if not isinstance(stop, StopReason):
            raise
        return FoldResult(task.number, np.empty((3, 0)), stop)
    errors = [
        mean_errors(prog, path.predict(prog.X[rows]), rows, task.metric) for rows in task.fold
    ]
    return FoldResult(task.number, np.array([errors[1], errors[0], path.rel_gaps]), path.stop)


def mean_errors(
    prog: ConvexProgram, predictions: FloatArray, rows: IntArray, metric: str
) -> FloatArray:
    """Mean errors on some rows of a program of predictions there, (m, rows): (m,)."""
    y = prog.y[rows]
    if metric == "loss":
        values = prog.loss.value(predictions, y)
    elif metric == "mse":
        values = (predictions - y) ** 2
    else:
        values = (predictions >= 0) != (y > 0)
    weights = None if prog.sample_weight is None else prog.sample_weight[rows]
    return np.asarray(np.average(values, axis=1, weights=weights))
