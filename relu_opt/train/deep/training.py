"""`train_deep`: the best deep network by a formula, where the data have a form that allows one."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_array, as_count, as_floats, as_positive
from relu_opt.errors import DataError, NotCertified, did_you_mean
from relu_opt.io import complete, need, read_npz, write_npz
from relu_opt.plugins.types import StopReason
from relu_opt.proof.verdict import Verdict, relative_gap
from relu_opt.train.deep.batch_norm import batch_norm as with_batch_norm
from relu_opt.train.deep.chains import Chains
from relu_opt.train.deep.formula import DeepFormula
from relu_opt.train.deep.layers import Layers
from relu_opt.train.deep.network import ACTIVATIONS, DeepNetwork
from relu_opt.train.deep.rank_one import rank_one
from relu_opt.train.deep.spline import spline
from relu_opt.train.deep.whitened import distance_from_isometry, linear, relu
from relu_opt.train.formulas.rank_one import TOLERANCE as RANK_ONE_TOLERANCE
from relu_opt.train.formulas.rank_one import distance_from_rank_one
from relu_opt.train.formulas.whitened import TOLERANCE as WHITENED_TOLERANCE
from relu_opt.train.formulas.whitened import distance_from_whitened
from relu_opt.verify.renamed import renamed

# How far, relative to it, the formula's objective may be from the network's own.
AGREEMENT = 1e-9
# The gap up to which the network counts as the best of all.
TOL = 1e-9
# What its file says beside the network.
CHAINS = ("targets", "slopes", "gains", "thresholds")
CLAIMS: dict[str, Callable[[Any], Any]] = {
    "kind": str,
    "choice": str,
    "value": float,
    "objective": float,
    "lower_bound": float,
    "reason": str,
    "lam": float,
}
BIASES = ("none", "last_hidden", "all")
MOST_LAYERS = 10_000
# Squares and products of numbers up to here, and down to its inverse, do not overflow.
EXTREME = 1e100


@dataclass(frozen=True, eq=False)
class DeepSolution:
    """A deep network by a formula, with what is claimed of it and why.

    There is no certificate of it that `verify` would re-check: `certificate` is None, and `verdict`
    inconclusive.

    Attributes
    ----------
    kind : {"whitened", "rank_one", "spline", "batch_norm"}
        Which formula it is.
    choice : str
        What made it this formula: the arguments, or the form that the data have, and how nearly.
    network : DeepNetwork
    value : float
        Its objective by the formula: half the *mean* squared error + λ · penalty.
    objective : float
        The network's own objective on the data, equal to `value` up to rounding.
    lower_bound : float
        What no network of this architecture is below, of any widths, by the theorem behind
        `reason`: computed in doubles, whose rounding is not counted.
    reason : str
        Why the bound holds.
    chains : Chains
        Targets, gains and thresholds of the problems of one variable.
    layers : Layers
        Ranks, sizes and alignment of the network's layers.
    lam : float
    """

    kind: str
    choice: str
    network: DeepNetwork
    value: float
    objective: float
    lower_bound: float
    reason: str
    chains: Chains
    layers: Layers
    lam: float

    bound: ClassVar[renamed] = renamed("lower_bound")
    certificate: ClassVar[None] = None
    verdict: ClassVar[Verdict] = Verdict.INCONCLUSIVE
    stop: ClassVar[StopReason] = StopReason.CONVERGED

    @property
    def stats(self) -> dict[str, Any]:
        """Which formula it is, and why."""
        return {"formula": self.kind, "choice": self.choice}

    @property
    def depth(self) -> int:
        """L, the number of layers of weights."""
        return self.network.depth

    @property
    def rel_gap(self) -> float:
        """(objective − lower_bound)/lower_bound."""
        return relative_gap(self.objective, self.lower_bound)

    @property
    def is_global(self) -> bool:
        """Whether no network of this architecture is better, to a gap of 1e-9: a claim.

        The theorem behind `reason` proves it; the numbers are computed in floating point, by this
        library alone. If not, the network attains `value` all the same: an upper bound of the
        optimum.
        """
        return abs(self.rel_gap) <= TOL

    def report(self) -> str:
        """The formula, the proof, the chains and the layers, as text."""
        proof = "global: no network is better" if self.is_global else "attained by construction"
        lines = [
            f"{self.kind}, {self.network!r}, λ = {self.lam:g}",
            f"why this formula: {self.choice}",
            f"objective {self.objective:.12g}, bound {self.lower_bound:.12g}: {proof}",
            f"why the bound holds: {self.reason}",
        ]
        if len(self.chains):
            lines += ["", "chain   target       gain         zero up to"]
        chains = zip(self.chains.targets, self.chains.gains, self.chains.thresholds, strict=True)
        lines += [
            f"{k + 1:<7d} {t:<12.6g} {a:<12.6g} {s:.6g}" for k, (t, a, s) in enumerate(chains)
        ]
        return "\n".join([*lines, "", str(self.layers)])

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write network and claims to an npz file (no pickle, no data)."""
        arrays, meta = self.network.contents()
        arrays |= {f"chain_{name}": getattr(self.chains, name) for name in CHAINS}
        meta["claims"] = {name: getattr(self, name) for name in CLAIMS}
        write_npz(path, "deep_solution", arrays, meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> DeepSolution:
        """Read what `save` wrote. The claims are read, and not checked."""
        arrays, meta = read_npz(path, "deep_solution")
        network = DeepNetwork.from_contents(arrays, meta, path)
        with complete(path, "deep solution"):
            return cls(
                network=network,
                chains=Chains(*(need(arrays, f"chain_{name}", "f", 1) for name in CHAINS)),
                layers=Layers.of(network),
                **{name: kind(meta["claims"][name]) for name, kind in CLAIMS.items()},
            )

    def __repr__(self) -> str:
        claim = "global" if self.is_global else f"rel_gap={self.rel_gap:.2e}"
        return (
            f"DeepSolution({self.kind}, depth={self.depth}, "
            f"neurons={len(self.network.weights[-2])}, "
            f"objective={self.objective:.12g}, {claim})"
        )


def train_deep(
    X: ArrayLike,
    Y: ArrayLike,
    lam: float,
    depth: int,
    batch_norm: bool = False,
    *,
    activation: str = "relu",
    bias: str = "none",
) -> DeepSolution:
    """The best deep network by a formula, for data that have one, and what is proved of it.

    It minimises ½‖f − Y‖²/n + (λ/2) Σ_l ‖W_l‖² over L layers of weights of any widths.

    Parameters
    ----------
    X : (n, d) array
        For ReLU: whitened rows, XXᵀ = s²I, or rank one. For linear networks: whitened rows or
        columns. With batch normalisation: any data that the layers before it can tell apart.
    Y : (n,) or (n, K) array
        Targets. For ReLU two rows have to be parallel or at a right angle: one column, or one-hot
        labels. Numbers of classes are no targets: pass `np.eye(K)[labels]`.
    lam : float
        Regularization strength λ > 0 on the scale of the *mean* loss: the papers' β is nλ.
    depth : int
        L from 2 to 10,000, the number of layers of weights.
    batch_norm : bool
        Batch normalisation in the last hidden layer, with weight decay on its scales and shifts
        and on the output weights alone.
    activation : {"relu", "linear"}
    bias : {"none", "last_hidden"}
        "last_hidden" has biases in the last hidden layer and at the output, without penalty, for
        one feature. There is no formula for biases in all layers.

    Returns
    -------
    DeepSolution
        The network is built, and its own objective agrees with the formula to 1e-9. `is_global`
        says whether no other network is better. No solver runs, but for the spline's small
        quadratic programs.

    Raises
    ------
    DataError
        If the data have no such form; the fields say by how much each precondition fails.
    NotCertified
        If rounding keeps network and formula apart.
    """
    data, targets = _as_data(X, Y)
    strength = as_positive(lam, "lam")
    layers = as_count(depth, "depth", 2)
    _check_choices(batch_norm, activation, bias)
    if layers > MOST_LAYERS:
        raise DataError(
            f"depth is above {MOST_LAYERS:,}, and deeper networks are not built, since each layer "
            "is stored. Use a smaller depth.",
            most=MOST_LAYERS,
        )
    if bias == "last_hidden":
        choice = 'bias="last_hidden", a linear spline of one feature'
        found = spline(data, targets, strength, layers)
    elif batch_norm:
        choice = "batch_norm=True, which whitens whatever the data are"
        found = with_batch_norm(data, targets, strength, layers)
    elif activation == "linear":
        choice, found = _linear(data, targets, strength, layers)
    else:
        choice, found = _relu(data, targets, strength, layers)
    return _agreed(found, choice, data, targets, strength)


def _as_data(X: ArrayLike, Y: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """X (n, d) and Y (n, K), of sizes whose squares are numbers."""
    if as_array(X, "X").ndim == 1:
        raise DataError(
            f"X has shape {np.shape(X)}, and two axes, (n, d), are needed. Pass X[:, None] for one "
            "feature, X[None, :] for one sample.",
            shape=np.shape(X),
        )
    data = as_floats(X, "X", 2)
    axes = as_array(Y, "Y").ndim
    targets = as_floats(Y, "Y", axes if axes in (1, 2) else 2)
    targets = targets[:, None] if targets.ndim == 1 else targets
    if len(targets) != len(data):
        raise DataError(
            f"X has {len(data)} rows and Y has {len(targets)}. Pass one target, or one row of "
            "targets, a row of X."
        )
    for name, array in (("X", data), ("Y", targets)):
        largest = float(np.abs(array).max())
        if largest and not 1 / EXTREME <= largest <= EXTREME:
            raise DataError(
                f"The largest entry of {name} is {largest:.3g}, and its powers leave the range of "
                f"floating-point numbers. Rescale {name}.",
                name=name,
                largest=largest,
            )
    return data, targets


def _check_choices(batch_norm: bool, activation: str, bias: str) -> None:
    if not isinstance(batch_norm, bool | np.bool_):
        raise DataError(
            f"batch_norm is {batch_norm!r}, and True or False is needed. Pass activation and bias "
            "by name.",
            batch_norm=batch_norm,
        )
    for name, value, known in (("activation", activation, ACTIVATIONS), ("bias", bias, BIASES)):
        if value not in known:
            raise DataError(
                f"Unknown {name} {value!r}. {did_you_mean(str(value).lower(), known)}",
                name=name,
                value=value,
            )
    if bias == "all":
        raise DataError(
            "There is no formula for biases in all layers: shared kinks then make networks that "
            'are better than any formula\'s here (docs/deep.md). Use bias="last_hidden".',
            bias=bias,
        )
    if activation == "linear" and (batch_norm or bias != "none"):
        raise DataError(
            "Linear networks have formulas only without biases and batch normalisation. Leave "
            'these out, or use activation="relu".'
        )
    if batch_norm and bias != "none":
        raise DataError("A batch normalisation has shifts of its own. Leave bias out.")


def _linear(X: FloatArray, Y: FloatArray, lam: float, depth: int) -> tuple[str, DeepFormula]:
    off = distance_from_isometry(X)
    if off > WHITENED_TOLERANCE:
        raise DataError(
            f"There is no formula for these data: the singular values of X that are not zero "
            f"differ by {off:.3g} of the largest. Whiten X first: U or UVᵀ of its SVD.",
            whitened=off,
        )
    choice = f"linear, and the non-zero singular values of X are equal (up to {off:.1g})"
    return choice, linear(X, Y, lam, depth)


def _relu(X: FloatArray, Y: FloatArray, lam: float, depth: int) -> tuple[str, DeepFormula]:
    white = distance_from_whitened(X)
    if white <= WHITENED_TOLERANCE:
        choice = f"the rows of X are whitened (XXᵀ/s² is the identity up to {white:.1g})"
        return choice, relu(X, Y, lam, depth)
    single, outputs = distance_from_rank_one(X), Y.shape[1]
    if single <= RANK_ONE_TOLERANCE and outputs == 1:
        choice = f"X has rank one (its second singular value is {single:.1g} of the first)"
        return choice, rank_one(X, Y, lam, depth)
    flat = (
        f"X is of rank one, but Y has {outputs} columns and not one"
        if single <= RANK_ONE_TOLERANCE
        else f"X is not of rank one: its second singular value is {single:.3g} of the first"
    )
    raise DataError(
        f"There is no formula for these data. The rows are not whitened: XXᵀ/s² differs from the "
        f"identity by {white:.3g}. {flat}. {_advice(X, Y, depth)}",
        whitened=white,
        rank_one=single,
        outputs=outputs,
    )


def _advice(X: FloatArray, Y: FloatArray, depth: int) -> str:
    """What has a formula, or a proof without one."""
    ways = ["batch_norm=True has a formula for most data"]
    if X.shape[1] == 1 and Y.shape[1] == 1:
        ways.append('bias="last_hidden" has one for a feature of one sign')
    elif len(X) <= X.shape[1]:
        ways.append("whitened rows are UVᵀ of X's SVD")
    two = "train_globally" if Y.shape[1] == 1 else "train_vector"
    ways.append(f"two layers are trained to a proof on any data by {two}")
    return f"What helps: {'; '.join(ways)}."


def _agreed(
    found: DeepFormula, choice: str, X: FloatArray, Y: FloatArray, lam: float
) -> DeepSolution:
    """The solution, if the formula's optimum is the network's own objective."""
    objective = found.network.objective(X, Y, lam)
    off = abs(found.value - objective)
    if not off <= AGREEMENT * abs(objective):
        raise NotCertified(
            f"The formula gives {found.value:.12g}, and the network's own objective is "
            f"{objective:.12g}. The data are too badly conditioned for it.",
            value=found.value,
            objective=objective,
        )
    return DeepSolution(
        found.kind,
        choice,
        found.network,
        found.value,
        objective,
        found.bound,
        found.reason,
        found.chains,
        Layers.of(found.network),
        lam,
    )
