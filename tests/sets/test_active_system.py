"""Newton's equations on faces against finite differences, and what they do to a solution."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

import relu_opt as ro
from relu_opt.proof.dual_bound import lower_bound
from relu_opt.sets.active_system import active_system, face_basis
from relu_opt.sets.assembly import sizes_of
from relu_opt.sets.equicorrelation import equicorrelated
from relu_opt.sets.polishing import polished


@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
@pytest.mark.parametrize("loss", ["squared", "logistic", "huber", "squared_hinge"])
@pytest.mark.parametrize("intercept", [False, True])
def test_residual_and_derivative(make_program, loss, activation, intercept):
    prog = make_program(n=12, d=3, p=8, loss=loss, activation=activation, intercept=intercept)
    solution = ro.solve(prog, tol=1e-12)
    found = equicorrelated(prog, lower_bound(prog, solution.nu, solution.certificate.multipliers))
    sizes = sizes_of(prog, found, solution.weights)
    on = np.flatnonzero(sizes)
    system = active_system(prog, found.places[on], found.signs[on], [found.faces[j] for j in on])
    blocks = sizes[on, None] * found.units[on]
    z = system.coordinates(blocks, solution.network.intercept)
    np.testing.assert_allclose(system.blocks(z), blocks, atol=1e-9)
    assert np.abs(system.residual(z)).max() < 1e-6
    # Away from the optimum, so that nothing vanishes by chance.
    z = z * np.random.default_rng(0).uniform(0.7, 1.3, len(z))

    def objective(z):
        norms = [np.linalg.norm(z[part]) for part in system.parts()]
        return prog.mean_loss(system.columns @ z) + prog.lam * sum(norms)

    slope = approx_fprime(z, objective, 1e-7)
    np.testing.assert_allclose(system.residual(z), slope, atol=1e-6)
    step = 1e-6
    matrix = [
        (system.residual(z + step * e) - system.residual(z - step * e)) / (2 * step)
        for e in np.eye(len(z))
    ]
    np.testing.assert_allclose(system.derivative(z), np.array(matrix).T, atol=1e-4)


@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_the_last_digits(make_program, loss, activation):
    prog = make_program(n=20, d=3, p=12, loss=loss, activation=activation)
    solution = ro.solve(prog, tol=1e-9)
    found = equicorrelated(prog, lower_bound(prog, solution.nu, solution.certificate.multipliers))
    sizes = np.zeros(len(found.units))
    norms = np.linalg.norm(solution.weights, axis=2).ravel()
    np.add.at(sizes, found.neuron, norms[found.blocks])
    weights, _ = polished(prog, found, sizes, 0.0)
    bound = lower_bound(prog, prog.dual_candidate(prog.fits(weights)), None)
    assert prog.objective(weights) <= solution.objective * (1 + 1e-15)
    assert ro.certify(prog, weights).rel_gap < 5e-13
    assert bound.value >= solution.lower_bound * (1 - 1e-15)


def test_faces():
    rng = np.random.default_rng(1)
    X = rng.standard_normal((6, 4))
    X[3] = X[0] + X[1]
    basis = face_basis(X, np.array([0, 1, 3]))
    assert basis.shape == (4, 2)
    np.testing.assert_allclose(X[[0, 1, 3]] @ basis, 0, atol=1e-12)
    np.testing.assert_allclose(basis.T @ basis, np.eye(2), atol=1e-12)
    np.testing.assert_array_equal(face_basis(X, np.array([], dtype=int)), np.eye(4))
