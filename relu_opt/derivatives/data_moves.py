r"""How Newton's equations on the faces change with X.

When X moves by dX, the faces {u : X_R u = 0} turn. With w_j = N_jz_j, multipliers τ_j on the face's
rows R_j (λŵ_j = X_jᵀν + X_Rᵀτ_j), H_j = (I − ŵ_jŵ_jᵀ)/‖w_j‖ and g = ∇F(ŷ), the neuron moves by

    dw_j = p_j + N_j dz_j,   p_j = −X_R⁺ dX_R w_j,   K dz = −r,
    r_j  = N_jᵀ [X_jᵀΦa + dX_jᵀg + λH_jp_j − dX_Rᵀτ_j],   a = Σ_j (X_jp_j + dX_jw_j).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.derivatives.differentiability import Contact
from relu_opt.program.convex import ConvexProgram
from relu_opt.sets.active_system import ActiveSystem


@dataclass(frozen=True, eq=False)
class DataMoves:
    """The two linear maps of dX that the derivative in X is made of, and their transposes.

    Attributes
    ----------
    prog : ConvexProgram
    system : ActiveSystem
        Newton's equations.
    z : array
        Where they are solved.
    contacts : sequence of Contact
        Rows and multipliers of each neuron's face.
    """

    prog: ConvexProgram
    system: ActiveSystem
    z: FloatArray
    contacts: Sequence[Contact]

    @cached_property
    def _blocks(self) -> FloatArray:
        return self.system.blocks(self.z)

    @cached_property
    def _active(self) -> FloatArray:
        """s_j times the pattern, (k, n)."""
        return self.system.signs[:, None] * self.system.counts

    @cached_property
    def _slope(self) -> FloatArray:
        return self.prog.loss_gradient(self.system.columns @ self.z)

    @cached_property
    def _curvature(self) -> FloatArray:
        return self.prog.loss_hessian(self.system.columns @ self.z)

    @cached_property
    def _pseudoinverses(self) -> list[FloatArray]:
        """X_R⁺ of each face, (d, f)."""
        return [np.asarray(np.linalg.pinv(self.prog.X[each.rows])) for each in self.contacts]

    def forward(self, dX: FloatArray) -> tuple[FloatArray, FloatArray]:
        """p (k, d) and r (size,) of a move of X, (n, d)."""
        prog, blocks = self.prog, self._blocks
        own = np.array(
            [
                -inverse @ (dX[each.rows] @ block)
                for inverse, each, block in zip(
                    self._pseudoinverses, self.contacts, blocks, strict=True
                )
            ]
        ).reshape(blocks.shape)
        change = np.einsum("kn,kn->n", self._active, own @ prog.X.T + blocks @ dX.T)
        pushed = self._curvature * change
        force = (self._active * pushed) @ prog.X + (self._active * self._slope) @ dX
        force += prog.lam * self._across(own)
        for row, each in zip(force, self.contacts, strict=True):
            row -= each.rho @ dX[each.rows]
        return own, self.system.coordinates(force, float(pushed.sum()))

    def backward(self, cotangent: FloatArray, q: FloatArray) -> FloatArray:
        """The gradient (n, d) in X of Σ_j cotangent_j·p_j − q·r."""
        prog, blocks, turns = self.prog, self._blocks, self.system.blocks(q)
        pushed = self._curvature * (self.system.columns @ q)
        on_own = cotangent - (self._active * pushed) @ prog.X - prog.lam * self._across(turns)
        gradient = -(self._active * pushed).T @ blocks - (self._active * self._slope).T @ turns
        for inverse, each, block, turn, own in zip(
            self._pseudoinverses, self.contacts, blocks, turns, on_own, strict=True
        ):
            gradient[each.rows] += np.outer(each.rho, turn) - np.outer(inverse.T @ own, block)
        return np.asarray(gradient)

    def _across(self, vectors: FloatArray) -> FloatArray:
        """H_j times a vector for each neuron."""
        norms = np.linalg.norm(self._blocks, axis=1, keepdims=True)
        units = self._blocks / norms
        along = (units * vectors).sum(axis=1, keepdims=True)
        return np.asarray((vectors - along * units) / norms)
