r"""The re-check of a certificate for several outputs, from its contents and the data alone.

The network's objective (1/2n)‖f − Y‖² + (λ/2) Σ_j (‖u_j‖² + ‖w_j‖²) is an upper bound, and
⟨V, Y⟩ − (n/2)‖V‖² is a lower bound for every network if |h(u)| ≤ λ for all ‖u‖ ≤ 1, with
h(u) = Σ_i max(0, x_iᵀu) ω_i: x_i the rows that a neuron sees, ω_i the rows of V (each patch has its
own block of entries; pooled patches share it and are averaged). As in `relu_opt.verify`, nothing
of the trainer is imported. |h| is bounded by `verify.vector_search` or `verify.lifted`.

Arithmetic. Doubles, with a bound on every rounding: the objective from above, the bound from below.
Data, targets and λ are taken in units of powers of two in which they are of size one. If a
bound b on |h| exceeds λ, tV with t = λ/b takes the place of V. Where the output constants are free,
each column of V has to sum to zero: what is left of its exact sum, δ, is taken out of one row j,
which adds at most ‖x_j‖‖δ‖ to |h|.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from relu_opt.verify.claim import (
    VERDICTS,
    check_fingerprint,
    read_choice,
    read_entry,
    read_number,
)
from relu_opt.verify.faults import Flaw
from relu_opt.verify.lifted import lifted
from relu_opt.verify.outcome import (
    ARITHMETIC,
    Terms,
    Verification,
    above_others,
    concluded,
    in_units,
    undecided,
)
from relu_opt.verify.rounding import UNDERFLOW, UNIT, above, exact_dot, gamma, remainders, total
from relu_opt.verify.units import TOO_WIDE, exponent, in_range, scaled
from relu_opt.verify.vector_search import reach_vector

FloatArray = NDArray[np.float64]

PROOFS = ("searched", "relaxed", "lifted")


@dataclass(frozen=True)
class SeveralClaim:
    """What a certificate for several outputs says, and the numbers that it rests on.

    `seen`, (K, n, h), is what a neuron sees of the data; `pooled` says that its values are averaged
    over the K; `output` is (m, K, c), or (m, 1, c).
    """

    seen: FloatArray
    pooled: bool
    Y: FloatArray
    hidden: FloatArray
    output: FloatArray
    constants: FloatArray
    V: FloatArray
    lam: float
    free: bool
    tol: float
    proof: str
    verdict: str
    numbers: Mapping[str, float]

    @property
    def terms(self) -> Terms:
        """What the certificate speaks of."""
        return Terms("all", self.lam, "squared", False, self.proof, self.tol)

    def near_one(self) -> tuple[SeveralClaim, int]:
        """The same where data and targets are of size one, and objectives are in units of 2^unit.

        With X = 2^x X′ and Y = 2^y Y′, y − x even, both layers are 2^((y−x)/2) times those of
        X′, Y′ and λ′ = λ/2^(x+y), V is 2^y times V′, and objectives are 4^y times theirs.
        """
        x, y = exponent(self.seen), exponent(self.Y)
        y += (y - x) % 2
        half = (y - x) // 2
        changed = replace(
            self,
            seen=scaled(self.seen, -x),
            Y=scaled(self.Y, -y),
            hidden=scaled(self.hidden, -half),
            output=scaled(self.output, -half),
            constants=scaled(self.constants, -y),
            V=scaled(self.V, -y),
            lam=float(scaled(np.array(self.lam), -x - y)),
        )
        return changed, 2 * y


def check_several(given: SeveralClaim) -> Verification:
    """What is proved of a network with several outputs."""
    claim, unit = given.near_one()
    layers = (claim.hidden, claim.output, claim.constants)
    if not (in_range(*layers, claim.V, np.array(claim.lam)) and claim.lam):
        return undecided(given.terms, TOO_WIDE)
    # What is taken out of V's row `j`, the least one, so that columns sum to zero.
    rests = [remainders(column) if claim.free else [] for column in claim.V.T]
    sizes = np.linalg.norm(claim.seen, axis=2).sum(axis=0)
    j = int(np.argmin(sizes))
    moved = above(math.hypot(*(math.fsum(map(abs, rest)) for rest in rests)), len(rests) + 4)
    bound, problem = _largest(claim)
    bound = above(bound + moved * above(float(sizes[j]), claim.seen.shape[2] + len(claim.seen)), 2)
    # Where nothing is known of |h|, the claims are still compared with D(V).
    t = 1.0 if problem or bound <= claim.lam else claim.lam / bound * (1 - 4 * UNIT)
    primal, dual = _primal(claim), max(0.0, _dual(claim, rests, j, t))

    def statement(rel_gap: float) -> str:
        upper, lower = in_units(primal, unit, math.inf), in_units(dual, unit, -math.inf)
        return several_statement(given, upper, lower, rel_gap, "float")

    doubts = [problem] if problem else []
    found = concluded(given, primal, dual, [], doubts, "network", statement, unit=unit)
    return replace(found, lower_bound=0.0, rel_gap=math.inf) if problem else found


def several_statement(
    claim: SeveralClaim, primal: float, dual: float, rel_gap: float, arithmetic: str
) -> str:
    """What is proved of a network with several outputs, in plain words."""
    others = above_others(primal, rel_gap, "ReLU network of any width", dual)
    return (
        f"With the mean squared loss over {claim.Y.shape[1]} outputs, lam = {claim.lam:g}, the "
        f"network's objective {others}. Proved {ARITHMETIC[arithmetic]}."
    )


# -- reading -------------------------------------------------------------------


def read_several(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], X: FloatArray, Y: FloatArray
) -> SeveralClaim:
    """The claim of a certificate for several outputs; a `Flaw` if it is malformed."""
    seen, pooled = _seen(arrays, meta, X)
    (K, _, h), c = seen.shape, Y.shape[1]
    hidden = read_entry(arrays, "hidden", np.float64, (None, h))
    m, by_patch = len(hidden), "patches" in arrays and not pooled
    output = read_entry(arrays, "output", np.float64, (m, K, c) if by_patch else (m, c))
    constants = read_entry(arrays, "intercept", np.float64, (c,))
    check_fingerprint(meta, X, Y)
    free = meta.get("with_intercept")
    if not isinstance(free, bool) or (constants.any() and not free):
        raise Flaw("The network has output constants, and the certificate says that it has none.")
    return SeveralClaim(
        seen=seen,
        pooled=pooled,
        Y=Y,
        hidden=hidden,
        output=output if by_patch else output[:, None],
        constants=constants,
        V=read_entry(arrays, "V", np.float64, Y.shape),
        lam=read_number(meta, "lam", lambda value: 0 < value < math.inf),
        free=free,
        tol=read_number(meta, "tol", lambda value: 0 < value < 1),
        proof=read_choice(meta, "proof", PROOFS),
        verdict=read_choice(meta, "verdict", VERDICTS),
        numbers={name: read_number(meta, name) for name in ("primal", "dual", "rel_gap")},
    )


def _seen(
    arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], X: FloatArray
) -> tuple[FloatArray, bool]:
    """What a neuron sees of the data, (K, n, h), and whether it is averaged over the K."""
    pooled = meta.get("pooled")
    patches = arrays.get("patches")
    if not isinstance(pooled, bool) or (pooled and patches is None):
        raise Flaw(f"pooled is {pooled!r:.60}, which is not what it can be.")
    if patches is None:
        return X[None], False
    if patches.dtype.kind != "i" or patches.ndim != 2 or not patches.size:
        raise Flaw("The entry 'patches' is no table of column numbers.")
    if patches.min() < 0 or patches.max() >= X.shape[1]:
        raise Flaw("The entry 'patches' names columns that there are not.")
    return np.stack([X[:, patch] for patch in patches]), pooled


# -- the bounds ----------------------------------------------------------------


def _primal(claim: SeveralClaim) -> float:
    """The network's objective, from above."""
    (K, n, h), m = claim.seen.shape, len(claim.hidden)
    fits, sizes = np.zeros_like(claim.Y), np.zeros_like(claim.Y)
    for k, rows in enumerate(claim.seen):
        weights = claim.output[:, 0] / K if claim.pooled else claim.output[:, k]
        fits += np.maximum(rows @ claim.hidden.T, 0.0) @ weights
        sizes += np.abs(rows) @ (np.abs(claim.hidden).T @ np.abs(weights))
    off = gamma(h + m + K + 2) * above(1.0, h + m + K) * sizes
    # An offset of the targets costs one rounding: c − Y comes first.
    shift = claim.constants - claim.Y
    off = (np.abs(fits + shift) + off + UNIT * np.abs(shift)) * (1 + 4 * UNIT)
    loss = total(off * off) / (2 * n)
    layers = [np.ravel(each * each).tolist() for each in (claim.hidden, claim.output)]
    penalty = claim.lam / 2 * total(layers[0] + layers[1])
    primal = above(loss + penalty, 8)
    nothing = not (m or claim.Y.any() or claim.constants.any())
    return primal if nothing else primal + UNDERFLOW


def _dual(claim: SeveralClaim, rests: list[list[float]], j: int, t: float) -> float:
    """t⟨V, Y⟩ − t²(n/2)‖V‖² from below, for V without the remainders in its row j."""
    y, v = claim.Y[j].tolist(), claim.V[j].tolist()
    taken = [(-rest, y[k]) for k, part in enumerate(rests) for rest in part]
    linear = exact_dot((claim.V, claim.Y), *((np.array(a), np.array(b)) for a, b in taken))
    rows = np.abs(np.delete(claim.V, j, axis=0)).ravel().tolist()
    rows += [abs(a) + math.fsum(map(abs, part)) for a, part in zip(v, rests, strict=True)]
    square = len(claim.Y) / 2 * above(total([value * value for value in rows]), 8)
    value = t * linear - t * t * square
    if not claim.V.any():
        return 0.0
    return value - 8 * UNIT * (t * abs(linear) + t * t * square) - UNDERFLOW


def _largest(claim: SeveralClaim) -> tuple[float, str]:
    """What |h| does not exceed on the unit ball, and why that may not be known."""
    K, n, _ = claim.seen.shape
    rows = claim.seen.reshape(K * n, -1)
    if claim.pooled:
        omega = np.concatenate([claim.V / K] * K)
    else:
        omega = np.concatenate([np.kron(np.eye(K)[k], claim.V) for k in range(K)])
    # Dividing by K rounds once, relative to each entry.
    sizes = np.linalg.norm(rows, axis=1) @ np.linalg.norm(omega, axis=1)
    divided = 2 * UNIT * above(float(sizes), len(rows) + 8) if claim.pooled else 0.0
    if claim.proof == "lifted":
        bound = lifted(rows, omega, claim.lam)
        problem = "" if bound < math.inf else "No lifted bound is shown."
    else:
        # Whoever proved it, it is a statement about V alone.
        bound, problem = reach_vector(rows, omega, claim.lam)
    return bound + divided, problem
