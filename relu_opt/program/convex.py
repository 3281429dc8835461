r"""The convex training program, as the backends and the certificate see it.

    minimise  F(Σ_b X_b w_b + c) + λ Σ_b ‖w_b‖₂   subject to  w_b ∈ K_i(b)       (relu)

with blocks b = (i, s), X_b = s D_i X and signs s = ±1; a leaky ReLU of slope κ has D_i + κ(I − D_i)
for D_i, and gated networks have no cones and the sign +1 only.

F(z) = (1/n) Σ_k s_k ℓ(z_k, y_k) is a mean, so λ does not change with n: the
λ of Mishkin & Pilanci (ICML 2023, §2) is n times this one. c is an optional output intercept,
which is not penalised.
"""

from __future__ import annotations

import copy
import sys
from dataclasses import dataclass, field, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, IntArray, as_floats, as_positive, as_rows, frozen
from relu_opt.clock import Clock
from relu_opt.errors import DataError
from relu_opt.program.activations import RELU, Activation, get_activation
from relu_opt.program.cones import ConeRows, Projections, project_cones
from relu_opt.program.loss_term import LossTerm, of_mean_one
from relu_opt.program.losses import Loss, get_loss
from relu_opt.program.patterns import Patterns
from relu_opt.program.units import PLAIN, Units
from relu_opt.rounding import gamma


@dataclass(frozen=True, eq=False)
class ConvexProgram(LossTerm):
    """A two-layer ReLU or gated-ReLU training problem in its convex form.

    Parameters
    ----------
    X : (n, d) array
        Data, one row a sample. A hidden bias is a column of ones.
    y : (n,) array
        Targets; labels −1 and +1 for `logistic`, `hinge` and `squared_hinge`.
    lam : float
        Regularization strength λ > 0, on the scale of the *mean* loss.
    patterns : Patterns
        Activation patterns of X; see `sample_patterns` and `enumerate_patterns`.
    loss : str or Loss
        `squared`, `logistic`, `squared_hinge`, `hinge`, `huber`, or a loss object such as
        `Huber(delta=0.5)`.
    activation : {"relu", "gated", "leaky", "absolute"} or Activation
        Gated networks need patterns with gates; `Leaky(slope)` has a slope of your own.
    sample_weight : (n,) array, optional
        Weights > 0; they are rescaled to mean 1.
    intercept : bool
        Whether the network's output has an unpenalised constant.

    Attributes
    ----------
    signs : tuple of float
        Output signs of the blocks: (1, −1), or (1,) for gated.
    weights_shape : tuple of int
        (2, p, d) for relu, [0] holding the blocks of sign +1; (1, p, d) for gated.
    lam_max : float
        The smallest λ at which the zero network is optimal, 0 if it is so at every λ up to
        rounding; with the hinge loss and an intercept, a bound above it.

    Raises
    ------
    DataError
        For anything that is not such a problem: wrong shapes, NaN, λ ≤ 0, bad labels.
    """

    X: FloatArray
    y: FloatArray
    lam: float
    patterns: Patterns
    loss: Loss = field(default="squared")  # type: ignore[assignment]
    activation: Activation = RELU
    sample_weight: FloatArray | None = None
    intercept: bool = False

    def __post_init__(self) -> None:
        settle = object.__setattr__
        settle(self, "X", as_floats(self.X, "X", 2))
        settle(self, "y", as_floats(self.y, "y", 1))
        settle(self, "lam", as_positive(self.lam, "lam"))
        settle(self, "loss", get_loss(self.loss))
        settle(self, "intercept", bool(self.intercept))
        if len(self.y) != self.n:
            raise DataError(
                f"X has {self.n} rows and y has {len(self.y)} values. One target a row is needed.",
                X=self.X.shape,
                y=self.y.shape,
            )
        settle(self, "activation", get_activation(self.activation))
        self.loss.check_targets(self.y, self.intercept)
        self._check_patterns(self.patterns)
        if self.sample_weight is not None:
            settle(self, "sample_weight", self._checked_weights(self.sample_weight))

    def _check_patterns(self, patterns: Patterns) -> None:
        if not isinstance(patterns, Patterns):
            raise DataError(
                f"patterns is a {type(patterns).__name__}, and Patterns are needed. Use "
                "sample_patterns(X), enumerate_patterns(X) or Patterns(masks)."
            )
        if patterns.n != self.n:
            raise DataError(
                f"The patterns are of {patterns.n} samples, and X has {self.n}. "
                "Make them from the same X.",
                patterns=patterns.n,
                X=self.n,
            )
        if self.activation.gated and patterns.gates is None:
            raise DataError(
                "A gated network predicts through its gates, and these patterns have none. "
                "Use sample_patterns, or pass gates to Patterns."
            )
        if self.activation.gated and patterns.remainders is not None:
            raise DataError(
                "Some of these patterns are cells too thin to hold a double, so that no gate of a "
                "gated network has them. Use sample_patterns, or the relu activation."
            )
        if patterns.gates is not None and len(patterns.gates) != self.d:
            raise DataError(
                f"The gates have {len(patterns.gates)} entries, and X has {self.d} columns."
            )

    def _checked_weights(self, sample_weight: ArrayLike) -> FloatArray:
        weights = as_floats(sample_weight, "sample_weight", 1)
        if len(weights) != self.n:
            raise DataError(f"sample_weight has {len(weights)} values, and X has {self.n} rows.")
        return of_mean_one(weights)

    def __repr__(self) -> str:
        return (
            f"ConvexProgram(n={self.n}, d={self.d}, p={len(self.patterns)}, lam={self.lam:g}, "
            f"loss={self.loss.name!r}, activation={self.activation.name!r})"
        )

    # -- sizes -----------------------------------------------------------------

    @property
    def n(self) -> int:
        """Number of samples."""
        return len(self.X)

    @property
    def d(self) -> int:
        """Number of features, the hidden bias included."""
        return int(self.X.shape[1])

    @property
    def signs(self) -> tuple[float, ...]:
        return self.activation.signs

    @property
    def weights_shape(self) -> tuple[int, int, int]:
        return (len(self.signs), len(self.patterns), self.d)

    @cached_property
    def cone_rows(self) -> ConeRows:
        """The rows of X as constraints of the activation cones."""
        return ConeRows.of(self.X)

    @cached_property
    def units(self) -> Units:
        """The powers of two that bring X and y to size one."""
        return Units.of(self.X, self.y, self.loss, self.intercept)

    @property
    def canonical(self) -> ConvexProgram:
        """The same problem in its `units`: what is solved and proved, whatever the user's units.

        Raises
        ------
        DataError
            If λ is too small or too large beside X and y to be held by a double there.
        """
        units = self.units
        if units == PLAIN:
            return self
        lam = units.in_strength(self.lam)
        if not sys.float_info.min <= lam <= sys.float_info.max:
            raise DataError(
                f"lam is {self.lam:g}, which is beyond double precision beside X of size "
                f"2^{units.x} and y of size 2^{units.y}. Choose a share of lam_max.",
                lam=self.lam,
            )
        return self._canonical_data.with_lam(lam)

    @cached_property
    def _canonical_data(self) -> ConvexProgram:
        """The problem with X, y and the loss in its `units`, and a λ that has no meaning."""
        units = self.units
        if units == PLAIN:
            return self
        settled = {each.name: getattr(self, each.name) for each in fields(self)}
        settled["X"] = frozen(units.in_data(self.X))
        settled["y"] = frozen(units.in_targets(self.y))
        settled["loss"] = units.in_loss(self.loss)
        settled["units"] = PLAIN
        # They were checked, and sample weights are not to be rescaled twice.
        made = object.__new__(ConvexProgram)
        made.__dict__.update(settled)
        return made

    def with_lam(self, lam: float) -> ConvexProgram:
        """The same problem at another regularization strength."""
        changed = copy.copy(self)
        object.__setattr__(changed, "lam", as_positive(lam, "lam"))
        return changed

    def with_patterns(self, patterns: Patterns) -> ConvexProgram:
        """The same problem over other patterns."""
        self._check_patterns(patterns)
        changed = copy.copy(self)
        object.__setattr__(changed, "patterns", patterns)
        for known in ("lam_max", "_canonical_data"):
            changed.__dict__.pop(known, None)
        return changed

    def with_rows(self, rows: ArrayLike) -> ConvexProgram:
        """The same problem on some of the samples, (k,) positions; weights get the mean 1 again."""
        chosen = as_rows(rows, "rows", self.n)
        return replace(
            self,
            X=self.X[chosen],
            y=self.y[chosen],
            patterns=self.patterns.with_rows(chosen),
            sample_weight=None if self.sample_weight is None else self.sample_weight[chosen],
        )

    # -- primal ----------------------------------------------------------------

    def fits(self, weights: FloatArray) -> FloatArray:
        """ŷ = Σ_b X_b w_b, (n,), of weights of shape `weights_shape`."""
        return self.fits_of_patterns(
            np.tensordot(np.asarray(self.signs), self.check_weights(weights), axes=1)
        )

    def counts(self, which: slice | IntArray) -> FloatArray:
        """How often each sample counts in chosen patterns: D_i + κ(I − D_i), one *row* each."""
        return self.activation.counts(self.patterns.unpack(which))

    def fits_of_patterns(self, signed: FloatArray) -> FloatArray:
        """Σ_i (D_i + κ(I − D_i)) X u_i, (n,), of one vector u_i a pattern, (p, d)."""
        active = np.flatnonzero(signed.any(axis=1))
        total = np.zeros(self.n)
        step = max(1, 2**22 // self.n)
        for start in range(0, len(active), step):
            part = active[start : start + step]
            total += np.einsum("kn,nk->n", self.counts(part), self.X @ signed[part].T)
        return total

    def check_weights(self, weights: ArrayLike) -> FloatArray:
        """The weights as an array of `weights_shape`, or a DataError."""
        array = as_floats(weights, "weights", 3)
        if array.shape != self.weights_shape:
            raise DataError(
                f"weights has shape {array.shape}, and {self.weights_shape} is needed: "
                "(signs, patterns, features).",
                shape=array.shape,
                needed=self.weights_shape,
            )
        return array

    def objective(self, weights: FloatArray, intercept: float = 0.0) -> float:
        """F(Σ_b X_b w_b + c) + λ Σ_b ‖w_b‖; the cones are not looked at."""
        norms = np.linalg.norm(weights, axis=2)
        return self.mean_loss(self.fits(weights) + intercept) + self.lam * float(norms.sum())

    def gradient(self, weights: FloatArray, intercept: float = 0.0) -> FloatArray:
        """∂F/∂w_b = X_bᵀ∇F(ŷ) for every block, in the shape of the weights."""
        common = self.correlations(self.loss_gradient(self.fits(weights) + intercept))
        return np.stack([sign * common for sign in self.signs])

    def cone_violation(self, weights: FloatArray) -> float:
        """Largest violation of a cone, relative to the row's and the block's norm."""
        if self.activation.gated:
            return 0.0
        sign, which = np.nonzero(weights.any(axis=2))
        worst, step = 0.0, max(1, 2**22 // self.n)
        for start in range(0, len(which), step):
            part = slice(start, start + step)
            masks = self.patterns.unpack(which[part])
            violation = self.cone_rows.violation(weights[sign[part], which[part]], masks)
            worst = max(worst, float(violation.max(initial=0.0)))
        return worst

    # -- dual ------------------------------------------------------------------

    def correlations(
        self, nu: FloatArray, which: IntArray | None = None, clock: Clock | None = None
    ) -> FloatArray:
        """Xᵀ(D_i + κ(I − D_i))ν of every pattern (or of those chosen), (p, d).

        `TimeUp` ends it between parts.
        """
        if which is not None:
            return np.asarray(self.counts(which) * nu @ self.X)
        result = np.empty((len(self.patterns), self.d))
        for part in self.patterns.chunks():
            if clock is not None and part.start:
                clock.check()
            masked = self.counts(part)
            masked *= nu
            np.matmul(masked, self.X, out=result[part])
        return result

    def project(
        self,
        correlations: FloatArray,
        blocks: IntArray,
        guesses: list[IntArray] | None = None,
        enough: float = 0.0,
    ) -> Projections:
        """v_b = P_K(X_bᵀν) of chosen blocks (relu).

        Parameters
        ----------
        correlations : (p, d) array
            What `correlations(nu)` returns.
        blocks : (m,) array of int
            Flat block numbers: pattern i with sign +1 is i, with sign −1 is p + i.
        guesses : list of index arrays, optional
            Rows that may carry a multiplier, one array a block.
        enough : float
            A point of at most this norm need not be exact; see `project_cones`.
        """
        sign, which = np.divmod(blocks, len(self.patterns))
        targets = np.where(sign == 0, 1.0, -1.0)[:, None] * correlations[which]
        return project_cones(self.cone_rows, self.patterns.unpack(which), targets, guesses, enough)

    @cached_property
    def lam_max(self) -> float:
        """max_b g_b(−∇F(0)): the zero network is optimal iff λ is at least this.

        0 where it is no larger than what rounding may make of a zero.
        """
        return self._lam_max(cones=not self.activation.gated)

    @property
    def lam_max_without_cones(self) -> float:
        """max_b ‖X_bᵀ∇F(0)‖, which is at least `lam_max` and needs no projections."""
        return self._lam_max(cones=False)

    def _lam_max(self, cones: bool) -> float:
        own = self._canonical_data
        pull = own._strongest_pull(cones)
        return self.units.strength(pull) if pull > own._pull_of_rounding() else 0.0

    def _pull_of_rounding(self) -> float:
        """What rounding may add to max_b g_b(−∇F(0)): that of the slopes, and of sums of n."""
        reach = (self.sample_scale * self.loss.slope_terms(self.y)) @ np.abs(self.X)
        rounding = gamma(2 * self.n + 16) * self.activation.reach
        return rounding * float(np.linalg.norm(reach))

    def _strongest_pull(self, cones: bool) -> float:
        """max_b g_b(−∇F(0)) as it is computed, or max_b ‖X_bᵀ∇F(0)‖ without cones."""
        common = self.correlations(self.dual_start())
        norms = np.linalg.norm(common, axis=1)
        if not cones:
            return float(norms.max())
        largest = 0.0
        order = np.argsort(-norms)
        for start in range(0, len(order), 16):
            part = order[start : start + 16]
            part = part[norms[part] > largest]
            if not len(part):
                break
            blocks = np.concatenate([part, part + len(self.patterns)])
            points = self.project(common, blocks, enough=largest).points
            largest = max(largest, float(np.linalg.norm(points, axis=1).max()))
        return largest
