"""The convex program against explicit matrices and brute force, and what it refuses."""

from __future__ import annotations

import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar, nnls
from scipy.special import xlogy

from relu_opt.errors import DataError
from relu_opt.program import ConvexProgram, Patterns, sample_patterns
from relu_opt.program import patterns as patterns_module
from relu_opt.program.losses import Huber

LOSSES = ("squared", "logistic", "squared_hinge", Huber(0.4), "poisson")
CASES = list(product(LOSSES, ("relu", "gated", "absolute"), (False, True), (False, True)))
every_case = pytest.mark.parametrize(("loss", "activation", "intercept", "weighted"), CASES)


def random_weights(prog, seed=0, inside=False):
    weights = np.random.default_rng(seed).standard_normal(prog.weights_shape)
    if inside and prog.activation != "gated":
        blocks = np.arange(len(prog.patterns))
        weights = np.array([prog.project(part, blocks).points for part in weights])
        # Cones of the single point 0 leave rounding.
        weights[np.linalg.norm(weights, axis=2) < 1e-12] = 0.0
    return weights


def loss_values(prog, z):
    y = prog.y
    if prog.loss.name == "poisson":
        return np.exp(z) - y * z - y + xlogy(y, y)
    return {
        "squared": lambda: 0.5 * (z - y) ** 2,
        "logistic": lambda: np.log1p(np.exp(-y * z)),
        "squared_hinge": lambda: 0.5 * np.clip(1 - y * z, 0, None) ** 2,
        "huber": lambda: np.where(
            np.abs(z - y) <= 0.4, 0.5 * (z - y) ** 2, 0.4 * (np.abs(z - y) - 0.2)
        ),
    }[prog.loss.name]()


# -- values ------------------------------------------------------------------------------


@every_case
def test_objective_and_gradient_by_explicit_matrices(
    make_program, blocks_of, loss, activation, intercept, weighted
):
    prog = make_program(1, loss=loss, activation=activation, intercept=intercept, weighted=weighted)
    blocks, weights, c = blocks_of(prog), random_weights(prog), 0.3 * intercept
    fits = np.einsum("spnd,spd->n", blocks, weights)
    np.testing.assert_allclose(prog.fits(weights), fits, atol=1e-12)

    scale = np.ones(prog.n) if prog.sample_weight is None else prog.sample_weight
    assert scale.mean() == pytest.approx(1.0, rel=1e-14)
    wanted = np.mean(scale * loss_values(prog, fits + c))
    norms = np.sqrt((weights**2).sum(axis=2)).sum()
    assert prog.objective(weights, c) == pytest.approx(wanted + prog.lam * norms, rel=1e-13)

    # The loss term's derivative, by a central difference along one direction.
    direction = random_weights(prog, 1)
    h = 1e-6

    def loss_at(t):
        z = np.einsum("spnd,spd->n", blocks, weights + t * direction) + c
        return np.mean(scale * loss_values(prog, z))

    slope = (loss_at(h) - loss_at(-h)) / (2 * h)
    assert (prog.gradient(weights, c) * direction).sum() == pytest.approx(slope, rel=1e-6)
    common = prog.loss_gradient(fits + c)
    np.testing.assert_allclose(
        prog.gradient(weights, c), np.einsum("spnd,n->spd", blocks, common), atol=1e-13
    )
    np.testing.assert_array_equal(
        prog.loss_hessian(fits), prog.sample_scale * prog.loss.hessian(fits, prog.y)
    )


@every_case
def test_correlations_by_explicit_matrices(
    make_program, blocks_of, loss, activation, intercept, weighted
):
    prog = make_program(2, loss=loss, activation=activation, intercept=intercept, weighted=weighted)
    nu = np.random.default_rng(0).standard_normal(prog.n)
    wanted = np.einsum("pnd,n->pd", blocks_of(prog)[0], nu)
    np.testing.assert_allclose(prog.correlations(nu), wanted, atol=1e-13)
    chosen = np.array([3, 0, 3])
    np.testing.assert_allclose(prog.correlations(nu, chosen), wanted[chosen], atol=1e-13)
    assert prog.correlations(nu, chosen[:0]).shape == (0, prog.d)


@every_case
def test_weak_duality_with_equality_in_fenchel_young(
    make_program, loss, activation, intercept, weighted
):
    """D(ν) ≤ F(z) + νᵀz for every z, with equality at ν = −∇F(z)."""
    prog = make_program(3, loss=loss, activation=activation, intercept=intercept, weighted=weighted)
    rng = np.random.default_rng(4)
    z, other = 3 * rng.standard_normal((2, prog.n))
    nu = -prog.loss_gradient(z)
    assert prog.dual_objective(nu) == pytest.approx(prog.mean_loss(z) + nu @ z, abs=1e-12)
    assert prog.dual_objective(nu) <= prog.mean_loss(other) + nu @ other + 1e-12


def test_dual_objective_by_the_formulas_of_the_theory(make_program):
    rng = np.random.default_rng(0)
    prog = make_program(loss="squared")
    nu = rng.standard_normal(prog.n)
    wanted = nu @ prog.y - prog.n / 2 * nu @ nu
    assert prog.dual_objective(nu) == pytest.approx(wanted, rel=1e-13)

    prog = make_program(loss="logistic")
    t = rng.uniform(0, 1, prog.n)
    wanted = -np.mean(t * np.log(t) + (1 - t) * np.log(1 - t))
    assert prog.dual_objective(t * prog.y / prog.n) == pytest.approx(wanted, rel=1e-12)

    prog = make_program(loss="squared_hinge")
    t = rng.uniform(0, 4, prog.n)
    wanted = np.mean(t - t**2 / 2)
    assert prog.dual_objective(t * prog.y / prog.n) == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("loss", ["logistic", "squared_hinge", "huber"])
def test_dual_objective_is_minus_infinity_outside_its_domain(make_program, loss):
    prog = make_program(loss=loss)
    nu = prog.dual_start()
    nu[3] = -prog.y[3] if loss != "huber" else 2.0
    assert prog.dual_objective(nu) == -np.inf
    assert prog.dual_objective(np.full(prog.n, np.nan)) == -np.inf


# -- sample weights ----------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
@pytest.mark.parametrize("intercept", [False, True])
def test_sample_weights_are_repeated_rows(make_program, loss, activation, intercept):
    prog = make_program(5, loss=loss, activation=activation, intercept=intercept)
    counts = np.random.default_rng(6).integers(1, 5, prog.n)
    rows = np.repeat(np.arange(prog.n), counts)
    weighted = ConvexProgram(
        prog.X, prog.y, prog.lam, prog.patterns, loss, activation, 7.0 * counts, intercept
    )
    repeated = ConvexProgram(
        prog.X[rows],
        prog.y[rows],
        prog.lam,
        Patterns(prog.patterns.masks[rows], prog.patterns.gates),
        loss,
        activation,
        None,
        intercept,
    )
    weights = random_weights(prog)
    assert weighted.objective(weights, 0.1) == pytest.approx(repeated.objective(weights, 0.1))
    fits = prog.fits(weights)
    assert weighted.best_intercept(fits) == pytest.approx(
        repeated.best_intercept(fits[rows]), abs=1e-9
    )
    np.testing.assert_allclose(
        weighted.gradient(weights), repeated.gradient(weights), rtol=1e-9, atol=1e-12
    )
    assert weighted.lam_max == pytest.approx(repeated.lam_max)
    nu = -weighted.loss_gradient(fits)
    spread = (nu / counts)[rows]
    assert weighted.dual_objective(nu) == pytest.approx(repeated.dual_objective(spread))
    np.testing.assert_allclose(weighted.correlations(nu), repeated.correlations(spread), atol=1e-12)


def test_weights_are_scaled_to_mean_1(make_program):
    prog = make_program()
    for weight in (np.full(prog.n, 5.0), np.full(prog.n, 1e-9)):
        same = ConvexProgram(prog.X, prog.y, prog.lam, prog.patterns, sample_weight=weight)
        np.testing.assert_allclose(same.sample_weight, 1.0, rtol=1e-14)
        assert same.lam_max == pytest.approx(prog.lam_max, rel=1e-13)


# -- intercept ---------------------------------------------------------------------------


@settings(max_examples=60)
@given(
    st.sampled_from(LOSSES),
    st.integers(0, 10**6),
    st.booleans(),
    st.sampled_from([1e-3, 1.0, 1e3]),
)
def test_best_intercept_minimises_the_loss(make_program, loss, seed, weighted, spread):
    prog = make_program(seed, loss=loss, intercept=True, weighted=weighted)
    fits = spread * np.random.default_rng(seed).standard_normal(prog.n)
    c = prog.best_intercept(fits)
    slope = prog.loss_gradient(fits + c)
    assert abs(slope.sum()) <= 1e-12 * np.abs(slope).sum() + 1e-15
    found = minimize_scalar(lambda t: prog.mean_loss(fits + c + t), bounds=(-10, 10))
    assert prog.mean_loss(fits + c) <= found.fun * (1 + 1e-12) + 1e-15


def test_programs_without_intercept_have_none(make_program):
    prog = make_program(intercept=False)
    assert prog.best_intercept(prog.y - 5.0) == 0.0


@pytest.mark.parametrize("loss", LOSSES)
def test_dual_start_is_the_gradient_at_the_zero_network(make_program, loss):
    for intercept in (False, True):
        prog = make_program(3, loss=loss, intercept=intercept)
        c = prog.best_intercept(np.zeros(prog.n))
        nu = prog.dual_start()
        np.testing.assert_allclose(nu, -prog.loss_gradient(np.full(prog.n, c)))
        assert prog.dual_objective(nu) == pytest.approx(prog.objective(prog_zero(prog), c))
        if intercept:
            assert abs(nu.sum()) <= 1e-12 * np.abs(nu).sum()


def prog_zero(prog):
    return np.zeros(prog.weights_shape)


@settings(max_examples=60)
@given(st.sampled_from(LOSSES), st.integers(0, 10**6), st.floats(-1.0, 1.0))
def test_admissible_points_sum_to_zero_and_stay_in_the_domain(make_program, loss, seed, shift):
    prog = make_program(seed, loss=loss, intercept=True)
    fits = np.random.default_rng(seed).standard_normal(prog.n)
    nu = -prog.loss_gradient(fits + shift)
    found = prog.admissible(nu)
    assert abs(found.sum()) <= 1e-13 * np.abs(found).sum()
    assert np.isfinite(prog.dual_objective(found))
    # Entries shrink, keeping their signs.
    assert (np.abs(found) <= np.abs(nu) * (1 + 1e-15)).all()
    assert (found * nu >= 0).all()
    np.testing.assert_allclose(prog.admissible(found), found, atol=1e-16)
    best = prog.dual_candidate(fits)
    np.testing.assert_allclose(
        best, -prog.loss_gradient(fits + prog.best_intercept(fits)), atol=1e-12
    )


def test_admissible_points_of_one_sign_are_zero(make_program):
    prog = make_program(intercept=True)
    np.testing.assert_array_equal(prog.admissible(np.ones(prog.n)), np.zeros(prog.n))
    free = make_program(intercept=False)
    np.testing.assert_array_equal(free.admissible(np.ones(prog.n)), np.ones(prog.n))


# -- lam_max and projections -------------------------------------------------------------


def brute_force_norms(prog, nu):
    """‖P_K(X_bᵀν)‖ of every block, by a least-squares problem each."""
    norms = []
    for sign, mask in product(prog.signs, prog.patterns.masks.T):
        counts = np.where(mask, 1.0, prog.activation.slope)
        target = sign * prog.X.T @ (counts * nu)
        if prog.activation == "gated":
            norms.append(np.linalg.norm(target))
            continue
        S = np.where(mask, 1.0, -1.0)[:, None] * prog.X
        norms.append(nnls(S.T, -target)[1])
    return np.array(norms)


@every_case
def test_lam_max_by_brute_force(make_program, loss, activation, intercept, weighted):
    prog = make_program(7, loss=loss, activation=activation, intercept=intercept, weighted=weighted)
    wanted = brute_force_norms(prog, prog.dual_start()).max()
    assert prog.lam_max == pytest.approx(wanted, rel=1e-10)


@pytest.mark.parametrize("p", [1, 3, 700])
def test_lam_max_with_few_and_with_many_patterns(make_program, p):
    prog = make_program(8, n=14, d=4, p=p)
    wanted = brute_force_norms(prog, prog.dual_start()).max()
    assert prog.lam_max == pytest.approx(wanted, rel=1e-10)


@every_case
def test_zero_is_optimal_exactly_from_lam_max_on(
    make_program, loss, activation, intercept, weighted
):
    """Along every block's steepest feasible direction the slope at zero is λ − g_b."""
    prog = make_program(9, loss=loss, activation=activation, intercept=intercept, weighted=weighted)
    zero, c = prog_zero(prog), prog.best_intercept(np.zeros(prog.n))
    common = prog.correlations(prog.dual_start())
    targets = np.stack([s * common for s in prog.signs]).reshape(-1, prog.d)
    points = targets
    if activation != "gated":
        points = prog.project(common, np.arange(len(targets))).points
    below, above = prog.with_lam(0.9 * prog.lam_max), prog.with_lam(1.1 * prog.lam_max)
    lowered = False
    for b, point in enumerate(points):
        if not np.linalg.norm(point) > 0:
            continue
        step = zero.copy()
        step.reshape(-1, prog.d)[b] = 1e-4 * point / np.linalg.norm(point)
        lowered |= below.objective(step, c) < below.objective(zero, c)
        assert above.objective(step, c) > above.objective(zero, c)
    assert lowered


def test_lam_max_of_a_target_of_zeros(make_program):
    prog = make_program()
    assert ConvexProgram(prog.X, np.zeros(prog.n), 1.0, prog.patterns).lam_max == 0.0


def test_project_numbers_blocks_by_sign_then_pattern(make_program):
    prog = make_program(10)
    p, nu = len(prog.patterns), np.random.default_rng(0).standard_normal(prog.n)
    common = prog.correlations(nu)
    found = prog.project(common, np.arange(2 * p))
    np.testing.assert_allclose(
        np.linalg.norm(found.points, axis=1), brute_force_norms(prog, nu), atol=1e-12
    )
    mixed = np.array([2 * p - 1, 0, p])
    np.testing.assert_allclose(prog.project(common, mixed).points, found.points[mixed], atol=1e-14)
    warm = prog.project(common, mixed, [found.rows[b] for b in mixed])
    np.testing.assert_allclose(warm.points, found.points[mixed], atol=1e-12)


def test_cone_violation_is_the_worst_block(make_program):
    prog = make_program(11)
    assert prog.cone_violation(prog_zero(prog)) == 0.0
    inside = random_weights(prog, inside=True)
    assert prog.cone_violation(inside) <= 1e-12
    i = int(np.argmax(np.abs(inside[1]).sum(axis=1)))
    inside[1, i] *= -1
    S = np.where(prog.patterns.masks[:, i], 1.0, -1.0)[:, None] * prog.X
    slack = S @ inside[1, i] / np.linalg.norm(prog.X, axis=1) / np.linalg.norm(inside[1, i])
    assert prog.cone_violation(inside) == pytest.approx(-slack.min(), rel=1e-12)
    gated = make_program(11, activation="gated")
    assert gated.cone_violation(random_weights(gated)) == 0.0


# -- scaling of dual points --------------------------------------------------------------


@settings(max_examples=60)
@given(st.sampled_from(LOSSES), st.integers(0, 10**6), st.floats(0.01, 100))
def test_best_scale_is_feasible_and_the_best(make_program, loss, seed, size):
    prog = make_program(seed, loss=loss)
    rng = np.random.default_rng(seed)
    nu = -size * prog.loss_gradient(rng.standard_normal(prog.n))
    largest = brute_force_norms(prog, nu).max()
    scale = prog.best_scale(nu, largest)
    assert 0 <= scale <= min(1.0, prog.lam / max(largest, 1e-300))
    value = prog.dual_objective(scale * nu)
    limit = min(1.0, prog.lam / largest)
    others = [prog.dual_objective(t * nu) for t in np.linspace(0, limit, 200)]
    finite = [other for other in others if np.isfinite(other)]
    assert value >= max(others) - 1e-2 * (max(finite) - min(finite))


# -- settings and sizes ------------------------------------------------------------------


def test_shapes_and_signs(make_program):
    relu, gated = make_program(p=5), make_program(p=5, activation="gated")
    assert (relu.signs, relu.weights_shape) == ((1.0, -1.0), (2, len(relu.patterns), 3))
    assert (gated.signs, gated.weights_shape) == ((1.0,), (1, len(gated.patterns), 3))
    assert (relu.n, relu.d) == (12, 3)
    assert repr(relu).startswith("ConvexProgram(n=12, d=3, p=")
    assert "loss='squared', activation='relu'" in repr(relu)


def test_with_lam_and_with_patterns_change_nothing_else(make_program):
    prog = make_program(weighted=True, intercept=True, loss=Huber(0.3))
    largest = prog.lam_max
    other = prog.with_lam(0.5)
    assert (other.lam, prog.lam != 0.5, other.lam_max) == (0.5, True, largest)
    np.testing.assert_array_equal(other.sample_weight, prog.sample_weight)
    again = prog.with_patterns(sample_patterns(prog.X, 30, seed=99))
    np.testing.assert_allclose(again.sample_weight, prog.sample_weight, rtol=1e-14)
    assert (again.loss, again.intercept, again.lam) == (Huber(0.3), True, prog.lam)
    assert len(again.patterns) != len(prog.patterns)
    assert again.lam_max != largest
    with pytest.raises(DataError, match="lam is 0"):
        prog.with_lam(0)


def test_data_are_copied_and_frozen():
    X, y = np.ones((3, 2)), np.ones(3)
    prog = ConvexProgram(X, y, 0.1, Patterns(np.ones((3, 1))))
    X[:], y[:] = 0.0, 0.0
    assert prog.X.all()
    assert prog.y.all()
    with pytest.raises(ValueError, match="read-only"):
        prog.X[0, 0] = 5.0


def test_lists_integers_and_single_precision_will_do():
    patterns = Patterns([[True], [False]])
    wanted = ConvexProgram(np.array([[1.0, 2.0], [3.0, 4.0]]), [1.0, -1.0], 0.1, patterns)
    for X in ([[1, 2], [3, 4]], np.array([[1, 2], [3, 4]], dtype=np.float32)):
        prog = ConvexProgram(X, [1, -1], np.float32(0.5), patterns)
        np.testing.assert_array_equal(prog.X, wanted.X)
        assert prog.X.dtype == prog.y.dtype == np.float64


# -- refusals ----------------------------------------------------------------------------

X = np.arange(12.0).reshape(6, 2) - 5.0
Y = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
GATED = sample_patterns(X, 4)
PLAIN = Patterns(GATED.masks)


def but(array, where, value):
    changed = np.array(array, dtype=float)
    changed[where] = value
    return changed


@pytest.mark.parametrize(
    ("changes", "message", "fields"),
    [
        ({"X": but(X, (2, 1), np.nan)}, r"X holds nan at index \(2, 1\)", {"index": (2, 1)}),
        ({"X": but(X, (0, 0), -np.inf)}, r"X holds -inf at index \(0, 0\)", {"name": "X"}),
        ({"X": X.ravel()}, r"X has shape \(12,\), and two axes", {"shape": (12,)}),
        ({"X": X[None]}, r"X has shape \(1, 6, 2\)", {"shape": (1, 6, 2)}),
        ({"X": X[:0]}, r"X is empty \(shape \(0, 2\)\)", {"shape": (0, 2)}),
        ({"X": X[:, :0]}, r"X is empty \(shape \(6, 0\)\)", {"shape": (6, 0)}),
        ({"X": X.astype(str)}, "X has dtype <U32, and real numbers", {"name": "X"}),
        ({"X": X + 1j}, "X has dtype complex128, and real numbers", {"dtype": "complex128"}),
        ({"X": [[1, 2], [3]]}, "X is ragged", {"name": "X"}),
        ({"X": np.array([[1, None]])}, r"X has dtype object|X holds nan", {"name": "X"}),
        ({"y": but(Y, 4, np.nan)}, r"y holds nan at index \(4,\)", {"index": (4,)}),
        ({"y": Y[:, None]}, r"y has shape \(6, 1\), and one axis, \(n,\) are needed", {}),
        ({"y": Y[:5]}, "X has 6 rows and y has 5 values", {"X": (6, 2), "y": (5,)}),
        ({"y": Y.astype(str)}, "y has dtype <U32", {"name": "y"}),
        ({"y": []}, "y is empty", {"name": "y"}),
        ({"lam": 0}, "lam is 0.0, and a number greater than zero", {"name": "lam", "value": 0.0}),
        ({"lam": -1.0}, "lam is -1.0, and a number greater than zero", {"value": -1.0}),
        ({"lam": np.nan}, "lam is nan, and a finite number", {"name": "lam"}),
        ({"lam": np.inf}, "lam is inf, and a finite number", {"name": "lam"}),
        ({"lam": 10**400}, "lam is inf, and a finite number", {"name": "lam"}),
        ({"lam": "0.1"}, "lam is '0.1', and a number is needed", {"value": "0.1"}),
        ({"lam": True}, "lam is True, and a number is needed", {"value": True}),
        ({"lam": 1j}, "lam is 1j, and a number is needed", {"value": 1j}),
        ({"lam": None}, "lam is None, and a number is needed", {"value": None}),
        ({"loss": "sqared"}, "'sqared'.*Did you mean 'squared'", {"loss": "sqared"}),
        ({"activation": "gate"}, "'gate'. Did you mean 'gated'", {"activation": "gate"}),
        ({"activation": "tanh"}, "Unknown activation 'tanh'", {"activation": "tanh"}),
        (
            {"patterns": Patterns(np.ones((5, 2)))},
            "patterns are of 5 samples, and X has 6",
            {"patterns": 5, "X": 6},
        ),
        (
            {"patterns": Patterns(np.ones((6, 2)), np.ones((3, 2)))},
            "gates have 3 entries, and X has 2 columns",
            {},
        ),
        ({"patterns": GATED.masks}, "[Pp]atterns", {}),
        ({"patterns": None}, "[Pp]atterns", {}),
        ({"loss": 5}, "loss", {}),
        ({"loss": None}, "loss", {}),
        ({"loss": Huber}, "loss", {}),
        ({"patterns": PLAIN, "activation": "gated"}, "predicts through its gates", {}),
        ({"loss": "logistic", "y": Y + 1}, "y holds 2.0 at index 0.*logistic", {"index": 0}),
        ({"loss": "squared_hinge", "y": but(Y, 3, 0)}, "y holds 0.0 at index 3", {"index": 3}),
        ({"loss": "logistic", "y": np.ones(6), "intercept": True}, "single class 1", {}),
        ({"sample_weight": np.ones(5)}, "sample_weight has 5 values, and X has 6 rows", {}),
        ({"sample_weight": but(np.ones(6), 2, 0)}, "sample_weight is 0.0 at index 2", {"index": 2}),
        ({"sample_weight": but(np.ones(6), 1, -3)}, "sample_weight is -3.0 at index 1", {}),
        ({"sample_weight": but(np.ones(6), 1, np.nan)}, "sample_weight holds nan", {}),
        ({"sample_weight": np.ones((6, 1))}, r"sample_weight has shape \(6, 1\)", {}),
    ],
)
def test_what_is_not_a_program_is_refused(changes, message, fields):
    arguments = {"X": X, "y": Y, "lam": 0.1, "patterns": GATED, **changes}
    with pytest.raises(DataError, match=message) as caught:
        ConvexProgram(**arguments)
    assert fields.items() <= caught.value.fields.items()


def test_sparse_data_are_refused_with_the_fix():
    from scipy.sparse import csr_array

    with pytest.raises(DataError, match=r"X is a scipy.sparse matrix.*X\.toarray\(\)"):
        ConvexProgram(csr_array(X), Y, 0.1, GATED)


def test_one_class_is_fine_without_intercept():
    ConvexProgram(X, np.ones(6), 0.1, GATED, loss="logistic")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.zeros((2, 4, 3)), r"weights has shape \(2, 4, 3\), and \(2, \d, 2\) is needed"),
        (np.zeros((4, 2)), r"weights has shape \(4, 2\), and three axes"),
        (np.full((2, len(GATED), 2), np.nan), "weights holds nan"),
    ],
)
def test_weights_of_another_shape(weights, message):
    prog = ConvexProgram(X, Y, 0.1, GATED)
    with pytest.raises(DataError, match=message):
        prog.check_weights(weights)
    with pytest.raises(DataError, match=message):
        prog.fits(weights)


# -- memory ------------------------------------------------------------------------------


def traced_peak(call):
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("p", [200, 2000])
def test_patterns_are_never_written_out(p):
    """The columns X_b would take 8npd bytes for one sign: 160 MB and 1.6 GB here."""
    n, d = 20_000, 5
    rng = np.random.default_rng(0)
    data = rng.standard_normal((n, d))
    packed = rng.integers(0, 256, (p, n // 8), dtype=np.uint8)
    prog = ConvexProgram(data, rng.standard_normal(n), 0.1, Patterns.from_packed(packed, n))
    nu, weights = rng.standard_normal(n), rng.standard_normal(prog.weights_shape)
    bound = 2.5 * patterns_module.CHUNK_BYTES + 8 * (10 * n + 10 * p * d)
    assert bound < 5 * n * p * d
    for call in (
        lambda: prog.correlations(nu),
        lambda: prog.fits(weights),
        lambda: prog.objective(weights),
        lambda: prog.gradient(weights),
    ):
        assert traced_peak(call) <= bound
