"""`verify`: which re-check a certificate takes, and what is demanded of it."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.verify.claim import check_data, read_claim
from relu_opt.verify.exact import check_exactly
from relu_opt.verify.exact_several import check_several_exactly
from relu_opt.verify.exact_splines import check_spline_exactly
from relu_opt.verify.faults import DataError, Flaw
from relu_opt.verify.one_input import as_column, check_spline, read_spline
from relu_opt.verify.outcome import ARITHMETIC, SCOPES, Verification, invalid
from relu_opt.verify.several_outputs import check_several, read_several
from relu_opt.verify.subject import Subject, contents
from relu_opt.verify.two_layer import check_network


def verify(
    certificate: Subject,
    X: ArrayLike,
    y: ArrayLike,
    *,
    scope: str | None = None,
    lam: float | None = None,
    loss: str | None = None,
    tol: float | None = None,
    arithmetic: str = "float",
) -> Verification:
    """Re-check a certificate against the data, trusting nothing else.

    Parameters
    ----------
    certificate : path, Certificate, or an answer that carries one
        A certificate of any kind or its file, also that of a solution; or whatever has one as
        `certificate`, such as what `solve`, `train_globally`, `train_vector`, `fit_spline` or
        `minimum_norm_interpolant` returns, a point of a path, or a network of a set of optimal
        ones; or as `certificate_`, as estimators, whose proof is about the rows that they
        prepare: `solution_.program.X` and `.y`.
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
    arithmetic : {"float", "exact"}
        "float": doubles, with a bound on every rounding. "exact": integers, of the same doubles in
        the file and the data, whatever their range; several times slower (`docs/exact.md`).

    Returns
    -------
    Verification
        Contents that contradict themselves or the data give the verdict "invalid".

    Raises
    ------
    DataError
        If the file cannot be read, or what is passed has no certificate: the message says what to
        pass instead. Also if X and y are not finite data of one length, or if `scope`
        or `arithmetic` is not one of the above.
    """
    if arithmetic not in ARITHMETIC:
        known = " or ".join(map(repr, ARITHMETIC))
        raise DataError(f"Unknown arithmetic {arithmetic!r}. Use {known}.", name="arithmetic")
    if scope is not None and scope not in SCOPES:
        raise DataError(f"Unknown scope {scope!r}. Use one of {', '.join(SCOPES)}.", scope=scope)
    for name, value, most in (("lam", lam, math.inf), ("tol", tol, 1.0)):
        if value is not None and not (_is_number(value) and 0 < value < most):
            raise DataError(
                f"{name} is {value!r}, and a number above 0 and below {most:g} is needed."
            )
    found = replace(_checked(certificate, X, y, arithmetic == "exact"), arithmetic=arithmetic)
    return found.demanding(scope, lam, loss, tol)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.floating) and not isinstance(value, bool)


def _checked(
    certificate: Subject,
    X: ArrayLike,
    y: ArrayLike,
    exact: bool,
) -> Verification:
    arrays, meta = contents(certificate)
    problem = meta.get("problem")
    data, targets = check_data(
        as_column(X) if problem == "spline" else X, y, 2 if problem == "several_outputs" else 1
    )
    with np.errstate(all="ignore"):
        try:
            if problem == "several_outputs":
                several = read_several(arrays, meta, data, targets)
                return check_several_exactly(several) if exact else check_several(several)
            if problem == "spline":
                spline = read_spline(arrays, meta, data, targets)
                return (check_spline_exactly if exact else check_spline)(
                    spline, data[:, 0], targets
                )
            claim = read_claim(arrays, meta, data, targets)
            return (check_exactly if exact else check_network)(claim, data, targets)
        except Flaw as flaw:
            return invalid(str(flaw))
