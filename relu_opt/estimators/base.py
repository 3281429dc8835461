"""What all estimators share: from checked arrays to programs, and what is known after a fit."""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from relu_opt.arrays import (
    BoolArray,
    FloatArray,
    as_count,
    as_targets,
    check_doubles,
    without_mask,
)
from relu_opt.config import load_settings
from relu_opt.errors import DataError
from relu_opt.path.folds import Fold
from relu_opt.program.activations import Activation, get_activation
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Loss, get_loss
from relu_opt.program.network import ReLUNetwork
from relu_opt.program.patterns import Patterns, sample_patterns
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.proof.verdict import Verdict
from relu_opt.solving.training import Solution
from relu_opt.tabular.model import Model
from relu_opt.tabular.preprocessing import Preprocessing
from relu_opt.tabular.scaling import moments, scaled_rows

SWITCHES = ("bias", "intercept", "standardize", "warm_start")


@dataclass(frozen=True, eq=False)
class Scaling:
    """How features become the rows of a program.

    Attributes
    ----------
    centre, scale : (d₀,) array
        Weighted mean and deviation of each feature; 0 and 1 if they are used as they are.
    bias, standardize : bool
        As in the estimators.
    """

    centre: FloatArray
    scale: FloatArray
    bias: bool
    standardize: bool

    @classmethod
    def fit(
        cls, features: FloatArray, weight: FloatArray | None, bias: bool, standardize: bool
    ) -> Scaling:
        """Learn the means and deviations of the columns, (n, d₀)."""
        found = [(0.0, 1.0)] * features.shape[1]
        if standardize:
            found = [
                moments(column, weight, f"X, column {k}", name="X", column=k)
                for k, column in enumerate(features.T)
            ]
        centre, scale = np.array(found).T
        return cls(centre, scale, bias, standardize)

    def rows(self, features: FloatArray) -> FloatArray:
        """X of a program, (n, d)."""
        return scaled_rows(features, self.centre, self.scale, self.bias, self.standardize)


@dataclass(frozen=True, eq=False)
class Samples:
    """What `fit` was given, without the rows of weight zero.

    Attributes
    ----------
    features : (k, d₀) array
    targets : (k,) array
        As the user gave them: numbers, or class labels.
    weight : (k,) array or None
        Weights > 0.
    folds : tuple of (train, test)
        Row numbers of the folds of a cross-validation, where there is one.
    """

    features: FloatArray
    targets: NDArray[Any]
    weight: FloatArray | None
    folds: tuple[Fold, ...] = ()


class ReLUEstimator(BaseEstimator, ABC):
    """The base of the estimators.

    Attributes
    ----------
    solutions_ : tuple of Solution
        One network with its certificate, or one a class where there are more than two.
    scaling_ : Scaling
        From features to the networks' inputs.
    """

    n_gates: int
    loss: str | Loss
    activation: str | Activation
    bias: bool
    intercept: bool
    standardize: bool
    backend: str
    tol: float | None
    options: Mapping[str, object] | None
    random_state: int | np.random.RandomState | None
    n_features_in_: int
    solutions_: tuple[Solution, ...]
    scaling_: Scaling

    # -- what is known after a fit -------------------------------------------------------

    def _the(self, values: Iterable[Any], name: str) -> Any:
        """The only one, for attributes that a fit of several networks does not have."""
        check_is_fitted(self)
        all_of_them = tuple(values)
        if len(all_of_them) > 1:
            raise AttributeError(
                f"There are {len(all_of_them)} of {name}_, one a class. Use {name}s_.", name=name
            )
        return all_of_them[0]

    @property
    def solution_(self) -> Solution:
        """The network with all that is known of it; not with three or more classes."""
        return self._the(self._solved(), "solution")  # type: ignore[no-any-return]

    @property
    def network_(self) -> ReLUNetwork:
        """The network; it takes the rows that `scaling_` makes."""
        return self._the(self.networks_, "network")  # type: ignore[no-any-return]

    @property
    def certificate_(self) -> NetworkCertificate:
        """What is proved of the network."""
        return self._the(self.certificates_, "certificate")  # type: ignore[no-any-return]

    @property
    def networks_(self) -> tuple[ReLUNetwork, ...]:
        """The networks, one a class where there are more than two classes."""
        return tuple(solution.network for solution in self._solved())

    @property
    def certificates_(self) -> tuple[NetworkCertificate, ...]:
        """Their certificates."""
        return tuple(solution.certificate for solution in self._solved())

    @property
    def lam_(self) -> float | FloatArray:
        """The regularisation strength; with three or more classes one a class, (classes,)."""
        lams = np.array([solution.certificate.lam for solution in self._solved()])
        return float(lams[0]) if len(lams) == 1 else lams

    @property
    def n_neurons_(self) -> int:
        """How many neurons the networks have in all."""
        return sum(map(len, self.networks_))

    def __sklearn_is_fitted__(self) -> bool:
        # A fit that fails leaves n_features_in_ behind.
        return hasattr(self, "solutions_")

    def _solved(self) -> tuple[Solution, ...]:
        check_is_fitted(self)
        return self.solutions_

    def to_model(self, target: str = "target") -> Model:
        """The network as a model of the command line, which is saved without pickle.

        Features have their names, or c0, c1, … as in a CSV file without a header.

        Parameters
        ----------
        target : str
            The name of the target's column.

        Raises
        ------
        DataError
            If there are three or more classes, classes that are no numbers, several outputs, or
            sample weights.
        """
        solutions = self._solved()
        if len(solutions) > 1:
            raise DataError(
                f"There are {len(solutions)} networks, and a model has one. Save networks_ and "
                "certificates_ one by one.",
                networks=len(solutions),
            )
        if not isinstance(solutions[0], Solution):
            raise DataError(
                "The network has several outputs, and a model has one. Save network_ and "
                "certificate_.",
                networks=1,
            )
        names = getattr(self, "feature_names_in_", None)
        if names is None:
            names = [f"c{k}" for k in range(self.n_features_in_)]
        if target in names:
            raise DataError(f"A feature has the target's name {target!r}.", target=target)
        preprocessing = Preprocessing(
            tuple(map(str, names)),
            target,
            tuple(self.scaling_.centre.tolist()),
            tuple(self.scaling_.scale.tolist()),
            self.scaling_.bias,
            self.scaling_.standardize,
            **self._target_meaning(),
        )
        return Model.of(solutions[0], preprocessing, type(self).__name__)

    @abstractmethod
    def _target_meaning(self) -> dict[str, Any]:
        """What `Preprocessing` has to know of the targets."""

    # -- fitting -------------------------------------------------------------------------

    @abstractmethod
    def _solve(self, programs: Sequence[ConvexProgram], samples: Samples) -> Sequence[Solution]:
        """Train a network for each program."""

    def _samples(self, X: Any, y: Any, sample_weight: ArrayLike | None, numeric: bool) -> Samples:
        """Check what `fit` was given."""
        for name in SWITCHES:
            value = getattr(self, name, False)
            if not isinstance(value, bool | np.bool_):
                raise DataError(f"{name} is {value!r}, and True or False is needed.", name=name)
        check_doubles(X, "X")
        check_doubles(y, "y") if numeric else without_mask(y, "y")
        features, targets = validate_data(
            self, X, y, dtype=np.float64, y_numeric=numeric, ensure_min_samples=self._least_rows()
        )
        if not numeric:
            check_classification_targets(targets)
        if sample_weight is None:
            everything = np.ones(len(features), dtype=bool)
            return Samples(features, targets, None, self._folds(features, targets, everything))
        weight = as_targets(sample_weight, "sample_weight", len(features), "X")
        if (weight < 0).any():
            raise DataError(
                f"sample_weight is {weight.min()} at index {weight.argmin()}, and weights of at "
                "least zero are needed.",
                index=int(weight.argmin()),
            )
        kept = weight > 0
        if not kept.any():
            raise DataError("All sample weights are zero. At least one positive weight is needed.")
        folds = self._folds(features, targets, kept)
        return Samples(features[kept], targets[kept], weight[kept], folds)

    def _least_rows(self) -> int:
        return 1

    def _folds(
        self, features: FloatArray, targets: NDArray[Any], kept: BoolArray
    ) -> tuple[Fold, ...]:
        """The folds, as numbers of the rows that are kept."""
        return ()

    def _train(self, samples: Samples, targets: Sequence[FloatArray]) -> None:
        """Train a network for each vector of targets, all over the same patterns."""
        scaling = self._scaling(samples)
        X = scaling.rows(samples.features)
        patterns = self._patterns(X)
        kind = get_loss(self.loss), get_activation(self.activation)
        programs = [
            ConvexProgram(X, y, 1.0, patterns, *kind, samples.weight, self.intercept)
            for y in targets
        ]
        self.solutions_, self.scaling_ = tuple(self._solve(programs, samples)), scaling

    def _scaling(self, samples: Samples) -> Scaling:
        """From the features of these samples to the networks' inputs."""
        return Scaling.fit(
            samples.features, samples.weight, bool(self.bias), bool(self.standardize)
        )

    def _report(self) -> None:
        """Warn of networks that are not proved to be optimal; the last thing that a fit does."""
        for solution in self.solutions_:
            certificate = solution.certificate
            if certificate.verdict is not Verdict.CERTIFIED:
                verdict = certificate.verdict.value.replace("_", " ")
                warnings.warn(
                    f"The network is {verdict}. {certificate.reason} {solution.stop.advice}",
                    ConvergenceWarning,
                    stacklevel=3,
                )

    def _patterns(self, X: FloatArray) -> Patterns:
        return sample_patterns(X, self.n_gates, self._seed())

    def _seed(self) -> int:
        """The seed of the gates: an integer as it is, or one drawn from a RandomState."""
        chosen = self.random_state
        if chosen is None:
            return load_settings().seed
        if isinstance(chosen, np.random.RandomState):
            return int(chosen.randint(2**31 - 1))
        return as_count(chosen, "random_state", least=0)

    def _outputs(self, X: Any) -> FloatArray:
        """What the networks say of the rows of X, (n, networks)."""
        solutions = self._solved()
        check_doubles(X, "X")
        features = validate_data(self, X, reset=False, dtype=np.float64)
        rows = self.scaling_.rows(features)
        return np.column_stack([solution.network.predict(rows) for solution in solutions])
