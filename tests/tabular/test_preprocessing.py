"""Preprocessing: the scaling of theory.md §7, the way back, and descriptions nobody vouches for."""

import json
import math

import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from relu_opt.errors import DataError
from relu_opt.tabular.preprocessing import Preprocessing
from relu_opt.tabular.tables import Table


def make_table(**columns):
    arrays = {name: np.asarray(values, dtype=float) for name, values in columns.items()}
    return Table(tuple(arrays), arrays, "t.csv", lambda row: f"line {row + 2}")


@pytest.fixture
def table():
    rng = np.random.default_rng(3)
    return make_table(a=rng.normal(5, 3, 40), b=rng.exponential(2, 40), y=rng.normal(-2, 7, 40))


def test_features_are_those_of_the_benchmarks(table):
    raw = table.matrix(["a", "b"])
    expected = np.c_[StandardScaler().fit_transform(raw), np.ones(40)] / np.sqrt(2)
    preprocessing = Preprocessing.fit(table, "y")
    np.testing.assert_allclose(preprocessing.transform(table), expected, rtol=0, atol=1e-14)
    y = preprocessing.targets(table)
    assert abs(y.mean()) < 1e-14
    assert abs(y.std() - 1) < 1e-14


def test_without_bias_there_is_no_column_of_ones(table):
    X = Preprocessing.fit(table, "y", bias=False).transform(table)
    assert X.shape == (40, 2)
    np.testing.assert_allclose(X.std(axis=0), 1 / math.sqrt(2))


def test_without_standardising_the_columns_stay_as_they_are(table):
    preprocessing = Preprocessing.fit(table, "y", standardize=False)
    np.testing.assert_array_equal(
        preprocessing.transform(table), np.c_[table.matrix(["a", "b"]), np.ones(40)]
    )
    np.testing.assert_array_equal(preprocessing.targets(table), table.numbers("y"))
    np.testing.assert_array_equal(preprocessing.restore(table.numbers("y")), table.numbers("y"))


def test_restore_undoes_targets(table):
    preprocessing = Preprocessing.fit(table, "y")
    back = preprocessing.restore(preprocessing.targets(table))
    np.testing.assert_allclose(back, table.numbers("y"), rtol=1e-14)


def test_the_larger_class_is_plus_one():
    table = make_table(a=[1, 2, 3], y=[7, 3, 7])
    preprocessing = Preprocessing.fit(table, "y", loss="logistic")
    assert preprocessing.classes == (3.0, 7.0)
    np.testing.assert_array_equal(preprocessing.targets(table), [1, -1, 1])
    np.testing.assert_array_equal(preprocessing.restore(np.array([-0.1, 0.1])), [3, 7])


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
@pytest.mark.parametrize(
    ("y", "part"), [([1, 1, 1], "one class"), ([0, 1, 2], "3 different values (0, 1, 2)")]
)
def test_a_classification_needs_two_classes(loss, y, part):
    with pytest.raises(DataError) as caught:
        Preprocessing.fit(make_table(a=[1, 2, 3], y=y), "y", loss=loss)
    assert part in caught.value.message
    assert caught.value.fields["column"] == "y"


def test_a_class_unknown_to_the_model_is_named():
    preprocessing = Preprocessing.fit(make_table(a=[1, 2], y=[0, 1]), "y", loss="logistic")
    with pytest.raises(DataError, match="column 'y', line 3: the class is 2"):
        preprocessing.targets(make_table(a=[1, 2], y=[0, 2]))


def test_a_regression_takes_two_values_and_a_constant():
    two = make_table(a=[1, 2, 3, 4], y=[0, 1, 0, 1])
    assert Preprocessing.fit(two, "y", loss="huber").classes is None
    constant = make_table(a=[1, 2, 3], y=[0.1, 0.1, 0.1])
    preprocessing = Preprocessing.fit(constant, "y")
    np.testing.assert_array_equal(preprocessing.targets(constant), np.zeros(3))
    np.testing.assert_array_equal(preprocessing.restore(np.zeros(3)), np.full(3, 0.1))


def test_a_constant_column_becomes_zero():
    table = make_table(a=[0.1] * 7, b=range(7), y=range(7))
    X = Preprocessing.fit(table, "y").transform(table)
    np.testing.assert_array_equal(X[:, 0], np.zeros(7))


@pytest.mark.parametrize("size", [1e-300, 1e-6, 1e6, 1e300])
def test_columns_of_any_size_are_standardised(size):
    values = np.array([1.0, 2.0, 4.0, 5.0])
    table = make_table(a=values * size, y=values)
    X = Preprocessing.fit(table, "y", bias=False).transform(table)
    expected = ((values - values.mean()) / values.std())[:, None]
    np.testing.assert_allclose(X, expected, rtol=1e-12)


def test_a_single_column_has_no_features():
    with pytest.raises(DataError, match="single column 'y'"):
        Preprocessing.fit(make_table(y=[1, 2]), "y")


def test_a_missing_feature_is_named(table):
    preprocessing = Preprocessing.fit(table, "y")
    with pytest.raises(DataError, match="no column 'b'") as caught:
        preprocessing.transform(make_table(a=[1, 2], bb=[1, 2], y=[1, 2]))
    assert "Did you mean 'bb'" in caught.value.message


def test_drift_names_the_columns_that_other_data_have(table):
    preprocessing = Preprocessing.fit(table, "y")
    assert preprocessing.drift(table) == []
    moved = dict(table.columns)
    moved["b"] = moved["b"] + 1e-6
    other = Table(table.names, moved, "other.csv", table.place)
    assert preprocessing.drift(other) == ["b"]
    assert preprocessing.drift(other, tol=1e-3) == []
    moved["y"] = 2 * moved["y"]
    assert preprocessing.drift(other) == ["b", "y"]
    assert Preprocessing.fit(table, "y", standardize=False).drift(other) == []


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_a_description_comes_back_exactly(table, loss):
    columns = {**table.columns, "y": (table.columns["y"] > 0).astype(float)}
    preprocessing = Preprocessing.fit(make_table(**columns), "y", loss, bias=False)
    described = json.loads(json.dumps(preprocessing.to_meta()))
    assert Preprocessing.from_meta(described) == preprocessing


@pytest.mark.parametrize(
    "damage",
    [
        {"features": []},
        {"features": ["a", "a"]},
        {"features": "ab"},
        {"features": [1, 2]},
        {"target": None},
        {"centre": [0.0]},
        {"centre": [0.0, math.nan]},
        {"centre": [0.0, 10**400]},
        {"centre": [0.0, True]},
        {"centre": {"a": 1, "b": 2}},
        {"scale": [1.0, 0.0]},
        {"scale": [1.0, -1.0]},
        {"scale": [1.0, "1"]},
        {"bias": 1},
        {"standardize": None},
        {"target_centre": math.inf},
        {"target_scale": 0},
        {"classes": [1.0, 0.0]},
        {"classes": [1.0]},
        {"classes": 3},
    ],
)
def test_a_hostile_description_is_a_data_error(table, damage):
    described = {**Preprocessing.fit(table, "y").to_meta(), **damage}
    with pytest.raises(DataError, match="damaged"):
        Preprocessing.from_meta(described)


@pytest.mark.parametrize("described", [None, [], "x", 3, {}])
def test_no_description_is_a_data_error(described):
    with pytest.raises(DataError, match="damaged"):
        Preprocessing.from_meta(described)
