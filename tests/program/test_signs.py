"""Signs of inner products: exact, and the same in a batch, alone and in any order."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.program.signs import masks_of


def exact(X, gates):
    rows = [[Fraction(value) for value in row] for row in X.tolist()]
    columns = [[Fraction(value) for value in column] for column in gates.T.tolist()]
    return np.array(
        [[sum(a * b for a, b in zip(x, g, strict=True)) >= 0 for g in columns] for x in rows]
    )


def tenths(rng, *shape):
    return rng.integers(-9, 10, shape) / 10


@pytest.mark.parametrize("scales", [(1.0, 1.0), (1e-163, 1e150), (2.0**-1060, 1.0), (1e300, 1e-9)])
def test_signs_are_those_of_exact_sums(scales):
    rng = np.random.default_rng(0)
    X, gates = scales[0] * tenths(rng, 60, 4), scales[1] * tenths(rng, 4, 30)
    np.testing.assert_array_equal(masks_of(X, gates), exact(X, gates))
    # One side of every hyperplane, by the least that there is.
    near = np.nextafter(X, np.inf)
    np.testing.assert_array_equal(masks_of(near, gates), exact(near, gates))


def test_entries_of_very_different_sizes_decide_too():
    X = np.array([[1e300, 1e300, -5e-324], [1.0, 1.0, 1e-320], [1e-300, -1e-300, -1e-308]])
    gates = np.array([[1.0, -1.0, 1.0], [3.0, -3.0, -1e-300], [1.0, 1.0, 0.0]]).T
    np.testing.assert_array_equal(masks_of(X, gates), exact(X, gates))
    assert masks_of(np.zeros((2, 3)), gates).all()


def test_a_gated_network_predicts_alike_in_a_batch_and_alone():
    rng = np.random.default_rng(1)
    d, count = 7, 40
    gates = tenths(rng, count, d)
    network = ro.ReLUNetwork(
        rng.standard_normal((count, d)), rng.standard_normal(count), 0.0, gates
    )
    X = tenths(rng, 1200, d)
    together = network.predict(X)
    # A gate on the wrong side moves a prediction by about 1, and the order of sums by 1e-15.
    for order in (rng.permutation(1200), np.arange(1200)[::-1]):
        np.testing.assert_allclose(network.predict(X[order]), together[order], atol=1e-12)
    alone = np.concatenate([network.predict(row[None]) for row in X])
    np.testing.assert_allclose(alone, together, atol=1e-12)
    wide = np.asfortranarray(X)
    np.testing.assert_allclose(network.predict(wide), together, atol=1e-12)


@pytest.mark.parametrize("method", ["patterns_of_gates", "sample_patterns"])
def test_a_row_s_pattern_is_that_of_the_row_alone(method):
    rng = np.random.default_rng(2)
    X, gates = tenths(rng, 300, 6), tenths(rng, 6, 50)
    if method == "sample_patterns":
        gates = ro.sample_patterns(X, 50, method="corners").gates
    masks = ro.program.patterns_of_gates(X, gates).masks
    kept = ro.program.patterns_of_gates(X, gates).gates
    alone = np.concatenate([masks_of(row[None], kept) for row in X])
    np.testing.assert_array_equal(masks, alone)


def test_a_trained_gated_network_has_its_program_s_gates():
    rng = np.random.default_rng(3)
    X, y = tenths(rng, 60, 3), tenths(rng, 60)
    patterns = ro.program.patterns_of_gates(X, tenths(rng, 3, 12))
    prog = ro.ConvexProgram(X, y, 0.01, patterns, activation="gated")
    sol = ro.solve(prog)
    assert sol.certificate.verdict == "certified"
    alone = np.concatenate([sol.network.predict(row[None]) for row in X])
    np.testing.assert_allclose(alone, prog.fits(sol.weights), atol=1e-12)
    found = ro.optimal_set(sol).prediction_range(X[:5])
    np.testing.assert_allclose(found.lower, alone[:5], atol=1e-6)
