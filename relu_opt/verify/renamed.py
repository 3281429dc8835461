"""Attributes under their names of before, with a warning, until 0.3."""

from __future__ import annotations

import warnings
from typing import Any


class renamed:  # noqa: N801 - read as a declaration: `dual = renamed("lower_bound")`
    """An attribute that has another name now."""

    def __init__(self, new: str) -> None:
        self.new = new

    def __set_name__(self, owner: type, name: str) -> None:
        self.old = name

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        if instance is None:
            return self
        warnings.warn(
            f"{type(instance).__name__}.{self.old} is now .{self.new}.",
            DeprecationWarning,
            stacklevel=2,
        )
        return getattr(instance, self.new)
