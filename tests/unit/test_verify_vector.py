"""The re-check of certificates for several outputs, which shares no code with the trainer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.verify.several_outputs import lifted, reach_vector


def trained(n=12, d=3, c=3, lam=0.03, **more):
    rng = np.random.default_rng(n + d)
    X, Y = rng.standard_normal((n, d)), rng.standard_normal((n, c))
    return X, Y, ro.train_vector(X, Y, lam, **more)


def test_its_search_against_all_flats():
    rng = np.random.default_rng(0)
    for n, d, c in [(6, 1, 2), (9, 2, 2), (10, 3, 3), (7, 4, 2)]:
        X, V = rng.standard_normal((n, d)), rng.standard_normal((n, c))
        exact = ro.vector_separation(X, V, "flats").lower
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
        {"patches": [[0, 1], [1, 2]]},
        {"patches": [[0, 1], [1, 2]], "pooling": "average", "intercept": True},
    ],
)
def test_files_are_re_checked(tmp_path, more):
    X, Y, found = trained(**more)
    assert found.certificate.verdict == "certified"
    found.save(tmp_path / "proof.npz")
    checked = ro.verify(tmp_path / "proof.npz", X, Y)
    assert checked.valid, checked.problems
    assert checked.primal == pytest.approx(found.objective, rel=1e-12)
    assert checked.dual == pytest.approx(found.dual_objective, rel=1e-6)
    assert "of any width" in checked.statement
    loaded = ro.VectorCertificate.load(tmp_path / "proof.npz")
    np.testing.assert_array_equal(loaded.network.output, found.network.output)
    assert loaded.meta() == found.certificate.meta()
    with pytest.raises(DataError):
        ro.Certificate.load(tmp_path / "proof.npz")


def test_a_wide_gap_is_not_certified_but_true():
    X, Y, found = trained()
    proof = found.certify(ro.VectorNetwork(np.eye(3), np.ones((3, 3))))
    assert proof.verdict == "not_certified"
    assert ro.verify(proof, X, Y).verdict == "not_certified"


def test_false_claims_are_invalid():
    X, Y, found = trained()
    proof = found.certificate
    larger = 1.01 * proof.V
    raised = float((larger * Y).sum() - len(Y) / 2 * (larger**2).sum())
    false = {
        "V": replace(proof, V=larger, dual=raised),
        "primal": replace(proof, primal=proof.primal * 0.999),
        "lam": replace(proof, lam=proof.lam * 0.999),
        "data": proof,
        "lifted": replace(proof, proof="lifted"),
        "guessed": replace(proof, proof="guessed"),
        "constants": replace(
            proof,
            network=ro.VectorNetwork(proof.network.hidden, proof.network.output, np.full(3, 0.01)),
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
        exact = ro.vector_separation(X, V, tol=1e-4).lower
        bound = lifted(X, V)
        assert exact <= bound <= 4 * exact
        assert bound == pytest.approx(ro.vector_separation(X, V, "ascent").upper, rel=1e-9)


def test_data_of_a_large_rank_have_a_bound_that_is_re_checked(tmp_path):
    X, Y, found = trained(30, 13, 2, 0.05, tol=1e-3)
    assert found.certificate.proof == "lifted"
    assert found.certificate.verdict == "not_certified"
    assert 0 < found.dual_objective < found.objective < (Y**2).sum() / 60
    found.save(tmp_path / "proof.npz")
    checked = ro.verify(tmp_path / "proof.npz", X, Y)
    assert checked.verdict == "not_certified"
    assert checked.dual == pytest.approx(found.dual_objective, rel=1e-9)
    searched = ro.verify(replace(found.certificate, proof="searched"), X, Y)
    assert searched.verdict == "inconclusive"
    assert "too long to repeat" in searched.statement


def test_data_of_other_shapes():
    X, Y, found = trained()
    with pytest.raises(DataError, match="axes"):
        ro.verify(found.certificate, X, Y[:, 0])
    with pytest.raises(DataError):
        ro.verify(found.certificate, X[:-1], Y)
