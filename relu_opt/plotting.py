"""Pictures of results; matplotlib is imported when one is drawn."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from relu_opt.errors import BackendUnavailable, DataError
from relu_opt.io import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relu_opt.sets.answers import PredictionRange

PICTURES = ("png", "svg", "pdf")
COLOURS = ("#9cc3dd", "#1f5f8b", "#b3402a")


def check_picture(path: str | os.PathLike[str] | None) -> None:
    """Find out before a long computation whether its picture can be drawn; None is always well.

    Raises
    ------
    DataError
        If the file's name does not end in a known format.
    BackendUnavailable
        If matplotlib is missing.
    """
    if path is None:
        return
    if _kind(path) not in PICTURES:
        raise DataError(
            f"{path} has none of the endings .{', .'.join(PICTURES)}. Name a picture.",
            path=str(path),
        )
    need_matplotlib()


def need_matplotlib() -> None:
    """Raise a BackendUnavailable if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise BackendUnavailable(
            "Plots need matplotlib, which cannot be imported. pip install 'relu-opt[plot]'."
        ) from error


def new_axes(axes: Axes | None = None, size: tuple[float, float] = (6.0, 4.0)) -> Axes:
    """The given axes, or those of a new figure, which no window shows."""
    if axes is not None:
        return axes
    need_matplotlib()
    from matplotlib.figure import Figure

    made: Axes = Figure(figsize=size, layout="constrained").subplots()
    made.spines[["top", "right"]].set_visible(False)
    return made


def save_figure(axes: Axes, path: str | os.PathLike[str]) -> None:
    """Write the figure of the axes; an earlier file survives a failure."""
    check_picture(path)
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes belong to one
    write_atomically(path, lambda stream: figure.savefig(stream, format=_kind(path), dpi=150))


def _kind(path: str | os.PathLike[str]) -> str:
    return Path(path).suffix.lower().lstrip(".")


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
        colour = COLOURS[min(k + (2 - len(layers)), 2) % len(COLOURS)]
        width = 0.7 / (k + 1)
        middle = 0.5 * (low + high)
        floor = 0.004 * max(float(np.ptp(np.append(low, high))), 1e-12)
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
