"""Cross-validation along the path: how well the networks of each λ predict rows left out."""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.above import above
from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError, NotCertified, did_you_mean
from relu_opt.io import complete, need, read_npz, write_npz
from relu_opt.path.file import Promise, contents, from_contents
from relu_opt.path.fold_errors import FoldResult, FoldTask, in_processes, solve_fold
from relu_opt.path.folds import Fold, Plan, plan_validation
from relu_opt.path.solution_path import RATIO, SolutionPath, solution_path
from relu_opt.plugins.stopping import until_stopped
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork
from relu_opt.progress.bar import Announcer
from relu_opt.proof.answer import Answer
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.solving.shards.executors import Executor, opened, run_all
from relu_opt.solving.training import Solution

# The tables of a file, one row a fold and one column a point.
TABLES = ("errors", "train_errors", "rel_gaps")
RULES = ("best", "one_se")


def cross_validate(
    prog: ConvexProgram,
    folds: int | Iterable[tuple[ArrayLike, ArrayLike]] = 5,
    lams: ArrayLike | None = None,
    n_lams: int | None = None,
    eps: float | None = None,
    lam_min_ratio: float = RATIO,
    metric: str | None = None,
    seed: int = 0,
    n_jobs: int = 1,
    backend: str = "auto",
    tol: float | None = None,
    options: Mapping[str, object] | None = None,
    executor: object = None,
) -> PathCV:
    """Follow the path on all rows and, at the same λ, on each fold's training rows.

    A fold's program has the training rows of `prog`, its patterns there, and the rest as it is.
    The data are taken as they are: where it matters that held-out rows have a part in their
    preparation (means, scales), prepare each fold by itself and use `solution_path`.

    Parameters
    ----------
    prog : ConvexProgram
        The training problem; its own λ plays no part.
    folds : int or iterable of (train, test) row numbers
        A number of folds ≥ 2: the rows are shuffled and dealt out in turn, label by label where
        the loss classifies. Or the rows of each fold, such as scikit-learn's splitters give.
    lams, n_lams, eps, lam_min_ratio, backend, tol, options
        As in `solution_path`. The points of the path on all rows are the λ of all folds.
    metric : {"loss", "mse", "error_rate"}, optional
        What to average over the held-out rows: the program's own loss (the default), (z − y)², or
        whether the sign of the prediction z is wrong (labels −1 and +1; zero counts as +1).
        Weighted where the program has sample weights.
    seed : int
        Of the shuffle.
    n_jobs : int
        Processes for the folds, as in joblib: −1 for all cores. The errors do not depend on it.
    executor : optional
        As in `solve`: where to spread the patterns of the path on all rows over, and then the
        folds, one a task; in place of `n_jobs`.

    Returns
    -------
    PathCV
        Also after Ctrl-C: errors that are missing are NaN then, and `complete` is False.

    Raises
    ------
    DataError
        If the folds, the metric or the λ cannot be used.
    """
    plan = plan_validation(prog, folds, metric, seed, n_jobs)
    with nullcontext() if executor is None else opened(executor) as workers:
        path = solution_path(
            prog, lams, n_lams, eps, lam_min_ratio, backend, tol, None, options, workers
        )
        return validate(path, plan, workers)


@dataclass(frozen=True, eq=False)
class PathCV(Answer):
    """Errors of each fold along the path. Made by `cross_validate`.

    Attributes
    ----------
    path : SolutionPath
        The path on all rows.
    folds : tuple of (train, test)
        The row numbers of each fold.
    metric : str
        What the errors are; see `cross_validate`.
    seed : int
        Of the shuffle.
    errors : (k, m) array
        On the held-out rows, one row a fold, one column a λ of the path; NaN where missing.
    train_errors : (k, m) array
        The same on the folds' training rows.
    rel_gaps : (k, m) array
        Relative gaps of the folds' networks in their own programs.
    """

    path: SolutionPath
    folds: tuple[Fold, ...]
    metric: str
    seed: int
    errors: FloatArray
    train_errors: FloatArray
    rel_gaps: FloatArray

    def __repr__(self) -> str:
        chosen = "no λ reached by all folds"
        if np.isfinite(self.mean).any():
            chosen = f"lam_best={self.lam_best:.4g}, lam_one_se={self.lam_one_se:.4g}"
        return (
            f"PathCV({len(self.folds)} folds, {len(self.lams)} points, metric={self.metric!r}, "
            f"{chosen}, complete={self.complete})"
        )

    # -- the network on all rows at `best` -----------------------------------------------

    @cached_property
    def _best(self) -> Solution:
        return self.solution()

    @property
    def certificate(self) -> NetworkCertificate:
        """Of the network on all rows at the `best` λ; a NotCertified error if there is none."""
        return self._best.certificate

    @property
    def network(self) -> ReLUNetwork:
        """That network."""
        return self._best.network

    @property
    def stop(self) -> StopReason:
        """Why the path ended; `INTERRUPTED` if folds are missing."""
        whole = self.complete or not self.path.stop.converged
        return self.path.stop if whole else StopReason.INTERRUPTED

    @property
    def stats(self) -> Mapping[str, Any]:
        """As of the path."""
        return self.path.stats

    # -- errors --------------------------------------------------------------------------

    @property
    def lams(self) -> FloatArray:
        """λ of the points, falling, (m,)."""
        return self.path.lams

    @cached_property
    def mean(self) -> FloatArray:
        """Mean held-out error over the folds, (m,); NaN where a fold is missing."""
        return np.asarray(self.errors.mean(axis=0))

    @cached_property
    def standard_error(self) -> FloatArray:
        """The standard error of that mean, (m,): standard deviation over the folds / √k."""
        return np.asarray(self.errors.std(axis=0, ddof=1) / math.sqrt(len(self.folds)))

    @property
    def complete(self) -> bool:
        """Whether the path came to its end, and every fold reached all of its λ."""
        return self.path.stop.converged and not np.isnan(self.errors).any()

    @property
    def is_certified(self) -> bool:
        """Whether it is complete and all networks, the folds' too, keep the path's tolerances."""
        return (
            self.complete
            and self.path.is_certified
            and bool((self.rel_gaps <= self.path.tol).all())
        )

    @cached_property
    def best(self) -> int:
        """The position of the smallest mean error; of several, the one with the largest λ.

        Raises
        ------
        NotCertified
            If no λ was reached by all folds.
        """
        if not np.isfinite(self.mean).any():
            raise NotCertified(
                "No lam was reached by all folds, so none can be chosen: the cross-validation was "
                "stopped. Run it again."
            )
        return int(np.nanargmin(self.mean))

    @property
    def lam_best(self) -> float:
        """λ at `best`."""
        return float(self.lams[self.best])

    @cached_property
    def one_se(self) -> int:
        """The position of the largest λ whose mean is within one standard error of the best."""
        limit = self.mean[self.best] + self.standard_error[self.best]
        return int(np.argmax(self.mean <= limit))

    @property
    def lam_one_se(self) -> float:
        """λ at `one_se`."""
        return float(self.lams[self.one_se])

    def solution(self, rule: str = "best") -> Solution:
        """The network on all rows at the λ of a rule, `best` or `one_se`, with its certificate."""
        if rule not in RULES:
            raise DataError(f"Unknown rule {rule!r}. {did_you_mean(str(rule), RULES)}", rule=rule)
        return self.path.solution_at(self.lam_best if rule == "best" else self.lam_one_se)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write path and errors to an npz file (no pickle, no data)."""
        asked = Promise(self.path.eps, self.path.tol, self.path.stop)
        arrays, meta = contents(self.path.points, asked)
        arrays |= {name: getattr(self, name) for name in TABLES}
        for k, rows in enumerate(itertools.chain(*self.folds)):
            arrays[f"rows_{k}"] = np.asarray(rows, dtype=np.int64)
        write_npz(path, "validation", arrays, {**meta, "metric": self.metric, "seed": self.seed})

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], program: ConvexProgram, tol: float | None = None
    ) -> PathCV:
        """Read what `save` wrote; the program is needed again, and the path is proved anew.

        The errors are read as they are.

        Parameters
        ----------
        path : path
        program : ConvexProgram
            What the path was made from.
        tol : float, optional
            As of `SolutionPath.load`.

        Raises
        ------
        DataError
            If the file is damaged, or its blocks do not fit the program.
        """
        arrays, meta = read_npz(path, "validation")
        points, asked = from_contents(arrays, meta, path, program, tol)
        whole = SolutionPath(program, points, asked.eps, asked.tol, asked.stop)
        with complete(path, "cross-validation"):
            tables = [need(arrays, name, "f", 2) for name in TABLES]
            rows = [need(arrays, f"rows_{k}", "i", 1) for k in range(2 * len(tables[0]))]
            if any(table.shape != (len(rows) // 2, len(points)) for table in tables):
                raise DataError("its errors are not one a fold and a point.")
            folds = tuple(zip(rows[::2], rows[1::2], strict=True))
            return cls(whole, folds, str(meta["metric"]), int(meta["seed"]), *tables)

    def plot(self, ax: Any = None) -> Any:
        """Draw training and held-out errors against λ, which falls to the right.

        Bands are one standard error wide on each side; lines mark `lam_best` and `lam_one_se`.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to; by default a new figure, which shows the certified gap below.

        Returns
        -------
        Axes
            Those of the errors.
        """
        return above("plotting.plot_validation")(self, ax)


# -- underneath ----------------------------------------------------------------------------


def validate(path: SolutionPath, plan: Plan, executor: Executor | None = None) -> PathCV:
    """Run a planned cross-validation at the λ of a path."""
    values = np.full((3, len(plan.folds), len(path)), np.nan)

    def fill() -> None:
        for found in _run(path, plan, executor):
            values[:, found.number, : found.values.shape[1]] = found.values

    # What Ctrl-C leaves out stays NaN, and `complete` says so.
    until_stopped(fill)
    return PathCV(path, plan.folds, plan.metric, plan.seed, *values)


def _run(path: SolutionPath, plan: Plan, executor: Executor | None) -> Iterator[FoldResult]:
    """The folds in turn, or as processes finish them."""
    if path.stop is StopReason.INTERRUPTED:
        return
    tasks = [
        FoldTask(k, fold, plan.metric, path.lams, path.backend, path.tol, path.options)
        for k, fold in enumerate(plan.folds)
    ]
    if executor is not None:
        yield from run_all(executor, solve_fold, path.program, tasks)
        return
    results: Iterator[FoldResult] = map(partial(solve_fold, path.program), tasks)
    if plan.n_jobs != 1:
        results = in_processes(path.program, tasks, plan.n_jobs)
    tell = Announcer("cross_validate", len(tasks))
    for k in range(len(tasks)):
        tell(k, f"fold {k + 1} of {len(tasks)}", always=True)
        found = next(results)
        yield found
        if found.stop is StopReason.INTERRUPTED and plan.n_jobs == 1:
            return
