"""Plain Frank–Wolfe over networks of bounded size, to compare column generation with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_count, as_positive
from relu_opt.clock import Clock
from relu_opt.train.several_outputs.problem import VectorProblem
from relu_opt.train.several_outputs.sphere import VectorSphere

# Relative gap of each search.
REL = 1e-6


@dataclass(frozen=True, eq=False)
class FrankWolfe:
    """A run: after each step the mean loss, and what it may be above the least at most.

    Attributes
    ----------
    losses, gaps : (steps,) array
        (1/2n)‖f − Y‖², and the Frank–Wolfe gap.
    """

    losses: FloatArray
    gaps: FloatArray


def frank_wolfe(X: ArrayLike, Y: ArrayLike, radius: float, steps: int) -> FrankWolfe:
    """Minimise (1/2n)‖f − Y‖² over networks with Σ_j ‖u_j‖‖w_j‖ ≤ `radius`, one neuron a step.

    With V = (Y − f)/n the oracle finds u; the step goes towards the one neuron with ‖w‖ = radius,
    by exact line search. It converges slowly; `train_vector` re-solves for all weights instead.

    Parameters
    ----------
    X : (n, d) array
    Y : (n, c) array
    radius : float
        In the penalised problem λ takes its place.
    steps : int
    """
    problem = VectorProblem.of(X, Y, 1.0)
    size = as_positive(radius, "radius")
    oracle, fits = VectorSphere(problem.space), np.zeros_like(problem.Y)
    losses, gaps = [], []
    for _ in range(as_count(steps, "steps")):
        V = (problem.Y - fits) / problem.n
        found = oracle.search(V, 0.0, REL, Clock())
        target = np.zeros_like(fits)
        if found.direction is not None:
            column = problem.features(found.direction[None])
            pull = column.T @ V
            target = size * column @ (pull / np.linalg.norm(pull))
        step = target - fits
        gaps.append(size * found.upper - float((V * fits).sum()))
        losses.append(0.5 * problem.n * float((V * V).sum()))
        length = float((step * step).sum()) / problem.n
        if length > 0:
            fits = fits + np.clip(float((V * step).sum()) / length, 0.0, 1.0) * step
    return FrankWolfe(np.array(losses), np.array(gaps))
