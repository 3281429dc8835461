"""`separation`: how large νᵀ(Xu)₊ can be on the unit ball, over all activation patterns."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_floats, as_tolerance
from relu_opt.clock import Clock
from relu_opt.errors import DataError, did_you_mean
from relu_opt.program.arrangement import MAX_PATTERNS
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.patterns import Patterns
from relu_opt.program.units import exponent, scaled
from relu_opt.solving.shards.executors import Executor
from relu_opt.train.all_patterns.cells_oracle import CellsOracle
from relu_opt.train.all_patterns.mip_oracle import MipOracle
from relu_opt.train.all_patterns.separation_bounds import Oracle, RowSpace, Separation
from relu_opt.train.all_patterns.sphere_oracle import SphereOracle

ORACLES = ("auto", "sphere", "cells", "mip")
# Up to this rank of the data the number of cones is moderate; see docs/global.md.
SPHERE_RANK = 6


def separation(
    X: ArrayLike,
    nu: ArrayLike,
    oracle: str = "auto",
    *,
    tol: float = 1e-6,
    target: float = 0.0,
    time_limit: float | None = None,
    max_patterns: int = MAX_PATTERNS,
) -> Separation:
    """Bounds on M(ν) = max |νᵀ(Xu)₊| over ‖u‖ ≤ 1.

    ν is feasible for the dual of the training problem over all activation patterns iff
    M(ν) ≤ λ: then D(ν) bounds the objective of every network, of any width.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample, as the network takes them.
    nu : (n,) array
        A dual point, in the scale of the mean loss: ν = −∇F(ŷ).
    oracle : {"auto", "sphere", "cells", "mip"}
        `sphere`: branch and bound over directions; in rank 1 and 2 few cones. `cells`: all
        patterns, listed. `mip`: mixed-integer programs, whose bound is the solver's own. `auto`:
        `sphere` up to rank 6 of X, else `mip`.
    tol : float
        The relative gap of the two bounds at which to stop.
    target : float
        Stop also when M(ν) is shown to be at most this.
    time_limit : float, optional
        Seconds; then the bounds so far come back.
    max_patterns : int
        Of the oracle `cells`, as of `enumerate_patterns`.

    Returns
    -------
    Separation

    Raises
    ------
    DataError
        If X and ν do not fit, or hold NaN, or there are too many patterns to list.

    Notes
    -----
    Source: the dual constraint is that of Ergen & Pilanci (JMLR 2021); the branch and bound is
    derived here.
    """
    data, point = as_floats(X, "X", 2), as_floats(nu, "nu", 1)
    if len(data) != len(point):
        raise DataError(
            f"X has {len(data)} rows and nu has {len(point)} values. One value a row is needed.",
            X=data.shape,
            nu=point.shape,
        )
    if not np.isfinite(target) or target < 0:
        raise DataError(f"target is {target}, and a number ≥ 0 is needed.", target=target)
    clock = Clock(time_limit)
    chosen = make_oracle(data, oracle, max_patterns)
    return chosen.search(point, float(target), as_tolerance(tol, "tol"), clock)


class ScaledOracle:
    """An oracle that sees data and dual points of size one, whatever the user's units are."""

    def __init__(self, X: FloatArray, make: Callable[[FloatArray], Oracle]) -> None:
        self.power = exponent(X)
        self.inner = make(scaled(X, -self.power))
        self.name = self.inner.name

    def search(self, nu: FloatArray, target: float, rel: float, clock: Clock) -> Separation:
        """Bound M(ν); see `Oracle`."""
        size = exponent(nu)
        unit = size + self.power
        found = self.inner.search(scaled(nu, -size), scaled(target, -unit), rel, clock)
        return replace(
            found,
            lower=scaled(found.lower, unit),
            upper=scaled(found.upper, unit),
            values=scaled(found.values, unit),
        )

    @property
    def cells(self) -> Patterns | None:
        """All patterns, where the oracle lists them."""
        return self.inner.prog.patterns if isinstance(self.inner, CellsOracle) else None

    def multipliers(self, nu: FloatArray) -> ConeMultipliers:
        """Those of all patterns that prove the bound at the ν of the last search."""
        if not isinstance(self.inner, CellsOracle):
            return ConeMultipliers.pack({})
        size = exponent(nu)
        known = self.inner.multipliers(scaled(nu, -size))
        return replace(known, values=scaled(known.values, size))


def make_oracle(
    X: FloatArray, name: str, max_patterns: int = MAX_PATTERNS, executor: Executor | None = None
) -> ScaledOracle:
    """The oracle of a name, for one data matrix.

    Raises
    ------
    DataError
        If the name is unknown, or there are too many patterns to list.
    """
    if name not in ORACLES:
        raise DataError(f"Unknown oracle {name!r}. {did_you_mean(str(name), ORACLES)}", oracle=name)

    def make(rows: FloatArray) -> Oracle:
        if name == "cells" or (name == "auto" and executor is not None):
            return CellsOracle(rows, max_patterns, executor)
        if name == "mip" or (name == "auto" and RowSpace.of(rows).rank > SPHERE_RANK):
            return MipOracle(rows)
        return SphereOracle(rows)

    return ScaledOracle(X, make)
