"""`train_vector` and `vector_separation`: the public functions for several outputs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import as_floats, as_tolerance
from relu_opt.clock import Clock
from relu_opt.config import settled, settled_tol
from relu_opt.errors import DataError, did_you_mean
from relu_opt.plugins.stopping import until_stopped
from relu_opt.program.arrangement import MAX_PATTERNS
from relu_opt.program.units import scaled
from relu_opt.train.several_outputs.bounds import VectorSeparation
from relu_opt.train.several_outputs.problem import VectorProblem
from relu_opt.train.several_outputs.relaxation import relax
from relu_opt.train.several_outputs.solution import VectorSolution
from relu_opt.train.several_outputs.training import ColumnGeneration, make_vector_oracle

METHODS = ("column_generation", "sdp")
# Share of the tolerance that a relaxation is solved to, and the least that it can be asked for.
RELAXED, TIGHTEST = 0.01, 1e-9
POOLINGS = (None, "average")
# The relative gap that training reaches, unless the user says another.
TOL = 1e-6
# About the seconds that the proof takes, a row.
PROOF_ROW = 8e-6


def train_vector(
    X: ArrayLike,
    Y: ArrayLike,
    lam: float,
    method: str = "column_generation",
    patches: ArrayLike | None = None,
    tol: float | None = None,
    *,
    pooling: str | None = None,
    intercept: bool = False,
    oracle: str = "auto",
    time_limit: float | None = None,
    max_patterns: int = MAX_PATTERNS,
    relaxation: str = "dnn",
    backend: str = "auto",
    options: Mapping[str, object] | None = None,
) -> VectorSolution:
    """Train a two-layer ReLU network with several outputs to a proved optimum.

    The objective is (1/2n)‖f − Y‖² + (λ/2) Σ_j (‖u_j‖² + ‖w_j‖²), which is not convex. Neurons are
    added where the dual point pulls at them harder than λ, until no direction has such a pull: then
    no network of any width has a lower objective.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample. A hidden bias is a column of ones, which is penalised.
    Y : (n, c) array
        Targets, one column an output.
    lam : float
        Regularization strength λ > 0 on the scale of the *mean* loss. (The papers have the sum of
        losses and β = nλ.)
    method : {"column_generation", "sdp"}
        `sdp` solves one semidefinite relaxation over all listed patterns, for dense networks and
        small data. Its bound holds for all networks; the gap closes where the relaxation is exact,
        as for X of rank 2.
    patches : (K, h) array of int, optional
        Columns of X in each patch: then the network is convolutional, each neuron sees all
        patches, and has output weights for each.
    tol : float, optional
        Relative gap to reach; 1e−6 unless the settings say otherwise.
    pooling : {None, "average"}
        With patches: whether a neuron's values are averaged over them.
    intercept : bool
        Whether each output has a free constant.
    oracle : {"auto", "sphere", "flats", "ascent"}
        As of `vector_separation`.
    time_limit : float, optional
        Seconds; then the best network so far comes back with its bound.
    max_patterns : int
        Of the oracle `flats` and of the method `sdp`.
    relaxation : {"dnn", "psd"}
        Of the method `sdp`: doubly nonnegative, or the weaker one of semidefinite matrices only.
    backend, options
        Who solves the relaxation, as of `solve_program`; it needs semidefinite cones.

    Returns
    -------
    VectorSolution

    Raises
    ------
    DataError
        If the problem is none, or there are too many patterns to list.

    Notes
    -----
    Source: Sahiner et al. (ICLR 2021) for the dual; the search and the program in the neurons'
    sizes are derived here.
    """
    if method not in METHODS:
        raise DataError(
            f"Unknown method {method!r}. {did_you_mean(str(method), METHODS)}", method=method
        )
    tol = settled_tol(tol, TOL)
    clock = Clock(settled("time_limit", time_limit, None))
    problem = VectorProblem.of(X, Y, lam, intercept, patches, is_pooled(pooling))
    chosen = make_vector_oracle(problem.canonical, oracle, max_patterns)
    run = ColumnGeneration(problem, chosen, tol, clock.before(PROOF_ROW * problem.n))
    # Numbers beyond doubles, as beside a vanishing λ, prove nothing and are no answer.
    with np.errstate(all="ignore"):
        if method == "sdp":
            aim = max(RELAXED * tol, TIGHTEST)
            found = relax(
                problem.canonical, relaxation, max_patterns, backend, aim, clock.remaining, options
            )
            return run.beside(found)
        return run.answer(until_stopped(run.run).stop)


def vector_separation(
    X: ArrayLike,
    V: ArrayLike,
    oracle: str = "auto",
    *,
    tol: float = 1e-6,
    target: float = 0.0,
    time_limit: float | None = None,
    max_patterns: int = MAX_PATTERNS,
    patches: ArrayLike | None = None,
    pooling: str | None = None,
) -> VectorSeparation:
    """Bounds on M(V) = max ‖Vᵀ(Xu)₊‖ over ‖u‖ ≤ 1, and where it is.

    V is feasible for the dual of training with several outputs iff M(V) ≤ λ. Over patches the norm
    is that of all Vᵀ(X_k u)₊ together, with average pooling that of their mean.

    Parameters
    ----------
    X : (n, d) array
    V : (n, c) array
        A dual point, in the scale of the mean loss: V = (Y − f)/n.
    oracle : {"auto", "sphere", "flats", "ascent"}
        `sphere`: branch and bound over directions. `flats`: the eigenvectors of all flats of the
        data's hyperplanes, for small data of rank 2 or 3. `ascent`: climbs from many directions,
        and a bound by eigenvalues that is some 1.5 to 3 times too large; for data of any rank.
        `auto` is `sphere` up to rank 6, and `ascent` beyond.
    tol : float
        The relative gap of the two bounds at which to stop.
    target : float
        Stop also when M(V) is shown to be at most this.
    time_limit : float, optional
        Seconds; then the bounds so far come back.
    max_patterns : int
        Of the oracle `flats`.
    patches, pooling
        As of `train_vector`.

    Returns
    -------
    VectorSeparation

    Raises
    ------
    DataError
        If X and V do not fit, or hold NaN, or there are too many patterns to list.
    """
    problem = VectorProblem.of(X, as_floats(V, "V", 2), 1.0, False, patches, is_pooled(pooling))
    if not np.isfinite(target) or target < 0:
        raise DataError(f"target is {target}, and a number ≥ 0 is needed.", target=target)
    canonical, power = problem.of_size_one(1.0), problem.units.x + problem.units.y
    chosen = make_vector_oracle(canonical, oracle, max_patterns)
    found = chosen.search(
        canonical.row_weights(canonical.Y),
        scaled(float(target), -power),
        as_tolerance(tol, "tol"),
        Clock(time_limit),
    )
    return found.in_units(power)


def is_pooled(pooling: str | None) -> bool:
    """Whether a pooling is "average"; other names than that and None are a DataError."""
    if pooling not in POOLINGS:
        raise DataError(
            f"Unknown pooling {pooling!r}. Pass None or 'average'.", pooling=str(pooling)
        )
    return pooling == "average"
