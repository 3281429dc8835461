"""Interpolation at the least cost, and the fewest neurons, against programs of other code."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, combinations_with_replacement, product

import numpy as np
import pytest
from scipy.optimize import linprog

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.plugins.manager import observe
from relu_opt.train.interpolation.least_cost_face import Face, polished_dual
from relu_opt.train.interpolation.least_cost_network import (
    conic_program,
    solve_conic,
    unit_program,
)

T1_X = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
T1_Y = np.array([1.0, -1.0, 2.0, 0.5])


def random_data(n, seed, d=2):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal(n)


def blocks_of(X):
    """(mask, sign) of every block."""
    masks = ro.enumerate_patterns(X).masks.T
    return list(product(masks, (1.0, -1.0)))


def brute_force_l0(X, y, most):
    """The least k for which a multiset of k blocks has a feasible linear program."""
    n, d = X.shape
    for k in range(1, most + 1):
        for chosen in combinations_with_replacement(blocks_of(X), k):
            fits = np.hstack([s * mask[:, None] * X for mask, s in chosen])
            cones = np.zeros((k * n, k * d))
            for j, (mask, _) in enumerate(chosen):
                part = np.where(mask, -1.0, 1.0)[:, None] * X
                cones[j * n : (j + 1) * n, j * d : (j + 1) * d] = part
            found = linprog(np.zeros(k * d), cones, np.zeros(k * n), fits, y, bounds=(None, None))
            if found.status == 0:
                return k
    return None


def least_cost(X, y, chosen):
    """min Σ‖u_j‖ over some blocks by cvxpy's own atoms; inf if they cannot fit."""
    import cvxpy as cp

    total, cost, constraints = 0, 0, []
    for mask, s in chosen:
        u = cp.Variable(X.shape[1])
        total = total + s * (mask[:, None] * X) @ u
        cost = cost + cp.norm(u, 2)
        constraints.append(np.where(mask, 1.0, -1.0)[:, None] * X @ u >= 0)
    problem = cp.Problem(cp.Minimize(cost), [*constraints, total == y])
    problem.solve(solver=cp.CLARABEL)
    return problem.value if problem.status in ("optimal", "optimal_inaccurate") else np.inf


# -- interpolation at the least cost -----------------------------------------------------------


def test_oracle_t1():
    found = ro.interpolation.minimum_norm_interpolant(T1_X, T1_Y)
    assert found.cost == pytest.approx(4.40956599, abs=5e-8)
    assert found.rel_gap < 1e-12
    assert found.residual < 1e-13
    assert found.network.predict(T1_X) == pytest.approx(T1_Y, abs=1e-13)
    assert found.network.penalty() <= found.cost
    assert found.network.penalty() == pytest.approx(found.cost, rel=1e-14)


@pytest.mark.parametrize("seed", range(4))
def test_least_cost_equals_an_independent_model(seed):
    X, y = random_data(5, seed, d=2 + seed % 2)
    found = ro.interpolation.minimum_norm_interpolant(X, y)
    assert found.cost == pytest.approx(least_cost(X, y, blocks_of(X)), rel=1e-6)


@pytest.mark.parametrize("seed", range(4))
def test_the_dual_point_is_feasible_on_a_fine_grid_of_directions(seed):
    """M(ν) = max |νᵀ(Xu)_+| ≤ 1, and νᵀy is the cost."""
    X, y = random_data(6, seed)
    found = ro.interpolation.minimum_norm_interpolant(X, y)
    angles = np.linspace(0, 2 * np.pi, 200_001)
    circle = np.array([np.cos(angles), np.sin(angles)])
    largest = np.abs(found.nu @ np.maximum(X @ circle, 0)).max()
    assert 1 - 1e-4 < largest <= 1 + 1e-12
    assert found.nu @ y == pytest.approx(found.cost, rel=1e-11)
    # The multipliers prove it block by block, without any projection.
    masks = found.patterns.masks.T
    pieces = found.multipliers.pieces()
    for block, (s, mask) in enumerate(product((1.0, -1.0), masks)):
        vector = s * X.T @ (mask * found.nu)
        if block in pieces:
            rows, rho = pieces[block]
            assert (rho >= 0).all()
            vector = vector + (rho * np.where(mask[rows], 1.0, -1.0)) @ X[rows]
        assert np.linalg.norm(vector) <= 1 + 1e-12


def test_scaling_targets_and_data_scales_the_cost():
    X, y = random_data(5, 3)
    cost = ro.interpolation.minimum_norm_interpolant(X, y).cost
    assert ro.interpolation.minimum_norm_interpolant(1e3 * X, 1e-4 * y).cost == pytest.approx(
        1e-7 * cost
    )


def test_it_is_the_limit_of_training():
    found = ro.interpolation.minimum_norm_interpolant(T1_X, T1_Y)
    prog = ro.ConvexProgram(T1_X, T1_Y, 1e-5, ro.enumerate_patterns(T1_X))
    assert ro.solve(prog, tol=1e-10).objective / 1e-5 == pytest.approx(found.cost, rel=1e-3)


def test_sampled_patterns_are_no_proof():
    """The trap: with few patterns the sub-problem looks optimal, and costs more than the least."""
    X, y = random_data(6, 1, d=3)
    full = ro.interpolation.minimum_norm_interpolant(X, y)
    few = unit_program(X, y, ro.sample_patterns(X, n_gates=8, seed=0))
    weights, nu = solve_conic(few)
    cost = np.linalg.norm(weights, axis=2).sum()
    assert nu @ y == pytest.approx(cost, rel=1e-6)
    assert cost == pytest.approx(1.192 * full.cost, rel=1e-3)
    every = few.with_patterns(ro.enumerate_patterns(X))
    assert (len(few.patterns), len(every.patterns)) == (6, 32)
    blocks = np.arange(2 * len(every.patterns))
    largest = np.linalg.norm(every.project(every.correlations(nu), blocks).points, axis=1).max()
    assert largest > 1.5
    assert nu @ y / largest <= full.cost * (1 + 1e-6)


def test_raw_blocks_of_a_conic_solver_are_not_sparse(clarabel_solution):
    """The trap: more non-zero blocks than the network has neurons. Prune before counting."""
    prog = unit_program(T1_X, T1_Y, ro.enumerate_patterns(T1_X))
    x, _ = clarabel_solution(conic_program(prog)[0], tol=1e-8)
    norms = np.linalg.norm(x[: 2 * len(prog.patterns) * 2].reshape(-1, 2), axis=1)
    raw = int((norms > 1e-7 * norms.max()).sum())
    assert raw > ro.interpolation.sparsest_interpolant(T1_X, T1_Y).l1 == 3


@pytest.mark.parametrize(
    ("X", "y"),
    [
        ([[1.0, 0.0], [2.0, 0.0]], [1.0, 1.0]),
        ([[0.0, 0.0], [2.0, 0.0]], [1.0, 1.0]),
        ([[1.0], [2.0], [-1.0]], [1.0, 1.0, 1.0]),
    ],
)
def test_targets_that_no_network_has(X, y):
    for ask in (ro.interpolation.minimum_norm_interpolant, ro.interpolation.sparsest_interpolant):
        with pytest.raises(DataError, match="No network has these targets") as caught:
            ask(X, y)
        assert caught.value.fields["residual"] > 0.1


def test_programs_that_are_too_large_are_refused_before_anything_is_listed():
    X, y = np.random.default_rng(0).standard_normal((200, 5)), np.ones(200)
    with pytest.raises(DataError, match="patterns") as caught:
        ro.interpolation.minimum_norm_interpolant(X, y)
    assert caught.value.fields["patterns"] > 10**7
    with pytest.raises(DataError, match="sets"):
        ro.interpolation.sparsest_interpolant(X, y)


# -- the fewest neurons ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "count", "cost"),
    [((1, 2, 3), 1, 3.74166), ((1, -2, 3), 2, 5.16228), ((-1, -1, 0), 1, 1.41421)],
)
def test_whitened_rows_are_always_equivalent(y, count, cost):
    found = ro.interpolation.sparsest_interpolant(np.eye(3), y)
    assert (found.l0, found.l1, found.equivalent) == (count, count, True)
    assert found.cost == pytest.approx(cost, abs=5e-6)
    assert found.is_unique
    assert found.recovery.is_unique


def check(found, X, y):
    """Both networks fit with as many neurons as is said; the costs are in order."""
    for network, count in ((found.sparsest, found.l0), (found.least_norm.network, found.l1)):
        assert len(network) == count
        assert network.predict(X) == pytest.approx(y, abs=1e-9 * np.abs(y).max())
    assert found.sparsest.penalty() >= found.cost * (1 - 1e-9)
    assert found.least_norm.rel_gap < 1e-9
    assert found.equivalent == (found.l0 == found.l1)
    assert found.l0 <= found.l1


# Seeds and their (l0, l1), all of which brute force gives again.
GENERIC = {0: (3, 3), 1: (2, 3), 2: (2, 3), 5: (3, 4)}


@pytest.mark.parametrize("seed", GENERIC)
def test_generic_data_are_not_equivalent_in_general(seed):
    X, y = random_data(4, seed)
    found = ro.interpolation.sparsest_interpolant(X, y)
    assert (found.l0, found.l1) == GENERIC[seed]
    check(found, X, y)
    assert found.programs < 10 < found.sets


@pytest.mark.parametrize("seed", GENERIC)
def test_fewest_neurons_by_brute_force_over_multisets(seed):
    assert brute_force_l0(*random_data(4, seed), 3) == GENERIC[seed][0]


def brute_force_l1(X, y, cost):
    """The least k for which some k blocks fit at the least cost."""
    for k in range(1, len(y) + 1):
        for chosen in combinations(blocks_of(X), k):
            # A target needs a block of its sign that is active there.
            covered = [any(m[i] and s * y[i] > 0 for m, s in chosen) for i in np.flatnonzero(y)]
            if all(covered) and least_cost(X, y, chosen) <= cost * (1 + 1e-5):
                return k
    return None


@pytest.mark.parametrize("seed", [0, 1, 2, pytest.param(5, marks=pytest.mark.slow)])
def test_fewest_neurons_at_the_least_cost_by_brute_force(seed):
    X, y = random_data(4, seed)
    cost = least_cost(X, y, blocks_of(X))
    assert brute_force_l1(X, y, cost) == GENERIC[seed][1]


def test_five_rows():
    X, y = random_data(5, 2)
    found = ro.interpolation.sparsest_interpolant(X, y)
    assert (found.l0, found.l1) == (3, 4)
    check(found, X, y)


def test_more_than_one_network_of_least_cost():
    """Six neurons in three antipodal pairs, and five rows: a segment of networks."""
    X, y = random_data(5, 0)
    found = ro.interpolation.sparsest_interpolant(X, y)
    assert not found.is_unique
    assert not found.recovery.is_unique
    prog = unit_program(X, y, ro.enumerate_patterns(X))
    face = Face.of(prog, polished_dual(prog, *solve_conic(prog)))
    assert face.columns.shape == (5, 6)
    assert face.doubtful == 0
    assert sorted(face.signs) == [-1, -1, -1, -1, 1, 1]
    check(found, X, y)


def test_planted_neurons_are_found():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((5, 2))
    y = np.maximum(X @ [1.0, 0.4], 0) - 2 * np.maximum(X @ [-0.3, 1.0], 0)
    found = ro.interpolation.sparsest_interpolant(X, y)
    assert found.l0 <= 2
    check(found, X, y)


def test_the_cheap_check_says_what_it_speaks_of():
    found = ro.interpolation.sparsest_interpolant(np.eye(3), [1, 2, 3]).recovery
    assert found.is_unique
    assert found.sparsest_in_dictionary
    assert found.spark == 3
    assert "neurons of other directions may" in found.statement
    assert found.margin > 0
    assert found.independent
    # l0 = 2 < l1 = 3: unique at the least cost, and not sparsest.
    generic = ro.interpolation.sparsest_interpolant(*random_data(4, 1)).recovery
    assert generic.is_unique
    assert not generic.sparsest_in_dictionary


def test_the_count_is_guarded_before_the_search():
    X, y = random_data(5, 4)
    with pytest.raises(DataError, match="sets of blocks") as caught:
        ro.interpolation.sparsest_interpolant(X, y, max_sets=1000)
    assert caught.value.fields["sets"] > 1000
    assert caught.value.fields["limit"] == 1000


def test_observers_are_told_and_an_interrupt_ends_the_search():
    X, y = random_data(5, 4)
    seen = []
    with observe(seen.append):
        ro.interpolation.sparsest_interpolant(X, y)
    assert any(event.task == "sparsity" and "blocks" in event.message for event in seen)

    def interrupt(event):
        if event.task == "sparsity":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), observe(interrupt):
        ro.interpolation.sparsest_interpolant(X, y)


def test_targets_of_zero():
    found = ro.interpolation.sparsest_interpolant(T1_X, np.zeros(4))
    assert (found.l0, found.l1, found.cost) == (0, 0, 0.0)


@pytest.mark.parametrize(
    ("X", "y"),
    [
        ([[np.nan, 1.0]], [1.0]),
        (T1_X, [1.0, 2.0]),
        (T1_X, [1.0, 2.0, np.inf, 0.0]),
        (T1_X[0], [1.0]),
    ],
)
def test_bad_data_are_refused(X, y):
    for ask in (ro.interpolation.minimum_norm_interpolant, ro.interpolation.sparsest_interpolant):
        with pytest.raises(DataError):
            ask(X, y)


# -- what somebody else can check ----------------------------------------------------------


def lightest(seed, scale=1.0):
    """A network of least cost on random data with a bias, with its data."""
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.standard_normal((6, 2)), np.ones(6)])
    y = scale * rng.standard_normal(6)
    return ro.interpolation.minimum_norm_interpolant(X, y), X, y


@pytest.mark.parametrize("scale", [1.0, 2.0**20])
@pytest.mark.parametrize("seed", range(3))
def test_the_least_cost_is_re_checked_by_verify(tmp_path, seed, scale):
    found, X, y = lightest(seed, scale)
    proof = found.certificate
    assert ro.verify(found, X, y).valid
    proof.save(tmp_path / "c.npz")
    checked = ro.verify(tmp_path / "c.npz", X, y, scope="all", lam=proof.lam)
    assert checked.valid
    # What it says of the cost: no network that fits exactly is cheaper than the bound over lam.
    assert checked.lower_bound / proof.lam <= found.lower_bound * (1 + 1e-12)
    assert checked.lower_bound / proof.lam >= found.cost * (1 - 2e-7)
    other = y.copy()
    other[0] *= 1 + 1e-6
    assert ro.verify(found, X, other).verdict == "invalid"


def test_a_dearer_network_does_not_pass_for_the_cheapest():
    found, X, y = lightest(0)
    hidden, output = found.network.hidden, found.network.output
    twice = ro.ReLUNetwork(np.vstack([hidden, hidden]), np.r_[1.001 * output, -0.001 * output])
    np.testing.assert_allclose(twice.predict(X), y)
    dearer = replace(found, network=twice.balance(), cost=twice.balance().penalty())
    assert not ro.verify(dearer, X, y).valid


def test_interpolants_of_spike_free_data_and_of_nothing_are_re_checked():
    G = np.array([[1, -0.5, -0.3], [-0.5, 1, -0.3], [-0.3, -0.3, 1]])
    X, y = np.linalg.cholesky(np.linalg.inv(G)), np.array([1.0, 10.0, -3.0])
    found = ro.interpolation.minimum_norm_interpolant(X, y)
    assert found.coverage == "spike_free"
    assert ro.verify(found, X, y).valid
    assert ro.verify(ro.interpolation.minimum_norm_interpolant(X, 0 * y), X, 0 * y).valid


def test_the_fewest_neurons_are_a_claim_and_their_cost_is_proved():
    rng = np.random.default_rng(1)
    X, y = rng.standard_normal((4, 2)), rng.standard_normal(4)
    found = ro.interpolation.sparsest_interpolant(X, y)
    assert ro.verify(found.least_norm, X, y).valid
    with pytest.raises(DataError, match="carries no proof"):
        ro.verify(found, X, y)


@pytest.mark.parametrize("power", [-60, 300])
def test_the_fewest_neurons_do_not_depend_on_units(power):
    rng = np.random.default_rng(7)
    X, y = rng.standard_normal((3, 2)), rng.standard_normal(3)
    here, there = (
        ro.interpolation.sparsest_interpolant(X, y),
        ro.interpolation.sparsest_interpolant(X, np.ldexp(y, power)),
    )
    assert (there.l0, there.l1, there.is_unique) == (here.l0, here.l1, here.is_unique)
    assert there.cost == np.ldexp(here.cost, power)
    misfit = there.sparsest.predict(X) - np.ldexp(y, power)
    assert np.abs(misfit).max() <= 1e-12 * np.abs(np.ldexp(y, power)).max()
