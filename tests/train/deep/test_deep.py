"""Deep networks by formulas against descent, grids and bounds, and where formulas fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize, minimize_scalar

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.train.deep.chains import Parts
from relu_opt.train.deep.kernel import gain, jump, kernel, stationary, threshold
from relu_opt.train.deep.layers import Layers
from relu_opt.train.deep.powers import best_size
from relu_opt.train.deep.spline import Splines

Y_MIXED = np.array([3.0, -2.0, 1.0, 0.0])
C, A = np.array([1, -2, 0.5, 3]), np.array([1, -1, 0.5])
SPLINE_X, SPLINE_Y = np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([0.0, 1.0, 0.0, 2.0])


def whitened_rows(n, d, seed, s=1.0):
    return s * np.linalg.qr(np.random.default_rng(seed).standard_normal((d, n)))[0].T


def one_hot(*counts):
    return np.repeat(np.eye(len(counts)), counts, axis=0)


def descend(X, Y, beta, widths, start, relu=True, steps=3000):
    """½‖f − Y‖² + (β/2) Σ‖W_l‖² at a local minimum: an upper bound that knows no formula."""
    Y = Y[:, None] if Y.ndim == 1 else Y
    sizes = [X.shape[1], *widths, Y.shape[1]]
    shapes = [(sizes[k + 1], sizes[k]) for k in range(len(sizes) - 1)]
    ends = np.cumsum([0, *(a * b for a, b in shapes)])

    def value(theta):
        weights = [
            theta[i:j].reshape(shape)
            for i, j, shape in zip(ends[:-1], ends[1:], shapes, strict=True)
        ]
        layers, before = [X], []
        for W in weights[:-1]:
            before.append(layers[-1] @ W.T)
            layers.append(np.maximum(before[-1], 0) if relu else before[-1])
        push = layers[-1] @ weights[-1].T - Y
        total = 0.5 * (push**2).sum() + 0.5 * beta * theta @ theta
        slopes = [push.T @ layers[-1]]
        for W, h, layer in zip(weights[:0:-1], before[::-1], layers[-2::-1], strict=True):
            push = push @ W * ((h > 0) if relu else 1)
            slopes.insert(0, push.T @ layer)
        return total, np.concatenate([s.ravel() for s in slopes]) + beta * theta

    theta = start if isinstance(start, np.ndarray) else starts(shapes, start)
    options = {"maxiter": steps, "ftol": 1e-15, "gtol": 1e-10}
    return float(minimize(value, theta, jac=True, method="L-BFGS-B", options=options).fun)


def starts(shapes, seed):
    rng = np.random.default_rng(seed)
    draws = (rng.standard_normal(a * b) * np.sqrt(1.8 / b) for a, b in shapes)
    return np.concatenate(list(draws))


def check_descent(answer, X, Y, beta, widths, seeds, relu=True):
    """Descent ends no lower from anywhere, and at the formula's value from beside its network.

    Which of several minima a seed ends in, and how closely, is a matter of rounding.
    """
    value = len(X) * answer.value
    for seed in range(seeds):
        assert descend(X, Y, beta, widths, seed, relu) >= value * (1 - 1e-9)
    theta = np.concatenate([weights.ravel() for weights in answer.network.weights])
    theta += 1e-4 * np.random.default_rng(0).standard_normal(len(theta))
    beside = descend(X, Y, beta, answer.network.widths[1:-1], theta, relu)
    assert beside == pytest.approx(value, rel=1e-7)


def check_built(answer, X, Y, lam):
    """The network is there, has the formula's objective, and layers of one norm."""
    assert answer.objective == answer.network.objective(X, Y, lam)
    assert answer.value == pytest.approx(answer.objective, rel=1e-9)
    assert answer.lower_bound <= answer.objective * (1 + 1e-9)
    if answer.network.norm is None:
        assert answer.layers.imbalance < 1e-9


# -- one variable ---------------------------------------------------------------------------------


def test_thresholds_and_jumps_of_the_scalar_problem():
    assert threshold(1.0, 0.3, 2) == 0.3
    assert threshold(1.0, 0.3, 3) == pytest.approx(0.810720, abs=5e-7)
    assert threshold(1.0, 0.3, 4) == pytest.approx(1.067068, abs=5e-7)
    for depth, after in ((3, 0.4066), (4, 0.7128)):
        at = threshold(1.0, 0.3, depth)
        assert gain(0.999 * at, 1.0, 0.3, depth) == 0
        assert gain(at, 1.0, 0.3, depth) == 0
        assert gain(1.001 * at, 1.0, 0.3, depth) == pytest.approx(after, abs=5e-5)
        assert gain(at * (1 + 1e-12), 1.0, 0.3, depth) == pytest.approx(jump(1.0, 0.3, depth))
    # Soft thresholding has no jump.
    assert gain(0.3 + 1e-9, 1.0, 0.3, 2) == pytest.approx(1e-9, rel=1e-6)
    assert jump(1.0, 0.3, 2) == 0


@pytest.mark.parametrize("depth", [3, 4, 6, 12])
def test_the_threshold_equals_its_other_closed_form(depth):
    """From stationarity and the tie, without the substitution of `kernel`."""
    for strength, N in ((0.3, 1.0), (2.0, 0.4), (0.01, 7.0)):
        q, k = 2 / depth, strength * depth / 2
        other = (k * (2 - q) / N * ((1 - q) / (N * (1 - q / 2))) ** (q - 1)) ** (1 / (2 - q))
        assert threshold(N, strength, depth) == pytest.approx(other, rel=1e-12)


@pytest.mark.parametrize("depth", [2, 3, 4, 7, 30])
def test_the_scalar_minimiser_beats_a_grid(depth):
    rng = np.random.default_rng(depth)
    for _ in range(30):
        slope, strength = np.exp(rng.uniform(-3, 3, 2))
        target = threshold(slope, strength, depth) * rng.uniform(0.5, 4)
        grid = np.linspace(0, 1.2 * target / slope, 20001)
        values = 0.5 * (slope * grid - target) ** 2
        values += 0.5 * strength * depth * grid ** (2 / depth)
        found = kernel(target, slope, strength, depth)
        assert found <= values.min() * (1 + 1e-12)
        assert found == pytest.approx(values.min(), rel=1e-6)


def test_the_scalar_problem_at_extreme_sizes():
    for target, slope, strength, depth in ((1e-90, 1.0, 1e-250, 3), (1e60, 1e-20, 1e5, 5)):
        a = gain(target, slope, strength, depth)
        assert a == pytest.approx(target / slope, rel=1e-2)
    assert np.isnan(stationary(0.1, 1.0, 1.0, 3))
    assert np.isnan(stationary(0.0, 1.0, 1.0, 3))


# -- linear ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [2, 3, 4])
@pytest.mark.parametrize("whitened", ["rows", "columns"])
def test_linear_networks_equal_descent(depth, whitened):
    rng = np.random.default_rng(3)
    X = whitened_rows(4, 5, 1, 1.5) if whitened == "rows" else whitened_rows(3, 7, 2, 0.8).T
    Y = 1.5 * rng.standard_normal((len(X), 3))
    beta = 0.2
    answer = ro.deep.train_deep(X, Y, beta / len(X), depth, activation="linear")
    assert answer.is_global
    check_built(answer, X, Y, beta / len(X))
    s = np.linalg.norm(X, 2)
    seen = X @ np.linalg.pinv(X) @ Y
    sizes = np.linalg.svd(seen, compute_uv=False)
    value = sum(kernel(t, s, beta, depth) for t in sizes if t > 1e-9)
    value += 0.5 * ((Y - seen) ** 2).sum()
    assert len(X) * answer.value == pytest.approx(value, rel=1e-12)
    check_descent(answer, X, Y, beta, [5] * (depth - 1), seeds=6, relu=False)
    # Every layer passes on what the one before gives.
    assert answer.layers.alignment == pytest.approx(1.0, abs=1e-12)
    assert (answer.layers.ranks == len(answer.chains.alive)).all()


@pytest.mark.parametrize(("depth", "value"), [(2, 1.1122573), (3, 1.3658323), (4, 1.6435347)])
def test_linear_networks_of_known_singular_values(depth, value):
    """Values that torch reached; the first two fix the singular values, the third checks them."""
    rng = np.random.default_rng(5)
    U, V = (np.linalg.qr(rng.standard_normal((k, 2)))[0] for k in (4, 3))
    Y = U @ np.diag([2.33533086, 1.67219347]) @ V.T
    answer = ro.deep.train_deep(whitened_rows(4, 6, 5), Y, 0.3 / 4, depth, activation="linear")
    assert 4 * answer.value == pytest.approx(value, abs=1e-7)
    assert answer.layers.ranks.tolist() == [2] * depth
    assert answer.is_global


def test_linear_networks_on_rank_one_data_are_one_chain():
    answer = ro.deep.train_deep(np.outer(C, A), Y_MIXED, 0.05, 3, activation="linear")
    assert answer.is_global
    assert answer.layers.ranks.tolist() == [1, 1, 1]


# -- whitened rows, ReLU --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "value", "size"),
    [(2, 1.4586833, 4.5623), (3, 1.6328720, 3.5112), (4, 1.8770233, 3.0610)],
)
def test_two_signs_are_two_chains(depth, value, size):
    answer = ro.deep.train_deep(np.eye(4), Y_MIXED, 0.3 / 4, depth)
    assert 4 * answer.value == pytest.approx(value, abs=5e-8)
    assert answer.layers.sizes == pytest.approx(size, abs=5e-5)
    assert answer.layers.ranks.tolist() == [2] * (depth - 1) + [1]
    assert answer.is_global
    check_built(answer, np.eye(4), Y_MIXED, 0.3 / 4)
    check_descent(answer, np.eye(4), Y_MIXED, 0.3, [6] * (depth - 1), seeds=8)


def test_two_layers_equal_the_certified_formula():
    X = whitened_rows(5, 7, 4, 0.7)
    y = 2 * np.random.default_rng(4).standard_normal(5)
    deep, two = ro.deep.train_deep(X, y, 0.05, 2), ro.formulas.closed_form(X, y, 0.05)
    assert deep.value == pytest.approx(two.value, rel=1e-12)
    assert deep.lower_bound == pytest.approx(two.certificate.lower_bound, rel=1e-9)
    assert ro.verify(two.certificate, X, y).valid
    single = np.outer(C, A)
    deep, two = (
        ro.deep.train_deep(single, Y_MIXED, 0.05, 2),
        ro.formulas.closed_form(single, Y_MIXED, 0.05),
    )
    assert deep.value == pytest.approx(two.value, rel=1e-12)


def test_mixed_signs_against_the_formula_of_singular_values():
    """One column has one singular value, ‖y‖: right for linear networks, wrong for ReLU."""
    for depth in (2, 3):
        relu = ro.deep.train_deep(np.eye(4), Y_MIXED, 0.3 / 4, depth)
        flat = ro.deep.train_deep(np.eye(4), Y_MIXED, 0.3 / 4, depth, activation="linear")
        assert flat.value == pytest.approx(kernel(np.sqrt(14), 1.0, 0.3, depth) / 4, rel=1e-12)
        assert flat.value < 0.9 * relu.value
        assert relu.lower_bound > flat.value
    positive = np.abs(Y_MIXED)
    relu, flat = (
        ro.deep.train_deep(np.eye(4), positive, 0.1, 3, activation=each)
        for each in ("relu", "linear")
    )
    assert relu.value == pytest.approx(flat.value, rel=1e-12)


@pytest.mark.parametrize(("depth", "value"), [(2, 0.399626), (3, 0.542564)])
def test_one_hot_labels_are_a_chain_a_class(depth, value):
    Y = one_hot(3, 2, 1)
    answer = ro.deep.train_deep(np.eye(6), Y, 0.1 / 6, depth)
    assert 6 * answer.value == pytest.approx(value, abs=5e-7)
    assert answer.layers.ranks.tolist() == [3] * depth
    check_built(answer, np.eye(6), Y, 0.1 / 6)
    # Three chains: proved for two layers, attained for three.
    assert answer.is_global == (depth == 2)
    check_descent(answer, np.eye(6), Y, 0.1, [8] * (depth - 1), seeds=4)
    assert answer.lower_bound <= answer.value
    report = answer.report()
    assert ("global" if depth == 2 else "attained by construction") in report


@pytest.mark.parametrize("depth", [3, 4])
def test_two_classes_are_proved_at_every_depth(depth):
    Y, X = one_hot(3, 2), whitened_rows(5, 6, 3, 1.3)
    answer = ro.deep.train_deep(X, Y, 0.2 / 5, depth)
    assert answer.is_global
    check_descent(answer, X, Y, 0.2, [6] * (depth - 1), seeds=8)


def test_chains_are_not_optimal_for_many_classes_and_layers():
    """Four classes, eight layers: a network that shares its neurons costs less than four chains."""
    Y, beta, depth = np.eye(4), 0.004, 8
    answer = ro.deep.train_deep(np.eye(4), Y, beta / 4, depth)
    assert not answer.is_global
    ends = (descend(np.eye(4), Y, beta, [6] * (depth - 1), seed, steps=800) for seed in range(40))
    found = next(end for end in ends if end < 0.9 * 4 * answer.value)
    assert 4 * answer.lower_bound <= found


def test_descent_never_gets_below_the_bound():
    for seed in range(6):
        rng = np.random.default_rng(seed)
        depth = 3 + seed % 3
        y = rng.standard_normal(5) * 2
        answer = ro.deep.train_deep(np.eye(5), y, 0.02, depth)
        least = 5 * answer.lower_bound * (1 - 1e-9)
        assert descend(np.eye(5), y, 0.1, [5] * (depth - 1), seed) >= least


def test_targets_that_come_apart():
    turned = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    Y = np.array([2.0, 1.0, 3.0, 1.0, 5.0])[:, None] * one_hot(2, 1, 2) @ turned
    Y[3] *= -1
    Y = np.vstack([Y, np.zeros(3)])
    parts = Parts.of(Y)
    assert len(parts) == 4
    assert parts.sizes == pytest.approx([np.sqrt(5), 3, 1, 5])
    again = (parts.sizes[:, None, None] * parts.rows[:, :, None] * parts.directions[:, None]).sum(0)
    assert again == pytest.approx(Y, abs=1e-14)
    answer = ro.deep.train_deep(np.eye(6), Y, 0.01, 2)
    assert answer.is_global
    # The same by column generation's own problem: each column of one-hot labels by itself.
    flat = [ro.formulas.closed_form(np.eye(6), column, 0.01).value for column in (Y @ turned.T).T]
    assert answer.value == pytest.approx(sum(flat), rel=1e-12)


def test_a_chain_jumps_to_zero():
    at = threshold(1.0, 0.3, 3)
    below, above = (
        ro.deep.train_deep(np.eye(2), [share * at, 0.0], 0.15, 3) for share in (0.999, 1.001)
    )
    assert below.network.widths == (2, 0, 0, 1)
    assert below.objective == pytest.approx(0.25 * (0.999 * at) ** 2)
    assert above.chains.gains[0] > 0.4
    assert (below.network.predict(np.eye(2)) == 0).all()
    assert below.is_global
    assert above.is_global


# -- rank one -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "value"), [(2, 4.6637805), (3, 4.9015305), (4, 5.1617052)])
def test_rank_one(depth, value):
    X = np.outer(C, A)
    answer = ro.deep.train_deep(X, Y_MIXED, 0.3 / 4, depth)
    assert 4 * answer.value == pytest.approx(value, abs=5e-8)
    assert answer.is_global
    check_built(answer, X, Y_MIXED, 0.3 / 4)
    check_descent(answer, X, Y_MIXED, 0.3, [5] * (depth - 1), seeds=6)


@pytest.mark.parametrize("depth", [3, 4, 5])
def test_rank_one_with_both_sides_of_one_sign_is_cheaper_than_two_chains(depth):
    X, y = np.outer(C, A), np.array([2.0, 3.0, 1.0, 1.5])
    answer = ro.deep.train_deep(X, y, 0.3 / 4, depth)
    assert answer.is_global
    check_built(answer, X, y, 0.3 / 4)
    length = np.linalg.norm(A)
    sides = [np.maximum(s * C, 0) for s in (1, -1)]
    b = [side @ y / np.linalg.norm(side) for side in sides]
    two = 0.5 * y @ y + sum(
        kernel(t, length * np.linalg.norm(side), 0.3, depth) - 0.5 * t**2
        for t, side in zip(b, sides, strict=True)
    )
    assert 4 * answer.value < two - 0.05
    check_descent(answer, X, y, 0.3, [5] * (depth - 1), seeds=4)


def test_rank_one_of_one_sign_beats_a_grid_of_both_gains():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        c, y = rng.standard_normal(6), rng.uniform(0, 2, 6)
        beta, depth = 10 ** rng.uniform(-2, 0.5), 3 + seed % 2
        grid = np.linspace(0, 1, 601)
        reach = [(p @ y) / (p @ p) for p in (np.maximum(c, 0), np.maximum(-c, 0))]
        first, second = np.meshgrid(reach[0] * grid, reach[1] * grid)
        fits = first[..., None] * np.maximum(c, 0) + second[..., None] * np.maximum(-c, 0)
        values = 0.5 * ((fits - y) ** 2).sum(axis=-1)
        values += 0.5 * beta * depth * (first + second) ** (2 / depth)
        found = 6 * ro.deep.train_deep(c[:, None], y, beta / 6, depth).value
        assert found <= values.min() * (1 + 1e-12)
        assert found == pytest.approx(values.min(), rel=1e-3)


def test_rank_one_of_one_side_only():
    answer = ro.deep.train_deep(np.abs(np.outer(C, A[:1])), np.abs(Y_MIXED), 0.05, 3)
    assert answer.network.widths == (1, 1, 1, 1)
    assert answer.is_global


# -- splines --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("depth", "value"), [(2, 0.4), (3, 0.4010817), (4, 0.425)])
def test_deep_splines(depth, value):
    answer = ro.deep.train_deep(SPLINE_X, SPLINE_Y, 0.1 / 4, depth, bias="last_hidden")
    assert 4 * answer.value == pytest.approx(value, abs=5e-8)
    assert answer.kind == "spline"
    assert answer.is_global
    check_built(answer, SPLINE_X, SPLINE_Y, 0.1 / 4)
    kinks = -answer.network.bias / np.prod([w[0, 0] for w in answer.network.weights[:-2]])
    kinks /= answer.network.weights[-2][:, 0]
    assert np.abs(kinks - kinks.round()).max() < 1e-9


def test_a_spline_of_two_layers_with_points_on_both_sides():
    x, y = np.array([[-1.0], [0.0], [1.0], [2.0]]), np.array([0.0, 1.0, 0.0, 2.0])
    answer = ro.deep.train_deep(x, y, 0.25 / 4, 2, bias="last_hidden")
    assert 4 * answer.value == pytest.approx(0.6875, rel=1e-12)
    with pytest.raises(DataError, match="both signs") as caught:
        ro.deep.train_deep(x, y, 0.25 / 4, 3, bias="last_hidden")
    assert caught.value.fields["smallest"] == -1


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_deep_splines_beat_a_grid_of_strengths(depth):
    """min_t of the lasso at β/t^{L−2}, each lasso by another method: coordinate descent."""
    from sklearn.linear_model import Lasso

    rng = np.random.default_rng(depth)
    x, y = np.sort(rng.uniform(0, 3, 7)), rng.standard_normal(7)
    beta = 0.05
    answer = ro.deep.train_deep(-x[:, None], y, beta / 7, depth, bias="last_hidden")
    assert answer.is_global
    knots = np.concatenate([x[:-1], x[1:]])
    K = np.maximum((x[:, None] - knots) * np.repeat([1, -1], 6), 0)
    values = [0.5 * ((y - y.mean()) ** 2).sum()]
    for pull in np.geomspace(3e-3, 3, 10):
        lasso = Lasso(alpha=pull / 7, tol=1e-6, max_iter=50_000).fit(K, y)
        size = np.abs(lasso.coef_).sum()
        fit = 0.5 * ((lasso.predict(K) - y) ** 2).sum()
        values.append(fit + 0.5 * beta * depth * size ** (2 / depth))
    assert 7 * answer.value <= min(values) * (1 + 1e-6)
    assert 7 * answer.value == pytest.approx(min(values), rel=0.05)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_deep_splines_are_splines_of_two_layers_at_another_strength(depth):
    """At the best S the pull is β S^{2/L−1}, the slope of the power."""
    rng = np.random.default_rng(depth)
    x, y = rng.uniform(0, 3, 12), rng.standard_normal(12)
    beta = 0.03
    answer = ro.deep.train_deep(x[:, None], y, beta / 12, depth, bias="last_hidden")
    share = answer.layers.sizes[0] ** (depth / 2)
    pull = beta * share ** (2 / depth - 1)
    flat = ro.one_input.fit_spline(x, y, pull / 12)
    grid = np.linspace(0, 3, 50)
    assert answer.network.predict(grid[:, None]) == pytest.approx(flat.predict(grid), abs=1e-5)
    if depth == 2:
        assert answer.value == pytest.approx(flat.objective, rel=1e-8)


@pytest.mark.parametrize("depth", [3, 4])
def test_deep_splines_are_the_best_over_the_length_of_the_first_layers(depth):
    """min_t β(L − 2)t²/2 + the lasso at β/t^{L−2}."""
    x, y, beta = SPLINE_X[:, 0], SPLINE_Y, 0.1

    def value(t):
        flat = ro.one_input.fit_spline(x, y, beta / t ** (depth - 2) / 4)
        return 0.5 * beta * (depth - 2) * t**2 + 4 * flat.objective

    found = minimize_scalar(value, bounds=(0.8, 2.0), method="bounded", options={"xatol": 1e-6})
    answer = ro.deep.train_deep(SPLINE_X, y, beta / 4, depth, bias="last_hidden")
    assert 4 * answer.value == pytest.approx(found.fun, rel=1e-9)


@pytest.mark.parametrize("depth", [2, 3, 5])
def test_deep_splines_of_little_strength_interpolate_at_the_least_cost(depth):
    """(β L/2) cost*^{2/L}: slopes 1, −1, 2 cost 5."""
    for lam in (1e-7, 1e-10):
        answer = ro.deep.train_deep(SPLINE_X, SPLINE_Y, lam, depth, bias="last_hidden")
        assert answer.is_global
        assert answer.value == pytest.approx(0.5 * lam * depth * 5 ** (2 / depth), rel=1e-5)
        assert answer.network.predict(SPLINE_X) == pytest.approx(SPLINE_Y, abs=1e-4)


def test_no_lasso_is_below_the_bound_of_a_few_trials():
    """The envelope of few dual points, against lassos by coordinate descent."""
    from sklearn.linear_model import Lasso

    rng = np.random.default_rng(8)
    x, y = rng.uniform(0, 3, 9), rng.standard_normal(9)
    y -= y.mean()
    K = ro.one_input.spline_features(x)
    known = []
    for pull in np.geomspace(1e-3, 0.3, 8):
        lasso = Lasso(alpha=pull, tol=1e-6, max_iter=50_000).fit(K, y)
        known.append((np.abs(lasso.coef_).sum(), 0.5 * np.mean((lasso.predict(K) - y) ** 2)))
    sizes, losses = np.array(known).T
    problem = Splines(x, y)
    trials = [problem.constant()]
    for share in (0.1, 0.01):
        trials.append(problem.at(share * trials[0].pull))
        path = problem.below(trials)
        for lam in (1e-4, 1e-3, 1e-2, 0.1):
            for depth in (2, 3, 6):
                bound = best_size(path, lam, depth)[2]
                values = losses + 0.5 * lam * depth * sizes ** (2 / depth)
                assert bound <= values.min() * (1 + 1e-9)
                assert bound >= 0


def test_deep_splines_of_a_thousand_points_and_of_any_units():
    rng = np.random.default_rng(0)
    x = rng.random(1000)
    y = np.sin(12 * x) + 0.3 * rng.standard_normal(1000)
    answer = ro.deep.train_deep(x[:, None], y, 1e-3, 3, bias="last_hidden")
    assert answer.is_global
    # In units of x and y that are others: the size of a slope is y over x.
    other = ro.deep.train_deep(
        1e4 * x[:, None], 1e-5 * y + 3, 1e-3 * 1e-10 * 1e9 ** (2 / 3), 3, bias="last_hidden"
    )
    assert other.is_global
    assert 1e10 * other.value == pytest.approx(answer.value, rel=1e-8)


def test_points_that_nearly_coincide_are_one_and_are_measured_as_they_are():
    y = np.random.default_rng(0).standard_normal(15)
    x = np.repeat(np.arange(5.0), 3)
    together = ro.deep.train_deep(x[:, None], y, 0.01, 3, bias="last_hidden")
    apart = x + np.tile([0.0, 1e-12, 2e-12], 5)
    answer = ro.deep.train_deep(apart[:, None], y, 0.01, 3, bias="last_hidden")
    assert answer.is_global
    assert answer.value == pytest.approx(together.value, rel=1e-9)


def test_points_on_both_sides_have_networks_that_are_better_than_the_formula():
    """A hat is one neuron on (x_+, (−x)_+), and three bends of a spline."""
    x, y, lam = np.arange(-2.0, 3.0)[:, None], np.array([0.0, 0.0, 1.0, 0.0, 0.0]), 1e-3
    formula = ro.deep.train_deep(x + 2, y, lam, 3, bias="last_hidden")
    third = 2 ** (1 / 6)
    sides = np.array([[1.0], [-1.0]]) / third**0.5
    share = (np.linalg.norm(sides) / 2) ** 2
    hat = ro.deep.DeepNetwork(
        (sides, -np.sqrt(share) * np.ones((1, 2)), np.array([[third]])),
        bias=[np.sqrt(share) / third**0.5],
    )
    scale = hat.predict([[0.0]])[0]
    hat = replace(hat, weights=(*hat.weights[:2], hat.weights[2] / scale))
    assert hat.predict(x) == pytest.approx(y)
    assert hat.objective(x, y, lam) < 0.8 * formula.lower_bound
    with pytest.raises(DataError, match="both signs"):
        ro.deep.train_deep(x, y, lam, 3, bias="last_hidden")


def test_biases_in_all_layers_are_refused_because_the_formula_is_not_the_optimum():
    with pytest.raises(DataError, match="biases in all layers"):
        ro.deep.train_deep(SPLINE_X, SPLINE_Y, 0.1 / 4, 3, bias="all")
    x, y, beta = SPLINE_X[:, 0], SPLINE_Y, 0.1
    # Which of the last two neurons are on at which points, (n, 2); first kinks at 0, 1 and 1.
    on = np.array([[0, 0], [0, 1], [0, 0], [1, 0]])
    first = np.stack([x, np.minimum(x - 1, 0), np.maximum(x - 1, 0)], axis=1)

    def parts(theta):
        return theta[:3], theta[3:9].reshape(2, 3), theta[9:11], theta[11:13], theta[13]

    def before(theta):
        W1, W2, b2, _, _ = parts(theta)
        return first * W1 @ W2.T + b2

    def value(theta):
        W1, W2, _, W3, c = parts(theta)
        misfit = (before(theta) * on) @ W3 + c - y
        return 0.5 * misfit @ misfit + 0.5 * beta * sum((W**2).sum() for W in (W1, W2, W3))

    cells = {"type": "ineq", "fun": lambda theta: ((2 * on - 1) * before(theta)).ravel()}
    start = np.array([0.4, -0.8, 1.3, 0.4, 0, 1.1, 0.2, -0.8, -0.6, -1.7, 0.6, 1.2, 1, 0.1])
    options = {"ftol": 1e-14, "maxiter": 500}
    found = minimize(value, start, constraints=cells, method="SLSQP", options=options).x
    W1, W2, b2, W3, c = parts(found)
    hidden = np.maximum(np.outer(x, W1) - np.array([0, W1[1], W1[2]]), 0)
    outputs = np.maximum(hidden @ W2.T + b2, 0) @ W3 + c
    deep = 0.5 * ((outputs - y) ** 2).sum()
    deep += 0.5 * beta * sum((W**2).sum() for W in (W1, W2, W3))
    formula = 4 * ro.deep.train_deep(SPLINE_X, SPLINE_Y, 0.1 / 4, 3, bias="last_hidden").lower_bound
    assert formula == pytest.approx(0.401082, abs=5e-7)
    assert deep == pytest.approx(0.389738, abs=1e-5)


def test_splines_of_repeated_and_single_points():
    x = np.array([[1.0], [1.0], [2.0], [2.0], [3.0]])
    answer = ro.deep.train_deep(x, [0.0, 2.0, 4.0, 4.0, 0.0], 0.01, 3, bias="last_hidden")
    assert answer.is_global
    # The loss that no spline takes away is in the bound.
    answer = ro.deep.train_deep(x, [0.0, 2.0, 4.0, 5.0, 0.0], 1e-9, 6, bias="last_hidden")
    assert answer.is_global
    assert answer.value == pytest.approx((2 * 1.0 + 2 * 0.25) / 10, rel=1e-6)
    one = ro.deep.train_deep(np.ones((3, 1)), [1.0, 2.0, 6.0], 0.01, 3, bias="last_hidden")
    assert one.network.predict([[1.0]]) == pytest.approx(3.0)
    assert one.is_global
    flat = ro.deep.train_deep(SPLINE_X, np.full(4, 2.0), 0.01, 3, bias="last_hidden")
    assert flat.objective == pytest.approx(0, abs=1e-15)


# -- the network ----------------------------------------------------------------------------------


def some_network(norm=True):
    rng = np.random.default_rng(1)
    weights = tuple(rng.standard_normal(shape) for shape in ((5, 3), (4, 5), (2, 4)))
    if not norm:
        return ro.deep.DeepNetwork(weights, bias=rng.standard_normal(4), intercept=[1.0, -2.0])
    blank = ro.deep.BatchNorm(rng.standard_normal(4), rng.standard_normal(4), *np.zeros((2, 4)), 9)
    return ro.deep.DeepNetwork(weights, norm=blank).with_statistics(rng.standard_normal((9, 3)))


def test_a_network_computes_what_its_formula_says():
    network, X = some_network(norm=False), np.random.default_rng(2).standard_normal((6, 3))
    W1, W2, W3 = network.weights
    expected = np.maximum(np.maximum(X @ W1.T, 0) @ W2.T + network.bias, 0) @ W3.T + [1.0, -2.0]
    assert network.predict(X) == pytest.approx(expected)
    assert network.penalty() == pytest.approx(sum((W**2).sum() for W in (W1, W2, W3)) / 2)
    misfit = 0.5 * ((expected - 1) ** 2).sum() / 6
    assert network.objective(X, np.ones((6, 2)), 0.1) == pytest.approx(
        misfit + 0.1 * network.penalty()
    )
    normed = some_network()
    X = np.random.default_rng(1).standard_normal((9, 3))
    normed = normed.with_statistics(X)
    h = np.maximum(X @ normed.weights[0].T, 0) @ normed.weights[1].T
    h -= h.mean(axis=0)
    h = h / np.linalg.norm(h, axis=0) * normed.norm.gamma + normed.norm.alpha / 3
    assert normed.features(X) == pytest.approx(np.maximum(h, 0))
    squares = (normed.norm.gamma**2).sum() + (normed.norm.alpha**2).sum()
    assert normed.penalty() == pytest.approx((squares + (normed.weights[2] ** 2).sum()) / 2)


@pytest.mark.parametrize("norm", [True, False])
def test_networks_are_saved_without_loss(tmp_path, norm):
    network = some_network(norm)
    network.save(tmp_path / "network.npz")
    again = ro.deep.DeepNetwork.load(tmp_path / "network.npz")
    X = np.random.default_rng(2).standard_normal((6, 3))
    assert (again.predict(X) == network.predict(X)).all()
    assert again.penalty() == network.penalty()
    assert repr(again) == repr(network)
    (tmp_path / "network.npz").write_bytes(b"PK")
    with pytest.raises(DataError, match="damaged"):
        ro.deep.DeepNetwork.load(tmp_path / "network.npz")


def test_an_empty_network_is_saved_too(tmp_path):
    answer = ro.deep.train_deep(np.eye(3), np.zeros((3, 2)), 0.1, 4)
    assert answer.network.widths == (3, 0, 0, 0, 2)
    answer.network.save(tmp_path / "zero.npz")
    assert (ro.deep.DeepNetwork.load(tmp_path / "zero.npz").predict(np.eye(3)) == 0).all()
    assert "rank" in answer.report()


def test_layers_of_a_network_that_is_not_aligned():
    network = ro.deep.DeepNetwork((np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[0.0, 1.0]])))
    layers = Layers.of(network)
    assert layers.alignment.tolist() == [0.0]
    assert layers.ranks.tolist() == [1, 1]
    assert layers.imbalance == 0


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": (np.eye(2),)}, "1 layers"),
        ({"weights": (np.eye(2), np.eye(3))}, "3 inputs"),
        ({"weights": (np.eye(2), np.full((1, 2), np.nan))}, "nan"),
        ({"activation": "tanh"}, "tanh"),
        ({"bias": [1.0]}, "bias has 1"),
        ({"intercept": [1.0]}, "intercept has 1"),
    ],
)
def test_bad_weights_give_no_network(changes, message):
    with pytest.raises(DataError, match=message):
        replace(ro.deep.DeepNetwork((np.eye(2), np.eye(2))), **changes)


# -- refusals -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lam": 0.0}, "greater than zero"),
        ({"depth": 1}, "at least 2"),
        ({"depth": 2.5}, "at least 2"),
        ({"activation": "relus"}, "relu"),
        ({"bias": "some"}, "Unknown bias"),
        ({"depth": 10**400}, "above 10,000"),
        ({"depth": "3"}, "at least 2"),
        ({"lam": np.nan}, "finite"),
        ({"batch_norm": "linear"}, "by name"),
        ({"bias": None}, "Did you mean 'none'"),
        ({"activation": 3}, "Known: linear, relu"),
        ({"X": [1.0, 2.0, 3.0]}, "X\\[:, None\\]"),
        ({"X": 1e150 * np.eye(3)}, "Rescale X"),
        ({"Y": [1e-150, 0.0, 0.0]}, "Rescale Y"),
        ({"Y": [1.0, 2.0]}, "3 rows and Y has 2"),
        ({"Y": [1.0, np.nan, 2.0]}, "nan"),
        ({"X": np.zeros((3, 3))}, "no formula"),
        ({"X": np.zeros((3, 3)), "activation": "linear"}, "no formula"),
        ({"Y": [[1, 0], [1, 1], [0, 1]]}, "come apart"),
        ({"bias": "last_hidden"}, "one feature"),
        ({"bias": "last_hidden", "batch_norm": True}, "shifts of its own"),
        ({"activation": "linear", "batch_norm": True}, "Linear networks"),
    ],
)
def test_bad_input_gives_no_answer(arguments, message):
    with pytest.raises(DataError, match=message):
        ro.deep.train_deep(
            **{"X": np.eye(3), "Y": [3.0, -4.0, 0.0], "lam": 0.1, "depth": 3, **arguments}
        )


def test_a_refusal_says_what_helps():
    rng = np.random.default_rng(0)
    cases = {
        "train_globally": (rng.standard_normal((5, 2)), np.arange(5.0), {}),
        "train_vector": (np.outer([1, -2, 3], [1, 2]), np.eye(3), {}),
        "whitened rows are UV": (rng.standard_normal((3, 5)), np.eye(3), {}),
        "U or UV": (rng.standard_normal((5, 2)), np.arange(5.0), {"activation": "linear"}),
    }
    for message, (X, Y, options) in cases.items():
        with pytest.raises(DataError, match=message):
            ro.deep.train_deep(X, Y, 0.1, 3, **options)


def test_an_answer_says_why_it_is_this_formula():
    lines = {
        "rows of X are whitened": (np.eye(3), {}),
        "X has rank one": (np.outer([1, -2, 3], [1, 2]), {}),
        "singular values of X are equal": (np.eye(3)[:, :2], {"activation": "linear"}),
        "batch_norm=True": (np.eye(3), {"batch_norm": True}),
        'bias="last_hidden"': (np.arange(3)[:, None], {"bias": "last_hidden"}),
    }
    for why, (X, options) in lines.items():
        answer = ro.deep.train_deep(X, [3, -4, 0], 0.1, 3, **options)
        assert why in answer.choice
        assert f"why this formula: {answer.choice}" in answer.report()


def test_frames_and_whole_numbers_are_data():
    pandas = pytest.importorskip("pandas")
    expected = ro.deep.train_deep(np.eye(3), [3.0, -4.0, 0.0], 0.1, 3).value
    frame = pandas.DataFrame(np.eye(3, dtype=int)), pandas.Series([3, -4, 0])
    for X, Y in (frame, (np.eye(3, dtype=bool), np.array([3, -4, 0]))):
        assert ro.deep.train_deep(X, Y, 0.1, np.int64(3)).value == expected


def test_a_refusal_says_how_far_the_data_are_from_a_formula():
    X = np.eye(3)
    X[0, 1] = 1e-6
    with pytest.raises(DataError, match="no formula") as caught:
        ro.deep.train_deep(X, [1.0, 2.0, -1.0], 0.1, 3)
    assert caught.value.fields["whitened"] == pytest.approx(1e-6)
    assert caught.value.fields["rank_one"] > 0.9
    with pytest.raises(DataError, match="singular values") as caught:
        ro.deep.train_deep(X, np.eye(3), 0.1, 3, activation="linear")
    assert 1e-7 < caught.value.fields["whitened"] < 1e-6
    with pytest.raises(DataError, match="rows 0 and 1") as caught:
        ro.deep.train_deep(np.eye(3), [[1.0, 0.0], [1.0, 1e-6], [0.0, 1.0]], 0.1, 3)
    assert caught.value.fields["distance"] == pytest.approx(1e-6)
