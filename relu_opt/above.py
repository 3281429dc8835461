"""Modules further up, for methods that are a shorter word for a function there.

`SolutionPath.plot` is `plotting.plot_path`, and `DeepNetwork.from_torch` reads what `export` knows:
asked for by name when they are called, so that nothing here imports what is built on it.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any


def above(name: str) -> Any:
    """A function by its name below the package, such as "plotting.plot_path"."""
    module, _, function = name.rpartition(".")
    return getattr(import_module(f"{__package__}.{module}"), function)
