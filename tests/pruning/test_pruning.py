"""Pruning against brute force and naive loops that share nothing with it."""

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from scipy.optimize import nnls

import relu_opt as ro
from relu_opt.errors import BackendUnavailable, DataError
from relu_opt.pruning.prune import METHODS, prune_certified
from relu_opt.pruning.steps import exact_steps, inverse_gram, least_squares_steps, null_space

BASELINES = [method for method in METHODS if method != "optimal"]
LOSSES = ("squared", "logistic", "squared_hinge", ro.losses.Huber(0.4), "poisson")


def contributions(network, X):
    """q_j by the definition, one sample and one neuron at a time."""
    result = np.zeros((len(X), len(network)))
    for j in range(len(network)):
        for i, x in enumerate(X):
            on = x @ network.hidden[j] if network.gates is None else x @ network.gates[j]
            if on >= 0:
                result[i, j] = (x @ network.hidden[j]) * network.output[j]
    return result


def penalties(network):
    return np.linalg.norm(network.hidden, axis=1) * np.abs(network.output)


def random_network(seed=0, n=6, d=3, k=9, gated=False, intercept=0.0):
    """Data and a network with more neurons than rows, so that some can be spared."""
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    gates = rng.standard_normal((k, d)) if gated else None
    hidden, output = rng.standard_normal((k, d)), rng.standard_normal(k)
    return ro.ReLUNetwork(hidden, output, intercept, gates), X, y


def split(network, copies, seed=0):
    """The same function with neurons cut into parts of random shares."""
    rng = np.random.default_rng(seed)
    which = np.repeat(np.arange(len(network)), copies)
    shares = rng.uniform(0.2, 1.0, len(which))
    shares /= np.bincount(which, shares)[which]
    order = rng.permutation(len(which))
    which, shares = which[order], shares[order]
    gates = None if network.gates is None else network.gates[which]
    return ro.ReLUNetwork(
        network.hidden[which] * shares[:, None],
        network.output[which],
        network.intercept,
        gates,
        network.slope,
    )


def check_exact(path, X, y, lam, **problem):
    """What the exact phase promises, from the networks themselves."""
    fits = path.network(0).predict(X)
    objectives = [path.network(i).objective(X, y, lam, **problem) for i in range(len(path))]
    assert path.objectives == pytest.approx(objectives, rel=1e-12, abs=1e-15)
    for step in range(path.exact_steps + 1):
        change = np.abs(path.network(step).predict(X) - fits).max()
        assert change <= 1e-8 * np.abs(fits).max() + 1e-13
        assert objectives[step] <= min(objectives[: step + 1]) * (1 + 1e-12) + 1e-15
    assert (np.diff(path.widths) < 0).all()
    assert (path.factors >= 0).all()


def columns_of(path, X):
    Q = contributions(path.vertex, X)
    Q = Q / np.linalg.norm(Q, axis=0)
    return np.column_stack([Q, np.full(len(X), len(X) ** -0.5)]) if path.start.intercept else Q


# -- the exact phase -----------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("intercept", [0.0, 0.7])
def test_no_subset_of_the_vertex_has_the_same_fits(seed, gated, intercept):
    network, X, y = random_network(seed, gated=gated, intercept=intercept)
    path = ro.prune(network, X, y, lam=0.1)
    check_exact(path, X, y, 0.1)
    assert path.minimal
    assert len(path) - 1 == path.exact_steps >= 1
    Q, fits = contributions(path.vertex, X), network.predict(X)
    free = [np.ones((len(X), 1)), -np.ones((len(X), 1))] if intercept else []

    def residual(chosen):
        return nnls(np.hstack([Q[:, chosen], *free]), fits)[1]

    everything = list(range(Q.shape[1]))
    assert residual(everything) <= 1e-10
    for size in range(1, len(everything)):
        for chosen in combinations(everything, size):
            assert residual(list(chosen)) > 1e-7
    assert np.linalg.matrix_rank(columns_of(path, X)) == len(columns_of(path, X).T)


@pytest.mark.parametrize("gated", [False, True])
def test_split_neurons_are_put_together(gated):
    network, X, y = random_network(1, n=12, k=4, gated=gated)
    path = ro.prune(split(network, 5), X, y, lam=0.1)
    check_exact(path, X, y, 0.1)
    assert path.widths[[0, -1]].tolist() == [20, 4]
    found = path.vertex.merge()
    wanted = network.merge()
    for weights in found.hidden * found.output[:, None]:
        assert np.abs(weights - wanted.hidden * wanted.output[:, None]).max(axis=1).min() < 1e-12


def test_symmetric_data_leave_neurons_that_vanish_together():
    # |x| by four neurons of which two pairs are equal, and a constant by four more.
    X = np.array([[-2.0, 1], [-1, 1], [1, 1], [2, 1]])
    hidden = np.array([[1.0, 0], [-1, 0], [1, 0], [-1, 0], [0, 1], [0, 1], [0, 2], [0, 2]])
    network = ro.ReLUNetwork(hidden, np.ones(8))
    path = ro.prune(network, X, np.zeros(4), lam=0.1)
    check_exact(path, X, np.zeros(4), 0.1)
    assert path.widths[-1] == 3


@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
@pytest.mark.parametrize("intercept", [False, True])
def test_every_exact_step_of_a_split_solution_is_certified(
    make_program, loss, activation, intercept
):
    prog = make_program(
        3, loss=loss, activation=activation, intercept=intercept, weighted=True, lam_share=0.05
    )
    sol = ro.solve(prog, backend="native", tol=1e-12)
    network = split(sol.network, 3)
    path = prune_certified(prog, ro.certify(prog, network, sol.nu), "optimal", 1)
    check_exact(path, prog.X, prog.y, prog.lam, loss=prog.loss, sample_weight=prog.sample_weight)
    assert path.exact_steps >= 2 * len(sol.network) - 1
    assert path.widths[-1] <= 1
    for step in range(path.exact_steps + 1):
        cert = path.certify(step)
        assert cert.verdict == "certified", cert.reason
        assert cert.tol == 1e-8
        # What rounding may add is in the certificate alone.
        assert cert.rel_gap == pytest.approx(path.rel_gaps[step], abs=1e-11)
        assert len(cert.network) == path.widths[step]
        assert ro.verify(cert, prog.X, prog.y).valid
    last = path.certify(-1)
    assert last.verdict == "not_certified"
    assert last.objective == pytest.approx(path.objectives[-1], rel=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_solution_in_the_inside_of_the_optimal_set_is_pruned_to_a_vertex(make_program, seed):
    prog = make_program(seed, n=10, complete=True, lam_share=0.02)
    # An interior-point method spreads the weights over all blocks that may have some.
    sol = ro.solve(prog, backend="clarabel", tol=1e-10)
    path = ro.prune(sol)
    check_exact(path, prog.X, prog.y, prog.lam)
    assert (path.scope, path.lower_bound) == ("program", sol.lower_bound)
    assert path.exact_steps >= 3
    assert path.certify().require().scope == "program"
    Q = columns_of(path, prog.X)
    assert np.linalg.matrix_rank(Q, tol=1e-10) == Q.shape[1]


def test_a_minimal_solution_stays_as_it_is(make_program):
    sol = ro.solve(make_program(5), tol=1e-10)
    path = ro.prune(sol)
    assert len(path) == 1
    assert path.minimal
    assert np.array_equal(path.vertex.hidden, sol.certificate.network.hidden)
    assert path.rel_gaps[0] == pytest.approx(sol.rel_gap, abs=1e-12)


def test_unbalanced_dead_and_zero_neurons():
    network, X, y = random_network(2, n=20, k=3)
    X = np.abs(X)
    hidden = np.vstack([network.hidden * [[1e-3], [1], [1e4]], -np.ones(3), np.zeros(3), [1, 2, 3]])
    output = np.append(network.output * [1e3, 1, 1e-4], [2.0, 5.0, 0.0])
    given = ro.ReLUNetwork(np.abs(hidden) * np.sign(hidden), output)
    path = ro.prune(given, X, y, lam=0.2)
    alive = np.linalg.norm(contributions(given, X), axis=0) > 0
    assert path.widths[0] == alive.sum()
    assert not alive[3:].any()
    fits = given.predict(X)
    assert np.abs(path.network(0).predict(X) - fits).max() <= 1e-12 * np.abs(fits).max()
    check_exact(path, X, y, 0.2)
    assert path.objectives[0] < given.objective(X, y, 0.2)


def test_what_costs_penalty_goes_where_the_network_is_not_optimal():
    # Two neurons cancel each other: without both the penalty is smaller and the fits are equal.
    X = np.array([[1.0], [2.0]])
    network = ro.ReLUNetwork([[1.0], [1.0], [1.0]], [3.0, 1.0, -1.0])
    path = ro.prune(network, X, [0.0, 0.0], lam=1.0)
    assert path.widths.tolist()[0] == 3
    assert path.widths[-1] == 1
    assert penalties(path.vertex).sum() == pytest.approx(3.0)
    assert path.vertex.predict(X) == pytest.approx([3.0, 6.0])


def test_the_intercept_takes_over_where_it_is_free():
    # On these rows one neuron is constant.
    X = np.array([[1.0, 1], [-1, 1], [0.5, 1]])
    network = ro.ReLUNetwork([[0.0, 2.0], [1.0, 0.0]], [1.0, 1.0])
    y = np.array([0.0, 1, 2])
    free = ro.prune(network, X, y, lam=0.1, intercept=True)
    assert free.widths.tolist() == [2, 1]
    assert free.intercepts == pytest.approx([0.0, 2.0])
    check_exact(free, X, y, 0.1)
    assert len(ro.prune(network, X, y, lam=0.1)) == 1
    with pytest.raises(DataError, match="output intercept"):
        ro.prune(free.vertex, X, y, lam=0.1, intercept=False)


@pytest.mark.parametrize("n", [1, 3, 40])
@pytest.mark.parametrize("k", [1, 2, 30])
def test_any_shape(n, k):
    network, X, y = random_network(4, n=n, k=k)
    path = ro.prune(network, X, y, lam=0.1)
    check_exact(path, X, y, 0.1)
    assert path.minimal
    assert path.widths[-1] <= min(n, k)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("intercept", [0.0, 1.5])
def test_a_network_without_neurons_is_a_path_of_one_entry(method, intercept):
    X, y = np.ones((3, 2)), np.array([1.0, 2.0, 3.0])
    for network in (
        ro.ReLUNetwork(np.zeros((0, 2)), np.zeros(0), intercept),
        ro.ReLUNetwork(np.zeros((2, 2)), np.zeros(2), intercept, np.ones((2, 2))),
        ro.ReLUNetwork(-np.ones((1, 2)), np.ones(1), intercept),
    ):
        path = ro.prune(network, X, y, lam=0.1, method=method, to=0)
        assert path.widths.tolist() == [0]
        assert path.objectives[0] == pytest.approx(((intercept - y) ** 2).mean() / 2)
        assert path.certify().objective == pytest.approx(path.objectives[0], rel=1e-14)
        best = ((y - y.mean()) ** 2).mean() / 2 if intercept else (y**2).mean() / 2
        assert path.lower_bound <= best * (1 + 1e-12)
        if len(network) != 1:
            assert path.lower_bound == pytest.approx(best)
            assert ro.verify(path.certify(), X, y).verdict != "invalid"


def test_more_neurons_than_twice_the_rows_are_pruned_in_parts():
    network, X, y = random_network(7, n=5, k=60)
    path = ro.prune(network, X, y, lam=0.1)
    check_exact(path, X, y, 0.1)
    assert path.minimal
    assert path.widths[-1] <= 5


def test_to_stops_before_the_vertex():
    network, X, y = random_network(0)
    whole = ro.prune(network, X, y, lam=0.1)
    path = ro.prune(network, X, y, lam=0.1, to=8)
    assert path.widths.tolist() == [9, 8]
    assert path.exact_steps == 1
    assert np.array_equal(path.factors, whole.factors[:2])
    assert not path.minimal
    with pytest.raises(DataError, match="smaller `to`"):
        _ = path.vertex
    exactly = ro.prune(network, X, y, lam=0.1, to=int(whole.widths[-1]))
    assert exactly.minimal
    assert np.array_equal(exactly.factors, whole.factors)
    assert len(ro.prune(network, X, y, lam=0.1, to=99)) == 1


# -- symmetries ----------------------------------------------------------------------------


@pytest.mark.parametrize("method", [method for method in METHODS if method != "random"])
@pytest.mark.parametrize("intercept", [0.0, 0.5])
def test_permuted_neurons_are_pruned_alike(method, intercept):
    network, X, y = random_network(3, n=8, k=14, intercept=intercept)
    order = np.random.default_rng(0).permutation(14)
    mixed = ro.ReLUNetwork(network.hidden[order], network.output[order], intercept)
    one = ro.prune(network, X, y, lam=0.1, method=method, to=0)
    other = ro.prune(mixed, X, y, lam=0.1, method=method, to=0)
    assert other.factors == pytest.approx(one.factors[:, order], abs=1e-8)
    assert other.intercepts == pytest.approx(one.intercepts, abs=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_scaled_targets_and_lam_are_pruned_alike(method):
    network, X, y = random_network(5, n=8, k=14, intercept=0.3)
    one = ro.prune(network, X, y, lam=0.1, method=method, to=0)
    scaled = ro.ReLUNetwork(network.hidden, 8 * network.output, 8 * network.intercept)
    other = ro.prune(scaled, X, 8 * y, lam=0.8, method=method, to=0)
    assert other.factors == pytest.approx(one.factors, abs=1e-9)
    assert other.objectives == pytest.approx(64 * one.objectives)
    assert other.rel_gaps == pytest.approx(one.rel_gaps, abs=1e-6)


# -- beyond the vertex ---------------------------------------------------------------------


def naive_step(Q, free):
    """One step of Optimal/LS: a least-squares problem for each neuron; new factors."""
    best = None
    for j in range(Q.shape[1]):
        others = np.delete(np.arange(Q.shape[1]), j)
        basis = np.hstack([Q[:, others], np.ones((len(Q), 1))]) if free else Q[:, others]
        beta = np.linalg.lstsq(basis, Q[:, j], rcond=None)[0]
        shrinks = np.where(
            beta[: len(others)] < 0, -1 / np.minimum(beta[: len(others)], -1e-300), 9
        )
        t = min(1.0, shrinks.min(initial=9))
        factors = np.ones(Q.shape[1])
        factors[j] = 1 - t
        factors[others] += t * beta[: len(others)]
        factors[j if t == 1.0 else others[shrinks.argmin()]] = 0.0
        change = t * np.linalg.norm(basis @ beta - Q[:, j])
        if best is None or change < best[0]:
            best = (change, factors, t * beta[-1] if free else 0.0)
    return best


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("intercept", [0.0, -0.4])
@pytest.mark.parametrize("gated", [False, True])
def test_the_steps_beyond_the_vertex_are_those_of_a_naive_loop(seed, intercept, gated):
    network, X, y = random_network(seed, n=30, k=12, d=4, gated=gated, intercept=intercept)
    path = ro.prune(network, X, y, lam=0.1, to=0)
    assert path.exact_steps == 0
    assert path.widths.tolist() == list(range(12, -1, -1))
    Q = contributions(network.balance(), X)
    factors, shift = np.ones(12), intercept
    for step in range(1, 13):
        left = np.flatnonzero(factors)
        _, scaled, moved = naive_step(Q[:, left] * factors[left], intercept != 0)
        factors = np.zeros(12) + np.where(factors > 0, factors, 0)
        factors[left] *= scaled
        shift += moved
        assert path.factors[step] == pytest.approx(factors, rel=1e-9, abs=1e-12)
        assert path.intercepts[step] == pytest.approx(shift, rel=1e-9, abs=1e-12)


def test_nearly_dependent_neurons_do_not_spoil_the_downdates():
    # Removing one of a pair takes twelve digits off the diagonal of the inverse Gram matrix.
    rng = np.random.default_rng(0)
    columns = rng.standard_normal((40, 8))
    columns[:, 1] = columns[:, 0] + 1e-6 * columns[:, 1]
    columns[:, 3] = columns[:, 2] + 1e-6 * columns[:, 3]
    columns /= np.linalg.norm(columns, axis=0)
    sizes = rng.uniform(1, 2, 8)
    steps = least_squares_steps(columns, 8, sizes, 0)
    assert len(steps) == 8
    for before, after in zip([sizes, *steps], steps, strict=False):
        left = np.flatnonzero(before)
        change, factors, _ = naive_step(columns[:, left] * before[left], False)
        assert np.linalg.norm(columns @ (after - before)) == pytest.approx(change, rel=1e-5)
        assert after[left] == pytest.approx(factors * before[left], rel=1e-5, abs=1e-5)


def test_the_inverse_gram_matrix():
    columns = np.random.default_rng(0).standard_normal((9, 4))
    assert inverse_gram(columns) == pytest.approx(np.linalg.inv(columns.T @ columns))


# -- rank ----------------------------------------------------------------------------------


def kahan(k, s):
    """A matrix whose factor R has no small pivot although it is nearly singular."""
    c = np.sqrt(1 - s**2)
    return np.diag(s ** np.arange(k)) @ (np.eye(k) - c * np.triu(np.ones((k, k)), 1))


@pytest.mark.parametrize("rank", [1, 3, 7])
@pytest.mark.parametrize("gap", [0.0, 1e-13])
def test_null_space(rank, gap):
    rng = np.random.default_rng(rank)
    U, _ = np.linalg.qr(rng.standard_normal((20, 8)))
    V, _ = np.linalg.qr(rng.standard_normal((8, 8)))
    A = U * np.where(np.arange(8) < rank, 1.0, gap) @ V.T
    A /= np.linalg.norm(A, axis=0)
    rows = null_space(A, rng.uniform(1, 2, 8))
    assert rows.shape == (8 - rank, 8)
    assert np.linalg.matrix_rank(rows) == 8 - rank
    assert np.abs(A @ rows.T).max() <= 1e-11 * np.abs(rows).max()


def test_rank_in_doubt_goes_by_singular_values():
    columns = kahan(60, 0.7)
    columns = columns / np.linalg.norm(columns, axis=0)
    singular = np.linalg.svd(columns, compute_uv=False)
    rows = null_space(columns, np.arange(60.0))
    tilted = columns * (0.5 + 0.5 * np.arange(1, 61) / 60)
    values = np.linalg.svd(tilted, compute_uv=False)
    assert len(rows) == np.count_nonzero(values <= 1e-10 * values[0]) > 0
    assert singular[-1] < 1e-10
    for row in rows:
        assert np.linalg.norm(columns @ row) <= 1e-9 * np.linalg.norm(row)


def test_steps_that_would_change_the_fits_are_not_made():
    # Dependent to ten digits, and the contributions cancel to a few: the promise decides.
    rng = np.random.default_rng(0)
    direction, other = np.linalg.qr(rng.standard_normal((10, 2)))[0].T
    columns = np.column_stack([direction, -direction - 3e-11 * other])
    sizes = np.array([1e3, 1e3])
    steps, minimal = exact_steps(columns, 2, sizes, np.ones(2), 0, limit=1e-9)
    assert (steps, minimal) == ([], False)
    steps, minimal = exact_steps(columns, 2, sizes, np.ones(2), 0, limit=1e-7)
    assert len(steps) == 1
    assert minimal
    assert not steps[0].any()


# -- baselines -----------------------------------------------------------------------------


def naive_baseline(method, network, X, y, prog):
    """Widths and networks of a baseline by loops over whole networks."""
    left, kept = list(range(len(network))), []
    Q = contributions(network, X)
    kept.append(list(left))
    while left:
        fits = Q[:, left].sum(axis=1) + network.intercept
        slope = prog.loss.gradient(fits, y) * prog.sample_scale
        scores = {
            "magnitude": lambda j: np.linalg.norm(network.hidden[j]) * abs(network.output[j]),
            "activation": lambda j: np.linalg.norm(Q[:, j]),
            "gradient": lambda j, slope=slope: abs(slope @ Q[:, j]),
            "residual": lambda j, fits=fits: prog.mean_loss(fits - Q[:, j]),
        }
        left.remove(min(left, key=scores[method]))
        kept.append(list(left))
    return kept


@pytest.mark.parametrize("method", ["magnitude", "activation", "gradient", "residual"])
@pytest.mark.parametrize("loss", LOSSES, ids=str)
@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
def test_baselines_are_those_of_a_naive_loop(make_program, method, loss, activation):
    prog = make_program(2, n=15, loss=loss, activation=activation, weighted=True)
    gated = activation == "gated"
    network, _, _ = random_network(2, k=10, gated=gated)
    path = ro.prune(
        network, prog.X, prog.y, prog.lam, method, loss=loss, sample_weight=prog.sample_weight
    )
    balanced = path.start.network
    wanted = naive_baseline(method, balanced, prog.X, prog.y, prog)
    assert [np.flatnonzero(row).tolist() for row in path.factors] == wanted
    assert set(np.unique(path.factors)) == {0.0, 1.0}
    for step, left in enumerate(wanted):
        smaller = path.network(step)
        assert np.array_equal(smaller.hidden, balanced.hidden[left])
        value = smaller.objective(prog.X, prog.y, prog.lam, loss, prog.sample_weight)
        assert path.objectives[step] == pytest.approx(value, rel=1e-12)


def test_random_is_random_and_given_by_its_seed():
    network, X, y = random_network(0)
    first = ro.prune(network, X, y, lam=0.1, method="random", seed=1)
    again = ro.prune(network, X, y, lam=0.1, method="random", seed=1)
    other = ro.prune(network, X, y, lam=0.1, method="random", seed=2)
    assert np.array_equal(first.factors, again.factors)
    assert not np.array_equal(first.factors, other.factors)


@pytest.mark.parametrize("method", BASELINES)
def test_baselines_stop_at_to(method):
    network, X, y = random_network(0)
    whole = ro.prune(network, X, y, lam=0.1, method=method)
    path = ro.prune(network, X, y, lam=0.1, method=method, to=4)
    assert path.widths.tolist() == [9, 8, 7, 6, 5, 4]
    assert np.array_equal(path.factors, whole.factors[:6])
    assert path.exact_steps == 0
    with pytest.raises(DataError, match="method='optimal'"):
        _ = path.vertex


# -- the path ------------------------------------------------------------------------------


@pytest.fixture
def case():
    network, X, y = random_network(0, n=8, k=12, intercept=0.2)
    return ro.prune(network, X, y, lam=0.1, to=0), X, y


def test_networks_by_step_and_by_width(case):
    path, X, _ = case
    assert len(path) == len(path.widths)
    assert len(path.network(0)) == 12
    assert len(path.network(-1)) == len(path.at_width(0)) == 0
    assert np.array_equal(path.network(2).hidden, path.network(2 - len(path)).hidden)
    assert np.array_equal(path.at_width(99).hidden, path.network(0).hidden)
    assert len(path.at_width(6)) == 6
    norms = np.linalg.norm(path.network(3).hidden, axis=1)
    assert norms == pytest.approx(np.abs(path.network(3).output))
    for wrong in (len(path), -len(path) - 1, 1.0, True, None):
        with pytest.raises(DataError, match="step is"):
            path.network(wrong)
    with pytest.raises(DataError, match="width"):
        path.at_width(-1)
    short = ro.prune(path.network(0), X, np.zeros(8), lam=0.1)
    with pytest.raises(DataError, match="Prune with to=1"):
        short.at_width(1)


def test_scores(case):
    path, X, y = case
    scores = path.scores(X, y)
    labels = np.where(y > 0, 1.0, -1.0)
    accuracy = path.scores(X, labels)
    for step in range(len(path)):
        z = path.network(step).predict(X)
        assert scores[step] == pytest.approx(1 - ((y - z) ** 2).mean() / y.var())
        assert accuracy[step] == np.mean(np.where(z >= 0, 1, -1) == labels)
    assert path.scores(X, labels, "r2")[0] != accuracy[0]
    assert np.isnan(path.scores(X, np.full(8, 3.0))).all()
    with pytest.raises(DataError, match="Did you mean 'accuracy'"):
        path.scores(X, labels, "acuracy")
    with pytest.raises(DataError, match="labels"):
        path.scores(X, y, "accuracy")
    with pytest.raises(DataError, match="shape"):
        path.scores(X[:, :2], y)
    with pytest.raises(DataError, match="shape"):
        path.scores(X, y[:3])
    with pytest.raises(DataError, match="nan"):
        path.scores(X, y * np.nan)


def test_scores_of_many_rows_are_those_of_few(case, monkeypatch):
    path, X, y = case
    whole = path.scores(X, y)
    monkeypatch.setattr("relu_opt.pruning.pruning_path.CHUNK_ENTRIES", 30)
    assert path.scores(X, y) == pytest.approx(whole)


def test_losses_of_many_fits_are_those_of_few(case, monkeypatch):
    path, X, y = case
    monkeypatch.setattr("relu_opt.pruning.baselines.CHUNK_ENTRIES", 30)
    again = ro.prune(path.network(0), X, y, lam=0.1, to=0)
    assert again.losses == pytest.approx(path.losses)


@pytest.mark.parametrize("gated", [False, True])
def test_a_path_is_saved_and_loaded(tmp_path, gated):
    network, X, y = random_network(0, gated=gated, intercept=0.4)
    weight = np.linspace(1, 2, 6)
    path = ro.prune(network, X, y, lam=0.1, to=2, loss=ro.losses.Huber(0.3), sample_weight=weight)
    path.save(tmp_path / "path.npz")
    again = ro.PruningPath.load(tmp_path / "path.npz")
    for name in ("factors", "intercepts", "losses", "objectives", "widths", "rel_gaps"):
        assert np.array_equal(getattr(again, name), getattr(path, name)), name
    for name in ("method", "exact_steps", "minimal", "lower_bound", "scope"):
        assert getattr(again, name) == getattr(path, name), name
    assert repr(again) == repr(path)
    assert np.array_equal(again.vertex.predict(X), path.vertex.predict(X))
    cert = again.certify(1, X, y)
    assert cert.kkt == path.certify(1).kkt
    with pytest.raises(DataError, match="has no data"):
        again.certify(1)
    with pytest.raises(DataError, match="not the data of the pruning"):
        again.certify(1, X, y + 1)


def test_damaged_files_are_named(tmp_path, case):
    path, _, _ = case
    file = tmp_path / "path.npz"
    path.save(file)
    content = dict(np.load(file))
    damages = {
        "factors": [content["factors"][:, :3], -content["factors"], content["factors"] * np.nan],
        "losses": [content["losses"][:2]],
        "intercepts": [content["intercepts"] + np.inf, content["intercepts"].astype(int)],
        "meta": [np.array(str(content["meta"]).replace('"exact_steps": ', '"exact_steps": 9'))],
    }
    for name, values in damages.items():
        for value in values:
            np.savez(file, **{**content, name: value})
            with pytest.raises(DataError, match=r"path\.npz"):
                ro.PruningPath.load(file)
    del content["factors"]
    np.savez(file, **content)
    with pytest.raises(DataError, match="factors"):
        ro.PruningPath.load(file)
    path.start.save(file)
    with pytest.raises(DataError, match="'certificate'"):
        ro.PruningPath.load(file)


def test_a_bound_that_does_not_speak_of_the_network_is_none(make_program):
    prog = make_program(0, p=3)
    network, _, _ = random_network(0)
    start = ro.certify(prog, network)
    assert start.verdict == "inconclusive"
    path = prune_certified(prog, start, "magnitude", None)
    assert path.lower_bound == -np.inf
    assert (path.rel_gaps == np.inf).all()


def test_plot(case):
    matplotlib = pytest.importorskip("matplotlib")
    from matplotlib.figure import Figure

    path, X, y = case
    ax = Figure().subplots()
    assert path.plot(ax) is ax
    line, mark = ax.lines
    assert np.array_equal(line.get_ydata(), path.objectives)
    assert np.array_equal(line.get_xdata(), path.widths)
    assert mark.get_xdata()[0] == len(path.vertex)
    assert ax.xaxis_inverted()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("neurons", "objective")
    baseline = ro.prune(path.network(0), X, y, lam=0.1, method="magnitude")
    baseline.plot(ax, X, y)
    assert ax.xaxis_inverted()
    assert np.array_equal(ax.lines[-1].get_ydata(), baseline.scores(X, y))
    assert ax.get_ylabel() == "R²"
    path.plot(ax, X, np.sign(y))
    assert ax.get_ylabel() == "accuracy"
    matplotlib.use("agg")
    new = path.plot()
    assert new.figure is not ax.figure
    from matplotlib import pyplot

    pyplot.close(new.figure)
    with pytest.raises(DataError, match="go together"):
        path.plot(ax, X)


def test_without_matplotlib_a_plot_says_what_to_install(case, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(BackendUnavailable, match="relu-opt\\[plot\\]"):
        case[0].plot()


# -- what cannot be pruned -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"method": "magnitud"}, "Did you mean 'magnitude'"),
        ({"method": None}, "Unknown method"),
        ({"to": -1}, "to is -1"),
        ({"to": 2.0}, "to is 2.0"),
        ({"seed": -1}, "seed is -1"),
        ({"lam": 0.0}, "lam is 0"),
        ({"lam": None}, "lam missing"),
        ({"X": None, "y": None}, "X and y missing"),
        ({"y": np.zeros(5)}, "y has 5 values"),
        ({"y": np.array([np.nan] * 6)}, "y holds nan"),
        ({"X": np.zeros((6, 2))}, "takes 3"),
        ({"X": np.full((6, 3), np.inf)}, "X holds inf"),
        ({"loss": "square"}, "Did you mean 'squared'"),
        ({"loss": "logistic"}, "labels"),
        ({"sample_weight": -np.ones(6)}, "sample_weight"),
        ({"tol": 0}, "tol is 0"),
        ({"network": "net"}, "network is a str"),
    ],
)
def test_bad_arguments_are_named(change, part):
    network, X, y = random_network(0)
    with pytest.raises(DataError, match=part):
        ro.prune(**{"network": network, "X": X, "y": y, "lam": 0.1, **change})


def test_a_solution_comes_alone(make_program):
    sol = ro.solve(make_program(0))
    for extra in (
        {"X": sol.program.X},
        {"lam": 1.0},
        {"loss": "squared"},
        {"intercept": False},
        {"tol": 1e-8},
    ):
        with pytest.raises(DataError, match="brings its own"):
            ro.prune(sol, **extra)
    with pytest.raises(DataError, match="Unknown method"):
        ro.prune(sol, method="best")


def test_the_path_checks_itself(case):
    path, _, _ = case
    with pytest.raises(DataError, match="exact_steps"):
        replace(path, exact_steps=len(path))
    with pytest.raises(DataError, match="factors has shape"):
        replace(path, factors=path.factors[:, 1:])
