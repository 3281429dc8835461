r"""Which blocks may be non-zero at an optimum, and the only neuron that each of them may hold.

The fits of an optimum decide ν, and ν decides v_b = P_K(X_bᵀν) for every block. A block with
‖v_b‖ < λ is zero in every optimum; one with ‖v_b‖ = λ holds α_b v_b with some α_b ≥ 0 (Mishkin &
Pilanci, ICML 2023, §3). Blocks of adjacent cones that share a face often hold the same neuron.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from relu_opt.arrays import FloatArray, IntArray
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import group_rows
from relu_opt.proof.dual_bound import DualBound

# The slack 1 − ‖v_b‖/λ of a block that is equicorrelated, and the most that leaves a doubt: of a
# solution, and of one with its last digits. Once the program is solved to ACCURACY, slacks that
# are zero are below 1e-11.
IN = 1e-9
GREY, FINE_GREY = 1e-6, 1e-8
ACCURACY = 1e-12
# Neurons are one when no entry of their unit directions differs by more.
SAME = 1e-8


@dataclass(frozen=True)
class Equicorrelation:
    """The blocks that optimal networks may use, and their neurons.

    Attributes
    ----------
    blocks : (K,) int array
        Equicorrelated blocks: the pattern's position, plus p for the sign −1.
    neuron : (K,) int array
        The neuron that each block holds.
    units : (k, d) array
        The neurons' directions v/‖v‖, each once.
    signs : (k,) array
        Their output signs.
    places : (k,) int array
        A pattern that holds each neuron.
    faces : list of k int arrays
        Rows of X on which each neuron is zero, the face of that pattern's cone.
    doubtful : (q,) int array
        Blocks whose slack is in the grey zone; they are left out.
    doubtful_slacks : (q,) array
        Those slacks.
    next_slack : float
        The smallest slack of the other blocks: what a block outside needs; inf if there is none.
    """

    blocks: IntArray
    neuron: IntArray
    units: FloatArray
    signs: FloatArray
    places: IntArray
    faces: list[IntArray]
    doubtful: IntArray
    doubtful_slacks: FloatArray
    next_slack: float

    def none(self) -> Equicorrelation:
        """The same without neurons: for a solution that is zero."""
        zero = np.empty(0, dtype=np.intp)
        bare = replace(self, blocks=zero, neuron=zero, places=zero, faces=[])
        return replace(bare, units=self.units[:0], signs=self.signs[:0])

    def copies(self) -> IntArray:
        """How many blocks hold each neuron, (k,)."""
        return np.bincount(self.neuron, minlength=len(self.units))


def equicorrelated(
    prog: ConvexProgram, bound: DualBound, grey: float = GREY, within: float = IN
) -> Equicorrelation:
    """The equicorrelation set at a dual point, which should be optimal to `ACCURACY`.

    Blocks whose slack is between `within` and `grey` are in doubt.
    """
    blocks, points, rows = _candidates(prog, bound, grey)
    slacks = 1.0 - np.linalg.norm(points, axis=1) / prog.lam
    inside, doubtful = slacks <= within, (slacks > within) & (slacks <= grey)
    others = slacks[slacks > grey]
    chosen = blocks[inside]
    units = points[inside] / np.linalg.norm(points[inside], axis=1, keepdims=True)
    signs = np.where(chosen < len(prog.patterns), 1.0, -1.0)
    if not prog.activation.gated:
        firsts, neuron = group_rows(np.column_stack([units, signs]), SAME)
    else:
        # A gated neuron is its gate too, and no two patterns have the same.
        firsts = neuron = np.arange(len(chosen))
    return Equicorrelation(
        chosen,
        neuron,
        units[firsts],
        # A gated neuron's sign is part of its direction.
        signs[firsts],
        chosen[firsts] % len(prog.patterns),
        [rows[b] for b in np.flatnonzero(inside)[firsts]],
        blocks[doubtful],
        slacks[doubtful],
        float(others.min(initial=np.inf)),
    )


def _candidates(
    prog: ConvexProgram, bound: DualBound, grey: float
) -> tuple[IntArray, FloatArray, list[IntArray]]:
    """The blocks that may come near λ; v_b where it does, shorter where not; rows of its face."""
    common = prog.correlations(bound.nu)
    enough = prog.lam * (1.0 - 2.0 * grey)
    near = np.flatnonzero(np.linalg.norm(common, axis=1) >= enough)
    if prog.activation.gated:
        return near, common[near], [np.empty(0, dtype=np.intp)] * len(near)
    blocks = np.concatenate([near, near + len(prog.patterns)])
    known = bound.multipliers.pieces()
    guesses = [known[b][0] if b in known else np.empty(0, dtype=np.intp) for b in blocks.tolist()]
    found = prog.project(common, blocks, guesses, enough)
    return blocks, found.points, found.rows
