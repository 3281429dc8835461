"""A trained spline: the function, its network, and the proof."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import FloatArray
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.answer import Answer
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.train.one_input.bounds import SplineBound
from relu_opt.train.one_input.certificate import SplineCertificate, certify_spline
from relu_opt.train.one_input.neurons import Neurons, Shape, join_first
from relu_opt.train.one_input.problem import SplineProblem, as_inputs

# Kinks closer than this share of the range are one place; slopes smaller than it are flat.
SAME = 1e-12


@dataclass(frozen=True, eq=False)
class SplineFit(Answer):
    """A network of one input, trained to global optimality: a linear spline.

    That some optimum has its kinks at data points is promised with free hidden biases, not that
    each does, nor that this one has the fewest kinks of all. Beyond the data the optima differ.
    `objective` is F(f) + λ·cost, and the cost alone where the fit is demanded.

    Attributes
    ----------
    problem : SplineProblem or ConvexProgram
        What was solved; the latter, on inputs [x, 1], where the bias is penalised.
    network : ReLUNetwork
        On inputs [x, 1], with its output constant.
    neurons : Neurons
        The same by kinks, sides and weights: Σ w (side (x − kink))_+ + constant.
    certificate : SplineCertificate or NetworkCertificate
        The proof, over every network of any width: check it by `verify(certificate, x, y)`, or
        `verify(certificate, [x, 1], y)` where the bias is penalised (its scope is `all`).
    stop : StopReason
        Why training ended.
    backend : str
        Which backend solved the programs; "closed form" where none was needed.
    stats : mapping
        Rounds, seconds, and number of neurons before merging (JSON values).
    """

    problem: SplineProblem | ConvexProgram
    network: ReLUNetwork
    neurons: Neurons
    certificate: SplineCertificate | NetworkCertificate
    stop: StopReason
    backend: str
    stats: Mapping[str, Any]

    # -- the proof -------------------------------------------------------------

    @property
    def penalize_bias(self) -> bool:
        """Whether the hidden biases are penalised."""
        return isinstance(self.problem, ConvexProgram)

    @property
    def nu(self) -> FloatArray:
        """The dual point, (n,)."""
        return self.certificate.nu

    @property
    def cost(self) -> float:
        """Σ_j ½(‖u_j‖² + a_j²), what λ multiplies: Σ|w| where the bias is free."""
        return self.network.penalty() if self.penalize_bias else self.neurons.cost

    # -- the function ----------------------------------------------------------

    @cached_property
    def inputs(self) -> FloatArray:
        """The distinct inputs, increasing, (m,)."""
        x = self.problem.X[:, 0] if isinstance(self.problem, ConvexProgram) else self.problem.x
        return np.unique(x)

    @cached_property
    def _turns(self) -> tuple[FloatArray, FloatArray]:
        order = np.argsort(self.neurons.kinks)
        kinks, weights = self.neurons.kinks[order], self.neurons.weights[order]
        if not len(kinks):
            return kinks, weights
        width = float(np.ptp(self.inputs)) or 1.0
        group = np.append(0, np.cumsum(np.diff(kinks) > SAME * width))
        bends = np.bincount(group, weights)
        firsts = np.append(0, np.flatnonzero(np.diff(group)) + 1)
        bent = np.abs(bends) > SAME * np.abs(weights).max()
        return kinks[firsts][bent], bends[bent]

    @property
    def kinks(self) -> FloatArray:
        """Where the slope changes, increasing, (k,); those beyond the data or at an end as well."""
        return self._turns[0]

    @property
    def slope_changes(self) -> FloatArray:
        """By how much the slope changes at each kink, (k,)."""
        return self._turns[1]

    @cached_property
    def values(self) -> FloatArray:
        """The function at each kink, (k,)."""
        return self.neurons.at(self.kinks)

    @cached_property
    def boundaries(self) -> FloatArray:
        """Where the function changes its sign, increasing: a classifier's boundaries."""
        places = self.kinks if len(self.kinks) else self.inputs[:1]
        width = max(float(np.ptp(np.append(places, self.inputs))), 1.0)
        # The outer pieces are lines: a point on each, beyond its root.
        ends = places[[0, -1]]
        values = self.neurons.at(ends)
        slopes = np.abs(self.neurons.at(ends + np.array([-width, width])) - values) / width
        flat = slopes <= SAME * max(self.neurons.cost, 1e-300)
        reach = width + np.where(flat, 0.0, 2 * np.abs(values) / np.where(flat, 1.0, slopes))
        points = np.concatenate([places[:1] - reach[0], places, places[-1:] + reach[1]])
        values = self.neurons.at(points)
        some = np.flatnonzero(values)
        left, right = some[:-1], some[1:]
        turns = values[left] * values[right] < 0
        left, right = left[turns], right[turns]
        share = values[left] / (values[left] - values[right])
        roots = points[left] + share * (points[right] - points[left])
        # Between two signs lies a stretch of zeros: its middle is the boundary.
        middle = 0.5 * (points[left + 1] + points[right - 1])
        return np.asarray(np.where(right > left + 1, middle, roots))

    def predict(self, x: ArrayLike) -> FloatArray:
        """The function at inputs x, (rows,).

        Raises
        ------
        DataError
            If x is not one-dimensional, or holds NaN.
        """
        return self.neurons.at(as_inputs(x))

    def merged(self) -> SplineFit:
        """The same fits at the data and the same cost with fewer neurons, where that is easy.

        With free hidden biases, kinks of one sign at consecutive data points become one between
        them; otherwise neurons of one direction become one. Not the fewest neurons there are:
        that is a hard combinatorial problem.
        """
        if isinstance(self.problem, ConvexProgram):
            network = self.network.merge()
            return replace(self, network=network, neurons=Neurons.of_network(network))
        inner = np.unique(np.clip(self.neurons.kinks, self.inputs[0], self.inputs[-1]))
        ends = np.unique(np.concatenate([inner, self.inputs[:1], self.inputs[-1:]]))
        if len(ends) == 1:
            return self
        slope = float(np.diff(self.neurons.at(ends[:2]))[0] / np.diff(ends[:2])[0])
        inside = (self.kinks > ends[0]) & (self.kinks < ends[-1])
        shape = Shape(
            float(ends[0]),
            float(self.neurons.at(ends[:1])[0]),
            slope,
            self.kinks[inside],
            self.slope_changes[inside],
        )
        if not np.isin(shape.kinks, self.inputs).all():
            return self  # merged already
        neurons = join_first(shape.merged(self.inputs).neurons(), self.inputs)
        bound = SplineBound(self.nu, self.lower_bound)
        certificate = certify_spline(self.problem, neurons, bound, self.certificate.tol)
        return replace(self, network=neurons.network(), neurons=neurons, certificate=certificate)

    def __repr__(self) -> str:
        return (
            f"SplineFit({self.verdict.value}, objective={self.objective:.12g}, "
            f"rel_gap={self.rel_gap:.2e}, kinks={len(self.kinks)}, backend={self.backend!r}, "
            f"stop={self.stop.value!r})"
        )
