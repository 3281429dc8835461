r"""The independent re-check of a certificate, from its contents and the data alone.

This module imports nothing of the program, the solvers or the certificate's builder: losses,
conjugates, packed patterns and the count of patterns are written here a second time, so that
an error there cannot hide here.

With F(z) = (1/n) Σ_k s_k ℓ(z_k, y_k), the network's own objective F(ŷ) + (λ/2) Σ_j (‖u_j‖² + a_j²)
is an upper bound, and D(ν) = −(1/n) Σ_k s_k ℓ*(−n ν_k/s_k, y_k) is a lower bound for every network
whose neurons lie in the file's cones, if ‖s XᵀD_iν + (S_iX)ᵀρ_b‖ ≤ λ for every pattern i and
sign s, with any ρ_b ≥ 0 (Pilanci & Ergen, ICML 2020; no projection has to be trusted).

Rounding. The floating-point error of such a norm is modelled as

    err_b = 4 eps √n (‖|X|ᵀ|ν|‖ + ‖|X|ᵀρ_b‖).

A block whose norm exceeds λ(1 + 1e-12) + err_b makes the file invalid. The bound reported is
not D(ν) but min(D(ν), D(tν)) with t = min(1, λ / max_b (norm_b + err_b)): tν is feasible even
if every error is as large as modelled. Multipliers so large that they drown the rest in
rounding therefore weaken the bound instead of faking one.
"""

from __future__ import annotations

import math
import os

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.verify.claim import (
    Checkable,
    Claim,
    Flaw,
    FloatArray,
    check_data,
    contents,
    parts,
    read_claim,
)
from relu_opt.verify.losses import dual_objective, mean_loss
from relu_opt.verify.one_input import as_column, verify_spline
from relu_opt.verify.outcome import Verification, concluded, invalid
from relu_opt.verify.scope import scope_of
from relu_opt.verify.search import reach
from relu_opt.verify.several_outputs import check_several

# Share of `tol` that the search over all directions may be off by.
SEARCH_SHARE = 0.005
EPS = float(np.finfo(np.float64).eps)


def verify(
    certificate: str | os.PathLike[str] | Checkable, X: ArrayLike, y: ArrayLike
) -> Verification:
    """Re-check a certificate against the data, trusting nothing else.

    Parameters
    ----------
    certificate : path, Certificate or SplineCertificate
        A certificate's file, or an object with its `to_arrays()` and `meta()`.
    X : (n, d) array
        The data, one row a sample, as the network takes them (a bias is a column of ones); for a
        spline's certificate x, (n,) or (n, 1).
    y : (n,) array
        The targets; labels −1 and +1 for the classification losses; (n, c) for a certificate of
        `train_vector`.

    Returns
    -------
    Verification
        Contents that contradict themselves or the data give the verdict "invalid".

    Raises
    ------
    DataError
        If the file cannot be read, or if X and y are not finite data of one length.
    """
    arrays, meta = contents(certificate)
    if meta.get("problem") == "spline":
        return verify_spline(arrays, meta, *check_data(as_column(X), y))
    several = meta.get("problem") == "several_outputs"
    data, targets = check_data(X, y, 2 if several else 1)
    with np.errstate(all="ignore"):
        try:
            if several:
                return check_several(arrays, meta, data, targets)
            claim = read_claim(arrays, meta, data, targets)
        except Flaw as flaw:
            return invalid(str(flaw))
        return _judge(claim, data, targets)


# -- judging -------------------------------------------------------------------


def _judge(claim: Claim, X: FloatArray, y: FloatArray) -> Verification:
    primal = _primal(claim, X, y)
    plain = dual_objective(claim, claim.nu, y)
    largest, false = _feasibility(claim, X)
    doubts, stretch = scope_of(claim, X)
    largest *= stretch
    if claim.coverage == "searched":
        bound, problem = reach(X, claim.nu, claim.lam * (1 + SEARCH_SHARE * claim.tol))
        largest = max(largest, bound)
        doubts += [f"The scope is all patterns, and {problem}."] if problem else []
    shrink = min(1.0, claim.lam / largest) if largest else 1.0
    dual = min(plain, dual_objective(claim, shrink * claim.nu, y))
    trusted = ""
    if claim.coverage == "oracle":
        trusted = f"{claim.oracle[0].upper()}{claim.oracle[1:]}, which is not re-checked here."

    def statement(rel_gap: float) -> str:
        return _statement(claim, primal, dual, rel_gap)

    return concluded(claim, primal, plain, dual, false, doubts, "network", statement, trusted)


def _statement(claim: Claim, primal: float, dual: float, rel_gap: float) -> str:
    kind = "gated-ReLU" if claim.gated else "ReLU"
    whose = {
        "own": "with neurons in the patterns that it uses",
        "program": f"with neurons in the {len(claim.patterns)} patterns of its program",
        "all": "with gates off the data's hyperplanes" if claim.gated else "of any width",
    }[claim.scope]
    loss = f"{claim.loss} loss" + (f" (delta = {claim.delta:g})" if claim.loss == "huber" else "")
    constant = " and a free output constant" if claim.has_constant else ""
    weights = "" if (claim.weight == 1).all() else "weighted "
    return (
        f"With the {weights}mean {loss}, lam = {claim.lam:g}{constant}, the network's objective "
        f"{primal:.12g} is at most {max(rel_gap, 0.0):.3g} (relative) above that of every {kind} "
        f"network {whose}: none is below {dual:.12g}."
    )


def _primal(claim: Claim, X: FloatArray, y: FloatArray) -> float:
    """The network's own objective, as it is stored."""
    fits = np.full(len(X), claim.constant)
    for part in parts(len(claim.hidden), len(X)):
        linear = X @ claim.hidden[part].T
        if claim.gate_bits is None:
            active = linear > 0
        else:
            active = np.unpackbits(claim.gate_bits[part], axis=1, count=len(X)).T == 1
        fits += np.where(active, linear, 0.0) @ claim.output[part]
    squares = float((claim.hidden**2).sum() + (claim.output**2).sum())
    return mean_loss(claim, fits, y) + claim.lam / 2 * squares


def _feasibility(claim: Claim, X: FloatArray) -> tuple[float, list[str]]:
    """The largest norm of a block with its modelled error, and what makes ν infeasible."""
    n, p, nu = len(X), len(claim.patterns), claim.nu
    false: list[str] = []
    if claim.has_constant and abs(nu.sum()) > 1e-12 * np.abs(nu).sum():
        false.append("ν does not sum to zero, and the output constant is free.")
    rounding = 4 * EPS * math.sqrt(n)
    base_error = rounding * float(np.linalg.norm(np.abs(nu) @ np.abs(X)))
    norms, errors = np.zeros(p if claim.gated else 2 * p), {}
    for part in parts(p, n):
        masked = np.unpackbits(claim.patterns[part], axis=1, count=n) * nu
        norms[part] = np.linalg.norm(masked @ X, axis=1)
    if not claim.gated:
        norms[p:] = norms[:p]
    for block, (rows, values) in claim.rho.items():
        bits = np.unpackbits(claim.patterns[block % p], count=n).astype(np.float64)
        cone = (values * (2 * bits[rows] - 1)) @ X[rows]
        norms[block] = np.linalg.norm((1 if block < p else -1) * (bits * nu) @ X + cone)
        errors[block] = rounding * float(np.linalg.norm(values @ np.abs(X[rows])))
    error = np.full(len(norms), base_error)
    error[list(errors)] += list(errors.values())
    excess = norms - claim.lam * (1 + 1e-12) - error
    worst = int(np.argmax(np.where(np.isnan(excess), math.inf, excess)))
    if not excess[worst] <= 0:
        false.append(
            f"ν is infeasible: block {worst} has norm {norms[worst]:.17g}, above "
            f"lam = {claim.lam:g}."
        )
    return float((norms + error).max()), false
