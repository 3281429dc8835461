"""`closed_form`: the optimal network by a formula, where the data have a form that allows one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray, as_array, as_count, as_floats, as_positive, as_targets
from relu_opt.errors import DataError, NotCertified, did_you_mean
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork, users_network
from relu_opt.program.spike_free import STRETCH_TOL, is_spike_free
from relu_opt.program.units import Units, exponent, scaled
from relu_opt.proof.answer import Answer, Proved
from relu_opt.proof.assembly import certificate_of
from relu_opt.proof.certificate import Coverage, NetworkCertificate
from relu_opt.proof.dual_bound import lower_bound
from relu_opt.train.formulas.formula import INTERPOLATION, LOSSES, Formula, ones_pattern
from relu_opt.train.formulas.rank_one import TOLERANCE as RANK_ONE_TOLERANCE
from relu_opt.train.formulas.rank_one import distance_from_rank_one, rank_one
from relu_opt.train.formulas.spike_free import (
    CONDITION_TOLERANCE,
    for_all_networks,
    interpolation_margin,
    spike_free_interpolation,
)
from relu_opt.train.formulas.whitened import TOLERANCE as WHITENED_TOLERANCE
from relu_opt.train.formulas.whitened import distance_from_whitened, whitened
from relu_opt.train.interpolation.least_cost_face import FIT_TOLERANCE
from relu_opt.train.interpolation.least_cost_network import (
    Interpolant,
    prove_interpolant,
    unit_program,
    users_interpolant,
)
from relu_opt.train.several_outputs.certificate import VectorCertificate, vector_certificate
from relu_opt.train.several_outputs.lifted import lifted_bound
from relu_opt.train.several_outputs.network import VectorNetwork
from relu_opt.train.several_outputs.problem import VectorProblem
from relu_opt.train.several_outputs.proof import lower_bound as vector_lower_bound
from relu_opt.train.several_outputs.whitened import whitened_vector
from relu_opt.verify.renamed import renamed

# The gap that every answer is certified to, and how far, relative to it, the formula's objective
# may be from the network's own.
TOL = 1e-8
AGREEMENT = 1e-9


@dataclass(frozen=True, eq=False)
class ClosedForm(Answer):
    """An optimal network by a formula, checked and proved.

    Attributes
    ----------
    kind : {"whitened", "rank_one", "spike_free"}
        What the data are, and so which formula it is.
    loss : str
        "squared", "hinge" or "interpolation".
    network : ReLUNetwork or VectorNetwork
        Balanced; at most two neurons for one output.
    value : float
        The optimum by the formula, equal to `objective` up to rounding.
    proof : NetworkCertificate, VectorCertificate or Interpolant
        A certificate of scope "all", or the proof of an interpolation, which has no loss.
    """

    kind: str
    loss: str
    network: ReLUNetwork | VectorNetwork
    value: float
    proof: NetworkCertificate | VectorCertificate | Interpolant

    bound: ClassVar[renamed] = renamed("lower_bound")
    stop: ClassVar[StopReason] = StopReason.CONVERGED

    @property
    def _proof(self) -> Proved:
        return self.proof

    @property
    def stats(self) -> dict[str, Any]:
        """Which formula it is."""
        return {"formula": self.kind}

    @property
    def certificate(self) -> NetworkCertificate | VectorCertificate:
        """The certificate; that of an interpolation is of training with a tiny λ."""
        return self.proof.certificate if isinstance(self.proof, Interpolant) else self.proof

    def __repr__(self) -> str:
        return (
            f"ClosedForm({self.kind}, {self.loss}, neurons={len(self.network)}, "
            f"objective={self.objective:.12g}, rel_gap={self.rel_gap:.2e})"
        )


def closed_form(
    X: ArrayLike,
    y: ArrayLike,
    lam: float | None = None,
    *,
    loss: str = "squared",
    depth: int = 2,
) -> ClosedForm:
    """The globally optimal network by a formula, for data that have one, with its proof.

    Parameters
    ----------
    X : (n, d) array
        Data with whitened rows, XXᵀ = s²I (to 1e-10), or of rank one, X = c aᵀ; for interpolation
        also spike-free data that fulfil the formula's condition.
    y : (n,) array
        Targets; labels −1 and +1 for the hinge loss. With (n, c) targets, whitened rows and the
        squared loss: by the soft-thresholded singular values, if neurons can give them.
    lam : float, optional
        Regularization strength λ > 0 on the scale of the *mean* loss: the papers' β is nλ.
        Interpolation takes none.
    loss : {"squared", "hinge", "interpolation"}
        "interpolation" fits y exactly and minimises ½ Σ_j (‖u_j‖² + a_j²).
    depth : int
        Number of layers of weights; 2.

    Returns
    -------
    ClosedForm
        Certified among networks of all widths to a relative gap of 1e-8. No solver runs.

    Raises
    ------
    DataError
        If the data have no such form; the fields say by how much each precondition fails. Use
        `train_globally` then, or `minimum_norm_interpolant` to interpolate.
    NotCertified
        If rounding keeps the proof from closing.
    """
    data = as_floats(X, "X", 2)
    if as_array(y, "y").ndim == 2:
        return _several_outputs(data, y, lam, loss, depth)
    targets = as_targets(y, "y", len(data), "X")
    if as_count(depth, "depth") != 2:
        raise DataError(
            f"depth is {depth}, and formulas for other depths than 2 are not there yet. Pass "
            "depth=2.",
            depth=depth,
        )
    if loss not in LOSSES:
        raise DataError(
            f"Unknown loss {loss!r} for a formula. {did_you_mean(str(loss), LOSSES)}", loss=loss
        )
    if loss == INTERPOLATION:
        if lam is not None:
            raise DataError(
                "Interpolation has no loss to weigh against, so it takes no lam. Leave it out.",
                lam=lam,
            )
        return _interpolation(data, targets)
    strength = as_positive(lam, "lam")
    return _training(data, targets, strength, loss)


def _several_outputs(
    X: FloatArray, Y: ArrayLike, lam: float | None, loss: str, depth: int
) -> ClosedForm:
    """By soft-thresholded singular values, for whitened rows."""
    if loss != "squared" or as_count(depth, "depth") != 2 or lam is None:
        raise DataError(
            f"The formula for several outputs is for the squared loss, depth 2 and a lam, not for "
            f"loss {loss!r}, depth {depth}, lam {lam}. Pass one column of y.",
            loss=loss,
            depth=depth,
        )
    problem = VectorProblem.of(X, Y, lam)
    white = distance_from_whitened(X)
    if white > WHITENED_TOLERANCE:
        raise DataError(
            "There is no formula for these data. The rows are not whitened: XXᵀ/s² differs from "
            f"the identity by {white:.3g}. Use train_vector(X, Y, lam).",
            whitened=white,
        )
    own = problem.canonical
    network, value = whitened_vector(own.X, own.Y, own.lam)
    V = own.dual_point(network)
    found = vector_lower_bound(own, V, lifted_bound(own.X, V))
    bound, network = found.in_units(problem.units), problem.as_given(network)
    proof = vector_certificate(problem, network, bound, "lifted", "M(V) ≤ ‖X‖‖V‖", TOL)
    value = problem.units.objective(value)
    return _agreed(ClosedForm("whitened", loss, network, value, proof.require()))


def _training(X: FloatArray, y: FloatArray, lam: float, loss: str) -> ClosedForm:
    # First, since it checks the labels.
    prog = ConvexProgram(X, y, lam, ones_pattern(len(X)), loss=loss)  # type: ignore[arg-type]
    own, units = prog.canonical, prog.units
    formula = _formula(own.X, own.y, own.lam, loss)
    prog = prog.with_patterns(formula.patterns)
    network = users_network(formula.network, units)
    known = formula.multipliers
    if known is not None:
        known = replace(known, values=units.duals(known.values))
    bound = lower_bound(prog, units.duals(formula.nu), known)
    if formula.coverage == "spike_free":
        bound = for_all_networks(prog, bound, 1 + STRETCH_TOL)
    certificate = certificate_of(prog, network, bound, "all", TOL, Coverage(formula.coverage))
    value = units.objective(formula.value)
    return _agreed(ClosedForm(formula.kind, loss, network, value, certificate.require()))


def _interpolation(X: FloatArray, y: FloatArray) -> ClosedForm:
    units = Units(exponent(X), exponent(y))
    X, y = units.in_data(X), units.in_targets(y)
    formula = _formula(X, y, None, INTERPOLATION)
    prog = unit_program(X, y, formula.patterns)
    found = prove_interpolant(
        prog, formula.network, formula.nu, formula.coverage, formula.multipliers
    )
    if not (found.rel_gap <= TOL and found.residual <= FIT_TOLERANCE):
        raise NotCertified(
            f"The formula's network has a gap of {found.rel_gap:.1e} and a residual of "
            f"{found.residual:.1e}. Use minimum_norm_interpolant(X, y).",
            rel_gap=found.rel_gap,
            residual=found.residual,
        )
    value, found = scaled(formula.value, units.y - units.x), users_interpolant(found, units)
    return _agreed(ClosedForm(formula.kind, INTERPOLATION, found.network, value, found))


def _formula(X: FloatArray, y: FloatArray, lam: float | None, loss: str) -> Formula:
    """The formula for these data, or a refusal that says what fails and by how much."""
    white = distance_from_whitened(X)
    if white <= WHITENED_TOLERANCE:
        return whitened(X, y, lam, loss)
    rank = distance_from_rank_one(X)
    if rank <= RANK_ONE_TOLERANCE:
        return rank_one(X, y, lam, loss)
    spikes = is_spike_free(X)
    margin = math.nan
    ending = "Use train_globally(X, y, lam)."
    if loss == INTERPOLATION:
        ending = "Use minimum_norm_interpolant(X, y)."
        if spikes:
            margin = interpolation_margin(X, y)
            if margin >= -CONDITION_TOLERANCE:
                return spike_free_interpolation(X, y)
            ending = (
                "X is spike-free, but the formula's two neurons are not the cheapest here: the "
                f"least entry of a_+ + a_- is {margin:.3g} of the largest, and has to be at least "
                f"0. {ending}"
            )
    elif spikes:
        ending = (
            "X is spike-free, so the pattern D = I alone speaks of all networks: "
            "train_globally(X, y, lam) uses that."
        )
    raise DataError(
        f"There is no formula for these data. The rows are not whitened: XXᵀ/s² differs from the "
        f"identity by {white:.3g}. X is not of rank one: its second singular value is {rank:.3g} "
        f"of the first. {ending}",
        whitened=white,
        rank_one=rank,
        spike_free=spikes.verdict,
        condition=margin,
    )


def _agreed(answer: ClosedForm) -> ClosedForm:
    """The answer, if the formula's optimum is the network's own objective."""
    off = abs(answer.value - answer.objective)
    if not off <= AGREEMENT * abs(answer.objective):
        raise NotCertified(
            f"The formula gives {answer.value:.12g}, and the network's own objective is "
            f"{answer.objective:.12g}. Use train_globally(X, y, lam).",
            value=answer.value,
            objective=answer.objective,
        )
    return answer
