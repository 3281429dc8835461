"""Two ways to train: at one λ, or along the path with a cross-validation that chooses it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import is_classifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import check_cv

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.errors import DataError, did_you_mean
from relu_opt.estimators.base import ReLUEstimator, Samples
from relu_opt.path.cross_validation import RULES, PathCV, cross_validate
from relu_opt.path.folds import Fold
from relu_opt.path.solution_path import SolutionPath
from relu_opt.plugins.dispatch import can_start
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Loss, get_loss
from relu_opt.program.patterns import Patterns
from relu_opt.solving.training import Solution, solve
from relu_opt.tabular.default_lam import default_lam


class AtOneLam(ReLUEstimator):
    """Trains at the λ that the user gives, or at `default_lam`."""

    lam: float | None
    time_limit: float | None
    warm_start: bool

    def _solve(self, programs: Sequence[ConvexProgram], samples: Samples) -> list[Solution]:
        return [
            solve(
                program,
                self.backend,
                self.tol,
                self.time_limit,
                self._start(k, len(programs), program),
                self.options,
            )
            for k, program in enumerate(
                each.with_lam(default_lam(each) if self.lam is None else self.lam)
                for each in programs
            )
        ]

    def _patterns(self, X: FloatArray) -> Patterns:
        """Those of the fit before where they are the same: its proof then helps the next one."""
        fresh = super()._patterns(X)
        if not (self.warm_start and hasattr(self, "solutions_")):
            return fresh
        if not isinstance(self.solutions_[0], Solution):
            return fresh
        before = self.solutions_[0].program
        same = (
            np.array_equal(before.X, X)
            and np.array_equal(before.patterns.packed, fresh.packed)
            and np.array_equal(before.patterns.gates, fresh.gates)  # type: ignore[arg-type]
        )
        return before.patterns if same else fresh

    def _start(self, k: int, count: int, program: ConvexProgram) -> Solution | None:
        """The network of the fit before, if there is one of the same program but for λ and y."""
        if not (self.warm_start and hasattr(self, "solutions_")) or len(self.solutions_) != count:
            return None
        before = self.solutions_[k]
        if not isinstance(before, Solution):
            return None
        same = (
            before.program.patterns is program.patterns
            and before.program.activation == program.activation
        )
        return before if same and can_start(program, self.backend) else None


class ReLUPathCV(ReLUEstimator):
    """What `ReLURegressorCV` and `ReLUClassifierCV` share; an instance is one of the two.

    They follow the regularisation path (`solution_path`) on all rows and on those of each fold
    (`cross_validate`), and keep the network on all rows at the λ that `rule` chooses.

    Attributes
    ----------
    validations_ : tuple of PathCV
        Errors of the folds along the path, one object a network; `validation_` is the only one.
    paths_ : tuple of SolutionPath
        The paths on all rows; `path_` is the only one.
    """

    lams: ArrayLike | None
    n_lams: int | None
    eps: float | None
    lam_min_ratio: float
    cv: Any
    loss: str | Loss
    rule: str
    metric: str | None
    n_jobs: int | None
    validations_: tuple[PathCV, ...]

    @property
    def validation_(self) -> PathCV:
        """The cross-validation; not with three or more classes."""
        self._solved()
        return self._the(self.validations_, "validation")  # type: ignore[no-any-return]

    @property
    def path_(self) -> SolutionPath:
        """The path on all rows; not with three or more classes."""
        return self._the(self.paths_, "path")  # type: ignore[no-any-return]

    @property
    def paths_(self) -> tuple[SolutionPath, ...]:
        """The paths on all rows."""
        self._solved()
        return tuple(found.path for found in self.validations_)

    def _least_rows(self) -> int:
        return 2

    def _solve(self, programs: Sequence[ConvexProgram], samples: Samples) -> list[Solution]:
        if self.rule not in RULES:
            raise DataError(
                f"Unknown rule {self.rule!r}. {did_you_mean(str(self.rule), RULES)}", rule=self.rule
            )
        validations = [
            cross_validate(
                program,
                samples.folds,
                self.lams,
                self.n_lams if self.lams is None else None,
                self.eps,
                self.lam_min_ratio,
                self.metric,
                n_jobs=1 if self.n_jobs is None else self.n_jobs,
                backend=self.backend,
                tol=self.tol,
                options=self.options,
            )
            for program in programs
        ]
        solutions = [found.solution(self.rule) for found in validations]
        self.validations_ = tuple(validations)
        return solutions

    def _report(self) -> None:
        super()._report()
        for found in self.validations_:
            if not found.is_certified:
                warnings.warn(
                    f"The cross-validation is incomplete, or a network of it is not certified: "
                    f"{found!r}. Its path ended with {found.path.stop.value!r}. "
                    f"{found.path.stop.advice}",
                    ConvergenceWarning,
                    stacklevel=3,
                )

    def _folds(
        self, features: FloatArray, targets: NDArray[Any], kept: BoolArray
    ) -> tuple[Fold, ...]:
        classifies = is_classifier(self)
        splitter = check_cv(self.cv, targets, classifier=classifies)
        everything, place = np.arange(len(kept)), np.cumsum(kept) - 1
        folds = []
        for pair in splitter.split(features, targets):
            # Indexing, so that masks do as well as row numbers.
            train, test = (everything[rows] for rows in pair)
            folds.append((place[train[kept[train]]], place[test[kept[test]]]))
            if classifies and get_loss(self.loss).classifies:
                _check_classes(len(folds) - 1, targets[train[kept[train]]], targets[kept])
        return tuple(folds)


def _check_classes(fold: int, train: NDArray[Any], everything: NDArray[Any]) -> None:
    """Whether the rows that a fold trains on have all classes; the error names them as they are."""
    missing = np.setdiff1d(everything, train).tolist()
    if missing:
        raise DataError(
            f"The training rows of fold {fold} have no row of class {missing[0]!r}. Pass a cv of "
            "fewer folds, or of folds that train on every class.",
            fold=fold,
            missing=missing,
        )
