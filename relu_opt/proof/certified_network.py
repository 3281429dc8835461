"""A network that carries the proof of its own optimality."""

from __future__ import annotations

from dataclasses import dataclass, field

from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.certificate import NetworkCertificate


@dataclass(frozen=True, eq=False)
class CertifiedNetwork(ReLUNetwork):
    """A `ReLUNetwork` with its certificate.

    Attributes
    ----------
    certificate : NetworkCertificate
        Of this very network.
    """

    certificate: NetworkCertificate = field(kw_only=True)
