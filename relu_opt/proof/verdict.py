"""How far two bounds are apart, and what may be said of it: one judge for every certificate."""

from __future__ import annotations

import enum
import math

from relu_opt.program.losses import LOSSES, Loss

# How far, relative to it, a lower bound may lie above the objective of a network that leaves its
# cones by rounding.
CROSSING = 1e-9


class Verdict(enum.StrEnum):
    """What a certificate says."""

    CERTIFIED = "certified"
    NOT_CERTIFIED = "not_certified"
    INCONCLUSIVE = "inconclusive"


def relative_gap(upper: float, lower: float) -> float:
    """The least R with upper ≤ (1 + R)·lower, rounded up: (upper − lower)/lower.

    It has no unit. 0 if both are zero, inf if `lower` is not positive and `upper` is above it,
    negative if the bounds cross, nan if one is.
    """
    if upper == lower:
        return 0.0
    if lower <= 0:
        return math.copysign(math.inf, upper - lower)
    ratio = (upper - lower) / lower
    # Two roundings, of the difference and the quotient.
    return math.nextafter(ratio * (1 + 2.0**-52), math.inf) if ratio > 0 else ratio


def judge(
    upper: float, lower: float, tol: float, whom: str, loss: Loss | None = None
) -> tuple[Verdict, str]:
    """The verdict on two bounds, and why, in one sentence.

    Parameters
    ----------
    upper, lower : float
        An objective that an answer has, and one that nothing of `whom` is below.
    tol : float
        The relative gap to certify, in (0, 1).
    whom : str
        What the lower bound speaks of, such as "ReLU network of any width".
    loss : Loss, optional
        What the bounds are of, where they prove something only if its rounding is bounded.
    """
    if loss is not None and not loss.proves:
        return Verdict.INCONCLUSIVE, (
            f"The loss {loss.name!r} is not one of {', '.join(LOSSES)}, so that the rounding "
            "of its values is not bounded and nothing is proved."
        )
    gap = relative_gap(upper, lower)
    if not (math.isfinite(upper) and math.isfinite(lower)):
        return Verdict.NOT_CERTIFIED, "A bound is not finite."
    if gap < -CROSSING:
        return Verdict.INCONCLUSIVE, (
            f"The lower bound {lower:.17g} lies above the objective {upper:.17g} of a network that "
            "it speaks of."
        )
    if not gap <= tol:
        return Verdict.NOT_CERTIFIED, (
            f"The relative gap {gap:.2e} to every {whom} is above the tolerance {tol:.0e}."
        )
    return Verdict.CERTIFIED, (
        f"The objective is at most {max(gap, 0.0):.1e} (relative) above that of every {whom}."
    )
