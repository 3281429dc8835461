r"""The record of a proof: what certificates of every kind have in common, and their one file.

A certificate is a network, a dual point with what shows that it is feasible, and the two numbers
that they prove. Kinds differ in their claim alone: which arrays and entries that takes, and of
whom the lower bound speaks. Each says so in a module of its own, at home with its problem.
"""

from __future__ import annotations

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.above import above
from relu_opt.arrays import FloatArray, as_tolerance
from relu_opt.errors import DataError, NotCertified
from relu_opt.io import complete, read_npz, with_extra, write_npz
from relu_opt.proof.verdict import Verdict, relative_gap
from relu_opt.verify.renamed import renamed

# What files call a kind, and where it is at home: loaded when a file of it is read.
KINDS = {
    "network": "proof.certificate.NetworkCertificate",
    "several_outputs": "train.several_outputs.certificate.VectorCertificate",
    "spline": "train.one_input.certificate.SplineCertificate",
}
# The kind of files that name none.
DEFAULT = "network"


class Network(Protocol):
    """What networks of every kind do."""

    def predict(self, X: ArrayLike) -> FloatArray: ...

    def save(self, path: str | os.PathLike[str]) -> None: ...


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Certificate(ABC):
    """A proof of how far a network is from the best there is, whoever computed it.

    `relu_opt.verify` re-checks it, or its file, from the data alone.

    Attributes
    ----------
    lam : float
        The strength of regularisation, on the scale of the mean loss.
    tol : float
        The relative gap that the verdict is against.
    objective : float
        The network's objective from above, rounding counted: an upper bound on the optimum.
    lower_bound : float
        What no network that the certificate speaks of has an objective below.
    verdict : Verdict
        `certified`, `not_certified` or `inconclusive`.
    reason : str
        Why, in one sentence.
    fingerprint : str
        SHA-256 of the data.
    """

    lam: float
    tol: float
    objective: float
    lower_bound: float
    verdict: Verdict
    reason: str
    fingerprint: str

    # What files call the kind, what errors call what it is of, and their advice.
    kind: ClassVar[str]
    thing: ClassVar[str]
    advice: ClassVar[str] = ""
    # Attributes that `repr` shows.
    shown: ClassVar[tuple[str, ...]] = ()

    # -- what a kind says ----------------------------------------------------------

    if TYPE_CHECKING:  # a field of some kinds

        @property
        def network(self) -> Network:
            """What is certified."""

    @abstractmethod
    def _arrays(self) -> Mapping[str, np.ndarray | None]:
        """The arrays of the claim; None for those that it does without."""

    @abstractmethod
    def _claim(self) -> dict[str, Any]:
        """The entries of the claim, beside those that every kind has."""

    @classmethod
    @abstractmethod
    def _read(
        cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], common: Mapping[str, Any]
    ) -> Self:
        """The certificate of what `_arrays` and `_claim` returned, and of what all have."""

    def _check_saved(self) -> None:  # noqa: B027 - most kinds have nothing to refuse
        """Refuse, by a DataError, what no file can say."""

    primal = renamed("objective")
    dual = renamed("lower_bound")

    # -- what all say --------------------------------------------------------------

    @property
    def gap(self) -> float:
        """objective − lower_bound."""
        return self.objective - self.lower_bound

    @property
    def rel_gap(self) -> float:
        """The least R with objective ≤ (1 + R)·lower_bound; inf if no bound above 0 is proved."""
        return relative_gap(self.objective, self.lower_bound)

    def __repr__(self) -> str:
        more = "".join(f"{name}={getattr(self, name)!r}, " for name in self.shown)
        return (
            f"{type(self).__name__}({self.verdict.value}, {more}objective={self.objective:.12g}, "
            f"rel_gap={self.rel_gap:.2e})"
        )

    def require(self) -> Self:
        """This certificate if its verdict is `certified`, else a NotCertified error.

        For pipelines that must not go on with an answer that is not proved.
        """
        if self.verdict is not Verdict.CERTIFIED:
            said = self.verdict.value.replace("_", " ")
            raise NotCertified(
                f"{self.thing} is {said}. {self.reason} {self.advice}".rstrip(),
                verdict=self.verdict.value,
                rel_gap=self.rel_gap,
                tol=self.tol,
            )
        return self

    # -- files ---------------------------------------------------------------------

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The proof's arrays by name, as they stand in a file."""
        return {name: array for name, array in self._arrays().items() if array is not None}

    def meta(self) -> dict[str, Any]:
        """The claims, as they stand in a file."""
        return {
            **({} if self.kind == DEFAULT else {"problem": self.kind}),
            "lam": self.lam,
            "tol": self.tol,
            "primal": self.objective,
            "dual": self.lower_bound,
            "rel_gap": self.rel_gap,
            "verdict": self.verdict.value,
            "reason": self.reason,
            "fingerprint": self.fingerprint,
            **self._claim(),
        }

    def save(self, path: str | os.PathLike[str], extra: Mapping[str, Any] | None = None) -> None:
        """Write the certificate to an npz file (no pickle).

        Parameters
        ----------
        path : path
            Where to; an earlier file survives a failure.
        extra : mapping, optional
            More JSON values for the file's description, such as how the data were prepared.

        Raises
        ------
        DataError
            If the loss is the user's own, which no file can hold, if `extra` has a name that the
            file needs, or if the place cannot be written.
        """
        self._check_saved()
        write_npz(path, "certificate", self.to_arrays(), with_extra(self.meta(), extra))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The certificate in a file: of any kind, or of the one whose class is asked.

        The claims are read, not checked: that is `verify`'s work.

        Raises
        ------
        DataError
            If the file is damaged, or holds something else.
        """
        return cls.from_contents(*read_npz(path, "certificate"), path)

    @classmethod
    def from_contents(
        cls,
        arrays: Mapping[str, np.ndarray],
        meta: Mapping[str, Any],
        path: str | os.PathLike[str],
    ) -> Self:
        """The certificate of what `to_arrays` and `meta` returned, as read from a file.

        Raises
        ------
        DataError
            If something is missing or of another type; it names the file.
        """
        kind = _kind(meta, path)
        if not issubclass(kind, cls):
            raise DataError(
                f"{path} holds a certificate of another kind. relu_opt.load reads it.",
                path=str(path),
                kind=kind.kind,
            )
        with complete(path, f"certificate of {kind.thing.lower()}"):
            numbers = {name: float(meta[name]) for name in ("lam", "primal", "dual", "rel_gap")}
            common = {
                "lam": numbers["lam"],
                "objective": numbers["primal"],
                "lower_bound": numbers["dual"],
                "tol": as_tolerance(meta["tol"], "tol"),
                "verdict": Verdict(meta["verdict"]),
                "reason": str(meta["reason"]),
                "fingerprint": str(meta["fingerprint"]),
            }
            return kind._read(arrays, meta, common)


def _kind(meta: Mapping[str, Any], path: str | os.PathLike[str]) -> type[Certificate]:
    """The class of the certificate in a file."""
    said = meta.get("problem", DEFAULT)
    if not isinstance(said, str) or said not in KINDS:
        raise DataError(
            f"{path} holds a certificate of {said!r:.60}, which this relu_opt does not know. "
            "Upgrade relu_opt.",
            path=str(path),
        )
    found: type[Certificate] = above(KINDS[said])
    return found


def fingerprint(X: FloatArray, y: FloatArray) -> str:
    """SHA-256 of shape, X and y, as float64 in C order."""
    digest = hashlib.sha256(f"{X.shape[0]},{X.shape[1]};".encode())
    digest.update(np.ascontiguousarray(X, dtype=np.float64).data)
    digest.update(np.ascontiguousarray(y, dtype=np.float64).data)
    return digest.hexdigest()
