"""Training programs with known answers.

The data come from a formula, not from a random generator, so that they are the same everywhere.
Where there is no closed form the optimal value is a constant, which two independent solvers
agree on (`tests/testing/test_named_programs.py`).
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.program.activations import GATED, RELU
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Hinge, Huber, Logistic, SquaredHinge
from relu_opt.program.patterns import Patterns, patterns_of_gates
from relu_opt.testing.named import named


def _wave(rows: int, columns: int, phase: float) -> FloatArray:
    """Numbers between −2 and 2 without a visible order, with two decimals."""
    count = np.arange(1.0, rows * columns + 1.0)
    return np.round(2.0 * np.sin(count**1.3 + phase), 2).reshape(rows, columns)


def _data(n: int = 14, d: int = 3, p: int = 8) -> tuple[FloatArray, FloatArray, Patterns]:
    """X, y and patterns."""
    X = _wave(n, d, 0.0)
    return X, _wave(n, 1, 1.0).ravel() + 0.4, patterns_of_gates(X, _wave(d, p, 2.0))


def net_squared() -> ConvexProgram:
    """The squared loss: a factor n or 2 in the loss or in lam."""
    X, y, patterns = _data()
    return ConvexProgram(X, y, 0.05, patterns)


def net_zero() -> ConvexProgram:
    """`net_squared` with lam above lam_max, so the zero network: an answer without neurons."""
    X, y, patterns = _data()
    return ConvexProgram(X, y, 3.0, patterns)


def net_one_sample() -> ConvexProgram:
    """One sample and one feature: min ½(2w − 3)² + ½w, a soft threshold."""
    return ConvexProgram(np.array([[2.0]]), np.array([3.0]), 0.5, Patterns([[True, False]]))


def net_negative_sample() -> ConvexProgram:
    """The same with a negative target: the blocks of sign −1."""
    return ConvexProgram(np.array([[2.0]]), np.array([-3.0]), 0.5, Patterns([[True, False]]))


def net_gated_orthogonal() -> ConvexProgram:
    """A gated network with an orthogonal design: each block a soft threshold, one of them zero."""
    X = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    y = np.array([3.0, 4.0, 0.3, -0.4])
    gates = np.array([[1.0, -1.0], [1.0, -1.0]])
    return ConvexProgram(X, y, 0.25, patterns_of_gates(X, gates), activation=GATED)


def net_gated() -> ConvexProgram:
    """A gated network on the data of `net_squared`: cones where there are none."""
    X, y, patterns = _data()
    return ConvexProgram(X, y, 0.05, patterns, activation=GATED)


def net_shared_faces() -> ConvexProgram:
    """Patterns twice, and neighbours that share a face: several optima, singular matrices."""
    X, y, _ = _data(10, 2)
    walls = np.stack([-X[:3, 1], X[:3, 0]])
    masks = patterns_of_gates(X, np.hstack([walls + 1e-3 * X[:3].T, walls - 1e-3 * X[:3].T])).masks
    return ConvexProgram(X, y, 0.1, Patterns(np.hstack([masks, masks])))


def net_few_samples() -> ConvexProgram:
    """Fewer samples than features."""
    X, y, patterns = _data(4, 6, 6)
    return ConvexProgram(X, y, 0.02, patterns)


def net_scaled() -> ConvexProgram:
    """`net_squared` with X a thousand times, and y a thousandth: absolute tolerances."""
    X, y, patterns = _data()
    return ConvexProgram(1e3 * X, 1e-3 * y, 0.05, patterns)


def net_huber() -> ConvexProgram:
    """The Huber loss with targets on both sides of its kink."""
    X, y, patterns = _data()
    return ConvexProgram(X, y, 0.03, patterns, loss=Huber(0.5))


def net_logistic() -> ConvexProgram:
    """The logistic loss: exponential cones, or a curvature that vanishes."""
    X, y, patterns = _data()
    return ConvexProgram(X, np.sign(y), 0.03, patterns, loss=Logistic())


def net_squared_hinge() -> ConvexProgram:
    """The squared hinge loss with samples beyond the margin."""
    X, y, patterns = _data()
    return ConvexProgram(X, np.sign(y), 0.03, patterns, loss=SquaredHinge())


def net_hinge() -> ConvexProgram:
    """The hinge loss, whose kinks leave ν to the solver."""
    X, y, patterns = _data()
    return ConvexProgram(X, np.sign(y), 0.03, patterns, loss=Hinge())


def net_intercept() -> ConvexProgram:
    """An output intercept: it is not penalised and no part of the weights."""
    X, y, patterns = _data()
    return ConvexProgram(X, y + 2.0, 0.05, patterns, intercept=True)


def net_weighted() -> ConvexProgram:
    """Sample weights of mean other than one, with an intercept and the logistic loss."""
    X, y, patterns = _data()
    weight = 1.0 + np.arange(14.0) % 4
    return ConvexProgram(X, np.sign(y), 0.02, patterns, Logistic(), RELU, weight, True)


ONE_SAMPLE = np.array([[[1.375], [0.0]], [[0.0], [0.0]]])
ORTHOGONAL = np.array([[[2.4, 3.2], [0.0, 0.0]]])

TRAINING_PROGRAMS = (
    named(net_squared, ConvexProgram, 0.544058491013),
    named(net_zero, ConvexProgram, 1.1736964285714286, np.zeros((2, 7, 3))),
    named(net_one_sample, ConvexProgram, 0.71875, ONE_SAMPLE),
    named(net_negative_sample, ConvexProgram, 0.71875, ONE_SAMPLE[::-1]),
    named(net_gated_orthogonal, ConvexProgram, 1.15625, ORTHOGONAL),
    named(net_gated, ConvexProgram, 0.401975274300),
    named(net_shared_faces, ConvexProgram, 0.753826116361),
    named(net_few_samples, ConvexProgram, 0.0441212717925),
    named(net_scaled, ConvexProgram, 5.44058491013e-7),
    named(net_huber, ConvexProgram, 0.305461913206),
    named(net_logistic, ConvexProgram, 0.464978580569),
    named(net_squared_hinge, ConvexProgram, 0.234704386952),
    named(net_hinge, ConvexProgram, 0.32592357734),
    named(net_intercept, ConvexProgram, 0.542974017098),
    named(net_weighted, ConvexProgram, 0.418193089223),
)
