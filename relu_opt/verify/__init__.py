"""The independent re-check of certificates, by code of its own.

Nothing here imports the programs, the solvers or the builders of certificates, so that an error
there cannot hide here.
"""

from relu_opt.verify.entry import verify

__all__ = ["verify"]
