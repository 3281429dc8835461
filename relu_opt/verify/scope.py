"""Of which networks a certificate's bound speaks, for `relu_opt.verify`: the patterns it lists."""

from __future__ import annotations

import numpy as np

from relu_opt.verify.cells import count_cells
from relu_opt.verify.claim import Claim, FloatArray, parts
from relu_opt.verify.signs import signs
from relu_opt.verify.spike_free import stretch

# Slack of x_kᵀu ≥ 0, relative to the norms, within which a neuron counts as inside a cone. It
# says which networks are meant, such as those of rounded weights; the bound does not rest on it.
CONE_TOL = 1e-9


def scope_of(claim: Claim, X: FloatArray) -> tuple[list[str], float]:
    """Why the bound may not speak of this network, or of every network as it says.

    Returns
    -------
    doubts : list of str
    stretch : float
        |νᵀ(Xu)₊| is at most this times what the listed patterns allow: 1 but for spike-free data.
    """
    if claim.coverage in ("searched", "oracle"):
        return [], 1.0
    if claim.coverage == "spike_free":
        return _spike_doubts(claim, X)
    rows = _units(X)
    doubts = [] if claim.scope != "all" else _incompleteness(claim, X)
    for j in np.flatnonzero((claim.output != 0) & claim.hidden.any(axis=1)):
        neuron = claim.hidden[j] / np.abs(claim.hidden[j]).max()
        slack = rows @ (neuron / np.linalg.norm(neuron))
        if claim.gate_bits is None:
            wanted, matters = np.packbits(slack > 0), np.packbits(np.abs(slack) > CONE_TOL)
        else:
            wanted, matters = claim.gate_bits[j], np.packbits(rows.any(axis=1))
        if ((claim.patterns ^ wanted) & matters).any(axis=1).all():
            doubts.append(f"Neuron {j} lies in none of the certificate's patterns.")
    return doubts, 1.0


def _units(X: FloatArray) -> FloatArray:
    """The rows, scaled to norm 1 if they are not zero."""
    # Scaled first, so that rows of tiny numbers do not underflow to zero.
    largest = np.abs(X).max(axis=1)
    rows = X / np.where(largest > 0, largest, 1.0)[:, None]
    return np.asarray(rows / np.where(largest > 0, np.linalg.norm(rows, axis=1), 1.0)[:, None])


def _spike_doubts(claim: Claim, X: FloatArray) -> tuple[list[str], float]:
    """Why the pattern that is active everywhere may not speak of every network."""
    everywhere = np.packbits(X.any(axis=1))
    doubts = []
    if not ((claim.patterns & everywhere) == everywhere).all(axis=1).any():
        doubts.append("The pattern that is active everywhere is not listed.")
    longer, problem = stretch(X)
    if problem:
        doubts.append(f"The data are not shown to be spike-free: {problem}.")
    return doubts, 1.0 if problem else longer


def _incompleteness(claim: Claim, X: FloatArray) -> list[str]:
    """Why the patterns may not be all patterns; nothing here is rounded."""
    p, counts = len(claim.patterns), X.any(axis=1)
    if not claim.witnesses:
        return ["The scope is all patterns, and the entry 'pattern_gates' is missing."]
    # The sums of the witnesses' parts are not rounded either.
    rows, points = np.tile(X[counts], len(claim.witnesses)), np.concatenate(claim.witnesses)
    for part in parts(p, len(X)):
        sides = signs(rows, points[:, part].T)
        active = np.unpackbits(claim.patterns[part], axis=1, count=len(X)).T[counts]
        wrong = (sides != np.where(active, 1, -1)).any(axis=0)
        if wrong.any():
            which = part.start + int(np.argmax(wrong))
            return [f"The gate of pattern {which} does not lie strictly inside its cone."]
    distinct = {row.tobytes() for row in claim.patterns & np.packbits(counts)}
    if len(distinct) < p:
        return ["The scope is all patterns, and a pattern is listed twice."]
    cells = count_cells(X, p)
    if cells is None:
        return [f"The data have more patterns than the {p} that are listed."]
    return [] if cells == p else [f"The data have {cells} patterns, and {p} are listed."]
