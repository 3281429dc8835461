r"""The proof of a spline's certificate in exact integer arithmetic.

The same bounds as in `relu_opt.verify.one_input`. The output constant is free, so the remainder of
Σν is taken out of its largest entry; then |νᵀ(x − t)₊| and |νᵀ(t − x)₊| are piecewise linear in t
and zero beyond the data, and running sums over the sorted data give the largest.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from relu_opt.verify.claim import FloatArray
from relu_opt.verify.exact_integers import DIGITS, Integers, balanced, below, integers
from relu_opt.verify.exact_logs import ENCLOSED
from relu_opt.verify.exact_outcome import ExactBounds, above, concluded_exactly
from relu_opt.verify.losses.exact_mean import Term
from relu_opt.verify.one_input import FIT_TOL, SplineClaim, spline_statement
from relu_opt.verify.outcome import Verification
from relu_opt.verify.spline_sums import fits_and_targets


def check_spline_exactly(claim: SplineClaim, x: FloatArray, y: FloatArray) -> Verification:
    """What is proved in integers of a spline."""
    fits, targets, shift = fits_and_targets(
        x, y, claim.kinks, claim.sides, claim.weights, claim.constant
    )
    sizes, lam = integers(claim.weights), Fraction(claim.lam)
    cost = Fraction(sum(map(abs, sizes.values)), 1 << sizes.shift)
    away, doubts = Fraction(0), list[str]()
    nu = balanced(integers(claim.nu))
    largest, t = _largest(x, nu), Fraction(1)
    if claim.loss is not None:
        term = Term(claim.loss, Integers(targets, shift), integers(claim.weight))
        primal = term.mean(Integers(fits, shift)) + lam * cost
        t = term.shrink(nu)
    elif claim.demand == "interpolation":
        misses = [target - fit for fit, target in zip(fits, targets, strict=True)]
        away = Fraction(max(map(abs, misses)), max(map(abs, targets)) or 1)
        mended = _mending(x, misses, shift)
        primal = cost + (mended or 0)
        doubts += [] if mended is not None else ["Two targets at one x differ."]
    else:
        one = 1 << shift
        least = min(fit if target > 0 else -fit for fit, target in zip(fits, targets, strict=True))
        away = max(Fraction(0), Fraction(one - least, one))
        primal = cost / (1 - away) if away < 1 else cost
        if any(v * target < 0 for v, target in zip(nu.values, targets, strict=True)):
            t = Fraction(0)
    if away > FIT_TOL:
        size = f"{float(away):.3g}" if away < 2**1000 else "more than 1e301"
        doubts.append(f"The fit is missed by {size}.")
    if largest * t > lam:
        t = below(lam / largest)
    if claim.loss is not None:
        dual = term.dual(nu, t)
    else:
        products = sum(v * target for v, target in zip(nu.values, targets, strict=True))
        dual = t * Fraction(products, 1 << nu.shift + shift)
    bounds = ExactBounds(primal, max(Fraction(0), dual), tuple(doubts))

    def statement(primal: float, dual: float, rel_gap: float) -> str:
        said = spline_statement(claim, above(away), primal, dual, rel_gap, "exact")
        return said + (ENCLOSED if claim.loss and claim.loss.enclosed else "")

    return concluded_exactly(claim, bounds, "spline", statement)


def _largest(x: FloatArray, nu: Integers) -> Fraction:
    """The largest |νᵀ(x − t)₊| and |νᵀ(t − x)₊| over t, for ν of sum zero."""
    places = integers(x)
    part = moment = most = 0
    sums = []
    for place, value in sorted(zip(places.values, nu.values, strict=True)):
        part += value
        moment += value * place
        sums.append(part * place - moment)
    # From the right it is what the left has here, less what it has at the end.
    most = max(max(abs(each), abs(each - sums[-1])) for each in sums)
    return Fraction(most, 1 << places.shift + nu.shift)


def _mending(x: FloatArray, misses: list[int], shift: int) -> Fraction | None:
    """What a spline through the misses costs at most; None if two at one x differ.

    With the slopes s between neighbours it costs max(V, (V + |s_first + s_last|)/2), V the sum of
    |s_{k+1} − s_k|; slopes are rounded down, at a digit far behind the last.
    """
    places = integers(x)
    points = sorted(set(zip(places.values, misses, strict=True)))
    if any(one[0] == two[0] for one, two in pairwise(points)):
        return None
    fine = DIGITS + max(place.bit_length() for place, _ in points)
    slopes = [
        (two[1] - one[1] << places.shift + fine) // (two[0] - one[0])
        for one, two in pairwise(points)
    ]
    if not any(slopes):
        return Fraction(0)
    variation = sum(abs(two - one) + 1 for one, two in pairwise(slopes))
    ends = abs(slopes[0] + slopes[-1]) + 2
    return Fraction(max(2 * variation, variation + ends), 2 << shift + fine)
