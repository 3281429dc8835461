"""Training over all patterns: against the whole convex program, by three oracles, and proofs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.plugins.types import StopReason

LOSSES = ["squared", "logistic", "squared_hinge", "hinge", "huber"]


def data_of(seed, n, d, labels=False):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    return X, np.sign(y) if labels else y


@pytest.mark.parametrize(
    ("beta", "optimum"), [(0.1, 0.38644667), (0.5, 1.45566368), (1.0, 2.05351130)]
)
@pytest.mark.parametrize("oracle", ["sphere", "cells", "mip"])
def test_the_tiny_example(oracle, beta, optimum):
    """Their loss is a sum and ours a mean: p* = n · objective at lam = beta/n."""
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
    y = np.array([1.0, -1.0, 2.0, 0.5])
    found = ro.train_globally(X, y, beta / 4, oracle)
    assert found.certificate.verdict == "certified"
    assert 4 * found.objective == pytest.approx(optimum, abs=2e-6)
    assert 4 * found.lower_bound <= optimum + 1e-8


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("loss", LOSSES)
def test_it_is_the_optimum_over_all_patterns(loss, intercept):
    X, y = data_of(1, 14, 3, labels=True)
    weight = np.random.default_rng(2).uniform(0.5, 2.0, 14)
    found = ro.train_globally(
        X, y, 0.03, loss=loss, sample_weight=weight, intercept=intercept, tol=1e-7
    )
    patterns = ro.enumerate_patterns(X)
    whole = ro.ConvexProgram(X, y, 0.03, patterns, loss, "relu", weight, intercept)
    right = ro.solve(whole, "clarabel" if loss == "hinge" else "native", tol=1e-7).objective
    assert found.objective == pytest.approx(right, rel=2e-7)
    assert found.certificate.verdict == "certified"
    assert ro.verify(found.certificate, X, y).valid


def test_thirty_by_three_by_two_oracles():
    X, y = data_of(30, 30, 3)
    results = [ro.train_globally(X, y, 1 / 30, oracle) for oracle in ("sphere", "cells")]
    assert all(each.certificate.verdict == "certified" for each in results)
    for one in results:
        for other in results:
            assert one.lower_bound <= other.objective * (1 + 1e-9)
            assert one.rel_gap <= 1e-6


@pytest.mark.parametrize(("n", "d", "beta"), [(12, 3, 1.0), (8, 5, 0.5)])
def test_cells_and_mip_agree_within_their_bounds(n, d, beta):
    X, y = data_of(n, n, d)
    cells, mip = (
        ro.train_globally(X, y, beta / n, oracle, tol=1e-5) for oracle in ("cells", "mip")
    )
    for found in (cells, mip):
        assert found.certificate.verdict == "certified"
        assert found.certificate.scope == "all"
    assert cells.lower_bound <= mip.objective * (1 + 1e-9)
    assert mip.lower_bound <= cells.objective * (1 + 1e-9)
    assert ro.verify(cells.certificate, X, y).valid
    word = ro.verify(mip.certificate, X, y)
    assert word.verdict == "inconclusive"
    assert "not re-checked" in word.problems[0]


def test_sampled_patterns_look_optimal_and_are_not():
    """Trap of section C: a dual point of a sample proves nothing about all patterns."""
    X, y = data_of(5, 10, 3)
    sampled = ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 12, seed=3))
    found = ro.solve(sampled)
    assert found.certificate.verdict == "certified"
    assert ro.all_patterns.separation(X, found.nu).lower > 1.01 * sampled.lam
    best = ro.train_globally(X, y, 0.01)
    assert best.objective < found.objective * (1 - 1e-3)
    proof = best.certify(found.network)
    assert proof.verdict == "not_certified"
    assert proof.rel_gap == pytest.approx(found.objective / best.lower_bound - 1, rel=1e-6)


def test_a_network_from_gradient_descent_gets_a_bound():
    X, y = data_of(8, 20, 3)
    lam, rng = 0.02, np.random.default_rng(0)
    U, a = 0.3 * rng.standard_normal((30, 3)), 0.3 * rng.standard_normal(30)
    for _ in range(3000):
        active = np.maximum(X @ U.T, 0.0)
        slope = (active @ a - y) / 20
        step = ((active > 0) * a).T * slope @ X + lam * U, active.T @ slope + lam * a
        U, a = U - 0.1 * step[0], a - 0.1 * step[1]
    descended = ro.ReLUNetwork(U, a)
    best = ro.train_globally(X, y, lam)
    proof = best.certify(descended)
    assert proof.scope == "all"
    assert best.lower_bound <= descended.objective(X, y, lam) * (1 + 1e-9)
    assert 0 <= proof.rel_gap < 0.2
    assert ro.verify(proof, X, y).verdict == proof.verdict


def test_real_data_of_rank_three_to_a_small_gap():
    from sklearn.datasets import load_diabetes
    from sklearn.preprocessing import StandardScaler

    data = load_diabetes()
    X = np.c_[StandardScaler().fit_transform(data.data[:, [2, 8]]), np.ones(442)]
    y = (data.target - data.target.mean()) / data.target.std()
    found = ro.train_globally(X, y, 0.05)
    assert found.certificate.verdict == "certified"
    assert found.rel_gap <= 1e-6
    # Of the program over all 184,920 patterns, solved once by listing them.
    assert found.objective == pytest.approx(0.308631827188, rel=1e-6)
    assert ro.verify(found.certificate, X, y).valid


def test_spike_free_data_need_no_search():
    y = np.array([3.0, -4.0, 0.0])
    found = ro.train_globally(np.eye(3), y, 1 / 3)
    assert found.certificate.coverage.kind == "spike_free"
    assert 3 * found.objective == pytest.approx(6.0, abs=1e-6)
    assert ro.verify(found.certificate, np.eye(3), y).valid
    searched = ro.train_globally(np.eye(3), y, 1 / 3, "sphere")
    assert searched.objective == pytest.approx(found.objective, rel=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_weak_duality_for_any_network(seed, share):
    X, y = data_of(seed, 8, 2)
    found = ro.train_globally(X, y, 0.02, tol=1e-5)
    rng = np.random.default_rng(seed)
    other = ro.ReLUNetwork(share * rng.standard_normal((4, 2)), rng.standard_normal(4))
    assert found.lower_bound <= other.objective(X, y, 0.02)
    assert (
        found.lower_bound
        <= found.objective
        <= ro.ReLUNetwork(np.zeros((0, 2)), np.zeros(0)).objective(X, y, 0.02) * (1 + 1e-12)
    )


@pytest.mark.parametrize("share", [1.001, 1.1, -1.0])
def test_spoiled_dual_points_are_rejected(share):
    X, y = data_of(3, 15, 3)
    proof = ro.train_globally(X, y, 0.02).certificate
    assert proof.coverage.kind == "searched"
    assert ro.verify(proof, X, y).valid
    assert not ro.verify(replace(proof, nu=share * proof.nu), X, y).valid


def test_a_sampled_certificate_cannot_be_sold_as_a_search():
    """Feasible over its patterns, with the right numbers: the verifier's search finds the rest."""
    X, y = data_of(5, 10, 3)
    sampled = ro.solve(ro.ConvexProgram(X, y, 0.01, ro.sample_patterns(X, 12, seed=3)))
    coverage = ro.train_globally(X, y, 0.01).certificate.coverage
    false = replace(sampled.certificate, scope="all", coverage=coverage)
    found = ro.verify(false, X, y)
    assert found.verdict == "invalid"
    assert any("a direction has" in each for each in found.problems)


@pytest.mark.parametrize("oracle", ["sphere", "cells", "mip"])
def test_a_time_limit_returns_bounds_that_hold(oracle, request):
    X, y = data_of(4, 25, 3)
    best = ro.train_globally(X, y, 0.01)
    request.getfixturevalue("clock")
    stopped = ro.train_globally(X, y, 0.01, oracle, time_limit=12.0)
    assert stopped.stop is StopReason.TIME_LIMIT
    assert stopped.lower_bound <= best.objective
    assert best.lower_bound <= stopped.objective


def test_an_interrupt_returns_the_best_so_far(monkeypatch):
    from relu_opt.train.all_patterns.sphere_oracle import SphereOracle

    X, y = data_of(4, 25, 3)
    search, calls = SphereOracle.search, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return search(self, *arguments)

    monkeypatch.setattr(SphereOracle, "search", interrupted)
    found = ro.train_globally(X, y, 0.01)
    assert found.stop is StopReason.INTERRUPTED
    assert found.lower_bound <= found.objective


def test_workers_price_the_cells():
    X, y = data_of(6, 20, 3)
    alone, spread = (ro.train_globally(X, y, 0.02, "cells", executor=k) for k in (None, 2))
    assert spread.separation.oracle == "cells"
    assert spread.objective == pytest.approx(alone.objective, rel=1e-6)
    assert ro.verify(spread.certificate, X, y).valid


def test_files(tmp_path):
    X, y = data_of(6, 12, 2)
    for oracle in ("sphere", "cells", "mip"):
        found = ro.train_globally(X, y, 0.02, oracle)
        found.save(tmp_path / "proof.npz")
        loaded = ro.Certificate.load(tmp_path / "proof.npz")
        assert loaded.coverage.kind == found.certificate.coverage.kind
        verdict = "inconclusive" if oracle == "mip" else "certified"
        assert ro.verify(tmp_path / "proof.npz", X, y).verdict == verdict


def test_the_same_seed_gives_the_same_network():
    X, y = data_of(6, 20, 3)
    one, two = (ro.train_globally(X, y, 0.02, seed=1) for _ in range(2))
    np.testing.assert_array_equal(one.network.hidden, two.network.hidden)


def test_progress_is_told():
    from relu_opt.plugins.manager import observe

    X, y = data_of(6, 20, 3)
    events = []
    with observe(events.append):
        found = ro.train_globally(X, y, 0.02)
    told = [event for event in events if "oracle sphere" in event.message]
    assert len(told) == len(found.rounds)
    assert told[-1].bound == found.rounds[-1].lower


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"lam": 0.0}, "lam is"),
        ({"lam": -1}, "lam is"),
        ({"tol": 0}, "tol is"),
        ({"y": [1.0]}, "One target a row"),
        ({"y": [np.nan] * 5}, "y"),
        ({"X": [[np.nan]] * 5}, "X"),
        ({"X": []}, "X"),
        ({"loss": "hinge", "y": [1, 2, 3, 4, 5.0]}, "labels"),
        ({"loss": "hinge", "y": [1.0] * 5, "intercept": True}, "single class"),
        ({"oracle": "all"}, "Unknown oracle"),
        ({"time_limit": 0}, "time_limit is"),
    ],
)
def test_bad_input(changes, match):
    X, y = data_of(0, 5, 2)
    given_ = {"X": X, "y": y, "lam": 0.1, **changes}
    with pytest.raises(DataError, match=match):
        ro.train_globally(given_.pop("X"), given_.pop("y"), given_.pop("lam"), **given_)


def test_networks_that_do_not_fit_are_refused():
    X, y = data_of(0, 8, 2)
    found = ro.train_globally(X, y, 0.1)
    with pytest.raises(DataError, match="features"):
        found.certify(ro.ReLUNetwork(np.ones((1, 3)), np.ones(1)))
    with pytest.raises(DataError, match="intercept"):
        found.certify(ro.ReLUNetwork(np.ones((1, 2)), np.ones(1), 1.0))
    with pytest.raises(DataError, match="gates"):
        found.certify(ro.ReLUNetwork(np.ones((1, 2)), np.ones(1), 0.0, np.ones((1, 2))))


def nearly_parallel():
    """Pressures in pascal beside a column of ones, and rows that 2e-13 tells apart."""
    k = np.arange(10.0)
    e = 2e-13
    return [
        (np.c_[101325 + k, np.ones(10)], np.abs(k - 4), 1e-7, 1e-4, 0.0299),
        (
            np.array([[1, e], [1, 2 * e], [1, 3 * e]]),
            np.array([1.0, -2, 1]) / e,
            0.1,
            1e-8,
            2.34e25,
        ),
    ]


@pytest.mark.parametrize("which", [0, 1])
def test_rows_that_are_nearly_parallel_end_honestly(which):
    """A network with an objective below `known` is there; no bound may be above it."""
    X, y, lam, tol, known = nearly_parallel()[which]
    best = ro.train_globally(X, y, lam, tol=tol)
    assert best.lower_bound <= known
    assert best.certificate.verdict != "certified" or best.objective <= known * (1 + tol)
    assert ro.verify(best, X, y).verdict == best.certificate.verdict
    listed = ro.solve(ro.ConvexProgram(X, y, lam, ro.enumerate_patterns(X)), tol=tol)
    proof = ro.certify(listed.program, listed, scope="all", tol=tol)
    assert proof.lower_bound <= known
    assert proof.verdict != "certified" or proof.objective <= known * (1 + tol)
    assert ro.verify(proof, X, y).verdict == proof.verdict
