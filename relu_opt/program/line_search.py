"""How far to go along a step: up to where a slope crosses zero, or by halves until it is good."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from scipy.optimize import brentq

Found = TypeVar("Found")


def crossing(rising: Callable[[float], float]) -> float:
    """The t in [0, 1] up to which a function is not positive, if it does not fall back.

    Of the slope of a convex function along a step: where that function is least.
    """
    if rising(1.0) <= 0:
        return 1.0
    if not rising(0.0) < 0:
        return 0.0
    return float(brentq(rising, 0.0, 1.0, xtol=1e-12, rtol=1e-10, maxiter=200))


def by_halves(attempt: Callable[[float], Found | None], most: int) -> Found | None:
    """What the first good attempt gives, with 1, ½, ¼, … of a step; None if `most` are no good."""
    for k in range(most):
        found = attempt(0.5**k)
        if found is not None:
            return found
    return None
