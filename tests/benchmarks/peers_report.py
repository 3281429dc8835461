"""The tables and the picture of `peers.py`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

OURS = "relu_opt"
# The picture ends here: gaps below it are rounding.
SMALLEST_GAP = 1e-16
COLUMNS = (
    "tool",
    "settings",
    "seconds",
    "× ours at 1e-6",
    "warm-up s",
    "set-up s",
    "objective",
    "own word off by",
    "cone violation",
    "of largest",
    "gap",
    "gap alone",
    "neurons",
    "remark",
)
LEGEND = f"""\
* seconds: solving alone. Short runs are repeated (at most 5 times or 6 s) and the fastest counts.
  warm-up: a run on a tiny problem of the same types in the same process, imports and compilation
  included. set-up: making the matrices or the conic form that the tool asks for.
* objective: of the tool's weights as they are, computed by us; own word: how far the objective that
  the tool reports is from that, relative to it.
* cone violation: relative to the norms of row and block, over blocks of at least 1e-6 of the
  largest (the interior-point methods leave the others close to zero); neurons counts the same.
  of largest: over all blocks, relative to the norm of the largest block instead of its own.
* gap: what is certified of the answer, (objective − best lower bound)/objective. For `{OURS}` the
  lower bound is the run's own; for the others it is our best one, which is kind to them. Answers
  outside their cones (violation above 1e-9) are projected onto them first, since their objective
  may lie below the optimum. gap alone: the same with the bound that follows from the weights.
* torch trains the network itself: its neurons have patterns of their own, so that its objective may
  lie below our program's optimum, and its gap is over its own patterns. Its neurons are balanced
  before they are judged, which lowers its objective a little."""


@dataclass(frozen=True)
class Row:
    """One run, judged. NaN is what is not known; a failed run has a remark alone."""

    problem: str
    tool: str
    settings: str
    seconds: float = math.nan
    warm: float = math.nan
    ready: float = math.nan
    objective: float = math.nan
    claimed: float = math.nan
    violation: float = math.nan
    violation_of_largest: float = math.nan
    gap: float = math.nan
    gap_alone: float = math.nan
    neurons: int = -1
    remark: str = ""

    @property
    def inside(self) -> bool:
        """Whether the answer was in its cones as it came."""
        return self.violation <= 1e-9


def number(value: float, style: str) -> str:
    return "" if math.isnan(value) else format(value, style)


def line(row: Row, ours: float) -> str:
    off = abs(row.claimed / row.objective - 1) if row.objective else math.nan
    cells = (
        row.tool,
        row.settings,
        number(row.seconds, ".3g"),
        number(row.seconds / ours, ".3g"),
        number(row.warm, ".1f"),
        number(row.ready, ".2f"),
        number(row.objective, ".10f"),
        number(off, ".0e"),
        number(row.violation, ".1e"),
        number(row.violation_of_largest, ".1e"),
        number(row.gap, ".1e"),
        number(row.gap_alone, ".1e"),
        "" if row.neurons < 0 else str(row.neurons),
        row.remark,
    )
    return f"| {' | '.join(cells)} |"


def head() -> str:
    return f"| {' | '.join(COLUMNS)} |\n{'|---' * len(COLUMNS)}|"


def our_seconds(rows: Sequence[Row], tol: float = 1e-6) -> float:
    """Our seconds at a tolerance; NaN where there are none."""
    mine = [row.seconds for row in rows if row.tool == OURS and row.settings == f"tol {tol:g}"]
    return mine[0] if mine else math.nan


def picture(rows: Mapping[str, list[Row]], titles: Mapping[str, str], path: Path) -> None:
    """Time against certified gap, one panel a problem."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    tools = list(dict.fromkeys(row.tool for each in rows.values() for row in each))
    marks = dict(zip(tools, "oDs^vP*X<>", strict=False))
    across = min(2, len(rows))
    down = math.ceil(len(rows) / across)
    figure, axes = plt.subplots(
        down, across, figsize=(6.2 * across, 4.2 * down), squeeze=False, layout="constrained"
    )
    for axis, name in zip(axes.flat, rows, strict=False):
        for k, tool in enumerate(tools):
            drawn = [row for row in rows[name] if row.tool == tool and not math.isnan(row.gap)]
            if not drawn:
                continue
            drawn.sort(key=lambda row: -row.gap)
            x = [row.seconds for row in drawn]
            y = [max(row.gap, SMALLEST_GAP) for row in drawn]
            main = tool == OURS
            axis.plot(
                x, y, "-" if main else ":", color=f"C{k}", lw=2 if main else 1, zorder=3 - main
            )
            for row, a, b in zip(drawn, x, y, strict=True):
                fill = f"C{k}" if row.inside else "white"
                axis.plot(a, b, marks[tool], color=f"C{k}", mfc=fill, ms=7, zorder=4)
            label = f"{tool} (own patterns)" if tool == "torch" else tool
            axis.plot([], [], marks[tool], color=f"C{k}", label=label)
        axis.set(xscale="log", yscale="log", title=f"{name}: {titles[name]}")
        axis.title.set_fontsize(10)
        axis.set(xlabel="seconds of solving", ylabel="certified relative gap")
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    for axis in axes.flat[len(rows) :]:
        axis.remove()
    figure.suptitle(
        "Time against certified accuracy\n(hollow: outside its cones, shown after projection)",
        fontsize=11,
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def curve_picture(curve: Sequence[Sequence[float | None]], title: str, path: Path) -> None:
    """The gap of one run against time."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    known = [(t, up, low) for t, up, low in curve if up is not None and low is not None]
    figure, axis = plt.subplots(figsize=(6.2, 4.2), layout="constrained")
    axis.plot([t for t, _, _ in known], [(up - low) / abs(up) for _, up, low in known], lw=2)
    axis.set(yscale="log", xlabel="seconds", ylabel="relative gap", title=title)
    axis.title.set_fontsize(10)
    axis.grid(alpha=0.3)
    figure.savefig(path, dpi=130)
    plt.close(figure)
