"""The public names of the package, each imported when it is asked for.

They are written once, in `__init__.pyi`: type checkers read it, and so does this module. (The way
of Scientific Python's SPEC 1.)
"""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path
from types import ModuleType

from relu_opt import _moved


def _homes(stub: Path) -> dict[str, str]:
    """The module that a stub imports each name from."""
    return {
        alias.name: str(node.module)
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


HOMES = _homes(Path(__file__).with_name("__init__.pyi"))


class Face(ModuleType):
    """The package: its public names, its modules, and names of before with a warning."""

    def __getattr__(self, name: str) -> object:
        if name in HOMES:
            home = import_module(HOMES[name])
            found = vars(home)[name] if name in vars(home) else _module(home, name)
            vars(self)[name] = found
            return found
        if name in _moved.NAMES:
            return _moved.answer(name)
        return _module(self, name)

    def __setattr__(self, name: str, value: object) -> None:
        """Python sets a package's modules as attributes: a public name stays what it is."""
        if not (name in HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*vars(self), *HOMES})


def _module(package: ModuleType, name: str) -> ModuleType:
    full = f"{package.__name__}.{name}"
    try:
        return import_module(full)
    except ModuleNotFoundError as error:
        if error.name != full:
            raise
        raise AttributeError(f"module {package.__name__!r} has no attribute {name!r}") from None
