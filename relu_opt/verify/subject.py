"""What `verify` takes: a certificate, its file, or what carries one, by its attributes alone."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from relu_opt.verify.archives import read_result
from relu_opt.verify.faults import DataError

# Kinds of files with all entries of a certificate.
HOLDERS = ("certificate", "solution")
CARRIERS = ("certificate", "certificate_")
# What to do with the others.
OF_FILES = {
    "network": "certify_network makes the certificate of a network.",
    "vector_network": "VectorSolution.certify makes the certificate of a network.",
    "path": "Pass a certificate of SolutionPath.load(file, program).certificates.",
    "validation": "Pass PathCV.load(file, program), or a certificate of its path.",
    "pruning": "Pass PruningPath.load(file).certify(step, X, y).",
    "model": "`relu-opt certify` makes the certificate of a model.",
    "deep_solution": "What is claimed of a deep network rests on a theorem: nothing re-checks it.",
}
# What to pass in place of an object that has this attribute.
OF_OBJECTS = {
    "certificates": "It carries several: pass one of its certificates.",
    "certificates_": "It carries several: pass one of its certificates_.",
    "least_norm": "Its least_norm carries one.",
    "reason": "What is claimed of it rests on its `reason`, and nothing re-checks that.",
}


class Checkable(Protocol):
    """A certificate that is not a file."""

    def to_arrays(self) -> Mapping[str, np.ndarray]:
        """The arrays that its file would hold."""
        ...

    def meta(self) -> Mapping[str, Any]:
        """The description that its file would hold."""
        ...


class Carrying(Protocol):
    """An answer with its certificate, such as what training returns."""

    @property
    def certificate(self) -> Checkable | None: ...


class Fitted(Protocol):
    """An estimator with the certificate of its network."""

    @property
    def certificate_(self) -> Checkable: ...


Subject = str | os.PathLike[str] | Checkable | Carrying | Fitted


def contents(subject: Subject) -> tuple[Mapping[str, np.ndarray], Mapping[str, Any]]:
    """The arrays and the description of a certificate, or a DataError that says what to pass."""
    if isinstance(subject, str | os.PathLike):
        return certificate_file(subject)
    if not isinstance(subject, type):
        carried: list[Any] = [subject, *(getattr(subject, name, None) for name in CARRIERS)]
        for found in carried:
            if hasattr(found, "meta") and hasattr(found, "to_arrays"):
                return found.to_arrays(), found.meta()
    said = [advice for name, advice in OF_OBJECTS.items() if hasattr(subject, name)]
    raise DataError(
        f"certificate is a {type(subject).__name__}, which carries no proof. Pass a certificate, "
        "its file, or an answer that carries one, such as what solve, train_globally, "
        "train_vector, fit_spline or a path's solution_at returns; certify and certify_network "
        f"make the certificate of a network. {' '.join(said)}".rstrip()
    )


def certificate_file(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """The contents of a file that holds a certificate, or a DataError that says what it holds."""
    arrays, meta = read_result(path)
    kind = meta["kind"]
    if kind not in HOLDERS:
        advice = OF_FILES.get(kind, "relu_opt.load reads files of every kind.")
        raise DataError(
            f"{path} holds a {kind!r:.60}, and a 'certificate' is needed. {advice}",
            path=str(path),
            kind=kind,
        )
    return arrays, meta
