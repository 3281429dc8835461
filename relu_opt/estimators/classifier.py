"""`ReLUClassifier` and `ReLUClassifierCV`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_softmax
from sklearn.base import ClassifierMixin
from sklearn.utils.metaestimators import available_if

from relu_opt.arrays import FloatArray, IntArray, as_positive
from relu_opt.errors import DataError, did_you_mean
from relu_opt.estimators.base import ReLUEstimator, Samples
from relu_opt.estimators.fitting import AtOneLam, ReLUPathCV
from relu_opt.path.solution_path import RATIO
from relu_opt.program.activations import RELU, Activation
from relu_opt.program.losses import Loss, get_loss
from relu_opt.tabular.default_lam import vector_lam
from relu_opt.train.several_outputs.public import TOL, train_vector

MULTI_OUTPUTS = ("one_vs_rest", "vector")
ClassWeight = Mapping[Any, float] | str | None


def _has_probabilities(estimator: _Classifier) -> bool:
    if not get_loss(estimator.loss).probabilistic:
        raise AttributeError(
            f"The loss {get_loss(estimator.loss).name!r} has no probabilities. Use "
            "loss='logistic', or sklearn.calibration.CalibratedClassifierCV."
        )
    return True


class _Classifier(ClassifierMixin, ReLUEstimator):
    """Targets that are classes: a network for the second of two, or for each against the rest."""

    class_weight: ClassWeight
    classes_: NDArray[Any]

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train a network, or one a class where there are more than two, to proved optima.

        Parameters
        ----------
        X : (n, features) array or frame
            Finite numbers, not sparse.
        y : (n,) array
            Classes: numbers or text.
        sample_weight : (n,) array, optional
            Weights ≥ 0; rows of weight zero count as absent.

        Returns
        -------
        self
            A ConvergenceWarning says so where a network is not certified.

        Raises
        ------
        DataError or ValueError
            If the data or a parameter cannot be used.
        """
        samples = self._samples(X, y, sample_weight, numeric=False)
        classes, which = np.unique(samples.targets, return_inverse=True)
        if len(classes) < 2:
            raise DataError(
                f"y has the one class {classes.tolist()[0]!r} on the rows of positive weight, and "
                "two at least are needed.",
                classes=1,
            )
        factors = class_factors(self.class_weight, classes, which, samples.weight)
        if factors is not None:
            weight = factors[which] * (1.0 if samples.weight is None else samples.weight)
            samples = replace(samples, weight=weight)
        self._train_classes(samples, which, len(classes))
        self.classes_ = classes
        self._report()
        return self

    def _train_classes(self, samples: Samples, which: IntArray, count: int) -> None:
        """One network for two classes, or one a class against the rest."""
        positive = range(count) if count > 2 else (1,)
        self._train(samples, [np.where(which == k, 1.0, -1.0) for k in positive])

    def decision_function(self, X: Any) -> FloatArray:
        """Outputs of the networks: (n,) of two classes, positive for the second; (n, classes)."""
        outputs = self._outputs(X)
        if len(self.classes_) > 2:
            return outputs
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs[:, 1] - outputs[:, 0]

    def predict(self, X: Any) -> NDArray[Any]:
        """Classes, (n,): those of the largest output; an output of zero is the first of two."""
        outputs = self.decision_function(X)
        which = (outputs > 0).astype(np.intp) if outputs.ndim == 1 else outputs.argmax(axis=1)
        return np.asarray(self.classes_[which])

    @available_if(_has_probabilities)
    def predict_log_proba(self, X: Any) -> FloatArray:
        """Logarithms of `predict_proba`, (n, classes)."""
        outputs, loss = self._outputs(X), self._solved()[0].program.loss
        if len(self.classes_) == 2:
            return loss.log_probability(outputs * (-1.0, 1.0))
        # Those of several networks are brought to the sum 1.
        return np.asarray(log_softmax(loss.log_probability(outputs), axis=1))

    @available_if(_has_probabilities)
    def predict_proba(self, X: Any) -> FloatArray:
        """Probabilities of the classes, (n, classes); for the logistic loss only.

        1/(1 + exp(−z)) for the second of two classes; of three or more, that of each class
        against the rest, divided by their sum.
        """
        return np.asarray(np.exp(self.predict_log_proba(X)))

    def _target_meaning(self) -> dict[str, Any]:
        if self.classes_.dtype.kind not in "biuf":
            raise DataError(
                f"The classes are {self.classes_.tolist()}, and a model's are numbers. Encode them."
            )
        return {"classes": tuple(self.classes_.astype(np.float64).tolist())}


def class_factors(
    class_weight: ClassWeight, classes: NDArray[Any], which: IntArray, weight: FloatArray | None
) -> FloatArray | None:
    """What the weights of each class are multiplied by, (classes,); None for nothing.

    Raises
    ------
    DataError
        If `class_weight` is neither None, "balanced" nor positive numbers for some of the classes.
    """
    if class_weight is None:
        return None
    if isinstance(class_weight, str) and class_weight == "balanced":
        totals = np.bincount(which, weight, len(classes))
        return np.asarray(totals.sum() / (len(classes) * totals))
    if not isinstance(class_weight, Mapping):
        raise DataError(
            f"class_weight is {class_weight!r}, and None, 'balanced' or a mapping from classes to "
            "weights is needed.",
            class_weight=class_weight,
        )
    known = classes.tolist()
    for name in class_weight:
        if name not in known:
            raise DataError(
                f"class_weight has the class {name!r}, and the classes are {known}.", name=name
            )
    return np.array(
        [as_positive(class_weight.get(name, 1.0), f"class_weight[{name!r}]") for name in known]
    )


class ReLUClassifier(AtOneLam, _Classifier):
    """Two-layer ReLU networks for two or more classes, optimal among those with their patterns.

    Two classes take one network. More take one a class against the rest, all over the same
    activation patterns, each with its own certificate.

    Parameters
    ----------
    lam : float, optional
        Regularisation strength, on the scale of the mean loss. By default, for each network,
        0.01 of a strength at which it vanishes, as in `relu-opt fit`.
    loss : {"logistic", "squared_hinge", "squared", "huber"} or Loss
        Of labels −1 and +1. Only `logistic` has probabilities.
    class_weight : mapping or "balanced", optional
        Factors > 0 of the weights of classes, 1 where none is given; "balanced" gives all
        classes the same total weight.
    n_gates, activation, bias, intercept, standardize, backend, tol, time_limit, options,
    warm_start, random_state
        As in `ReLURegressor`; `standardize` is of the features, `time_limit` of each network.
    multi_output : {"one_vs_rest", "vector"}
        `vector`: one network with an output for each class, trained by `train_vector` on one-hot
        targets, with the squared loss. Its certificate speaks of all networks, and n_gates,
        backend, options, warm_start and random_state have no say. Beyond rank 6 of the features
        the gap stays wide.

    Attributes
    ----------
    classes_ : (classes,) array
        The classes of the rows of positive weight, sorted.
    solutions_, networks_, certificates_ : tuple
        One of two classes, or one a class; of `vector` the only one, a `VectorSolution`.
    solution_, network_, certificate_
        The only one, of the second of two classes; with more classes an AttributeError.
    lam_ : float or (classes,) array
        The regularisation strength of each network; a float for two classes.
    n_neurons_ : int
        How many neurons the networks have in all.
    scaling_ : Scaling
        From features to the networks' inputs: `scaling_.rows(X)`.
    n_features_in_, feature_names_in_
        As in every scikit-learn estimator.
    """

    def __init__(
        self,
        lam: float | None = None,
        n_gates: int = 100,
        *,
        loss: str | Loss = "logistic",
        class_weight: ClassWeight = None,
        activation: str | Activation = "relu",
        bias: bool = True,
        intercept: bool = False,
        standardize: bool = True,
        backend: str = "auto",
        tol: float | None = None,
        time_limit: float | None = None,
        options: Mapping[str, object] | None = None,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        multi_output: str = "one_vs_rest",
    ) -> None:
        self.lam = lam
        self.n_gates = n_gates
        self.loss = loss
        self.class_weight = class_weight
        self.activation = activation
        self.bias = bias
        self.intercept = intercept
        self.standardize = standardize
        self.backend = backend
        self.tol = tol
        self.time_limit = time_limit
        self.options = options
        self.warm_start = warm_start
        self.random_state = random_state
        self.multi_output = multi_output

    def _train_classes(self, samples: Samples, which: IntArray, count: int) -> None:
        if self.multi_output not in MULTI_OUTPUTS:
            raise DataError(
                f"Unknown multi_output {self.multi_output!r}. "
                f"{did_you_mean(str(self.multi_output), MULTI_OUTPUTS)}",
                multi_output=self.multi_output,
            )
        if self.multi_output == "vector":
            self._train_together(samples, np.eye(count)[which])
        else:
            super()._train_classes(samples, which, count)

    def _train_together(self, samples: Samples, targets: FloatArray) -> None:
        """One network with an output for each class."""
        if not get_loss(self.loss).quadratic or self.activation != RELU:
            raise DataError(
                f"multi_output='vector' is for loss='squared' and activation='relu', not for "
                f"{get_loss(self.loss).name!r} and {self.activation!r}.",
                loss=get_loss(self.loss).name,
                activation=self.activation,
            )
        scaling = self._scaling(samples)
        X, Y = scaling.rows(samples.features), targets
        if samples.weight is not None and np.ptp(samples.weight) > 0:
            if self.intercept:
                raise DataError(
                    "multi_output='vector' with an intercept takes no weights. Pass "
                    "intercept=False, or leave out sample_weight and class_weight."
                )
            # A neuron is positively homogeneous, so that a row's weight goes into the row.
            root = np.sqrt(samples.weight / samples.weight.mean())[:, None]
            X, Y = root * X, root * Y
        lam = vector_lam(X, Y, bool(self.intercept)) if self.lam is None else self.lam
        found = train_vector(
            X, Y, lam, tol=TOL if self.tol is None else self.tol,
            intercept=bool(self.intercept), time_limit=self.time_limit,
        )  # fmt: skip
        self.solutions_, self.scaling_ = (found,), scaling  # type: ignore[assignment]


class ReLUClassifierCV(ReLUPathCV, _Classifier):
    """A `ReLUClassifier` whose λ is chosen by cross-validation along the path.

    Each network of three or more classes has its own path and its own λ. Means, deviations and
    patterns come from all rows, those of the folds' held-out rows included. Where that matters,
    use GridSearchCV over `ReLUClassifier(lam=...)`.

    Parameters
    ----------
    lams, n_lams, eps, lam_min_ratio, cv, rule, n_jobs
        As in `ReLURegressorCV`; `cv` is stratified by default.
    metric : {"loss", "error_rate", "mse"}, optional
        The error of a held-out row: the loss, whether the sign of the network's output is wrong
        (of this class against the rest, zero counting as positive), or (z − y)² with labels ±1.
    loss, class_weight, n_gates, activation, bias, intercept, standardize, backend, tol, options,
    random_state
        As in `ReLUClassifier`.

    Attributes
    ----------
    validations_ : tuple of PathCV
        The errors of the folds along the path, one object a network.
    paths_ : tuple of SolutionPath
        The paths on all rows.
    validation_, path_
        The only one; with three or more classes an AttributeError.
    solutions_, networks_, certificates_, lam_, classes_, ...
        As in `ReLUClassifier`, at the chosen λ.
    """

    def __init__(
        self,
        lams: ArrayLike | None = None,
        n_lams: int | None = 20,
        *,
        eps: float | None = None,
        lam_min_ratio: float = RATIO,
        cv: Any = None,
        rule: str = "best",
        metric: str | None = None,
        n_jobs: int | None = None,
        n_gates: int = 100,
        loss: str | Loss = "logistic",
        class_weight: ClassWeight = None,
        activation: str | Activation = "relu",
        bias: bool = True,
        intercept: bool = False,
        standardize: bool = True,
        backend: str = "auto",
        tol: float | None = None,
        options: Mapping[str, object] | None = None,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.lams = lams
        self.n_lams = n_lams
        self.eps = eps
        self.lam_min_ratio = lam_min_ratio
        self.cv = cv
        self.rule = rule
        self.metric = metric
        self.n_jobs = n_jobs
        self.n_gates = n_gates
        self.loss = loss
        self.class_weight = class_weight
        self.activation = activation
        self.bias = bias
        self.intercept = intercept
        self.standardize = standardize
        self.backend = backend
        self.tol = tol
        self.options = options
        self.random_state = random_state
