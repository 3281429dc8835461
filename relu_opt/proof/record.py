r"""The record of a proof: what certificates of every kind have in common, and their one file.

A certificate is a network, a dual point with what shows that it is feasible, and the two numbers
that they prove. Kinds differ in their claim alone: the fields that it takes, and of whom the lower
bound speaks. Each says so in a module of its own, at home with its problem, and beside each field
how it stands in a file (`entries`); reading and writing are here.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.above import above
from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError, NotCertified
from relu_opt.io import complete, read_npz, with_extra, write_npz
from relu_opt.proof.entries import TOL, Part, entry, parts
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
class Certificate:
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

    lam: Annotated[float, entry("lam", float)]
    tol: Annotated[float, TOL]
    objective: Annotated[float, entry("primal", float)]
    lower_bound: Annotated[float, entry("dual", float)]
    verdict: Annotated[Verdict, entry("verdict", Verdict)]
    reason: Annotated[str, entry("reason", str)]
    fingerprint: Annotated[str, entry("fingerprint", str)]

    # What files call the kind, what errors call what it is of, and their advice.
    kind: ClassVar[str]
    thing: ClassVar[str]
    advice: ClassVar[str] = ""
    # Attributes that `repr` shows.
    shown: ClassVar[tuple[str, ...]] = ()

    if TYPE_CHECKING:  # a field of some kinds

        @property
        def network(self) -> Network:
            """What is certified."""

    primal: ClassVar[renamed] = renamed("objective")
    dual: ClassVar[renamed] = renamed("lower_bound")

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

    @classmethod
    def _fields(cls) -> Mapping[str, Part]:
        own: Any = cls  # mypy does not believe that a class can be hashed
        return parts(own)

    def _parts(self) -> Iterator[tuple[Part, Any]]:
        return ((part, getattr(self, name)) for name, part in self._fields().items())

    def to_arrays(self) -> dict[str, np.ndarray]:
        """The proof's arrays by name, as they stand in a file."""
        written = (part.arrays(value).items() for part, value in self._parts())
        return {name: each for some in written for name, each in some if each is not None}

    def meta(self) -> dict[str, Any]:
        """The claims, as they stand in a file."""
        said: dict[str, Any] = {} if self.kind == DEFAULT else {"problem": self.kind}
        for part, value in self._parts():
            said |= part.entries(value)
        return {**said, "gap": self.gap, "rel_gap": self.rel_gap}

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
        for part, value in self._parts():
            part.check(value)
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
            float(meta["rel_gap"])  # has to be there, and follows from the two bounds
            fields = {name: part.read(arrays, meta) for name, part in kind._fields().items()}
            return kind(**fields)


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
