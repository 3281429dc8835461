"""How the fields of a certificate stand in its file: `Annotated[FloatArray, array("nu", 1)]`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, get_type_hints

import numpy as np

from relu_opt.arrays import as_tolerance
from relu_opt.io import maybe, need
from relu_opt.program.activations import activation_of
from relu_opt.program.losses import check_saved, make_loss

Arrays = Mapping[str, np.ndarray]
Meta = Mapping[str, Any]


@dataclass(frozen=True)
class Part:
    """What a field is in a file.

    Attributes
    ----------
    read : callable
        The field, from the file's arrays and description.
    arrays, entries : callable
        What the field writes to them, by name; an array that is None is left out.
    check : callable
        Raises a DataError for what no file can say.
    """

    read: Callable[[Arrays, Meta], Any]
    arrays: Callable[[Any], Mapping[str, np.ndarray | None]] = lambda value: {}
    entries: Callable[[Any], Meta] = lambda value: {}
    check: Callable[[Any], None] = lambda value: None


def entry(name: str, read: Callable[[Any], Any]) -> Part:
    """An entry of the description, which `read` makes of its JSON value."""
    return Part(lambda _, meta: read(meta[name]), entries=lambda value: {name: value})


def array(name: str, axes: int, optional: bool = False) -> Part:
    """An array of doubles."""
    find = maybe if optional else need
    return Part(lambda arrays, _: find(arrays, name, "f", axes), lambda value: {name: value})


TOL = entry("tol", partial(as_tolerance, name="tol"))
LOSS = Part(
    lambda _, meta: make_loss(meta["loss"], dict(meta["loss_parameters"])),
    entries=lambda loss: {"loss": loss.name, "loss_parameters": loss.parameters},
    check=check_saved,
)
ACTIVATION = Part(lambda _, meta: activation_of(meta), entries=lambda activation: activation.meta)


@cache
def parts(kind: type) -> dict[str, Part]:
    """The parts of a class by the names of its fields."""
    hints = get_type_hints(kind, include_extras=True)
    return {
        name: each
        for name, hint in hints.items()
        for each in getattr(hint, "__metadata__", ())
        if isinstance(each, Part)
    }
