r"""The proof of a certificate in exact integer arithmetic.

The same bounds as in `relu_opt.verify.two_layer`, of the very doubles that the file and the data
hold, with nothing rounded but what follows, and that to the safe side:

* the quotients by sample weights in D(ν), at 160 binary digits;
* the factor t by which ν is shrunk until ‖s XᵀD_iν + (S_iX)ᵀρ_b‖ ≤ λ for every block, rounded down;
* logarithms and exponentials of the logistic loss, which are enclosed (`exact_logs`).

A free output constant needs Σν = 0: the remainder is taken out of the largest entry of ν first.
"""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np

from relu_opt.verify.claim import Claim, FloatArray
from relu_opt.verify.exact_integers import (
    Integers,
    Packing,
    balanced,
    digits,
    integers,
    largest,
    mask,
    masks,
    products,
    root_above,
    root_below,
)
from relu_opt.verify.exact_logs import ENCLOSED
from relu_opt.verify.exact_outcome import ExactBounds, concluded_exactly
from relu_opt.verify.exact_search import reach
from relu_opt.verify.exact_spikes import directions, stretch
from relu_opt.verify.losses.exact_mean import Term
from relu_opt.verify.outcome import Verification
from relu_opt.verify.scope import scope_of
from relu_opt.verify.two_layer import network_statement


def check_exactly(claim: Claim, X: FloatArray, y: FloatArray) -> Verification:
    """What is proved in integers of a network with one output."""
    bounds = exact_bounds(claim, X, y)

    def statement(primal: float, dual: float, rel_gap: float) -> str:
        said = network_statement(claim, primal, dual, rel_gap, "exact")
        return said + (ENCLOSED if claim.loss.enclosed else "")

    return concluded_exactly(claim, bounds, "network", statement)


def exact_bounds(claim: Claim, X: FloatArray, y: FloatArray) -> ExactBounds:
    """The objective of the claim's network, and D at its ν shrunk until it is feasible.

    Parameters
    ----------
    claim : Claim
    X : (n, d) array
    y : (n,) array
        As the claim was read for.
    """
    term = Term(claim.loss, integers(y), integers(claim.weight))
    lam, x, nu = Fraction(claim.lam), integers(X), integers(claim.nu)
    if claim.has_constant:
        nu = balanced(nu)
    primal = term.mean(_fits(claim, x, len(y))) + lam / 2 * _penalty(claim)
    problem, doubts = "", []
    if claim.coverage == "searched":
        # Of all directions, and so of those in the patterns that are listed.
        bound, problem = reach(x, nu, lam)
        square = bound**2
    else:
        square = _longest(claim, x, nu)
    if claim.coverage == "spike_free":
        square, problem = _stretched(claim, x, nu, square)
    elif claim.coverage != "searched":
        doubts = scope_of(claim, X)[0]
    if claim.coverage == "oracle":
        doubts.append(f"{claim.oracle[0].upper()}{claim.oracle[1:]}, which is not re-checked here.")
    t = term.shrink(nu)
    if problem:
        doubts.append(f"The scope is all patterns, and {problem}.")
        t = Fraction(0)
    elif square * t**2 > lam**2:
        t = root_below(lam**2 / square)
    return ExactBounds(primal, max(Fraction(0), term.dual(nu, t)), tuple(doubts))


def _stretched(claim: Claim, x: Integers, nu: Integers, square: Fraction) -> tuple[Fraction, str]:
    """The square of a bound for all patterns from that of the listed one, and why it may not do.

    Rows that are multiples of others but for R_k are taken for multiples: that changes a block by
    Σ(|ν_k| + ρ_k)‖R_k‖ at most, and |νᵀ(Xu)₊| by as much again.
    """
    n = len(nu.values)
    rows = x.rows(len(x.values) // n)
    everywhere = mask(map(any, rows))
    if all(listed & everywhere != everywhere for listed in masks(claim.patterns, n)):
        return square, "the pattern that is active everywhere is not listed"
    independent, missed = directions(rows)
    longer, problem = stretch(independent)
    pulls = [Fraction(abs(value), 1 << nu.shift) for value in nu.values]
    for samples, values in claim.rho.values():
        for k, value in zip(samples.tolist(), values.tolist(), strict=True):
            pulls[k] += Fraction(value)
    change = sum((p * miss for p, miss in zip(pulls, missed, strict=True)), Fraction(0))
    if not change:
        return square * longer, problem
    change /= 1 << x.shift
    return ((root_above(square) + change) * root_above(longer) + change) ** 2, problem


def _penalty(claim: Claim) -> Fraction:
    weights = integers(claim.hidden, claim.output)
    return Fraction(sum(v * v for v in weights.values), 1 << 2 * weights.shift)


def _fits(claim: Claim, x: Integers, n: int) -> Integers:
    """What the network says, row by row."""
    d = len(x.values) // n
    hidden, output, constant = (
        integers(each) for each in (claim.hidden, claim.output, [claim.constant])
    )
    rows = x.rows(d)
    inner = x.shift + hidden.shift
    off = integers([claim.slope])
    shift = max(inner + output.shift + off.shift, constant.shift)
    start, power = constant.scaled(shift)[0], shift - inner - output.shift - off.shift
    # How often a row counts where a neuron is on, and where it is off.
    whole, part = 1 << off.shift, off.values[0]
    heights = products(rows, hidden.rows(d))
    if claim.gate_bits is None:
        fits = [
            sum(a * h * (whole if h > 0 else part) for a, h in zip(output.values, row, strict=True))
            for row in heights
        ]
    else:
        # The signs of gates were taken without rounding.
        bits = np.unpackbits(claim.gate_bits, axis=1, count=n).T.tolist()
        fits = [
            sum(a * h for a, h, on in zip(output.values, row, active, strict=True) if on)
            for row, active in zip(heights, bits, strict=True)
        ]
    return Integers([start + (fit << power) for fit in fits], shift)


def _longest(claim: Claim, x: Integers, nu: Integers) -> Fraction:
    """The largest ‖s XᵀD_iν + (S_iX)ᵀρ_b‖² over all blocks."""
    n, p = len(nu.values), len(claim.patterns)
    rows = x.rows(len(x.values) // n)
    blocks = list(claim.rho.items())
    rho = integers(*(values for _, (_, values) in blocks))
    shift = max(nu.shift, rho.shift)
    v, r = nu.scaled(shift), iter(rho.scaled(shift))
    multipliers = {
        block: (samples.tolist(), list(itertools.islice(r, len(samples))))
        for block, (samples, _) in blocks
    }
    # At least 1, as the rows themselves are packed.
    most = 1 + sum(map(abs, v)) + max((sum(r) for _, r in multipliers.values()), default=0)
    off = integers([claim.slope])
    one, part = 1 << off.shift, off.values[0]
    packing = Packing(len(rows[0]), most * largest(rows) * max(one, abs(part)))
    packed = [packing.pack(row) for row in rows]
    pulls = [value * row for value, row in zip(v, packed, strict=True)]
    everywhere = part * sum(pulls)
    longest = 0
    for i, pattern in enumerate(masks(claim.patterns, n)):
        active = digits(pattern, n)
        whole = (one - part) * sum(itertools.compress(pulls, active)) + everywhere
        vectors = [] if i in multipliers and i + p in multipliers else [whole]
        for block, side in ((i, 1), (i + p, -1)):
            if block in multipliers:
                pairs = zip(*multipliers[block], strict=True)
                cone = sum((value if active[k] else -value) * packed[k] for k, value in pairs)
                vectors.append(side * whole + one * cone)
        for vector in vectors:
            longest = max(longest, sum(entry * entry for entry in packing.unpack(vector)))
    return Fraction(longest, 1 << 2 * (shift + x.shift + off.shift))
