"""scikit-learn estimators: networks with proved optima behind `fit` and `predict`.

This package imports scikit-learn, and `relu_opt` imports this package only when one of its names
is asked for.
"""

from relu_opt.estimators.classifier import ReLUClassifier, ReLUClassifierCV
from relu_opt.estimators.fitting import ReLUPathCV
from relu_opt.estimators.regressor import ReLURegressor, ReLURegressorCV

__all__ = [
    "ReLUClassifier",
    "ReLUClassifierCV",
    "ReLUPathCV",
    "ReLURegressor",
    "ReLURegressorCV",
]
