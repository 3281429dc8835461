r"""A training program with more rows: the way to move along its near-optimal set.

    minimise  P(w) + κ · (1/m) Σ_q ½ (z_q − t_q)²

where P is the training objective and z_q are the network's outputs at m further rows. It is a
training program over n + m rows, so that every backend that trains solves it, and its lower bound
is one for every network: P(w) ≤ T implies (1/m) Σ ½(z_q − t_q)² ≥ (bound − T)/κ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from relu_opt.arrays import BoolArray, FloatArray
from relu_opt.plugins.dispatch import can_start
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses import Loss, Squared
from relu_opt.program.patterns import Patterns
from relu_opt.program.signs import masks_of
from relu_opt.rounding import charge
from relu_opt.solving.training import Solution, solve

# Of the rows that are added.
LAST = Squared()


@dataclass(frozen=True)
class StackedLoss(Loss):
    """One loss on the first rows, the squared loss on the others; both for whole arrays only."""

    first: Loss
    rows: int
    name: ClassVar[str] = "stacked"

    @property
    def parameters(self) -> dict[str, float]:
        return {**self.first.parameters, "rows": float(self.rows)}

    @property
    def proves(self) -> bool:
        return self.first.proves

    def _parts(self, y: FloatArray) -> tuple[tuple[Loss, slice, FloatArray], ...]:
        head, tail = slice(self.rows), slice(self.rows, None)
        return (self.first, head, y[head]), (LAST, tail, y[tail])

    def value(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.concatenate([each.value(z[at], part) for each, at, part in self._parts(y)])

    def gradient(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.concatenate([each.gradient(z[at], part) for each, at, part in self._parts(y)])

    def hessian(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.concatenate([each.hessian(z[at], part) for each, at, part in self._parts(y)])

    def majorant(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.concatenate([each.majorant(z[at], part) for each, at, part in self._parts(y)])

    def conjugate(self, t: FloatArray, y: FloatArray) -> FloatArray:
        return np.concatenate([each.conjugate(t[at], part) for each, at, part in self._parts(y)])

    def slopes(self, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        ends = [each.slopes(part) for each, _, part in self._parts(y)]
        return np.concatenate([low for low, _ in ends]), np.concatenate([high for _, high in ends])

    def plateau(self, z: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray]:
        ends = [each.plateau(z[at], part) for each, at, part in self._parts(y)]
        return np.concatenate([low for low, _ in ends]), np.concatenate([high for _, high in ends])

    def cross(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.concatenate([each.cross(z[at], part) for each, at, part in self._parts(y)])

    def kink_distance(self, z: FloatArray, y: FloatArray) -> FloatArray:
        return np.concatenate(
            [each.kink_distance(z[at], part) for each, at, part in self._parts(y)]
        )

    def rescaled(self, power: int) -> StackedLoss | None:
        first = self.first.rescaled(power)
        return None if first is None else StackedLoss(first, self.rows)

    def slope_terms(self, y: FloatArray) -> FloatArray:
        return np.concatenate([each.slope_terms(part) for each, _, part in self._parts(y)])

    def value_above(
        self, fits: FloatArray, constant: float, y: FloatArray, error: FloatArray
    ) -> FloatArray:
        return np.concatenate(
            [
                each.value_above(fits[at], constant, part, error[at])
                for each, at, part in self._parts(y)
            ]
        )

    def offset(self, y: FloatArray) -> FloatArray:
        return np.concatenate([each.offset(part) for each, _, part in self._parts(y)])

    def rest_above(self, slope: FloatArray, y: FloatArray) -> FloatArray:
        return np.concatenate(
            [each.rest_above(slope[at], part) for each, at, part in self._parts(y)]
        )


@dataclass(frozen=True, eq=False)
class Trade:
    """A solved stacked program: a network that pays in training objective for other outputs.

    `objective` is P of the network, `outputs` (m,) are its z_q, and `lower` bounds
    P + κ(1/m)Σ½(z_q − t_q)² from below for every network over the patterns.
    """

    solution: Solution
    objective: float
    outputs: FloatArray
    lower: float


class Stack:
    """The stacked programs of one set of further rows.

    Parameters
    ----------
    prog : ConvexProgram
    rows : (m, d) array
        Further rows, in the columns of X.
    patterns : Patterns
        Of X and the rows together.
    backend : str
        Who solves.
    options : mapping
        The backend's options.
    """

    def __init__(
        self,
        prog: ConvexProgram,
        rows: FloatArray,
        patterns: Patterns,
        backend: str,
        options: Mapping[str, object],
    ) -> None:
        self.prog, self.rows, self.patterns = prog, rows, patterns
        self.backend, self.options = backend, options
        self.X = np.vstack([prog.X, rows])
        self.last: Solution | None = None
        self.starts: bool | None = None
        self.interrupted = False

    def trade(self, targets: FloatArray, strength: float, tol: float) -> Trade:
        """Solve for targets t (m,) and strength κ, to a relative gap."""
        prog, n, m = self.prog, self.prog.n, len(self.rows)
        plain = prog.loss.quadratic
        weight = np.append(prog.sample_scale, np.full(m, strength / m))
        stacked = ConvexProgram(
            self.X,
            np.append(prog.y, targets),
            prog.lam / weight.sum(),
            self.patterns,
            prog.loss if plain else StackedLoss(prog.loss, n),
            prog.activation,
            weight,
            prog.intercept,
        )
        if self.starts is None:
            self.starts = can_start(stacked, self.backend)
        start = self.last if self.starts else None
        found = solve(stacked, self.backend, tol, warm_start=start, options=self.options)
        self.last = found
        self.interrupted |= found.stop is StopReason.INTERRUPTED
        fits = stacked.fits(found.weights) + found.network.intercept
        norms = float(np.linalg.norm(found.weights, axis=2).sum())
        objective = prog.mean_loss(fits[:n]) + prog.lam * norms
        # Weights were divided by their mean, with rounding.
        total = float(weight.sum()) * (1 - charge(len(weight)))
        return Trade(found, objective, fits[n:], found.lower_bound * total)


def one_more_row(prog: ConvexProgram, row: FloatArray) -> Patterns:
    """The program's patterns on one more row: both ways for relu, by the gates for gated."""
    masks = prog.patterns.unpack(slice(None))
    if prog.activation.gated:
        return with_columns(masks, masks_of(row[None], _gates(prog)).T, _gates(prog))
    both = np.repeat([False, True], len(masks))[:, None]
    return with_columns(np.tile(masks, (2, 1)), both, None)


def with_columns(masks: BoolArray, more: BoolArray, gates: FloatArray | None) -> Patterns:
    """Patterns (p, n) with more samples (p, m)."""
    packed = np.packbits(np.hstack([masks, more]), axis=1)
    return Patterns.from_packed(packed, masks.shape[1] + more.shape[1], gates)


def _gates(prog: ConvexProgram) -> FloatArray:
    assert prog.patterns.gates is not None  # noqa: S101 - gated programs have them
    return prog.patterns.gates
