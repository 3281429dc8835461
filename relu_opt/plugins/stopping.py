"""How work ends before its end: for want of time, by Ctrl-C, or because it cannot go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from relu_opt.clock import TimeUp
from relu_opt.plugins.types import StopReason


class StopNow(Exception):
    """Raised inside work when it is time to stop; `said` is a solver's own word."""

    def __init__(self, reason: StopReason, said: str = "") -> None:
        self.reason = reason
        self.said = said


class Ending(NamedTuple):
    """Why work ended, and a solver's own word of it."""

    stop: StopReason
    said: str = ""


def until_stopped(work: Callable[[], StopReason | None]) -> Ending:
    """Do it, and say why it ended; work that says nothing came to its end.

    Whoever works keeps the best so far where its caller finds it.
    """
    try:
        return Ending(work() or StopReason.CONVERGED)
    except StopNow as now:
        return Ending(now.reason, now.said)
    except TimeUp:
        return Ending(StopReason.TIME_LIMIT)
    except KeyboardInterrupt:
        return Ending(StopReason.INTERRUPTED)
