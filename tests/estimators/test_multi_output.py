"""`ReLUClassifier(multi_output="vector")`: one network with an output for each class."""

from __future__ import annotations

from contextlib import suppress
from unittest import SkipTest

import numpy as np
import pytest
from sklearn.datasets import load_digits, load_iris
from sklearn.decomposition import PCA
from sklearn.exceptions import ConvergenceWarning
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import estimator_checks_generator

import relu_opt as ro
from relu_opt.errors import DataError


def vector(**more):
    return ro.ReLUClassifier(loss="squared", multi_output="vector", **more)


def iris(columns=2):
    X, y = load_iris(return_X_y=True)
    return X[::3, -columns:], y[::3]


def test_it_is_train_vector_on_one_hot_targets():
    X, y = iris()
    found = vector(lam=0.01).fit(X, y)
    direct = ro.several_outputs.train_vector(found.scaling_.rows(X), np.eye(3)[y], 0.01)
    assert found.certificate_.verdict == "certified"
    assert found.solution_.objective == pytest.approx(direct.objective, rel=2e-6)
    assert found.decision_function(X).shape == (50, 3)
    assert found.score(X, y) > 0.9
    assert found.n_neurons_ == len(found.network_) == len(direct.network)
    assert found.lam_ == 0.01
    rows = found.scaling_.rows(X)
    assert ro.verify(found.certificate_, rows, np.eye(3)[y]).verdict == "certified"


def test_beside_one_network_a_class():
    """Shared neurons: the sum of separate optima for the same targets costs more."""
    X, y = iris()
    found = vector(lam=0.01).fit(X, y)
    rows, Y = found.scaling_.rows(X), np.eye(3)[y]
    apart = sum(ro.train_globally(rows, Y[:, k], 0.01).objective for k in range(3))
    assert found.solution_.lower_bound <= found.solution_.objective < apart
    rest = ro.ReLUClassifier(lam=0.01, loss="squared", random_state=0).fit(X, y)
    assert len(rest.networks_) == 3
    assert abs(rest.score(X, y) - found.score(X, y)) < 0.05


def test_two_classes_and_text():
    X, y = iris()
    names = np.array(["setosa", "other", "other"])[y]
    found = vector(lam=0.02).fit(X, names)
    assert found.decision_function(X).shape == (50,)
    assert found.classes_.tolist() == ["other", "setosa"]
    assert found.score(X, names) == 1.0


def test_weights_are_repeated_rows():
    X, y = iris()
    weight = np.where(np.arange(len(y)) % 4 == 0, 3.0, 1.0)
    again = np.repeat(np.arange(len(y)), weight.astype(int))
    one = vector(lam=0.02, standardize=False).fit(X, y, weight)
    two = vector(lam=0.02, standardize=False).fit(X[again], y[again])
    assert one.solution_.objective == pytest.approx(two.solution_.objective, rel=2e-6)
    np.testing.assert_allclose(one.decision_function(X), two.decision_function(X), atol=2e-2)
    balanced = vector(lam=0.02, class_weight="balanced").fit(X[:40], y[:40])
    assert balanced.certificate_.verdict == "certified"


def test_a_default_lam_and_a_pipeline_of_digits():
    X, y = load_digits(return_X_y=True)
    kept = slice(0, 120)
    found = make_pipeline(PCA(2, random_state=0), vector(intercept=True, lam=0.03, tol=1e-4))
    found.fit(X[kept], y[kept])
    assert found[-1].certificate_.verdict == "certified"
    assert found.score(X[kept], y[kept]) > 0.4
    guessed = vector(tol=1e-3).fit(*iris())
    assert 0 < guessed.lam_ < 0.05


def test_large_ranks_warn_of_the_gap(clock):
    X, y = load_digits(return_X_y=True)
    with pytest.warns(
        ConvergenceWarning, match="The relative gap .* to every ReLU network of any width"
    ):
        found = vector(lam=0.02, time_limit=300.0).fit(X[:100], y[:100])
    assert found.certificate_.lower_bound > 0
    assert found.score(X[:100], y[:100]) > 0.7


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"loss": "logistic"}, "is for loss='squared'"),
        ({"activation": "gated"}, "is for loss='squared' and activation='relu'"),
        ({"multi_output": "vectors"}, "Unknown multi_output 'vectors'. Did you mean 'vector'"),
        ({"lam": 0.0}, "lam"),
        ({"intercept": True, "class_weight": {0: 2.0}}, "takes no weights"),
    ],
)
def test_what_it_refuses(changes, match):
    parameters = {"loss": "squared", "multi_output": "vector", "lam": 0.02, **changes}
    with pytest.raises(DataError, match=match):
        ro.ReLUClassifier(**parameters).fit(*iris())


def test_it_is_no_model_and_no_start():
    X, y = iris()
    found = vector(lam=0.02, warm_start=True).fit(X, y)
    with pytest.raises(DataError, match="several outputs"):
        found.to_model()
    found.set_params(multi_output="one_vs_rest")
    assert len(found.fit(X, y).networks_) == 3


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.usefixtures("clock")
def test_checks_of_scikit_learn():
    estimator = vector(lam=0.1, tol=1e-3, time_limit=20.0)
    # Two answers within the gap may differ by more than this check allows.
    skipped = {"check_sample_weight_equivalence_on_dense_data"}
    for instance, check in estimator_checks_generator(estimator):
        if check.func.__name__ == "check_classifiers_train":  # which asks for accuracy
            instance.set_params(time_limit=None)
        if check.func.__name__ not in skipped:
            with suppress(SkipTest):  # one check that does not apply ends no other
                check(instance)
