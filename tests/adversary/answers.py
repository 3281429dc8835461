"""An answer with its proof, as a certificate's file and the data would hold them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Answer:
    """What `relu_opt.verify` is given: the arrays and claims of a certificate, and the data.

    Claims are those of `meta`; arrays and claims are never changed in place.
    """

    arrays: dict[str, NDArray[Any]]
    claims: dict[str, Any]
    X: NDArray[np.float64]
    y: NDArray[np.float64]

    @classmethod
    def of(cls, certificate: Any, X: NDArray[np.float64], y: NDArray[np.float64]) -> Answer:
        """The answer of a certificate of the library."""
        return cls(certificate.to_arrays(), certificate.meta(), X, y)

    def to_arrays(self) -> Mapping[str, NDArray[Any]]:
        """As `verify` asks for."""
        return self.arrays

    def meta(self) -> Mapping[str, Any]:
        """As `verify` asks for."""
        return self.claims

    @property
    def problem(self) -> str:
        """`network`, `several_outputs` or `spline`; any other word is taken for the first."""
        said = self.claims.get("problem")
        return said if said in ("several_outputs", "spline") else "network"

    @property
    def weights(self) -> NDArray[np.float64] | None:
        """The sample weights, if they are not all 1."""
        return self.arrays.get("sample_weight")

    @property
    def delta(self) -> float:
        """The parameter of the Huber loss; 1 for others."""
        return float((self.claims.get("loss_parameters") or {}).get("delta", 1.0))

    def masks(self) -> NDArray[np.bool_]:
        """The patterns, one row each: (p, n)."""
        bits = np.unpackbits(self.arrays["patterns"], axis=1, count=len(self.X))
        return np.asarray(bits, dtype=bool)

    def having(self, **arrays: NDArray[Any] | None) -> Answer:
        """The same answer with other arrays; None takes one away."""
        every = {**self.arrays, **arrays}
        return replace(self, arrays={k: a for k, a in every.items() if a is not None})

    def saying(self, **claims: object) -> Answer:
        """The same answer with other claims."""
        return replace(self, claims={**self.claims, **claims})

    def on(self, X: NDArray[np.float64], y: NDArray[np.float64]) -> Answer:
        """The same answer with other data, whose fingerprint it claims."""
        moved = replace(self, X=np.ascontiguousarray(X), y=np.ascontiguousarray(y))
        return moved.saying(fingerprint=fingerprint(moved.X, moved.y))


def fingerprint(X: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """SHA-256 of shape and data, as a certificate has it."""
    digest = hashlib.sha256(f"{X.shape[0]},{X.shape[1]};".encode())
    digest.update(X.tobytes() + y.tobytes())
    return digest.hexdigest()
