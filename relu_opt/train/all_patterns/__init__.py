"""Global optimality over all activation patterns: oracles, and training with them."""

from relu_opt.train.all_patterns.oracles import separation
from relu_opt.train.all_patterns.separation_bounds import Separation
from relu_opt.train.all_patterns.solution import GlobalSolution
from relu_opt.train.all_patterns.training import train_globally

__all__ = ["GlobalSolution", "Separation", "separation", "train_globally"]
