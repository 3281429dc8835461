"""Networks with several outputs: training over all activation patterns, bounds and proofs."""

from relu_opt.train.several_outputs.bounds import VectorSeparation
from relu_opt.train.several_outputs.certificate import VectorCertificate
from relu_opt.train.several_outputs.conditional_gradient import FrankWolfe, frank_wolfe
from relu_opt.train.several_outputs.network import VectorNetwork
from relu_opt.train.several_outputs.public import train_vector, vector_separation
from relu_opt.train.several_outputs.solution import VectorSolution
from relu_opt.train.several_outputs.stacked import StackedSolution, stack_outputs, train_stacked

__all__ = [
    "FrankWolfe",
    "StackedSolution",
    "VectorCertificate",
    "VectorNetwork",
    "VectorSeparation",
    "VectorSolution",
    "frank_wolfe",
    "stack_outputs",
    "train_stacked",
    "train_vector",
    "vector_separation",
]
