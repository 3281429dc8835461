"""The backend-neutral model: data, patterns, the convex program, networks."""

from relu_opt.program.activations import Activation, Leaky
from relu_opt.program.arrangement import (
    count_patterns,
    count_patterns_bound,
    enumerate_patterns,
    stream_patterns,
)
from relu_opt.program.conic import Cones, ConicProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.linear import LinearProgram, QuadraticProgram
from relu_opt.program.network import ReLUNetwork
from relu_opt.program.patterns import Patterns, patterns_of_gates, sample_patterns

__all__ = [
    "Activation",
    "Cones",
    "ConicProgram",
    "ConvexProgram",
    "Leaky",
    "LinearProgram",
    "Patterns",
    "QuadraticProgram",
    "ReLUNetwork",
    "count_patterns",
    "count_patterns_bound",
    "enumerate_patterns",
    "patterns_of_gates",
    "sample_patterns",
    "stream_patterns",
]
