"""The re-check of certificates for several outputs, which shares no code with the trainer."""

from __future__ import annotations

import functools
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.proof.record import fingerprint
from relu_opt.verify.lifted import _shown as shown
from relu_opt.verify.lifted import lifted, semidefinite
from relu_opt.verify.vector_search import reach_vector


def exactly(network, V, X, Y, lam):
    """The objective of a dense network, and ⟨V, Y⟩ − (n/2)‖V‖², as fractions."""
    (n, c), fraction = Y.shape, Fraction

    def of(array):
        return [[fraction(float(value)) for value in row] for row in np.atleast_2d(array)]

    hidden, output, data, targets = of(network.hidden), of(network.output), of(X), of(Y)
    constants, loss = of(network.constants)[0], fraction(0)
    for row, wanted in zip(data, targets, strict=True):
        values = [max(0, sum(a * b for a, b in zip(u, row, strict=True))) for u in hidden]
        for k in range(c):
            fit = constants[k] + sum(z * w[k] for z, w in zip(values, output, strict=True))
            loss += (fit - wanted[k]) ** 2
    squares = sum(value**2 for row in hidden + output for value in row)
    pairs = [
        (v, y) for vs, ys in zip(of(V), targets, strict=True) for v, y in zip(vs, ys, strict=True)
    ]
    dual = sum(v * y for v, y in pairs) - fraction(n, 2) * sum(v * v for v, _ in pairs)
    return loss / (2 * n) + fraction(float(lam)) / 2 * squares, dual


@functools.cache
def once(n, d, c, lam, more):
    rng = np.random.default_rng(n + d)
    X, Y = rng.standard_normal((n, d)), rng.standard_normal((n, c))
    return X, Y, ro.several_outputs.train_vector(X, Y, lam, **dict(more))


def trained(n=10, d=2, c=3, lam=0.03, tol=1e-5, **more):
    """Data, and what training gives; small, and the same for many tests."""
    return once(n, d, c, lam, (("tol", tol), *more.items()))


def test_its_search_against_all_flats():
    rng = np.random.default_rng(0)
    for n, d, c in [(6, 1, 2), (9, 2, 2), (10, 3, 3), (7, 4, 2)]:
        X, V = rng.standard_normal((n, d)), rng.standard_normal((n, c))
        exact = ro.several_outputs.vector_separation(X, V, "flats").lower
        bound, problem = reach_vector(X, V, exact * (1 + 1e-6))
        assert not problem
        assert exact <= bound <= exact * (1 + 2e-6)
        bound, problem = reach_vector(X, V, exact * (1 - 1e-6))
        assert "A direction has" in problem
        assert bound == np.inf


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"intercept": True},
        {"patches": ((0, 1), (1, 2)), "d": 3},
        {"patches": ((0, 1), (1, 2)), "pooling": "average", "intercept": True, "d": 3},
    ],
)
def test_files_are_re_checked(tmp_path, more):
    X, Y, found = trained(**more)
    assert found.certificate.verdict == "certified"
    found.save(tmp_path / "proof.npz")
    checked = ro.verify(tmp_path / "proof.npz", X, Y)
    assert checked.valid, checked.problems
    assert checked.objective == pytest.approx(found.objective, rel=1e-12)
    assert checked.lower_bound == pytest.approx(found.lower_bound, rel=1e-6)
    assert "of any width" in checked.statement
    loaded = ro.several_outputs.VectorCertificate.load(tmp_path / "proof.npz")
    np.testing.assert_array_equal(loaded.network.output, found.network.output)
    assert loaded.meta() == found.certificate.meta()
    assert ro.Certificate.load(tmp_path / "proof.npz").meta() == loaded.meta()


def test_a_wide_gap_is_not_certified_but_true():
    X, Y, found = trained()
    proof = found.certify(ro.several_outputs.VectorNetwork(np.eye(2), np.ones((2, 3))))
    assert proof.verdict == "not_certified"
    assert ro.verify(proof, X, Y).verdict == "not_certified"


def test_false_claims_are_invalid():
    X, Y, found = trained()
    proof = found.certificate
    larger = 1.01 * proof.V
    raised = float((larger * Y).sum() - len(Y) / 2 * (larger**2).sum())
    false = {
        "V": replace(proof, V=larger, lower_bound=raised),
        "primal": replace(proof, objective=proof.objective * 0.999),
        "lam": replace(proof, lam=proof.lam * 0.999),
        "data": proof,
        "lifted": replace(proof, proof="lifted"),
        "guessed": replace(proof, proof="guessed"),
        "constants": replace(
            proof,
            network=ro.several_outputs.VectorNetwork(
                proof.network.hidden, proof.network.output, np.full(3, 0.01)
            ),
        ),
        "outputs": replace(proof, V=proof.V[:, :2]),
    }
    for name, certificate in false.items():
        data = X + 1e-9 if name == "data" else X
        checked = ro.verify(certificate, data, Y)
        assert checked.verdict == "invalid", name
        assert checked.statement.startswith("Nothing is proved")


def test_its_bound_by_eigenvalues_is_one():
    rng = np.random.default_rng(1)
    for n, d, c in [(6, 1, 2), (9, 2, 2), (20, 3, 3), (7, 4, 1)]:
        X, V = rng.standard_normal((n, d)), rng.standard_normal((n, c))
        exact = ro.several_outputs.vector_separation(X, V, tol=1e-4).lower
        bound = lifted(X, V)
        assert exact <= bound <= 4 * exact
        assert bound == pytest.approx(
            ro.several_outputs.vector_separation(X, V, "ascent").upper, rel=1e-9
        )


def test_data_of_a_large_rank_have_a_bound_that_is_re_checked(tmp_path):
    X, Y, found = trained(20, 13, 2, 0.1, tol=0.5)
    assert found.certificate.proof == "lifted"
    assert found.certificate.verdict == "not_certified"
    assert 0 < found.lower_bound < found.objective < (Y**2).sum() / 60
    found.save(tmp_path / "proof.npz")
    checked = ro.verify(tmp_path / "proof.npz", X, Y)
    assert checked.verdict == "not_certified"
    assert checked.lower_bound == pytest.approx(found.lower_bound, rel=1e-9)
    searched = ro.verify(replace(found.certificate, proof="searched"), X, Y)
    assert searched.verdict == "inconclusive"
    assert "too long to repeat" in searched.statement


def test_data_of_other_shapes():
    X, Y, found = trained()
    with pytest.raises(DataError, match="axes"):
        ro.verify(found.certificate, X, Y[:, 0])
    with pytest.raises(DataError):
        ro.verify(found.certificate, X[:-1], Y)


def test_its_numbers_enclose_the_exact_ones():
    rng = np.random.default_rng(3)
    for n, d, c, offset in [(5, 2, 2, 0.0), (40, 3, 3, 0.0), (7, 2, 2, 1e8)]:
        X, Y = rng.standard_normal((n, d)), offset + rng.standard_normal((n, c))
        found = ro.several_outputs.train_vector(X, Y, 0.1, intercept=offset > 0, tol=1e-3)
        proof = found.certificate
        checked = ro.verify(proof, X, Y)
        primal, dual = exactly(proof.network, proof.V, X, Y, proof.lam)
        assert 0 <= Fraction(checked.objective) - primal <= Fraction(1e-10) * primal
        if not offset:
            assert 0 <= dual - Fraction(checked.lower_bound) <= Fraction(1e-4) * dual


def test_a_column_that_sums_to_nearly_zero_proves_no_more():
    rng = np.random.default_rng(4)
    X, Y = np.c_[rng.standard_normal((8, 2)), np.ones(8)], rng.standard_normal((8, 2))
    proof = ro.several_outputs.train_vector(X, Y, 0.1, intercept=True).certificate
    far = Y + 1e8
    network = proof.network
    moved = ro.several_outputs.VectorNetwork(
        network.hidden, network.output, network.constants + 1e8
    )
    for share in (1e-11, -1e-11, 1e-13):
        V = proof.V + share * np.abs(proof.V).max()
        said = float((V * far).sum()) - 4 * float((V * V).sum())
        forged = replace(
            proof, network=moved, V=V, lower_bound=said, fingerprint=fingerprint(X, far)
        )
        checked = ro.verify(forged, X, far)
        assert checked.lower_bound <= checked.objective


@pytest.mark.parametrize("tol", [0.0, 1.0, 1.5, 1e300])
def test_a_tol_that_is_none_makes_a_file_invalid(tol):
    X, Y, found = trained()
    proof = found.certify(ro.several_outputs.VectorNetwork(np.zeros((0, 2)), np.zeros((0, 3))))
    forged = replace(proof, tol=tol, verdict=ro.Verdict.CERTIFIED)
    assert ro.verify(forged, X, Y).verdict == "invalid"


@pytest.mark.parametrize(("x", "y"), [(0, 2), (3, 7), (-40, 40), (-540, -38), (11, -301)])
def test_units_change_no_bit(x, y):
    X, Y, found = trained()
    proof = found.certificate
    plain = ro.verify(proof, X, Y)
    half = (y - x) // 2
    far, targets = np.ldexp(X, x), np.ldexp(Y, y)
    network = ro.several_outputs.VectorNetwork(
        np.ldexp(proof.network.hidden, half), np.ldexp(proof.network.output, half)
    )
    moved = replace(
        proof,
        network=network,
        V=np.ldexp(proof.V, y),
        lam=float(np.ldexp(proof.lam, x + y)),
        objective=float(np.ldexp(proof.objective, 2 * y)),
        lower_bound=float(np.ldexp(proof.lower_bound, 2 * y)),
        fingerprint=fingerprint(far, targets),
    )
    checked = ro.verify(moved, far, targets)
    assert checked.verdict == plain.verdict == "certified"
    assert checked.rel_gap == plain.rel_gap
    assert checked.objective == np.ldexp(plain.objective, 2 * y)
    assert checked.lower_bound == np.ldexp(plain.lower_bound, 2 * y)


def test_a_bound_by_a_matrix_is_not_shown_below_the_largest_eigenvalue():
    rng = np.random.default_rng(5)
    for n, d, c in [(30, 4, 2), (300, 20, 5)]:
        x, w = rng.standard_normal((n, d)), 0.1 * rng.standard_normal((n, c))
        N = 3.0 * np.linalg.eigvalsh(w.T @ w)[-1] * np.ones(n)
        middle = np.linalg.solve(np.eye(c) - w.T @ (w / N[:, None]), w.T @ x)
        form = x.T @ (N[:, None] * x) + x.T @ w @ middle
        least = np.sqrt(np.linalg.eigvalsh(form)[-1] / 4)
        assert shown(x, w, N, least * (1 + 1e-10))
        assert not shown(x, w, N, least)
        assert not shown(x, w, N, least * (1 - 1e-12))
        # The matrix at fault: the block of the outputs is not semidefinite.
        assert not shown(x, w, N / 4, 100 * least)


def test_semidefinite_matrices_are_shown_with_room_only():
    rng = np.random.default_rng(6)
    for size in (1, 3, 40):
        half = rng.standard_normal((size, 2 * size))
        M = half @ half.T
        least = np.linalg.eigvalsh(M)[0]
        assert semidefinite(M - 0.999 * least * np.eye(size), 0.0)
        assert not semidefinite(M - least * np.eye(size), 1e-9 * least)
        assert not semidefinite(M, 1.001 * least)
    assert not semidefinite(np.full((2, 2), np.nan), 0.0)


def test_its_search_holds_for_many_rows_of_one_direction():
    rng = np.random.default_rng(7)
    X = np.c_[np.ones(3000), 1e-3 * rng.standard_normal(3000)]
    V = rng.standard_normal((3000, 2))
    exact = float(np.linalg.norm(X.sum(axis=0)))
    bound, problem = reach_vector(X, np.c_[np.ones(3000), np.zeros(3000)], exact * (1 + 1e-12))
    assert not problem
    assert exact <= bound <= exact * (1 + 1e-8)
    some = np.linalg.norm(V.T @ np.maximum(X @ np.array([1.0, 0.0]), 0.0))
    assert reach_vector(X, V, 0.999 * some)[0] == np.inf
