"""Documented modules of 0.1 under their old names, with a warning, until 0.3."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "relu_opt.model": "relu_opt.tabular.model",
    "relu_opt.parallel": "relu_opt.solving.shards",
    "relu_opt.preprocessing": "relu_opt.tabular.preprocessing",
    "relu_opt.tables": "relu_opt.tabular.tables",
}


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        return ModuleSpec(name, self) if name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        # The frames of importlib between here and who imports are skipped by Python.
        warnings.warn(f"{spec.name} is now {new}.", DeprecationWarning, stacklevel=2)
        module = import_module(new)
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """It has run; Python has given it the spec of its old name."""
        if module.__spec__ is not None and module.__spec__.loader_state is not None:
            module.__spec__ = module.__spec__.loader_state


def install() -> None:
    """Answer to the old names."""
    sys.meta_path.append(_Finder())
