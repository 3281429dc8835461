"""Training by column generation over neurons, with any solver of small quadratic programs."""

from relu_opt.solve.column_generation.bounds import StopNow
from relu_opt.solve.column_generation.driver import MAX_ITER, train
from relu_opt.solve.column_generation.master import QuadraticSolver

__all__ = ["MAX_ITER", "QuadraticSolver", "StopNow", "train"]
