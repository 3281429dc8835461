"""The errors that the re-check raises, and the flaw that ends the reading of a file.

The rest of the tree is in `relu_opt.errors`.
"""

from __future__ import annotations


class ReluOptError(Exception):
    """Base class of every error that relu_opt raises on purpose.

    Parameters
    ----------
    message : str
        What happened, why, and the fix.
    **fields
        Machine-readable details; also available as `error.fields[name]`.
    """

    def __init__(self, message: str, **fields: object) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields


class DataError(ReluOptError, ValueError):
    """Data, a parameter or a file cannot be used."""


class Flaw(Exception):
    """An entry that a certificate for these data cannot have."""
