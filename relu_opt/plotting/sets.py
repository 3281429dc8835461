"""Pictures of sets of networks: ranges of predictions, and the polytope of the neurons' sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from relu_opt.plotting.figures import BLUE, FAINT, GREY, PALE, RED, legend_below, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relu_opt.program.network import ReLUNetwork
    from relu_opt.sets.answers import PredictionRange
    from relu_opt.sets.optimal_set import OptimalSet

# Of ranges within ranges, the widest first.
LAYERS = (PALE, BLUE, FAINT)


def plot_prediction_range(
    layers: Sequence[tuple[str, PredictionRange]],
    axes: Axes | None = None,
    scale: float = 1.0,
    centre: float = 0.0,
) -> Axes:
    """Bars of the predictions' ranges, row by row.

    Parameters
    ----------
    layers : sequence of (name, PredictionRange)
        Drawn one over the other, the widest first; whiskers go to the proved bounds.
    axes : matplotlib axes, optional
    scale, centre : float
        Predictions are drawn as scale · z + centre.
    """
    axes = new_axes(axes, (6.0, 3.2))
    for k, (name, ranges) in enumerate(layers):
        low, high = scale * ranges.lower + centre, scale * ranges.upper + centre
        place = np.arange(len(ranges))
        colour = LAYERS[min(k + (len(layers) == 1), len(LAYERS) - 1)]
        width = 0.7 / (k + 1)
        middle = 0.5 * (low + high)
        proved = scale * ranges.lower_bound + centre, scale * ranges.upper_bound + centre
        known = np.isfinite(proved).all(axis=0)
        axes.vlines(
            place[known], proved[0][known], proved[1][known], color=colour, lw=1, zorder=0.9
        )
        floor = 0.008 * max(float(np.ptp(np.append(low, high))), 1e-12)
        axes.bar(
            place,
            np.maximum(high - low, floor),
            width,
            middle - np.maximum(high - low, floor) / 2,
            color=colour,
            label=name,
        )
    axes.use_sticky_edges = False
    axes.margins(y=0.1)
    axes.set(xlabel="row", ylabel="prediction", xticks=range(len(layers[0][1])))
    axes.legend(frameon=False, fontsize=8)
    return axes


def plot_polytope(
    found: OptimalSet,
    neurons: tuple[int, int] | None = None,
    marks: Mapping[str, ReLUNetwork] | None = None,
    axes: Axes | None = None,
) -> Axes:
    """All optimal networks by the sizes ‖w‖ of two of their neurons.

    A set of dimension 1 is a segment, one of dimension 2 a polygon whose corners are the minimal
    networks; of a larger one it is the projection, which is exact too.

    Parameters
    ----------
    found : OptimalSet
    neurons : (int, int), optional
        Rows of `found.directions`; by default two that show most of the set.
    marks : mapping of name to ReLUNetwork, optional
        Elements of the set to mark; by default the one of the smallest norm and a narrowest one.
    axes : matplotlib axes, optional

    Raises
    ------
    DataError
        If a neuron is unknown, or fewer than two can be on.
    """
    lam, shadow = found.program.lam, found.shadow(neurons)
    axes = new_axes(axes, (4.8, 4.2))
    corners = lam * shadow.corners
    ring = np.vstack([corners, corners[:1]])
    axes.fill(*corners.T, color=PALE, alpha=0.45, lw=0)
    axes.plot(*ring.T, color=BLUE, lw=1.2)
    names = "minimal networks" if found.network_dim <= 2 else "corners of the projection"
    axes.plot(*corners.T, "o", color=BLUE, ms=4, label=names)
    if marks is None:
        marks = {"smallest norm": found.min_norm(), "narrowest": found.narrowest().network}
    styles = (("D", RED), ("s", "black"), ("^", GREY), ("v", BLUE))
    for k, (name, network) in enumerate(marks.items()):
        shape, colour = styles[k % len(styles)]
        at = lam * found.alpha_of(network)[list(shadow.neurons)]
        axes.plot(*at, shape, color=colour, ms=7, fillstyle="none", mew=1.6, label=name)
    first, second = shadow.neurons
    axes.set(xlabel=f"size of neuron {first}, ‖w‖", ylabel=f"size of neuron {second}, ‖w‖")
    what = f"a projection of {found.network_dim} dimensions"
    axes.set_title(what if found.network_dim > 2 else "", loc="left", fontsize=9, color=GREY)
    axes.margins(0.08)
    legend_below(axes, 3)
    return axes
