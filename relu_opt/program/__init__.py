"""The backend-neutral model: data, patterns, losses, the convex program, networks."""

from relu_opt.program.arrangement import (
    count_patterns,
    count_patterns_bound,
    enumerate_patterns,
    stream_patterns,
)
from relu_opt.program.conic import Cones, ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.program.losses import (
    Hinge,
    Huber,
    Logistic,
    Loss,
    Poisson,
    Quantile,
    Squared,
    SquaredHinge,
    register_loss,
)
from relu_opt.program.network import ReLUNetwork
from relu_opt.program.patterns import Patterns, patterns_of_gates, sample_patterns

__all__ = [
    "Cones",
    "ConicProgram",
    "ConvexProgram",
    "Hinge",
    "Huber",
    "LinearProgram",
    "Logistic",
    "Loss",
    "Patterns",
    "Poisson",
    "QuadraticProgram",
    "Quantile",
    "ReLUNetwork",
    "Squared",
    "SquaredHinge",
    "count_patterns",
    "count_patterns_bound",
    "enumerate_patterns",
    "patterns_of_gates",
    "register_loss",
    "sample_patterns",
    "stream_patterns",
]
