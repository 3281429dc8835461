"""Pictures of what a network computes: a function of one feature, two classes over two."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_floats, as_targets
from relu_opt.errors import DataError
from relu_opt.plotting.figures import BLUE, GREY, PALE, RED, legend_below, new_axes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relu_opt.program.network import ReLUNetwork

# Points along each side of a map of regions, and the margin about the data, as a share.
GRID, MARGIN = 400, 0.06
ROSE = "#e3b5a9"


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
    network: ReLUNetwork, X: ArrayLike, y: ArrayLike, axes: Axes | None = None
) -> Axes:
    """The two classes over two features, with the hyperplane of each neuron and the data.

    Parameters
    ----------
    network : ReLUNetwork
        Of two features, or of two and a constant (the hidden bias).
    X : (n, 2) or (n, 3) array
        The data, as the network takes them; the constant of (n, 2) is 1.
    y : (n,) array
        Labels −1 and +1.
    axes : matplotlib axes, optional

    Raises
    ------
    DataError
        If the network takes more features, or y holds other labels.
    """
    data, constant = _split(network, X, 2)
    labels = as_targets(y, "y", len(data), "X")
    if not np.isin(labels, (-1.0, 1.0)).all():
        raise DataError("y must hold the labels −1 and +1. Encode the two classes so.")
    windows = [_window(column) for column in data.T]
    sides = [np.linspace(low, high, GRID) for low, high in windows]
    at = np.stack(np.meshgrid(*sides), axis=-1).reshape(-1, 2)
    values = network.predict(_with_constant(network, at, constant)).reshape(GRID, GRID)
    axes = new_axes(axes, (5.2, 4.6))
    large = max(float(np.abs(values).max()), np.finfo(float).tiny)
    axes.contourf(*sides, values, [-2 * large, 0, 2 * large], colors=[ROSE, PALE], alpha=0.55)
    if values.min() < 0 < values.max():
        axes.contour(*sides, values, [0.0], colors="black", linewidths=1.6)
        axes.plot([], [], color="black", lw=1.6, label="decision boundary")
    planes = network.hidden if network.gates is None else network.gates
    sizes = np.linalg.norm(network.hidden, axis=1) * np.abs(network.output)
    for k, (plane, size) in enumerate(zip(planes, sizes, strict=True)):
        width = 0.5 + 1.3 * float(np.sqrt(size / sizes.max()))
        ends = _across(plane[:2], plane[2:].sum() * constant, windows)
        name = "" if k else "hyperplanes of the neurons"
        axes.plot(*ends.T, color=GREY, ls="--", lw=width, label=name)
    for label, colour, name in ((-1.0, RED, "−1"), (1.0, BLUE, "+1")):
        axes.plot(
            *data[labels == label].T, "o", color=colour, ms=4, mec="white", mew=0.5, label=name
        )
    axes.set(xlabel="first feature", ylabel="second feature", xlim=windows[0], ylim=windows[1])
    legend_below(axes, 4)
    return axes


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
    on = rows[0] @ planes.T > 0
    ends = (rows[1:] @ network.hidden.T * on) @ network.output + network.intercept
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
