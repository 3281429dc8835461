"""Progress: what long work tells observers, and the bar that shows it on a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from relu_opt.clock import Clock
from relu_opt.config import load_settings
from relu_opt.plugins.manager import announce, observe
from relu_opt.plugins.types import ProgressEvent

# Seconds between two events of one announcer at the least.
PAUSE = 0.1


class Announcer:
    """Tells observers how far long work is, not more often than they can look.

    Parameters
    ----------
    task : str
        Such as "path".
    total : int, optional
        How many steps there are.
    """

    def __init__(self, task: str, total: int | None = None) -> None:
        self.task = task
        self.total = total
        self.clock: Clock = Clock()
        self._next = 0.0

    def __call__(self, done: int, message: str, always: bool = False) -> None:
        """Say that so many steps are done; some calls in quick succession are left out.

        Parameters
        ----------
        done : int
        message : str
            Such as "row 3 of 10".
        always : bool
            Whether this call must not be left out.
        """
        elapsed = self.clock.elapsed
        if not always and elapsed < self._next:
            return
        self._next = elapsed + PAUSE
        event = ProgressEvent(self.task, done, elapsed, message=message, total=self.total)
        announce(event)


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
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    if not (shown and console.is_terminal):
        yield lambda stage: None
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

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
                if event.total:
                    bar.update(task, completed=event.iteration / event.total, state="")
                return
            numbers = [("", event.objective), ("≥ ", event.bound)]
            known = [f"{sign}{value:.6g}" for sign, value in numbers if value is not None]
            state = "  ".join([*known, f"gap {event.rel_gap:.1e}"])
            bar.update(task, completed=closed(event.rel_gap, tol), state=state)

        with observe(follow):
            yield lambda stage: bar.update(task, description=stage)


@contextmanager
def show_progress() -> Iterator[None]:
    """Show a progress bar for everything inside, where standard error is a terminal.

    Examples
    --------
    with ro.show_progress():
        path = ro.solution_path(program)
    """
    with progress(True, load_settings().tol) as report:
        report("working")
        yield
