"""Deep networks by formulas, neural collapse, and networks trained elsewhere beside them."""

from relu_opt.train.deep.collapse import NeuralCollapse, neural_collapse
from relu_opt.train.deep.comparison import DeepComparison, compare_deep
from relu_opt.train.deep.network import BatchNorm, DeepNetwork
from relu_opt.train.deep.training import DeepSolution, train_deep

__all__ = [
    "BatchNorm",
    "DeepComparison",
    "DeepNetwork",
    "DeepSolution",
    "NeuralCollapse",
    "compare_deep",
    "neural_collapse",
    "train_deep",
]
