"""`verify`: which re-check a certificate takes, and what is demanded of it."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.errors import DataError
from relu_opt.verify.claim import Checkable, Flaw, check_data, contents, read_claim
from relu_opt.verify.one_input import as_column, verify_spline
from relu_opt.verify.outcome import SCOPES, Verification, invalid
from relu_opt.verify.several_outputs import check_several
from relu_opt.verify.two_layer import check_network


def verify(
    certificate: str | os.PathLike[str] | Checkable,
    X: ArrayLike,
    y: ArrayLike,
    *,
    scope: str | None = None,
    lam: float | None = None,
    loss: str | None = None,
    tol: float | None = None,
) -> Verification:
    """Re-check a certificate against the data, trusting nothing else.

    Parameters
    ----------
    certificate : path, Certificate, SplineCertificate or VectorCertificate
        A certificate's file, or an object with its `to_arrays()` and `meta()`.
    X : (n, d) array
        The data, one row a sample, as the network takes them (a bias is a column of ones); for a
        spline's certificate x, (n,) or (n, 1).
    y : (n,) array
        The targets; labels −1 and +1 for the classification losses; (n, c) for a certificate of
        `train_vector`.
    scope : {"own", "program", "all"}, optional
        A certificate of a smaller scope is `inconclusive`.
    lam : float, optional
        A certificate of another strength is `inconclusive`.
    loss : str, optional
        A certificate of another loss is `inconclusive`.
    tol : float, optional
        A larger gap is `inconclusive`, whatever tol the certificate says.

    Returns
    -------
    Verification
        Contents that contradict themselves or the data give the verdict "invalid".

    Raises
    ------
    DataError
        If the file cannot be read, or if X and y are not finite data of one length.
    """
    if scope is not None and scope not in SCOPES:
        raise DataError(f"Unknown scope {scope!r}. Use one of {', '.join(SCOPES)}.", scope=scope)
    return _checked(certificate, X, y).demanding(scope, lam, loss, tol)


def _checked(
    certificate: str | os.PathLike[str] | Checkable, X: ArrayLike, y: ArrayLike
) -> Verification:
    arrays, meta = contents(certificate)
    if meta.get("problem") == "spline":
        return verify_spline(arrays, meta, *check_data(as_column(X), y))
    several = meta.get("problem") == "several_outputs"
    data, targets = check_data(X, y, 2 if several else 1)
    with np.errstate(all="ignore"):
        try:
            if several:
                return check_several(arrays, meta, data, targets)
            return check_network(read_claim(arrays, meta, data, targets), data, targets)
        except Flaw as flaw:
            return invalid(str(flaw))
