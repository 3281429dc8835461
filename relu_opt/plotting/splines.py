"""Pictures of splines: the data, the function and its kinks, and a classifier's regions."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_targets
from relu_opt.plotting.figures import BLUE, GREY, PALE, RED, legend_below, new_axes
from relu_opt.train.one_input.problem import as_inputs
from relu_opt.train.one_input.result import SplineFit

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The margin about the data, as a share of their range.
MARGIN = 0.06
ROSE = "#e3b5a9"


def plot_spline(fit: SplineFit, x: ArrayLike, y: ArrayLike, axes: Axes | None = None) -> Axes:
    """A trained spline, exactly: the data, the function, and where its slope changes.

    Where the targets are labels −1 and +1, the line is coloured by the class that is predicted.

    Parameters
    ----------
    fit : SplineFit
    x, y : (n,) array
        The data.
    axes : matplotlib axes, optional
    """
    data = as_inputs(x)
    targets = as_targets(y, "y", len(data), "x")
    margin = MARGIN * (float(np.ptp(data)) or 1.0)
    low, high = float(data.min()) - margin, float(data.max()) + margin
    axes = new_axes(axes)
    labels = bool(np.isin(targets, (-1.0, 1.0)).all())
    if labels:
        _regions(axes, fit, low, high)
    for name, mine in _classes(targets, labels):
        colour = {"class −1": BLUE, "class +1": RED}.get(name, GREY)
        axes.plot(data[mine], targets[mine], "o", color=colour, ms=4, alpha=0.7, label=name)
    kinks = fit.kinks[(low < fit.kinks) & (fit.kinks < high)]
    line = np.concatenate([[low], kinks, [high]])
    colour = "black" if labels else RED
    axes.plot(line, fit.predict(line), color=colour, lw=2, label="spline", zorder=3)
    if len(kinks):
        axes.plot(
            kinks, fit.predict(kinks), "o", color="white", mec=colour, ms=6, label="kinks", zorder=4
        )
    axes.set(xlabel="x", ylabel="y", xlim=(low, high))
    legend_below(axes, 4 if labels else 3)
    return axes


def _classes(targets: FloatArray, labels: bool) -> list[tuple[str, np.ndarray]]:
    if not labels:
        return [("data", np.ones(len(targets), dtype=np.bool_))]
    return [("class −1", targets < 0), ("class +1", targets > 0)]


def _regions(axes: Axes, fit: SplineFit, low: float, high: float) -> None:
    """Shade the line by the class that is predicted, and mark the boundaries."""
    inside = fit.boundaries[(low < fit.boundaries) & (fit.boundaries < high)]
    for left, right in pairwise([low, *inside, high]):
        value = fit.predict(np.array([0.5 * (left + right)]))[0]
        axes.axvspan(left, right, color=ROSE if value > 0 else PALE, alpha=0.4, lw=0, zorder=0)
    for place in inside:
        axes.axvline(place, color=GREY, lw=0.8, ls=":", zorder=1)
