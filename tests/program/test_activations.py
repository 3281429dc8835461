"""Leaky ReLUs of any slope: against brute force and cvxpy, through files, sets, paths, exports."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import cvxpy as cp
import numpy as np
import pytest
from scipy.optimize import linprog, minimize
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.io import read_npz, write_npz
from relu_opt.program.activations import ACTIVATIONS, RELU, get_activation

SLOPES = (0.01, 0.3, -0.5, -1.0, -2.5)


def problem(slope, seed=0, n=12, loss="squared", intercept=False):
    rng = np.random.default_rng(seed)
    X = np.c_[rng.standard_normal((n, 2)), np.ones(n)]
    y = np.abs(X[:, 0]) - 0.5 * X[:, 1] + 0.2 * rng.standard_normal(n)
    patterns = ro.sample_patterns(X, 15, seed)
    activation = slope if isinstance(slope, str) else ro.Leaky(slope)
    return ro.ConvexProgram(X, y, 0.01, patterns, loss, activation, None, intercept)


# -- what they answer --------------------------------------------------------------------


def test_names_and_values():
    z = np.array([-2.0, 0.0, 3.0])
    for slope in (*SLOPES, 0.0):
        leaky = ro.Leaky(slope)
        np.testing.assert_array_equal(leaky.apply(z), [-2 * slope, 0.0, 3.0])
        np.testing.assert_array_equal(leaky.counts(np.array([True, False])), [1.0, slope])
    assert set(ACTIVATIONS) == {"relu", "gated", "leaky", "absolute"}
    assert get_activation("leaky") == ro.Leaky(0.01) == ro.Leaky()
    assert get_activation("absolute") == ro.Leaky(-1)
    assert ro.Leaky(0) == RELU == "relu"
    assert ro.Leaky(0.3) == "leaky"
    assert ro.Leaky(0.3) != ro.Leaky(0.2)
    assert problem("relu").activation == "relu"
    assert ro.Leaky(-1.0).reach == 1.0
    assert ro.Leaky(-3.0).reach == 3.0


@pytest.mark.parametrize("slope", [1.0, 2.0, np.nan, np.inf, -np.inf, "a", None])
def test_slopes_that_are_none(slope):
    with pytest.raises(DataError, match="slope"):
        ro.Leaky(slope)


def test_a_gated_network_has_no_slope():
    with pytest.raises(DataError, match="no slope"):
        ro.ReLUNetwork([[1.0]], [1.0], 0.0, [[1.0]], 0.1)


# -- against others ----------------------------------------------------------------------


def brute_force(X):
    """The sign patterns of strictly satisfiable cones, by a linear program for each of 2ⁿ."""
    found = []
    for mask in product((False, True), repeat=len(X)):
        side = np.where(mask, 1.0, -1.0)[:, None]
        best = linprog(
            np.r_[np.zeros(X.shape[1]), -1.0],
            A_ub=np.c_[-side * X, np.ones(len(X))],
            b_ub=np.zeros(len(X)),
            bounds=[(-1, 1)] * X.shape[1] + [(None, 1)],
        )
        if best.fun < -1e-7:
            found.append(mask)
    return np.array(found)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_the_absolute_value_against_brute_force_over_all_patterns(seed, intercept):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((7, 2)), rng.standard_normal(7)
    masks = brute_force(X)
    blocks = [cp.Variable((2, 2)) for _ in masks]
    sides = [np.where(mask, 1.0, -1.0)[:, None] * X for mask in masks]
    fits = sum(side @ (w[:, 0] - w[:, 1]) for side, w in zip(sides, blocks, strict=True))
    fits = fits + cp.Variable() if intercept else fits
    cost = cp.sum_squares(fits - y) / 14 + 0.02 * sum(
        cp.norm(w[:, 0]) + cp.norm(w[:, 1]) for w in blocks
    )
    inside = [side @ w >= 0 for side, w in zip(sides, blocks, strict=True)]
    wanted = cp.Problem(cp.Minimize(cost), inside).solve(cp.CLARABEL)
    patterns = ro.enumerate_patterns(X)
    assert len(patterns) == len(masks)
    prog = ro.ConvexProgram(X, y, 0.02, patterns, "squared", ro.Leaky(-1), None, intercept)
    solution = ro.solve(prog)
    assert solution.objective == pytest.approx(wanted, rel=1e-6)
    proof = ro.certify(prog, solution, scope="all")
    for arithmetic in ("float", "exact"):
        found = ro.verify(proof, X, y, scope="all", arithmetic=arithmetic)
        assert found.valid, found.problems
        assert "absolute-value network" in found.statement

    def training(parameters):
        hidden, output = parameters[:16].reshape(8, 2), parameters[16:24]
        out = np.abs(X @ hidden.T) @ output + (parameters[24] if intercept else 0.0)
        return np.mean((out - y) ** 2) / 2 + 0.01 * (parameters[:24] ** 2).sum()

    # No descent of the non-convex problem ends below, and the best is near.
    ends = [minimize(training, rng.standard_normal(25)).fun for _ in range(8)]
    assert min(ends) >= solution.lower_bound * (1 - 1e-9)
    assert min(ends) <= solution.objective * 1.2


@pytest.mark.parametrize("slope", SLOPES)
@pytest.mark.parametrize("loss", ["squared", "hinge", "poisson", "quantile", ro.losses.Huber(0.3)])
def test_backends_agree_with_atoms(slope, loss, make_program, independent_optimum):
    prog = make_program(3, n=10, p=6, loss=loss, activation=ro.Leaky(slope), intercept=True)
    wanted = independent_optimum(prog)
    for backend in ("clarabel", "cvxpy", *(("native", "highs") if prog.loss.smooth else ())):
        solution = ro.solve(prog, backend)
        assert solution.objective == pytest.approx(wanted, rel=1e-6)
        assert solution.verdict is ro.Verdict.CERTIFIED
        assert ro.verify(solution, prog.X, prog.y).valid


# -- files -------------------------------------------------------------------------------


@pytest.mark.parametrize("slope", SLOPES)
def test_files_come_back(tmp_path, slope):
    prog = problem(slope)
    solution = ro.solve(prog)
    assert f"slope {slope:g}" in repr(solution.network) or slope == -1
    file = tmp_path / "f.npz"
    solution.network.save(file)
    again = ro.ReLUNetwork.load(file)
    assert again.slope == slope
    np.testing.assert_array_equal(again.predict(prog.X), solution.network.predict(prog.X))
    solution.certificate.save(file)
    proof = ro.load(file)
    assert (proof.activation, proof.network.slope) == (ro.Leaky(slope), slope)
    assert ro.verify(file, prog.X, prog.y).valid
    solution.save(file)
    assert ro.Solution.load(file, prog).objective == solution.objective
    text = ro.export.to_json(solution.network)
    assert ro.export.from_json(text)[0].slope == slope


def test_a_false_slope_is_found(tmp_path):
    prog = problem(0.3)
    proof = ro.solve(prog).certificate
    proof.save(tmp_path / "c.npz")
    arrays, meta = read_npz(tmp_path / "c.npz", "certificate")
    meta = {k: v for k, v in meta.items() if k not in ("kind", "version")}
    for changes, entry, problem_ in (
        ({"slope": 0.2}, 0.2, "ν is infeasible"),
        ({"slope": 0.2}, 0.3, "slope is not that"),
        ({"slope": 1.5}, 1.5, "slope is 1.5"),
        ({"activation": "relu"}, 0.3, "has none"),
    ):
        file = tmp_path / "forged.npz"
        write_npz(file, "certificate", {**arrays, "slope": np.array(entry)}, {**meta, **changes})
        for arithmetic in ("float", "exact"):
            found = ro.verify(file, prog.X, prog.y, arithmetic=arithmetic)
            assert not found.valid
            if arithmetic == "float":
                assert problem_ in found.problems[0]


# -- what is asked of an optimum ------------------------------------------------------------


@pytest.mark.parametrize("slope", [0.01, -1.0])
def test_sets_paths_and_pruning(slope):
    prog = problem(slope, n=20)
    solution = ro.solve(prog, tol=1e-10)
    found = ro.optimal_set(solution)
    element = found.element(found.polytope.start)
    assert element.slope == slope
    assert element.certificate.verdict is ro.Verdict.CERTIFIED
    path = ro.solution_path(prog, n_lams=6, lam_min_ratio=0.1, eps=1e-6)
    middle = float(np.sqrt(path.lams[2] * path.lams[3]))
    between = path.solution_at(middle)
    assert between.network.slope == slope
    wanted = ro.solve(prog.with_lam(middle)).objective
    assert wanted * (1 - 1e-8) <= between.objective <= wanted * (1 + 2e-6)
    pruned = ro.prune(solution.network, prog.X, prog.y, lam=prog.lam)
    assert pruned.network().slope == slope
    assert pruned.network().objective(prog.X, prog.y, prog.lam) <= solution.objective * (1 + 1e-9)


def test_the_network_of_another_slope_is_refused():
    prog = problem(0.3)
    network = replace(ro.solve(prog).network, slope=0.2)
    with pytest.raises(DataError, match=r"slope 0\.3.*slope 0\.2"):
        ro.certify(prog, network)
    assert ro.certify_network(network, prog.X, prog.y, lam=0.01).activation == ro.Leaky(0.2)


# -- estimators, command line, exports -------------------------------------------------------


def test_an_estimator_and_its_model(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 2))
    y = np.abs(X[:, 0]) + 0.1 * rng.standard_normal(60)
    model = ro.ReLURegressor(activation="absolute", n_gates=20).fit(X, y)
    assert model.network_.slope == -1.0
    assert model.score(X, y) > 0.9
    saved = model.to_model()
    saved.save(tmp_path / "m.npz")
    assert ro.load(tmp_path / "m.npz").activation == ro.Leaky(-1.0)


def test_the_onnx_file_has_the_slope_in_double_precision():
    pytest.importorskip("onnx")
    runtime = pytest.importorskip("onnxruntime")
    network = ro.solve(problem(0.3)).network
    report = ro.export.to_onnx(network, dtype="float64")
    X = np.random.default_rng(1).standard_normal((9, 3))
    session = runtime.InferenceSession(report.content, providers=["CPUExecutionProvider"])
    found = session.run(None, {"X": X})[0]
    np.testing.assert_allclose(found, network.predict(X), rtol=1e-13, atol=1e-13)


def test_torch_has_it_too():
    pytest.importorskip("torch")
    network = ro.solve(problem(0.3)).network
    again = ro.export.from_torch(ro.export.to_torch(network))
    assert again.slope == 0.3
    np.testing.assert_array_equal(again.hidden, network.hidden)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "slope"), [("poisson", 0.0), ("quantile", 0.0), ("squared", 0.01), ("squared", -1.0)]
)
def test_real_data_agree_with_atoms(loss, slope, independent_optimum):
    """Disease progression of 150 diabetes patients, a whole number each."""
    raw = load_diabetes()
    data, target = raw.data[:150], raw.target[:150]
    X = np.c_[StandardScaler().fit_transform(data), np.ones(150)] / np.sqrt(10)
    # As a count in steps of 25; else standardised.
    y = np.rint(target / 25)
    if loss != "poisson":
        y = (target - target.mean()) / target.std()
    kind = ro.losses.Quantile(0.9) if loss == "quantile" else loss
    patterns = ro.sample_patterns(X, 8)
    prog = ro.ConvexProgram(X, y, 1.0, patterns, kind, ro.Leaky(slope), None, True)
    prog = prog.with_lam(0.05 * prog.lam_max)
    solution = ro.solve(prog)
    assert solution.verdict is ro.Verdict.CERTIFIED
    assert ro.verify(solution, X, y, arithmetic="exact").valid
    assert solution.objective == pytest.approx(independent_optimum(prog), rel=1e-6)
