"""Pictures of results; matplotlib is imported when one is drawn."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relu_opt.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relu_opt.sets.answers import PredictionRange

COLOURS = ("#9cc3dd", "#1f5f8b", "#b3402a")


def new_axes(axes: Axes | None = None, **options: Any) -> Axes:
    """The given axes, or those of a new figure that shows in no window.

    Raises
    ------
    DataError
        If matplotlib is not installed.
    """
    if axes is not None:
        return axes
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise DataError(
            "Pictures need matplotlib. Install it with: pip install 'relu-opt[plot]'"
        ) from error
    figure = Figure(layout="constrained", **options)
    FigureCanvasAgg(figure)
    made: Axes = figure.add_subplot()
    made.spines[["top", "right"]].set_visible(False)
    return made


def save_figure(axes: Axes, path: str | os.PathLike[str]) -> None:
    """Write the figure of the axes; a file that is there survives a failure.

    Raises
    ------
    DataError
        If the name does not end in a format that can be written.
    """
    path = Path(path)
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes belong to one
    known = sorted(figure.canvas.get_supported_filetypes())
    if path.suffix.lstrip(".") not in known:
        raise DataError(
            f"{path} does not end in a kind of picture. Use one of: {', '.join(known)}.",
            path=str(path),
        )
    handle, name = tempfile.mkstemp(suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        figure.savefig(name, dpi=150)
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


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
    axes = new_axes(axes, figsize=(6, 3.2))
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
