"""Several outputs: relaxations, formulas, patches and Frank–Wolfe, each by a second way."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.train.several_outputs.conditional_gradient import frank_wolfe

TINY = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [1.0, -1.0]])
TARGETS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, -1.0], [0.0, 2.0]])
ANGLES = np.deg2rad(72 * np.arange(5))
PENTAGON = np.c_[np.cos(ANGLES), np.sin(ANGLES), np.full(5, np.sqrt(0.809017))]


def data_of(seed, n, d, c):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, d)), rng.standard_normal((n, c))


# -- the relaxation ------------------------------------------------------------


def test_the_relaxation_of_the_tiny_example_is_exact():
    found = ro.several_outputs.train_vector(TINY, TARGETS, 0.5 / 4, "sdp")
    assert found.certificate.verdict == "certified"
    assert 4 * found.lower_bound == pytest.approx(1.99581471, abs=2e-8)
    assert ro.verify(found.certificate, TINY, TARGETS).valid


@pytest.mark.parametrize(
    ("beta", "relaxed", "optimum"), [(0.1, 0.894764, 0.917133), (0.5, 4.369098, 4.463018)]
)
def test_trap_the_relaxation_of_a_pentagonal_cone_is_a_lower_bound_only(beta, relaxed, optimum):
    found = ro.several_outputs.train_vector(PENTAGON, 3 * PENTAGON, beta / 5, "sdp")
    assert 5 * found.lower_bound == pytest.approx(relaxed, abs=1e-6)
    assert 5 * found.objective == pytest.approx(optimum, abs=1e-6)
    assert found.certificate.verdict == "not_certified"


@pytest.mark.parametrize("seed", range(3))
def test_rank_two_is_exact_and_semidefinite_alone_is_weak(seed):
    X, Y = data_of(seed, 6, 2, 2)
    columns = ro.several_outputs.train_vector(X, Y, 0.05, intercept=seed == 1)
    exact = ro.several_outputs.train_vector(X, Y, 0.05, "sdp", intercept=seed == 1)
    weak = ro.several_outputs.train_vector(X, Y, 0.05, "sdp", relaxation="psd", intercept=seed == 1)
    assert exact.certificate.verdict == "certified"
    assert exact.lower_bound == pytest.approx(columns.objective, rel=1e-6)
    assert exact.lower_bound <= columns.objective * (1 + 1e-12)
    assert weak.lower_bound < 0.97 * exact.lower_bound


def test_what_the_relaxation_refuses():
    X, Y = data_of(0, 5, 2, 2)
    with pytest.raises(DataError, match="patches"):
        ro.several_outputs.train_vector(X, Y, 0.1, "sdp", patches=[[0], [1]])
    with pytest.raises(DataError, match="Unknown relaxation"):
        ro.several_outputs.train_vector(X, Y, 0.1, "sdp", relaxation="sos")
    with pytest.raises(DataError, match="max_patterns"):
        ro.several_outputs.train_vector(X, Y, 0.1, "sdp", max_patterns=3)
    with pytest.raises(DataError, match="zero"):
        ro.several_outputs.train_vector(0 * X, Y, 0.1, "sdp")


# -- soft-thresholded singular values ------------------------------------------


def whitened(n, d, s, seed=0):
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    return s * turn[:n]


@pytest.mark.parametrize("s", [1.0, 2.5])
@pytest.mark.parametrize(
    "Y",
    [
        np.eye(3)[[0, 1, 1, 2, 2, 2]],
        np.eye(2)[[0, 0, 1, 1]],
        np.outer([1.0, 2.0, 0.5], [1.0, -1.0]),
        np.array([[3.0, 1.0], [1.0, 2.0], [0.5, 2.5], [2.0, 2.0]]),
        np.zeros((3, 2)),
    ],
)
def test_the_formula_is_what_training_finds(Y, s):
    X, lam = whitened(len(Y), 6, s), 0.3 / len(Y)
    form = ro.formulas.closed_form(X, Y, lam)
    assert form.certificate.verdict == "certified"
    sizes, b = np.linalg.svd(Y, compute_uv=False), len(Y) * lam / s
    right = np.where(sizes > b, b * sizes - b * b / 2, sizes**2 / 2).sum() / len(Y)
    assert form.objective == pytest.approx(right, rel=1e-9, abs=1e-15)
    assert ro.verify(form.proof, X, Y).valid
    if len(Y) < 5:
        assert ro.several_outputs.train_vector(X, Y, lam, tol=1e-5).objective == pytest.approx(
            right, rel=1e-5
        )


def test_more_than_rank_two_in_one_part():
    """P is ≥ 0 with four rows, so it is a sum of nonnegative neurons, and one is found."""
    P = np.full((4, 4), 1.0) + np.diag([3.0, 2.0, 1.5, 1.0])
    sizes, vectors = np.linalg.eigh(P)
    b = 0.1
    Y = (vectors * (sizes + b)) @ vectors.T
    form = ro.formulas.closed_form(np.eye(4), Y, b / 4)
    assert form.certificate.verdict == "certified"
    np.testing.assert_allclose(form.network.predict(np.eye(4)), P, atol=1e-8)


@pytest.mark.parametrize(
    "Y", [np.outer([1.0, -2.0, 0.5], [1.0, 0.5]), np.random.default_rng(1).standard_normal((3, 2))]
)
def test_trap_signs_leave_only_a_lower_bound(Y):
    with pytest.raises(DataError, match="no formula for these targets") as refused:
        ro.formulas.closed_form(np.eye(3), Y, 0.1)
    found = ro.several_outputs.train_vector(np.eye(3), Y, 0.1)
    assert refused.value.fields["bound"] < found.lower_bound * (1 - 1e-3)
    relaxed = ro.several_outputs.train_vector(np.eye(3), Y, 0.1, "sdp")
    assert relaxed.lower_bound == pytest.approx(found.objective, rel=2e-6)


def test_one_column_of_a_mixed_sign_is_not_the_formula_of_singular_values():
    y = np.array([3.0, -4.0, 0.0])
    assert 3 * ro.formulas.closed_form(np.eye(3), y, 1 / 3).objective == pytest.approx(6.0)
    with pytest.raises(DataError, match="no formula"):
        ro.formulas.closed_form(np.eye(3), y[:, None], 1 / 3)
    assert 3 * ro.several_outputs.train_vector(np.eye(3), y, 1 / 3).objective == pytest.approx(
        6.0, rel=1e-6
    )


def test_what_the_formula_refuses():
    X, Y = data_of(0, 3, 3, 2)
    with pytest.raises(DataError, match="not whitened"):
        ro.formulas.closed_form(X, Y, 0.1)
    with pytest.raises(DataError, match="squared loss"):
        ro.formulas.closed_form(np.eye(3), Y, 0.1, loss="hinge")
    with pytest.raises(DataError, match="squared loss"):
        ro.formulas.closed_form(np.eye(3), Y)


# -- patches -------------------------------------------------------------------


def by_descent(X, Y, lam, patches, pooled, width=12, starts=6):
    """The least objective of L-BFGS on a convolutional network that is written out here."""
    seen = np.stack([X[:, patch] for patch in patches])
    (K, n, h), c = seen.shape, Y.shape[1]
    blocks = 1 if pooled else K

    def objective(z):
        U, W = z[: width * h].reshape(h, width), z[width * h :].reshape(blocks, width, c)
        off, of_U, of_W = -Y.copy(), lam * U, lam * W
        for k in range(K):
            off += np.maximum(seen[k] @ U, 0) @ W[0 if pooled else k] / (K if pooled else 1)
        for k in range(K):
            share, b = (1 / K, 0) if pooled else (1.0, k)
            linear = seen[k] @ U
            of_W[b] += share * np.maximum(linear, 0).T @ off / n
            of_U = of_U + share * seen[k].T @ ((linear > 0) * (off @ W[b].T)) / n
        value = (off**2).sum() / (2 * n) + lam / 2 * (z**2).sum()
        return value, np.r_[of_U.ravel(), of_W.ravel()]

    rng = np.random.default_rng(0)
    options = {"maxiter": 3000, "ftol": 1e-15, "gtol": 1e-10}
    return min(
        minimize(
            objective, rng.standard_normal(width * (h + blocks * c)), jac=True,
            method="L-BFGS-B", options=options,
        ).fun
        for _ in range(starts)
    )  # fmt: skip


@pytest.mark.parametrize("pooling", [None, "average"])
@pytest.mark.parametrize("c", [1, 2])
def test_patches_against_descent(pooling, c):
    X, Y = data_of(4, 6, 4, c)
    patches = [[0, 1], [1, 2], [2, 3]]
    found = ro.several_outputs.train_vector(X, Y, 0.05, patches=patches, pooling=pooling)
    assert found.certificate.verdict == "certified"
    assert found.network.output.ndim == (2 if pooling else 3)
    reached = by_descent(X, Y, 0.05, patches, pooling is not None)
    assert found.lower_bound <= reached * (1 + 1e-9)
    assert reached == pytest.approx(found.objective, rel=1e-3)


@pytest.mark.parametrize("pooling", [None, "average"])
def test_the_oracle_over_patches_against_a_grid_and_the_flats(pooling):
    X, V = data_of(5, 5, 6, 2)
    patches = np.array([[0, 1], [2, 3], [4, 5]])
    angles = np.linspace(0, 2 * np.pi, 100_001)
    units = np.c_[np.cos(angles), np.sin(angles)]
    parts = np.stack([np.maximum(units @ X[:, p].T, 0) @ V for p in patches])
    each = parts.mean(axis=0)[None] if pooling else parts
    grid = np.sqrt((each**2).sum(axis=(0, 2))).max()
    for oracle in ("sphere", "flats"):
        found = ro.several_outputs.vector_separation(X, V, oracle, patches=patches, pooling=pooling)
        assert found.lower == pytest.approx(grid, rel=1e-6)
        assert grid <= found.upper


def test_one_patch_of_all_columns_is_the_dense_network():
    X, Y = data_of(6, 8, 2, 2)
    dense = ro.several_outputs.train_vector(X, Y, 0.05)
    for pooling in (None, "average"):
        one = ro.several_outputs.train_vector(X, Y, 0.05, patches=[[0, 1]], pooling=pooling)
        assert one.objective == pytest.approx(dense.objective, rel=2e-6)


def test_networks_over_patches(tmp_path):
    rng = np.random.default_rng(0)
    X, patches = rng.standard_normal((4, 5)), np.array([[0, 2], [3, 4]])
    hidden, output = rng.standard_normal((3, 2)), rng.standard_normal((3, 2, 2))
    network = ro.several_outputs.VectorNetwork(hidden, output, [1.0, 0.0], patches)
    right = np.array([1.0, 0.0]) + sum(
        np.maximum(X[:, patches[k]] @ hidden.T, 0) @ output[:, k] for k in range(2)
    )
    np.testing.assert_allclose(network.predict(X), right)
    np.testing.assert_allclose(network.balance().predict(X), right)
    network.save(tmp_path / "net.npz")
    np.testing.assert_array_equal(
        ro.several_outputs.VectorNetwork.load(tmp_path / "net.npz").patches, patches
    )
    pooled = ro.several_outputs.VectorNetwork(hidden, output[:, 0], None, patches)
    right = sum(np.maximum(X[:, p] @ hidden.T, 0) @ output[:, 0] for p in patches) / 2
    np.testing.assert_allclose(pooled.predict(X), right)
    with pytest.raises(DataError, match="columns"):
        network.predict(X[:, :3])


# -- Frank–Wolfe ---------------------------------------------------------------


def test_frank_wolfe_is_slow_and_its_gap_is_true():
    """At the radius of a penalised optimum, whose loss is the least for it."""
    best = ro.several_outputs.train_vector(TINY, TARGETS, 0.5 / 4, tol=1e-8)
    radius = best.network.penalty()
    least = best.objective - 0.5 / 4 * radius
    run = frank_wolfe(TINY, TARGETS, radius, 100)
    assert (run.losses >= least - 1e-8).all()
    assert (run.losses - least <= run.gaps + 1e-8).all()
    assert (np.diff(run.losses) <= 1e-15).all()
    # Column generation is at 1e-8 after a few rounds.
    assert 1e-5 < run.losses[-1] - least < run.losses[10] - least
