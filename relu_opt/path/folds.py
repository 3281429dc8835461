"""Which rows the folds of a cross-validation train on, and which they leave out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import IntArray, as_count, as_rows
from relu_opt.errors import DataError, did_you_mean
from relu_opt.program.convex import ConvexProgram

METRICS = ("loss", "mse", "error_rate")

Fold = tuple[IntArray, IntArray]


@dataclass(frozen=True, eq=False)
class Plan:
    """A cross-validation whose arguments are checked: see `cross_validate`."""

    folds: tuple[Fold, ...]
    metric: str
    seed: int
    n_jobs: int


def plan_validation(
    prog: ConvexProgram,
    folds: int | Iterable[tuple[ArrayLike, ArrayLike]],
    metric: str | None = None,
    seed: int = 0,
    n_jobs: int = 1,
) -> Plan:
    """Check the arguments of `cross_validate` and choose the folds."""
    if not isinstance(prog, ConvexProgram):
        raise DataError(f"prog is a {type(prog).__name__}, and a ConvexProgram is needed.")
    metric = metric or "loss"
    if metric not in METRICS:
        raise DataError(
            f"Unknown metric {metric!r}. {did_you_mean(str(metric), METRICS)}", metric=metric
        )
    if metric == "error_rate" and not np.isin(prog.y, (-1.0, 1.0)).all():
        raise DataError(
            "The metric error_rate needs labels −1 and +1 in y. Encode the two classes so, or use "
            "metric='mse'.",
            metric=metric,
        )
    if isinstance(n_jobs, bool) or not isinstance(n_jobs, int | np.integer) or n_jobs == 0:
        raise DataError(
            f"n_jobs is {n_jobs!r}, and a number of processes is needed, or −1 for all cores.",
            n_jobs=n_jobs,
        )
    seed = as_count(seed, "seed", least=0)
    chosen = _given(prog, folds) if isinstance(folds, Iterable) else _dealt(prog, folds, seed)
    for k, (train, _) in enumerate(chosen):
        if prog.loss.classifies and len(np.unique(prog.y[train])) == 1:
            raise DataError(
                f"The training rows of fold {k} are of one class. Use fewer folds, or folds with "
                "both classes.",
                fold=k,
            )
    return Plan(chosen, metric, seed, int(n_jobs))


def _dealt(prog: ConvexProgram, count: int, seed: int) -> tuple[Fold, ...]:
    """Shuffled rows, dealt out in turn; each class by itself where the loss classifies."""
    count = as_count(count, "folds", least=2)
    if count > prog.n:
        raise DataError(f"folds is {count}, and there are {prog.n} rows.", folds=count, n=prog.n)
    order = np.random.default_rng(seed).permutation(prog.n)
    if prog.loss.classifies:
        order = order[np.argsort(prog.y[order], kind="stable")]
    everything = np.arange(prog.n)
    tests = [np.sort(order[k::count]) for k in range(count)]
    return tuple((np.setdiff1d(everything, test), test) for test in tests)


def _given(prog: ConvexProgram, folds: Iterable[tuple[ArrayLike, ArrayLike]]) -> tuple[Fold, ...]:
    """The folds as checked row numbers."""
    result = []
    for k, pair in enumerate(folds):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(f"Fold {k} is no pair (train, test) of row numbers.", fold=k)
        names = (f"train of fold {k}", f"test of fold {k}")
        train, test = (as_rows(each, name, prog.n) for each, name in zip(pair, names, strict=True))
        both = np.intersect1d(train, test)
        if len(both):
            raise DataError(
                f"Fold {k} has the row {both[0]} both to train and to test on.",
                fold=k,
                row=int(both[0]),
            )
        result.append((train, test))
    if len(result) < 2:
        raise DataError(f"{len(result)} folds were given, and at least 2 are needed.")
    return tuple(result)
