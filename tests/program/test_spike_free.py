"""Spike-free data: the exact test against a search, its witnesses, its certificate."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.proof.certificate import SPIKE_FREE
from relu_opt.train.formulas.formula import ones_pattern
from relu_opt.train.formulas.spike_free import spike_free_program, train_spike_free
from relu_opt.verify.spike_free import stretch

# (CCᵀ)⁻¹ of the example whose interpolation formula is wrong.
G = np.array([[1, -0.5, -0.3], [-0.5, 1, -0.3], [-0.3, -0.3, 1]])
SPIKE_FREE_X = np.linalg.cholesky(np.linalg.inv(G))


def orthonormal_columns(n, d, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, d)))[0]


def random_data(seed):
    """Small data of many kinds: generic, positive, integer, whitened, with M-matrices, repeated."""
    rng = np.random.default_rng(seed)
    n, d = rng.integers(1, 6, 2)
    kind = seed % 6
    if kind == 0:
        return rng.standard_normal((n, d))
    if kind == 1:
        return np.abs(rng.standard_normal((n, d)))
    if kind == 2:
        return rng.integers(-2, 3, (n, d)).astype(float)
    if kind == 3:
        return orthonormal_columns(max(n, d), min(n, d), seed).T * rng.uniform(0.1, 9)
    A = np.abs(rng.standard_normal((n, n)))
    inverse = -(A + A.T)
    np.fill_diagonal(inverse, 2 * A.sum(axis=0).max() + 2 * A.sum(axis=1).max())
    X = np.linalg.cholesky(np.linalg.inv(inverse))
    if kind == 5:
        X = np.vstack([X, 3 * X[:1], 0 * X[:1]])
    return X


def excess_of(X, u):
    """How far (Xu)_+ is from every Xv with ‖v‖ ≤ ‖u‖ = 1: in the range, or in the norm."""
    u = u / np.linalg.norm(u)
    wanted = np.maximum(X @ u, 0)
    v = np.linalg.lstsq(X, wanted, rcond=1e-12)[0]
    return max(np.abs(X @ v - wanted).max(), np.linalg.norm(v) - 1)


def violation_is_found(X, seed):
    """Search over random u, and over u that are zero on all rows but two."""
    rng = np.random.default_rng(seed)
    inverse = np.linalg.pinv(X)
    draws = [*rng.standard_normal((40, X.shape[1]))]
    for i in range(len(X)):
        for j in range(len(X)):
            for t in (0.03, 0.2, 1.0, 4.0):
                z = np.zeros(len(X))
                z[i], z[j] = 1.0, -t
                draws.append(inverse @ z)
    return any(excess_of(X, u) > 1e-7 for u in draws if np.linalg.norm(u) > 1e-9)


def units(X):
    norms = np.linalg.norm(X, axis=1)
    return X / np.where(norms > 0, norms, 1.0)[:, None]


# -- the test --------------------------------------------------------------------------------


def test_agrees_with_a_search_for_violations_in_300_cases():
    verdicts = []
    for seed in range(300):
        X = random_data(seed)
        found = ro.formulas.is_spike_free(X)
        assert bool(found) == (not violation_is_found(X, seed)), (seed, X, found)
        # What the verifier would charge is nothing to speak of, or its bound is of no use.
        assert bool(found) == (stretch(X)[0] <= 1 + 1e-12)
        verdicts.append(bool(found))
    assert 100 < sum(verdicts) < 250


def test_witnesses_hold_by_two_products_and_by_least_squares():
    seen = 0
    for seed in range(300):
        X = random_data(seed)
        found = ro.formulas.is_spike_free(X)
        if found:
            assert found.witness is None
            assert found.separator is None
            assert found.excess == 0
            assert found.stretch <= 1 + 1e-13
            continue
        seen += 1
        assert found.verdict == "not_spike_free"
        u, a = found.witness, found.separator
        assert np.linalg.norm(u) <= 1
        # aᵀ(Xu)_+ exceeds aᵀXv for every ‖v‖ ≤ 1.
        assert a @ np.maximum(X @ u, 0) - np.linalg.norm(X.T @ a) > 0
        assert found.excess == pytest.approx(
            a @ np.maximum(X @ u, 0) - np.linalg.norm(X.T @ a), rel=1e-6
        )
        assert excess_of(X, u) > 1e-9
    assert seen > 50


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (np.eye(4), True),
        (7.0 * np.eye(3, 5), True),
        ([[1.0, -2.0, 3.0]], True),
        (np.zeros((3, 2)), True),
        (np.outer([1, 2, 0], [1, -1, 2]), True),
        (np.outer([-1, -2, 0], [1, -1, 2]), True),
        (np.outer([1, -2, 0], [1, -1, 2]), False),
        ([[1.0], [-1.0]], False),
        ([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], False),
        ([[1.0, 0.0], [-1.0, 1.0]], False),
        ([[1.0, 0.0], [1.0, 1.0]], True),
        (SPIKE_FREE_X, True),
        (np.vstack([SPIKE_FREE_X, 2 * SPIKE_FREE_X, np.zeros((2, 3))]), True),
        (np.vstack([SPIKE_FREE_X, -SPIKE_FREE_X[:1]]), False),
    ],
)
def test_corollaries(X, expected):
    assert bool(ro.formulas.is_spike_free(X)) is expected


@pytest.mark.parametrize("seed", range(5))
def test_whitened_columns_are_not_spike_free_and_whitened_rows_are(seed):
    columns = orthonormal_columns(6, 3, seed)
    assert not ro.formulas.is_spike_free(columns)
    assert ro.formulas.is_spike_free(columns.T)


def test_scaling_rows_and_the_order_of_rows_change_nothing():
    rng = np.random.default_rng(3)
    for seed in range(60):
        X = random_data(seed)
        scaled = X[rng.permutation(len(X))] * 10.0 ** rng.uniform(-6, 6, (len(X), 1))
        assert ro.formulas.is_spike_free(scaled).verdict == ro.formulas.is_spike_free(X).verdict
        assert bool(ro.formulas.is_spike_free(1e-200 * X)) == bool(ro.formulas.is_spike_free(X))


def test_near_ties_are_decided_by_how_much_longer_v_is():
    """G_12 of X = [[1, −ε], [0, 1]] is ε: v is longer by ε²/2, which 1e-13 tolerates."""
    for tiny in (1e-7, 1e-9, 1e-12):
        found = ro.formulas.is_spike_free([[1.0, -tiny], [0.0, 1.0]])
        assert found
        assert 1 <= found.stretch <= 1 + 1e-13
    for small in (1e-2, 1e-4, 1e-6):
        found = ro.formulas.is_spike_free([[1.0, -small], [0.0, 1.0]])
        assert found.verdict == "not_spike_free"
        assert found.stretch - 1 == pytest.approx(small**2 / 2, rel=0.05)


def test_what_rounding_hides_is_undecided():
    """Three nearly dependent rows whose inverse Gram matrix has entries that rounding makes."""
    rng = np.random.default_rng(0)
    verdicts = set()
    for _ in range(40):
        rows = np.array([[1, 0, 0], [1, 1, 0], [1, 0.5, 1e-15]]) + 1e-16 * rng.random((3, 3))
        found = ro.formulas.is_spike_free(rows)
        verdicts.add(found.verdict)
        assert not found
        assert (found.witness is None) == (found.verdict == "undecided")
    assert verdicts <= {"undecided", "not_spike_free"}


@pytest.mark.parametrize("X", [[[np.nan]], [1.0, 2.0], np.zeros((0, 2)), [["a"]]])
def test_bad_data_are_refused(X):
    with pytest.raises(DataError):
        ro.formulas.is_spike_free(X)


# -- what it is good for -----------------------------------------------------------------------


@pytest.mark.parametrize("loss", ["squared", "logistic", "hinge"])
@pytest.mark.parametrize("seed", range(4))
def test_one_pattern_is_as_good_as_all(seed, loss):
    X = random_data(6 * seed + 4)
    y = np.random.default_rng(seed).standard_normal(len(X))
    y = y if loss == "squared" else np.where(y > 0, 1.0, -1.0)
    backend = "clarabel" if loss == "hinge" else "auto"
    solution = train_spike_free(spike_free_program(X, y, 0.02, loss=loss), backend)
    every = ro.solve(solution.program.with_patterns(ro.enumerate_patterns(X)), backend)
    assert solution.objective == pytest.approx(every.objective, rel=1e-7)
    assert solution.certificate.scope == "all"
    assert solution.certificate.coverage is SPIKE_FREE
    assert solution.certificate.verdict == "certified"
    assert ro.verify(solution.certificate, X, y).valid


def test_one_pattern_is_not_enough_with_whitened_columns():
    """The trap: XᵀX = I and n > d. D = I alone has a far larger optimum than all patterns."""
    X = orthonormal_columns(8, 3, 1)
    y = np.random.default_rng(1).standard_normal(8) * 3
    one = ro.ConvexProgram(X, y, 0.1 / 8, ones_pattern(8))
    alone = 8 * ro.solve(one).objective
    every = 8 * ro.solve(one.with_patterns(ro.enumerate_patterns(X))).objective
    assert alone > 1.2 * every
    with pytest.raises(DataError, match="not spike-free") as caught:
        spike_free_program(X, y, 0.1)
    assert caught.value.fields["verdict"] == "not_spike_free"


def test_the_certificate_is_re_checked(tmp_path):
    y = np.array([1.0, 10.0, -3.0])
    certificate = train_spike_free(spike_free_program(SPIKE_FREE_X, y, 0.1)).certificate
    certificate.save(tmp_path / "proof.npz")
    loaded = ro.Certificate.load(tmp_path / "proof.npz")
    assert loaded.coverage == SPIKE_FREE
    checked = ro.verify(tmp_path / "proof.npz", SPIKE_FREE_X, y)
    assert checked.valid
    assert "of any width" in checked.statement
    # Not with another pattern than D = I.
    other = ro.Patterns(np.array([[True], [True], [False]]))
    assert not ro.verify(replace(certificate, patterns=other), SPIKE_FREE_X, y).valid
    # Nor with a scope that it does not belong to, nor as a list of all patterns.
    assert ro.verify(replace(certificate, scope="program"), SPIKE_FREE_X, y).verdict == "invalid"
    from relu_opt.proof.certificate import LISTED

    assert ro.verify(replace(certificate, coverage=LISTED), SPIKE_FREE_X, y).verdict == "invalid"


def test_a_false_claim_of_spike_free_data_is_found_out():
    """Certified over D = I on data with spikes: the claim of scope `all` is not believed."""
    X = orthonormal_columns(8, 3, 1)
    y = np.random.default_rng(1).standard_normal(8) * 3
    honest = ro.solve(ro.ConvexProgram(X, y, 0.1 / 8, ones_pattern(8))).certificate
    lie = replace(honest, scope="all", coverage=SPIKE_FREE)
    checked = ro.verify(lie, X, y)
    assert checked.verdict == "invalid"
    assert any("spike-free" in problem for problem in checked.problems)


# -- in integers, where doubles do not tell ------------------------------------------------------


def test_directions_that_are_close_are_not_one():
    """Three rows within 4e-13 of each other in the plane are dependent, so they have spikes."""
    e = 2e-13
    X = np.array([[1, e], [1, 2 * e], [1, 3 * e]])
    assert not ro.formulas.is_spike_free(X)
    assert stretch(X)[0] == np.inf
    y = np.array([1, -2, 1]) / e
    with pytest.raises(DataError, match="not spike-free"):
        spike_free_program(X, y, 0.1)


@pytest.mark.parametrize("k", [2, 3, 5])
@pytest.mark.parametrize("sign", [1, -1])
def test_signs_of_nearly_dependent_rows_are_exact(k, sign):
    """G_12 has the sign that is chosen, and is lost in the rounding of an inverse."""
    X = np.eye(k)
    X[:, 0] += 1
    X[1] = X[0]
    X[1, 1] = sign * 2.0**-30
    X[1, 0] -= sign * 2.0**-62
    found, (longer, _) = ro.formulas.is_spike_free(X), stretch(X)
    gram = [
        [sum(Fraction(a) * Fraction(b) for a, b in zip(r, s, strict=True)) for s in X] for r in X
    ]
    positive = max(
        entry for i, row in enumerate(inverse(gram)) for j, entry in enumerate(row) if i != j
    )
    if positive <= 0:
        assert found
        assert longer == 1
    else:
        assert found.verdict != "spike_free" or found.stretch > 1


def inverse(matrix):
    """By Gauss and Jordan, in rationals."""
    n = len(matrix)
    table = [[*row, *(Fraction(int(i == j)) for j in range(n))] for i, row in enumerate(matrix)]
    for k in range(n):
        pivot = next(i for i in range(k, n) if table[i][k])
        table[k], table[pivot] = table[pivot], table[k]
        table[k] = [entry / table[k][k] for entry in table[k]]
        for i in range(n):
            if i != k:
                table[i] = [a - table[i][k] * b for a, b in zip(table[i], table[k], strict=True)]
    return [row[n:] for row in table]


def test_what_is_charged_is_at_least_what_is_true():
    """In two rows at an angle the largest ‖v‖ is known: 1/√(1 − c²) for a cosine of −c."""
    for c in (1e-3, 1e-6, 1e-9, 1e-12):
        X = np.array([[1.0, 0.0], [c, 1.0]])
        assert stretch(X) == (1.0, "")
        assert ro.formulas.is_spike_free(X).stretch == 1
        X[1, 0] = -c
        cosine = Fraction(c) ** 2 / (1 + Fraction(c) ** 2)
        for longer in (stretch(X)[0], ro.formulas.is_spike_free(X).stretch):
            assert Fraction(longer) ** 2 * (1 - cosine) >= 1


@pytest.mark.parametrize("power", [-1070, -700, 0, 700, 1020])
def test_witnesses_hold_in_any_unit(power):
    X = np.ldexp(np.array([[1.0, 2], [3, -1], [2, 2]]), power)
    found = ro.formulas.is_spike_free(X)
    assert found.verdict == "not_spike_free"
    a, near = found.separator / np.abs(found.separator).max(), np.ldexp(X, -power)
    assert a @ np.maximum(near @ found.witness, 0.0) > np.linalg.norm(a @ near)


def test_rows_beside_which_others_vanish_are_undecided_without_a_fault():
    found = ro.formulas.is_spike_free(np.array([[1.0, 2], [3, -1], [2e-320, 2e-320]]))
    assert found.verdict in ("undecided", "not_spike_free")
