"""The estimators, against programs that are made and solved by hand."""

import io
import pickle
import subprocess
import sys

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
import sklearn
from scipy import sparse
from scipy.special import expit
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.class_weight import compute_sample_weight

import relu_opt as ro
from relu_opt.cli import main
from relu_opt.errors import DataError, ReluOptError
from relu_opt.estimators import fitting
from relu_opt.tabular.model import Model
from relu_opt.tabular.tables import Table

QUICK = {"n_lams": 2, "lam_min_ratio": 0.03, "cv": 2, "n_gates": 10}


@pytest.fixture(scope="module")
def numbers():
    """A regression: (40, 3) features on different scales, and targets."""
    rng = np.random.default_rng(5)
    X = rng.normal((1.0, -20.0, 0.0), (1.0, 30.0, 0.01), (40, 3))
    return X, 50 + 8 * np.maximum(X[:, 0], 1.0) - 0.3 * X[:, 1] + rng.normal(size=40)


@pytest.fixture(scope="module")
def flowers():
    """Three classes, by name: every third row of Fisher's irises."""
    data, target = load_iris(return_X_y=True)
    return data[::3], np.array(["setosa", "versicolor", "virginica"])[target[::3]]


@pytest.fixture(scope="module")
def two(flowers):
    """The two classes of them that overlap."""
    X, y = flowers
    return X[y != "setosa"], y[y != "setosa"]


def by_hand(X, y, lam, loss="squared", gates=10, seed=0, **rest):
    """A network for features as scikit-learn scales them, and a function from features to rows."""
    scaler = StandardScaler().fit(X)

    def rows(Z):
        return np.c_[scaler.transform(Z), np.ones(len(Z))] / np.sqrt(X.shape[1])

    patterns = ro.sample_patterns(rows(X), gates, seed)
    program = ro.ConvexProgram(rows(X), y, lam or 1.0, patterns, loss, **rest)
    if lam is None:
        gated = ro.ConvexProgram(rows(X), y, 1.0, patterns, loss, "gated")
        program = program.with_lam(float(f"{0.01 * gated.lam_max:.3g}"))
    return ro.solve(program, tol=1e-10), rows


# -- one network ---------------------------------------------------------------------------


@pytest.mark.parametrize("lam", [None, 0.02])
@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_a_regression_is_that_of_a_program_made_by_hand(numbers, lam, activation):
    X, y = numbers
    found = ro.ReLURegressor(lam, 10, activation=activation, tol=1e-10).fit(X, y)
    solution, rows = by_hand(X, (y - y.mean()) / y.std(), lam, activation=activation)
    wanted = solution.network.predict(rows(X)) * y.std() + y.mean()
    np.testing.assert_allclose(found.predict(X), wanted, rtol=1e-5)
    assert found.lam_ == pytest.approx(solution.program.lam, rel=1e-12)
    assert found.certificate_.verdict == "certified"
    assert found.certificate_.objective == pytest.approx(solution.objective, rel=1e-9)
    assert found.n_neurons_ == len(found.network_) > 0
    np.testing.assert_allclose(found.scaling_.rows(X), rows(X), rtol=1e-12)


def test_data_as_they_are(numbers):
    X, y = numbers
    unit = X / np.abs(X).max(axis=0)
    found = ro.ReLURegressor(0.5, 10, standardize=False, bias=False, intercept=True).fit(unit, y)
    program = found.solution_.program
    np.testing.assert_array_equal(program.X, unit)
    np.testing.assert_array_equal(program.y, y)
    assert program.intercept
    np.testing.assert_array_equal(found.predict(unit), found.network_.predict(unit))


def test_losses_and_options_reach_the_program(numbers):
    X, y = numbers
    found = ro.ReLURegressor(n_gates=5, loss=ro.losses.Huber(0.3), options={"threads": 1}, tol=1e-6)
    found.fit(X, y)
    assert found.solution_.program.loss == ro.losses.Huber(0.3)
    assert found.solution_.stats["options"]["threads"] == 1
    assert found.certificate_.tol == found.solution_.stats["tol"] == 1e-6


def test_random_state(numbers, monkeypatch):
    X, y = numbers
    seeded = [ro.ReLURegressor(n_gates=5, random_state=k).fit(X, y) for k in (0, 3)]
    gates = [found.solution_.program.patterns.gates for found in seeded]
    wanted = ro.sample_patterns(seeded[1].scaling_.rows(X), 5, 3).gates
    np.testing.assert_array_equal(gates[1], wanted)
    assert not np.array_equal(gates[0], gates[1])

    def fresh(state):
        found = ro.ReLURegressor(n_gates=5, random_state=state).fit(X, y)
        return found.solution_.program.patterns.gates

    np.testing.assert_array_equal(fresh(None), gates[0])
    monkeypatch.setenv("RELU_OPT_SEED", "3")
    np.testing.assert_array_equal(fresh(None), gates[1])
    state = np.random.RandomState(0)
    assert not np.array_equal(fresh(state), fresh(state))
    np.testing.assert_array_equal(fresh(np.random.RandomState(0)), fresh(np.random.RandomState(0)))


# -- classes -------------------------------------------------------------------------------


def test_two_classes_are_a_program_made_by_hand(two):
    X, y = two
    found = ro.ReLUClassifier(0.01, 10, tol=1e-10).fit(X, y)
    solution, rows = by_hand(X, np.where(y == "virginica", 1.0, -1.0), 0.01, "logistic")
    outputs = solution.network.predict(rows(X))
    np.testing.assert_allclose(found.decision_function(X), outputs, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.predict_proba(X)[:, 1], expit(outputs), atol=1e-5)
    wanted = np.where(outputs > 0, "virginica", "versicolor")
    np.testing.assert_array_equal(found.predict(X), wanted)
    assert found.classes_.tolist() == ["versicolor", "virginica"]
    assert found.score(X, y) == np.mean(wanted == y) > 0.9


def test_three_classes_are_three_programs_made_by_hand(flowers):
    X, y = flowers
    found = ro.ReLUClassifier(n_gates=10, tol=1e-10).fit(X, y)
    made = [by_hand(X, np.where(y == name, 1.0, -1.0), None, "logistic") for name in found.classes_]
    outputs = np.column_stack([solution.network.predict(rows(X)) for solution, rows in made])
    np.testing.assert_allclose(found.decision_function(X), outputs, rtol=1e-3, atol=1e-4)
    np.testing.assert_array_equal(found.predict(X), found.classes_[outputs.argmax(axis=1)])
    each = expit(outputs)
    wanted = each / each.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found.predict_proba(X), wanted, atol=1e-4)
    assert found.lam_ == pytest.approx([solution.program.lam for solution, _ in made])
    assert found.n_neurons_ == sum(len(network) for network in found.networks_)
    assert all(certificate.verdict == "certified" for certificate in found.certificates_)
    programs = [solution.program for solution in found.solutions_]
    assert len({id(program.patterns) for program in programs}) == 1
    for name in ("network_", "certificate_", "solution_"):
        with pytest.raises(AttributeError, match=f"There are 3 of {name}, one a class"):
            getattr(found, name)


def test_probabilities_far_out(flowers):
    X, y = flowers
    found = ro.ReLUClassifier(n_gates=10).fit(X, y)
    for far in (X * 1e6, -X * 1e6):
        chances = found.predict_proba(far)
        np.testing.assert_allclose(chances.sum(axis=1), 1.0, rtol=1e-12)
        assert np.isfinite(found.predict_log_proba(far)).all()
        which = np.searchsorted(found.classes_, found.predict(far))
        np.testing.assert_array_equal(chances[np.arange(len(far)), which], chances.max(axis=1))


def test_only_the_logistic_loss_has_probabilities(two):
    X, y = two
    for loss in ("squared_hinge", "squared", "huber"):
        found = ro.ReLUClassifier(n_gates=10, loss=loss).fit(X, y)
        assert found.score(X, y) > 0.9
        assert not hasattr(found, "predict_proba")
        assert not hasattr(found, "predict_log_proba")
    with pytest.raises(AttributeError, match="predict_proba"):
        found.predict_proba(X)


def test_class_weights_are_repeated_rows(two):
    X, y = two
    heavy = {"versicolor": 3}
    weighted = ro.ReLUClassifier(0.02, 10, class_weight=heavy, tol=1e-12).fit(X, y)
    again = np.repeat(np.arange(len(y)), np.where(y == "versicolor", 3, 1))
    repeated = ro.ReLUClassifier(0.02, 10, tol=1e-12).fit(X[again], y[again])
    np.testing.assert_allclose(
        weighted.decision_function(X), repeated.decision_function(X), rtol=1e-5, atol=1e-6
    )
    plain = ro.ReLUClassifier(0.02, 10).fit(X, y)
    assert (weighted.decision_function(X) < plain.decision_function(X)).mean() > 0.9


def test_balanced_weights_are_those_of_scikit_learn(flowers):
    X, y = flowers[0][:40], flowers[1][:40]
    balanced = ro.ReLUClassifier(0.02, 10, class_weight="balanced").fit(X, y)
    wanted = ro.ReLUClassifier(0.02, 10).fit(X, y, compute_sample_weight("balanced", y))
    np.testing.assert_allclose(
        balanced.decision_function(X), wanted.decision_function(X), rtol=1e-9
    )
    # With weights, equal totals a class, as of rows that are repeated.
    counts = np.tile([1, 2], 20)
    found = ro.ReLUClassifier(0.02, 10, class_weight="balanced").fit(X, y, counts)
    weight = found.solutions_[0].program.sample_weight
    totals = [weight[y == name].sum() for name in found.classes_]
    np.testing.assert_allclose(totals, len(y) / 3)


def test_rows_of_weight_zero_count_as_absent(flowers):
    X, y = flowers
    weight = (y != "setosa").astype(float)
    found = ro.ReLUClassifier(0.02, 10).fit(X, y, weight)
    wanted = ro.ReLUClassifier(0.02, 10).fit(X[weight > 0], y[weight > 0], weight[weight > 0])
    assert found.classes_.tolist() == ["versicolor", "virginica"]
    np.testing.assert_array_equal(found.decision_function(X), wanted.decision_function(X))


# -- along the path ------------------------------------------------------------------------

LAMS = [0.2, 0.05, 0.01]


@pytest.mark.parametrize("rule", ["best", "one_se"])
def test_the_lam_is_that_of_folds_made_by_hand(numbers, rule):
    X, y = numbers
    folds = KFold(4, shuffle=True, random_state=1)
    found = ro.ReLURegressorCV(LAMS, cv=folds, rule=rule, metric="mse", n_gates=10, tol=1e-10)
    found.fit(X, y)
    y = (y - y.mean()) / y.std()
    rows = by_hand(X, y, 1.0)[1](X)
    gates = ro.sample_patterns(rows, 10, 0).gates
    errors = np.empty((4, 3))
    for k, (train, test) in enumerate(folds.split(X)):
        patterns = ro.program.patterns_of_gates(rows[train], gates)
        for j, lam in enumerate(LAMS):
            fold = ro.ConvexProgram(rows[train], y[train], lam, patterns)
            network = ro.solve(fold, tol=1e-10).network
            errors[k, j] = np.mean((network.predict(rows[test]) - y[test]) ** 2)
    np.testing.assert_allclose(found.validation_.errors, errors, rtol=1e-4)
    mean = errors.mean(axis=0)
    limit = mean.min() + (errors.std(axis=0, ddof=1) / 2)[mean.argmin()]
    assert found.lam_ == LAMS[mean.argmin() if rule == "best" else np.argmax(mean <= limit)]
    assert found.path_.lams.tolist() == LAMS
    assert found.certificate_.lam == found.lam_
    fixed = ro.ReLURegressor(found.lam_, 10, tol=1e-10).fit(X, numbers[1])
    np.testing.assert_allclose(found.predict(X), fixed.predict(X), rtol=1e-4)


def test_each_class_has_its_own_path(flowers):
    X, y = flowers
    found = ro.ReLUClassifierCV(n_lams=3, lam_min_ratio=0.01, cv=3, n_gates=10).fit(X, y)
    assert isinstance(found, ro.estimators.ReLUPathCV)
    alone = ro.ReLUClassifierCV(n_lams=3, lam_min_ratio=0.01, n_gates=10)
    alone.set_params(cv=list(StratifiedKFold(3).split(X, y))).fit(X, y == "virginica")
    assert found.lam_[2] == pytest.approx(alone.lam_, rel=1e-9)
    np.testing.assert_allclose(
        found.validations_[2].errors, alone.validation_.errors, rtol=1e-6, atol=1e-9
    )
    assert len(found.paths_) == len(found.validations_) == 3
    assert found.score(X, y) > 0.9
    with pytest.raises(AttributeError, match="Use validations_"):
        _ = found.validation_


def test_folds_are_of_the_rows_that_count(numbers):
    X, y = numbers
    weight = np.tile([0.0, 1.0, 2.0, 1.0], 10)
    kept = np.flatnonzero(weight)
    splits = list(KFold(2).split(X))
    # Masks do as well as row numbers.
    splits[1] = tuple(np.isin(np.arange(40), rows) for rows in splits[1])
    found = ro.ReLURegressorCV(LAMS, cv=splits, n_gates=5).fit(X, y, weight)
    position = {row: k for k, row in enumerate(kept)}
    parts = [
        tuple([position[row] for row in rows if row in position] for rows in pair)
        for pair in KFold(2).split(X)
    ]
    wanted = ro.ReLURegressorCV(LAMS, cv=parts, n_gates=5).fit(X[kept], y[kept], weight[kept])
    np.testing.assert_allclose(found.validation_.errors, wanted.validation_.errors, rtol=1e-9)


def test_what_a_path_refuses(numbers, two):
    X, y = numbers
    with pytest.raises(DataError, match=r"Unknown rule 'bets'\. Did you mean 'best'"):
        ro.ReLURegressorCV(rule="bets").fit(X, y)
    with pytest.raises(DataError, match="error_rate needs labels"):
        ro.ReLURegressorCV(metric="error_rate", **QUICK).fit(X, y)
    with pytest.raises(ValueError, match="1 sample"):
        ro.ReLURegressorCV(**QUICK).fit(X[:1], y[:1])
    with pytest.raises(DataError, match=r"fold 0 have no row of class 'versicolor'"):
        ro.ReLUClassifierCV(**{**QUICK, "cv": KFold(2)}).fit(*two)
    rows, classes = np.random.default_rng(0).standard_normal((30, 2)), np.repeat([0, 1, 2], 10)
    with pytest.raises(DataError, match="fold 0 have no row of class 2"):
        ro.ReLUClassifierCV(**{**QUICK, "cv": KFold(3)}).fit(rows, classes[::-1])
    with pytest.raises(NotFittedError):
        _ = ro.ReLURegressorCV().path_
    with pytest.raises(TypeError, match="abstract class ReLUPathCV"):
        ro.estimators.ReLUPathCV()


# -- certificates and warnings ---------------------------------------------------------------


def test_what_is_not_certified_is_told(numbers, two):
    early = {"options": {"max_iter": 1}, "n_gates": 50, "lam": 1e-4}
    with pytest.warns(ConvergenceWarning, match="not certified.*raise the iteration limit"):
        found = ro.ReLURegressor(**early).fit(*numbers)
    assert found.certificate_.verdict == "not_certified"
    assert np.isfinite(found.predict(numbers[0])).all()
    with pytest.warns(ConvergenceWarning, match="not certified"):
        ro.ReLUClassifier(**early).fit(*two)
    path = {"lams": [1e-3, 1e-4], "cv": 2, "options": {"max_iter": 1}, "n_gates": 50}
    with pytest.warns(ConvergenceWarning) as caught:
        ro.ReLURegressorCV(**path).fit(*numbers)
    assert any("a network of it is not certified" in str(each.message) for each in caught)


def test_the_solution_answers_further_questions(numbers):
    X, y = numbers
    found = ro.ReLURegressor(0.02, 10).fit(X, y)
    program = found.solution_.program
    assert ro.verify(found.certificate_, program.X, program.y).valid
    assert ro.optimal_set(found.solution_).is_unique


def test_warm_start(numbers, monkeypatch):
    X, y = numbers
    starts = []

    def spy(program, backend, tol, time_limit, start, options):
        starts.append(start)
        return ro.solve(program, backend, tol, time_limit, start, options)

    monkeypatch.setattr(fitting, "solve", spy)
    found = ro.ReLURegressor(0.05, 10, warm_start=True, tol=1e-10).fit(X, y)
    first = found.solution_
    found.set_params(lam=0.04).fit(X, y)
    assert starts == [None, first]
    assert found.solution_.program.patterns is first.program.patterns
    cold = ro.ReLURegressor(0.04, 10, tol=1e-10).fit(X, y)
    np.testing.assert_allclose(found.predict(X), cold.predict(X), rtol=1e-5)
    # Another activation, other gates, other rows, no wish for it: from the start.
    for changed, rows in (
        ({"activation": "gated"}, 40),
        ({"random_state": 1}, 40),
        ({}, 30),
        ({"warm_start": False}, 30),
    ):
        found.set_params(**changed).fit(X[:rows], y[:rows])
        assert starts[-1] is None
        assert found.certificate_.verdict == "certified"
    # A backend that takes no start gets none.
    found = ro.ReLURegressor(0.05, 5, warm_start=True, backend="cvxpy", tol=1e-6)
    found.fit(X, y).fit(X, y)
    assert starts[-1] is None


def test_warm_start_of_three_classes(flowers):
    X, y = flowers
    found = ro.ReLUClassifier(0.05, 10, warm_start=True, tol=1e-10).fit(X, y)
    found.set_params(lam=0.03).fit(X, y)
    cold = ro.ReLUClassifier(0.03, 10, tol=1e-10).fit(X, y)
    np.testing.assert_allclose(
        found.decision_function(X), cold.decision_function(X), rtol=1e-3, atol=1e-4
    )
    found.fit(X[y != "setosa"], y[y != "setosa"])
    assert len(found.networks_) == 1


# -- in scikit-learn ---------------------------------------------------------------------------


def test_in_a_pipeline_with_names(numbers):
    X, y = numbers
    frame = pd.DataFrame(X, columns=["width", "height", "depth"])
    model = make_pipeline(StandardScaler(), ro.ReLURegressor(n_gates=10))
    model.set_output(transform="pandas").fit(frame, y)
    assert model[-1].feature_names_in_.tolist() == ["width", "height", "depth"]
    plain = ro.ReLURegressor(n_gates=10).fit(X, y)
    np.testing.assert_allclose(model.predict(frame), plain.predict(X), rtol=1e-4)


@pytest.mark.parametrize("kind", [pd.DataFrame, pl.DataFrame, pa.table])
def test_frames(kind, two):
    X, y = two
    columns = {f"feature {k}": column for k, column in enumerate(X.T)}
    found = ro.ReLUClassifier(n_gates=10).fit(kind(columns), y)
    plain = ro.ReLUClassifier(n_gates=10).fit(X, y)
    assert found.feature_names_in_.tolist() == list(columns)
    np.testing.assert_array_equal(
        found.decision_function(kind(columns)), plain.decision_function(X)
    )
    other = kind({name.title(): column for name, column in columns.items()})
    with pytest.raises(ValueError, match="feature names should match"):
        found.predict(other)


def test_columns_of_text_and_gaps_are_refused(two):
    X, y = two
    with pytest.raises(ValueError, match="could not convert string"):
        ro.ReLUClassifier().fit(pd.DataFrame({"a": ["x"] * len(y)}), y)
    with pytest.raises(ValueError, match="contains NaN"):
        ro.ReLUClassifier().fit(pd.DataFrame({"a": X[:, 0]}).mask(X[:, :1] > 6), y)


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csc_array])
def test_sparse_data_are_refused(kind, two):
    X, y = two
    with pytest.raises(TypeError, match="dense data is required"):
        ro.ReLUClassifier().fit(kind(X), y)
    with pytest.raises(TypeError, match="dense data is required"):
        ro.ReLUClassifier(n_gates=5).fit(X, y).predict(kind(X))
    dense = FunctionTransformer(lambda Z: Z.toarray(), accept_sparse=True)
    assert (
        make_pipeline(dense, ro.ReLUClassifier(n_gates=5)).fit(kind(X), y).score(kind(X), y) > 0.8
    )


def test_grid_search_clone_and_copies(two):
    X, y = two
    search = GridSearchCV(
        ro.ReLUClassifier(), {"lam": [0.3, 0.01], "n_gates": [5, 10]}, cv=3, error_score="raise"
    ).fit(X, y)
    best = search.best_estimator_
    assert best.lam_ == search.best_params_["lam"] == 0.01
    for copy in (clone(best).fit(X, y), pickle.loads(pickle.dumps(best)), _through_joblib(best)):
        np.testing.assert_array_equal(copy.predict_proba(X), best.predict_proba(X))
        assert copy.certificate_.verdict == "certified"
    assert not hasattr(clone(best), "network_")
    assert "ReLUClassifier" in search._repr_html_()


def _through_joblib(estimator):
    file = io.BytesIO()
    joblib.dump(estimator, file)
    file.seek(0)
    return joblib.load(file)


def test_metadata_routing(two):
    X, y = two
    weight = np.linspace(0.1, 3.0, len(y))
    wanted = ro.ReLUClassifier(0.02, 10).fit(X, y, weight)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = ro.ReLUClassifier(0.02, 10).set_fit_request(sample_weight=True)
        model = make_pipeline(FunctionTransformer(), routed).fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(model.decision_function(X), wanted.decision_function(X))
        scored = routed.set_score_request(sample_weight=True)
        folds = cross_validate(
            scored, X, y, params={"sample_weight": weight}, cv=StratifiedKFold(2)
        )
        train, test = next(StratifiedKFold(2).split(X, y))
        first = clone(routed).fit(X[train], y[train], weight[train])
        assert folds["test_score"][0] == first.score(X[test], y[test], weight[test])
        unasked = make_pipeline(clone(routed).set_fit_request(sample_weight=False))
        with pytest.raises(TypeError, match="sample_weight"):
            unasked.fit(X, y, sample_weight=weight)


# -- what is refused ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "part"),
    [
        ({"lam": -1.0}, "lam is -1.0"),
        ({"lam": "small"}, "lam is 'small'"),
        ({"n_gates": 0}, "n_gates is 0"),
        ({"loss": "logistic"}, "is for classes"),
        ({"loss": "sqared"}, "Did you mean 'squared'"),
        ({"activation": "rleu"}, "Did you mean 'relu'"),
        ({"bias": "no"}, "bias is 'no'"),
        ({"standardize": None}, "standardize is None"),
        ({"backend": "natvie"}, "native"),
        ({"tol": 0.0}, "tol is 0.0"),
        ({"random_state": -1}, "random_state is -1"),
        ({"random_state": "lucky"}, "random_state is 'lucky'"),
        ({"options": {"depth": 3}}, "depth"),
    ],
)
def test_parameters_that_cannot_be_used(numbers, parameters, part):
    estimator = ro.ReLURegressor(**{"n_gates": 5, **parameters})
    with pytest.raises(ReluOptError, match=part):
        estimator.fit(*numbers)
    with pytest.raises(NotFittedError):
        estimator.predict(numbers[0])


@pytest.mark.parametrize(
    ("class_weight", "part"),
    [
        ("equal", "class_weight is 'equal'"),
        ([1, 2], r"class_weight is \[1, 2\]"),
        ({"rose": 2.0}, "has the class 'rose'"),
        ({"virginica": 0.0}, r"class_weight\['virginica'\] is 0.0"),
        ({"virginica": float("nan")}, r"class_weight\['virginica'\] is nan"),
    ],
)
def test_class_weights_that_cannot_be_used(two, class_weight, part):
    with pytest.raises(DataError, match=part):
        ro.ReLUClassifier(class_weight=class_weight).fit(*two)


def test_data_that_cannot_be_used(numbers, two):
    X, y = numbers
    with pytest.raises(DataError, match=r"sample_weight is -1\.0 at index 2"):
        ro.ReLURegressor().fit(X, y, np.where(np.arange(40) == 2, -1.0, 1.0))
    with pytest.raises(DataError, match="X has 40 rows and sample_weight has 3"):
        ro.ReLURegressor().fit(X, y, [1.0, 2.0, 3.0])
    with pytest.raises(DataError, match="one class 'virginica'"):
        ro.ReLUClassifier().fit(*two, two[1] == "virginica")
    with pytest.raises(ValueError, match="Unknown label type"):
        ro.ReLUClassifier().fit(X, y)
    with pytest.raises(DataError, match="X, column 1: values up to"):
        ro.ReLURegressor().fit(np.c_[y, np.where(y > 60, 5e-324, 0.0)], y)


# -- as a model of the command line -------------------------------------------------------------


def test_to_model(numbers, tmp_path):
    X, y = numbers
    frame = pd.DataFrame(X, columns=["width", "height", "depth"])
    found = ro.ReLURegressor(0.02, 10).fit(frame, y)
    found.to_model("price").save(tmp_path / "model.npz")
    frame.assign(price=y).to_parquet(tmp_path / "data.parquet")
    assert main(["certify", str(tmp_path / "model.npz"), str(tmp_path / "data.parquet")]) == 0
    model = Model.load(tmp_path / "model.npz")
    assert model.preprocessing.features == ("width", "height", "depth")
    np.testing.assert_array_equal(model.predict(Table.from_frame(frame)), found.predict(frame))
    assert model.provenance["data"] == "ReLURegressor"


def test_to_model_of_two_classes(two, tmp_path):
    X, y = two
    found = ro.ReLUClassifier(0.02, 10).fit(X, np.where(y == "virginica", 7, 3))
    model = found.to_model()
    frame = pl.DataFrame(X, schema=[f"c{k}" for k in range(4)])
    np.testing.assert_array_equal(model.predict(Table.from_frame(frame)), found.predict(X))


def test_what_no_model_can_hold(two, flowers, numbers):
    with pytest.raises(DataError, match="There are 3 networks"):
        ro.ReLUClassifier(n_gates=5).fit(*flowers).to_model()
    with pytest.raises(DataError, match="a model's are numbers"):
        ro.ReLUClassifier(n_gates=5).fit(*two).to_model()
    with pytest.raises(DataError, match="sample weights"):
        ro.ReLURegressor(n_gates=5).fit(*numbers, np.ones(40)).to_model()
    with pytest.raises(DataError, match="target's name 'c0'"):
        ro.ReLURegressor(n_gates=5).fit(*numbers).to_model("c0")
    with pytest.raises(NotFittedError):
        ro.ReLURegressor().to_model()


# -- imports ---------------------------------------------------------------------------------


def test_scikit_learn_is_imported_when_an_estimator_is_asked_for():
    code = (
        "import sys, relu_opt as ro\n"
        "assert 'ReLURegressor' in dir(ro) and 'ReLUClassifierCV' in ro.__all__\n"
        "assert not hasattr(ro, 'ReLURegresor')\n"
        "print('sklearn' in sys.modules)\n"
        "print(ro.ReLUClassifierCV.__module__, 'sklearn' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "relu_opt.estimators.classifier", "True"]
