r"""The problem of one variable that deep networks come down to.

    φ(t) = min_{a ≥ 0} ½(Na − t)² + (βL/2) a^{2/L}

is a chain of L neurons of gain a that has to give the target t: N is the length of its input, and
L layers of a^{1/L} each cost (β/2) L a^{2/L}. It is soft thresholding for L = 2. For L > 2 the
penalty is concave: the minimiser is 0 up to a threshold and *jumps* there.

With a = (t/N) x it has one parameter, κ = β (t/N)^{2/L}/t²:

    ½(x − 1)² + κ(L/2) x^{2/L},      h(x) = x − 1 + κ x^{2/L−1} = 0 at a stationary point.

h is convex and falls, then rises; its larger root, the local minimum, is reached by Newton's
method from x = 1, which steps down to it and never past it. It beats x = 0 if and only if
x > (L − 2)/(L − 1), and that is where t passes the threshold.
"""

from __future__ import annotations

import math

# Newton's method on a convex function: it doubles the digits.
MAX_STEPS = 100


def threshold(slope: float, strength: float, depth: int) -> float:
    """The largest target t whose minimiser is 0; there, for L > 2, another one is as good.

    Parameters
    ----------
    slope : float
        N > 0.
    strength : float
        β > 0, on the scale of the *sum* of losses: n λ.
    depth : int
        L ≥ 2.
    """
    if depth == 2:
        return strength / slope
    return slope * jump(slope, strength, depth) * (depth - 1) / (depth - 2)


def jump(slope: float, strength: float, depth: int) -> float:
    """The gain just above the threshold: 0 for L = 2, positive for L > 2."""
    # ½(Na)² = (βL/2)(1 − 2/L) a^{2/L}, from value and slope at the tie.
    return float((strength * (depth - 2) / slope**2) ** (depth / (2 * depth - 2)))


def gain(target: float, slope: float, strength: float, depth: int) -> float:
    """The minimiser a ≥ 0; 0 at a tie.

    Parameters
    ----------
    target : float
        t ≥ 0.
    slope, strength, depth
        As in `threshold`.
    """
    if target <= threshold(slope, strength, depth):
        return 0.0
    return stationary(target, slope, strength, depth)


def kernel(target: float, slope: float, strength: float, depth: int) -> float:
    """φ(t): the least value, at `gain`; ½t² where that is 0."""
    a = gain(target, slope, strength, depth)
    return 0.5 * (slope * a - target) ** 2 + power_penalty(a, strength, depth)


def power_penalty(a: float, strength: float, depth: int) -> float:
    """(βL/2) a^{2/L}."""
    return float(0.5 * strength * depth * a ** (2 / depth))


def stationary(target: float, slope: float, strength: float, depth: int) -> float:
    """The local minimum a > 0, whether or not it beats 0; NaN if there is none."""
    if target <= 0:
        return math.nan
    power = 2 / depth
    kappa = strength * (target / slope) ** power / target**2
    if depth == 2:
        return (1 - kappa) * target / slope if kappa < 1 else math.nan
    # h is least at x, where κ(1 − q) x^{q−2} = 1; it has roots if it is not positive there.
    lowest = (kappa * (1 - power)) ** (1 / (2 - power))
    if lowest >= 1 or lowest - 1 + kappa * lowest ** (power - 1) > 0:
        return math.nan
    x = 1.0
    for _ in range(MAX_STEPS):
        value = x - 1 + kappa * x ** (power - 1)
        rise = 1 - kappa * (1 - power) * x ** (power - 2)
        if value <= 0 or rise <= 0:
            break
        after = max(x - value / rise, lowest)
        if after >= x:
            break
        x = after
    return x * target / slope
