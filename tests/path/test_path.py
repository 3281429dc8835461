"""Paths: the gap between points, events, uniqueness, continuity, files, limits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import ortho_group
from symmetric import crosspolytope

import relu_opt as ro
from relu_opt.errors import DataError, NotCertified
from relu_opt.plugins.manager import observe
from relu_opt.plugins.types import StopReason

LOSSES = ["squared", "logistic", "squared_hinge", "huber", "poisson"]


def problem(make_program, loss="squared", activation="relu", **more):
    return make_program(n=30, d=3, p=15, loss=loss, activation=activation, **more)


def between(path, count=12, seed=0):
    """λ at random places of the path."""
    rng = np.random.default_rng(seed)
    return np.exp(rng.uniform(np.log(path.lams[-1]), np.log(path.lams[0]), count))


@pytest.fixture(scope="module")
def diabetes_path(benchmark_programs):
    return ro.solution_path(benchmark_programs["diabetes"], lam_min_ratio=0.01, eps=1e-3)


# -- what is proved between the points -----------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
def test_every_lam_is_certified(make_program, loss, activation, intercept):
    prog = problem(make_program, loss, activation, intercept=intercept, weighted=True)
    path = ro.solution_path(prog, eps=1e-2, lam_min_ratio=0.02)
    assert path.is_certified
    assert path.lams[0] == prog.lam_max
    assert path.lams[-1] == pytest.approx(0.02 * prog.lam_max)
    assert (np.diff(path.lams) < 0).all()
    assert path.largest_gap <= 1e-2
    for lam in between(path, 6):
        mixture, exact = path.solution_at(lam), ro.solve(prog.with_lam(lam), tol=1e-10)
        upper, lower = path.bounds_at(lam)
        # The closed form holds the optimum of a fresh solve, and the mixture keeps it.
        assert lower <= exact.objective * (1 + 1e-9)
        assert exact.lower_bound <= upper * (1 + 1e-9)
        assert mixture.objective <= upper * (1 + 1e-9)
        assert mixture.lower_bound >= lower - 1e-9 * abs(lower)
        assert mixture.rel_gap <= path.gap_at(lam) + 1e-9
        assert path.gap_at(lam) <= path.largest_gap + 1e-12
        assert mixture.certificate.verdict == "certified"
        assert ro.verify(mixture.certificate, prog.X, prog.y).verdict == "certified"
        refined = path.solution_at(lam, refine=True)
        assert refined.rel_gap <= path.tol
        assert refined.objective == pytest.approx(exact.objective, rel=1e-7)


def test_the_gap_of_the_squared_loss_is_a_parabola(make_program):
    """θ(1 − θ) [ΔλΔT − ‖Δŷ‖²/n] where the ends are exact."""
    path = ro.solution_path(problem(make_program), n_lams=6, lam_min_ratio=0.02, tol=1e-12)
    for high, low in zip(path.points[1:-1], path.points[2:], strict=True):
        moved = float(((high.fits - low.fits) ** 2).mean())
        height = (high.lam - low.lam) * (low.norm - high.norm) - moved
        for share in (0.1, 0.5, 0.8):
            lam = share * high.lam + (1 - share) * low.lam
            upper, lower = path.bounds_at(lam)
            assert upper - lower == pytest.approx(share * (1 - share) * height, abs=1e-9)


def test_the_gap_is_zero_while_neurons_keep_their_directions(make_program):
    # One column: a gated neuron is a number, and the path of the lasso is piecewise linear.
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 1))
    prog = ro.ConvexProgram(
        X, rng.standard_normal(20), 1.0, ro.sample_patterns(X, 2, 0), activation="gated"
    )
    path = ro.solution_path(prog, lams=prog.lam_max * np.array([0.9, 0.5, 0.1]), tol=1e-12)
    same = [len(path.points[k].blocks) == len(path.points[k + 1].blocks) for k in range(2)]
    assert any(same)
    for k in np.flatnonzero(same):
        middle = 0.5 * (path.lams[k] + path.lams[k + 1])
        assert abs(path.gap_at(middle)) < 1e-12
        # The bound has the chords of its pieces on top.
        assert path.segment_gaps[k] < 1e-6


@pytest.mark.parametrize("loss", LOSSES)
def test_segment_gaps_bound_every_mixture(make_program, loss):
    path = ro.solution_path(problem(make_program, loss), n_lams=4)
    for k, bound in enumerate(path.segment_gaps):
        lams = np.linspace(path.lams[k], path.lams[k + 1], 201)[1:-1]
        gaps = np.array([path.gap_at(lam) for lam in lams])
        assert gaps.max() <= bound + 1e-12
        # And it is no rough guess.
        assert bound <= 1.05 * gaps.max() + 1e-9


def test_the_optimal_value_is_concave_with_slope_norm(diabetes_path):
    path = diabetes_path
    lams, upper, lower, slopes = path.lams, path.objectives, path.lower_bounds, path.slopes
    slack = np.maximum(upper - lower, 0) + 1e-12
    chords = np.diff(upper) / np.diff(lams)
    room = (slack[1:] + slack[:-1]) / -np.diff(lams)
    assert (slopes[:-1] <= chords + room).all()
    assert (chords <= slopes[1:] + room).all()
    assert (np.diff(slopes) > 0).all()
    for lam in between(path):
        k = int(np.searchsorted(-lams, -lam))
        share = (lam - lams[k]) / (lams[k - 1] - lams[k])
        chord = share * lower[k - 1] + (1 - share) * lower[k]
        assert path.bounds_at(lam)[1] >= chord - 1e-12
    # Against the derivative of p* by differences of solved programs.
    for k in (2, len(path) // 2):
        h = 1e-4 * lams[k]
        ends = [ro.solve(path.program.with_lam(lams[k] + s), tol=1e-12).objective for s in (h, -h)]
        assert slopes[k] == pytest.approx((ends[0] - ends[1]) / (2 * h), rel=1e-6)


def test_diabetes_is_certified_with_few_points(diabetes_path):
    assert diabetes_path.is_certified
    assert len(diabetes_path) <= 25
    for lam in between(diabetes_path, 5, seed=1):
        exact = ro.solve(diabetes_path.program.with_lam(lam), tol=1e-10)
        found = diabetes_path.solution_at(lam)
        assert found.objective - exact.objective <= 1e-3 * exact.objective


def test_at_the_points_and_above_lam_max(make_program):
    prog = problem(make_program)
    path = ro.solution_path(prog, n_lams=5, lam_min_ratio=0.1)
    for k, lam in enumerate(path.lams):
        sol = path.solution_at(lam)
        assert sol.program.lam == lam
        assert sol.certificate is path.points[k].certificate
        assert path.gap_at(lam) == pytest.approx(path.rel_gaps[k], abs=1e-13)
        fits = sol.network.predict(prog.X)
        np.testing.assert_allclose(path.predict(prog.X)[k], fits, rtol=1e-13, atol=1e-15)
        assert path.neurons[k] == len(sol.network.merge())
        assert path.losses[k] == pytest.approx(prog.mean_loss(sol.network.predict(prog.X)))
    assert path.neurons[0] == 0
    above = path.solution_at(3 * prog.lam_max)
    assert len(above.network) == 0
    assert above.certificate.verdict == "certified"
    assert path.gap_at(3 * prog.lam_max) == pytest.approx(0, abs=1e-12)
    for lam in (0.5 * path.lams[-1], 0.0, -1.0, np.nan):
        with pytest.raises(DataError):
            path.gap_at(lam)
    short = ro.solution_path(prog, lams=[0.5 * prog.lam_max, 0.4 * prog.lam_max])
    with pytest.raises(DataError, match="the path goes from"):
        short.gap_at(0.6 * prog.lam_max)


# -- what is asked for -----------------------------------------------------------------------


def test_given_lams_are_kept(make_program):
    prog = problem(make_program)
    lams = prog.lam_max * np.array([0.1, 0.8, 0.3, 0.3])
    plain = ro.solution_path(prog, lams=lams)
    np.testing.assert_array_equal(plain.lams, np.unique(lams)[::-1])
    assert plain.eps is None
    assert plain.is_certified
    promised = ro.solution_path(prog, lams=lams, eps=1e-4)
    assert set(plain.lams) < set(promised.lams)
    assert promised.largest_gap <= 1e-4 < plain.largest_gap
    grid = ro.solution_path(prog, n_lams=7, lam_min_ratio=0.05)
    np.testing.assert_allclose(grid.lams, prog.lam_max * np.geomspace(1, 0.05, 7))
    single = ro.solution_path(prog, lams=[0.2 * prog.lam_max])
    assert len(single) == 1
    assert single.gap_at(0.2 * prog.lam_max) <= 1e-8


def test_the_program_keeps_its_own_lam_out_of_it(make_program):
    prog = problem(make_program)
    one, other = (ro.solution_path(prog.with_lam(lam), n_lams=4) for lam in (0.3, 1e-3))
    np.testing.assert_array_equal(one.objectives, other.objectives)


@pytest.mark.parametrize(
    "arguments",
    [
        {"lams": [0.1, -0.1]},
        {"lams": []},
        {"lams": [np.nan]},
        {"lams": [0.1], "n_lams": 3},
        {"n_lams": 1},
        {"n_lams": 2.5},
        {"eps": 0.0},
        {"eps": 1.0},
        {"eps": np.nan},
        {"lam_min_ratio": 1.0},
        {"lam_min_ratio": 0.0},
    ],
)
def test_wrong_arguments_are_refused(make_program, arguments):
    with pytest.raises(DataError):
        ro.solution_path(problem(make_program), **arguments)


def test_there_is_no_path_without_a_network(make_program):
    prog = replace(problem(make_program), y=np.zeros(30))
    with pytest.raises(DataError, match="no neuron"):
        ro.solution_path(prog)
    with pytest.raises(DataError):
        ro.solution_path("program")


def test_another_backend_follows_the_same_path(make_program):
    prog = problem(make_program, activation="gated")
    lams = prog.lam_max * np.array([0.5, 0.2])
    ours = ro.solution_path(prog, lams=lams)
    theirs = ro.solution_path(prog, lams=lams, backend="clarabel")
    assert {point.backend for point in theirs.points} == {"clarabel"}
    np.testing.assert_allclose(ours.objectives, theirs.objectives, rtol=1e-7)
    assert theirs.solution_at(0.3 * prog.lam_max, refine=True).backend == "clarabel"


# -- limits ----------------------------------------------------------------------------------


def test_a_time_limit_leaves_a_certified_part(make_program, monkeypatch):
    prog = problem(make_program)
    with pytest.raises(NotCertified, match="before its first point"):
        ro.solution_path(prog, time_limit=1e-9)
    clock = iter(np.arange(0.0, 1e6, 1.0))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    path = ro.solution_path(prog, eps=1e-4, time_limit=60.0)
    assert path.stop is StopReason.TIME_LIMIT
    assert not path.is_certified
    assert path.lams[-1] > 1e-3 * prog.lam_max
    assert path.largest_gap <= 1e-4


def test_an_interrupt_leaves_a_certified_part(make_program):
    prog = problem(make_program)
    seen = []

    def interrupt(event):
        if event.task == "path":
            seen.append(event.iteration)
        elif len(seen) > 4:
            raise KeyboardInterrupt

    with observe(interrupt):
        path = ro.solution_path(prog, eps=1e-3)
    assert path.stop is StopReason.INTERRUPTED
    assert 1 <= len(path) <= 5
    assert not path.is_certified
    assert path.largest_gap <= 1e-3
    assert "interrupted" in repr(path)


# -- files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "gated", "leaky"])
def test_a_path_comes_back_from_its_file(make_program, tmp_path, activation):
    prog = problem(make_program, "logistic", activation, intercept=True)
    path = ro.solution_path(prog, n_lams=5, eps=1e-2, lam_min_ratio=0.05)
    path.save(tmp_path / "path.npz")
    again = ro.SolutionPath.load(tmp_path / "path.npz", prog)
    np.testing.assert_array_equal(again.lams, path.lams)
    np.testing.assert_allclose(again.objectives, path.objectives, rtol=1e-13)
    np.testing.assert_allclose(again.lower_bounds, path.lower_bounds, rtol=1e-12)
    np.testing.assert_allclose(again.segment_gaps, path.segment_gaps, atol=1e-12)
    assert (again.eps, again.tol, again.stop) == (path.eps, path.tol, path.stop)
    assert again.is_certified
    with pytest.raises(DataError, match="other data"):
        ro.SolutionPath.load(tmp_path / "path.npz", replace(prog, y=-prog.y))


def test_damaged_files_are_refused(make_program, tmp_path):
    prog = problem(make_program)
    file = tmp_path / "path.npz"
    ro.solution_path(prog, n_lams=4).save(file)
    with np.load(file, allow_pickle=False) as archive:
        good = dict(archive)
    wrong = {
        "lams": -good["lams"],
        "nus": good["nus"][:, :-1],
        "counts": good["counts"] + 1,
        "blocks": good["blocks"] + 10_000,
        "vectors": np.full_like(good["vectors"], np.nan),
        "rho_counts": good["rho_counts"][:-1],
        "rho_lengths": -good["rho_lengths"] - 1,
        "rho_values": good["rho_values"][:-1],
    }
    for name, array in wrong.items():
        np.savez(file, **{**good, name: array})
        with pytest.raises(DataError):
            ro.SolutionPath.load(file, prog)
        np.savez(file, **{key: value for key, value in good.items() if key != name})
        with pytest.raises(DataError):
            ro.SolutionPath.load(file, prog)
    # A dual point or multipliers that prove nothing leave an honest gap.
    np.savez(file, **{**good, "nus": 0.5 * good["nus"]})
    weak = ro.SolutionPath.load(file, prog)
    assert not weak.is_certified
    assert weak.rel_gaps[-1] > 1e-3
    file.write_bytes(file.read_bytes()[:-200])
    with pytest.raises(DataError):
        ro.SolutionPath.load(file, prog)


# -- events ----------------------------------------------------------------------------------


def separate_groups(sizes, seed=0):
    """A gated program whose two groups share no sample: each enters at a known λ."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((20, 3))
    X[:, 0] = np.repeat([1.0, -1.0], 10)
    gates = np.array([[1.0, -1.0], [0, 0], [0, 0]])
    y = rng.standard_normal(20) * np.repeat(sizes, 10)
    return ro.ConvexProgram(X, y, 1.0, ro.program.patterns_of_gates(X, gates), activation="gated")


def test_entries_are_where_they_must_be():
    prog = separate_groups([1.0, 0.4])
    entries = np.linalg.norm(prog.correlations(prog.y / 20), axis=1)
    path = ro.solution_path(prog, n_lams=5)
    found = sorted(path.events, key=lambda e: e.pattern)
    assert [e.kind for e in found] == ["enters", "enters"]
    assert [e.pattern for e in found] == [0, 1]
    sharp = path.located(1e-4)
    for event, entry in zip(sorted(sharp.events, key=lambda e: e.pattern), entries, strict=True):
        assert event.lam_high / event.lam_low - 1 <= 1e-4
        assert event.lam_low <= entry * (1 + 1e-9)
        assert entry <= event.lam_high * (1 + 1e-9)
    assert set(path.lams) <= set(sharp.lams)
    assert all(point in sharp.points for point in path.points)


def test_neurons_leave_too():
    # Group 1 is a poor copy of group 0 and 2 together, which take its place.
    for seed in range(40):
        rng = np.random.default_rng(seed)
        X = rng.standard_normal((12, 2))
        prog = ro.ConvexProgram(
            X,
            rng.standard_normal(12),
            1.0,
            ro.sample_patterns(X, 6, seed),
            activation="gated",
        )
        path = ro.solution_path(prog, n_lams=12, lam_min_ratio=0.01)
        leaving = [e for e in path.events if e.kind == "leaves"]
        if leaving:
            break
    event = leaving[0]
    norms = [
        np.linalg.norm(path.solution_at(lam).weights[0, event.pattern])
        for lam in (event.lam_high, event.lam_low)
    ]
    assert norms[0] > 0 == norms[1]


def test_faces_change_where_rows_say_so(make_program):
    prog = problem(make_program)
    path = ro.solution_path(prog, n_lams=6, lam_min_ratio=0.1).located(1e-2)
    faces = [e for e in path.events if e.kind == "face"]
    assert faces

    def heights(lam, event):
        """|x_kᵀw|/‖w‖ of the neuron of the event, in whichever block it is."""
        network = path.solution_at(lam, refine=True).network.merge()
        blocks = network.hidden[np.sign(network.output) == event.sign]
        lows = np.abs(prog.X @ (blocks / np.linalg.norm(blocks, axis=1, keepdims=True)).T)
        return lows.min(axis=1)

    for event in faces:
        assert event.gained or event.lost
        assert (heights(event.lam_low, event)[list(event.gained)] < 1e-5).all()
        assert (heights(event.lam_high, event)[list(event.lost)] < 1e-5).all()


def test_no_events_where_nothing_happens():
    prog = separate_groups([1.0, 1e-3])
    path = ro.solution_path(prog, lams=prog.lam_max * np.array([0.9, 0.5, 0.2]))
    assert path.events == ()
    assert path.located(1e-6).lams.tolist() == path.lams.tolist()


# -- uniqueness and continuity -----------------------------------------------------------------


def test_arbitrary_optima_jump_and_the_min_norm_path_does_not():
    rotation = ortho_group.rvs(3, random_state=0)
    prog = crosspolytope([1.0, 1.3, 0.8], rotation=rotation)
    lams = prog.lam_max * np.linspace(0.5, 0.45, 6)
    path = ro.solution_path(prog, lams=lams, tol=1e-12)
    assert all(each.unique is False for each in path.uniqueness)
    assert all(each.network_dim > 0 for each in path.uniqueness)
    seeds = iter(range(100))
    arbitrary = path.continuity(lambda S: S.vertex(seed=next(seeds)))
    assert arbitrary.jumps.any()
    assert (arbitrary.off_min_norm > 1e-3).all()
    # On a finer grid the jumps stay and the steps of the min-norm path shrink with it.
    fine = ro.solution_path(prog, lams=np.linspace(lams[0], lams[-1], 21), tol=1e-12)
    seeds = iter(range(100))
    finer = fine.continuity(lambda S: S.vertex(seed=next(seeds)))
    assert finer.steps.max() > 0.5 * arbitrary.steps.max()
    assert finer.min_norm_steps.max() < 0.3 * arbitrary.min_norm_steps.max()
    assert not fine.continuity(lambda S: S.min_norm()).jumps.any()
    for network, S in zip(fine.min_norm(), [fine.optimal_set(k) for k in range(21)], strict=True):
        assert S.contains(network)
        assert network.certificate.verdict == "certified"


def test_a_unique_path_is_the_min_norm_path(make_program):
    path = ro.solution_path(problem(make_program), n_lams=8, lam_min_ratio=0.05)
    assert all(each.unique for each in path.uniqueness)
    assert all(each.reason.startswith("Unique") for each in path.uniqueness)
    found = path.continuity()
    assert not found.jumps.any()
    np.testing.assert_allclose(found.steps, found.min_norm_steps, rtol=1e-6)
    assert found.off_min_norm.max() < 1e-8
    assert (found.network_dims == 0).all()
    # The steps are those of the weights: by blocks, where no two blocks hold one neuron.
    copies = [path.optimal_set(k).merged_blocks for k in range(len(path))]
    for k in range(len(path) - 1):
        if copies[k] == copies[k + 1] == 0:
            away = path.points[k].solution.weights - path.points[k + 1].solution.weights
            assert found.steps[k] == pytest.approx(np.linalg.norm(away), rel=1e-4)


def test_elements_must_be_of_the_set(make_program):
    path = ro.solution_path(problem(make_program), n_lams=3, lam_min_ratio=0.1)
    stranger = ro.ReLUNetwork([[1.0, 2.0, 3.0]], [1.0])
    with pytest.raises(DataError, match="directions of optimal neurons"):
        path.continuity(lambda S: stranger)


def test_located_events_are_those_of_the_path():
    """Just below λ_max a start ends with a tiny gap and a stationarity of 1e-3."""
    rng = np.random.default_rng(2)
    X, y = rng.standard_normal((15, 3)), rng.standard_normal(15)
    prog = ro.ConvexProgram(X, y, 1.0, ro.sample_patterns(X, 6, seed=2), activation="gated")
    path = ro.solution_path(prog, eps=1e-3, lam_min_ratio=0.02)
    located = path.located(1e-3)
    kinds = [sorted((e.kind, e.sign, e.pattern) for e in p.events) for p in (path, located)]
    assert ("enters", 1.0, 4) in kinds[0]
    assert kinds[0] == kinds[1]
    assert all(event.lam_high <= event.lam_low * (1 + 1e-3) for event in located.events)
    assert all(each.unique is not None for each in located.uniqueness)
    assert len(located.min_norm()) == len(located) == len(located.continuity().lams)
