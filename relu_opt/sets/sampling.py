r"""Uniform samples of a polytope by hit-and-run.

A step takes a random line through the point and moves to a uniform place on the line's part in the
polytope; its limit is the uniform distribution over the polytope, with respect to the volume in
the sizes ‖w_j‖ (Smith, Operations Research 1984). Directions are drawn from the covariance of a
first run, so that long, thin polytopes are covered too.
"""

from __future__ import annotations

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.progress.bar import Announcer
from relu_opt.sets.polytope import Polytope, null_space

# Steps between samples, and of the first run, per dimension.
THIN = 20
WARM_UP = 200


def hit_and_run(polytope: Polytope, inner: FloatArray, count: int, seed: int) -> FloatArray:
    """Samples (count, q) from a point where every bounded entry is positive.

    Parameters
    ----------
    polytope : Polytope
        With every bounded entry positive somewhere.
    inner : (q,) array
        A point where all of them are.
    count : int
        How many.
    seed : int
        Of `numpy.random.default_rng`.
    """
    basis = null_space(polytope.M)
    dimension = basis.shape[1]
    if not dimension:
        return np.tile(inner, (count, 1))
    rng = np.random.default_rng(seed)
    first = _walk(polytope, basis, inner, WARM_UP * dimension, 1, rng)
    spread = np.atleast_2d(np.cov((first - inner) @ basis, rowvar=False))
    values, vectors = np.linalg.eigh(spread)
    # A direction that the first run hardly saw must still be tried.
    widths = np.sqrt(np.maximum(values, 1e-8 * max(float(values[-1]), np.finfo(float).tiny)))
    return _walk(
        polytope,
        basis @ (vectors * widths),
        first[-1],
        count * THIN * dimension,
        THIN * dimension,
        rng,
    )


def _walk(
    polytope: Polytope,
    directions: FloatArray,
    start: FloatArray,
    steps: int,
    thin: int,
    rng: np.random.Generator,
) -> FloatArray:
    """Every `thin`-th point of a walk along random combinations of the directions (q, m)."""
    bounded = polytope.bounded
    tell = Announcer("sample", steps)
    point, kept = start.copy(), np.empty((steps // thin, len(start)))
    for step in range(1, steps + 1):
        line = directions @ rng.standard_normal(directions.shape[1])
        rates, values = line[bounded], point[bounded]
        with np.errstate(divide="ignore", invalid="ignore"):
            ends = -values / rates
        low = ends[rates > 0].max(initial=-np.inf)
        high = ends[rates < 0].min(initial=np.inf)
        point = point + rng.uniform(low, high) * line
        point[bounded] = np.maximum(point[bounded], 0.0)
        if step % thin == 0:
            tell(step, "sampling")
            kept[step // thin - 1] = point
    return kept
