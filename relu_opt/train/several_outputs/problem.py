r"""The training problem of a network with several outputs, and its dual.

    minimise  (1/2n) ‖f − Y‖² + (λ/2) Σ_j (‖u_j‖² + ‖w_j‖²)

is, neurons scaled to ‖u_j‖ = 1, the same with the penalty λ Σ_j ‖w_j‖. Its dual is

    maximise  ⟨V, Y⟩ − (n/2) ‖V‖²   subject to   M(V) = max_{‖u‖ ≤ 1} ‖h(u)‖ ≤ λ,

with h(u) = Vᵀ(Xu)₊, and 1ᵀV = 0 where there are output constants. Over patches h stacks the
Vᵀ(X_k u)₊, pooled it averages them. In each case h(u) = Σ_i (x_iᵀu)₊ ω_i for some rows x_i and
ω_i: that is all an oracle needs. (Sahiner et al., ICLR 2021, with the sum of losses, β = nλ.)
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, IntArray, as_array, as_floats, as_positive
from relu_opt.errors import DataError
from relu_opt.program.units import Units, centre_of, exponent, scaled
from relu_opt.train.all_patterns.separation_bounds import RowSpace
from relu_opt.train.several_outputs.network import VectorNetwork, as_patches


@dataclass(frozen=True, eq=False)
class VectorProblem:
    """Data, targets and λ; the neurons see X, or patches of it."""

    X: FloatArray
    Y: FloatArray
    lam: float
    intercept: bool = False
    patches: IntArray | None = None
    pooled: bool = False

    @classmethod
    def of(
        cls,
        X: ArrayLike,
        Y: ArrayLike,
        lam: float,
        intercept: bool = False,
        patches: ArrayLike | None = None,
        pooled: bool = False,
    ) -> VectorProblem:
        """The problem of checked input, or a DataError."""
        data = as_floats(X, "X", 2)
        raw = as_array(Y, "Y")
        targets = as_floats(raw[:, None] if raw.ndim == 1 and raw.size else raw, "Y", 2)
        if len(data) != len(targets):
            raise DataError(
                f"X has {len(data)} rows and Y has {len(targets)}. One row of targets a row is "
                "needed.",
                X=data.shape,
                Y=targets.shape,
            )
        chosen = None if patches is None else as_patches(patches, data.shape[1])
        if pooled and chosen is None:
            raise DataError("Average pooling is over patches. Pass patches=.")
        return cls(data, targets, as_positive(lam, "lam"), bool(intercept), chosen, bool(pooled))

    @property
    def n(self) -> int:
        return len(self.X)

    @cached_property
    def units(self) -> Units:
        """The powers of two that bring X and the targets to size one."""
        return Units(exponent(self.X), exponent(self.Y - self.centres))

    @cached_property
    def centres(self) -> FloatArray:
        """What each column of targets is measured from, (c,): not 0 only with constants."""
        columns = self.Y.T if self.intercept else np.zeros((self.Y.shape[1], 1))
        return np.array([centre_of(column) for column in columns])

    @cached_property
    def canonical(self) -> VectorProblem:
        """The same problem in its `units`, and from its `centres`: what is solved.

        Raises
        ------
        DataError
            If λ is too small or too large beside X and Y to be held by a double there.
        """
        units = self.units
        lam = units.in_strength(self.lam)
        if not sys.float_info.min <= lam <= sys.float_info.max:
            raise DataError(
                f"lam is {self.lam:g}, which is beyond double precision beside X of size "
                f"2^{units.x} and Y of size 2^{units.y}. Choose another lam.",
                lam=self.lam,
            )
        return self.of_size_one(lam)

    def of_size_one(self, lam: float) -> VectorProblem:
        """Data and targets in `units`, targets from `centres`, with a λ."""
        X, Y = self.units.in_data(self.X), self.units.in_targets(self.Y - self.centres)
        return replace(self, X=X, Y=Y, lam=lam)

    def as_given(self, network: VectorNetwork) -> VectorNetwork:
        """A network of the canonical problem, in the units of this one."""
        units = self.units
        constants = scaled(network.constants, units.y) + self.centres
        return VectorNetwork(
            units.layer(network.hidden), units.layer(network.output), constants, network.patches
        )

    @property
    def blocks(self) -> int:
        """Rows of the output weights of one neuron: patches, unless they are pooled."""
        return 1 if self.patches is None or self.pooled else len(self.patches)

    @cached_property
    def rows(self) -> FloatArray:
        """What a neuron sees: the rows of X, or of X_1, …, X_K one after another."""
        if self.patches is None:
            return self.X
        return np.concatenate([self.X[:, patch] for patch in self.patches])

    @cached_property
    def space(self) -> RowSpace:
        """The row space of `rows`."""
        return RowSpace.of(self.rows)

    def row_weights(self, V: FloatArray) -> FloatArray:
        """The ω_i with h(u) = Σ_i (x_iᵀu)₊ ω_i, one for each of `rows`."""
        if self.patches is None:
            return V
        K, (n, c) = len(self.patches), V.shape
        if self.pooled:
            return np.tile(V / K, (K, 1))
        weights = np.zeros((K, n, K, c))
        weights[range(K), :, range(K)] = V
        return weights.reshape(K * n, K * c)

    def features(self, directions: FloatArray) -> FloatArray:
        """(n, m · blocks): the values of neurons with these directions, (m, h)."""
        values = np.maximum(self.rows @ directions.T, 0.0)
        if self.patches is None:
            return values
        values = values.reshape(len(self.patches), self.n, -1)
        if self.pooled:
            return np.asarray(values.mean(axis=0))
        return values.transpose(1, 2, 0).reshape(self.n, -1)

    def network(self, directions: FloatArray, weights: FloatArray) -> VectorNetwork:
        """The balanced network of unit directions (m, h) and weights (m · blocks, c)."""
        c = self.Y.shape[1]
        split = self.patches is not None and not self.pooled
        shape = (len(directions), self.blocks, c) if split else (len(directions), c)
        plain = VectorNetwork(directions, weights.reshape(shape), None, self.patches).balance()
        if not self.intercept:
            return plain
        constants = (self.Y - plain.predict(self.X)).mean(axis=0)
        return VectorNetwork(plain.hidden, plain.output, constants, self.patches)

    def fitting(self, network: VectorNetwork) -> VectorNetwork:
        """A network of the user's, balanced, or a DataError if it is not of this problem."""
        if not isinstance(network, VectorNetwork):
            raise DataError(f"A VectorNetwork is needed, not a {type(network).__name__}.")
        theirs, mine = network.patches, self.patches
        if theirs is None or mine is None:
            seen_alike = theirs is mine
        else:
            seen_alike = np.array_equal(theirs, mine)
        same = (
            seen_alike
            and network.pooled == self.pooled
            and network.outputs == self.Y.shape[1]
            and network.hidden.shape[1] == self.rows.shape[1]
        )
        if not same:
            raise DataError(
                f"{network!r} with {network.hidden.shape[1]} inputs a neuron is not for these "
                f"data: {self.rows.shape[1]} inputs a neuron, {self.Y.shape[1]} outputs."
            )
        if network.constants.any() and not self.intercept:
            raise DataError(
                "The network has output constants, and the problem has none. Pass intercept=True."
            )
        return network.balance()

    def objective(self, network: VectorNetwork) -> float:
        """Of the problem, at a network."""
        return network.objective(self.X, self.Y, self.lam)

    def dual_point(self, network: VectorNetwork | None) -> FloatArray:
        """V = (Y − f)/n, columns of mean 0 where there are output constants."""
        fits = 0.0 if network is None else network.predict(self.X)
        V = (self.Y - fits) / self.n
        return V - V.mean(axis=0) if self.intercept else V

    def dual_objective(self, V: FloatArray) -> float:
        """⟨V, Y⟩ − (n/2)‖V‖²: no network is below, *if* M(V) ≤ λ (and 1ᵀV = 0)."""
        return float((V * self.Y).sum()) - 0.5 * self.n * float((V * V).sum())

    def best_scale(self, V: FloatArray, largest: float) -> float:
        """The t in [0, λ/largest] with the largest dual objective of tV."""
        size = self.n * float((V * V).sum())
        if size == 0.0 or largest == 0.0:
            return 1.0
        return min(self.lam / largest, max(0.0, float((V * self.Y).sum()) / size))
