"""Sides and bounds that are far beyond all others, and spoil the scaling of interior points.

A program without them has the same optimum as soon as that keeps them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.program.linear import LinearProgram, QuadraticProgram

# What is far, beside typical sides of at most this size.
FAR = 1e6

P = TypeVar("P", bound=LinearProgram | QuadraticProgram)
NAMES = ("row_lower", "row_upper", "lower", "upper")


def without_far_bounds(program: P) -> P | None:
    """The program without far sides and bounds, or None if it has none."""
    sizes = np.abs(np.concatenate([getattr(program, name) for name in NAMES]))
    sizes = sizes[np.isfinite(sizes) & (sizes > 0)]
    near = sizes[sizes < FAR]
    limit = FAR * max(1.0, float(np.median(near)) if len(near) else 1.0)
    if not (sizes >= limit).any():
        return None
    equal = np.asarray(program.row_lower == program.row_upper)
    fixed = np.asarray(program.lower == program.upper)
    return replace(
        program,
        row_lower=_near(program.row_lower, limit, equal),
        row_upper=_near(program.row_upper, limit, equal),
        lower=_near(program.lower, limit, fixed),
        upper=_near(program.upper, limit, fixed),
    )


def _near(sides: FloatArray, limit: float, keep: BoolArray) -> FloatArray:
    far = (np.abs(sides) >= limit) & ~keep
    return np.where(far, np.copysign(np.inf, sides), sides)
