"""Pictures of paths: what is drawn is what the path says."""

import numpy as np
import pytest

import relu_opt as ro
from relu_opt.plotting import save_figure
from relu_opt.plotting.paths import KINDS, plot_overview

pytest.importorskip("matplotlib")


@pytest.fixture(scope="module")
def found(make_program):
    prog = make_program(n=25, p=20)
    return ro.cross_validate(prog, 3, n_lams=6, lam_min_ratio=0.03)


@pytest.fixture(scope="module")
def path(found):
    return found.path


def test_the_norms_are_those_of_the_solutions(path):
    axes = path.plot("norms")
    drawn = {}
    for line in axes.lines:
        x, y = line.get_data()
        np.testing.assert_array_equal(x, path.lams)
        drawn[line] = y
    for k, point in enumerate(path.points):
        weights = point.solution.weights
        for sign, colour in ((0, axes.lines[0].get_color()), (1, axes.lines[-1].get_color())):
            norms = np.linalg.norm(weights[sign], axis=1)
            shown = [y[k] for line, y in drawn.items() if line.get_color() == colour]
            on = sorted(value for value in shown if value > 0)
            np.testing.assert_allclose(on, np.sort(norms[norms > 0]), rtol=1e-12)
    # A line is drawn where its neuron is on, and at the points beside.
    for y in drawn.values():
        on = np.flatnonzero(np.nan_to_num(y) > 0)
        near = np.unique(np.clip([on - 1, on, on + 1], 0, len(path) - 1))
        np.testing.assert_array_equal(np.flatnonzero(~np.isnan(y)), near)


def test_gated_neurons_have_no_sign(make_program):
    path = ro.solution_path(make_program(activation="gated"), n_lams=4, lam_min_ratio=0.1)
    axes = path.plot()
    assert len({line.get_color() for line in axes.lines}) == 1
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["gated neurons"]


def test_the_neurons_are_counted(path):
    (line,) = path.plot("neurons").lines
    np.testing.assert_array_equal(line.get_xdata(), path.lams)
    np.testing.assert_array_equal(line.get_ydata(), path.neurons)


def test_the_objective_lies_in_its_band(path):
    axes = path.plot("objective")
    solved, upper, losses = axes.lines
    np.testing.assert_array_equal(solved.get_ydata(), path.objectives)
    np.testing.assert_array_equal(losses.get_ydata(), path.losses)
    lams = upper.get_xdata()
    assert len(lams) == len(path) + 16 * (len(path) - 1)
    assert set(path.lams) <= set(lams)
    bounds = np.array([path.bounds_at(lam) for lam in lams])
    np.testing.assert_array_equal(upper.get_ydata(), bounds[:, 0])
    corners = axes.collections[0].get_paths()[0].vertices
    for lam, (high, low) in zip(lams[::7], bounds[::7], strict=True):
        there = corners[corners[:, 0] == lam, 1]
        assert {there.min(), there.max()} == {low, high}


def test_the_gap_is_drawn_between_the_points(make_program):
    path = ro.solution_path(make_program(), eps=0.01, lam_min_ratio=0.1)
    axes = path.plot("gap")
    line, points, limit = axes.lines
    wanted = [path.gap_at(lam) for lam in line.get_xdata()]
    np.testing.assert_array_equal(line.get_ydata(), wanted)
    np.testing.assert_array_equal(points.get_ydata(), path.rel_gaps)
    assert set(limit.get_ydata()) == {0.01}
    assert max(wanted) <= 0.01


def test_errors_with_bands_of_one_standard_error(found):
    axes = found.plot()
    train, held, best, one_se = axes.lines
    np.testing.assert_array_equal(train.get_ydata(), found.train_errors.mean(axis=0))
    np.testing.assert_array_equal(held.get_ydata(), found.mean)
    assert set(best.get_xdata()) == {found.lam_best}
    assert set(one_se.get_xdata()) == {found.lam_one_se}
    corners = axes.collections[1].get_paths()[0].vertices
    for k, lam in enumerate(found.lams):
        there = corners[corners[:, 0] == lam, 1]
        spread = found.standard_error[k]
        np.testing.assert_allclose(
            [there.min(), there.max()], [found.mean[k] - spread, found.mean[k] + spread]
        )
    above, below = axes.figure.axes
    assert above is axes
    gaps = below.lines[0]
    assert gaps.get_ydata().max() == max(found.path.gap_at(lam) for lam in gaps.get_xdata())


@pytest.mark.parametrize("kind", KINDS)
def test_lam_falls_to_the_right_on_a_log_axis(path, kind):
    axes = path.plot(kind)
    assert axes.get_xscale() == "log"
    assert axes.xaxis_inverted()
    assert path.plot(kind, ax=axes) is axes
    assert axes.xaxis_inverted()


def test_axes_of_ones_own_are_used_and_other_panels_left_alone(found):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    assert found.plot(ax=axes) is axes
    assert axes.figure.axes == [axes]


def test_an_incomplete_validation_is_drawn_as_far_as_it_came(found):
    from dataclasses import replace

    errors = np.full(found.errors.shape, np.nan)
    axes = replace(found, errors=errors, train_errors=errors).plot()
    assert len(axes.lines) == 2


def test_one_point_without_neurons_is_drawn(make_program, tmp_path):
    prog = make_program()
    path = ro.solution_path(prog, [2 * prog.lam_max])
    for kind in KINDS:
        save_figure(path.plot(kind), tmp_path / f"{kind}.png")
    assert path.plot("norms").lines[:] == []


def test_the_overview_has_four_panels(found, tmp_path):
    for validation, label in ((found, "mean loss, 3 folds"), (None, "certified relative gap")):
        axes = plot_overview(found.path, validation)
        panels = axes.figure.axes
        assert len(panels) == 4
        assert panels[3].get_ylabel() == label
        save_figure(axes, tmp_path / "overview.png")
        assert (tmp_path / "overview.png").read_bytes().startswith(b"\x89PNG")


def test_an_unknown_kind_suggests_the_near_match(path):
    with pytest.raises(ro.errors.DataError, match="Did you mean 'norms'"):
        path.plot("norm")


def test_without_matplotlib_the_fix_is_named(found, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    for draw in (found.plot, found.path.plot):
        with pytest.raises(ro.errors.BackendUnavailable, match=r"relu-opt\[plot\]"):
            draw()
