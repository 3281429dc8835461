"""What is public: the names of the package, and those of its families."""

from __future__ import annotations

from types import ModuleType

import relu_opt as ro


def families() -> dict[str, ModuleType]:
    """The modules among the public names."""
    values = {name: getattr(ro, name) for name in ro.__all__}
    return {name: value for name, value in values.items() if isinstance(value, ModuleType)}


def public_names() -> list[str]:
    """All of them, such as `ro.solve` and `ro.deep.train_deep`."""
    below = families()
    own = [f"ro.{name}" for name in ro.__all__ if name not in below]
    return own + [f"ro.{name}.{each}" for name, family in below.items() for each in family.__all__]
