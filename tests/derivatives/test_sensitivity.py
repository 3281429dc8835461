"""Derivatives of optimal networks against finite differences of solved programs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from moving import Moving, solved
from scipy.stats import ortho_group
from symmetric import crosspolytope

import relu_opt as ro
from relu_opt.derivatives.differentiability import Margins, verdict
from relu_opt.errors import DataError, NotDifferentiable

CASES = [
    (activation, loss, intercept)
    for activation in ("relu", "gated", "absolute")
    for loss in ("squared", "logistic", "huber", "squared_hinge")
    for intercept in (False, True)
]


def problem(activation="relu", loss="squared", intercept=False, seed=1, n=40, lam=0.1):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 4))
    X[:, -1] = 1
    y = np.maximum(X @ rng.standard_normal(4), 0) - np.maximum(X @ rng.standard_normal(4), 0)
    y += 0.3 * rng.standard_normal(n)
    if loss in ("logistic", "squared_hinge"):
        y = np.where(y > np.median(y), 1.0, -1.0)
    prog = ro.ConvexProgram(
        X,
        y,
        1.0,
        ro.sample_patterns(X, 25, seed),
        loss=loss,
        activation=activation,
        intercept=intercept,
        sample_weight=rng.uniform(0.5, 2, n),
    )
    return prog.with_lam(lam * prog.lam_max)


def close(got, expected, tol=1e-5):
    assert np.abs(got - expected).max() <= tol * max(1e-3, np.abs(expected).max())


@pytest.mark.parametrize(("activation", "loss", "intercept"), CASES)
def test_the_derivative_in_lam(activation, loss, intercept):
    moving = Moving(problem(activation, loss, intercept))
    prog, result = moving.prog, moving.result
    step = 1e-5 * prog.lam
    expected, above, below = moving.differences(lambda h: prog.with_lam(prog.lam + h), step)
    assert result.differentiable
    close(result.d_lam, expected)
    queries = np.random.default_rng(3).standard_normal((6, 4))
    for X, got in (
        (prog.X, result.fits_d_lam),
        (queries, result.predictions_d_lam(queries)),
    ):
        close(got, (above.predict(X) - below.predict(X)) / (2 * step))
    close(result.intercept_d_lam, (above.intercept - below.intercept) / (2 * step))
    hidden, output = result.network_derivative(result.d_lam)
    close(hidden, (above.hidden - below.hidden) / (2 * step))
    close(output, (above.output - below.output) / (2 * step))
    # The envelope theorem: p* has the slope Σ‖w‖.
    ends = [solved(prog.with_lam(prog.lam + h)).objective for h in (step, -step)]
    assert result.objective_d_lam == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


@pytest.mark.parametrize(
    ("activation", "loss", "intercept"), [c for c in CASES if c[1] in ("squared", "huber")]
)
def test_the_derivative_in_the_targets(activation, loss, intercept):
    moving = Moving(problem(activation, loss, intercept))
    prog, result = moving.prog, moving.result
    dy = np.random.default_rng(0).standard_normal(prog.n)
    expected, above, below = moving.differences(lambda h: replace(prog, y=prog.y + h * dy), 1e-5)
    close((result.d_y @ dy).reshape(expected.shape), expected)
    close(result.fits_d_y @ dy, (above.predict(prog.X) - below.predict(prog.X)) / 2e-5)
    queries = np.random.default_rng(3).standard_normal((6, 4))
    got = result.predictions_d_y(queries) @ dy
    close(got, (above.predict(queries) - below.predict(queries)) / 2e-5)
    close(result.intercept_d_y @ dy, (above.intercept - below.intercept) / 2e-5)


@pytest.mark.parametrize(("activation", "loss", "intercept"), CASES)
def test_the_derivative_in_the_data(activation, loss, intercept):
    moving = Moving(problem(activation, loss, intercept))
    prog, result = moving.prog, moving.result
    rng = np.random.default_rng(0)
    dX = rng.standard_normal(prog.X.shape)
    expected, *_ = moving.differences(lambda h: replace(prog, X=prog.X + h * dX), 1e-6)
    operator = result.d_X
    got = operator @ dX.ravel()
    close(got.reshape(expected.shape), expected)
    # The transpose is the transpose.
    cotangent = rng.standard_normal(expected.size)
    assert cotangent @ got == pytest.approx(operator.rmatvec(cotangent) @ dX.ravel(), rel=1e-9)


@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
@pytest.mark.parametrize("loss", ["logistic", "squared_hinge"])
def test_labels_count_as_numbers(activation, loss):
    """These losses see y·z only, so a label that grows is a row of X that grows."""
    prog = problem(activation, loss)
    result = ro.sensitivity(solved(prog))
    dense = result.d_y @ np.eye(prog.n)
    for k in (0, 7, 21):
        dX = np.zeros_like(prog.X)
        dX[k] = prog.X[k] * prog.y[k]
        close(dense[:, k], result.d_X @ dX.ravel(), 1e-8)


@pytest.mark.parametrize(("activation", "intercept"), [("relu", False), ("gated", True)])
def test_degrees_of_freedom_are_the_trace_of_a_numerical_jacobian(activation, intercept):
    moving = Moving(problem(activation, "squared", intercept, n=25))
    prog, step = moving.prog, 1e-5
    trace = 0.0
    leverages = []
    for k in range(prog.n):
        dy = step * np.eye(prog.n)[k]
        ends = [moving.at(replace(prog, y=prog.y + s * dy))[1].predict(prog.X) for s in (1, -1)]
        leverages.append((ends[0][k] - ends[1][k]) / (2 * step))
        trace += leverages[-1]
    assert moving.result.dof == pytest.approx(trace, rel=1e-6)
    close(moving.result.leverages, np.array(leverages))
    assert (moving.result.leverages > -1e-12).all()


def test_degrees_of_freedom_of_gated_networks_are_those_of_the_group_lasso():
    """Vaiter et al. (2012): tr X_A (X_AᵀX_A + nλ blockdiag((I − ββᵀ/‖β‖²)/‖β‖))⁻¹ X_Aᵀ."""
    prog = replace(problem("gated"), sample_weight=None)
    result = ro.sensitivity(solved(prog))
    beta = result.network.hidden * result.network.output[:, None]
    groups = [(prog.X @ gate >= 0)[:, None] * prog.X for gate in result.network.gates]
    A = np.hstack(groups)
    penalty = np.zeros((A.shape[1], A.shape[1]))
    for j, b in enumerate(beta):
        part, norm = slice(4 * j, 4 * j + 4), np.linalg.norm(b)
        penalty[part, part] = (np.eye(4) - np.outer(b, b) / norm**2) / norm
    expected = np.trace(A @ np.linalg.solve(A.T @ A + prog.n * prog.lam * penalty, A.T))
    assert result.dof == pytest.approx(expected, rel=1e-9)


def test_degrees_of_freedom_of_orthonormal_groups():
    """Yuan & Lin (2006): Σ_j 1 + (d − 1) ‖β_j‖/‖β_j of least squares‖."""
    d, half = 4, 8
    tops = [ortho_group.rvs(half, random_state=j)[:, :d] for j in range(2)]
    # Turned rows are as orthonormal; so each group has one side of the gate.
    X = np.vstack([side * np.sign(Q[:, :1]) * Q for side, Q in zip((1, -1), tops, strict=True)])
    y = np.random.default_rng(0).standard_normal(2 * half)
    gates = np.outer(np.eye(d)[0], (1, -1))
    least = np.array([np.linalg.norm(X[m].T @ y[m]) for m in (X @ gates >= 0).T])
    for strength, active in ((0.5 * least.min(), 2), (least.mean(), 1)):
        prog = ro.ConvexProgram(
            X, y, strength / len(X), ro.program.patterns_of_gates(X, gates), activation="gated"
        )
        shrunk = np.maximum(0, least - strength)
        assert (shrunk > 0).sum() == active
        expected = ((shrunk > 0) * (1 + (d - 1) * shrunk / least)).sum()
        assert ro.sensitivity(solved(prog)).dof == pytest.approx(expected, rel=1e-9)


# -- verdicts --------------------------------------------------------------------------------


def refuses_everything(result, prog):
    assert not result.differentiable
    questions = (
        lambda: result.d_lam,
        lambda: result.intercept_d_lam if prog.intercept else result.fits_d_lam,
        lambda: result.fits_d_lam,
        lambda: result.predictions_d_lam(prog.X[:1]),
        lambda: result.d_y,
        lambda: result.fits_d_y,
        lambda: result.predictions_d_y(prog.X[:1]),
        lambda: result.leverages,
        lambda: result.dof,
        lambda: result.d_X,
        lambda: result.network_derivative(np.zeros_like(result.network.hidden)),
    )
    for question in questions:
        with pytest.raises(NotDifferentiable) as caught:
            question()
        assert caught.value.message == result.reason
        assert caught.value.fields["failed"] == result.margins.fails()


def test_no_number_where_the_network_is_not_unique():
    prog = crosspolytope([1.0, 2.0, -1.5], lam=0.02)
    sol = solved(prog)
    assert not ro.optimal_set(sol).is_unique
    result = ro.sensitivity(sol)
    refuses_everything(result, prog)
    assert "independence" in result.margins.fails() or "off" in result.margins.fails()


def test_a_minimal_network_moves_among_the_networks_of_its_neurons():
    prog = crosspolytope([1.0, 2.0, 0.7], lam=0.02, rotation=ortho_group.rvs(3, random_state=0))
    sol = solved(prog)
    found = ro.optimal_set(sol)
    result = ro.sensitivity(sol, minimal=True)
    assert result.differentiable
    assert found.contains(result.network)
    assert len(result.network) <= np.linalg.matrix_rank(found.fits)
    # The program over its own patterns has it as its only optimum, and its derivative.
    own = prog.with_patterns(ro.certify(prog, result.network, scope="own").patterns)
    step, ends = 1e-6, []
    for h in (step, -step):
        S = ro.optimal_set(solved(own.with_lam(prog.lam + h)))
        assert S.is_unique
        ends.append(S.element(S.polytope.start).predict(prog.X + 0.1))
    close(result.predictions_d_lam(prog.X + 0.1), (ends[0] - ends[1]) / (2 * step))


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
def test_the_zero_network_does_not_move_above_lam_max(activation, intercept):
    prog = problem(activation, intercept=intercept)
    above = ro.sensitivity(solved(prog.with_lam(1.01 * prog.lam_max)))
    assert above.differentiable
    assert above.d_lam.shape == (0, 4)
    assert above.d_y.shape == (0, prog.n)
    assert above.dof == pytest.approx(float(intercept))
    assert np.abs(above.fits_d_lam).max() == 0
    refuses_everything(ro.sensitivity(solved(prog.with_lam(prog.lam_max))), prog)


@pytest.mark.filterwarnings("ignore::relu_opt.errors.DoubtWarning")
def test_no_derivative_where_a_neuron_enters():
    prog = problem("gated")
    path = ro.solution_path(prog, n_lams=6, lam_min_ratio=0.1).located(1e-9)
    entry = next(e for e in path.events if e.kind == "enters" and e.lam_high < 0.9 * prog.lam_max)
    assert entry.lam_high / entry.lam_low - 1 <= 1e-9
    at = ro.sensitivity(solved(prog.with_lam(entry.lam_high)))
    assert not at.differentiable
    assert set(at.margins.fails()) <= {"off", "size"}
    assert "neuron" in at.reason
    away = ro.sensitivity(solved(prog.with_lam(1.01 * entry.lam_high)))
    assert away.differentiable
    assert away.margins.off == pytest.approx(
        # ‖v_b‖/λ of the block that enters, from the definition.
        1
        - np.sort(
            np.linalg.norm(prog.correlations(solved(away.system.prog).nu), axis=1)
            / away.system.prog.lam
        )[-1 - len(away.network)],
        abs=1e-6,
    )


@pytest.mark.parametrize("name", ["independence", "size", "off", "face", "slack", "kink"])
def test_every_margin_counts(name):
    fine = Margins(*[1.0] * 6)
    assert verdict(fine)[0]
    for value in (0.0, np.nan):
        differentiable, reason = verdict(replace(fine, **{name: value}))
        assert not differentiable
        assert reason.startswith("Not differentiable: ")


def test_margins_by_their_definitions():
    prog = problem("relu", "huber")
    result = ro.sensitivity(solved(prog))
    network, margins = result.network, result.margins
    sizes = network.output**2
    assert margins.size == pytest.approx((sizes / sizes.sum()).min())
    units = network.hidden / np.linalg.norm(network.hidden, axis=1, keepdims=True)
    heights = np.abs(units @ (prog.X / np.linalg.norm(prog.X, axis=1, keepdims=True)).T)
    assert margins.slack == pytest.approx(heights[heights > 1e-9].min(), rel=1e-6)
    held = sum(len(each.rows) for each in result.contacts)
    assert held == (heights <= 1e-9).sum() > 0
    residuals = np.abs(network.predict(prog.X) - prog.y)
    assert margins.kink == pytest.approx(np.abs(residuals - 1.0).min(), rel=1e-6)
    # Stationarity with the contacts' multipliers: λŵ = s X_Dᵀν + Σ ρ x.
    nu = -prog.loss_gradient(network.predict(prog.X))
    for unit, sign, mask, each in zip(
        units, result.system.signs, result.system.counts, result.contacts, strict=True
    ):
        right = sign * (mask * nu) @ prog.X + each.rho @ prog.X[each.rows]
        np.testing.assert_allclose(right, prog.lam * unit, atol=1e-9)


def test_a_repeated_sample_has_no_derivative_in_the_data():
    prog = problem()
    result = ro.sensitivity(solved(prog))
    row = next(int(each.rows[0]) for each in result.contacts if len(each.rows))
    X, y = np.vstack([prog.X, prog.X[row]]), np.append(prog.y, prog.y[row])
    twice = ro.ConvexProgram(X, y, prog.lam, ro.program.patterns_of_gates(X, prog.patterns.gates))
    again = ro.sensitivity(solved(twice))
    assert again.differentiable
    assert np.isfinite(again.d_lam).all()
    with pytest.raises(NotDifferentiable, match="repeated samples"):
        _ = again.d_X


def test_a_row_on_a_hyperplane_has_a_kink():
    prog = problem()
    result = ro.sensitivity(solved(prog))
    w, basis = result.network.hidden[0], result.system.bases[0]
    # Orthogonal to the neuron, not to its face's rows only.
    normal = np.eye(4)[0] - w * w[0] / (w @ w)
    assert np.linalg.norm(normal @ basis) > 1e-3 or basis.shape[1] == 1
    moving = Moving(problem("relu", "squared", True))
    k = int(np.argmax([b.shape[1] for b in moving.result.system.bases]))
    w, basis = moving.result.network.hidden[k], moving.result.system.bases[k]
    assert basis.shape[1] > 1
    across = basis[:, 0] - w * (basis[:, 0] @ w) / (w @ w)
    with pytest.raises(NotDifferentiable, match="kink") as caught:
        moving.result.predictions_d_lam(np.vstack([moving.prog.X[:2], across]))
    assert caught.value.fields == {"row": 2, "neuron": k}
    # Training samples that hold a neuron keep doing so: no kink there.
    held = moving.result.contacts[k].rows
    assert np.isfinite(moving.result.predictions_d_lam(moving.prog.X[held])).all()


def test_wrong_input_is_refused():
    prog = problem()
    result = ro.sensitivity(solved(prog))
    with pytest.raises(DataError):
        ro.sensitivity(prog)
    with pytest.raises(DataError):
        result.predictions_d_lam(np.ones((2, 3)))
    with pytest.raises(DataError):
        result.network_derivative(np.ones(3))
    assert "dof" in repr(result)


@pytest.mark.parametrize("loss", ["squared", "logistic", "squared_hinge", "huber"])
def test_operators_agree_with_their_dense_forms(loss):
    prog = problem("relu", loss)
    result = ro.sensitivity(solved(prog))
    for operator in (result.d_y, result.fits_d_y, result.predictions_d_y(prog.X + 0.1)):
        dense = operator @ np.eye(prog.n)
        np.testing.assert_allclose(operator.T @ np.eye(dense.shape[0]), dense.T, atol=1e-10)
    np.testing.assert_allclose(
        np.diag(result.fits_d_y @ np.eye(prog.n)), result.leverages, atol=1e-10
    )
    if loss in ("squared", "huber"):
        assert result.dof == pytest.approx(result.leverages.sum())
