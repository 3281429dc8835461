"""Arrays from outside: what is no double, or hidden, is refused, and never changed."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csc_array, csr_matrix

import relu_opt as ro
from relu_opt.arrays import as_floats, as_number, as_rows, as_targets
from relu_opt.errors import DataError
from relu_opt.estimators import ReLUClassifier, ReLURegressor
from relu_opt.program import Cones, ConicProgram, LinearProgram, QuadraticProgram

BIG = 2**53 + 1
X = np.c_[np.linspace(-1, 1, 6), np.ones(6)]
y = np.abs(X[:, 0])


def masked(values, at):
    hidden = np.zeros(np.shape(values), dtype=bool)
    hidden[at] = True
    return np.ma.array(values, mask=hidden)


KEPT = {
    "booleans": np.array([True, False]),
    "small integers": np.array([1, -3], dtype=np.int8),
    "large integers that are doubles": np.array([2**53, -(2**60)]),
    "unsigned": np.array([2**63], dtype=np.uint64),
    "single precision": np.array([0.1], dtype=np.float32),
    "long doubles that are doubles": np.array([0.5], dtype=np.longdouble),
    "exact fractions": [Fraction(1, 4), Decimal("0.5"), 3, True],
    "integers beyond int64 that are doubles": [2**70],
    "nothing masked": np.ma.array([1.0, 2.0]),
}
REFUSED = {
    "masked": (masked([1.0, 2.0], 1), "masked at index"),
    "masked in a list": ([masked([1.0, 2.0], 0)], "masked at index"),
    "complex": (np.array([1 + 2j]), "dtype complex"),
    "complex objects": (np.array([1 + 2j], dtype=object), "dtype object"),
    "complex scalars": (np.array([np.complex128(1 + 2j), 3], dtype=object), "dtype object"),
    "an integer that is no double": (np.array([1, BIG]), f"{BIG} at index .1,."),
    "an unsigned one": (np.array([2**64 - 1], dtype=np.uint64), "no double equals"),
    "one beyond int64": ([2**70 + 1], "no double equals"),
    "an integer object": (np.array([np.int64(BIG)], dtype=object), "no double equals"),
    "a long double": (np.array([1.0], dtype=np.longdouble) / 3, "no double equals"),
    "a fraction": ([Fraction(1, 3)], "no double equals"),
    "text": (["1.5"], "dtype <U3"),
    "text objects": (np.array(["1.5"], dtype=object), "dtype object"),
    "dates": (np.array(["2020-01-01"], dtype="datetime64[D]"), "dtype datetime64"),
    "durations": (np.array([np.timedelta64(5, "s")], dtype=object), "dtype object"),
    "a missing value": (pd.array([1, None], dtype="Int64"), "Drop or impute|dtype object"),
    "a missing boolean": (pd.array([True, None], dtype="boolean"), "Drop or impute|dtype object"),
    "ragged": ([[1.0], [2.0, 3.0]], "ragged"),
}


@pytest.mark.parametrize("values", KEPT.values(), ids=KEPT)
def test_doubles_are_kept_whatever_they_come_in(values):
    found = as_floats(values, "x", 1)
    assert found.dtype == np.float64
    assert type(found) is np.ndarray
    assert all(
        Fraction(a) == Fraction(b)
        for a, b in zip(found.tolist(), list(values), strict=True)
        if not isinstance(b, np.generic)
    )
    assert np.array_equal(found, np.asarray(values, dtype=np.float64))


@pytest.mark.parametrize(("values", "said"), REFUSED.values(), ids=REFUSED)
def test_what_a_double_does_not_hold_is_refused(values, said):
    with pytest.raises(DataError, match=said):
        as_floats(values, "x", 1)


@pytest.mark.parametrize(
    "value", [BIG, np.int64(BIG), Fraction(1, 3), np.longdouble(1) / 3, np.ma.masked, 1j]
)
def test_numbers_that_are_no_doubles_are_refused(value):
    with pytest.raises(DataError, match="lam"):
        as_number(value, "lam")


def test_masked_rows_and_targets_are_refused():
    with pytest.raises(DataError, match="masked"):
        as_rows(masked([0, 1], 0), "rows", 3)
    with pytest.raises(DataError, match="masked"):
        as_targets(masked(y, 2), "y", 6, "X")


HIDDEN_X, HIDDEN_Y = masked(X, (2, 0)), masked(y, 2)
ENTRIES = {
    "ConvexProgram, X": lambda: ro.ConvexProgram(HIDDEN_X, y, 0.1, ro.sample_patterns(X, 4, 0)),
    "ConvexProgram, y": lambda: ro.ConvexProgram(X, HIDDEN_Y, 0.1, ro.sample_patterns(X, 4, 0)),
    "patterns": lambda: ro.Patterns(masked(X > 0, (0, 0))),
    "sample_patterns": lambda: ro.sample_patterns(HIDDEN_X, 4, 0),
    "train_globally": lambda: ro.train_globally(HIDDEN_X, y, 0.1),
    "train_vector": lambda: ro.several_outputs.train_vector(X, masked(np.c_[y, y], (0, 0)), 0.1),
    "fit_spline": lambda: ro.one_input.fit_spline(masked(X[:, 0], 1), y, 0.1),
    "closed_form": lambda: ro.formulas.closed_form(X, HIDDEN_Y, 0.1),
    "minimum_norm_interpolant": lambda: ro.interpolation.minimum_norm_interpolant(X, HIDDEN_Y),
    "separation": lambda: ro.all_patterns.separation(X, HIDDEN_Y),
    "network": lambda: ro.ReLUNetwork(masked(X[:2], (0, 0)), y[:2]),
    "predict": lambda: ro.ReLUNetwork(X[:2], y[:2]).predict(HIDDEN_X),
    "regressor, X": lambda: ReLURegressor().fit(HIDDEN_X, y),
    "regressor, y": lambda: ReLURegressor().fit(X, HIDDEN_Y),
    "regressor, weights": lambda: ReLURegressor().fit(X, y, masked(np.ones(6), 1)),
    "classifier, X": lambda: ReLUClassifier().fit(HIDDEN_X, y > 0.5),
    "classifier, y": lambda: ReLUClassifier().fit(X, masked(y > 0.5, 0)),
    "linear c": lambda: LinearProgram(c=masked(y, 0)),
    "linear A": lambda: LinearProgram(c=np.ones(2), A=HIDDEN_X, row_lower=y),
    "linear bounds": lambda: LinearProgram(c=np.ones(6), lower=HIDDEN_Y),
    "integers": lambda: LinearProgram(c=np.ones(6), integrality=masked(y > 0, 0)),
    "conic b": lambda: ConicProgram(np.ones(2), csc_array(X), HIDDEN_Y, Cones(6)),
}


@pytest.mark.parametrize("enter", ENTRIES.values(), ids=ENTRIES)
def test_masked_values_are_refused_wherever_arrays_enter(enter):
    with pytest.raises(DataError, match="masked"):
        enter()


def read_only(matrix):
    for part in (matrix.data, matrix.indices, matrix.indptr):
        part.setflags(write=False)
    return matrix


I = np.eye(2) * 1j  # noqa: E741
COMPLEX = {
    "c": lambda: LinearProgram(c=np.array([1j, 1])),
    "A": lambda: LinearProgram(c=np.ones(2), A=I),
    "sparse A": lambda: LinearProgram(c=np.ones(2), A=csr_matrix(I)),
    "read-only sparse A": lambda: LinearProgram(c=np.ones(2), A=read_only(csc_array(I))),
    "upper": lambda: LinearProgram(c=np.ones(2), upper=np.array([1j, 1])),
    "P": lambda: QuadraticProgram(c=np.ones(2), P=np.eye(2) + I),
    "sparse P": lambda: QuadraticProgram(c=np.ones(2), P=csc_array(np.eye(2) + I)),
    "conic A": lambda: ConicProgram(np.ones(2), csc_array(I), np.ones(2), Cones(2)),
    "conic b": lambda: ConicProgram(np.ones(2), csc_array(np.eye(2)), np.array([1j, 0]), Cones(2)),
    "conic c": lambda: ConicProgram(np.array([1j, 0]), csc_array(np.eye(2)), np.ones(2), Cones(2)),
    "offset": lambda: LinearProgram(c=np.ones(2), offset=1j),
}


@pytest.mark.parametrize("make", COMPLEX.values(), ids=COMPLEX)
def test_complex_programs_are_refused(make):
    with pytest.raises(DataError, match=r"complex|a number is needed"):
        make()


@pytest.mark.parametrize(
    "make",
    [
        lambda: LinearProgram(c=np.array([BIG, 0])),
        lambda: LinearProgram(c=np.ones(1), A=csc_array(np.array([[BIG]]))),
        lambda: QuadraticProgram(c=np.ones(1), P=np.array([[BIG]])),
        lambda: ReLURegressor().fit(np.array([[BIG, 1], [2, 3], [4, 5]]), [1, 2, 3]),
        lambda: ReLURegressor().fit(pd.DataFrame({"a": [BIG, 1, 2], "b": [0.5, 1, 2]}), [1, 2, 3]),
        lambda: ReLURegressor().fit(X, np.array([BIG, 1, 2, 3, 4, 5])),
    ],
)
def test_integers_that_are_no_doubles_are_refused_wherever_they_enter(make):
    with pytest.raises(DataError, match="no double equals"):
        make()


def test_programs_of_real_numbers_stay_as_they_are():
    A = csc_array(np.array([[1, 2], [0, 3]], dtype=np.int32))
    prog = LinearProgram(c=[1, 2], A=A, row_lower=[True, False])
    assert prog.A.dtype == np.float64
    assert np.array_equal(prog.A.toarray(), A.toarray())
    assert LinearProgram(c=[1, 2], A=prog.A).A is prog.A


RAGGED = [[1.0], [1.0, 2.0]]


@pytest.mark.parametrize(
    "call",
    [
        lambda: ro.ReLUNetwork(RAGGED, [1.0]),
        lambda: ro.ReLUNetwork(np.eye(2), RAGGED),
        lambda: ro.several_outputs.VectorNetwork(RAGGED, np.eye(2)),
        lambda: ro.several_outputs.VectorNetwork(np.eye(2), RAGGED),
        lambda: ro.several_outputs.train_vector(np.eye(2), RAGGED, 0.1),
        lambda: ro.one_input.fit_spline(RAGGED, [1.0, 2.0], 0.1),
        lambda: ro.deep.train_deep(RAGGED, np.eye(2), 0.1, 3),
        lambda: ro.deep.train_deep(np.eye(2), RAGGED, 0.1, 3),
        lambda: ro.formulas.closed_form(np.eye(2), RAGGED, 0.1),
        lambda: ro.export.from_arrays(np.eye(2), RAGGED),
    ],
    ids=range(10),
)
def test_ragged_lists_are_named(call):
    with pytest.raises(DataError, match="ragged"):
        call()


def test_a_count_is_of_things_that_fit_a_memory():
    with pytest.raises(DataError, match="more than"):
        ro.sample_patterns(np.eye(2), 2**70)
