"""One norm over the block of all outputs: against a cone program of cvxpy, and by invariance."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

import relu_opt as ro
from relu_opt.errors import DataError

LAM = 0.02


def data_of(seed, n=20, d=3, c=3):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((n, c))


def by_cvxpy(X, Y, masks, relu):
    (n, d), c = X.shape, Y.shape[1]
    fits, penalty, cones = 0, 0, []
    for mask in masks.T:
        D, S = np.diag(mask.astype(float)), np.diag(2.0 * mask - 1)
        for sign in (1, -1) if relu else (1,):
            Z = cp.Variable((d, c))
            fits += sign * (D @ X @ Z)
            penalty += cp.norm(Z, "fro")
            if relu:
                cones.append(S @ X @ Z >= 0)
    loss = cp.sum_squares(fits - Y) / (2 * n)
    return float(cp.Problem(cp.Minimize(loss + LAM * penalty), cones).solve(solver="CLARABEL"))


@pytest.mark.parametrize("activation", ["gated", "relu"])
def test_it_is_the_group_lasso_of_blocks(activation):
    X, Y = data_of(0)
    found = ro.several_outputs.train_stacked(X, Y, LAM, 8, activation, seed=0)
    masks = ro.sample_patterns(X, 8, seed=0).masks
    assert found.certificate.verdict == "certified"
    assert found.objective == pytest.approx(by_cvxpy(X, Y, masks, activation == "relu"), rel=1e-6)
    assert found.lower_bound <= found.objective
    off = found.predict(X) - Y
    assert (off**2).sum() / 40 < found.objective
    assert (
        ro.verify(found.certificate, *ro.several_outputs.stack_outputs(X, Y)).verdict == "certified"
    )


def test_one_output_is_the_plain_program():
    X, Y = data_of(1, c=1)
    found = ro.several_outputs.train_stacked(X, Y, LAM, 20, seed=0)
    plain = ro.solve(
        ro.ConvexProgram(X, Y[:, 0], LAM, ro.sample_patterns(X, 20, seed=0), activation="gated")
    )
    assert found.objective == pytest.approx(plain.objective, rel=1e-9)
    np.testing.assert_allclose(found.predict(X)[:, 0], plain.network.predict(X), atol=1e-6)


def test_turned_outputs_change_nothing_for_gated_networks():
    X, Y = data_of(2)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    one, two = (
        ro.several_outputs.train_stacked(X, each, LAM, 20, seed=0) for each in (Y, Y @ turn)
    )
    assert one.objective == pytest.approx(two.objective, rel=2e-6)


def test_what_it_refuses():
    X, Y = data_of(3)
    found = ro.several_outputs.train_stacked(X, Y, LAM, 5, seed=0)
    with pytest.raises(DataError, match="the blocks take 3"):
        found.predict(X[:, :2])
    with pytest.raises(DataError, match="lam"):
        ro.several_outputs.train_stacked(X, Y, 0.0)
    with pytest.raises(DataError, match="Unknown activation"):
        ro.several_outputs.train_stacked(X, Y, LAM, activation="rely")
    with pytest.raises(DataError, match="Y holds nan"):
        ro.several_outputs.train_stacked(X, np.full((20, 2), np.nan), LAM)
    with pytest.raises(DataError, match="more than 100000000"):
        ro.several_outputs.stack_outputs(np.ones((2000, 100)), np.ones((2000, 100)))
