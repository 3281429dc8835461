"""Networks that fit exactly: the cheapest, all of them, and those of the fewest neurons."""

from relu_opt.train.interpolation.fewest_neurons import Sparsity, sparsest_interpolant
from relu_opt.train.interpolation.least_cost_network import Interpolant, minimum_norm_interpolant

__all__ = ["Interpolant", "Sparsity", "minimum_norm_interpolant", "sparsest_interpolant"]
