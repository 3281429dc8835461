"""Standardised columns with weights, and the lam that is chosen where nobody does."""

import numpy as np
import pandas as pd
import pytest

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.estimators import ReLUClassifier, ReLURegressor
from relu_opt.tabular.default_lam import default_lam
from relu_opt.tabular.preprocessing import Preprocessing
from relu_opt.tabular.scaling import moments, scaled_rows
from relu_opt.tabular.tables import Table


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_weights_are_repeated_values(size):
    values, counts = np.array([1.0, 5.0, -2.0, 7.0]) * size, np.array([1, 3, 2, 4])
    repeated = np.repeat(values / size, counts)
    mean, deviation = moments(values, counts.astype(float))
    assert mean == pytest.approx(repeated.mean() * size, rel=1e-14)
    assert deviation == pytest.approx(repeated.std() * size, rel=1e-14)


def test_a_constant_is_left_where_it_is():
    assert moments(np.full(7, 0.1), np.arange(1.0, 8.0)) == (0.1, 1.0)


def test_values_beyond_double_precision_carry_where_they_are():
    with pytest.raises(DataError, match="the third: values up to") as caught:
        moments(np.array([0.0, 5e-324]), where="the third", column=3)
    assert caught.value.fields == {"column": 3}


def test_rows_have_norm_one_on_average():
    features = np.random.default_rng(0).normal(3.0, 2.0, (50, 4))
    X = scaled_rows(features, features.mean(axis=0), features.std(axis=0), False, True)
    assert (X**2).sum(axis=1).mean() == pytest.approx(1.0)
    X = scaled_rows(features, np.zeros(4), np.ones(4), True, False)
    np.testing.assert_array_equal(X, np.c_[features, np.ones(50)])


def test_default_lam_keeps_some_neurons(make_program):
    prog = make_program(n=30, p=10)
    lam = default_lam(prog)
    gated = ro.ConvexProgram(prog.X, prog.y, 1.0, prog.patterns, activation="gated")
    assert lam == float(f"{lam:.3g}") == pytest.approx(0.01 * gated.lam_max, rel=1e-2)
    assert lam < prog.lam_max


def test_default_lam_where_nothing_is_to_be_learnt(make_program):
    prog = make_program(n=10)
    still = ro.ConvexProgram(prog.X, np.zeros(10), 1.0, prog.patterns)
    assert still.lam_max == 0.0
    assert default_lam(still) == pytest.approx(0.01 * 2.0**still.units.x, rel=5e-3)
    tiny = ro.ConvexProgram(prog.X * 2.0**-90, np.zeros(10), 1.0, prog.patterns)
    assert default_lam(tiny) == pytest.approx(default_lam(still) * 2.0**-90, rel=5e-3)


DEAD = {
    "a constant feature": (np.full((9, 1), 0.1), np.random.default_rng(0).normal(size=9)),
    "every x with both labels": (
        np.repeat(np.random.default_rng(1).normal(size=(8, 2)), 2, axis=0),
        np.tile([1.0, -1.0], 8),
    ),
}


@pytest.mark.parametrize("loss", ["squared", "logistic", "squared_hinge", "hinge", "huber"])
@pytest.mark.parametrize("case", DEAD)
@pytest.mark.parametrize("size", [1.0, 1e-12, 1e9])
def test_a_pull_of_pure_rounding_is_none(case, loss, size):
    X, y = DEAD[case]
    X = np.c_[X, np.ones(len(X))] * size
    classifies = loss not in ("squared", "huber")
    if classifies and case == "a constant feature":
        y = np.where(y > 0, 1.0, -1.0)
    y = y if classifies else y * size
    loss = ro.losses.Huber(size) if loss == "huber" else loss
    prog = ro.ConvexProgram(X, y, 1.0, ro.sample_patterns(X, 15, 0), loss, intercept=True)
    assert prog.lam_max == 0.0
    found = ro.solve(prog.with_lam(default_lam(prog)))
    assert found.certificate.verdict is ro.Verdict.CERTIFIED
    assert len(found.network) == 0


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_fits_where_nothing_is_to_be_learnt_are_certified_without_a_warning(activation):
    X = np.repeat(np.random.default_rng(1).normal(size=(10, 2)), 2, axis=0)
    model = ReLUClassifier(activation=activation).fit(X, np.tile([0, 1], 10))
    assert model.certificate_.verdict is ro.Verdict.CERTIFIED
    assert np.allclose(model.predict_proba(X), 0.5, atol=1e-12)
    assert model.lam_ > 1e-4


def shares(n=60, columns=5):
    rng = np.random.default_rng(3)
    parts = rng.uniform(size=(n, columns))
    parts /= parts.sum(axis=1, keepdims=True)
    return parts, parts @ np.ones(columns)


def test_a_column_constant_up_to_rounding_is_constant():
    parts, total = shares()
    assert 0 < total.std() < 1e-15
    assert moments(total)[1] == np.abs(total).max()
    assert moments(1e9 * total)[1] == 1e9 * np.abs(total).max()
    assert moments(parts[:, 0])[1] == pytest.approx(parts[:, 0].std(), rel=1e-13)
    # Few digits are digits.
    stamps = 1.7e9 + np.arange(60.0) / 1000
    assert moments(stamps)[1] == pytest.approx(np.arange(60).std() / 1000, rel=1e-3)


@pytest.mark.parametrize("total_at", [1 - 1e-9, 1 - 1e-15, 0.999])
@pytest.mark.parametrize("unit", [1.0, 100.0, 1e-6, 1e9])
def test_a_total_of_shares_moves_no_prediction(total_at, unit):
    parts, total = shares()
    X = unit * np.c_[parts, total]
    y = parts[:, 0] - 2 * np.maximum(parts[:, 1] - 0.2, 0)
    other = X.copy()
    other[:, -1] *= total_at
    model = ReLURegressor(random_state=0).fit(X, y)
    assert np.abs(model.predict(other) - model.predict(X)).max() < 1e-9 * np.ptp(y)
    classes = ReLUClassifier(random_state=0).fit(X, y > np.median(y))
    moved = classes.predict_proba(other) - classes.predict_proba(X)
    assert np.abs(moved).max() < 1e-9


def test_a_total_of_shares_moves_no_prediction_of_a_table():
    parts, total = shares()
    y = parts[:, 0] - 2 * np.maximum(parts[:, 1] - 0.2, 0)
    columns = {"a": parts[:, 0], "b": parts[:, 1], "total": total, "y": y}
    table = Table.from_frame(pd.DataFrame(columns))
    preparation = Preprocessing.fit(table, "y")
    X = preparation.transform(table)
    assert np.abs(X[:, 2]).max() < 1e-15
    assert preparation.drift(table) == []


def test_one_reading_from_two_sources_counts_twice_and_no_more():
    rng = np.random.default_rng(5)
    reading = rng.normal(20.0, 3.0, 80)
    again = (reading / 3.0) * 3.0 * (1 + 2.0**-52 * rng.integers(-1, 2, 80))
    y = np.abs(reading - 20)
    model = ReLURegressor(random_state=0).fit(np.c_[reading, again], y)
    base = model.predict(np.c_[reading, reading])
    moved = model.predict(np.c_[reading, reading * (1 + 1e-9)]) - base
    assert np.abs(moved).max() < 1e-6 * np.ptp(y)
