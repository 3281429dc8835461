"""Pictures of what a network computes: a function of one feature, two classes over two."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, IntArray, as_floats, as_targets
from relu_opt.errors import DataError
from relu_opt.plotting.figures import (
    BLUE,
    GREY,
    RED,
    legend_below,
    literal,
    need_matplotlib,
    new_axes,
)
from relu_opt.plotting.regions import decision_regions
from relu_opt.program.network import ReLUNetwork

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class Classifier(Protocol):
    """A `ReLUClassifier`, as far as it is drawn."""

    classes_: Any
    networks_: Any
    n_features_in_: int
    scaling_: Any


# The margin about the data, as a share.
MARGIN = 0.06
# Of more than two classes.
COLOURS = (BLUE, "#d8973c", "#4d8b5a", RED, "#7b5aa6", GREY)


def plot_fit(network: ReLUNetwork, x: ArrayLike, y: ArrayLike, axes: Axes | None = None) -> Axes:
    """A network of one feature, exactly: its pieces, where they meet, and the data.

    Parameters
    ----------
    network : ReLUNetwork
        Of one feature, or of one and a constant (the hidden bias).
    x : (n,), (n, 1) or (n, 2) array
        The data, as the network takes them; the constant of (n,) is 1.
    y : (n,) array
        Targets.
    axes : matplotlib axes, optional

    Raises
    ------
    DataError
        If the network takes more features.
    """
    data, constant = _split(network, x, 1)
    targets = as_targets(y, "y", len(data), "x")
    low, high = _window(data[:, 0])
    bends = kinks(network, constant)
    bends = bends[(low < bends) & (bends < high)]
    ends = np.concatenate([[low], bends, [high]])
    pieces = [_piece(network, constant, left, right) for left, right in pairwise(ends)]
    axes = new_axes(axes)
    axes.plot(data[:, 0], targets, "o", color=GREY, ms=4, alpha=0.7, label="data", zorder=1)
    line = np.array(pieces).ravel()
    axes.plot(np.repeat(ends, 2)[1:-1], line, color=RED, lw=2, label="network", zorder=2)
    if len(bends):
        # Of a gated network, which may jump, the right-hand end.
        label = "where it bends" if network.gates is None else "where it bends or jumps"
        style: dict[str, Any] = {"color": "white", "mec": RED, "ms": 6, "zorder": 3}
        axes.plot(bends, line[2::2], "o", label=label, **style)
    axes.set(xlabel="x", ylabel="y", xlim=(low, high))
    axes.legend(frameon=False, fontsize=9)
    return axes


def kinks(network: ReLUNetwork, constant: float) -> FloatArray:
    """Where the neurons of a network of one feature switch on or off, rising."""
    planes = network.hidden if network.gates is None else network.gates
    slopes = planes[:, 0]
    if planes.shape[1] == 1:
        return np.zeros(1) if slopes.any() else np.zeros(0)
    turning = slopes != 0
    return np.unique(-planes[turning, 1] * constant / slopes[turning])


def plot_regions(
    model: ReLUNetwork | Classifier,
    X: ArrayLike,
    y: ArrayLike,
    axes: Axes | None = None,
) -> Axes:
    """The classes over two features, exactly, with the lines of the neurons and the data.

    Networks are piecewise linear, so the regions are polygons and their borders segments.

    Parameters
    ----------
    model : ReLUNetwork, ReLUClassifier or ReLUClassifierCV
        A network of two features, or of two and a constant (the hidden bias), positive for the
        second class; or a fitted classifier of two features, of any number of classes.
    X : (n, 2) or (n, 3) array
        The data, as the model takes them; the constant of (n, 2) is 1.
    y : (n,) array
        Labels −1 and +1 of a network, classes of a classifier.
    axes : matplotlib axes, optional

    Raises
    ------
    DataError
        If the model takes more features, or y holds other labels.
    """
    networks, data, to_rows, classes, which = _classified(model, X, y)
    windows = [_window(column) for column in data.T]
    corner, sides = np.array(windows)[:, 0], np.ptp(windows, axis=1)
    found = decision_regions(networks, lambda points: to_rows(corner + points * sides))
    axes = new_axes(axes, (5.2, 4.6))
    need_matplotlib()
    from matplotlib.collections import LineCollection, PolyCollection

    colours = [COLOURS[k % len(COLOURS)] for k in range(len(classes))]
    if len(classes) == 2:
        colours = [RED, BLUE]
    for k, colour in enumerate(colours):
        areas = [corner + area * sides for area, winner in found.areas if winner == k]
        # Edges of the same colour close the seams between polygons.
        style: dict[str, Any] = {
            "facecolor": _pale(colour),
            "edgecolor": _pale(colour),
            "linewidth": 0.4,
        }
        axes.add_collection(PolyCollection(areas, **style), autolim=False)
    if len(found.border):
        border = LineCollection(
            corner + found.border * sides, colors="black", linewidths=1.6, zorder=2.5
        )
        border.set_capstyle("round")
        axes.add_collection(border, autolim=False)
        axes.plot([], [], color="black", lw=1.6, label="decision boundary")
    sizes = np.concatenate(
        [np.linalg.norm(net.hidden, axis=1) * np.abs(net.output) for net in networks]
    )
    # Lines of the window's coordinates, as lines of the features.
    normals = found.lines[:, :2] / sides
    offsets = found.lines[:, 2] - normals @ corner
    for k, (normal, offset, size) in enumerate(zip(normals, offsets, sizes, strict=True)):
        width = 0.4 + 0.8 * float(np.sqrt(size / max(sizes.max(), np.finfo(float).tiny)))
        ends = _across(normal, float(offset), windows)
        name = "" if k else "hyperplanes of the neurons"
        axes.plot(*ends.T, color=GREY, ls="--", lw=width / len(networks), label=name)
    for k, (name, colour) in enumerate(zip(classes, colours, strict=True)):
        style = {"color": colour, "ms": 4, "mec": "white", "mew": 0.5, "zorder": 3}
        axes.plot(*data[which == k].T, "o", label=literal(name), **style)
    axes.set(xlabel="first feature", ylabel="second feature", xlim=windows[0], ylim=windows[1])
    legend_below(axes, 4)
    return axes


def _classified(
    model: ReLUNetwork | Classifier, X: ArrayLike, y: ArrayLike
) -> tuple[
    Sequence[ReLUNetwork],
    FloatArray,
    Callable[[FloatArray], FloatArray],
    list[str],
    IntArray,
]:
    """Networks, the two features, what makes inputs of them, the classes, and that of each row."""
    if isinstance(model, ReLUNetwork):
        data, constant = _split(model, X, 2)
        labels = as_targets(y, "y", len(data), "X")
        if not np.isin(labels, (-1.0, 1.0)).all():
            raise DataError("y must hold the labels −1 and +1. Encode the two classes so.")
        to_rows = partial(_with_constant, model, constant=constant)
        return [model], data, to_rows, ["−1", "+1"], (labels > 0).astype(np.intp)
    networks = model.networks_
    if model.n_features_in_ != 2:
        raise DataError(
            f"The classifier takes {model.n_features_in_} features, and this picture is of 2.",
            features=model.n_features_in_,
        )
    data = as_floats(X, "X", 2)
    labels = np.asarray(y)
    if data.shape[1] != 2 or labels.shape != (len(data),):
        raise DataError(f"X has shape {data.shape} and y {labels.shape}: (n, 2), (n,) are needed.")
    if not np.isin(labels, model.classes_).all():
        raise DataError(f"y holds other classes than {model.classes_.tolist()}.")
    which = np.searchsorted(model.classes_, labels)
    return networks, data, model.scaling_.rows, list(map(str, model.classes_)), which


def _pale(colour: str) -> tuple[float, float, float]:
    """A colour, mixed with white."""
    from matplotlib.colors import to_rgb

    red, green, blue = (0.42 * part + 0.58 for part in to_rgb(colour))
    return red, green, blue


# -- features and a constant ---------------------------------------------------------------


def _split(network: ReLUNetwork, X: ArrayLike, count: int) -> tuple[FloatArray, float]:
    """The columns that are features, (n, count), and the constant of the bias."""
    takes = network.hidden.shape[1]
    if takes not in (count, count + 1):
        raise DataError(
            f"The network takes {takes} features, and this picture is of {count}, besides the "
            "constant of a bias.",
            features=takes,
        )
    given = np.asarray(X)
    data = as_floats(given[:, None] if given.ndim == 1 else given, "X", 2)
    if data.shape[1] == count:
        return data, 1.0
    constant = data[:, count:]
    if data.shape[1] != takes or (constant != constant[0]).any():
        raise DataError(
            f"X has {data.shape[1]} columns, and {count} are needed, with a constant one after "
            "them if the network has a bias.",
            columns=data.shape[1],
        )
    return data[:, :count], float(constant[0, 0])


def _with_constant(network: ReLUNetwork, data: FloatArray, constant: float) -> FloatArray:
    spare = network.hidden.shape[1] - data.shape[1]
    return np.column_stack([data, np.full((len(data), spare), constant)])


def _window(values: FloatArray) -> tuple[float, float]:
    """The range of the values with a margin, of some width always."""
    spread = float(np.ptp(values)) or max(abs(float(values[0])), 1.0)
    return float(values.min()) - MARGIN * spread, float(values.max()) + MARGIN * spread


def _piece(network: ReLUNetwork, constant: float, left: float, right: float) -> tuple[float, float]:
    """The values at the ends of a piece, by the neurons that are on in its middle."""
    rows = _with_constant(network, np.array([[(left + right) / 2], [left], [right]]), constant)
    planes = network.hidden if network.gates is None else network.gates
    counts = network.activation.counts(rows[0] @ planes.T > 0)
    ends = (rows[1:] @ network.hidden.T * counts) @ network.output + network.intercept
    return float(ends[0]), float(ends[1])


def _across(normal: FloatArray, offset: float, windows: list[tuple[float, float]]) -> FloatArray:
    """Two points of the line normal · x + offset = 0 that lie far outside the windows, (2, 2)."""
    size = float(np.linalg.norm(normal))
    if not size:
        return np.full((2, 2), np.nan)
    centre = np.array([(low + high) / 2 for low, high in windows])
    reach = 2 * float(np.linalg.norm([high - low for low, high in windows]))
    unit = normal / size
    foot = centre - (centre @ unit + offset / size) * unit
    along = np.array([-unit[1], unit[0]])
    reach += float(np.linalg.norm(foot - centre))
    return np.array([foot - reach * along, foot + reach * along])
