"""What is certified of an answer, whoever computed it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import relu_opt as ro
from relu_opt.program.multipliers import ConeMultipliers

# Blocks smaller than this, relative to the largest, are zero to an interior-point method.
NEGLIGIBLE = 1e-6
CONE_TOLERANCE = 1e-9
# The bound from weights alone projects every block onto its cone, which takes too long from here.
LARGEST_PROJECTED = 200
MULTIPLIERS = ("blocks", "starts", "rows", "values")


def judge_weights(
    prog: ro.ConvexProgram, arrays: Mapping[str, np.ndarray], bound: float
) -> dict[str, Any]:
    """What is certified of blocks; `bound` is the best lower bound that is known.

    Where the answer comes with a dual point and its cone multipliers, its gap is theirs.
    """
    weights = arrays["weights"]
    sizes = np.linalg.norm(weights, axis=2, keepdims=True)
    large = np.where(sizes >= NEGLIGIBLE * sizes.max(initial=0.0), weights, 0.0)
    inside = weights
    if prog.cone_violation(weights) > CONE_TOLERANCE:
        inside = onto_cones(prog, weights)
    projects = prog.activation == "relu" and prog.d > LARGEST_PROJECTED
    alone = None if projects else ro.certify(prog, inside)
    if "nu" in arrays:
        rho = ConeMultipliers(*(arrays[f"rho_{part}"] for part in MULTIPLIERS))
        own = ro.certify(prog, inside, nu=arrays["nu"], multipliers=rho)
        upper, lower = own.objective, own.lower_bound
    else:
        upper = prog.objective(inside)
        lower = max(bound, -np.inf if alone is None else alone.lower_bound)
    return {
        "objective": prog.objective(weights),
        "violation": prog.cone_violation(large),
        "violation_of_largest": violation_of_largest(prog, weights),
        "gap": (upper - lower) / abs(upper),
        "gap_alone": np.nan if alone is None else alone.rel_gap,
        "neurons": int(large.any(axis=2).sum()),
        "bound": lower,
    }


def violation_of_largest(prog: ro.ConvexProgram, weights: np.ndarray) -> float:
    """The largest violation of a cone, relative to the row's and the largest block's norm."""
    sizes = np.linalg.norm(weights, axis=2)
    if prog.activation == "gated" or not sizes.any():
        return 0.0
    worst = 0.0
    for size, blocks in zip(sizes / sizes.max(), weights, strict=True):
        for k in np.flatnonzero(size):
            mask = prog.patterns.unpack(np.array([k]))
            off = prog.cone_rows.violation(blocks[[k]], mask).max()
            worst = max(worst, float(off * size[k]))
    return worst


def onto_cones(prog: ro.ConvexProgram, weights: np.ndarray) -> np.ndarray:
    """Every block of a relu program replaced by the nearest point of its cone."""
    result = np.zeros_like(weights)
    for points, blocks in zip(result, weights, strict=True):
        which = np.flatnonzero(blocks.any(axis=1))
        # The numbers of sign +1 keep the targets as they are.
        points[which] = prog.project(blocks, which).points
    return result


def judge_network(prog: ro.ConvexProgram, hidden: np.ndarray, output: np.ndarray) -> dict[str, Any]:
    """What is certified of a network over the patterns of its own neurons."""
    found = ro.certify(prog, ro.ReLUNetwork(hidden, output), scope="own")
    return {
        "objective": found.objective,
        "violation": found.kkt.cone_violation,
        "gap": found.rel_gap,
        "gap_alone": found.rel_gap,
        "neurons": len(output),
        "bound": -np.inf,
    }
