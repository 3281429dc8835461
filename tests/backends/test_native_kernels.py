"""The compiled parts of the native backend, against the core's own numpy and scipy."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import relu_opt as ro
from relu_opt_native import active_set
from relu_opt_native.projection import project
from relu_opt_native.quadratic import nonnegative_qp


def some_program(seed, n, d, p=6, kind="random"):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, d))
    if kind == "ties":
        X = rng.integers(-1, 2, (n, d)).astype(float)
    if kind == "scales":
        X *= 10.0 ** rng.integers(-6, 7, (n, 1))
    if kind == "parallel":
        X = np.outer(rng.standard_normal(n), np.ones(d)) + 1e-9 * X
    masks = (X @ rng.standard_normal((d, p)) >= 0) if seed % 3 else rng.random((n, p)) < 0.5
    return ro.ConvexProgram(X, rng.standard_normal(n), 0.1, ro.Patterns(masks))


def compiled(prog, common, guesses=None, enough=0.0, threads=1):
    with ThreadPoolExecutor(threads) as executor:
        blocks = np.arange(2 * len(prog.patterns))
        return project(prog, common, blocks, guesses, enough, executor=executor, threads=threads)


KINDS = st.sampled_from(["random", "ties", "scales", "parallel"])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 9), KINDS)
def test_projections_are_those_of_the_core(seed, n, d, kind):
    """Points agree, and the multipliers prove them: v = c + (SX)ᵀρ with ρ > 0 on Xv = 0."""
    prog = some_program(seed, n, d, kind=kind)
    common = np.random.default_rng(seed + 1).standard_normal((6, d))
    blocks = np.arange(12)
    found, core = compiled(prog, common), prog.project(common, blocks)
    sizes = np.linalg.norm(common, axis=1).max()
    # Nearly parallel rows hardly tell a point, only what its optimality conditions are.
    if kind != "parallel":
        np.testing.assert_allclose(found.points, core.points, atol=1e-9 * sizes)
    masks = prog.patterns.unpack(blocks % 6)
    targets = np.concatenate([common, -common])
    for b in blocks:
        rows, rho, point = found.rows[b], found.rho[b], found.points[b]
        signed = np.where(masks[b], 1.0, -1.0)[:, None] * prog.X
        assert (rho > 0).all()
        assert len(set(rows)) == len(rows) <= d
        norms = np.linalg.norm(prog.X, axis=1)
        rounding = 1e-12 * sizes + 1e-14 * float(rho @ norms[rows])
        np.testing.assert_allclose(targets[b] + rho @ signed[rows], point, rtol=0, atol=rounding)
        assert (signed @ point >= -1e-12 * norms * sizes).all()
        assert (np.abs(signed[rows] @ point) <= 1e-12 * norms[rows] * sizes).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(2, 60),
    st.integers(2, 9),
    st.sampled_from(["random", "ties"]),
)
def test_any_guess_leads_to_the_same_projection(seed, n, d, kind):
    prog = some_program(seed, n, d, kind=kind)
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((6, d))
    cold = compiled(prog, common)
    right = compiled(prog, common, cold.rows)
    wrong = [rng.choice(n, min(n, d), replace=False) for _ in range(12)]
    other = compiled(prog, common, wrong)
    for found in (right, other):
        np.testing.assert_allclose(found.points, cold.points, atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 60), st.integers(2, 9), st.floats(0.05, 0.95))
def test_what_is_short_enough_is_a_bound_with_valid_multipliers(seed, n, d, share):
    prog = some_program(seed, n, d)
    common = np.random.default_rng(seed).standard_normal((6, d))
    exact = np.linalg.norm(compiled(prog, common).points, axis=1)
    enough = share * float(np.linalg.norm(common, axis=1).max())
    found = compiled(prog, common, enough=enough)
    masks, targets = prog.patterns.unpack(np.arange(12) % 6), np.concatenate([common, -common])
    for b in range(12):
        signed = np.where(masks[b], 1.0, -1.0)[:, None] * prog.X
        pulled = targets[b] + found.rho[b] @ signed[found.rows[b]]
        np.testing.assert_allclose(found.points[b], pulled, atol=1e-10)
        size = np.linalg.norm(pulled)
        assert size >= exact[b] - 1e-10
        assert size <= enough or size == pytest.approx(exact[b], abs=1e-10)


def test_many_rows_are_sampled_first_and_all_of_them_count():
    prog = some_program(1, 5000, 4)
    common = np.random.default_rng(0).standard_normal((6, 4))
    core = prog.project(common, np.arange(12))
    np.testing.assert_allclose(compiled(prog, common).points, core.points, atol=1e-12)


@pytest.mark.parametrize("threads", [2, 3, 50])
def test_threads_change_nothing(threads):
    prog = some_program(2, 80, 6)
    common = np.random.default_rng(0).standard_normal((6, 6))
    one, many = compiled(prog, common), compiled(prog, common, threads=threads)
    np.testing.assert_array_equal(one.points, many.points)
    for b in range(12):
        np.testing.assert_array_equal(one.rows[b], many.rows[b])
        np.testing.assert_array_equal(one.rho[b], many.rho[b])


def test_compiles_where_nothing_can_be_kept(monkeypatch):
    """A read-only installation and no home: numba finds no folder for its cache."""
    real = active_set.njit

    def nowhere(signature, **settings):
        if settings.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(signature, **settings)

    monkeypatch.setattr(active_set, "njit", nowhere)
    double = active_set.compiled(lambda x: 2 * x, "intp(intp)")
    assert isinstance(double, numba.core.dispatcher.Dispatcher)
    assert double(3) == 6


# -- quadratic programs over x ≥ 0 -----------------------------------------------------------


def random_qp(seed, m, k, kind):
    """W and q of a program that has a solution: q ≥ −Wᵀu for some u."""
    rng = np.random.default_rng(seed)
    W = rng.standard_normal((m, k))
    if kind == "dependent":
        W[:, k // 2 :] = W[:, : k - k // 2]
    if kind == "scales":
        W *= 10.0 ** rng.integers(-5, 6, k)
    q = -W.T @ rng.standard_normal(m) + np.linalg.norm(W, axis=0) * rng.exponential(0.3, k)
    return W, q, rng


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, 10**6),
    st.integers(1, 25),
    st.integers(1, 40),
    st.sampled_from(["random", "dependent", "scales"]),
    st.sampled_from(["nothing", "anything", "solution"]),
)
def test_quadratic_programs_meet_their_optimality_conditions(seed, m, k, kind, start):
    W, q, rng = random_qp(seed, m, k, kind)
    guess = {"nothing": np.zeros(k), "anything": rng.exponential(1.0, k)}.get(start)
    if guess is None:
        guess = nonnegative_qp(W, q, np.zeros(k))
    x = nonnegative_qp(W, q, guess)
    norms = np.linalg.norm(W, axis=0)
    slope = (W.T @ (W @ x) + q) / norms
    size = max(1.0, float(np.abs(q / norms).max()))
    assert (x >= 0).all()
    assert (slope >= -1e-9 * size).all()
    assert (np.abs(slope[x > 0]) <= 1e-9 * size).all()


# -- warm starts that carry a proof ----------------------------------------------------------


def test_a_solution_at_another_lam_brings_its_proof(make_program):
    prog = make_program(3, n=60, p=40, d=5, lam_share=0.05)
    first = ro.solve(prog, "native", tol=1e-8)
    nearby = prog.with_lam(0.95 * prog.lam)
    counts = []
    for start in (None, first.weights, first):
        sol = ro.solve(nearby, "native", tol=1e-8, warm_start=start)
        assert sol.certificate.verdict is ro.Verdict.CERTIFIED
        assert ro.verify(sol.certificate, prog.X, prog.y).valid
        counts.append(sol.stats["backend_stats"]["projections"])
    cold, point, proof = counts
    assert proof < point < cold


def test_the_proof_of_other_data_is_not_taken_over(make_program, monkeypatch):
    prog = make_program(3, n=30, p=20, d=4)
    first = ro.solve(prog, "native")
    seen = []
    real = ro.solving.training.with_start

    def watch(request, weights, state=None):
        seen.append(state)
        return real(request, weights, state)

    monkeypatch.setattr(ro.solving.training, "with_start", watch)
    other = ro.ConvexProgram(2 * prog.X, prog.y, prog.lam, prog.patterns)
    patterns = prog.with_patterns(ro.Patterns(prog.patterns.masks))
    for each in (other, patterns, prog):
        ro.solve(each, "native", warm_start=first)
    assert seen[0] is None
    assert seen[1] is None
    theirs = first.certificate.multipliers
    assert np.array_equal(seen[2].blocks, theirs.blocks)
    assert np.array_equal(seen[2].values, prog.units.in_duals(theirs.values))
