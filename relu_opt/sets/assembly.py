r"""From a solved program to the polytope of the sizes that its optimal networks may have."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray
from relu_opt.errors import NotCertified
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import as_inputs
from relu_opt.program.signs import masks_of
from relu_opt.sets.equicorrelation import Equicorrelation
from relu_opt.sets.polytope import ZERO, Polytope, independent_rows

# How much of the solution's weight may lie on blocks that are in doubt.
STRAY = 1e-6


def activations(prog: ConvexProgram, found: Equicorrelation, X: FloatArray) -> FloatArray:
    """What neurons of size one contribute to the outputs at the rows of X, (rows, k)."""
    linear = X @ found.units.T
    gates = prog.patterns.gates
    if not prog.activation.gated or gates is None:
        return prog.activation.apply(linear) * found.signs
    return prog.activation.apply(linear, masks_of(X, gates[:, found.places]))


def prediction_rows(
    prog: ConvexProgram, found: Equicorrelation, total: float, X: ArrayLike, width: int
) -> FloatArray:
    """The predictions at the rows of X as linear functions of the polytope's points, (q, width).

    Raises
    ------
    DataError
        If X has another number of columns than the program's.
    """
    data = as_inputs(X, prog.d)
    rows = np.zeros((len(data), width))
    rows[:, : len(found.units)] = activations(prog, found, data) * total
    if prog.intercept:
        rows[:, len(found.units)] = 1.0
    return rows


def sizes_of(prog: ConvexProgram, found: Equicorrelation, weights: FloatArray) -> FloatArray:
    """The sizes ‖w_j‖ of the neurons in a solution, (k,).

    Raises
    ------
    NotCertified
        If the solution uses blocks that are not equicorrelated.
    """
    norms = np.linalg.norm(weights, axis=2).ravel()
    sizes = np.zeros(len(found.units))
    np.add.at(sizes, found.neuron, norms[found.blocks])
    stray = float(norms.sum() - sizes.sum())
    # What rounding put on blocks in doubt is left out with them.
    if stray > (STRAY if len(found.doubtful) else ZERO) * float(norms.sum()):
        raise NotCertified(
            f"Blocks that hold {stray / norms.sum():.1e} of the solution's weight are not "
            "equicorrelated, so the solution is not accurate enough to describe all optimal "
            "networks. Solve to a smaller tol, or use a larger lam.",
            stray=stray,
        )
    return sizes


def size_polytope(
    prog: ConvexProgram, units: FloatArray, sizes: FloatArray, constant: float, backend: str
) -> Polytope:
    """The polytope {sizes : the fits are optimal}, scaled so that the given sizes sum to one.

    Parameters
    ----------
    prog : ConvexProgram
    units : (n, k) array
        Contributions to the fits of neurons of size one.
    sizes : (k,) array
        The sizes in one optimum.
    constant : float
        Its output intercept.
    backend : str
        Who solves programs over the polytope.
    """
    total = float(sizes.sum())
    columns = units * total
    x = sizes / total
    if prog.intercept:
        columns, x = np.column_stack([columns, np.ones(prog.n)]), np.append(x, constant)
    fits = columns @ x
    low, high = prog.loss.plateau(fits, prog.y)
    fixed = low == high
    basis, doubts = independent_rows(columns[fixed])
    M, b = basis @ columns[fixed], basis @ fits[fixed]
    free = np.flatnonzero(~fixed)
    # A fit that may move on one side: columns·x − side·slack = end.
    side = np.where(np.isfinite(low[free]), 1.0, -1.0)
    end = np.where(np.isfinite(low[free]), low[free], high[free])
    M = np.block([[M, np.zeros((len(M), len(free)))], [columns[free], -np.diag(side)]])
    slack = np.maximum(0.0, side * (fits[free] - end))
    bounded = np.ones(M.shape[1], dtype=np.bool_)
    if prog.intercept:
        bounded[len(sizes)] = False
    start = np.concatenate([x, slack])
    return Polytope(M, np.append(b, end), bounded, len(sizes), start, doubts, backend)
