"""Weak duality and the symmetries of the problem, over random programs and random points.

    dual bound ≤ optimum ≤ primal bound

must never be violated, whatever is certified. Optimal values come from certified solves.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import relu_opt as ro

LOSSES = ("squared", "logistic", "squared_hinge", ro.losses.Huber(0.4), "poisson")

# A program of each kind, small enough for thousands of solves.
programs = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "n": st.integers(2, 14),
        "d": st.integers(1, 4),
        "p": st.integers(1, 12),
        "loss": st.sampled_from(LOSSES),
        "activation": st.sampled_from(["relu", "gated", "leaky"]),
        "intercept": st.booleans(),
        "weighted": st.booleans(),
        "lam_share": st.sampled_from([0.02, 0.2, 0.7, 1.1]),
    }
)
some = settings(max_examples=25)


def optimum(prog, tol=1e-10):
    """Certified bounds on the optimal value, (lower, upper)."""
    sol = ro.solve(prog, backend="native", tol=tol)
    assume(sol.rel_gap <= 1e-7)
    return sol.lower_bound, sol.objective


def close(one, other, slack=1e-8):
    """Whether two intervals [lower, upper] may hold the same number."""
    size = slack * max(1.0, abs(one[1]), abs(other[1]))
    return one[0] <= other[1] + size and other[0] <= one[1] + size


def below(one, other, slack=1e-8):
    return one[0] <= other[1] + slack * max(1.0, abs(other[1]))


def random_weights(prog, rng, inside=True):
    """Blocks of random sizes, many of them zero, in their cones or anywhere."""
    weights = rng.standard_normal(prog.weights_shape) * 10.0 ** rng.integers(-3, 2)
    weights[rng.random(weights.shape[:2]) < 0.6] = 0.0
    if prog.activation != "gated" and inside:
        blocks = np.arange(len(prog.patterns))
        weights = np.stack([prog.project(part, blocks).points for part in weights])
        weights[np.linalg.norm(weights, axis=2) < 1e-9] = 0.0
    return weights


def random_dual(prog, rng, weights):
    """Points of no use, gradients at random fits, and points outside every domain."""
    fits = prog.fits(weights) + rng.standard_normal()
    choices = [
        rng.standard_normal(prog.n) * 10.0 ** rng.integers(-4, 3),
        -prog.loss_gradient(fits) * 10.0 ** rng.integers(-2, 3),
        prog.dual_start() * rng.uniform(-2, 2),
        np.zeros(prog.n),
    ]
    return choices[rng.integers(len(choices))]


# -- bounds ------------------------------------------------------------------------------


@settings(max_examples=60)
@given(programs, st.integers(0, 10**6))
def test_dual_bound_optimum_primal_bound(make_program, kind, seed):
    prog = make_program(**kind)
    rng = np.random.default_rng(seed)
    lower, upper = optimum(prog)
    slack = 1e-9 * max(1.0, abs(upper))
    for _ in range(3):
        weights = random_weights(prog, rng)
        nu = random_dual(prog, rng, weights)
        for answer in (weights, 0 * weights):
            cert = ro.certify(prog, answer, nu if rng.random() < 0.7 else None)
            assert cert.lower_bound <= upper + slack
            assert cert.objective >= lower - slack
            certified = cert.verdict == ro.Verdict.CERTIFIED
            assert not certified or cert.objective <= upper * (1 + 1e-7) + slack
    # The lower bound alone, of blocks in no cone.
    outside = random_weights(prog, rng, inside=False)
    cert = ro.certify(prog, outside, nu)
    assert cert.lower_bound <= upper + slack
    assert cert.verdict != ro.Verdict.CERTIFIED or cert.objective <= upper * (1 + 1e-7) + slack


@some
@given(programs, st.integers(0, 10**6))
def test_no_network_is_below_the_bound_of_all_patterns(make_program, kind, seed):
    """Also networks whose neurons come from nowhere."""
    kind = {**kind, "activation": "relu", "n": min(kind["n"], 8), "d": min(kind["d"], 3)}
    prog = make_program(**kind, complete=True)
    lower, upper = optimum(prog)
    rng = np.random.default_rng(seed)
    for m in (1, 3, 20):
        hidden = rng.standard_normal((m, prog.d)) * 10.0 ** rng.integers(-3, 2)
        output = rng.standard_normal(m) * 10.0 ** rng.integers(-3, 2)
        c = float(rng.standard_normal()) if prog.intercept else 0.0
        network = ro.ReLUNetwork(hidden, output, c)
        cert = ro.certify(prog, network, scope="all")
        assert cert.objective >= lower * (1 - 1e-9)
        assert cert.lower_bound <= upper * (1 + 1e-9)
        assert cert.verdict != ro.Verdict.INCONCLUSIVE


@some
@given(programs)
def test_a_certified_answer_verifies(make_program, kind):
    prog = make_program(**kind)
    sol = ro.solve(prog, backend="native", tol=1e-9)
    assume(sol.certificate.verdict == ro.Verdict.CERTIFIED)
    found = ro.verify(sol.certificate, prog.X, prog.y)
    assert found.valid, found.problems


# -- symmetries --------------------------------------------------------------------------


@some
@given(programs, st.floats(0.01, 100))
def test_scaling_the_features_scales_lam(make_program, kind, c):
    """With X → cX and λ → cλ, w → w/c has the same fits and penalty: p* stays."""
    prog = make_program(**kind)
    scaled = replace(prog, X=c * prog.X, lam=c * prog.lam)
    assert math.isclose(scaled.lam_max, c * prog.lam_max, rel_tol=1e-9)
    assert close(optimum(prog), optimum(scaled))


@some
@given(programs, st.floats(0.01, 100))
def test_scaling_the_targets_scales_lam(make_program, kind, c):
    """With y → cy, λ → cλ (and δ → cδ), w → cw multiplies the objective by c²."""
    kind = {**kind, "loss": LOSSES[3 if kind["loss"] == LOSSES[3] else 0]}
    prog = make_program(**kind)
    loss = ro.losses.Huber(c * 0.4) if prog.loss.name == "huber" else "squared"
    scaled = replace(prog, y=c * prog.y, lam=c * prog.lam, loss=loss)
    assert math.isclose(scaled.lam_max, c * prog.lam_max, rel_tol=1e-9)
    lower, upper = optimum(prog)
    found = optimum(scaled)
    assert close((lower, upper), (found[0] / c**2, found[1] / c**2))


@some
@given(programs)
def test_flipped_targets_swap_the_signs(make_program, kind):
    """With y → −y every block changes its output sign."""
    prog = make_program(**kind)
    assume(prog.loss.scales or prog.loss.classifies)
    assert close(optimum(prog), optimum(replace(prog, y=-prog.y)))


@some
@given(programs, st.integers(0, 10**6))
def test_the_order_of_samples_does_not_matter(make_program, kind, seed):
    prog = make_program(**kind)
    order = np.random.default_rng(seed).permutation(prog.n)
    masks, gates = prog.patterns.masks[order], prog.patterns.gates
    weight = None if prog.sample_weight is None else prog.sample_weight[order]
    other = replace(
        prog,
        X=prog.X[order],
        y=prog.y[order],
        patterns=ro.Patterns(masks, gates),
        sample_weight=weight,
    )
    assert math.isclose(other.lam_max, prog.lam_max, rel_tol=1e-9)
    assert close(optimum(prog), optimum(other))


@some
@given(programs, st.integers(0, 10**6))
def test_the_order_of_patterns_does_not_matter(make_program, kind, seed):
    prog = make_program(**kind)
    order = np.random.default_rng(seed).permutation(len(prog.patterns))
    patterns = prog.patterns
    other = prog.with_patterns(ro.Patterns(patterns.masks[:, order], patterns.gates[:, order]))
    assert close(optimum(prog), optimum(other))


@some
@given(programs, st.integers(0, 10**6))
def test_rotating_features_and_gates_changes_nothing(make_program, kind, seed):
    """X → XQ and g → Qᵀg keep every pattern; w → Qᵀw keeps fits and norms."""
    prog = make_program(**kind)
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((prog.d, prog.d)))[0]
    patterns = ro.Patterns(prog.patterns.masks, Q.T @ prog.patterns.gates)
    other = replace(prog, X=prog.X @ Q, patterns=patterns)
    assert math.isclose(other.lam_max, prog.lam_max, rel_tol=1e-9, abs_tol=1e-14)
    assert close(optimum(prog), optimum(other))


@some
@given(programs, st.integers(0, 10**6))
def test_permuted_features_permute_the_answer(make_program, kind, seed):
    prog = make_program(**kind)
    order = np.random.default_rng(seed).permutation(prog.d)
    patterns = ro.Patterns(prog.patterns.masks, prog.patterns.gates[order])
    assert close(optimum(prog), optimum(replace(prog, X=prog.X[:, order], patterns=patterns)))


@some
@given(programs)
def test_a_pattern_listed_twice_adds_nothing(make_program, kind):
    prog = make_program(**kind)
    masks, gates = prog.patterns.masks, prog.patterns.gates
    doubled = ro.Patterns(np.hstack([masks, masks[:, ::2]]), np.hstack([gates, gates[:, ::2]]))
    assert close(optimum(prog), optimum(prog.with_patterns(doubled)))


@some
@given(programs, st.integers(0, 10**6))
def test_more_patterns_never_raise_the_optimum(make_program, kind, seed):
    prog = make_program(**kind)
    more = ro.sample_patterns(prog.X, 6, seed=seed)
    larger = ro.Patterns(
        np.hstack([prog.patterns.masks, more.masks]),
        np.hstack([prog.patterns.gates, more.gates]),
    )
    assert below(optimum(prog.with_patterns(larger)), optimum(prog))


@some
@given(programs, st.floats(1.01, 10), st.floats(0.05, 0.95))
def test_the_optimum_is_nondecreasing_and_concave_in_lam(make_program, kind, factor, share):
    prog = make_program(**kind)
    low, high = prog.lam, factor * prog.lam
    middle = low + share * (high - low)
    at = {lam: optimum(prog.with_lam(lam)) for lam in (low, middle, high)}
    assert below(at[low], at[middle])
    assert below(at[middle], at[high])
    chord = (1 - share) * at[low][0] + share * at[high][0]
    assert at[middle][1] >= chord - 1e-8 * max(1.0, abs(chord))


@some
@given(programs)
def test_the_zero_network_is_optimal_from_lam_max_on(make_program, kind):
    prog = make_program(**{**kind, "lam_share": 1.001})
    zero = np.zeros(prog.weights_shape)
    value = prog.objective(zero, prog.best_intercept(np.zeros(prog.n)))
    assert close(optimum(prog), (value, value))
    if prog.lam_max > 1e-6:
        less = optimum(prog.with_lam(0.5 * prog.lam_max))
        assert less[1] < value
