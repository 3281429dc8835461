"""Pictures of a path and of its cross-validation, all over log λ, which falls to the right."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.errors import DataError, did_you_mean
from relu_opt.plotting.figures import BLUE, GREY, PALE, RED, new_axes, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relu_opt.path.cross_validation import PathCV
    from relu_opt.path.solution_path import SolutionPath

# λ looked at between two neighbours of the path.
BETWEEN = 16
METRIC_LABELS = {"loss": "mean loss", "mse": "mean squared error", "error_rate": "error rate"}


def plot_path(path: SolutionPath, kind: str, axes: Axes | None = None) -> Axes:
    """Draw one of `KINDS`; see `SolutionPath.plot`."""
    if kind not in KINDS:
        raise DataError(f"Unknown kind {kind!r}. {did_you_mean(str(kind), KINDS)}", kind=kind)
    axes = _over_lam(new_axes(axes))
    KINDS[kind](path, axes)
    return axes


def plot_validation(found: PathCV, axes: Axes | None = None) -> Axes:
    """Errors over λ; in a new figure with the certified gap below. See `PathCV.plot`."""
    if axes is None:
        axes, below = panels(2, 1, (6.0, 5.0), [3, 1])
        _gap(found.path, _over_lam(below))
        below.set_ylabel("certified gap")
        _errors(found, _over_lam(axes))
        axes.set_xlabel("")
        return axes
    _errors(found, _over_lam(axes))
    return axes


def plot_overview(path: SolutionPath, found: PathCV | None = None) -> Axes:
    """One figure with four panels: norms, neurons, objective, and the errors or the gap."""
    four = panels(2, 2, (10.0, 7.0), [1, 1])
    for axes, kind in zip(four, ("norms", "neurons", "objective"), strict=False):
        plot_path(path, kind, axes)
    if found is None:
        plot_path(path, "gap", four[3])
    else:
        plot_validation(found, four[3])
    for axes in four[:2]:
        axes.set_xlabel("")
    return four[0]


# -- what is drawn -------------------------------------------------------------------------


def block_norms(path: SolutionPath) -> tuple[IntArray, FloatArray]:
    """The blocks that are on somewhere, (k,), and ‖w_b‖ of each at each point, (m, k).

    A neuron is followed by its block, which costs nothing. One that crosses into another cone goes
    on as another block.
    """
    blocks = np.unique(np.concatenate([point.blocks for point in path.points]))
    norms = np.zeros((len(path), len(blocks)))
    for row, point in zip(norms, path.points, strict=True):
        row[np.searchsorted(blocks, point.blocks)] = np.linalg.norm(point.vectors, axis=1)
    return blocks, norms


def dense_lams(path: SolutionPath) -> FloatArray:
    """The λ of the points and `BETWEEN` more between two neighbours, falling."""
    parts = [
        np.geomspace(high, low, BETWEEN + 2)[1:-1]
        for high, low in zip(path.lams[:-1], path.lams[1:], strict=True)
    ]
    return np.sort(np.concatenate([path.lams, *parts]))[::-1]


def _norms(path: SolutionPath, axes: Axes) -> None:
    blocks, norms = block_norms(path)
    # A line starts and ends at zero, as in the mixtures of neighbours.
    on = np.pad(norms > 0, ((1, 1), (0, 0)))
    shown = np.where(on[:-2] | on[1:-1] | on[2:], norms, np.nan)
    plus = blocks < len(path.program.patterns)
    names = ["output sign +1", "output sign −1"]
    if path.program.activation.gated:
        names = ["gated neurons", ""]
    for chosen, colour, name in zip((plus, ~plus), (BLUE, RED), names, strict=True):
        lines = axes.plot(path.lams, shown[:, chosen], color=colour, lw=1, alpha=0.7)
        if lines:
            lines[0].set_label(name)
    axes.set_ylabel("norm of each neuron, ‖w‖")
    if len(blocks):
        axes.legend(frameon=False, fontsize=8, loc="upper left")


def _neurons(path: SolutionPath, axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.plot(path.lams, path.neurons, color=BLUE, drawstyle="steps-post", marker=".", ms=4)
    axes.set_ylim(bottom=0)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel("neurons")


def _objective(path: SolutionPath, axes: Axes) -> None:
    lams = dense_lams(path)
    upper, lower = np.array([path.bounds_at(lam) for lam in lams]).T
    band = f"between the bounds on p*: gap ≤ {path.largest_gap:.0e}"
    axes.fill_between(lams, lower, upper, color=PALE, lw=0, label=band)
    axes.plot(path.lams, path.objectives, ".", color=BLUE, ms=5, label="objective, solved")
    axes.plot(lams, upper, color=BLUE, lw=1)
    axes.plot(path.lams, path.losses, color=RED, lw=1.2, label="training loss")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("mean loss, objective")
    axes.legend(frameon=False, fontsize=8)


def _gap(path: SolutionPath, axes: Axes) -> None:
    lams = dense_lams(path)
    gaps = np.array([path.gap_at(lam) for lam in lams])
    axes.fill_between(lams, 0.0, gaps, color=PALE, lw=0)
    axes.plot(lams, gaps, color=BLUE, lw=0.8)
    axes.plot(path.lams, path.rel_gaps, ".", color=BLUE, ms=4)
    if path.eps is not None:
        axes.axhline(path.eps, color=RED, lw=1, ls=":", label=f"eps = {path.eps:g}")
        axes.legend(frameon=False, fontsize=8, loc="upper left")
    axes.set_ylim(0, 1.35 * (max(path.eps or 0.0, float(gaps.max())) or 1.0))
    axes.ticklabel_format(axis="y", style="sci", scilimits=(0, 0))
    axes.set_ylabel("certified relative gap")


def _errors(found: PathCV, axes: Axes) -> None:
    many = len(found.folds)
    train, held = found.train_errors, found.errors
    for errors, colour, name in ((train, GREY, "training rows"), (held, BLUE, "held-out rows")):
        mean, spread = errors.mean(axis=0), errors.std(axis=0, ddof=1) / np.sqrt(many)
        axes.fill_between(found.lams, mean - spread, mean + spread, color=colour, alpha=0.2, lw=0)
        axes.plot(found.lams, mean, color=colour, marker=".", ms=4, lw=1.2, label=name)
    if np.isfinite(found.mean).any():
        axes.axvline(found.lam_best, color=RED, lw=1, label=f"best, {found.lam_best:.3g}")
        label = f"one standard error, {found.lam_one_se:.3g}"
        axes.axvline(found.lam_one_se, color=RED, lw=1, ls="--", label=label)
    axes.set_ylabel(f"{METRIC_LABELS[found.metric]}, {many} folds")
    axes.legend(fontsize=8, loc="lower left", framealpha=0.9, edgecolor="none")


KINDS = {"norms": _norms, "neurons": _neurons, "objective": _objective, "gap": _gap}


# -- axes ----------------------------------------------------------------------------------


def _over_lam(axes: Axes) -> Axes:
    axes.set_xscale("log")
    if not axes.xaxis_inverted():
        axes.invert_xaxis()
    axes.set_xlabel("lam")
    return axes
