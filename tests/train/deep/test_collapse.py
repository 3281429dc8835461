"""Batch normalisation, neural collapse, and trained networks beside the formula's."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

import relu_opt as ro
from relu_opt import plotting
from relu_opt.errors import DataError

BETA = 0.3


def one_hot(*counts):
    return np.repeat(np.eye(len(counts)), counts, axis=0)


def collapse_of(answer, X, Y):
    network = answer.network
    return ro.deep.neural_collapse(network.features(X), Y, network.weights[-1])


def data(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


# -- batch normalisation --------------------------------------------------------------------------


@pytest.mark.parametrize(("counts", "value"), [((2, 2, 2), 1.1377922), ((3, 2, 1), 1.1088793)])
@pytest.mark.parametrize("depth", [2, 3, 5])
def test_batch_normalisation_by_the_formula(counts, value, depth):
    Y = one_hot(*counts)
    # Two layers need data that reach every row; more layers make their own features.
    X = data(6, 8 if depth == 2 else 2)
    answer = ro.deep.train_deep(X, Y, BETA / 6, depth, batch_norm=True)
    assert 6 * answer.value == pytest.approx(value, abs=5e-8)
    assert answer.value == pytest.approx(answer.network.objective(X, Y, BETA / 6), rel=1e-9)
    assert answer.is_global
    assert answer.network.depth == depth
    # γ_k : α_k = √(1 − n_k/n) : √(n_k/n), and γ² + α² = a_k.
    share = np.array(counts) / 6
    norm = answer.network.norm
    assert norm.gamma**2 + norm.alpha**2 == pytest.approx(np.sqrt(counts) - BETA)
    assert (answer.network.weights[-1] ** 2).sum(axis=0) == pytest.approx(np.sqrt(counts) - BETA)
    assert norm.gamma**2 / norm.alpha**2 == pytest.approx((1 - share) / share)


def test_batch_normalisation_equals_descent():
    """Two layers by plain descent, which knows nothing of the formula."""
    X, Y, m, root = data(6, 6), one_hot(3, 2, 1), 5, np.sqrt(6)

    def value(theta):
        W, gamma, alpha, out = np.split(theta, [6 * m, 7 * m, 8 * m])
        W, out = W.reshape(m, 6), out.reshape(3, m)
        h = X @ W.T
        h -= h.mean(axis=0)
        sizes = np.linalg.norm(h, axis=0)
        units = h / sizes
        before = units * gamma + alpha / root
        features = np.maximum(before, 0)
        push = features @ out.T - Y
        decayed = theta[6 * m :]
        total = 0.5 * (push**2).sum() + 0.5 * BETA * decayed @ decayed
        back = push @ out * (before > 0)
        into = back * gamma
        into = (into - units * (units * into).sum(axis=0)) / sizes
        into -= into.mean(axis=0)
        slopes = [(back * units).sum(axis=0), back.sum(axis=0) / root, (push.T @ features).ravel()]
        return total, np.concatenate([(into.T @ X).ravel(), *slopes]) + BETA * np.r_[
            np.zeros(6 * m), decayed
        ]

    def training(seed):
        start = np.random.default_rng(seed).standard_normal(11 * m) * 0.7
        options = {"maxiter": 5000, "ftol": 1e-15}
        return minimize(value, start, jac=True, method="L-BFGS-B", options=options).fun

    answer = ro.deep.train_deep(X, Y, BETA / 6, 2, batch_norm=True)
    found = min(training(seed) for seed in range(6))
    assert found >= 6 * answer.lower_bound * (1 - 1e-12)
    assert found == pytest.approx(6 * answer.value, rel=1e-6)


def test_the_dual_point_of_batch_normalisation_holds_on_random_neurons():
    Y = one_hot(3, 2, 1)
    V = Y * np.minimum(1, BETA / np.linalg.norm(Y, axis=0))
    dual = (V * Y).sum() - 0.5 * (V**2).sum()
    answer = ro.deep.train_deep(data(6, 2), Y, BETA / 6, 3, batch_norm=True)
    assert dual == pytest.approx(6 * answer.lower_bound, rel=1e-12)
    units = data(20_000, 6)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    assert np.linalg.norm(np.maximum(units, 0) @ V, axis=1).max() <= BETA
    # Each class's own direction has β, or its length if that is less.
    for strength in (BETA, 1.2):
        lengths = np.linalg.norm(Y, axis=0)
        V = Y * np.minimum(1, strength / lengths)
        reached = np.linalg.norm((Y / lengths).T @ V, axis=1)
        assert reached == pytest.approx(np.minimum(strength, lengths))


def test_one_column_under_batch_normalisation_has_a_neuron_a_sign():
    y = np.array([3.0, -2.0, 1.0, 0.0])
    answer = ro.deep.train_deep(data(4, 3), y, BETA / 4, 3, batch_norm=True)
    whitened = ro.deep.train_deep(np.eye(4), y, BETA / 4, 2)
    assert answer.value == pytest.approx(whitened.value, rel=1e-12)
    assert answer.is_global


def test_a_class_that_is_too_small_is_zeroed():
    Y, X = one_hot(4, 1), data(5, 3)
    answer = ro.deep.train_deep(X, Y, 1.0 / 5, 3, batch_norm=True)
    assert answer.chains.gains.tolist() == [1.0, 0.0]
    assert (answer.network.predict(X)[:, 1] == 0).all()
    nothing = ro.deep.train_deep(X, Y, 2.0 / 5, 3, batch_norm=True)
    assert nothing.network.weights[-1].shape == (2, 0)
    assert nothing.objective == pytest.approx(0.5)
    assert np.isnan(collapse_of(nothing, X, Y).variability)
    assert not collapse_of(nothing, X, Y).is_collapsed()


def test_equal_targets_need_no_features_at_all():
    answer = ro.deep.train_deep(data(4, 1), np.ones(4), 0.1, 2, batch_norm=True)
    assert answer.is_global
    assert answer.network.norm.gamma.tolist() == [0.0]


def test_layers_that_cannot_make_the_classes_are_refused():
    with pytest.raises(DataError, match="depth=3") as caught:
        ro.deep.train_deep(data(6, 2), one_hot(3, 3), 0.1, 2, batch_norm=True)
    assert caught.value.fields["distance"] > 0.1
    # No network is below the bound all the same.
    assert caught.value.fields["bound"] > 0
    X = np.array([[1.0, 0.0], [2.0, 0.0], [3.0, 0.0], [0.0, 1.0]])
    Y = np.eye(2)[[0, 1, 0, 1]]
    with pytest.raises(DataError, match="multiples"):
        ro.deep.train_deep(X, Y, 0.1, 3, batch_norm=True)
    assert ro.deep.train_deep(np.c_[X, np.ones(4)], Y, 0.1, 3, batch_norm=True).is_global


# -- neural collapse ------------------------------------------------------------------------------


def test_equal_classes_collapse_to_a_simplex():
    X, Y = data(6, 2), one_hot(2, 2, 2)
    found = collapse_of(ro.deep.train_deep(X, Y, BETA / 6, 3, batch_norm=True), X, Y)
    assert found.variability < 1e-20
    assert found.is_collapsed()
    assert found.is_etf()
    assert np.diag(found.gram) == pytest.approx((np.sqrt(2) - BETA) / 2)
    assert found.gram[0, 0] == pytest.approx(0.5571, abs=5e-5)
    assert found.orthogonality < 1e-12
    assert found.cosines[0, 1:] == pytest.approx(-0.5)
    assert found.weight_cosines == pytest.approx(1.0)
    assert "collapsed" in found.report()
    assert "not" not in found.report()


def test_unequal_classes_collapse_to_no_simplex():
    X, Y = data(6, 2), one_hot(3, 2, 1)
    found = collapse_of(ro.deep.train_deep(X, Y, BETA / 6, 3, batch_norm=True), X, Y)
    assert found.is_collapsed()
    assert not found.is_etf()
    assert np.diag(found.gram) == pytest.approx([0.4774, 0.5571, 0.7], abs=5e-5)
    assert np.diag(found.gram) == pytest.approx((np.sqrt([3, 2, 1]) - BETA) / [3, 2, 1])
    pairs = found.cosines[[0, 0, 1], [1, 2, 2]]
    assert pairs == pytest.approx([-0.417, -0.516, -0.564], abs=5e-4)
    assert "not a simplex" in found.report()


def test_whitened_networks_collapse_too():
    Y = one_hot(2, 2, 2)
    answer = ro.deep.train_deep(np.eye(6), Y, 0.01, 4)
    assert collapse_of(answer, np.eye(6), Y).is_etf()


def test_measures_on_features_that_have_not_collapsed():
    features = np.array([[1.0, 0.0], [3.0, 0.0], [0.0, 2.0], [0.0, 2.0]])
    found = ro.deep.neural_collapse(features, ["a", "a", "b", "b"])
    assert found.within == 0.5
    assert found.between == pytest.approx(2.0)
    assert found.variability == pytest.approx(0.25)
    assert found.cosines[0, 1] == pytest.approx(-1.0)
    assert found.classes.tolist() == ["a", "b"]
    assert found.weight_cosines is None
    assert found.is_etf()
    assert not found.is_collapsed()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [0, 0, 0]}, "one class"),
        ({"labels": [0, 1]}, "3 rows"),
        ({"labels": [0.0, 1.0, np.nan]}, "missing"),
        ({"labels": [[1, 0], [1, 1], [0, 1]]}, "one-hot"),
        ({"features": [[1.0, np.nan]] * 3}, "nan"),
        ({"output": np.eye(3)}, "a row a class"),
    ],
)
def test_bad_input_gives_no_measures(arguments, message):
    with pytest.raises(DataError, match=message):
        ro.deep.neural_collapse(**{"features": np.eye(3), "labels": [0, 1, 1], **arguments})


def test_the_picture_shows_the_cosines():
    pytest.importorskip("matplotlib")
    X, Y = data(6, 2), one_hot(3, 2, 1)
    found = collapse_of(ro.deep.train_deep(X, Y, BETA / 6, 3, batch_norm=True), X, Y)
    axes = plotting.plot_collapse(found)
    np.testing.assert_array_equal(axes.images[0].get_array(), found.cosines)
    assert axes.texts[1].get_text() == f"{found.cosines[0, 1]:.3f}"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0 (3)", "1 (2)", "2 (1)"]


# -- networks from elsewhere ----------------------------------------------------------------------


def test_the_formulas_own_network_compares_as_equal():
    X, Y = data(6, 2), one_hot(3, 2, 1)
    answer = ro.deep.train_deep(X, Y, BETA / 6, 3, batch_norm=True)
    found = ro.deep.compare_deep(answer.network, X, Y, BETA / 6)
    assert found.excess == 0
    assert abs(found.rel_gap) < 1e-12
    assert found.collapse.gram == pytest.approx(found.best_collapse.gram)
    assert "the optimum" in found.report()
    assert found.report().count("not a simplex") == 2


def test_another_network_is_measured():
    rng = np.random.default_rng(3)
    X, Y = np.eye(5), one_hot(3, 2)
    weights = tuple(rng.standard_normal(shape) for shape in ((4, 5), (4, 4), (2, 4)))
    network = ro.deep.DeepNetwork(weights)
    found = ro.deep.compare_deep(network, X, Y, 0.05)
    assert found.objective == network.objective(X, Y, 0.05)
    assert found.excess == pytest.approx(found.objective / found.best.value - 1)
    assert found.excess > 0.5
    assert found.best.is_global
    assert (found.layers.ranks == [4, 4, 2]).all()
    assert found.layers.imbalance > 0.1
    linear = ro.deep.compare_deep(replace(network, activation="linear"), X, Y, 0.05)
    assert linear.best.network.activation == "linear"
    one = ro.deep.DeepNetwork((*weights[:2], weights[2][:1]))
    assert ro.deep.compare_deep(one, X, np.arange(5) - 2.0, 0.05).collapse is None


def test_comparisons_that_mean_nothing_are_refused():
    X, Y = data(6, 2), one_hot(3, 2, 1)
    answer = ro.deep.train_deep(X, Y, BETA / 6, 3, batch_norm=True)
    with pytest.raises(DataError, match="with_statistics"):
        ro.deep.compare_deep(answer.network, X + 1, Y, BETA / 6)
    with pytest.raises(DataError, match="DeepNetwork is needed"):
        ro.deep.compare_deep(ro.formulas.closed_form(np.eye(3), np.ones(3), 0.1).network, X, Y, 0.1)
    constant = ro.deep.DeepNetwork((np.eye(2), np.eye(2)), intercept=[1.0, 0.0])
    with pytest.raises(DataError, match="output constants"):
        ro.deep.compare_deep(constant, np.eye(2), np.eye(2), 0.1)


# -- torch ----------------------------------------------------------------------------------------


@pytest.fixture
def nn():
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    return torch.nn


def outputs_of(module, X):
    torch = pytest.importorskip("torch")
    with torch.no_grad():
        return module(torch.tensor(X).to(next(module.parameters()))).double().numpy()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", ["relu", "linear", "bias", "norm"])
def test_networks_from_torch(nn, kind, dtype):
    torch = pytest.importorskip("torch")
    between = [] if kind == "linear" else [nn.ReLU()]
    norm = [nn.BatchNorm1d(4)] if kind == "norm" else []
    module = nn.Sequential(
        nn.Linear(3, 5, bias=False),
        *between,
        nn.Linear(5, 4, bias=kind in ("bias", "norm")),
        *norm,
        *between,
        nn.Linear(4, 2, bias=kind == "bias"),
    ).to(getattr(torch, dtype))
    if norm:
        nn.init.uniform_(norm[0].weight)
        nn.init.uniform_(norm[0].bias)
    X = data(9, 3)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    network = ro.deep.DeepNetwork.from_torch(module, X)
    assert all(torch.equal(before[k], v) for k, v in module.state_dict().items())
    accuracy = 1e-4 if dtype == "float32" else 1e-11
    assert network.predict(X) == pytest.approx(outputs_of(module, X), abs=accuracy)
    assert network.activation == ("linear" if kind == "linear" else "relu")
    assert (network.norm is not None) == (kind == "norm")
    if norm:
        assert network.norm.gamma == pytest.approx(3 * norm[0].weight.detach().double().numpy())
        with pytest.raises(DataError, match="Pass X"):
            ro.deep.DeepNetwork.from_torch(module)


def test_other_modules_are_refused(nn):
    two = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    cases = {
        "has biases": [nn.Linear(2, 2), nn.ReLU(), two[0], nn.ReLU(), two[1]],
        "The module is": [two[0], nn.Tanh(), two[1]],
        "Deep networks here": [nn.BatchNorm1d(2), two[0], nn.ReLU(), two[1]],
    }
    for message, layers in cases.items():
        with pytest.raises(DataError, match=message):
            ro.deep.DeepNetwork.from_torch(nn.Sequential(*layers), np.eye(2))
    module = nn.Sequential(two[0], nn.ReLU(), two[1])
    module.register_forward_hook(lambda *arguments: arguments[2] + 1)
    with pytest.raises(DataError, match="differ"):
        ro.deep.DeepNetwork.from_torch(module)
