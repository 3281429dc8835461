r"""Whether the optimal network moves smoothly with λ and the data, and how near it is to failing.

It does where (Mishkin & Pilanci, ICML 2023, §4, and the implicit function theorem)

* the neurons are independent: Newton's equations on their faces have one solution;
* complementarity is strict: every neuron that is on has a size, every block that is off has
  ‖v_b‖ < λ, every hyperplane that holds a neuron does so with a multiplier ρ > 0, and every other
  one is away from it;
* the loss has a curvature that does not jump at the fits.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray, IntArray
from relu_opt.program.convex import ConvexProgram
from relu_opt.proof.dual_bound import DualBound, proved_norms
from relu_opt.sets.active_system import face_basis
from relu_opt.sets.optimal_set import OptimalSet

# A margin of at most this is zero, as far as rounding can tell; for eigenvalues, this.
MARGIN, INDEPENDENT = 1e-7, 1e-11
# A unit row whose part along a face is shorter lies across it.
ACROSS = 1e-9
BATCH = 16


@dataclass(frozen=True)
class Margins:
    """How far each condition is from failing; all are 0 where it fails.

    Attributes
    ----------
    independence : float
        The smallest eigenvalue of Newton's matrix, relative to the largest.
    size : float
        The smallest neuron's share of Σ_j ‖w_j‖.
    off : float
        The least 1 − ‖v_b‖/λ of the blocks that are off.
    face : float
        The least ρ_k ‖x_k‖/λ of the hyperplanes that hold a neuron.
    slack : float
        The least |x_kᵀw|/(‖x_k‖‖w‖) of the others.
    kink : float
        The least distance of a fit from where the loss's curvature jumps.
    """

    independence: float
    size: float
    off: float
    face: float
    slack: float
    kink: float

    def smallest(self) -> str:
        """The name of the margin that is nearest to its limit."""
        return min(
            (each.name for each in fields(self)),
            key=lambda name: getattr(self, name) / self._limit(name),
        )

    def fails(self) -> list[str]:
        """The names of those that are zero, as far as rounding can tell."""
        names = [each.name for each in fields(self)]
        return [name for name in names if not getattr(self, name) > self._limit(name)]

    @staticmethod
    def _limit(name: str) -> float:
        return INDEPENDENT if name == "independence" else MARGIN


REASONS = {
    "independence": "the fits of its neurons are linearly dependent, so the optimal network is "
    "not unique; prune it first (minimal=True)",
    "size": "a neuron is about to vanish",
    "off": "a neuron that is off is about to enter",
    "face": "a neuron is about to leave a hyperplane of its cone",
    "slack": "a neuron is about to come to lie on a hyperplane of its cone",
    "kink": "the curvature of the loss jumps at the fit of a sample",
}


def verdict(margins: Margins) -> tuple[bool, str]:
    """Whether the derivatives exist, and why or why not."""
    failed = margins.fails()
    if failed:
        return False, "Not differentiable: " + "; ".join(REASONS[name] for name in failed) + "."
    name = margins.smallest()
    return True, f"Differentiable; the smallest margin is {name}: {getattr(margins, name):.1e}."


@dataclass(frozen=True, eq=False)
class Contact:
    """The hyperplanes that hold a neuron in its block.

    Attributes
    ----------
    rows : (f,) int array
        Samples with ρ > 0: they span the face.
    rho : (f,) array
        Their multipliers with the sides ±1: v_b = X_bᵀν + Σ_k rho_k x_k.
    held : int
        Samples, beside `rows`, that are zero on the whole face.
    """

    rows: IntArray
    rho: FloatArray
    held: int


def contacts(found: OptimalSet, on: BoolArray) -> tuple[list[Contact], float, float]:
    """For each neuron that is on, the hyperplanes that hold it; the face and the slack margin."""
    prog, chosen = found.program, found.found
    neurons = np.flatnonzero(on)
    if prog.activation.gated:
        nothing = Contact(np.empty(0, dtype=np.intp), np.empty(0), 0)
        return [nothing] * len(neurons), np.inf, np.inf
    blocks = chosen.blocks[on[chosen.neuron]]
    owner = chosen.neuron[on[chosen.neuron]]
    points = prog.project(prog.correlations(found.bound.nu), blocks)
    firsts: dict[int, Contact] = {}
    face, slack = np.inf, np.inf
    norms, unit = prog.cone_rows.norms, prog.cone_rows.unit
    for block, j, rows, rho in zip(blocks, owner, points.rows, points.rho, strict=True):
        basis = face_basis(prog.X, rows)
        across = np.linalg.norm(unit @ basis, axis=1) <= ACROSS
        face = min(face, float((rho * norms[rows]).min(initial=np.inf)) / prog.lam)
        away = np.abs(unit[~across] @ chosen.units[j])
        slack = min(slack, float(away.min(initial=np.inf)))
        if int(block) % len(prog.patterns) == chosen.places[j]:
            mask = prog.patterns.unpack(chosen.places[[j]])[0]
            held = int((across & (norms > 0)).sum()) - len(rows)
            firsts[int(j)] = Contact(rows, np.where(mask[rows], rho, -rho), held)
    return [firsts[int(j)] for j in neurons], face, slack


def off_margin(found: OptimalSet, on: BoolArray, spare: bool) -> float:
    """The least 1 − ‖v_b‖/λ of the blocks that are off.

    Parameters
    ----------
    found : OptimalSet
    on : (k,) array of bool
        The neurons that are on.
    spare : bool
        Whether the other neurons of the set count too.
    """
    prog, chosen = found.program, found.found
    if spare and not on.all():
        return 0.0
    if len(chosen.doubtful):
        return float(chosen.doubtful_slacks.min())
    upper = _norm_bounds(prog, found.bound)
    upper[chosen.blocks] = 0.0
    return 1.0 - _largest(prog, found.bound.nu, upper) / prog.lam


def _norm_bounds(prog: ConvexProgram, bound: DualBound) -> FloatArray:
    """What ‖v_b‖ does not exceed, by block."""
    common = prog.correlations(bound.nu)
    upper = np.tile(np.linalg.norm(common, axis=1), len(prog.signs))
    known = bound.multipliers
    if len(known.blocks):
        proved = proved_norms(prog, common, known)
        upper[known.blocks] = np.minimum(upper[known.blocks], proved)
    return upper


def _largest(prog: ConvexProgram, nu: FloatArray, upper: FloatArray) -> float:
    """max_b ‖v_b‖ given what each does not exceed; 0 where nothing is known to exceed it."""
    if prog.activation.gated:
        return float(upper.max())
    common, largest = prog.correlations(nu), 0.0
    order = np.argsort(-upper)
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        part = part[upper[part] > largest]
        if not len(part):
            break
        points = prog.project(common, part, enough=largest).points
        largest = max(largest, float(np.linalg.norm(points, axis=1).max()))
    return largest
