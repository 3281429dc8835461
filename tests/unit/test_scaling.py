"""Standardised columns with weights, and the lam that is chosen where nobody does."""

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.defaults import default_lam
from relu_opt.errors import DataError
from relu_opt.scaling import moments, scaled_rows


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
    assert default_lam(still) == 0.01
