"""The words that every answer with a certificate has for what is proved of it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, ClassVar, Protocol

from relu_opt.proof.verdict import Verdict
from relu_opt.verify.renamed import renamed


class Proved(Protocol):
    """What a certificate, or another proof, says."""

    @property
    def objective(self) -> float: ...

    @property
    def lower_bound(self) -> float: ...

    @property
    def rel_gap(self) -> float: ...

    @property
    def verdict(self) -> Verdict: ...


class Proof(Proved, Protocol):
    """And that it has a file."""

    def save(self, path: str | os.PathLike[str]) -> None: ...


class Answer:
    """An answer that is as good as its `certificate` says."""

    if TYPE_CHECKING:  # a field of some

        @property
        def certificate(self) -> Proof: ...

    @property
    def _proof(self) -> Proved:
        return self.certificate

    @property
    def objective(self) -> float:
        """The network's objective on the raw data, rounding counted: an upper bound."""
        return self._proof.objective

    @property
    def lower_bound(self) -> float:
        """What no network that the certificate speaks of has an objective below."""
        return self._proof.lower_bound

    @property
    def rel_gap(self) -> float:
        """(objective − lower_bound)/lower_bound; inf if no bound above 0 is proved."""
        return self._proof.rel_gap

    @property
    def verdict(self) -> Verdict:
        """`certified`, `not_certified` or `inconclusive`."""
        return self._proof.verdict

    dual_objective: ClassVar[renamed] = renamed("lower_bound")

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the certificate, which holds the network: `relu_opt.load` reads it."""
        self.certificate.save(path)
