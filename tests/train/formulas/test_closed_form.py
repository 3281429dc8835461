"""Formulas against convex programs over all patterns, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.train.formulas.spike_free import interpolation_margin, spike_free_interpolation

RANK_ONE_C, RANK_ONE_A = np.array([1, -2, 0.5, 3]), np.array([1, -1, 0.5])
RANK_ONE_X = np.outer(RANK_ONE_C, RANK_ONE_A)
FOUR_TARGETS = np.array([3.0, -2.0, 1.0, 0.0])
# Spike-free, not whitened; the formula for interpolation fails on TRAP_Y.
TRAP_G = np.array([[1, -0.5, -0.3], [-0.5, 1, -0.3], [-0.3, -0.3, 1]])
TRAP_X = np.linalg.cholesky(np.linalg.inv(TRAP_G))
TRAP_Y = np.array([1.0, 10.0, -3.0])


def whitened_rows(n, d, seed, s=1.0):
    return s * np.linalg.qr(np.random.default_rng(seed).standard_normal((d, n)))[0].T


def optimum_over_all_patterns(X, y, lam, loss):
    prog = ro.ConvexProgram(X, y, lam, ro.enumerate_patterns(X), loss=loss)
    return ro.solve(prog, "clarabel" if loss == "hinge" else "auto", tol=1e-9).objective


def check(answer, X, y, lam, loss="squared"):
    """The network's own objective is the formula's value, and the file alone proves it."""
    own = answer.network.objective(X, y, lam, loss)
    assert answer.value == pytest.approx(own, rel=1e-12)
    assert own <= answer.objective <= own * (1 + 1e-12)
    assert answer.certificate.scope == "all"
    assert answer.rel_gap < 1e-10
    assert ro.verify(answer.certificate, X, y).valid


# -- whitened rows -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("y", "beta", "optimum"), [((3, -4, 0), 1.0, 6.0), ((3, 4, -1, 0), 2.0, 8.5)]
)
def test_whitened_oracles(y, beta, optimum):
    y = np.array(y, dtype=float)
    X, n = np.eye(len(y)), len(y)
    answer = ro.formulas.closed_form(X, y, beta / n)
    assert n * answer.value == pytest.approx(optimum, rel=1e-14)
    assert answer.kind == "whitened"
    check(answer, X, y, beta / n)
    # One neuron for each sign, soft-thresholded.
    sizes = [np.linalg.norm(np.maximum(s * y, 0)) for s in (1, -1)]
    fits = sum(
        s * max(1 - beta / size, 0) * np.maximum(s * y, 0)
        for s, size in zip((1, -1), sizes, strict=True)
    )
    assert answer.network.predict(X) == pytest.approx(fits, abs=1e-14)
    assert len(answer.network) == sum(size > beta for size in sizes)


@pytest.mark.parametrize("beta", [0.1, 0.8, 2.5])
@pytest.mark.parametrize("n", [3, 4, 5])
def test_whitened_equals_the_program_over_all_patterns(n, beta):
    X = whitened_rows(n, n + n % 2, seed=n, s=1.0 if beta < 2 else 0.6)
    y = 2 * np.random.default_rng(n).standard_normal(n)
    answer = ro.formulas.closed_form(X, y, beta / n)
    check(answer, X, y, beta / n)
    assert answer.value == pytest.approx(
        optimum_over_all_patterns(X, y, beta / n, "squared"), rel=1e-7
    )


@pytest.mark.parametrize("beta", [0.3, 1.2, 1.5, 2.5])
@pytest.mark.parametrize("labels", [(1, 1, 1, -1), (1, -1, 1, -1), (-1, -1, -1, -1)])
def test_whitened_hinge(labels, beta):
    y, X = np.array(labels, dtype=float), whitened_rows(4, 4, 7)
    answer = ro.formulas.closed_form(X, y, beta / 4, loss="hinge")
    counts = [np.sum(y == s) for s in (1, -1)]
    assert 4 * answer.value == pytest.approx(sum(min(k, beta * math.sqrt(k)) for k in counts))
    check(answer, X, y, beta / 4, "hinge")
    assert answer.value == pytest.approx(
        optimum_over_all_patterns(X, y, beta / 4, "hinge"), rel=1e-6
    )


def test_whitened_multipliers_are_the_other_sign_of_nu():
    X = whitened_rows(5, 6, 1)
    y = np.array([2.0, -1.0, 0.5, -3.0, 1.0])
    certificate = ro.formulas.closed_form(X, y, 0.05).certificate
    nu = certificate.nu
    pieces = certificate.multipliers.pieces()
    for block, rho in ((0, np.maximum(-nu, 0)), (1, np.maximum(nu, 0))):
        full = np.zeros(5)
        full[pieces[block][0]] = pieces[block][1]
        assert full == pytest.approx(rho, rel=1e-12)
    # M(ν) = max(‖ν_+‖, ‖ν_-‖) = λ exactly.
    sizes = [np.linalg.norm(np.maximum(s * nu, 0)) for s in (1, -1)]
    assert max(sizes) == pytest.approx(0.05, rel=1e-12)


def test_a_single_row_is_whitened():
    answer = ro.formulas.closed_form([[2.0, 0.0]], [3.0], 0.5)
    assert answer.kind == "whitened"
    # min ½(2w − 3)² + ½w over w ≥ 0: w = (6 − ½)/4.
    assert answer.value == pytest.approx(0.5 * (2 * 1.375 - 3) ** 2 + 0.5 * 1.375)


def test_two_layers_of_the_deep_formula():
    answer = ro.formulas.closed_form(np.eye(4), FOUR_TARGETS, 0.3 / 4)
    assert 4 * answer.value == pytest.approx(1.4586833, abs=5e-8)


# -- rank one ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("beta", "optimum"), [(0.3, 4.6637805), (0.05, None), (2.0, None)])
def test_rank_one(beta, optimum):
    answer = ro.formulas.closed_form(RANK_ONE_X, FOUR_TARGETS, beta / 4)
    assert answer.kind == "rank_one"
    if optimum is not None:
        assert 4 * answer.value == pytest.approx(optimum, abs=5e-8)
    check(answer, RANK_ONE_X, FOUR_TARGETS, beta / 4)
    scale = np.linalg.norm(RANK_ONE_A)
    expected = 0.5 * FOUR_TARGETS @ FOUR_TARGETS
    for s in (1, -1):
        h = scale * np.maximum(s * RANK_ONE_C, 0)
        expected -= 0.5 * max(abs(h @ FOUR_TARGETS) - beta, 0) ** 2 / (h @ h)
    assert 4 * answer.value == pytest.approx(expected)
    assert answer.value == pytest.approx(
        optimum_over_all_patterns(RANK_ONE_X, FOUR_TARGETS, beta / 4, "squared"), rel=1e-7
    )


@pytest.mark.parametrize("seed", range(12))
def test_rank_one_hinge_is_the_best_breakpoint(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(3, 9))
    # Few digits, so that X is of rank one exactly, and all its patterns are two.
    c = np.round(8 * rng.standard_normal(n)) / 8
    a = np.round(16 * rng.standard_normal(3)) / 16
    X, y = np.outer(c, a), np.where(rng.random(n) < 0.5, 1.0, -1.0)
    beta = float(rng.choice([0.05, 0.4, 1.5]))
    answer = ro.formulas.closed_form(X, y, beta / n, loss="hinge")
    check(answer, X, y, beta / n, "hinge")
    total = np.sum(c == 0) * 1.0
    for s in (1, -1):
        h = np.linalg.norm(a) * np.maximum(s * c, 0)
        h, labels = h[h > 0], y[s * c > 0]
        total += min(
            np.maximum(0, 1 - labels * w * h).sum() + beta * abs(w)
            for w in [0.0, *(1 / (labels * h))]
        )
    assert n * answer.value == pytest.approx(total, rel=1e-12)
    assert answer.value == pytest.approx(
        optimum_over_all_patterns(X, y, beta / n, "hinge"), rel=1e-6, abs=1e-8
    )


def test_one_feature_is_of_rank_one():
    x = np.array([[-2.0], [-1.0], [0.0], [1.0], [3.0]])
    y = np.array([1.0, 2.0, 5.0, -1.0, 0.5])
    check(ro.formulas.closed_form(x, y, 0.1), x, y, 0.1)


# -- interpolation -------------------------------------------------------------------------------


def test_whitened_interpolation():
    for y, cost in (((1, 2, 3), 3.74165739), ((1, -2, 3), 5.16227766), ((-1, -1, 0), 1.41421356)):
        answer = ro.formulas.closed_form(np.eye(3), y, loss="interpolation")
        assert answer.value == pytest.approx(cost, abs=5e-9)
        assert answer.proof.residual < 1e-14
        assert answer.rel_gap < 1e-12
        twice = ro.formulas.closed_form(2 * np.eye(3), y, loss="interpolation")
        assert twice.value == pytest.approx(cost / 2, abs=5e-9)


def test_rank_one_interpolation():
    y = np.array([2.0, -1.0, 1.0, 6.0])
    answer = ro.formulas.closed_form(RANK_ONE_X, y, loss="interpolation")
    assert answer.value == pytest.approx((2 + 0.5) / np.linalg.norm(RANK_ONE_A))
    assert answer.value == pytest.approx(
        ro.interpolation.minimum_norm_interpolant(RANK_ONE_X, y).cost, rel=1e-9
    )
    with pytest.raises(DataError, match="No network has these targets"):
        ro.formulas.closed_form(RANK_ONE_X, FOUR_TARGETS, loss="interpolation")


def test_the_formula_for_spike_free_interpolation_is_refused_where_it_is_wrong():
    """The trap: 12.5394 by the formula, 11.9318 in truth."""
    assert ro.formulas.is_spike_free(TRAP_X)
    wrong = spike_free_interpolation(TRAP_X, TRAP_Y)
    assert wrong.value == pytest.approx(12.5394, abs=5e-5)
    assert wrong.network.predict(TRAP_X) == pytest.approx(TRAP_Y)
    with pytest.raises(DataError, match="not the cheapest") as caught:
        ro.formulas.closed_form(TRAP_X, TRAP_Y, loss="interpolation")
    assert caught.value.fields["condition"] < 0
    assert caught.value.fields["spike_free"] == "spike_free"
    assert ro.interpolation.minimum_norm_interpolant(TRAP_X, TRAP_Y).cost == pytest.approx(
        11.9318, abs=5e-5
    )


def test_the_condition_says_exactly_where_the_formula_holds():
    rng = np.random.default_rng(0)
    held = []
    for k in range(30):
        n = int(rng.integers(2, 5))
        A = 0.3 * np.abs(rng.standard_normal((n, n)))
        inverse = -(A + A.T)
        np.fill_diagonal(inverse, A.sum(0) + A.sum(1) + 0.5 * rng.random(n))
        X = np.linalg.cholesky(np.linalg.inv(inverse))
        y = rng.standard_normal(n) * 10 ** rng.standard_normal(n)
        if k % 4 == 0:
            X, y = np.vstack([X, 2 * X[0], 0 * X[0]]), np.r_[y, 2 * y[0], 0]
        least = ro.interpolation.minimum_norm_interpolant(X, y)
        holds = interpolation_margin(X, y) >= -1e-10
        assert holds == (spike_free_interpolation(X, y).value <= least.cost * (1 + 1e-9))
        if holds:
            answer = ro.formulas.closed_form(X, y, loss="interpolation")
            assert answer.value == pytest.approx(least.cost, rel=1e-9)
        held.append(holds)
    assert 5 < sum(held) < 25


# -- refusals ------------------------------------------------------------------------------------


def test_a_refusal_says_by_how_much_each_precondition_fails():
    X = np.random.default_rng(0).standard_normal((6, 3))
    with pytest.raises(DataError, match="train_globally") as caught:
        ro.formulas.closed_form(X, np.ones(6), 0.1)
    fields = caught.value.fields
    sizes = np.linalg.svd(X, compute_uv=False)
    assert fields["rank_one"] == pytest.approx(sizes[1] / sizes[0])
    assert fields["whitened"] > 1e-3
    assert fields["spike_free"] == "not_spike_free"
    with pytest.raises(DataError, match="D = I alone"):
        ro.formulas.closed_form(TRAP_X, TRAP_Y, 0.1)
    # Whitened columns are no whitened rows.
    with pytest.raises(DataError, match="not whitened"):
        ro.formulas.closed_form(np.linalg.qr(X)[0], np.ones(6), 0.1)


def test_nearly_whitened_rows_are_refused_and_not_rounded():
    X = np.eye(3)
    X[0, 1] = 1e-6
    with pytest.raises(DataError, match="by 1e-06"):
        ro.formulas.closed_form(X, [1, 2, -1], 0.1)
    X[0, 1] = 1e-13
    assert ro.formulas.closed_form(X, [1, 2, -1], 0.1).rel_gap < 1e-10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lam": 0.0}, "greater than zero"),
        ({"lam": None}, "lam is None"),
        ({"lam": 0.1, "loss": "interpolation"}, "takes no lam"),
        ({"lam": 0.1, "loss": "hing"}, "hinge"),
        ({"lam": 0.1, "loss": "hinge"}, "labels"),
        ({"lam": 0.1, "depth": 3}, "depth is 3"),
        ({"lam": 0.1, "depth": 0}, "depth"),
        ({"lam": 0.1, "y": np.ones((3, 1, 1))}, "axis"),
        ({"lam": 0.1, "y": [1.0, 2.0]}, "2 values"),
        ({"lam": 0.1, "y": [1.0, np.nan, 2.0]}, "nan"),
        ({"lam": 0.1, "X": np.zeros((3, 3))}, "no formula"),
    ],
)
def test_bad_input_gives_no_result(arguments, message):
    with pytest.raises(DataError, match=message):
        ro.formulas.closed_form(**{"X": np.eye(3), "y": [3.0, -4.0, 0.0], **arguments})


def test_targets_of_zero_need_no_neuron():
    assert len(ro.formulas.closed_form(np.eye(3), np.zeros(3), 0.1).network) == 0
    answer = ro.formulas.closed_form(np.eye(3), np.zeros(3), loss="interpolation")
    assert len(answer.network) == 0
    assert answer.objective == answer.lower_bound == 0
    assert ro.verify(answer, np.eye(3), np.zeros(3)).valid
