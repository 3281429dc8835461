"""The training program in cvxpy's own atoms."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import UnsupportedProgram
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.losses.atoms import (
    ExponentialExcess,
    HalfSquare,
    HalfSquarePositive,
    HuberAtom,
    Linear,
    Positive,
    Softplus,
)
from relu_opt.program.lowering import Units, check_memory, into_domain, without_idle_blocks
from relu_opt_cvxpy.settings import library

# How many times cvxpy holds the sparse matrix while it rewrites the model (measured).
COPIES = 10.0


@dataclass(frozen=True, eq=False)
class ConvexModel:
    """A training program in cvxpy, in the units of `Units`."""

    prog: ConvexProgram
    units: Units
    problem: Any
    weights: list[Any]
    fits: Any
    cones: list[Any]

    @classmethod
    def of(cls, prog: ConvexProgram) -> ConvexModel:
        """Model a program.

        Raises
        ------
        DataError
            If it would not fit into memory.
        UnsupportedProgram
            If the loss has no model here.
        """
        cp = library()
        check_memory(prog, COPIES)
        units = Units.of(prog)
        masks = prog.patterns.masks.astype(np.float64)
        counts = prog.counts(slice(None)).T
        X = units.weight / units.fit * prog.X
        z = cp.Variable(prog.n)
        weights = [cp.Variable((prog.d, len(prog.patterns))) for _ in prog.signs]
        total = sum(
            sign * cp.sum(cp.multiply(counts, X @ W), axis=1)
            for sign, W in zip(prog.signs, weights, strict=True)
        )
        fits = (total + cp.Variable() if prog.intercept else total) == z
        signed = 2.0 * masks - 1.0
        cones = [cp.multiply(signed, prog.cone_rows.unit @ W) >= 0 for W in weights]
        if prog.activation.gated:
            cones = []
        loss, slacks = _loss(prog, units, z)
        norms = cp.sum([cp.sum(cp.norm(W, 2, axis=0)) for W in weights])
        objective = units.loss / units.cost * loss + norms
        problem = cp.Problem(cp.Minimize(objective), [fits, *cones, *slacks])
        return cls(prog, units, problem, weights, fits, cones)

    def recover(self) -> tuple[FloatArray | None, FloatArray | None]:
        """The solved model's weights, in the program's shape, and ν; None where missing."""
        if any(W.value is None for W in self.weights):
            return None, None
        weights = self.units.weight * np.stack([W.value.T for W in self.weights])
        if self.fits.dual_value is None:
            return weights, None
        # The multiplier of fits = z is ∇F(ŷ) in the model's units.
        nu = -self.units.cost / self.units.fit * self.fits.dual_value
        slack = 1.0 - np.linalg.norm(self._neurons(nu), axis=2) / self.prog.lam
        return without_idle_blocks(weights, slack, self.units.weight), into_domain(self.prog, nu)

    def _neurons(self, nu: FloatArray) -> FloatArray:
        """v_b = X_bᵀν + (S_iX)ᵀρ_b of the solver's own multipliers, (signs, p, d)."""
        prog, common = self.prog, self.prog.correlations(nu)
        neurons = np.stack([sign * common for sign in prog.signs])
        for k, cone in enumerate(self.cones):
            rho = self.units.cost / self.units.weight * np.asarray(cone.dual_value)
            signed = np.where(prog.patterns.masks, rho, -rho)
            neurons[k] += signed.T @ prog.cone_rows.unit
        return neurons

    def objective(self) -> float | None:
        """The solver's objective in the program's units."""
        value = self.problem.value
        return None if value is None or not np.isfinite(value) else self.units.cost * float(value)


def _loss(prog: ConvexProgram, units: Units, z: Any) -> tuple[Any, list[Any]]:
    """F/units.loss at the fits centre + fit·z, and the constraints on its slacks."""
    cp = library()
    total, slacks = 0.0, []
    for atom in prog.loss.atoms(prog.y):
        # Its argument is unit·r.
        unit, weight = units.fit, atom.share * prog.sample_scale / units.loss
        r = cp.multiply(atom.slope, z) + (atom.slope * units.centre + atom.offset) / unit
        if isinstance(atom, HalfSquare):
            total += 0.5 * cp.sum_squares(cp.multiply(unit * np.sqrt(weight), r))
        elif isinstance(atom, HuberAtom):
            total += 0.5 * unit**2 * weight @ cp.huber(r, atom.delta / unit)
        elif isinstance(atom, Positive | HalfSquarePositive):
            # cp.pos in the objective lets cvxpy derive NaN bounds from zeros in the data.
            linear = isinstance(atom, Positive)
            slack = cp.Variable(prog.n, nonneg=linear)
            slacks.append(slack >= r)
            half = 0.5 * cp.sum_squares(cp.multiply(unit * np.sqrt(weight), slack))
            total += unit * weight @ slack if linear else half
        elif isinstance(atom, Softplus):
            total += weight @ cp.logistic(unit * r)
        elif isinstance(atom, ExponentialExcess):
            total += weight @ (cp.exp(unit * r) - 1.0 - unit * r)
        elif isinstance(atom, Linear):
            total += unit * weight @ r
        else:
            raise UnsupportedProgram(
                f"The atom {type(atom).__name__} of the {prog.loss.name} loss has no model in "
                "cvxpy here. Use another backend.",
                loss=prog.loss.name,
            )
    if isinstance(total, float):
        raise UnsupportedProgram(
            f"The {prog.loss.name} loss has no atoms, and so no model in cvxpy. Use "
            "backend='native'.",
            loss=prog.loss.name,
        )
    return total, slacks
