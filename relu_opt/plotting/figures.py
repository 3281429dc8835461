"""Figures, axes, colours and picture files: what all pictures have in common."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from relu_opt.errors import BackendUnavailable, DataError
from relu_opt.io import write_atomically

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURES = ("png", "svg", "pdf")
PALE, BLUE, RED = "#9cc3dd", "#1f5f8b", "#b3402a"
GREY, FAINT = "#7a7a7a", "#e9e3d5"


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


def panels(rows: int, columns: int, size: tuple[float, float], heights: list[float]) -> list[Axes]:
    """The panels of a new figure, which no window shows, row by row."""
    need_matplotlib()
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, layout="constrained")
    made = figure.subplots(rows, columns, sharex=True, height_ratios=heights).ravel()
    for axes in made:
        axes.spines[["top", "right"]].set_visible(False)
    return list(made)


def short(value: float) -> str:
    """A small number as one digit and its power of ten, such as 1e-8; 0 for zero."""
    digit, _, power = f"{value:.0e}".partition("e")
    return f"{digit}e{int(power)}" if value else "0"


def literal(name: str) -> str:
    """A name as it stands: matplotlib reads what is between two dollar signs as a formula."""
    return name.replace("$", r"\$")


def legend_below(axes: Axes, columns: int) -> None:
    """A legend under the axes, where it covers nothing."""
    axes.legend(
        ncols=columns, frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.13)
    )


def save_figure(axes: Axes, path: str | os.PathLike[str]) -> None:
    """Write the figure of the axes; an earlier file survives a failure."""
    check_picture(path)
    figure = axes.get_figure(root=True)
    assert figure is not None  # noqa: S101 - axes belong to one
    write_atomically(path, lambda stream: figure.savefig(stream, format=_kind(path), dpi=150))


def _kind(path: str | os.PathLike[str]) -> str:
    return Path(path).suffix.lower().lstrip(".")
