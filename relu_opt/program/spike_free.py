r"""Spike-free data: a hidden layer that needs one activation pattern only, D = I.

X is spike-free if every (Xu)_+ with ‖u‖ ≤ 1 is an Xv with ‖v‖ ≤ 1. Then

    max over ‖u‖ ≤ 1 of ±νᵀ(Xu)_+  =  max over ‖v‖ ≤ 1, Xv ≥ 0 of ±νᵀXv,

so the pattern that is active everywhere speaks of all networks (Ergen & Pilanci, JMLR 2021).

The test takes polynomial time. Rows of zeros are dropped and positive multiples of a row count
once. X is spike-free iff the rows C that are left are linearly independent and all off-diagonal
entries of G = (CCᵀ)⁻¹ are at most 0. For z = Cu, the shortest v with Cv = z_+ has ‖v‖² = z_+ᵀGz_+,
and ‖u‖² ≥ zᵀGz = z_+ᵀGz_+ + z_-ᵀGz_- − 2 z_+ᵀGz_-: with G_ij ≤ 0 the last term helps, and with
one G_ij > 0 the vector z = e_i − (G_ij/G_jj) e_j has ‖v‖ > ‖u‖. If the rows are dependent,
αᵀC = 0, two of them break αᵀz_+ = 0. (Derived here, and compared with a search in the tests.)

Directions are told apart in integers, and so are the signs of G where doubles do not decide them.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike
from scipy.linalg import qr

from relu_opt.arrays import FloatArray, IntArray, as_floats, frozen
from relu_opt.program.integers import Whole, dot, eliminated, shortest
from relu_opt.program.units import exponent, scaled
from relu_opt.rounding import above, gamma

# Rows whose G is looked at in integers.
MOST_EXACT = 50
# X counts as spike-free if each (Xu)_+ with ‖u‖ ≤ 1 is an Xv with ‖v‖ ≤ 1 + this.
STRETCH_TOL = 1e-13
# Diagonal entries of a pivoted R, relative to the first, below which rows may be dependent.
RANK_TOL = 1e-10
EPS = float(np.finfo(np.float64).eps)
# Powers of two by which a separator is scaled without leaving double precision.
MOST_SHIFT = 1000


@dataclass(frozen=True, eq=False)
class SpikeFree:
    """Whether data are spike-free, and why. True as a condition only if it is shown.

    Attributes
    ----------
    verdict : {"spike_free", "not_spike_free", "undecided"}
        "undecided" if rounding hides the answer; it counts as False.
    reason : str
        One sentence.
    stretch : float
        Every (Xu)_+ with ‖u‖ ≤ 1 is an Xv with ‖v‖ at most this: 1, up to 1e-13, for spike-free
        data, inf where no bound is known.
    witness : (d,) array or None
        If not spike-free: a u with ‖u‖ ≤ 1 whose (Xu)_+ is no Xv with ‖v‖ ≤ 1.
    separator : (n,) array or None
        If not spike-free: a vector a with aᵀ(Xu)_+ > ‖Xᵀa‖ ≥ aᵀXv for every ‖v‖ ≤ 1, scaled to
        Σ |a_i|‖x_i‖ = 1, or less where X is so small that a would leave double precision.
    excess : float
        aᵀ(Xu)_+ − ‖Xᵀa‖ of the two; 0 without them.
    """

    verdict: str
    reason: str
    stretch: float
    witness: FloatArray | None = None
    separator: FloatArray | None = None
    excess: float = 0.0

    def __bool__(self) -> bool:
        return self.verdict == "spike_free"

    def __repr__(self) -> str:
        return f"SpikeFree({self.verdict}: {self.reason})"


def is_spike_free(X: ArrayLike) -> SpikeFree:
    """Whether a hidden layer on these data needs the pattern D = I only.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample; a hidden bias is a column of ones. Rows have one direction if one is
        exactly a positive multiple of the other.

    Returns
    -------
    SpikeFree
        "spike_free" is shown up to a factor 1 + 1e-13 of ‖v‖; "not_spike_free" comes with a
        witness that two products check. Data between the two are "undecided".

    Raises
    ------
    DataError
        If X is not a finite (n, d) array.

    Notes
    -----
    Rows with XXᵀ = I are spike-free, a single row is, and c aᵀ is iff all c ≥ 0 or all c ≤ 0.
    More distinct directions than features are never spike-free, so whitened *columns*
    (XᵀX = I, n > d) are not.
    """
    data = as_floats(X, "X", 2)
    # Scaled first, so that rows of tiny numbers do not underflow.
    largest = np.abs(data).max(axis=1)
    units = data / np.where(largest > 0, largest, 1.0)[:, None]
    units /= np.where(largest > 0, np.linalg.norm(units, axis=1), 1.0)[:, None]
    chosen = _distinct(data)
    C = units[chosen]
    if len(chosen) <= 1:
        return SpikeFree("spike_free", "At most one direction of rows.", 1.0)
    if len(chosen) > data.shape[1]:
        why = "The rows have more directions than features, so they are dependent."
        return _refuted(data, chosen, _dependence(C), why, np.inf)
    pseudo = np.linalg.pinv(C, rcond=EPS)
    pseudo /= np.linalg.norm(pseudo, axis=0)
    partial = pseudo.T @ pseudo
    stretch = _stretch(data[chosen])
    if stretch <= 1 + STRETCH_TOL:
        return SpikeFree(
            "spike_free",
            f"The {len(chosen)} directions of rows are independent, and no off-diagonal entry of "
            "the inverse Gram matrix is positive.",
            stretch,
        )
    i, j = np.unravel_index(int(np.argmax(partial - 2 * np.eye(len(C)))), partial.shape)
    why = (
        f"The inverse Gram matrix of the rows is positive at rows {chosen[i]} and {chosen[j]}: "
        f"{partial[i, j]:.3g} of the root of its diagonal entries."
    )
    found = _refuted(data, chosen, [_pair(C, int(i), int(j))], why, stretch)
    if found.verdict == "undecided":
        return _refuted(data, chosen, _dependence(C), "The rows are dependent.", stretch)
    return found


def _distinct(X: FloatArray) -> IntArray:
    """The first row of each direction, at most d + 1 of them; rows of zeros have none."""
    known: dict[Whole, int] = {}
    for k in np.flatnonzero(X.any(axis=1)).tolist():
        known.setdefault(shortest(X[k]), k)
        if len(known) > X.shape[1]:
            break
    return np.array(list(known.values()), dtype=np.intp)


def _stretch(rows: FloatArray) -> float:
    """A bound on ‖v‖ over the (Cu)_+ = Cv with ‖u‖ ≤ 1, for rows C of different directions.

    With N = G scaled to the diagonal 1, E its positive off-diagonal part and e = ‖E‖/λ_min(N),
    z_+ᵀGz_- ≤ e ‖z_+‖_G ‖z_-‖_G, and ‖z_+‖_G² + ‖z_-‖_G² − 2e ‖z_+‖_G ‖z_-‖_G ≤ 1 gives
    ‖z_+‖_G ≤ 1/√(1 − e²): entries that rounding made positive hardly matter.
    """
    found = _in_doubles(rows)
    if found > 1 + STRETCH_TOL and len(rows) <= MOST_EXACT:
        return _in_integers(rows)
    return found


def _in_doubles(rows: FloatArray) -> float:
    """The stretch from an approximate inverse P of the Gram matrix S, charged for SP ≠ 1.

    With R = 1 − SP, S⁻¹ − P = P R + P R² (1 − R)⁻¹; no entry of the last product is above the
    largest sum of |P| along a row times ‖R‖²/(1 − ‖R‖), with ‖R‖ the largest such sum of |R|.
    """
    k, d = rows.shape
    C = np.ldexp(rows, -np.frexp(np.abs(rows).max(axis=1))[1][:, None])
    S, size = C @ C.T, np.abs(C) @ np.abs(C).T
    try:
        P = np.linalg.inv(S)
    except np.linalg.LinAlgError:
        return np.inf
    R = np.abs(np.eye(k) - S @ P) + 2 * gamma(k + d + 4) * (size @ np.abs(P))
    rest = above(float(R.sum(axis=1).max()), k)
    if not rest < 0.5:
        return np.inf
    error = (np.abs(P) @ R + 2 * rest**2 * k * np.abs(P).max()) * (1 + gamma(2 * k))
    least = np.diagonal(P - error)
    if not least.min() > 0:
        return np.inf
    positive = np.maximum(P + error, 0.0) / np.sqrt(np.outer(least, least))
    np.fill_diagonal(positive, 0.0)
    most = np.sqrt(np.diagonal(P + error))
    return _longest(positive, most[:, None] * (np.abs(S) + gamma(d + 2) * size) * most)


def _in_integers(rows: FloatArray) -> float:
    """The stretch with signs of G that are not rounded; inf for dependent rows."""
    whole = [shortest(row) for row in rows]
    k, gram = len(whole), [[dot(a, b) for b in whole] for a in whole]
    table = [[*row, *(int(i == j) for j in range(k))] for i, row in enumerate(gram)]
    determinant = eliminated(table)
    if not determinant:
        return np.inf
    G = [row[k:] for row in table]
    positive, inverse = np.zeros((k, k)), np.zeros((k, k))
    for i, j in itertools.product(range(k), repeat=2):
        scale = G[i][i] * G[j][j]
        inverse[i, j] = math.sqrt(Fraction(gram[i][j] ** 2 * scale, determinant**2))
        if i != j and G[i][j] > 0:
            positive[i, j] = math.sqrt(Fraction(G[i][j] ** 2, scale))
    return _longest(positive, inverse)


def _longest(positive: FloatArray, inverse: FloatArray) -> float:
    """1/√(1 − e²) with e from above, of symmetric nonnegative E and |N⁻¹|; 1 for E = 0."""
    if not positive.any():
        return 1.0
    k = len(positive)
    # The largest sum of a row is above the largest eigenvalue.
    e = above(float(positive.sum(axis=1).max() * inverse.sum(axis=1).max()), 4 * k + 16)
    return float(1 / math.sqrt(1 - e**2)) * (1 + gamma(8)) if e < 0.99 else math.inf


def _pair(C: FloatArray, i: int, j: int) -> tuple[FloatArray, FloatArray]:
    """The u and the a of a positive entry G_ij."""
    inverse = np.linalg.pinv(C, rcond=EPS)
    z = np.zeros(len(C))
    z[i], z[j] = 1.0, -(inverse[:, i] @ inverse[:, j]) / (inverse[:, j] @ inverse[:, j])
    return inverse @ z, inverse.T @ inverse[:, i]


def _dependence(C: FloatArray) -> list[tuple[FloatArray, FloatArray]]:
    """Candidates for u and a from linear dependences αᵀC = 0.

    With c_k = Σ γ_i c_i over independent rows, z = e_i has z_k = γ_i: if that is negative, or if
    z_j = −γ_i/γ_j with γ_j > 0 makes z_k = 0 instead, αᵀz_+ = γ_i.
    """
    _, R, order = qr(C.T, mode="economic", pivoting=True)
    sizes = np.abs(np.diagonal(R))
    rank = int((sizes > RANK_TOL * sizes[0]).sum())
    basis = order[:rank]
    inverse = np.linalg.pinv(C[basis])
    found = []
    for k in order[rank:]:
        shares = C[k] @ inverse
        by_size = np.argsort(shares)
        low, first = by_size[0], by_size[-1]
        second = by_size[-2] if rank > 1 else low
        z, weights = np.zeros(rank), np.zeros(len(C))
        weights[basis], weights[k] = shares, -1.0
        if shares[low] < 0 and -shares[low] >= shares[second]:
            z[low], weights = 1.0, -weights
        elif shares[second] > 0:
            z[second], z[first] = 1.0, -shares[second] / shares[first]
        else:
            continue
        found.append((inverse @ z, weights))
    return found


def _refuted(
    X: FloatArray,
    chosen: IntArray,
    candidates: list[tuple[FloatArray, FloatArray]],
    why: str,
    stretch: float,
) -> SpikeFree:
    """The verdict with the best candidate, if it is a witness on the data themselves."""
    best = SpikeFree(
        "undecided",
        "The rows are so nearly dependent, or the inverse Gram matrix so nearly without a positive "
        "entry, that rounding hides the answer. Round X to fewer digits, or treat it as not "
        "spike-free.",
        stretch,
    )
    power = exponent(X)
    near, most = scaled(X, -power), 0.0
    largest = np.abs(near).max(axis=1)
    norms = largest * np.linalg.norm(near / np.where(largest > 0, largest, 1.0)[:, None], axis=1)
    # As near as doubles allow to what is right for X itself.
    shift = max(-MOST_SHIFT, min(MOST_SHIFT, -power))
    for u, weights in candidates:
        witness = u / np.linalg.norm(u)
        witness /= 1 + 4 * EPS
        a = np.zeros(len(near))
        # Beside others a row may be so small that no separator is a double.
        with np.errstate(over="ignore", invalid="ignore"):
            a[chosen] = weights / norms[chosen]
            a /= np.abs(a) @ norms
            excess = float(a @ np.maximum(near @ witness, 0.0) - np.linalg.norm(a @ near))
        if excess > max(most, 64 * EPS * np.sqrt(sum(X.shape))):
            most = excess
            best = SpikeFree(
                "not_spike_free",
                why,
                stretch,
                frozen(witness),
                frozen(scaled(a, shift)),
                float(np.ldexp(excess, shift + power)),
            )
    return best
