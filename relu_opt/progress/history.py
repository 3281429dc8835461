"""The bounds of a solve while it runs, as its progress events tell them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from relu_opt.above import above
from relu_opt.arrays import FloatArray, IntArray
from relu_opt.plugins.manager import observe
from relu_opt.plugins.types import ProgressEvent
from relu_opt.proof.verdict import relative_gap


@dataclass(frozen=True, eq=False)
class History:
    """What was told of the bounds, in order. Made by `record`.

    The bounds are the backend's own word on the way; the proof is the certificate at the end.

    Attributes
    ----------
    events : list of ProgressEvent
        Those that have both bounds, of every solve that was recorded.
    """

    events: list[ProgressEvent] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.last)

    def __repr__(self) -> str:
        gap = f", rel_gap={self.rel_gaps[-1]:.2e}" if len(self) else ""
        return f"History({len(self)} iterations{gap})"

    @property
    def last(self) -> list[ProgressEvent]:
        """The last solve's: the latest event of each of its iterations."""
        kept: dict[int, ProgressEvent] = {}
        for before, event in zip([None, *self.events], self.events, strict=False):
            # A clock that goes back is another solve's.
            if before is not None and event.elapsed < before.elapsed:
                kept.clear()
            kept[event.iteration] = event
        return list(kept.values())

    @property
    def iterations(self) -> IntArray:
        """Numbers of the last solve's iterations, (m,)."""
        return np.array([event.iteration for event in self.last], dtype=np.intp)

    @property
    def seconds(self) -> FloatArray:
        """Seconds since its start at each, (m,)."""
        return np.array([event.elapsed for event in self.last])

    @property
    def objectives(self) -> FloatArray:
        """The objective of the best network so far at each, (m,)."""
        return np.array([event.objective for event in self.last], dtype=np.float64)

    @property
    def bounds(self) -> FloatArray:
        """The largest lower bound so far at each, (m,)."""
        return np.array([event.bound for event in self.last], dtype=np.float64)

    @property
    def rel_gaps(self) -> FloatArray:
        """(objective − bound)/bound at each, (m,); inf before there is a bound above 0."""
        pairs = zip(self.objectives, self.bounds, strict=True)
        return np.array([relative_gap(upper, lower) for upper, lower in pairs])

    def plot(self, ax: Any = None, over: str = "iterations") -> Any:
        """Draw both bounds, and in a new figure the gap below; needs matplotlib.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to; a new figure by default.
        over : {"iterations", "seconds"}

        Returns
        -------
        Axes
        """
        return above("plotting.plot_convergence")(self, ax, over)


@contextmanager
def record() -> Iterator[History]:
    """Record the bounds of everything that is solved while the context is open.

    Examples
    --------
    with ro.progress.record() as history:
        solution = ro.solve(program)
    history.plot()
    """
    history = History()

    def note(event: ProgressEvent) -> None:
        if event.objective is not None and event.bound is not None:
            history.events.append(event)

    with observe(note):
        yield history
