"""What is proved of a network: bounds from both sides, the judge, the certificate."""

from relu_opt.proof.certificate import KKTReport, NetworkCertificate
from relu_opt.proof.certified_network import CertifiedNetwork
from relu_opt.proof.record import Certificate
from relu_opt.proof.verdict import Verdict

__all__ = ["Certificate", "CertifiedNetwork", "KKTReport", "NetworkCertificate", "Verdict"]
