"""What a re-check in exact arithmetic found: the verdict is of rationals, the report in doubles."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from relu_opt.verify.outcome import CLAIM_TOL, CROSSING, Claimed, Verification, nothing


@dataclass(frozen=True)
class ExactBounds:
    """What is proved of an answer and of all those that its certificate speaks of.

    Attributes
    ----------
    primal : Fraction
        The answer's objective; for the logistic loss a bound from above, to 38 digits or more.
    dual : Fraction
        Nothing that the certificate speaks of has a lower objective; 0 at the least.
    doubts : tuple of str
        Why the lower bound may not speak of all that it should.
    """

    primal: Fraction
    dual: Fraction
    doubts: tuple[str, ...] = ()


def concluded_exactly(
    claim: Claimed,
    bounds: ExactBounds,
    thing: str,
    statement: Callable[[float, float, float], str],
) -> Verification:
    """The verdict on exact bounds, and where the file's own numbers differ from them.

    Parameters
    ----------
    claim : Claimed
    bounds : ExactBounds
    thing : str
        What is certified, such as "network".
    statement : callable
        Says what is proved, for the bounds and the relative gap in doubles.
    """
    primal, dual, tol = bounds.primal, bounds.dual, claim.terms.tol
    upper, lower, rel_gap = above(primal), below(dual), _relative_gap(primal, dual)
    doubts, false, gaps = list(bounds.doubts), list[str](), list[str]()
    if rel_gap < -CROSSING:
        doubts.append(f"The bound lies above the objective of a {thing} that it speaks of.")
    if primal > (1 + Fraction(tol)) * dual:
        gaps.append(f"The gap {rel_gap:.3g} is above {tol:g}, tol.")
        if claim.verdict == "certified" and not doubts:
            false.append("The certificate says 'certified', and the verdict is 'not_certified'.")
    if false:
        verdict, said = "invalid", nothing(false[0])
    elif doubts:
        verdict, said = "inconclusive", nothing(doubts[0])
    else:
        verdict = "not_certified" if gaps else "certified"
        said = statement(upper, lower, rel_gap) + _others(claim, upper, lower, rel_gap)
    problems = (*false, *doubts, *gaps)
    terms = vars(claim.terms)
    return Verification(
        verdict,
        upper,
        lower,
        rel_gap,
        problems,
        said,
        **terms,
        arithmetic="exact",
        gap=primal - dual,
    )


def _others(claim: Claimed, upper: float, lower: float, rel_gap: float) -> str:
    """A sentence on the file's own numbers where they are others; the proof does not use them."""
    found = {"primal": upper, "dual": lower, "rel_gap": rel_gap}
    off = [
        f"{name} = {claim.numbers[name]:.17g}"
        for name, value in found.items()
        if abs(claim.numbers[name] - value) > CLAIM_TOL * (1.0 if name == "rel_gap" else upper)
    ]
    return f" The file says otherwise: {', '.join(off)}." if off else ""


def _relative_gap(primal: Fraction, dual: Fraction) -> float:
    """The least R with primal ≤ (1 + R)·dual, rounded up; inf if `dual` is zero."""
    if primal == dual:
        return 0.0
    return above((primal - dual) / dual) if dual else math.inf


def above(value: Fraction) -> float:
    """The least double that is not below a rational."""
    return -below(-value)


def below(value: Fraction) -> float:
    """The largest double that is not above a rational."""
    try:
        near = float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf
    if math.isinf(near):
        return near if near < 0 else math.nextafter(near, 0.0)
    return near if Fraction(near) <= value else math.nextafter(near, -math.inf)
