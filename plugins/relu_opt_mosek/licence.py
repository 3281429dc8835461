"""MOSEK's errors: which of them concern the licence, and what they become."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from relu_opt.errors import BackendUnavailable, SolveFailed
from relu_opt.plugins.types import Availability, State

FIX = (
    "put a licence into ~/mosek/mosek.lic, or its path into MOSEKLM_LICENSE_FILE (free academic "
    "and trial licences: https://www.mosek.com/try/)"
)


def library() -> Any:
    """MOSEK, imported at its first use; it has no type hints, hence Any."""
    import mosek

    return mosek


@dataclass(frozen=True)
class Fault:
    """An error of MOSEK: its number, its name, and what MOSEK says about it."""

    code: int
    name: str
    words: str

    @classmethod
    def of(cls, error: Any) -> Fault:
        """What a `mosek.Error` says; some come without words, which its code has."""
        name = str(error.errno).rpartition(".")[2]
        words = str(error.msg or "").strip() or library().Env.getcodedesc(error.errno)[1]
        return cls(int(error.errno), name, words.rstrip("."))

    @property
    def is_licence(self) -> bool:
        """Whether a licence is missing, expired, too small or out of reach."""
        return "license" in self.name

    def __str__(self) -> str:
        return f"MOSEK error {self.code}, {self.name}: {self.words}"


def probe() -> Availability:
    """Whether MOSEK is installed and has a licence: one is checked out and given back."""
    if importlib.util.find_spec("mosek") is None:
        return Availability(State.NOT_INSTALLED, "the package mosek is not installed")
    try:
        mosek = library()
    except (ImportError, OSError) as error:
        reason = f"importing mosek raised {type(error).__name__}: {error}"
        return Availability(State.BROKEN, reason)
    version = ".".join(str(part) for part in mosek.Env.getversion())
    try:
        with mosek.Env() as env:
            env.checkoutlicense(mosek.feature.pts)
    except mosek.MosekException as error:
        fault = Fault.of(error)
        state = State.NO_LICENCE if fault.is_licence else State.BROKEN
        return Availability(state, str(fault), version)
    return Availability(State.READY, version=version)


@contextmanager
def translated() -> Iterator[None]:
    """MOSEK's errors as relu_opt's.

    Raises
    ------
    BackendUnavailable
        If it is about the licence.
    SolveFailed
        Otherwise.
    """
    try:
        yield
    except library().MosekException as error:
        fault = Fault.of(error)
        fields = {"code": fault.code, "name": fault.name, "words": fault.words}
        if fault.is_licence:
            raise BackendUnavailable(
                f"Backend 'mosek' cannot be used here ({State.NO_LICENCE.value}): {fault}. To mend "
                f"it, {FIX}. Without one, relu_opt_mosek.write_task writes the model to a file.",
                backend="mosek",
                state=State.NO_LICENCE,
                reason=str(fault),
                **fields,
            ) from error
        raise SolveFailed(
            f"MOSEK could not solve the program: {fault}. Rescale or correct the data "
            "(relu_opt_mosek.write_task writes the model to look at), or use another backend.",
            backend="mosek",
            **fields,
        ) from error
