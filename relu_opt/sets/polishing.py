"""The last digits of a solution: Newton's method on the faces that carry its neurons."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import NotCertified
from relu_opt.program.convex import ConvexProgram
from relu_opt.proof.dual_bound import DualBound, lower_bound
from relu_opt.sets.active_system import ActiveSystem, active_system, newton_step
from relu_opt.sets.assembly import sizes_of
from relu_opt.sets.equicorrelation import FINE_GREY, GREY, Equicorrelation, equicorrelated
from relu_opt.solving.training import Solution

# With more coordinates the equations are too large to be worth it.
MOST_COORDINATES = 4000
MOST_STEPS = 6
# A neuron of a smaller share of the sizes is left out: Newton's method cannot hold it positive.
FAINT = 1e-6
# How much a lower bound may fall by rounding alone, relative to it.
ROUNDING = 1e-12


# A lower bound, the neurons at its ν, their sizes, and the intercept.
Sharp: TypeAlias = tuple[DualBound, Equicorrelation, FloatArray, float]


def sharpened(sol: Solution) -> Sharp:
    """Lower bound, neurons, their sizes ‖w_j‖ and the intercept of a solution, to the last digits.

    Raises
    ------
    NotCertified
        If the solution is not accurate enough to tell its neurons.
    """
    prog = sol.program
    bound = lower_bound(prog, sol.nu, sol.certificate.multipliers)
    found = equicorrelated(prog, bound)
    try:
        return _last_digits(sol, bound, found) or (bound, found, *_sizes(sol, found))
    except NotCertified:
        # A neuron that has just entered hardly moves the objective, and ν is not yet exact.
        better = _last_digits(sol, bound, equicorrelated(prog, bound, within=GREY))
        if better is None:
            raise
        return better


def _sizes(sol: Solution, found: Equicorrelation) -> tuple[FloatArray, float]:
    return sizes_of(sol.program, found, sol.weights), sol.network.intercept


def _last_digits(sol: Solution, bound: DualBound, found: Equicorrelation) -> Sharp | None:
    """From the neurons that are thought to be on; None where there is no way."""
    prog = sol.program
    fine = polished(prog, found, *_sizes(sol, found))
    if fine is None:
        return None
    proved = lower_bound(prog, prog.dual_candidate(prog.fits(fine[0])), bound.multipliers)
    if proved.value < bound.value - ROUNDING * abs(bound.value):
        return None
    found = equicorrelated(prog, proved, FINE_GREY)
    return proved, found, sizes_of(prog, found, fine[0]), fine[1]


def polished(
    prog: ConvexProgram, found: Equicorrelation, sizes: FloatArray, intercept: float
) -> tuple[FloatArray, float] | None:
    """Weights and intercept of the solution with its last digits; None where there is no way.

    Parameters
    ----------
    prog : ConvexProgram
    found : Equicorrelation
        The neurons, their patterns and faces.
    sizes : (k,) array
        ‖w_j‖ of each.
    intercept : float
    """
    on = np.flatnonzero(sizes > FAINT * float(sizes.sum()))
    faces = [found.faces[j] for j in on]
    system = active_system(prog, found.places[on], found.signs[on], faces)
    if not 0 < system.size <= MOST_COORDINATES:
        return None
    z = _newton(system, system.coordinates(sizes[on, None] * found.units[on], intercept))
    weights = np.zeros(prog.weights_shape)
    weights[(found.signs[on] < 0).astype(np.intp), found.places[on]] = system.blocks(z)
    return weights, float(z[-1]) if prog.intercept else 0.0


def _newton(system: ActiveSystem, z: FloatArray) -> FloatArray:
    """Steps as long as they halve the residual, and keep every neuron's direction."""
    left = float(np.linalg.norm(system.residual(z)))
    for _ in range(MOST_STEPS):
        ahead = z + newton_step(system, z)
        if any(ahead[part] @ z[part] <= 0 for part in system.parts()):
            break
        lacking = float(np.linalg.norm(system.residual(ahead)))
        if not lacking < left:
            break
        z, before, left = ahead, left, lacking
        if left > 0.5 * before:
            break
    return z
