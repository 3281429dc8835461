"""One clock for all that takes time: how long it has taken, and how much longer it may.

A door makes it when it is entered. What lasts long looks at it now and then, and what is asked of
others gets the seconds that are left. Where no time is left, `TimeUp` ends the work from wherever
it is; `plugins.stopping.until_stopped` says so, and the best answer so far is returned.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from relu_opt.arrays import as_positive

# Seconds that are left at the least: to many solvers zero means no limit.
LEAST = 1e-3

Item = TypeVar("Item")


class TimeUp(Exception):
    """Raised by a clock's `check` when its limit is over."""


class Clock:
    """Runs from the moment that it is made.

    Parameters
    ----------
    limit : float, optional
        Seconds; without them there is always time.

    Raises
    ------
    DataError
        If the limit is not a number of seconds greater than zero.
    """

    def __init__(self, limit: float | None = None) -> None:
        self.limit: float | None = None if limit is None else as_positive(limit, "time_limit")
        self._started = time.perf_counter()

    def limited(self, limit: float | None) -> Clock:
        """The same clock with a limit that counts from its start."""
        mine = copy.copy(self)
        mine.limit = limit
        return mine

    def before(self, seconds: float) -> Clock:
        """The same clock with an earlier limit, so that something else has seconds before the end.

        That is a proof, which counts too; it gets half of the limit at the most.
        """
        limit = self.limit
        return self if limit is None else self.limited(limit - min(seconds, 0.5 * limit))

    @property
    def elapsed(self) -> float:
        """Seconds until now."""
        return time.perf_counter() - self._started

    @property
    def remaining(self) -> float | None:
        """Seconds that are left, greater than zero; None without a limit."""
        return None if self.limit is None else max(LEAST, self.limit - self.elapsed)

    @property
    def expired(self) -> bool:
        """Whether the limit is over."""
        return self.limit is not None and self.elapsed >= self.limit

    def check(self) -> None:
        """Raise `TimeUp` if the limit is over."""
        if self.expired:
            raise TimeUp

    def each(self, items: Iterable[Item]) -> Iterator[Item]:
        """The items, with a look at the clock before each."""
        for item in items:
            self.check()
            yield item
