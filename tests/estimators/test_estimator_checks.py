"""The estimators in scikit-learn's own checks; no failure is expected."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import relu_opt as ro

pytestmark = pytest.mark.slow
QUICK = {"n_lams": 2, "lam_min_ratio": 0.03, "cv": 2, "n_gates": 10}


@parametrize_with_checks([ro.ReLURegressor(n_gates=10), ro.ReLUClassifier(n_gates=10)])
def test_at_one_lam(estimator, check):
    check(estimator)


@parametrize_with_checks(
    [ro.ReLURegressorCV(**QUICK), ro.ReLUClassifierCV(**QUICK, activation="gated")]
)
def test_along_the_path(estimator, check):
    check(estimator)
