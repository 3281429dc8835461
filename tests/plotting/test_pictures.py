"""Pictures of solves, certificates, networks and sets: what is drawn is what the objects say."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import ConvexHull
from symmetric import all_vertices, crosspolytope, same_points

import relu_opt as ro
from relu_opt import plotting
from relu_opt.errors import BackendUnavailable, DataError
from relu_opt.plotting.figures import literal, short

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def recorded(make_program):
    with ro.progress.record() as history:
        solution = ro.solve(make_program(n=40, d=4, p=30, lam_share=0.05), backend="native")
    return history, solution


# -- a solve -------------------------------------------------------------------------------


def test_a_history_ends_at_the_bounds_of_the_certificate(recorded):
    history, solution = recorded
    assert len(history) >= 3
    assert history.objectives[-1] == pytest.approx(solution.objective, rel=1e-8)
    assert history.bounds[-1] == pytest.approx(solution.lower_bound, rel=1e-8)
    assert (np.diff(history.objectives) <= 0).all()
    assert (np.diff(history.bounds) >= 0).all()
    assert (np.diff(history.seconds) >= 0).all()
    assert (np.diff(history.iterations) > 0).all()
    proved = history.bounds > 0
    gaps = (history.objectives - history.bounds)[proved] / history.bounds[proved]
    np.testing.assert_allclose(history.rel_gaps[proved], gaps, rtol=1e-12)
    assert (history.rel_gaps[~proved] == np.inf).all()
    assert repr(history).startswith(f"History({len(history)} iterations, rel_gap=")


def test_the_last_of_several_solves_is_kept_apart(make_program):
    programs = [make_program(seed=k, n=30, p=20, lam_share=0.1) for k in (1, 2)]
    with ro.progress.record() as history:
        for program in programs:
            solution = ro.solve(program, backend="native")
    assert history.iterations[0] == 0
    assert history.objectives[-1] == pytest.approx(solution.objective, rel=1e-8)
    assert len(history.events) > len(history)


def test_nothing_is_recorded_outside_of_the_context(make_program):
    with ro.progress.record() as history:
        pass
    ro.solve(make_program(), backend="native")
    assert repr(history) == "History(0 iterations)"
    with pytest.raises(DataError, match="No bounds were recorded"):
        history.plot()


@pytest.mark.parametrize("over", ["iterations", "seconds"])
def test_the_bounds_are_drawn_with_their_gap(recorded, over):
    history, _ = recorded
    axes = plotting.plot_convergence(history, over=over, tol=1e-6)
    upper, lower = axes.lines
    np.testing.assert_array_equal(upper.get_xdata(), getattr(history, over))
    np.testing.assert_array_equal(upper.get_ydata(), history.objectives)
    np.testing.assert_array_equal(lower.get_ydata(), history.bounds)
    below = axes.figure.axes[1]
    gaps, tol = below.lines
    np.testing.assert_array_equal(gaps.get_ydata(), np.maximum(history.rel_gaps, 1e-16))
    assert below.get_yscale() == "log"
    assert set(tol.get_ydata()) == {1e-6}
    assert [text.get_text() for text in below.texts] == ["tol = 1e-6"]


def test_axes_of_ones_own_are_used(recorded):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    assert recorded[0].plot(axes) is axes
    assert axes.figure.axes == [axes]
    with pytest.raises(DataError, match="Did you mean 'seconds'"):
        recorded[0].plot(over="second")


# -- a certificate -------------------------------------------------------------------------


def test_the_conditions_are_bars_that_end_at_their_values(recorded):
    proof = recorded[1].certificate
    axes = plotting.plot_certificate(proof)
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    values = [proof.rel_gap, proof.kkt.cone_violation, proof.kkt.stationarity]
    values += [proof.kkt.dual_infeasibility, proof.kkt.complementarity]
    np.testing.assert_allclose(ends, np.maximum(values, 1e-17), rtol=1e-9)
    limits = [segment[0, 0] for segment in axes.collections[0].get_segments()]
    np.testing.assert_allclose(limits, [1e-8, 1e-9, 1e-4, 1e-9, 1e-4])
    assert axes.get_title(loc="left") == "certified"
    assert f"{proof.objective:.10g}" in axes.get_title(loc="right")
    assert axes.get_xscale() == "log"
    assert len({bar.get_facecolor() for bar in axes.patches}) == 1


def test_a_condition_that_fails_has_another_colour(recorded, make_program):
    program = recorded[1].program
    network = recorded[1].network
    worse = ro.ReLUNetwork(1.1 * network.hidden, network.output)
    proof = ro.certify(program, worse)
    assert proof.verdict == "not_certified"
    axes = plotting.plot_certificate(proof)
    good = [each.fulfilled for each in proof.conditions]
    colours = [bar.get_facecolor() for bar in axes.patches]
    assert not good[0]
    assert (colours[0] == colours[1]) == (good[0] == good[1])
    assert axes.get_title(loc="left") == "not certified"
    unknown = replace(proof, lower_bound=0.0)
    words = [text.get_text() for text in plotting.plot_certificate(unknown).texts]
    assert "unknown" in words
    assert not unknown.conditions[0].fulfilled


# -- networks ------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("constant", [1.0, 0.5, None])
def test_a_fit_is_the_network_between_and_at_its_kinks(activation, constant):
    rng = np.random.default_rng(3)
    x, y = rng.uniform(-2, 3, 30), rng.standard_normal(30)
    X = x[:, None] if constant is None else np.c_[x, np.full(30, constant)]
    gates = rng.standard_normal((6, X.shape[1]))
    weights = rng.standard_normal((6, X.shape[1]))
    network = ro.ReLUNetwork(
        weights, rng.standard_normal(6), 0.3, None if activation == "relu" else gates
    )
    axes = plotting.plot_fit(network, X, y)
    data, line, *bends = axes.lines
    np.testing.assert_array_equal(data.get_xdata(), x)
    np.testing.assert_array_equal(data.get_ydata(), y)
    # Linear interpolation of what is drawn is the network everywhere off its kinks.
    at = rng.uniform(-2, 3, 500)
    rows = at[:, None] if constant is None else np.c_[at, np.full(500, constant)]
    drawn = np.interp(at, line.get_xdata(), line.get_ydata())
    np.testing.assert_allclose(drawn, network.predict(rows), atol=1e-9)
    planes = weights if activation == "relu" else gates
    zeros = -planes[:, 1] * constant / planes[:, 0] if constant else np.zeros(1)
    low, high = axes.get_xlim()
    inside = np.unique(zeros[(low < zeros) & (zeros < high)])
    np.testing.assert_allclose(bends[0].get_xdata(), inside)


def test_a_fit_of_plain_x_has_the_constant_one():
    network = ro.ReLUNetwork([[1.0, -0.5]], [2.0])
    axes = plotting.plot_fit(network, [0.0, 1.0], [0.0, 1.0])
    assert axes.lines[2].get_xdata().tolist() == [0.5]
    flat = plotting.plot_fit(ro.ReLUNetwork(np.zeros((0, 2)), [], 0.7), [1.0, 1.0], [0.0, 1.0])
    assert set(flat.lines[1].get_ydata()) == {0.7}
    assert len(flat.lines) == 2


@pytest.fixture(scope="module")
def classified():
    rng = np.random.default_rng(0)
    X = np.c_[rng.uniform(-1, 1, (80, 2)), np.full(80, 0.7)]
    y = np.where(np.abs(X[:, 0]) + 0.4 * X[:, 1] > 0.45, 1.0, -1.0)
    patterns = ro.sample_patterns(X, 40, seed=0)
    return X, y, ro.solve(ro.ConvexProgram(X, y, 0.01, patterns, loss="logistic")).network


def filled(axes):
    """The polygons of each class, and the segments of the boundary."""
    *fills, last = axes.collections
    if not hasattr(last, "get_segments"):
        fills, segments = [*fills, last], []
    else:
        segments = last.get_segments()
    areas = [[path.vertices[:-1] for path in fill.get_paths()] for fill in fills]
    return areas, np.array(segments).reshape(-1, 2, 2)


def winners(areas, points):
    """The class of the polygon that each point is in: of those that it is in but for rounding,
    the one that it is farthest within."""
    found, depths = np.full(len(points), -1), np.full(len(points), -np.inf)
    for k, polygons in enumerate(areas):
        for polygon in polygons:
            edges = np.roll(polygon, -1, axis=0) - polygon
            steps = points[:, None] - polygon
            products = edges[:, 0] * steps[..., 1], edges[:, 1] * steps[..., 0]
            # Corners are rounded, and the direction of an edge as short as that means nothing.
            sizes = [np.abs(polygon[:, axis]).max() for axis in (0, 1)]
            slack = sizes[0] * np.abs(steps[..., 1]) + sizes[1] * np.abs(steps[..., 0])
            slack += np.abs(edges[:, 0]) * sizes[1] + np.abs(edges[:, 1]) * sizes[0]
            depth = (products[0] - products[1]).min(axis=1)
            better = (products[0] - products[1] >= -8e-16 * slack).all(axis=1) & (depth > depths)
            found[better], depths[better] = k, depth[better]
    assert (found >= 0).all()
    return found


def area_of(polygons):
    total = 0.0
    for x, y in (polygon.T for polygon in polygons):
        total += 0.5 * float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum())
    return total


def random_points(axes, count=2000):
    low, high = np.transpose([axes.get_xlim(), axes.get_ylim()])
    return low + np.random.default_rng(1).random((count, 2)) * (high - low)


def test_the_boundary_is_where_the_network_is_zero(classified):
    X, y, network = classified
    axes = plotting.plot_regions(network, X, y)
    areas, border = filled(axes)
    assert len(border) > 3
    middles = border.mean(axis=1)
    points = np.vstack([*border, middles])
    rows = np.c_[points, np.full(len(points), 0.7)]
    size = np.abs(network.predict(X)).max()
    # Exactly, within a segment as well, though the network bends at its ends.
    assert np.abs(network.predict(rows)).max() < 1e-12 * size
    within = random_points(axes)
    values = network.predict(np.c_[within, np.full(len(within), 0.7)])
    np.testing.assert_array_equal(winners(areas, within) == 1, values > 0)
    window = np.ptp(axes.get_xlim()) * np.ptp(axes.get_ylim())
    assert sum(map(area_of, areas)) == pytest.approx(window, rel=1e-9)


@pytest.mark.parametrize("activation", ["relu", "gated"])
@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("seed", [4, 29, 30])
def test_the_regions_of_a_classifier_are_what_it_predicts(activation, classes, seed):
    # 29 has edges that are no longer than rounding; 30 an output of 0 beside a negative one.
    rng = np.random.default_rng(seed)
    X = [1e3, -5.0] + rng.standard_normal((60, 2)) * [40.0, 0.01]
    names = np.array(["a$", "b", "c$"])[:classes]
    radii = np.hypot(*((X - X.mean(axis=0)) / X.std(axis=0)).T)
    y = names[(radii * classes / 2.5).astype(int) % classes]
    model = ro.ReLUClassifier(lam=1e-3, n_gates=15, activation=activation, random_state=0).fit(X, y)
    axes = plotting.plot_regions(model, X, y)
    areas, border = filled(axes)
    points = random_points(axes)
    assert (names[winners(areas, points)] == model.predict(points)).all()
    # They do not overlap.
    window = np.ptp(axes.get_xlim()) * np.ptp(axes.get_ylim())
    assert sum(map(area_of, areas)) == pytest.approx(window, rel=1e-9)
    # Beside the middle of a segment of the boundary there are two classes.
    sides = np.ptp([axes.get_xlim(), axes.get_ylim()], axis=1)
    along = (border[:, 1] - border[:, 0]) / sides
    long = np.linalg.norm(along, axis=1) > 1e-4
    across = np.column_stack([-along[:, 1], along[:, 0]])[long]
    across *= sides * 1e-7 / np.linalg.norm(across, axis=1, keepdims=True)
    middles = border.mean(axis=1)[long]
    assert len(middles) > 5
    assert (model.predict(middles + across) != model.predict(middles - across)).all()
    assert [text.get_text() for text in axes.get_legend().get_texts()][2:] == [
        literal(name) for name in names
    ]


def test_a_classifier_of_more_features_or_other_classes_is_refused():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 3)), np.arange(30) % 2
    model = ro.ReLUClassifier(lam=0.05, n_gates=5, random_state=0).fit(X, y)
    with pytest.raises(DataError, match="takes 3 features"):
        plotting.plot_regions(model, X, y)
    model.fit(X[:, :2], y)
    with pytest.raises(DataError, match="other classes"):
        plotting.plot_regions(model, X[:, :2], y + 1)
    for data, labels in ((X, y), (X[:, :2], y[:-1])):
        with pytest.raises(DataError, match="are needed"):
            plotting.plot_regions(model, data, labels)


def test_the_hyperplanes_are_those_of_the_neurons_and_the_points_those_of_the_data(classified):
    X, y, network = classified
    axes = plotting.plot_regions(network, X, y)
    dashed = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert len(dashed) == len(network)
    windows = (axes.get_xlim(), axes.get_ylim())
    for line, plane in zip(dashed, network.hidden, strict=True):
        x, y_ = line.get_data()
        heights = plane[0] * x + plane[1] * y_ + 0.7 * plane[2]
        np.testing.assert_allclose(heights, 0, atol=1e-9 * np.linalg.norm(plane))
        # Both ends are out of sight.
        for a, b in zip(x, y_, strict=True):
            inside = [low <= at <= high for at, (low, high) in zip((a, b), windows, strict=True)]
            assert not all(inside)
    dots = {line.get_label(): line.get_data() for line in axes.lines if line.get_marker() == "o"}
    for label, sign in (("+1", 1.0), ("−1", -1.0)):
        np.testing.assert_array_equal(np.transpose(dots[label]), X[y == sign][:, :2])


def test_pictures_of_too_many_features_or_other_labels_are_refused(classified):
    X, y, network = classified
    with pytest.raises(DataError, match="takes 3 features"):
        plotting.plot_fit(network, X, y)
    with pytest.raises(DataError, match="labels −1 and"):
        plotting.plot_regions(network, X, y + 1)
    with pytest.raises(DataError, match="constant one"):
        plotting.plot_regions(network, X + np.arange(80)[:, None], y)
    with pytest.raises(DataError, match="80 rows"):
        plotting.plot_regions(network, X, y[:-1])
    # One class everywhere has no boundary.
    flat = ro.ReLUNetwork(np.zeros((0, 3)), [], 1.0)
    areas, border = filled(plotting.plot_regions(flat, X, y))
    assert [len(each) for each in areas] == [0, 1]
    assert not len(border)


# -- sets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("targets", [[1.0, 2.0], [1.0, 2.0, -1.0, -2.0], [1.0, 2.0, 1.5]])
def test_the_shadow_is_the_hull_of_all_vertices(targets):
    found = ro.optimal_set(ro.solve(crosspolytope(targets), tol=1e-12))
    shadow = found.shadow()
    total = found.fits @ found.alpha
    vertices = all_vertices(found.fits, total, tol=1e-8)[:, list(shadow.neurons)]
    if found.network_dim == 1:
        wanted = vertices
    else:
        wanted = vertices[ConvexHull(vertices, qhull_options="QJ Pp").vertices]
        wanted = _extreme(wanted)
    assert same_points(shadow.corners, wanted, tol=1e-6)


def _extreme(points):
    """The corners among points of a hull that was joggled."""
    points = np.unique(points.round(7), axis=0)
    hull = ConvexHull(points)
    return points[hull.vertices]


def test_the_corners_go_round_counterclockwise():
    found = ro.optimal_set(ro.solve(crosspolytope([1.0, 2.0, -1.0, -2.0]), tol=1e-12))
    x, y = found.shadow().corners.T
    assert len(x) == 4
    area = 0.5 * (x * np.roll(y, -1) - y * np.roll(x, -1)).sum()
    assert area > 0


def test_the_polytope_is_drawn_with_its_marks():
    found = ro.optimal_set(ro.solve(crosspolytope([1.0, 2.0]), tol=1e-12))
    axes = plotting.plot_polytope(found, neurons=(0, 2))
    lam = found.program.lam
    ring, corners, smallest, narrowest = axes.lines
    wanted = lam * found.shadow((0, 2)).corners
    np.testing.assert_allclose(np.transpose(corners.get_data()), wanted)
    np.testing.assert_allclose(ring.get_xydata()[0], ring.get_xydata()[-1])
    for line, network in ((smallest, found.min_norm()), (narrowest, found.narrowest().network)):
        sizes = lam * found.alpha_of(network)[[0, 2]]
        np.testing.assert_allclose(line.get_xydata()[0], sizes)
    own = plotting.plot_polytope(found, marks={"a vertex": found.vertex()})
    assert own.lines[2].get_label() == "a vertex"


def test_a_unique_network_is_a_point(make_program):
    found = ro.optimal_set(ro.solve(make_program(n=30, p=20), tol=1e-12))
    assert found.is_unique
    shadow = found.shadow()
    np.testing.assert_allclose(shadow.corners, [found.alpha[list(shadow.neurons)]])
    plotting.plot_polytope(found)


def test_neurons_that_are_not_there_are_refused(make_program):
    found = ro.optimal_set(ro.solve(crosspolytope([1.0, 2.0]), tol=1e-12))
    for neurons in ((0, 0), (0, 4), (-1, 0)):
        with pytest.raises(DataError, match="two different numbers from 0 to 3"):
            found.shadow(neurons)
    prog = make_program()
    empty = ro.optimal_set(ro.solve(prog.with_lam(2 * prog.lam_max)))
    with pytest.raises(DataError, match="0 neurons can be on"):
        empty.shadow()


@pytest.mark.parametrize("count", [1, 2, 3])
def test_ranges_within_ranges_have_colours_of_their_own(count):
    from relu_opt.sets.answers import PredictionRange

    middle = np.array([0.0, 2.0, -1.0])
    layers = []
    for k in range(count):
        half = np.full(3, 1.0 / (k + 1))
        low, high = middle - half, middle + half
        layers.append((f"layer {k}", PredictionRange(low, high, low - 0.1, high + 0.1)))
    axes = plotting.plot_prediction_range(layers, scale=2.0, centre=5.0)
    assert len(axes.containers) == count
    for (_, ranges), bars in zip(layers, axes.containers, strict=True):
        np.testing.assert_allclose([bar.get_height() for bar in bars], 2 * ranges.width)
        np.testing.assert_allclose([bar.get_y() for bar in bars], 2 * ranges.lower + 5)
    assert len({bars[0].get_facecolor() for bars in axes.containers}) == count
    whiskers = axes.collections[0].get_segments()
    np.testing.assert_allclose(
        [(ends[0, 1], ends[1, 1]) for ends in whiskers],
        np.c_[2 * layers[0][1].lower_bound + 5, 2 * layers[0][1].upper_bound + 5],
    )


# -- files and words -----------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["png", "svg", "pdf"])
def test_names_are_drawn_as_they_stand(ending, tmp_path):
    axes = plotting.new_axes()
    axes.set_xlabel(literal(r"price in $ or £, \frac{$"))
    plotting.save_figure(axes, tmp_path / f"a.{ending}")
    assert (tmp_path / f"a.{ending}").stat().st_size > 500


def test_small_numbers_are_short():
    assert [short(x) for x in (0.0, 1e-8, 2.6e-13, 1.0)] == ["0", "1e-8", "3e-13", "1e0"]


def test_without_matplotlib_the_fix_is_named(recorded, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    for draw in (recorded[0].plot, lambda: plotting.plot_certificate(recorded[1].certificate)):
        with pytest.raises(BackendUnavailable, match=r"relu-opt\[plot\]"):
            draw()
