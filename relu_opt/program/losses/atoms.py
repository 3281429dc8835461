"""The convex functions of one number that conic solvers know, and losses are made of.

An atom is share·φ(slope·z + offset), elementwise over the samples. How φ lies in cones is told here
once; a modelling language may have a name of its own for the class.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import block_array, csc_array, diags_array, eye_array, hstack, kron

from relu_opt.arrays import FloatArray


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows s = b − A (r, e) over an atom's arguments r, (n,), and its own variables e."""

    A: csc_array
    b: FloatArray

    @classmethod
    def none(cls, columns: int) -> Rows:
        """No rows."""
        return cls(csc_array((0, columns)), np.empty(0))


@dataclass(frozen=True, eq=False)
class Epigraph:
    """What an atom costs, with what lies in which cone.

    Attributes
    ----------
    linear : (n,) array
        The cost of r.
    cost : (m,) array
        That of e.
    nonnegative, exponential : Rows
        s ≥ 0; and s in exponential cones, three rows each.
    square : sparse (k, n + m) array
        ½‖square (r, e)‖² is added to the cost.
    """

    linear: FloatArray
    cost: FloatArray
    nonnegative: Rows
    square: csc_array
    exponential: Rows


@dataclass(frozen=True, eq=False)
class Atom:
    """share·φ(slope·z + offset); `share`, `slope` and `offset` are (n,) arrays, share ≥ 0."""

    share: FloatArray
    slope: FloatArray
    offset: FloatArray

    @property
    def exponential(self) -> bool:
        """Whether it needs exponential cones."""
        return False

    def epigraph(self, weight: FloatArray, unit: float) -> Epigraph:
        """Σ weight·φ(unit·r) over cones, with weights (n,) that `share` is part of."""
        raise NotImplementedError


def _plain(
    n: int,
    linear: FloatArray,
    cost: FloatArray,
    nonnegative: Rows | None = None,
    square: csc_array | None = None,
    exponential: Rows | None = None,
) -> Epigraph:
    columns = n + cost.size
    return Epigraph(
        linear,
        cost,
        nonnegative or Rows.none(columns),
        csc_array((0, columns)) if square is None else csc_array(square),
        exponential or Rows.none(columns),
    )


class Linear(Atom):
    """r; its share may have any sign."""

    def epigraph(self, weight: FloatArray, unit: float) -> Epigraph:
        return _plain(len(weight), unit * weight, np.empty(0))


class Positive(Atom):
    """max(0, r)."""

    def epigraph(self, weight: FloatArray, unit: float) -> Epigraph:
        # e = (h): h ≥ r and h ≥ 0.
        n = len(weight)
        eye, none = eye_array(n), csc_array((n, n))
        rows = Rows(block_array([[eye, -eye], [none, -eye]], format="csc"), np.zeros(2 * n))
        return _plain(n, np.zeros(n), unit * weight, rows)


class HalfSquare(Atom):
    """½r²."""

    def epigraph(self, weight: FloatArray, unit: float) -> Epigraph:
        n = len(weight)
        return _plain(n, np.zeros(n), np.empty(0), square=unit * diags_array(np.sqrt(weight)))


class HalfSquarePositive(Atom):
    """½ max(0, r)²."""

    def epigraph(self, weight: FloatArray, unit: float) -> Epigraph:
        # e = (h): h ≥ r; h ≥ 0 holds by itself.
        n = len(weight)
        root = unit * diags_array(np.sqrt(weight))
        rows = Rows(csc_array(hstack([eye_array(n), -eye_array(n)])), np.zeros(n))
        return _plain(n, np.zeros(n), np.zeros(n), rows, hstack([csc_array((n, n)), root]))


@dataclass(frozen=True, eq=False)
class HuberAtom(Atom):
    """½r² for |r| ≤ δ, δ(|r| − δ/2) beyond."""

    delta: float

    def epigraph(self, weight: FloatArray, unit: float) -> Epigraph:
        # e = (v, u): r is v, charged quadratically, plus a rest in [−u, u].
        n = len(weight)
        eye = eye_array(n)
        rest = block_array([[eye, -eye, -eye], [-eye, eye, -eye]], format="csc")
        root = unit * diags_array(np.sqrt(weight))
        return _plain(
            n,
            np.zeros(n),
            np.r_[np.zeros(n), self.delta * unit * weight],
            Rows(rest, np.zeros(2 * n)),
            hstack([csc_array((n, n)), root, csc_array((n, n))]),
        )


class Softplus(Atom):
    """log(1 + eʳ)."""

    @property
    def exponential(self) -> bool:
        return True

    def epigraph(self, weight: FloatArray, unit: float) -> Epigraph:
        # e = (τ, a): τ ≥ log(1 + eʳ) iff e^−τ ≤ a and e^(r − τ) ≤ 1 − a.
        n = len(weight)
        eye = eye_array(n)
        arguments = kron(-unit * eye, _column(6, 3))
        tau = kron(eye, _column(6, 0) + _column(6, 3))
        split = kron(eye, _column(6, 5) - _column(6, 2))
        rows = Rows(
            csc_array(hstack([arguments, tau, split])), np.tile([0.0, 1.0, 0.0, 0.0, 1.0, 1.0], n)
        )
        return _plain(n, np.zeros(n), np.r_[weight, np.zeros(n)], exponential=rows)


class ExponentialExcess(Atom):
    """eʳ − 1 − r."""

    @property
    def exponential(self) -> bool:
        return True

    def epigraph(self, weight: FloatArray, unit: float) -> Epigraph:
        # e = (t): eʳ ≤ 1 + t.
        n = len(weight)
        arguments = kron(-unit * eye_array(n), _column(3, 0))
        excess = kron(eye_array(n), -_column(3, 2))
        rows = Rows(csc_array(hstack([arguments, excess])), np.tile([0.0, 1.0, 1.0], n))
        return _plain(n, -unit * weight, weight.copy(), exponential=rows)


def _column(rows: int, row: int) -> csc_array:
    """The unit column of one of a sample's rows."""
    return csc_array(([1.0], ([row], [0])), shape=(rows, 1))
