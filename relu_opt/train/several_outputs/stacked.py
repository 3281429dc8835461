r"""Several outputs with one norm over all weights of a block: the group lasso of pyscnn.

    minimise  (1/2n) ‖Σ_i D_iXZ_i − Y‖² + λ Σ_i ‖Z_i‖,   Z_i (d, c), Frobenius norms,

with Z_i = V_i − W_i, the columns of V_i and W_i in the cones of D_i, for ReLU networks. It is the
program of *one* output on stacked data: the rows of I_c ⊗ X, the columns of Y one after another,
each pattern c times, λ/c since the mean is over nc rows. So it has all of one output's theory.
It is not weight decay on a network of several outputs: ‖Z‖ is at most the norm of `train_vector`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_floats
from relu_opt.config import load_settings
from relu_opt.errors import DataError
from relu_opt.plugins.types import StopReason
from relu_opt.program.activations import get_activation
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork
from relu_opt.program.patterns import patterns_of_gates, sample_patterns
from relu_opt.proof.answer import Answer
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.solving.training import Solution, solve
from relu_opt.train.several_outputs.problem import VectorProblem

# Numbers in the stacked data.
MOST_ENTRIES = 100_000_000


@dataclass(frozen=True, eq=False)
class StackedSolution(Answer):
    """An optimum of the group lasso over blocks of all outputs.

    Attributes
    ----------
    solution : Solution
        Of the stacked program, with its certificate; its objective is that of several outputs
        divided by their number.
    outputs : int
    """

    solution: Solution
    outputs: int

    @property
    def certificate(self) -> NetworkCertificate:
        """Of the stacked program: `verify(certificate, *stack_outputs(X, Y))` re-checks it."""
        return self.solution.certificate

    @property
    def network(self) -> ReLUNetwork:
        """Of the stacked program; `predict` gives its outputs apart."""
        return self.solution.network

    @property
    def objective(self) -> float:
        """(1/2n)‖f − Y‖² + λ Σ_i ‖Z_i‖."""
        return self.outputs * self.certificate.objective

    @property
    def lower_bound(self) -> float:
        """What no choice of the blocks has an objective below."""
        return self.outputs * self.certificate.lower_bound

    @property
    def stop(self) -> StopReason:
        """Why the backend stopped."""
        return self.solution.stop

    @property
    def stats(self) -> Mapping[str, Any]:
        """As of the `solution`."""
        return self.solution.stats

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the solution of the stacked program; `Solution.load` reads it."""
        self.solution.save(path)

    def predict(self, X: ArrayLike) -> FloatArray:
        """Outputs at the rows of X, (n, c)."""
        network = self.solution.network
        data = as_floats(X, "X", 2)
        d = self.solution.program.X.shape[1] // self.outputs
        if data.shape[1] != d:
            raise DataError(
                f"X has {data.shape[1]} columns, and the blocks take {d}.", columns=data.shape[1]
            )
        fits = np.empty((len(data), self.outputs))
        for k in range(self.outputs):
            wide = np.zeros((len(data), d * self.outputs))
            wide[:, k * d : (k + 1) * d] = data
            fits[:, k] = network.predict(wide)
        return fits

    def __repr__(self) -> str:
        return (
            f"StackedSolution({self.verdict.value}, objective={self.objective:.12g}, "
            f"rel_gap={self.rel_gap:.2e}, neurons={len(self.solution.network)}, "
            f"outputs={self.outputs})"
        )


def stack_outputs(X: ArrayLike, Y: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """The data of one output that stand for several: I_c ⊗ X, (nc, dc), and Y's columns, (nc,).

    Raises
    ------
    DataError
        If X and Y are no data, or the stacked data would have more than 10⁸ numbers.
    """
    return _stacked(VectorProblem.of(X, Y, 1.0))


def _stacked(problem: VectorProblem) -> tuple[FloatArray, FloatArray]:
    (n, d), c = problem.X.shape, problem.Y.shape[1]
    if n * d * c * c > MOST_ENTRIES:
        raise DataError(
            f"The stacked data of {n} rows, {d} columns and {c} outputs have {n * d * c * c} "
            f"numbers, more than {MOST_ENTRIES}. Use train_vector, or fewer rows.",
            entries=n * d * c * c,
            limit=MOST_ENTRIES,
        )
    return np.asarray(np.kron(np.eye(c), problem.X), dtype=np.float64), problem.Y.T.ravel()


def train_stacked(
    X: ArrayLike,
    Y: ArrayLike,
    lam: float,
    n_gates: int = 100,
    activation: str = "gated",
    *,
    seed: int | None = None,
    backend: str = "auto",
    tol: float | None = None,
    time_limit: float | None = None,
    options: Mapping[str, object] | None = None,
) -> StackedSolution:
    """Train over sampled patterns with one norm over all d × c weights of a block, as pyscnn does.

    Parameters
    ----------
    X : (n, d) array
    Y : (n, c) array
    lam : float
        λ > 0, on the scale of the mean over the n rows of half the squared distances.
    n_gates : int
        How many gates are sampled.
    activation : {"gated", "relu"}
    seed : int, optional
        Of the gates.
    backend, tol, time_limit, options
        As of `solve`.

    Returns
    -------
    StackedSolution

    Raises
    ------
    DataError
        If X, Y or a parameter cannot be used, or the stacked data are too large.
    """
    problem = VectorProblem.of(X, Y, lam)
    rows, targets = _stacked(problem)
    c = problem.Y.shape[1]
    few = sample_patterns(problem.X, n_gates, load_settings().seed if seed is None else seed)
    gates = np.tile(np.asarray(few.gates), (c, 1))
    patterns = patterns_of_gates(rows, gates)
    program = ConvexProgram(
        rows, targets, problem.lam / c, patterns, activation=get_activation(activation)
    )
    return StackedSolution(solve(program, backend, tol, time_limit, options=options), c)
