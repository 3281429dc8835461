"""Ctrl-C while HiGHS runs."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def interruptible(highs: Any) -> Iterator[list[int]]:
    """Let Ctrl-C stop HiGHS at its next look around, rather than after it has ended.

    Python cannot raise KeyboardInterrupt while HiGHS runs, so meanwhile the signal is noted in
    the list that this yields. The simplex method, the interior-point method and branch and bound
    ask for it often; the method for quadratic programs does not, and ends first. Only the main
    thread gets signals, and a handler that somebody else has set is left alone.
    """
    pressed: list[int] = []
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield pressed
        return
    kinds = _kinds()
    signal.signal(signal.SIGINT, lambda number, frame: pressed.append(number))
    try:
        highs.setCallback(_look, pressed)
        for kind in kinds:
            highs.startCallback(kind)
        yield pressed
    finally:
        for kind in kinds:
            highs.stopCallback(kind)
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _look(kind: Any, message: str, told: Any, answer: Any, pressed: list[int]) -> None:
    """Called by HiGHS now and then; Python handles signals on the way in."""
    if pressed:
        answer.user_interrupt = True


def _kinds() -> list[Any]:
    from highspy import cb

    kind = cb.HighsCallbackType
    return [
        kind.kCallbackSimplexInterrupt,
        kind.kCallbackIpmInterrupt,
        kind.kCallbackMipInterrupt,
    ]
