"""The progress bar: how far the gap has closed, on the way from 1 to the tolerance."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from relu_opt.cli.output import err

if TYPE_CHECKING:
    from relu_opt.plugins.types import ProgressEvent


class Reporter(Protocol):
    """Tells the user what is being done."""

    def __call__(self, stage: str) -> None:
        """Announce the next stage, such as "solving"."""
        ...


def closed(rel_gap: float, tol: float) -> float:
    """The fraction of the way from gap 1 to gap `tol`, counted in digits."""
    if not rel_gap < 1:
        return 0.0
    if rel_gap <= tol:
        return 1.0
    return math.log10(rel_gap) / math.log10(tol)


@contextmanager
def progress(shown: bool, tol: float) -> Iterator[Reporter]:
    """Show a progress bar on a terminal's standard error, and nothing elsewhere.

    Parameters
    ----------
    shown : bool
        Whether the user wants one; without a terminal there is none anyway.
    tol : float
        The relative gap at which the bar is full.
    """
    console = err()
    if not (shown and console.is_terminal):
        yield lambda stage: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from relu_opt.plugins.manager import observe

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=16),
        TimeElapsedColumn(),
        TextColumn("{task.fields[state]}"),
    )
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("starting", total=1.0, state="")

        def follow(event: ProgressEvent) -> None:
            if event.rel_gap is None:
                if event.message:
                    bar.update(task, description=event.message)
                return
            numbers = [("", event.objective), ("≥ ", event.bound)]
            known = [f"{sign}{value:.6g}" for sign, value in numbers if value is not None]
            state = "  ".join([*known, f"gap {event.rel_gap:.1e}"])
            bar.update(task, completed=closed(event.rel_gap, tol), state=state)

        with observe(follow):
            yield lambda stage: bar.update(task, description=stage)
