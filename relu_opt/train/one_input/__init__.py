"""Networks on one-dimensional data with a free hidden bias: linear splines, trained globally."""

from relu_opt.train.one_input.certificate import SplineCertificate
from relu_opt.train.one_input.fit import fit_spline
from relu_opt.train.one_input.problem import spline_features
from relu_opt.train.one_input.result import SplineFit

__all__ = ["SplineCertificate", "SplineFit", "fit_spline", "spline_features"]
