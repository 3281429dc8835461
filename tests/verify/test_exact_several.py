"""Several outputs in integers: the network's cost and the bound, honest proofs and forged ones."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import relu_opt as ro
from relu_opt import verify
from relu_opt.verify.exact_lifted import shown
from relu_opt.verify.exact_several import _search


def data(n=8, d=2, c=2, seed=0):
    rng = np.random.default_rng(seed)
    X = np.column_stack([rng.standard_normal((n, d - 1)), np.ones(n)])
    return X, rng.standard_normal((n, c))


def trained(lam=0.1, **settings):
    X, Y = data()
    return ro.several_outputs.train_vector(X, Y, lam, tol=1e-5, **settings).certificate, X, Y


class Fake:
    """A certificate with one entry changed by a function."""

    def __init__(self, honest, name, change):
        self.arrays, self.description = dict(honest.to_arrays()), dict(honest.meta())
        home = self.arrays if name in self.arrays else self.description
        home[name] = change(home[name])

    def to_arrays(self):
        return self.arrays

    def meta(self):
        return self.description


@pytest.mark.parametrize("intercept", [False, True])
def test_honest_networks_are_proved(intercept):
    proof, X, Y = trained(intercept=intercept)
    found, doubles = (verify(proof, X, Y, arithmetic=kind) for kind in ("exact", "float"))
    assert (found.verdict, doubles.verdict, found.problems) == ("certified", "certified", ())
    assert found.scope == "all"
    assert "Proved in exact arithmetic." in found.statement
    assert found.objective <= doubles.objective
    assert found.gap >= 0


@pytest.mark.parametrize("pooling", [None, "average"])
def test_patches(pooling):
    X, Y = data(6, 3)
    patches = [[0, 1], [1, 2]]
    proof = ro.several_outputs.train_vector(
        X, Y, 0.1, tol=1e-4, patches=patches, pooling=pooling
    ).certificate
    found, doubles = (verify(proof, X, Y, arithmetic=kind) for kind in ("exact", "float"))
    assert found.verdict == doubles.verdict == "certified"
    assert found.objective == pytest.approx(doubles.objective, rel=1e-12)
    assert found.lower_bound == pytest.approx(doubles.lower_bound, rel=1e-4)


def test_whitened_rows_by_a_lifted_bound():
    X, Y = np.eye(4), np.eye(2)[[0, 0, 1, 1]]
    proof = ro.formulas.closed_form(X, Y, lam=0.05).certificate
    assert proof.proof == "lifted"
    assert verify(proof, X, Y, arithmetic="exact").valid
    longer = Fake(proof, "V", lambda V: 1.01 * V)
    assert "not shown" in verify(longer, X, Y, arithmetic="exact").problems[0]


FORGERIES = {
    "a shorter V": ("V", lambda V: 0.99 * V),
    "a longer V": ("V", lambda V: 1.01 * V),
    "V negated": ("V", lambda V: -V),
    "columns of V that sum to more": ("V", lambda V: V + 0.01),
    "larger weights": ("hidden", lambda hidden: 1.01 * hidden),
    "no outputs": ("output", lambda output: 0.0 * output),
    "other constants": ("intercept", lambda constants: constants + 0.1),
    "a smaller lam": ("lam", lambda lam: 0.9 * lam),
    "a smaller tol": ("tol", lambda tol: 1e-25),
}


def test_forged_networks_are_not():
    proof, X, Y = trained(intercept=True)
    assert verify(proof, X, Y, arithmetic="exact").valid
    for name, change in FORGERIES.items():
        found = verify(Fake(proof, *change), X, Y, arithmetic="exact")
        assert not found.valid, name
        assert found.problems


def test_a_proof_that_is_too_long_says_so():
    X, Y = np.eye(9), np.eye(2)[[0, 0, 1, 1, 0, 1, 0, 1, 0]]
    proof = replace(ro.formulas.closed_form(X, Y, lam=0.01).certificate, proof="searched")
    told = verify(proof, X, Y, arithmetic="exact")
    assert (told.verdict, told.lower_bound) == ("inconclusive", 0.0)
    assert "in 9 dimensions is too long" in told.problems[0]


def largest(rows, omega):
    """max |Σ (x_iᵀu)₊ ω_i|² over many unit vectors of the plane."""
    angles = np.linspace(0, 2 * np.pi, 20_001)
    u = np.stack([np.cos(angles), np.sin(angles)])
    values = np.maximum(np.array(rows) @ u, 0).T @ np.array(omega)
    return float((values**2).sum(axis=1).max())


@pytest.mark.parametrize("seed", range(6))
def test_bounds_hold_where_they_do_and_only_there(seed):
    rng = np.random.default_rng(seed)
    rows, omega = (rng.integers(-9, 10, (5, 2)).tolist() for _ in range(2))
    true = largest(rows, omega)
    assert _search(rows, omega, int(1.001 * true)) == ""
    assert _search(rows, omega, int(0.99 * true)) == "a direction exceeds lam"
    assert shown(rows, omega, Fraction(0.99 * true)) != ""
    assert shown(rows, omega, Fraction(16 * true)) == ""
