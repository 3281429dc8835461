"""Pictures of a solve: both bounds as they meet, and the gap between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError, did_you_mean
from relu_opt.plotting.figures import BLUE, FAINT, GREY, RED, new_axes, panels, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from relu_opt.progress.history import History

# A gap of nothing is drawn here; below is rounding.
FLOOR = 1e-16
OVER = {"iterations": "iteration", "seconds": "seconds"}


def plot_convergence(
    history: History, axes: Axes | None = None, over: str = "iterations", tol: float | None = None
) -> Axes:
    """The objective of the network found and the lower bound; in a new figure the gap below.

    Parameters
    ----------
    history : History
        Of `record`; the last solve in it is drawn.
    axes : matplotlib axes, optional
    over : {"iterations", "seconds"}
    tol : float, optional
        A relative gap to mark.

    Raises
    ------
    DataError
        If nothing was recorded.
    """
    steps = _steps(history, over)
    if axes is None:
        axes, below = panels(2, 1, (6.0, 4.6), [2, 1])
        plot_gap(history, below, over, tol)
    axes.fill_between(steps, history.bounds, history.objectives, color=FAINT, lw=0)
    style: dict[str, Any] = {"marker": "o", "ms": 4, "lw": 1.5}
    label = "objective of the network found"
    axes.plot(steps, history.objectives, color=RED, label=label, **style)
    axes.plot(steps, history.bounds, color=BLUE, label="lower bound", **style)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("objective")
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    return axes


def plot_gap(
    history: History, axes: Axes | None = None, over: str = "iterations", tol: float | None = None
) -> Axes:
    """The relative gap on a logarithmic scale; parameters as in `plot_convergence`."""
    steps = _steps(history, over)
    axes = new_axes(axes, (6.0, 2.4))
    axes.semilogy(steps, np.maximum(history.rel_gaps, FLOOR), "o-", color="black", ms=4, lw=1.5)
    if tol is not None:
        axes.axhline(tol, color=GREY, lw=1, ls=":")
        axes.annotate(
            f"tol = {short(tol)}", (0.01, tol), xycoords=axes.get_yaxis_transform(), fontsize=9,
            color=GREY, va="bottom", xytext=(0, 2), textcoords="offset points",
        )  # fmt: skip
    axes.set_ylim(FLOOR, 10)
    axes.set_yticks([1, 1e-4, 1e-8, 1e-12, 1e-16])
    axes.set_ylabel("relative gap")
    axes.set_xlabel(OVER[over])
    return axes


def _steps(history: History, over: str) -> FloatArray:
    if over not in OVER:
        raise DataError(f"Unknown over={over!r}. {did_you_mean(str(over), OVER)}", over=over)
    if not len(history):
        raise DataError(
            "No bounds were recorded. Solve inside the context, with a backend that tells them on "
            "the way, such as native, highs or clarabel."
        )
    return np.asarray(getattr(history, over), dtype=np.float64)
