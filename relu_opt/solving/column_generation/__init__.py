"""Training by column generation over neurons, with any solver of small quadratic programs."""

from relu_opt.solving.column_generation.driver import MAX_ITER, train
from relu_opt.solving.column_generation.master import QuadraticSolver

__all__ = ["MAX_ITER", "QuadraticSolver", "train"]
