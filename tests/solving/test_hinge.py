"""The hinge loss: trained through cones, certified by the solver's own dual point."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import UnsupportedProgram


def make(intercept=False, lam=0.02, weighted=False):
    rng = np.random.default_rng(3)
    X = np.c_[rng.standard_normal((16, 2)), np.ones(16)]
    y = np.where(X[:, 0] * X[:, 1] > -0.3, 1.0, -1.0)
    weight = rng.uniform(0.5, 2.0, 16) if weighted else None
    patterns = ro.sample_patterns(X, 12, seed=1)
    return ro.ConvexProgram(X, y, lam, patterns, "hinge", "relu", weight, intercept)


@pytest.mark.parametrize("backend", ["clarabel", "cvxpy"])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("intercept", [False, True])
def test_it_is_certified_and_right(independent_optimum, backend, intercept, weighted):
    prog = make(intercept, weighted=weighted)
    sol = ro.solve(prog, backend)
    assert sol.certificate.verdict == "certified"
    assert sol.objective == pytest.approx(independent_optimum(prog), rel=1e-6)
    assert ro.verify(sol.certificate, prog.X, prog.y).valid


@pytest.mark.parametrize("intercept", [False, True])
def test_the_zero_network_is_optimal_from_lam_max_on(intercept):
    prog = make(intercept)
    assert len(ro.solve(prog.with_lam(1.001 * prog.lam_max)).network) == 0
    if not intercept:
        assert len(ro.solve(prog.with_lam(0.99 * prog.lam_max)).network) > 0


def test_a_spoiled_dual_point_is_not_certified():
    prog = make()
    sol = ro.solve(prog)
    nu = sol.nu.copy()
    nu[0] = -prog.y[0] * prog.sample_scale[0]
    assert ro.certify(prog, sol.network, nu=nu).verdict != "certified"


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("intercept", [False, True])
def test_what_is_certified_is_certified_without_the_dual_point(activation, intercept):
    """The network sits on kinks, where −∇F is no dual point: the program is solved for one."""
    prog = replace(make(intercept), activation=activation)
    sol = ro.solve(prog)
    for answer in (sol.network, sol.weights):
        assert ro.certify(prog, answer).verdict == sol.certificate.verdict == "certified"
    assert ro.certify(prog, sol.network, scope="own").verdict == "certified"
    worse = ro.ReLUNetwork(1.1 * sol.network.hidden, sol.network.output, 0.0, sol.network.gates)
    assert ro.certify(prog, worse).verdict == "not_certified"


@pytest.mark.parametrize("backend", ["native", "highs"])
def test_backends_of_smooth_losses_say_so(backend):
    with pytest.raises(UnsupportedProgram):
        ro.solve(make(), backend)


@pytest.mark.parametrize("question", [ro.optimal_set, ro.sensitivity])
def test_what_needs_unique_fits_refuses(question):
    with pytest.raises(UnsupportedProgram, match="hinge") as caught:
        question(ro.solve(make()))
    assert caught.value.fields["loss"] == "hinge"


def test_fits_of_two_optimal_networks_may_differ():
    """What the refusal is for: one sample with the zero network and lam = lam_max."""
    one = ro.Patterns(np.ones((1, 1), dtype=bool))
    prog = ro.ConvexProgram([[1.0]], [1.0], 1.0, one, "hinge")
    values = [prog.objective(np.array([[[w]], [[0.0]]])) for w in (0.0, 0.5, 1.0)]
    assert values == [1.0, 1.0, 1.0]
    assert ro.solve(prog).objective == pytest.approx(1.0, abs=1e-8)
