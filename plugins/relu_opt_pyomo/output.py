"""What may reach the terminal while Pyomo runs a solver."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from relu_opt_pyomo.settings import holds_the_interpreter

# Of pyomo.common.enums.CaptureOutputMode.
NORMAL, OF_DESCRIPTORS = 3, 2


@contextmanager
def terminal(solver: str, verbose: bool) -> Iterator[None]:
    """Silence Pyomo's log, and the solver's, unless `verbose`.

    Pyomo reads what a solver prints through a pipe, in a thread. While SCIP runs, no other thread
    can; once it has filled the pipe, both would wait for ever. So SCIP does without Pyomo's pipe.
    """
    from pyomo.common.log import LoggingIntercept

    with ExitStack() as stack:
        if not verbose:
            # What Pyomo warns of is in the stop reason.
            stack.enter_context(LoggingIntercept(module="pyomo"))
        if holds_the_interpreter(solver):
            stack.enter_context(_without_pipe())
            for descriptor in () if verbose else (1, 2):
                stack.enter_context(_discarded(descriptor))
        yield


@contextmanager
def _without_pipe() -> Iterator[None]:
    from pyomo.common import tee

    mode = getattr(tee, "OVERRIDE_CAPTURE_OUTPUT", NORMAL)
    tee.OVERRIDE_CAPTURE_OUTPUT = mode & ~OF_DESCRIPTORS
    try:
        yield
    finally:
        tee.OVERRIDE_CAPTURE_OUTPUT = mode


@contextmanager
def _discarded(descriptor: int) -> Iterator[None]:
    """Whatever C code writes to a file descriptor, which Python's streams do not see."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = os.dup(descriptor)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)
    try:
        yield
    finally:
        os.dup2(kept, descriptor)
        os.close(kept)
