"""Descent of the non-convex objective from a network: neurons slide to better directions."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from relu_opt.arrays import FloatArray
from relu_opt.vector.network import VectorNetwork
from relu_opt.vector.problem import VectorProblem


def slide(problem: VectorProblem, network: VectorNetwork, steps: int) -> VectorNetwork:
    """A network of at most the same objective, by L-BFGS on all weights; balanced."""
    m, h = network.hidden.shape
    if not m:
        return network
    flat = (m * problem.blocks, problem.Y.shape[1])

    def value_and_slope(z: FloatArray) -> tuple[float, FloatArray]:
        U, W = z[: m * h].reshape(m, h), z[m * h :].reshape(flat)
        linear = problem.rows @ U.T
        F = problem.features(U)
        off = F @ W - problem.Y
        if problem.intercept:
            off = off - off.mean(axis=0)
        value = 0.5 * float((off * off).sum()) / problem.n + 0.5 * problem.lam * float(z @ z)
        R = off / problem.n
        of_W = F.T @ R + problem.lam * W
        pulls = problem.row_weights(R) @ W.reshape(m, -1).T
        of_U = np.where(linear > 0, pulls, 0.0).T @ problem.rows + problem.lam * U
        return value, np.concatenate([of_U.ravel(), of_W.ravel()])

    start = np.concatenate([network.hidden.ravel(), network.output.ravel()])
    found = minimize(
        value_and_slope, start, jac=True, method="L-BFGS-B",
        options={"maxiter": steps, "maxcor": 30, "ftol": 1e-15, "gtol": 1e-12},
    ).x  # fmt: skip
    U, W = found[: m * h].reshape(m, h), found[m * h :].reshape(flat)
    moved = problem.network(U, W)
    return moved if problem.objective(moved) < problem.objective(network) else network
