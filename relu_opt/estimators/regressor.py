"""`ReLURegressor` and `ReLURegressorCV`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.base import RegressorMixin

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.estimators.base import ReLUEstimator
from relu_opt.estimators.fitting import AtOneLam, ReLUPathCV
from relu_opt.path.solution_path import RATIO
from relu_opt.program.activations import Activation
from relu_opt.program.losses import Loss, get_loss
from relu_opt.tabular.scaling import moments


class _Regressor(RegressorMixin, ReLUEstimator):
    """Targets that are numbers."""

    target_centre_: float
    target_scale_: float

    def fit(self, X: Any, y: Any, sample_weight: ArrayLike | None = None) -> Self:
        """Train a network to a proved optimum.

        Parameters
        ----------
        X : (n, features) array or frame
            Finite numbers, not sparse.
        y : (n,) array
            Targets.
        sample_weight : (n,) array, optional
            Weights ≥ 0; rows of weight zero count as absent.

        Returns
        -------
        self
            A ConvergenceWarning says so where the network is not certified.

        Raises
        ------
        DataError or ValueError
            If the data or a parameter cannot be used.
        """
        samples = self._samples(X, y, sample_weight, numeric=True)
        if get_loss(self.loss).classifies:
            raise DataError(
                f"The loss {get_loss(self.loss).name!r} is for classes. Use 'squared', 'huber', "
                "'quantile' or 'poisson', or a ReLUClassifier.",
                loss=self.loss,
            )
        targets = samples.targets.astype(np.float64)
        centre, scale = 0.0, 1.0
        if self.standardize and get_loss(self.loss).scales:
            centre, scale = moments(targets, samples.weight, "y", name="y")
        self._train(samples, [(targets - centre) / scale])
        self.target_centre_, self.target_scale_ = centre, scale
        self._report()
        return self

    def predict(self, X: Any) -> FloatArray:
        """Predictions in the target's own units, (n,)."""
        outputs = self.solution_.program.loss.mean(self._outputs(X)[:, 0])
        return np.asarray(outputs * self.target_scale_ + self.target_centre_)

    def _target_meaning(self) -> dict[str, Any]:
        return {"target_centre": self.target_centre_, "target_scale": self.target_scale_}


class ReLURegressor(AtOneLam, _Regressor):
    """A two-layer ReLU network, optimal among those with its activation patterns.

    Parameters
    ----------
    lam : float, optional
        Regularisation strength, on the scale of the mean loss of the standardised target. By
        default 0.01 of a strength at which the network vanishes, as in `relu-opt fit`.
    n_gates : int
        How many random gates the activation patterns come from.
    loss : {"squared", "huber", "quantile", "poisson"} or Loss
        Of the standardised target, or, for "poisson", of the counts as they are; `Huber(delta)`
        and `Quantile(level)` for a threshold or a level of your own.
    activation : {"relu", "gated", "leaky", "absolute"} or Leaky
        Which kind of network.
    bias : bool
        Whether neurons have a bias, which is regularised with their weights.
    intercept : bool
        Whether the output has a constant that is not regularised.
    standardize : bool
        Whether features and target are brought to mean 0 and deviation 1, features then divided
        by the root of their number. The networks are in these units; predictions are not.
    backend : str
        Who solves; see `relu_opt.solve`.
    tol : float, optional
        Relative gap to reach, 1e−8 unless the settings say otherwise.
    time_limit : float, optional
        Seconds for the network. The best one so far is kept then, with its gap and a warning.
    options : mapping, optional
        `threads`, `seed`, `verbose`, and the backend's own options.
    warm_start : bool
        Whether to start from the network of the fit before, if that had the same features and
        gates (targets, weights and `lam` may differ) and the backend can.
    random_state : int or RandomState, optional
        Seed of the gates; that of the settings by default (0), so that fits can be repeated.

    Attributes
    ----------
    network_ : ReLUNetwork
        The network, in standardised units.
    certificate_ : Certificate
        What is proved of it.
    solution_ : Solution
        Both, with statistics; what `optimal_set`, `sensitivity` and others start from.
    lam_ : float
        The regularisation strength.
    n_neurons_ : int
        How many neurons the network has.
    scaling_ : Scaling
        From features to the network's inputs: `scaling_.rows(X)`.
    target_centre_, target_scale_ : float
        From the network's output to the target.
    solutions_, networks_, certificates_ : tuple
        The same as tuples, as in `ReLUClassifier`.
    n_features_in_, feature_names_in_
        As in every scikit-learn estimator.
    """

    def __init__(
        self,
        lam: float | None = None,
        n_gates: int = 100,
        *,
        loss: str | Loss = "squared",
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
    ) -> None:
        self.lam = lam
        self.n_gates = n_gates
        self.loss = loss
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


class ReLURegressorCV(ReLUPathCV, _Regressor):
    """A `ReLURegressor` whose λ is chosen by cross-validation along the path.

    Means, deviations and patterns come from all rows, those of the folds' held-out rows
    included. Where that matters, use GridSearchCV over `ReLURegressor(lam=...)`.

    Parameters
    ----------
    lams : (m,) array, optional
        The λ to try.
    n_lams : int or None
        In place of `lams`: so many, evenly in log λ, from where the network vanishes. With None,
        as many as `eps` (then 1e−3 by default) takes.
    eps : float, optional
        Largest relative gap at *every* λ between the first and the last.
    lam_min_ratio : float
        Where the path ends, as a share of its beginning.
    cv : int, splitter or iterable of (train, test), optional
        As in GridSearchCV: 5 folds by default.
    rule : {"best", "one_se"}
        The λ of the smallest mean error, or the largest within one standard error of it.
    metric : {"loss", "mse"}, optional
        The error of a held-out row, in standardised units.
    n_jobs : int, optional
        Processes for the folds, −1 for all cores.
    n_gates, loss, activation, bias, intercept, standardize, backend, tol, options, random_state
        As in `ReLURegressor`.

    Attributes
    ----------
    validation_ : PathCV
        The errors of the folds along the path; `validation_.plot()` draws them.
    path_ : SolutionPath
        The path on all rows.
    network_, certificate_, solution_, lam_, ...
        As in `ReLURegressor`, at the chosen λ; `validations_` and `paths_` as tuples.
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
        loss: str | Loss = "squared",
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
        self.activation = activation
        self.bias = bias
        self.intercept = intercept
        self.standardize = standardize
        self.backend = backend
        self.tol = tol
        self.options = options
        self.random_state = random_state
