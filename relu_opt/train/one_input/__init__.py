"""Networks on one-dimensional data with a free hidden bias: linear splines, trained globally."""
