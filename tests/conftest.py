"""Shared fixtures: small random programs, the two benchmark problems, the shared data."""

from __future__ import annotations

import os
import signal
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import scipy.linalg  # noqa: F401 - its BLAS is to be limited too
from hypothesis import HealthCheck, settings
from scipy import sparse
from scipy.special import xlogy
from stopping import Clock
from targets import targets_of
from threadpoolctl import threadpool_limits

from relu_opt.plugins import manager
from relu_opt.program import ConvexProgram, enumerate_patterns, patterns_of_gates, sample_patterns
from relu_opt.program.losses import get_loss

# Tests run side by side: one BLAS thread each, in subprocesses too.
threadpool_limits(1, user_api="blas")
for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

settings.register_profile(
    "relu_opt",
    deadline=None,
    derandomize="CI" in os.environ,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("relu_opt")

SETTINGS = ("BACKEND", "TOL", "TIME_LIMIT", "THREADS", "SEED", "VERBOSE", "CONFIG", "PLUGINS")


def pytest_configure(config):
    """Ctrl-C raises, as tests of it expect, also where a shell started them in the background."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in SETTINGS:
        monkeypatch.delenv(f"RELU_OPT_{name}", raising=False)


def random_program(
    seed=0,
    n=12,
    d=3,
    p=8,
    lam=None,
    lam_share=0.2,
    loss="squared",
    activation="relu",
    intercept=False,
    weighted=False,
    complete=False,
    bias=False,
):
    """A small random program; λ is `lam`, or a share of lam_max."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    if bias:
        X[:, -1] = 1.0
    y = rng.standard_normal(n) + 0.3
    y = targets_of(loss, y)
    if get_loss(loss).classifies and n > 1:
        y[:2] = (1.0, -1.0)
    weight = rng.uniform(0.2, 3.0, n) if weighted else None
    patterns = enumerate_patterns(X) if complete else sample_patterns(X, p, seed=seed)
    prog = ConvexProgram(X, y, 1.0, patterns, loss, activation, weight, intercept)
    return prog.with_lam(lam or lam_share * prog.lam_max or 0.1)


@pytest.fixture(scope="session")
def make_program():
    """The factory of small random programs, `random_program`."""
    return random_program


def dense_blocks(prog):
    """X_b = s D_i X of every block, written out: (signs, p, n, d)."""
    masks = np.where(prog.patterns.masks.T, 1.0, prog.activation.slope)
    return np.array([[s * mask[:, None] * prog.X for mask in masks] for s in prog.signs])


@pytest.fixture(scope="session")
def blocks_of():
    """The explicit matrices of a program, `dense_blocks`."""
    return dense_blocks


def solve_with_atoms(prog):
    """The optimum of the program of theory.md, section 2, block by block in cvxpy's own atoms."""
    import cvxpy as cp

    total, penalty, constraints = 0.0, 0.0, []
    masks = prog.patterns.masks
    counts = np.where(masks, 1.0, prog.activation.slope)
    for sign, i in product(prog.signs, range(len(prog.patterns))):
        w = cp.Variable(prog.d)
        total = total + sign * (counts[:, i, None] * prog.X) @ w
        penalty = penalty + cp.norm(w, 2)
        if prog.activation != "gated":
            constraints.append((2.0 * masks[:, i, None] - 1.0) * prog.X @ w >= 0)
    if prog.intercept:
        total = total + cp.Variable()
    match prog.loss.name:
        case "squared":
            losses = cp.square(total - prog.y) / 2
        case "huber":
            losses = cp.huber(total - prog.y, prog.loss.delta) / 2
        case "squared_hinge":
            slack = cp.Variable(prog.n)
            constraints += [slack >= 1 - cp.multiply(prog.y, total), slack >= 0]
            losses = cp.square(slack) / 2
        case "hinge":
            losses = cp.Variable(prog.n)
            constraints += [losses >= 1 - cp.multiply(prog.y, total), losses >= 0]
        case "logistic":
            losses = cp.logistic(-cp.multiply(prog.y, total))
        case "poisson":
            none = prog.y - xlogy(prog.y, prog.y)
            losses = cp.exp(total) - cp.multiply(prog.y, total) - none
        case "quantile":
            short, level = prog.y - total, prog.loss.level
            losses = cp.maximum(level * short, (level - 1) * short)
    weight = np.ones(prog.n) if prog.sample_weight is None else prog.sample_weight
    objective = cp.sum(cp.multiply(weight, losses)) / prog.n + prog.lam * penalty
    problem = cp.Problem(cp.Minimize(objective), constraints)
    problem.solve(solver=cp.CLARABEL, tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    assert problem.status in ("optimal", "optimal_inaccurate")
    return problem.value


@pytest.fixture(scope="session")
def independent_optimum():
    """The optimum by a model that shares nothing with ours, `solve_with_atoms`."""
    return solve_with_atoms


LOOSER = 100.0


def solve_with_clarabel(program, tol=1e-11):
    """x and z of a conic program (without semidefinite cones) by Clarabel as it is."""
    import clarabel

    cones = [
        clarabel.ZeroConeT(program.cones.zero),
        clarabel.NonnegativeConeT(program.cones.nonnegative),
        *map(clarabel.SecondOrderConeT, program.cones.second_order),
        *[clarabel.ExponentialConeT()] * program.cones.exponential,
    ]
    k = program.c.size
    nothing, A = sparse.csc_matrix((k, k)), sparse.csc_matrix(program.A)
    for reached in (tol, LOOSER * tol):  # the first is more than some programs give it
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = reached
        found = clarabel.DefaultSolver(nothing, program.c, A, program.b, cones, settings).solve()
        if str(found.status) in ("Solved", "AlmostSolved"):
            break
    assert str(found.status) in ("Solved", "AlmostSolved")
    return np.array(found.x), np.array(found.z)


@pytest.fixture(scope="session")
def clarabel_solution():
    """A conic solver that is called without any of our backends, `solve_with_clarabel`."""
    return solve_with_clarabel


@pytest.fixture(scope="session")
def benchmark_programs():
    """The two problems of theory.md, section 7, by name."""
    from sklearn.datasets import load_breast_cancer, load_diabetes
    from sklearn.preprocessing import StandardScaler

    def build(raw, targets, count, lam):
        n, d = raw.shape
        X = np.c_[StandardScaler().fit_transform(raw), np.ones(n)] / np.sqrt(d)
        gates = np.random.default_rng(123).standard_normal((d + 1, count))
        return ConvexProgram(X, targets, lam, patterns_of_gates(X, gates))

    diabetes, cancer = load_diabetes(), load_breast_cancer()
    standard = (diabetes.target - diabetes.target.mean()) / diabetes.target.std()
    return {
        "diabetes": build(diabetes.data, standard, 50, 0.01),
        "breast cancer": build(cancer.data, 2.0 * cancer.target - 1.0, 500, 0.003),
    }


@pytest.fixture(scope="session")
def shared_data():
    """The folder ../shared/data; the test is skipped where it is not there."""
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"there is no {folder}")
    return folder


@pytest.fixture
def clock(monkeypatch):
    """The library's clock, moved on by a second at each look."""
    found = Clock()
    monkeypatch.setattr("time.perf_counter", found)
    return found


@pytest.fixture
def registry():
    """A registry of this test alone, which the whole library uses meanwhile."""
    manager.registry.cache_clear()
    yield manager.registry()
    manager.registry.cache_clear()
