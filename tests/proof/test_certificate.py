"""Certificates: what is certified, what is not, and that no spoiled answer ever is."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from scipy.optimize import nnls

import relu_opt as ro
from relu_opt.errors import DataError
from relu_opt.io import read_npz, write_npz
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import network_from_weights

LOSSES = ("squared", "logistic", "squared_hinge", ro.losses.Huber(0.4), "poisson")
CASES = list(product(LOSSES, ("relu", "gated"), (False, True), (False, True)))


@pytest.fixture(scope="module")
def solved(make_program):
    """A program with multipliers and several neurons, and its certified optimum."""
    prog = make_program(3, n=25, d=3, p=25, lam_share=0.1)
    sol = ro.solve(prog, tol=1e-10)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    assert len(sol.certificate.multipliers.values) > 0
    assert len(sol.network) >= 3
    return sol


@pytest.fixture(scope="module")
def plane(make_program):
    """All patterns of data in the plane, with the certified global optimum."""
    prog = make_program(5, n=20, d=2, bias=True, complete=True, lam_share=0.05)
    sol = ro.solve(prog, tol=1e-11)
    assert sol.certificate.verdict == ro.Verdict.CERTIFIED
    return sol


def bounds_hold(cert, optimum, slack=1e-9):
    """Weak duality against a known optimum."""
    scale = slack * max(1.0, abs(optimum))
    return cert.lower_bound <= optimum + scale and cert.objective >= optimum - scale


# -- what a certificate says -------------------------------------------------------------


@pytest.mark.parametrize(("loss", "activation", "intercept", "weighted"), CASES)
def test_every_number_by_its_definition(make_program, loss, activation, intercept, weighted):
    prog = make_program(
        2, loss=loss, activation=activation, intercept=intercept, weighted=weighted, n=15
    )
    sol = ro.solve(prog, tol=1e-10)
    cert = ro.certify(prog, sol, tol=1e-9)
    assert cert.verdict == ro.Verdict.CERTIFIED, cert.reason
    assert cert.scope == "program"
    network, kkt = cert.network, cert.kkt

    predictions = network.predict(prog.X)
    weight = np.ones(prog.n) if prog.sample_weight is None else prog.sample_weight
    loss_term = np.mean(weight * prog.loss.value(predictions, prog.y))
    penalty = ((network.hidden**2).sum() + (network.output**2).sum()) / 2
    assert kkt.primal == pytest.approx(loss_term + prog.lam * penalty, rel=1e-12)
    assert kkt.dual == pytest.approx(prog.dual_objective(cert.nu), rel=1e-12)
    assert kkt.gap == kkt.primal - kkt.dual
    assert kkt.rel_gap == ro.proof.verdict.relative_gap(kkt.primal, kkt.dual)
    assert (cert.objective, cert.lower_bound, cert.rel_gap) == (kkt.primal, kkt.dual, kkt.rel_gap)
    if intercept:
        assert abs(cert.nu.sum()) <= 1e-12 * np.abs(cert.nu).sum()

    # ‖X_bᵀν + (S_iX)ᵀρ_b‖ ≤ λ for every block, from the certificate's own multipliers.
    rho = unpacked(cert.multipliers)
    for k, (sign, mask) in enumerate(product(prog.signs, prog.patterns.masks.T)):
        vector = sign * prog.X.T @ (mask * cert.nu)
        rows, values = rho.get(k, (np.array([], dtype=int), np.array([])))
        assert (values >= 0).all()
        vector = vector + values @ (np.where(mask, 1.0, -1.0)[:, None] * prog.X)[rows]
        assert np.linalg.norm(vector) <= prog.lam * (1 + 1e-9)
    assert kkt.dual_infeasibility <= 1e-9
    assert kkt.cone_violation <= 1e-9
    assert kkt.stationarity <= 1e-3
    assert kkt.complementarity <= 1e-3 * kkt.primal


def unpacked(multipliers):
    parts = zip(multipliers.starts[:-1], multipliers.starts[1:], strict=True)
    return {
        int(b): (multipliers.rows[i:j], multipliers.values[i:j])
        for b, (i, j) in zip(multipliers.blocks, parts, strict=True)
    }


def test_whoever_solved_is_asked_nothing(solved):
    """Blocks, network and solution give one proof; ν may be missing."""
    prog = solved.program
    for answer in (solved, solved.weights, solved.network, solved.weights.tolist()):
        cert = ro.certify(prog, answer, tol=1e-5)
        assert cert.verdict == ro.Verdict.CERTIFIED, cert.reason
        assert cert.objective == pytest.approx(solved.objective, rel=1e-12)


def test_repr_says_the_essentials(solved):
    text = repr(solved.certificate)
    assert "Certificate(certified, scope='program', objective=" in text
    assert "rel_gap=" in text


def test_the_gap_decides_against_tol(solved):
    prog = solved.program
    weights = solved.weights * (1 + 1e-5)
    gap = ro.certify(prog, weights, solved.nu).rel_gap
    assert gap > 1e-12
    assert ro.certify(prog, weights, solved.nu, tol=2 * gap).verdict == ro.Verdict.CERTIFIED
    cert = ro.certify(prog, weights, solved.nu, tol=gap / 2)
    assert cert.verdict == ro.Verdict.NOT_CERTIFIED
    assert "above the tolerance" in cert.reason


@pytest.mark.parametrize("activation", ["relu", "gated"])
def test_the_zero_network_above_lam_max(make_program, activation):
    prog = make_program(1, activation=activation, lam_share=1.0 + 1e-9)
    cert = ro.certify(prog, np.zeros(prog.weights_shape))
    assert cert.verdict == ro.Verdict.CERTIFIED
    assert len(cert.network) == 0
    below = prog.with_lam(0.9 * prog.lam_max)
    cert = ro.certify(below, np.zeros(prog.weights_shape))
    assert cert.verdict == ro.Verdict.NOT_CERTIFIED


# -- spoiled answers ---------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.0, 0.5, 0.99, 1.01, 2.0, 1e6, 1e150, 1e-200])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_scaled_weight(solved, factor):
    weights = solved.weights.copy()
    s, i = np.argwhere(weights.any(axis=2))[0]
    weights[s, i] *= factor
    cert = ro.certify(solved.program, weights, solved.nu)
    assert cert.verdict == ro.Verdict.NOT_CERTIFIED
    assert cert.objective > solved.objective * (1 + 1e-7)
    assert bounds_hold(cert, solved.objective)


@pytest.mark.parametrize("what", ["one block", "all blocks", "output", "nu"])
def test_a_flipped_sign(solved, what):
    weights, network, nu = solved.weights.copy(), None, solved.nu
    if what == "one block":
        s, i = np.argwhere(weights.any(axis=2))[0]
        weights[1 - s, i], weights[s, i] = weights[s, i], 0.0
    elif what == "all blocks":
        weights = weights[::-1]
    elif what == "output":
        output = solved.network.output.copy()
        output[0] *= -1
        network = ro.ReLUNetwork(solved.network.hidden, output)
    else:
        nu = -nu
        weights = 0.9 * weights
    cert = ro.certify(solved.program, weights if network is None else network, nu)
    assert cert.verdict == ro.Verdict.NOT_CERTIFIED
    assert cert.objective > solved.objective * (1 + 1e-7)
    assert bounds_hold(cert, solved.objective)


def test_a_block_outside_its_cone(solved):
    """Its network has other fits than the block promises: the network is what counts."""
    prog, weights = solved.program, solved.weights.copy()
    s, i = np.argwhere(weights.any(axis=2))[0]
    weights[s, i] -= 2 * weights[s, i]
    cert = ro.certify(prog, weights, solved.nu)
    assert cert.verdict != ro.Verdict.CERTIFIED
    actual = cert.network.objective(prog.X, prog.y, prog.lam)
    assert cert.objective == pytest.approx(actual, rel=1e-12)
    assert cert.lower_bound <= solved.objective * (1 + 1e-9)
    assert abs(prog.objective(weights) - actual) > 1e-6


@pytest.mark.parametrize("factor", [1.5, 10.0, 1e8, 1e150, 1e-3, -1.0])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_nu_scaled(solved, factor):
    """A ν that is too large is scaled back; the bound never exceeds the optimum."""
    worse = 1.01 * solved.weights
    cert = ro.certify(solved.program, worse, factor * solved.nu)
    assert cert.verdict == ro.Verdict.NOT_CERTIFIED
    assert bounds_hold(cert, solved.objective)
    # Beside the true optimum the worst ν does no harm: ∇F gives a better one.
    cert = ro.certify(solved.program, solved.weights, factor * solved.nu, tol=1e-5)
    assert bounds_hold(cert, solved.objective)
    assert cert.verdict == ro.Verdict.CERTIFIED


def spoiled_multipliers(known):
    def but(**changes):
        return replace(known, **changes)

    count = len(known.values)
    huge = known.blocks.copy()
    huge[0] = 10**9
    twice = known.blocks.copy()
    twice[-1] = twice[0]
    rows = known.rows.copy()
    rows[0] = 10**6
    below = known.rows.copy()
    below[0] = -1
    return {
        "negative": but(values=-known.values),
        "one negative": but(values=np.where(np.arange(count) == 0, -1.0, known.values)),
        "nan": but(values=np.full(count, np.nan)),
        "infinite": but(values=np.full(count, np.inf)),
        "huge": but(values=1e12 * known.values),
        "zero": but(values=0 * known.values),
        "unknown block": but(blocks=huge),
        "negative block": but(blocks=known.blocks - 10**6),
        "block twice": but(blocks=twice),
        "unknown row": but(rows=rows),
        "negative row": but(rows=below),
        "wrong rows": but(rows=known.rows[::-1]),
        "short values": but(values=known.values[:-1]),
        "short starts": but(starts=known.starts[:-1]),
        "no starts": but(starts=known.starts[:0]),
        "falling starts": but(starts=known.starts[::-1]),
        "starts too far": but(starts=known.starts + 1),
    }


NAMES = list(spoiled_multipliers(ConeMultipliers(*np.zeros((4, 2)))))


@pytest.mark.parametrize("name", NAMES)
def test_unusable_multipliers_are_replaced_by_projections(solved, name):
    prog, spoiled = solved.program, spoiled_multipliers(solved.certificate.multipliers)[name]
    for weights, verdict in (
        (solved.weights, ro.Verdict.CERTIFIED),
        (1.01 * solved.weights, ro.Verdict.NOT_CERTIFIED),
    ):
        cert = ro.certify(prog, weights, solved.nu, multipliers=spoiled)
        assert cert.verdict == verdict
        assert bounds_hold(cert, solved.objective)
        assert (cert.multipliers.values >= 0).all()
        assert ro.verify(cert, prog.X, prog.y).verdict == verdict.value


def test_missing_multipliers_are_filled(solved):
    prog, known = solved.program, solved.certificate.multipliers
    half = len(known.blocks) // 2
    partial = ConeMultipliers(
        known.blocks[:half],
        known.starts[: half + 1],
        known.rows[: known.starts[half]],
        known.values[: known.starts[half]],
    )
    for given in (None, partial, known):
        cert = ro.certify(prog, solved.weights, solved.nu, multipliers=given)
        assert cert.verdict == ro.Verdict.CERTIFIED
        assert cert.lower_bound == pytest.approx(solved.lower_bound, rel=1e-9)
        norms = np.linalg.norm(prog.correlations(cert.nu), axis=1)
        over = set(np.flatnonzero(norms > prog.lam * (1 + 1e-6)))
        p = len(prog.patterns)
        assert over | {p + b for b in over} <= set(cert.multipliers.blocks.tolist())


def test_multipliers_by_another_solver_will_do(solved):
    """ρ by nnls, block by block."""
    prog = solved.program
    blocks, starts, rows, values = [], [0], [], []
    for k, (sign, mask) in enumerate(product(prog.signs, prog.patterns.masks.T)):
        S = np.where(mask, 1.0, -1.0)[:, None] * prog.X
        rho = nnls(S.T, -sign * prog.X.T @ (mask * solved.nu))[0]
        blocks.append(k)
        rows += np.flatnonzero(rho).tolist()
        values += rho[rho > 0].tolist()
        starts.append(len(rows))
    own = ConeMultipliers(
        np.array(blocks), np.array(starts), np.array(rows), np.array(values, dtype=float)
    )
    cert = ro.certify(prog, solved.weights, solved.nu, multipliers=own)
    assert cert.verdict == ro.Verdict.CERTIFIED
    assert ro.verify(cert, prog.X, prog.y).valid


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_is_refused(solved, value):
    prog = solved.program
    with pytest.raises(DataError, match=f"weights holds {value}"):
        ro.certify(prog, np.where(solved.weights == 0, value, solved.weights))
    with pytest.raises(DataError, match=f"nu holds {value}"):
        ro.certify(prog, solved.weights, np.full(prog.n, value))
    with pytest.raises(DataError, match=f"hidden holds {value}"):
        ro.ReLUNetwork(np.full_like(solved.network.hidden, value), solved.network.output)


def test_another_lam(solved):
    prog = solved.program
    for factor in (0.5, 0.999, 1.001, 2.0):
        other = prog.with_lam(factor * prog.lam)
        cert = ro.certify(other, solved.weights, solved.nu)
        assert cert.verdict == ro.Verdict.NOT_CERTIFIED
        assert cert.objective == pytest.approx(other.objective(solved.weights), rel=1e-12)


def test_another_data_set(solved, make_program):
    other = make_program(4, n=25, d=3, p=25, lam=solved.program.lam)
    cert = ro.certify(other, solved.network, solved.nu)
    assert cert.verdict != ro.Verdict.CERTIFIED
    moved = replace(solved.program, y=solved.program.y + 1e-3)
    cert = ro.certify(moved, solved.network, solved.nu)
    assert cert.verdict == ro.Verdict.NOT_CERTIFIED


# -- spoiled files -----------------------------------------------------------------------


def spoil_file(path, change):
    arrays, meta = read_npz(path, "certificate")
    change(arrays, meta)
    write_npz(path, "certificate", arrays, {k: v for k, v in meta.items() if k != "kind"})


def scaled(name, factor):
    def change(arrays, meta):
        arrays[name] = arrays[name].copy()
        arrays[name].flat[0] *= factor

    return change


def everywhere(name, function):
    def change(arrays, meta):
        arrays[name] = function(arrays[name])

    return change


def said(name, function):
    def change(arrays, meta):
        meta[name] = function(meta[name])

    return change


def with_nan(array):
    array = array.copy()
    array.flat[-1] = np.nan
    return array


SPOILS = {
    "weight scaled": scaled("hidden", 1.001),
    "output scaled": scaled("output", 1.001),
    "sign flipped": scaled("output", -1.0),
    "block out of its cone": everywhere("hidden", lambda u: u[:, ::-1].copy()),
    "nu scaled up": everywhere("nu", lambda nu: 1.001 * nu),
    "nu of one sample": scaled("nu", 1.01),
    "rho negative": everywhere("rho_values", lambda rho: -rho),
    "rho zero": everywhere("rho_values", lambda rho: 0 * rho),
    "rho cut off": everywhere("rho_values", lambda rho: rho[:-1]),
    "nan in nu": everywhere("nu", with_nan),
    "nan in hidden": everywhere("hidden", with_nan),
    "nan in rho": everywhere("rho_values", with_nan),
    "patterns changed": everywhere("patterns", lambda bits: bits ^ np.uint8(128)),
    "another lam": said("lam", lambda lam: 1.001 * lam),
    "another loss": said("loss", lambda loss: "squared_hinge"),
    "free intercept": said("intercept", lambda intercept: True),
    "larger scope": said("scope", lambda scope: "all"),
    "larger scope and complete": lambda arrays, meta: meta.update(scope="all", complete=True),
    "lower primal": said("primal", lambda primal: primal * (1 - 1e-6)),
    "higher dual": said("dual", lambda dual: dual * (1 + 1e-6)),
    "smaller gap": said("rel_gap", lambda gap: gap - 1e-6),
    "other data": said("fingerprint", lambda digest: digest[::-1]),
}


@pytest.fixture
def saved(solved, tmp_path):
    path = tmp_path / "cert.npz"
    solved.certificate.save(path)
    return path


def test_save_load_verify_round_trip(solved, saved):
    prog, cert = solved.program, ro.Certificate.load(saved)
    for name in ("lam", "loss", "activation", "intercept", "scope", "tol", "kkt", "verdict"):
        assert getattr(cert, name) == getattr(solved.certificate, name)
    assert (cert.reason, cert.fingerprint) == (
        solved.certificate.reason,
        solved.certificate.fingerprint,
    )
    for name, array in solved.certificate.to_arrays().items():
        np.testing.assert_array_equal(cert.to_arrays()[name], array)
    for subject in (saved, str(saved), cert, solved.certificate):
        found = ro.verify(subject, prog.X, prog.y)
        assert found.valid, found.problems
        assert found.objective == pytest.approx(cert.objective, rel=1e-12)
        assert found.lower_bound == pytest.approx(cert.lower_bound, rel=1e-9)


@pytest.mark.parametrize("name", SPOILS)
def test_spoiled_files_do_not_verify(solved, saved, name):
    spoil_file(saved, SPOILS[name])
    found = ro.verify(saved, solved.program.X, solved.program.y)
    assert not found.valid
    assert found.verdict == "invalid"
    assert found.problems


def test_a_truncated_file(saved):
    content = saved.read_bytes()
    for share in (0.1, 0.5, 0.9, 0.999):
        saved.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError, match="damaged"):
            ro.Certificate.load(saved)


@pytest.mark.parametrize("what", ["X", "y", "rows", "columns"])
def test_other_data_do_not_verify(solved, saved, what):
    X, y = np.array(solved.program.X), np.array(solved.program.y)
    if what == "rows":
        X, y = X[::-1], y[::-1]
    elif what == "columns":
        X = X[:, ::-1]
    else:
        (X if what == "X" else y).flat[3] += 1e-9
    assert ro.verify(saved, X, y).verdict == "invalid"


@pytest.mark.parametrize("extra", [None, {"columns": ["a", "b"], "scale": [1.0, 2.0]}])
def test_a_note_in_the_file_changes_nothing(solved, tmp_path, extra):
    solved.certificate.save(tmp_path / "cert.npz", extra)
    assert ro.verify(tmp_path / "cert.npz", solved.program.X, solved.program.y).valid
    meta = read_npz(tmp_path / "cert.npz", "certificate")[1]
    assert meta.items() >= (extra or {}).items()


@pytest.mark.parametrize("name", ["lam", "verdict", "loss", "loss_parameters", "rel_gap", "scope"])
def test_a_description_with_a_hole(saved, name):
    spoil_file(saved, lambda arrays, meta: meta.pop(name))
    with pytest.raises(DataError, match="not a complete certificate"):
        ro.Certificate.load(saved)


@pytest.mark.parametrize(("loss", "activation", "intercept", "weighted"), CASES)
def test_every_kind_of_program_goes_through_a_file(
    make_program, tmp_path, loss, activation, intercept, weighted
):
    prog = make_program(
        6, loss=loss, activation=activation, intercept=intercept, weighted=weighted, n=10
    )
    cert = ro.solve(prog).certificate
    cert.save(tmp_path / "cert.npz")
    found = ro.verify(tmp_path / "cert.npz", prog.X, prog.y)
    assert cert.verdict == ro.Verdict.CERTIFIED
    assert found.valid, found.problems
    again = ro.Certificate.load(tmp_path / "cert.npz")
    assert again.loss == prog.loss


# -- files of solutions ------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("intercept", [False, True])
def test_a_solution_goes_through_a_file_and_is_proved_anew(
    make_program, tmp_path, activation, intercept
):
    prog = make_program(7, activation=activation, intercept=intercept)
    sol = ro.solve(prog)
    sol.save(tmp_path / "solution.npz")
    again = ro.Solution.load(tmp_path / "solution.npz", prog)
    np.testing.assert_array_equal(again.weights, sol.weights)
    assert again.certificate.verdict == ro.Verdict.CERTIFIED
    assert again.objective == pytest.approx(sol.objective, rel=1e-12)
    assert (again.stop, again.backend, again.stats) == (sol.stop, sol.backend, sol.stats)
    # Nothing that the file says is believed of another program.
    other = ro.Solution.load(tmp_path / "solution.npz", prog.with_lam(2 * prog.lam))
    assert other.certificate.verdict == ro.Verdict.NOT_CERTIFIED


def test_a_solution_of_another_shape(make_program, tmp_path, solved):
    solved.save(tmp_path / "solution.npz")
    with pytest.raises(DataError, match="weights has shape"):
        ro.Solution.load(tmp_path / "solution.npz", make_program())
    with pytest.raises(DataError, match="holds a 'solution', and a 'certificate' is needed"):
        ro.Certificate.load(tmp_path / "solution.npz")


@pytest.mark.parametrize("value", [None, "nonsense", [1], 10**400])
@pytest.mark.parametrize("name", ["stop", "tol", "stats", "backend", "weights", "nu"])
def test_a_solution_with_a_hole(tmp_path, solved, name, value):
    solved.save(tmp_path / "solution.npz")
    arrays, meta = read_npz(tmp_path / "solution.npz", "solution")
    meta.pop("kind")
    home = arrays if name in arrays else meta
    home.pop(name)
    if value is not None and home is meta:
        meta[name] = value
    write_npz(tmp_path / "solution.npz", "solution", arrays, meta)
    try:
        again = ro.Solution.load(tmp_path / "solution.npz", solved.program)
    except DataError:
        return
    assert name in ("stats", "backend")
    assert value is not None
    assert isinstance(repr(again), str)


# -- networks from elsewhere -------------------------------------------------------------


def gradient_descent(X, y, lam, m=12, steps=20_000, rate=0.3, seed=0):
    """Plain gradient descent on ½ mean squared error and weight decay."""
    rng = np.random.default_rng(seed)
    U, a = rng.standard_normal((m, X.shape[1])) / 2, rng.standard_normal(m) / 2
    for _ in range(steps):
        linear = X @ U.T
        active = np.maximum(linear, 0.0)
        residual = (active @ a - y) / len(y)
        slope_a = active.T @ residual + lam * a
        slope_U = ((residual[:, None] * a) * (linear > 0)).T @ X + lam * U
        a, U = a - rate * slope_a, U - rate * slope_U
    return ro.ReLUNetwork(U, a)


@pytest.fixture(scope="module")
def descended(plane):
    prog = plane.program
    return gradient_descent(prog.X, prog.y, prog.lam)


def test_a_network_of_gradient_descent_gets_its_true_suboptimality(plane, descended):
    """All patterns, so the convex optimum is the least objective of any network."""
    prog, optimum = plane.program, plane.objective
    value = descended.balance().objective(prog.X, prog.y, prog.lam)
    excess = (value - optimum) / optimum
    assert excess > 1e-7, "descent should not end at the optimum for this test"
    cert = ro.certify(prog, descended, plane.nu, scope="all")
    assert cert.verdict == ro.Verdict.NOT_CERTIFIED
    assert cert.objective == pytest.approx(value, rel=1e-12)
    assert cert.rel_gap == pytest.approx(excess, rel=1e-3, abs=1e-9)
    # Without a dual point the gap is still a bound.
    alone = ro.certify(prog, descended, scope="all")
    assert alone.rel_gap >= excess - 1e-9
    assert bounds_hold(alone, optimum)
    # With a tolerance that it meets, it is certified.
    fair = ro.certify(prog, descended, plane.nu, scope="all", tol=2 * excess)
    assert fair.verdict == ro.Verdict.CERTIFIED
    assert ro.verify(fair, prog.X, prog.y).valid


def test_a_long_descent_is_certified_as_good(plane):
    """A wide network, trained well, is close to the global optimum, and the proof says so."""
    prog = plane.program
    network = gradient_descent(prog.X, prog.y, prog.lam, m=60, steps=30_000, rate=0.5, seed=1)
    alone = ro.certify(prog, network, scope="all")
    best = ro.certify(prog, network, plane.nu, scope="all")
    assert best.rel_gap <= alone.rel_gap + 1e-12
    assert best.rel_gap < 0.05


def test_unbalanced_neurons_are_balanced(solved):
    network = solved.network
    factor = np.random.default_rng(0).uniform(0.01, 100, len(network))
    lopsided = ro.ReLUNetwork(network.hidden * factor[:, None], network.output / factor)
    prog = solved.program
    assert lopsided.objective(prog.X, prog.y, prog.lam) > 1.1 * solved.objective
    cert = ro.certify(prog, lopsided, solved.nu)
    assert cert.verdict == ro.Verdict.CERTIFIED
    assert cert.objective == pytest.approx(solved.objective, rel=1e-12)
    np.testing.assert_allclose(
        np.linalg.norm(cert.network.hidden, axis=1), np.abs(cert.network.output)
    )


def test_split_and_idle_neurons_change_nothing(solved):
    network, prog = solved.network, solved.program
    hidden = np.vstack([network.hidden, network.hidden, np.zeros((1, prog.d)), np.ones(prog.d)])
    output = np.concatenate([0.3 * network.output, 0.7 * network.output, [5.0], [0.0]])
    cert = ro.certify(prog, ro.ReLUNetwork(hidden, output), solved.nu)
    assert cert.verdict == ro.Verdict.CERTIFIED
    assert len(cert.network) == 2 * len(network)


def test_a_neuron_outside_the_cones_is_inconclusive_and_named(plane):
    """With few patterns the lower bound does not speak of a network with other neurons."""
    full = plane.program
    place = 0
    one = full.with_patterns(ro.Patterns(full.patterns.masks[:, [place]]))
    inside = full.patterns.gates[:, place]
    network = ro.ReLUNetwork(np.vstack([inside, -inside]), [0.1, 0.1])
    cert = ro.certify(one, network)
    assert cert.verdict == ro.Verdict.INCONCLUSIVE
    assert cert.reason.startswith("Neuron 1 (1 in all) lies outside the program's patterns")
    # The optimum over all patterns lies below the bound of one pattern, which is no lie.
    sol = ro.solve(one, tol=1e-10)
    cert = ro.certify(one, plane.network, sol.nu)
    assert cert.verdict == ro.Verdict.INCONCLUSIVE
    assert cert.lower_bound > plane.objective
    found = ro.verify(cert, one.X, one.y)
    assert found.verdict == "inconclusive"


# -- scopes ------------------------------------------------------------------------------


def test_scope_own_speaks_of_the_patterns_used(solved):
    cert = ro.certify(solved.program, solved.network, scope="own")
    assert cert.verdict == ro.Verdict.CERTIFIED
    assert cert.scope == "own"
    assert 1 <= len(cert.patterns) <= len(solved.network)
    assert ro.verify(cert, solved.program.X, solved.program.y).valid
    # Its bound is a weaker claim, so it is at least as high.
    assert cert.lower_bound >= solved.lower_bound * (1 - 1e-9)


def test_scope_own_needs_no_pattern_of_the_program(plane):
    """The network's own patterns are used, whichever the program has."""
    full = plane.program
    one = full.with_patterns(ro.Patterns(full.patterns.masks[:, :1]))
    assert ro.certify(one, plane.network).verdict == ro.Verdict.INCONCLUSIVE
    cert = ro.certify(one, plane.network, scope="own")
    assert cert.verdict == ro.Verdict.CERTIFIED
    assert cert.objective == pytest.approx(plane.objective, rel=1e-12)


def test_scope_all_enumerates(plane, make_program):
    full = plane.program
    one = full.with_patterns(ro.Patterns(full.patterns.masks[:, :1]))
    cert = ro.certify(one, plane.network, plane.nu, scope="all")
    assert cert.verdict == ro.Verdict.CERTIFIED
    assert cert.patterns.complete
    assert len(cert.patterns) == len(full.patterns)
    found = ro.verify(cert, full.X, full.y)
    assert found.valid, found.problems
    assert "of any width" in found.statement
    # An optimum over few patterns is not a global one.
    few = full.with_patterns(ro.Patterns(full.patterns.masks[:, :2]))
    sol = ro.solve(few)
    assert ro.certify(few, sol).verdict == ro.Verdict.CERTIFIED
    cert = ro.certify(few, sol, plane.nu, scope="all")
    assert cert.verdict == ro.Verdict.NOT_CERTIFIED
    assert cert.rel_gap == pytest.approx(sol.objective / plane.objective - 1, rel=1e-4)


def test_scope_all_of_large_data_is_refused_with_the_count(make_program):
    prog = make_program(n=60, d=8)
    with pytest.raises(DataError, match=r"up to \d+ activation patterns") as caught:
        ro.certify(prog, np.zeros(prog.weights_shape), scope="all")
    assert caught.value.fields["count"] > 10**6


# -- answers that do not fit -------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"scope": "everything"}, "Unknown scope 'everything'. Use one of own, program, all"),
        ({"tol": 0}, "tol is 0"),
        ({"tol": -1e-8}, "tol is -1e-08"),
        ({"tol": np.nan}, "tol is nan"),
        ({"nu": np.ones(3)}, "nu has 3 values, and the data have 25 rows"),
        ({"nu": np.ones((25, 1))}, "nu has shape"),
        ({"answer": np.zeros((2, 3, 4))}, r"weights has shape \(2, 3, 4\)"),
        ({"answer": np.zeros(4)}, "weights has shape"),
        ({"answer": ro.ReLUNetwork([[1.0, 2.0]], [1.0])}, "takes 2 features and the data have 3"),
        (
            {"answer": ro.ReLUNetwork([[1.0, 2.0, 3.0]], [1.0], 0.5)},
            "has an output intercept, and the program has none",
        ),
        (
            {"answer": ro.ReLUNetwork([[1.0] * 3], [1.0], gates=[[1.0] * 3])},
            "program is for ReLU networks, and this network has gated ReLU neurons",
        ),
        (
            {"answer": ro.ReLUNetwork(np.empty((0, 3)), []), "scope": "own"},
            "The network has no neurons",
        ),
    ],
)
def test_what_cannot_be_certified_at_all(solved, change, message):
    arguments = {"answer": solved.weights, **change}
    with pytest.raises(DataError, match=message):
        ro.certify(solved.program, **arguments)


def test_gated_programs_want_gated_networks(make_program):
    prog = make_program(activation="gated")
    with pytest.raises(DataError, match="gated ReLU networks, and this network has ReLU neurons"):
        ro.certify(prog, ro.ReLUNetwork([[1.0] * 3], [1.0]))


def test_gates_that_do_not_make_their_masks_are_never_certified(make_program):
    """The network predicts through its gates, the program through its masks."""
    prog = make_program(activation="gated", p=8)
    patterns = prog.patterns
    wrong = prog.with_patterns(ro.Patterns(patterns.masks, np.roll(patterns.gates, 1, axis=1)))
    weights = ro.solve(prog).weights
    network = network_from_weights(wrong, weights)
    cert = ro.certify(wrong, network)
    assert cert.objective == pytest.approx(network.objective(prog.X, prog.y, prog.lam), rel=1e-12)
    optimum = ro.solve(prog).objective
    assert cert.objective >= optimum * (1 - 1e-9)
    if cert.verdict == ro.Verdict.CERTIFIED:
        assert cert.objective <= optimum * (1 + 1e-8)


def test_the_wording_of_verdicts():
    assert [str(verdict) for verdict in ro.Verdict] == [
        "certified",
        "not_certified",
        "inconclusive",
    ]
    assert all(re.fullmatch(r"[a-z_]+", verdict) for verdict in ro.Verdict)


def test_require_lets_only_proved_answers_through(make_program):
    prog = make_program(1)
    good = ro.solve(prog).certificate
    assert good.require() is good
    zero = ro.certify(prog, np.zeros(prog.weights_shape))
    with pytest.raises(ro.errors.NotCertified, match="not certified") as caught:
        zero.require()
    assert caught.value.fields["rel_gap"] == zero.rel_gap
    assert caught.value.fields["tol"] == zero.tol


def test_patterns_that_only_say_they_are_complete_prove_nothing_more():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((9, 2)), rng.standard_normal(9)
    gate = rng.standard_normal((2, 1))
    said = ro.Patterns(X @ gate >= 0, gate, complete=True)
    sol = ro.solve(ro.ConvexProgram(X, y, 0.01, said))
    honest = ro.ConvexProgram(X, y, 0.01, ro.enumerate_patterns(X))
    optimum = ro.solve(honest).objective
    cert = ro.certify(sol.program, sol, scope="all")
    assert cert.verdict is ro.Verdict.NOT_CERTIFIED
    assert cert.lower_bound <= optimum < sol.objective * (1 - 1e-6)
    assert ro.verify(cert, X, y).verdict == "not_certified"
