"""Descent of the non-convex objective from a network: neurons slide to better directions."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize

from relu_opt.arrays import FloatArray
from relu_opt.clock import Clock
from relu_opt.train.several_outputs.bounds import null_basis
from relu_opt.train.several_outputs.network import VectorNetwork
from relu_opt.train.several_outputs.problem import VectorProblem

# Sine of the angle below which a neuron lies on a hyperplane.
ON_PLANE = 1e-10


def slide(
    problem: VectorProblem, network: VectorNetwork, steps: int, clock: Clock
) -> VectorNetwork:
    """A network of at most the same objective, by L-BFGS on all weights in the time; balanced.

    Neurons slide freely, or those on hyperplanes of the data stay on them, where the objective
    has a kink; the better of both is kept.
    """
    if not len(network):
        return network
    flats = _flats(problem.rows, network.hidden)
    free = np.tile(np.eye(network.hidden.shape[1]), (len(network), 1, 1))
    found = [_descend(problem, network, steps, free, clock)]
    if not np.array_equal(flats, free):
        found.append(_descend(problem, network, steps, flats, clock))
    return min([network, *found], key=problem.objective)


def _descend(
    problem: VectorProblem, network: VectorNetwork, steps: int, along: FloatArray, clock: Clock
) -> VectorNetwork:
    """L-BFGS with each hidden neuron in the range of its projector, (m, h, h)."""
    m, h = network.hidden.shape
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
        of_U = np.einsum("jab,jb->ja", along, of_U)
        return value, np.concatenate([of_U.ravel(), of_W.ravel()])

    start = np.concatenate([network.hidden.ravel(), network.output.ravel()])

    def look(z: FloatArray) -> None:
        if clock.expired:
            raise StopIteration

    found = minimize(
        value_and_slope, start, jac=True, method="L-BFGS-B", callback=look,
        options={"maxiter": steps, "maxcor": 30, "ftol": 1e-15, "gtol": 1e-12},
    ).x  # fmt: skip
    U, W = found[: m * h].reshape(m, h), found[m * h :].reshape(flat)
    return problem.network(U, W)


def _flats(rows: FloatArray, hidden: FloatArray) -> FloatArray:
    """The projector onto the flat of each neuron, (m, h, h): the hyperplanes that it lies on."""
    sizes = np.linalg.norm(rows, axis=1)
    units = rows[sizes > 0] / sizes[sizes > 0, None]
    norms = np.linalg.norm(hidden, axis=1, keepdims=True)
    on = np.abs(hidden @ units.T) <= ON_PLANE * norms
    along = np.tile(np.eye(hidden.shape[1]), (len(hidden), 1, 1))
    for j in np.flatnonzero(on.any(axis=1)):
        basis = null_basis(units[on[j]], hidden.shape[1])
        along[j] = basis @ basis.T
    return along
