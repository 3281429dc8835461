"""What a plugin gets, and what becomes of what it raises: nothing of it ends the program.

A backend gets a program of its own, whose arrays are shared and read-only: whatever it sets there,
the certificate is of the original. An exit or a made-up Ctrl-C of a plugin is its failure.
"""

from __future__ import annotations

import copy
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from typing import TypeVar

import numpy as np
from scipy.sparse import csc_array

from relu_opt.plugins.types import Program

P = TypeVar("P", bound=Program)
T = TypeVar("T")

# Parts of a program that are values: no one can set anything in them.
VALUES = (np.ndarray, str, bytes, int, float, type(None))


class PluginFault(Exception):
    """What a plugin raised that would have ended the program: an exit, or a Ctrl-C of its own."""


def named(error: BaseException) -> str:
    """The error with its type, or what it stands for."""
    error = error.__cause__ if isinstance(error, PluginFault) and error.__cause__ else error
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def own_copy(program: P) -> P:
    """The program in objects of its own, over the same read-only arrays."""
    # Bare: what was computed from the program is computed anew from the copy.
    mine = object.__new__(type(program))
    for field in fields(program):
        value = getattr(program, field.name)
        if isinstance(value, csc_array):
            part: object = csc_array((value.data, value.indices, value.indptr), value.shape)
        elif isinstance(value, VALUES):
            part = value
        else:
            part = copy.copy(value)
        object.__setattr__(mine, field.name, part)
    return mine


class Interrupts:
    """How often a callback of the user's own asked for an end by KeyboardInterrupt."""

    asked = 0


def guarded(call: Callable[[], T]) -> T:
    """What a plugin's call returns.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C was pressed meanwhile, or a callback of `observe` asked for it.
    PluginFault
        If the plugin raised what is no error: an exit, or a KeyboardInterrupt of its own.
    Exception
        What else it raises.
    """
    asked = Interrupts.asked
    with _signals() as pressed:
        try:
            return call()
        except KeyboardInterrupt as error:
            if pressed() or Interrupts.asked > asked:
                raise
            raise PluginFault from error
        except Exception:
            raise
        except BaseException as error:
            raise PluginFault from error


class _Watch:
    """Counts how often Ctrl-C was pressed, beside whoever handles the signal."""

    current: _Watch | None = None

    def __init__(self, reading: int) -> None:
        self.reading, self.count = reading, 0

    def presses(self) -> int:
        """How often until now."""
        try:
            while told := os.read(self.reading, 4096):
                self.count += told.count(signal.SIGINT)
        except BlockingIOError:
            pass
        return self.count


@contextmanager
def _signals() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C was pressed within.

    Signals come to the main thread alone. Where somebody else listens in the same way, nobody can
    tell, and it is taken for pressed.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    if _Watch.current is not None:
        watch = _Watch.current
        before = watch.presses()
        yield lambda: watch.presses() > before
        return
    reading, writing = os.pipe()
    try:
        os.set_blocking(reading, False)
        os.set_blocking(writing, False)
        theirs = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        if theirs != -1:
            signal.set_wakeup_fd(theirs)
            yield lambda: True
            return
        _Watch.current = watch = _Watch(reading)
        try:
            yield lambda: watch.presses() > 0
        finally:
            _Watch.current = None
            signal.set_wakeup_fd(-1)
    finally:
        os.close(reading)
        os.close(writing)
