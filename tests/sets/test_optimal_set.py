"""The optimal set against symmetry, brute force and finite samples."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.optimize import linprog, nnls
from scipy.stats import ks_2samp, kstest, ortho_group
from symmetric import all_vertices, crosspolytope, same_points

import relu_opt as ro
from relu_opt.errors import DataError, DoubtWarning, NotCertified

LOSSES = ["squared", "logistic", "squared_hinge", "huber", "poisson"]


def set_of(prog, **options):
    return ro.optimal_set(ro.solve(prog, tol=1e-12), **options)


def alphas(S, networks):
    """The sizes α of networks of the set, by matching directions."""
    result = np.zeros((len(networks), len(S.signs)))
    for row, network in zip(result, networks, strict=True):
        blocks = network.hidden * np.abs(network.output)[:, None]
        for block, sign in zip(blocks, np.sign(network.output), strict=True):
            size = np.linalg.norm(block)
            same = np.abs(S.directions / S.program.lam - block / size).max(axis=1) < 1e-7
            j = np.flatnonzero(same & (S.signs == sign))
            assert len(j) == 1
            row[j[0]] += size / S.program.lam
    return result


def check_element(S, network):
    """What every returned network has to fulfil."""
    prog = S.program
    assert isinstance(network, ro.proof.CertifiedNetwork)
    proof = network.certificate
    assert proof.verdict == "certified"
    assert proof.rel_gap <= 1e-8
    assert proof.objective == pytest.approx(
        network.objective(prog.X, prog.y, prog.lam, prog.loss, prog.sample_weight), rel=1e-12
    )
    assert S.contains(network)
    if prog.loss.name in ("squared", "logistic"):
        np.testing.assert_allclose(
            network.predict(prog.X), S.vertex().predict(prog.X), rtol=0, atol=1e-8
        )


# -- sets that are known -------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("pairs", [2, 3])
def test_the_cross_polytope(pairs, loss, activation):
    rotation = ortho_group.rvs(pairs, random_state=pairs)
    targets = np.full(pairs, 3.0 if loss == "poisson" else 1.0)
    S = set_of(crosspolytope(targets, loss, activation, rotation=rotation))
    corners = 2**pairs
    assert len(S.signs) == corners
    assert S.network_dim == S.convex_dim == corners - pairs - 1
    assert not S.is_unique
    assert "Not unique" in S.reason
    assert S.support.all()
    known = np.array(list(itertools.product((-1, 1), repeat=pairs))) / np.sqrt(pairs) @ rotation
    assert same_points(S.directions / S.program.lam, known)
    total = S.alpha.sum()
    ranges = S.neuron_ranges()
    np.testing.assert_allclose(ranges.lower, 0, atol=1e-9 * total)
    np.testing.assert_allclose(ranges.upper, total / 2, rtol=1e-9)
    assert not ranges.always_on.any()
    assert not ranges.always_off.any()
    narrowest = S.narrowest()
    assert (narrowest.neurons, narrowest.lower_bound, narrowest.proved) == (2, 2, True)
    check_element(S, narrowest.network)


@pytest.mark.parametrize("loss", ["squared", "huber"])
def test_neurons_that_several_blocks_hold(loss):
    S = set_of(crosspolytope([1.0, 0.8, -0.7], loss))
    # Sign +: 4 neurons, each on the boundary of 2 cones; sign −: 2 neurons in 4 cones each.
    assert (len(S.signs), len(S.found.blocks)) == (6, 16)
    assert sorted(S.found.copies()) == [2, 2, 2, 2, 4, 4]
    assert (S.network_dim, S.convex_dim, S.merged_blocks) == (1, 11, 10)
    ranges = S.neuron_ranges()
    minus = S.signs < 0
    assert ranges.always_on.tolist() == minus.tolist()
    np.testing.assert_allclose(ranges.lower[minus], ranges.upper[minus], rtol=1e-9)


def brute(S):
    """All vertices, in α."""
    target = S.fits @ S.alpha
    return all_vertices(S.fits, target)


@pytest.mark.parametrize("targets", [[1, 1], [1, 0.5, 2], [1, 0.8, -0.7], [1, -1, 0.6]])
def test_vertices_and_every_question_against_brute_force(targets):
    S = set_of(crosspolytope(targets))
    vertices = brute(S)
    found = S.vertices()
    assert same_points(alphas(S, found), vertices, 1e-6)
    for network in found:
        check_element(S, network)
    scale = S.alpha.sum()
    ranges = S.neuron_ranges()
    np.testing.assert_allclose(ranges.lower, vertices.min(axis=0), atol=1e-8 * scale)
    np.testing.assert_allclose(ranges.upper, vertices.max(axis=0), atol=1e-8 * scale)
    Xq = np.random.default_rng(0).standard_normal((7, len(targets)))
    predictions = np.array([network.predict(Xq) for network in found])
    P = S.prediction_range(Xq)
    np.testing.assert_allclose(P.lower, predictions.min(axis=0), atol=1e-8)
    np.testing.assert_allclose(P.upper, predictions.max(axis=0), atol=1e-8)
    np.testing.assert_allclose(P.lower_bound, P.lower, atol=1e-7)
    np.testing.assert_allclose(P.upper_bound, P.upper, atol=1e-7)
    assert (P.lower_bound <= P.lower).all()
    assert (P.upper_bound >= P.upper).all()
    flips = (predictions.min(axis=0) < 0) & (predictions.max(axis=0) >= 0)
    assert P.can_flip.tolist() == flips.tolist()
    widths = (vertices > 1e-8 * scale).sum(axis=1)
    narrowest = S.narrowest()
    assert (narrowest.neurons, narrowest.proved) == (widths.min(), True)
    l1 = np.abs(S.directions).sum(axis=1)
    for which, best in (("l1", (vertices @ l1).min()), ("max_l1", (vertices @ l1).max())):
        got = alphas(S, [S.extreme(which)])[0]
        assert got @ l1 == pytest.approx(best, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_extremes_min_norm_and_tuning_against_other_solvers(seed):
    rng = np.random.default_rng(seed)
    S = set_of(crosspolytope(rng.uniform(0.5, 2, 3)))
    A, b, k = S.fits, S.fits @ S.alpha, len(S.signs)
    scale = S.alpha.sum()
    # linf and max_min with scipy's own linear programs.
    eye, ones = np.eye(k), np.ones((k, 1))
    for which, sign in (("linf", 1.0), ("max_min", -1.0)):
        best = linprog(
            np.append(np.zeros(k), sign),
            A_ub=sign * np.hstack([eye, -ones]),
            b_ub=np.zeros(k),
            A_eq=np.hstack([A, np.zeros((len(b), 1))]),
            b_eq=b,
        ).x[-1]
        got = alphas(S, [S.extreme(which)])[0]
        assert (got.max() if which == "linf" else got.min()) == pytest.approx(best, rel=1e-6)
    # The least-norm point by a heavily weighted non-negative least-squares problem.
    heavy = 1e4
    expected = nnls(np.vstack([heavy * A, np.eye(k)]), np.append(heavy * b, np.zeros(k)))[0]
    got = alphas(S, [S.min_norm()])[0]
    np.testing.assert_allclose(got, expected, atol=1e-4 * scale)
    Xv, yv = rng.standard_normal((9, 3)), rng.standard_normal(9)
    tuned = S.tune(Xv, yv)
    check_element(S, tuned)
    V = np.maximum(Xv @ S.directions.T, 0) * S.signs
    expected = nnls(np.vstack([heavy * A, V]), np.append(heavy * b, yv))[0]
    error, least = tuned.predict(Xv) - yv, V @ expected - yv
    assert error @ error <= least @ least * (1 + 1e-6)


@pytest.mark.parametrize("pairs", [5, 6, 7, pytest.param(8, marks=pytest.mark.slow)])
def test_the_narrowest_of_many(pairs):
    # Two opposite neurons of half the weight each, which is the most that either can have.
    S = set_of(crosspolytope(np.linspace(1, 2, pairs)))
    assert len(S.signs) == 2**pairs
    narrowest = S.narrowest()
    assert (narrowest.neurons, narrowest.lower_bound) == (2, 2)
    pruned = ro.prune(S.sample(1)[0], S.program.X, S.program.y, lam=S.program.lam).vertex
    assert len(pruned) >= 2
    assert len(S.vertex()) >= 2


# -- sampling ------------------------------------------------------------------------------


def test_samples_of_a_segment_are_uniform():
    S = set_of(crosspolytope([1.0, 1.0]))
    sample = alphas(S, S.sample(400, seed=1))[:, 0] / (S.alpha.sum() / 2)
    assert kstest(sample, "uniform").pvalue > 1e-3


def test_samples_of_a_polytope_are_uniform():
    S = set_of(crosspolytope([1.0, 0.7, 1.5]))
    vertices = brute(S)
    # Uniform points by rejection from a box round the polytope, in coordinates of its plane.
    centre = vertices.mean(axis=0)
    basis = np.linalg.svd(vertices - centre)[2][:4]
    corners = (vertices - centre) @ basis.T
    rng = np.random.default_rng(0)
    boxed = rng.uniform(corners.min(axis=0), corners.max(axis=0), (40_000, 4))
    points = centre + boxed @ basis
    reference = points[(points >= 0).all(axis=1)]
    assert len(reference) > 300
    sample = alphas(S, S.sample(400, seed=2))
    for functional in rng.standard_normal((6, len(S.signs))):
        assert ks_2samp(sample @ functional, reference @ functional).pvalue > 1e-3


def test_samples_are_reproducible_and_certified():
    S = set_of(crosspolytope([1.0, 1.0, -1.0]))
    first, again, other = S.sample(5, seed=3), S.sample(5, seed=3), S.sample(5, seed=4)
    for a, b in zip(first, again, strict=True):
        np.testing.assert_array_equal(a.hidden, b.hidden)
        check_element(S, a)
    assert any(not np.array_equal(a.hidden, b.hidden) for a, b in zip(first, other, strict=True))


# -- membership ----------------------------------------------------------------------------


def test_membership_sees_small_changes():
    S = set_of(crosspolytope([1.0, 1.0, 0.5]))
    network = S.sample(1)[0]
    assert S.contains(network)
    permuted = ro.ReLUNetwork(network.hidden[::-1], network.output[::-1])
    assert S.contains(permuted)
    halves = ro.ReLUNetwork(
        np.vstack([network.hidden, network.hidden]) / np.sqrt(2),
        np.append(network.output, network.output) / np.sqrt(2),
    )
    assert S.contains(halves)
    unbalanced = ro.ReLUNetwork(3 * network.hidden, network.output / 3)
    assert S.contains(unbalanced)
    for change in (1e-6, 1e-3):
        turned = network.hidden.copy()
        turned[0, 0] += change
        answer = S.contains(ro.ReLUNetwork(turned, network.output))
        assert not answer
        assert "directions" in answer.reason
        larger = S.contains(ro.ReLUNetwork(network.hidden * (1 + change), network.output))
        assert not larger
        assert "predictions" in larger.reason
        assert larger.fit_difference > 0


def test_a_gated_neuron_has_its_gate():
    S = set_of(crosspolytope([1.0, 1.0], activation="gated"))
    network = S.vertex()
    assert S.contains(network)
    flipped = ro.ReLUNetwork(-network.hidden, -network.output, gates=network.gates)
    assert S.contains(flipped)
    wrong = ro.ReLUNetwork(network.hidden, network.output, gates=-network.gates)
    assert not S.contains(wrong)


# -- generic data, and the edges -----------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
def test_generic_data_have_one_network(make_program, loss, activation, intercept):
    prog = make_program(n=14, d=3, p=12, loss=loss, activation=activation, intercept=intercept)
    S = set_of(prog)
    assert S.is_unique == (S.network_dim == 0)
    assert S.convex_dim >= S.network_dim
    for network in (S.vertex(), S.min_norm(), S.extreme("l1"), S.narrowest().network):
        check_element(S, network)
    assert len(S.doubtful) == 0
    if S.is_unique:
        assert "Unique" in S.reason
        P = S.prediction_range(prog.X)
        np.testing.assert_array_equal(P.lower, P.upper)
        assert not P.can_flip.any()
        assert len(S.vertices()) == 1


def test_flat_losses_leave_the_fits_free():
    # Margins beyond one cost nothing, so that the fit of a sample may move.
    X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    prog = ro.ConvexProgram(
        X, [1.0, 1.0, 1.0], 0.02, ro.enumerate_patterns(X), loss="squared_hinge"
    )
    S = set_of(prog)
    margins = S.vertex().predict(X)
    assert margins[2] > 1.0
    check_element(S, S.vertex())


def test_the_zero_network(make_program):
    prog = make_program(n=8, d=2, p=5)
    S = set_of(prog.with_lam(1.01 * prog.lam_max))
    assert (len(S.signs), S.network_dim, S.convex_dim, S.is_unique) == (0, 0, 0, True)
    assert "lam_max" in S.reason
    assert len(S.vertex()) == len(S.min_norm()) == S.narrowest().neurons == 0
    assert [len(network) for network in S.vertices()] == [0]
    P = S.prediction_range(prog.X)
    assert not P.upper.any()


def test_doubts_are_reported():
    prog = crosspolytope([1.0, 1.0, 1.0])
    X = prog.X.copy()
    X += 1e-8 * np.random.default_rng(0).random(X.shape)
    near = ro.ConvexProgram(X, prog.y, prog.lam, prog.patterns)
    with pytest.warns(DoubtWarning, match="left out"):
        S = set_of(near)
    assert len(S.doubtful) or S.polytope.doubtful_rank


def test_a_loose_solution_is_solved_on_and_a_bad_one_refused(make_program):
    prog = make_program(n=14, d=3, p=12)
    loose = ro.solve(prog, tol=1e-3)
    S = ro.optimal_set(loose)
    check_element(S, S.vertex())
    with pytest.raises(DataError, match="Solution is needed"):
        ro.optimal_set(prog)
    stopped = ro.solve(prog, options={"max_iter": 1}, tol=1e-12)
    assert ro.optimal_set(stopped).is_unique == S.is_unique


def test_bad_questions(make_program):
    S = set_of(make_program(n=10, d=2, p=6))
    with pytest.raises(DataError, match="columns"):
        S.prediction_range(np.ones((3, 5)))
    with pytest.raises(DataError, match="nan"):
        S.prediction_range(np.full((1, 2), np.nan))
    with pytest.raises(DataError, match="extreme"):
        S.extreme("l3")
    with pytest.raises(DataError, match="rows"):
        S.tune(np.ones((3, 2)), np.ones(4))
    with pytest.raises(DataError, match="limit"):
        S.vertices(limit=0)
    with pytest.raises(DataError, match="count"):
        S.sample(0)


def test_too_many_vertices():
    S = set_of(crosspolytope([1.0, 1.0, 1.0]))
    assert len(S.vertices(limit=6)) == 6
    with pytest.raises(DataError, match="more than 3 vertices"):
        S.vertices(limit=3)


def test_backends_agree():
    prog = crosspolytope([1.0, 0.6, -0.8])
    solution = ro.solve(prog, tol=1e-12)
    Xq = np.random.default_rng(1).standard_normal((4, 3))
    answers = [ro.optimal_set(solution, backend=name) for name in ("highs", "native", "auto")]
    ranges = [S.prediction_range(Xq) for S in answers]
    for other in ranges[1:]:
        np.testing.assert_allclose(other.lower, ranges[0].lower, atol=1e-8)
        np.testing.assert_allclose(other.upper, ranges[0].upper, atol=1e-8)


def test_an_element_that_cannot_be_certified_is_not_returned():
    S = set_of(crosspolytope([1.0, 1.0]))
    with pytest.raises(NotCertified):
        S.element(S.polytope.start * 1.01)


# Where a neuron has just entered: the seed, λ/λ_max, and the neurons that are on. In the first a
# neuron is about to go over to the cone next to it, and its twin there differs by 1e-5; in the
# second its block has 2e-4 of the weight and, at a gap of 4e-14, a slack of 1.1e-9.
ENTERED = [(14, 0.020277613501294915, 8), (17, 0.47772467645115646, 2)]


@pytest.mark.parametrize(("seed", "ratio", "on"), ENTERED)
def test_the_set_is_told_where_a_neuron_has_just_entered(seed, ratio, on):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(8, 21)), int(rng.integers(2, 5))
    X, y = rng.standard_normal((n, d)), rng.standard_normal(n)
    prog = ro.ConvexProgram(X, y, 1.0, ro.sample_patterns(X, 6, seed=seed))
    prog = prog.with_lam(ratio * prog.lam_max)
    found = ro.optimal_set(ro.solve(prog))
    assert (int(found.support.sum()), found.network_dim, len(found.doubtful)) == (on, 0, 0)
    assert len(found.min_norm()) == on
