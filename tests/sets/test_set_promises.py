"""Invariants of the optimal set."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from symmetric import crosspolytope

import relu_opt as ro

TARGETS = st.lists(st.floats(0.4, 2.0) | st.floats(-2.0, -0.4), min_size=2, max_size=3).map(
    lambda values: [round(value, 3) for value in values]
)
SEEDS = st.integers(0, 1000)


def mixture(first, second, share):
    """The network that mixes the predictions of two."""
    left, right = np.sqrt(1 - share), np.sqrt(share)
    return ro.ReLUNetwork(
        np.vstack([left * first.hidden, right * second.hidden]),
        np.append(left * first.output, right * second.output),
    )


@given(TARGETS, SEEDS, st.floats(0.01, 0.99))
@settings(max_examples=15)
def test_mixtures_of_elements_are_elements(targets, seed, share):
    S = ro.optimal_set(ro.solve(crosspolytope(targets), tol=1e-12))
    first, second = S.vertex(seed), S.sample(1, seed)[0]
    mixed = mixture(first, second, share)
    assert S.contains(mixed)
    proof = ro.certify(S.program, mixed, nu=S.bound.nu)
    assert proof.verdict == "certified"


@given(TARGETS, SEEDS, st.sampled_from([1e-6, 1e-4, 1e-2]))
@settings(max_examples=15)
def test_disturbed_elements_are_found_out(targets, seed, size):
    S = ro.optimal_set(ro.solve(crosspolytope(targets), tol=1e-12))
    element = S.sample(1, seed)[0]
    rng = np.random.default_rng(seed)
    hidden = element.hidden * (1 + size * (1 + rng.random(element.hidden.shape)))
    assert not S.contains(ro.ReLUNetwork(hidden, element.output))


@given(TARGETS, st.floats(0.1, 10.0), SEEDS)
@settings(max_examples=15)
def test_scaling_the_targets_scales_the_set(targets, factor, seed):
    prog = crosspolytope(targets)
    scaled = ro.ConvexProgram(prog.X, factor * prog.y, factor * prog.lam, prog.patterns)
    one = ro.optimal_set(ro.solve(prog, tol=1e-12))
    other = ro.optimal_set(ro.solve(scaled, tol=1e-12))
    assert one.network_dim == other.network_dim
    assert one.convex_dim == other.convex_dim
    Xq = np.random.default_rng(seed).standard_normal((3, prog.d))
    a, b = one.prediction_range(Xq), other.prediction_range(Xq)
    np.testing.assert_allclose(factor * a.lower, b.lower, rtol=1e-6, atol=1e-7 * factor)
    np.testing.assert_allclose(factor * a.upper, b.upper, rtol=1e-6, atol=1e-7 * factor)


@given(TARGETS, SEEDS)
@settings(max_examples=15)
def test_the_order_of_samples_and_patterns_does_not_matter(targets, seed):
    prog = crosspolytope(targets)
    rng = np.random.default_rng(seed)
    rows, columns = rng.permutation(prog.n), rng.permutation(len(prog.patterns))
    shuffled = ro.ConvexProgram(
        prog.X[rows],
        prog.y[rows],
        prog.lam,
        ro.Patterns(prog.patterns.masks[rows][:, columns]),
    )
    one = ro.optimal_set(ro.solve(prog, tol=1e-12))
    other = ro.optimal_set(ro.solve(shuffled, tol=1e-12))
    assert one.network_dim == other.network_dim
    assert one.convex_dim == other.convex_dim
    Xq = rng.standard_normal((3, prog.d))
    a, b = one.prediction_range(Xq), other.prediction_range(Xq)
    np.testing.assert_allclose(a.lower, b.lower, atol=1e-7)
    np.testing.assert_allclose(a.upper, b.upper, atol=1e-7)
    assert one.narrowest().neurons == other.narrowest().neurons
