"""Networks with several outputs: oracles, training and bounds, against independent code."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from stopping import Clock

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.plugins.types import StopReason
from relu_opt.train.several_outputs.master import group_lasso

# theory: the papers' loss is a sum, with beta = n lam.
TINY = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
TARGETS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0], [0.0, 2.0]])
ANGLES = np.deg2rad(72 * np.arange(5))
PENTAGON = np.c_[np.cos(ANGLES), np.sin(ANGLES), np.full(5, np.sqrt(0.809017))]


def data_of(seed, n, d, c):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((n, c))


def on_a_grid(X, V, count=200_000):
    units = np.random.default_rng(0).standard_normal((count, X.shape[1]))
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    return float(np.linalg.norm(np.maximum(units @ X.T, 0.0) @ V, axis=1).max())


def descended(X, Y, lam, width, seed):
    """The least objective that L-BFGS reaches with its own numerical model of the network."""
    rng = np.random.default_rng(seed)
    (n, d), c = X.shape, Y.shape[1]

    def objective(z):
        U, W = z[: width * d].reshape(d, width), z[width * d :].reshape(width, c)
        off = np.maximum(X @ U, 0) @ W - Y
        of_W = np.maximum(X @ U, 0).T @ off / n + lam * W
        of_U = X.T @ ((X @ U > 0) * (off @ W.T)) / n + lam * U
        value = (off**2).sum() / (2 * n) + lam / 2 * (z**2).sum()
        return value, np.r_[of_U.ravel(), of_W.ravel()]

    starts = [rng.standard_normal(width * (d + c)) for _ in range(8)]
    options = {"maxiter": 3000, "ftol": 1e-15, "gtol": 1e-10}
    return min(
        minimize(objective, z, jac=True, method="L-BFGS-B", options=options).fun for z in starts
    )


# -- oracles -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("n", "d", "c"), [(6, 1, 2), (6, 2, 2), (12, 2, 3), (8, 3, 2), (12, 3, 4), (7, 4, 3)]
)
def test_oracles_agree_with_each_other_and_with_a_grid(n, d, c):
    X, V = data_of(n, n, d, c)
    sphere = ro.several_outputs.vector_separation(X, V, tol=1e-7)
    flats = ro.several_outputs.vector_separation(X, V, "flats")
    grid = on_a_grid(X, V)
    assert flats.lower == pytest.approx(sphere.lower, rel=1e-9)
    assert sphere.lower <= sphere.upper <= sphere.lower * (1 + 1.01e-7)
    assert grid <= flats.lower * (1 + 1e-12)
    assert grid >= flats.lower * (1 - (1e-6 if d < 3 else 0.02))
    u = sphere.direction
    assert np.linalg.norm(u) == pytest.approx(1)
    assert np.linalg.norm(V.T @ np.maximum(X @ u, 0)) == pytest.approx(sphere.lower, rel=1e-12)


def test_degenerate_rows():
    """Duplicates, opposite rows, rows of zeros, and data of low rank in many columns."""
    X, V = data_of(3, 12, 3, 2)
    X = np.round(X)
    X[0] = 0.0
    X[1], X[2], X[4] = 2 * X[3], -X[3], X[3]
    sphere, flats = (
        ro.several_outputs.vector_separation(X, V, oracle, tol=1e-7)
        for oracle in ("sphere", "flats")
    )
    assert flats.lower == pytest.approx(sphere.lower, rel=1e-9)
    turn = np.random.default_rng(0).standard_normal((3, 7))
    turn = np.linalg.svd(turn, full_matrices=False)[2]
    wide = ro.several_outputs.vector_separation(X @ turn, V, tol=1e-7)
    assert wide.lower == pytest.approx(sphere.lower, rel=1e-9)
    nothing = ro.several_outputs.vector_separation(np.zeros((3, 2)), np.ones((3, 2)))
    assert (nothing.lower, nothing.upper, nothing.direction) == (0.0, 0.0, None)


def test_one_output_is_the_scalar_oracle():
    X, V = data_of(2, 25, 3, 1)
    scalar = ro.all_patterns.separation(X, V[:, 0], tol=1e-8)
    vector = ro.several_outputs.vector_separation(X, V, tol=1e-7)
    assert vector.lower == pytest.approx(scalar.lower, rel=1e-7)
    assert vector.upper >= scalar.lower


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 3), st.integers(1, 4))
def test_no_direction_is_above_the_bound(seed, n, d, c):
    X, V = data_of(seed, n, d, c)
    for tol in (0.3, 1e-5):
        found = ro.several_outputs.vector_separation(X, V, tol=tol)
        assert on_a_grid(X, V, 3000) <= found.upper
        assert found.rel_gap <= tol


def test_a_climb_reaches_what_a_search_finds_and_its_bound_holds():
    for n, d, c in [(20, 2, 2), (30, 3, 3), (12, 4, 2)]:
        X, V = data_of(n, n, d, c)
        climbed, searched = (
            ro.several_outputs.vector_separation(X, V, each, tol=1e-4)
            for each in ("ascent", "sphere")
        )
        assert climbed.lower >= searched.lower * (1 - 1e-6)
        assert climbed.upper >= searched.lower
    white = np.linalg.qr(np.random.default_rng(0).standard_normal((8, 8)))[0]
    V = np.abs(V[:8])
    exact = ro.several_outputs.vector_separation(white, V, "ascent")
    assert exact.rel_gap <= 1e-9
    assert exact.lower == pytest.approx(np.linalg.norm(V, 2), rel=1e-12)


def test_ranks_that_are_too_large_for_a_search():
    X, Y = data_of(1, 20, 15, 2)
    for call in (
        ro.several_outputs.vector_separation,
        lambda X, Y, oracle: ro.several_outputs.train_vector(X, Y, 0.1, oracle=oracle),
    ):
        with pytest.raises(DataError, match="rank 15, and directions are searched up to rank 12"):
            call(X, Y, oracle="sphere")
    with pytest.raises(DataError, match="oracle='mip'"):
        ro.all_patterns.separation(X, Y[:, 0], "sphere")


def test_a_large_rank_gives_a_network_as_good_as_descent():
    X, Y = data_of(2, 14, 9, 2)
    found = ro.several_outputs.train_vector(X, Y, 0.1, tol=1e-4)
    assert found.stop is StopReason.CONVERGED_LOOSE
    assert found.objective <= descended(X, Y, 0.1, 16, 0)
    assert 0 < found.lower_bound < found.objective


def test_a_target_and_a_time_limit():
    X, V = data_of(5, 60, 4, 3)
    exact = ro.several_outputs.vector_separation(X, V, tol=1e-4)
    easy = ro.several_outputs.vector_separation(X, V, target=1.5 * exact.upper)
    assert easy.upper <= 1.5 * exact.upper * (1 + 1e-12)
    assert easy.work < exact.work / 2
    stopped = ro.several_outputs.vector_separation(X, V, time_limit=1e-6)
    assert stopped.stop is StopReason.TIME_LIMIT
    assert stopped.upper >= exact.lower


# -- the group lasso -----------------------------------------------------------


@pytest.mark.parametrize("blocks", [1, 3])
def test_the_group_lasso_against_proximal_gradients(blocks):
    rng = np.random.default_rng(blocks)
    n, m, c, lam = 30, 8, 3, 0.1
    F, Y = np.abs(rng.standard_normal((n, m * blocks))), rng.standard_normal((n, c))
    found = group_lasso(F, Y, lam, blocks, np.zeros(m), 1e-12)
    W, step = np.zeros((m * blocks, c)), n / np.linalg.norm(F, 2) ** 2
    for _ in range(20_000):
        W = W - step * (F.T @ (F @ W - Y) / n)
        groups = W.reshape(m, -1)
        sizes = np.maximum(np.linalg.norm(groups, axis=1, keepdims=True), 1e-300)
        W = (np.maximum(1 - step * lam / sizes, 0) * groups).reshape(W.shape)
    value = ((F @ W - Y) ** 2).sum() / (2 * n) + lam * np.linalg.norm(
        W.reshape(m, -1), axis=1
    ).sum()
    assert found.objective == pytest.approx(value, rel=1e-9)
    np.testing.assert_allclose(found.weights, W, atol=1e-5)


def test_equal_columns_and_none():
    X, Y = data_of(0, 10, 2, 2)
    F = np.maximum(X @ np.ones((2, 4)), 0)
    one, four = (group_lasso(F[:, :k], Y, 0.05, 1, np.zeros(k), 1e-10) for k in (1, 4))
    assert four.objective == pytest.approx(one.objective, rel=1e-9)
    none = group_lasso(F[:, :0], Y, 0.05, 1, np.zeros(0), 1e-10)
    assert none.objective == pytest.approx((Y**2).sum() / 20)


# -- training ------------------------------------------------------------------


@pytest.mark.parametrize("oracle", ["sphere", "flats"])
def test_the_tiny_example(oracle):
    found = ro.several_outputs.train_vector(TINY, TARGETS, 0.5 / 4, tol=1e-8, oracle=oracle)
    assert found.certificate.verdict == "certified"
    assert 4 * found.objective == pytest.approx(1.99581471, abs=2e-8)
    assert 4 * found.lower_bound == pytest.approx(1.99581471, abs=3e-8)


@pytest.mark.parametrize(("beta", "optimum"), [(0.1, 0.917133), (0.5, 4.463018)])
def test_the_pentagonal_cone(beta, optimum):
    found = ro.several_outputs.train_vector(PENTAGON, 3 * PENTAGON, beta / 5, tol=1e-7)
    assert found.certificate.verdict == "certified"
    assert 5 * found.objective == pytest.approx(optimum, abs=1e-6)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_descent_from_many_starts_ends_at_the_bound(seed, intercept):
    X, Y = data_of(seed, 10, 2, 2)
    lam = 0.05
    found = ro.several_outputs.train_vector(X, Y, lam, intercept=intercept)
    assert found.certificate.verdict == "certified"
    assert found.network.objective(X, Y, lam) == pytest.approx(found.objective, rel=1e-13)
    if not intercept:
        reached = descended(X, Y, lam, 12, seed)
        assert found.lower_bound <= reached * (1 + 1e-9)
        assert reached <= found.objective * (1 + 1e-3)
    else:
        assert found.objective < ro.several_outputs.train_vector(X, Y, lam).objective
        np.testing.assert_allclose((Y - found.network.predict(X)).mean(axis=0), 0, atol=1e-12)


@pytest.mark.parametrize("intercept", [False, True])
def test_one_output_is_train_globally(intercept):
    X, Y = data_of(7, 25, 3, 1)
    vector = ro.several_outputs.train_vector(X, Y, 0.03, intercept=intercept)
    scalar = ro.train_globally(X, Y[:, 0], 0.03, intercept=intercept)
    assert vector.objective == pytest.approx(scalar.objective, rel=2e-6)
    assert vector.lower_bound <= scalar.objective * (1 + 1e-12)


def test_orthogonal_outputs_change_nothing():
    """The objective depends on Y through its rows' inner products."""
    X, Y = data_of(8, 15, 2, 3)
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    one, two = (ro.several_outputs.train_vector(X, each, 0.02) for each in (Y, Y @ turn))
    assert one.objective == pytest.approx(two.objective, rel=2e-6)


def test_shared_neurons_cost_less_than_separate_networks():
    X, Y = data_of(9, 12, 2, 2)
    Y[:, 1] = Y[:, 0]
    together = ro.several_outputs.train_vector(X, Y, 0.02)
    apart = sum(ro.train_globally(X, y, 0.02).objective for y in Y.T)
    assert together.objective < apart * (1 - 1e-3)


def test_digits_of_rank_two():
    """1,797 images in two principal components and a bias of one, ten outputs."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    centred = digits.data - digits.data.mean(axis=0)
    X = np.linalg.svd(centred, full_matrices=False)[0][:, :1] * np.sqrt(1797)
    X = np.c_[X, np.ones(1797)]
    found = ro.several_outputs.train_vector(
        X, np.eye(10)[digits.target], 0.01, intercept=True, tol=1e-5
    )
    assert found.certificate.verdict == "certified"
    assert found.objective == pytest.approx(0.3846816, rel=1e-5)


def test_above_the_largest_useful_lam_the_network_is_empty():
    X, Y = data_of(4, 10, 2, 2)
    largest = ro.several_outputs.vector_separation(X, Y / 10, tol=1e-8)
    found = ro.several_outputs.train_vector(X, Y, largest.upper * 1.001)
    assert len(found.network) == 0
    assert found.certificate.verdict == "certified"
    assert found.objective == pytest.approx((Y**2).sum() / 20)
    assert len(ro.several_outputs.train_vector(X, Y, largest.lower * 0.99).network) > 0


def test_a_time_limit_and_an_interrupt_return_bounds_that_hold(monkeypatch):
    from relu_opt.train.several_outputs.sphere import VectorSphere

    X, Y = data_of(4, 20, 3, 2)
    best = ro.several_outputs.train_vector(X, Y, 0.05)
    with monkeypatch.context() as patch:
        patch.setattr("time.perf_counter", Clock())
        stopped = ro.several_outputs.train_vector(X, Y, 0.05, time_limit=12.0)
    assert stopped.stop is StopReason.TIME_LIMIT
    search, calls = VectorSphere.search, []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return search(self, *arguments)

    monkeypatch.setattr(VectorSphere, "search", interrupted)
    broken = ro.several_outputs.train_vector(X, Y, 0.05)
    assert broken.stop is StopReason.INTERRUPTED
    for each in (stopped, broken):
        assert each.lower_bound <= best.objective
        assert best.lower_bound <= each.objective
        assert each.certificate.verdict in ("certified", "not_certified")


def test_progress_and_rounds():
    from relu_opt.plugins.manager import observe

    X, Y = data_of(6, 12, 2, 2)
    events = []
    with observe(events.append):
        found = ro.several_outputs.train_vector(X, Y, 0.02)
    assert [event.bound for event in events] == [each.lower for each in found.rounds]
    lowers = [each.lower for each in found.rounds]
    assert lowers == sorted(lowers)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_weak_duality_for_any_network(seed, share):
    X, Y = data_of(seed, 8, 2, 2)
    found = ro.several_outputs.train_vector(X, Y, 0.05, tol=1e-4)
    rng = np.random.default_rng(seed)
    other = ro.several_outputs.VectorNetwork(
        share * rng.standard_normal((4, 2)), rng.standard_normal((4, 2))
    )
    proof = found.certify(other)
    assert found.lower_bound <= proof.objective
    assert proof.objective == pytest.approx(other.balance().objective(X, Y, 0.05), rel=1e-12)
    assert proof.verdict == "not_certified" or proof.rel_gap <= 1e-4


# -- networks ------------------------------------------------------------------


def test_networks(tmp_path):
    rng = np.random.default_rng(0)
    network = ro.several_outputs.VectorNetwork(
        rng.standard_normal((5, 3)), rng.standard_normal((5, 2)), [1.0, 2.0]
    )
    X = rng.standard_normal((7, 3))
    by_hand = np.maximum(X @ network.hidden.T, 0) @ network.output + [1.0, 2.0]
    np.testing.assert_allclose(network.predict(X), by_hand)
    balanced = network.balance()
    np.testing.assert_allclose(balanced.predict(X), by_hand)
    sizes = np.linalg.norm(balanced.hidden, axis=1)
    np.testing.assert_allclose(sizes, np.linalg.norm(balanced.output, axis=1))
    assert balanced.penalty() < network.penalty()
    double = ro.several_outputs.VectorNetwork(
        np.vstack([network.hidden, 3 * network.hidden]), np.vstack([network.output] * 2), [1.0, 2.0]
    )
    assert len(double.merge()) == 5
    np.testing.assert_allclose(double.merge().predict(X), double.predict(X))
    network.save(tmp_path / "net.npz")
    loaded = ro.several_outputs.VectorNetwork.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(loaded.output, network.output)
    np.testing.assert_array_equal(loaded.predict(X), network.predict(X))
    with pytest.raises(DataError, match="vector_network"):
        ro.ReLUNetwork.load(tmp_path / "net.npz")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ((np.ones((2, 3)), np.ones((3, 2))), "neurons"),
        ((np.ones((2, 3)), np.ones((2, 2)), [1.0]), "outputs"),
        ((np.ones((2, 3)), np.full((2, 2), np.nan)), "output"),
        ((np.ones((2, 3)), np.ones((2, 4, 2)), None, [[0, 1, 2]]), "average pooling"),
        ((np.ones((2, 3)), np.ones((2, 4, 2))), "patches"),
        ((np.ones((2, 3)), np.ones((2, 2)), None, [[0, 1]]), "patches"),
    ],
)
def test_networks_that_are_none(arguments, match):
    with pytest.raises(DataError, match=match):
        ro.several_outputs.VectorNetwork(*arguments)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"lam": 0.0}, "lam is"),
        ({"tol": 0}, "tol is"),
        ({"Y": [[1.0]]}, "One row of targets"),
        ({"Y": [[np.nan]] * 5}, "Y"),
        ({"Y": [1.0, np.inf, 0, 0, 0]}, "Y"),
        ({"X": [[np.nan]] * 5}, "X"),
        ({"X": []}, "X"),
        ({"oracle": "all"}, "Unknown oracle"),
        ({"method": "sdq"}, "Unknown method"),
        ({"time_limit": 0}, "time_limit is"),
        ({"patches": [[0, 5]]}, "columns from 0 to 5"),
        ({"patches": [[0.5, 1]]}, "column numbers"),
        ({"pooling": "average"}, "over patches"),
        ({"pooling": "max"}, "Unknown pooling"),
        ({"oracle": "flats", "max_patterns": 2}, "max_patterns"),
    ],
)
def test_bad_input(changes, match):
    X, Y = data_of(0, 5, 2, 2)
    given_ = {"X": X, "Y": Y, "lam": 0.1, **changes}
    with pytest.raises(DataError, match=match):
        ro.several_outputs.train_vector(
            given_.pop("X"), given_.pop("Y"), given_.pop("lam"), **given_
        )
    with pytest.raises(DataError, match="target is"):
        ro.several_outputs.vector_separation(X, Y, target=-1)


def test_networks_that_do_not_fit_are_refused():
    X, Y = data_of(0, 8, 2, 2)
    found = ro.several_outputs.train_vector(X, Y, 0.1)
    with pytest.raises(DataError, match="not for these"):
        found.certify(ro.several_outputs.VectorNetwork(np.ones((1, 3)), np.ones((1, 2))))
    with pytest.raises(DataError, match="constants"):
        found.certify(
            ro.several_outputs.VectorNetwork(np.ones((1, 2)), np.ones((1, 2)), [1.0, 0.0])
        )
    with pytest.raises(DataError, match="needed"):
        found.certify(ro.ReLUNetwork(np.ones((1, 2)), np.ones(1)))


@pytest.mark.parametrize("d", [1, 2, 3])
def test_a_search_ends_where_everything_cancels(d):
    """h is zero up to rounding, far below the size of its terms."""
    X, V = data_of(d, 6, d, 2)
    twice = ro.several_outputs.vector_separation(np.vstack([X, X]), np.vstack([V, -V]), tol=1e-12)
    assert twice.lower <= twice.upper < 1e-5


@pytest.mark.parametrize("bias", [False, True])
def test_networks_from_torch(bias):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    layers = torch.nn.Linear(2, 5, bias=bias), torch.nn.ReLU(), torch.nn.Linear(5, 3)
    module = torch.nn.Sequential(*layers).double()
    X, Y = data_of(0, 12, 2, 3)
    rows = np.c_[X, np.ones(12)] if bias else X
    network = ro.several_outputs.VectorNetwork.from_torch(module)
    theirs = module(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(network.predict(rows), theirs, atol=1e-12)
    best = ro.several_outputs.train_vector(rows, Y, 0.05, intercept=True, tol=1e-4)
    assert best.certify(network).objective >= best.lower_bound
    with pytest.raises(DataError, match="2 linear layers, activation 'linear'"):
        ro.several_outputs.VectorNetwork.from_torch(
            torch.nn.Sequential(layers[0], layers[2]).double()
        )


@pytest.mark.parametrize(("method", "lam"), [("column_generation", 1e-200), ("sdp", 1e-80)])
def test_a_vanishing_strength_is_no_fault(method, lam):
    rng = np.random.default_rng(0)
    X, Y = np.c_[rng.standard_normal((8, 2)), np.ones(8)], rng.standard_normal((8, 2))
    found = ro.several_outputs.train_vector(X, Y, lam, method=method, time_limit=1)
    assert found.certificate.verdict == "not_certified"
    assert found.certificate.lower_bound <= found.certificate.objective
