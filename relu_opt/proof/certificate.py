r"""The certificate of a network of one output, whoever computed it.

The proof is a network (its objective is an upper bound), a dual point ν and cone multipliers
ρ ≥ 0. For every block, ‖X_bᵀν + (S_iX)ᵀρ_b‖ ≥ ‖P_K(X_bᵀν)‖, so where the left side is at most
λ the point ν is feasible and D(ν) is a lower bound. No projection and no solver is trusted.
`relu_opt.verify` re-checks a certificate from the file and the data alone.

Source: theory of Mishkin & Pilanci (ICML 2023), §3; the bound through ρ is Moreau's.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.io import maybe, need
from relu_opt.program.losses import Loss, check_saved, make_loss
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import ReLUNetwork
from relu_opt.program.patterns import Patterns
from relu_opt.proof.record import Certificate


@dataclass(frozen=True)
class KKTReport:
    """The optimality conditions, as numbers.

    Attributes
    ----------
    primal : float
        What the objective of the network itself does not exceed, all rounding counted: an upper
        bound on the optimum.
    dual : float
        What D is not below at a feasible multiple of ν, all rounding counted: a lower bound.
    gap, rel_gap : float
        primal − dual, and that over dual: inf if dual is 0 and primal is not.
    cone_violation : float
        Largest amount by which a neuron leaves its cone, relative to the row's and the
        neuron's norm.
    stationarity : float
        max over neurons of ‖λ w/‖w‖ − v‖/λ with v = X_bᵀν + (S_iX)ᵀρ_b, which is
        P_K(X_bᵀν) at the optimum.
    dual_infeasibility : float
        max(0, max_b ‖X_bᵀν + (S_iX)ᵀρ_b‖/λ − 1).
    complementarity : float
        max over neurons of |ρᵀS_iXw|.
    """

    primal: float
    dual: float
    gap: float
    rel_gap: float
    cone_violation: float
    stationarity: float
    dual_infeasibility: float
    complementarity: float


# Its numbers beside the two bounds.
RESIDUALS = ("cone_violation", "stationarity", "dual_infeasibility", "complementarity")
# What the residuals of a proof may be; at a gap of tol, weights are off by about its root.
EXACT = 1e-9


@dataclass(frozen=True)
class Condition:
    """One number of a KKT report, and what it may be.

    Attributes
    ----------
    name : str
        Such as "relative gap".
    value : float
    limit : float
        The condition counts as fulfilled up to this.
    meaning : str
        What it measures, in a few words.
    """

    name: str
    value: float
    limit: float
    meaning: str

    @property
    def fulfilled(self) -> bool:
        """Whether the value is within its limit; NaN is not."""
        return self.value <= self.limit


@dataclass(frozen=True)
class Coverage:
    """Why the patterns of a certificate of scope `all` speak of every network.

    Attributes
    ----------
    kind : {"listed", "spike_free", "searched", "oracle"}
        `listed`: they are all patterns of the data, which `verify` counts. `spike_free`: the data
        need the pattern that is active everywhere only, which `verify` tests. Otherwise a search
        over all patterns bounds max |νᵀ(Xu)₊|, ‖u‖ ≤ 1: `searched` is a branch and bound, which
        `verify` repeats by its own; `oracle` a MILP, which `separation` can repeat, `verify` not.
    oracle : str
        Who searched, and how exactly.
    bound : float
        What it says that |νᵀ(Xu)₊| does not exceed; at most λ.
    """

    kind: str = "listed"
    oracle: str = ""
    bound: float = math.nan


LISTED = Coverage()
SPIKE_FREE = Coverage("spike_free")


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class NetworkCertificate(Certificate):
    """A proof that a network of one output is optimal up to a gap.

    Attributes
    ----------
    network : ReLUNetwork
        The network, balanced.
    nu : (n,) array
        Dual point.
    multipliers : ConeMultipliers
        ρ ≥ 0 of the blocks with ‖X_bᵀν‖ > λ.
    patterns : Patterns
        The patterns that the lower bound speaks of.
    loss, activation, sample_weight, intercept
        The training problem; see `ConvexProgram`.
    scope : str
        Among whom: networks whose neurons, of either sign, lie in the closed cones of the
        network's own patterns (`own`), of the program's (`program`), or all networks (`all`).
    cone_violation, stationarity, dual_infeasibility, complementarity : float
        The other optimality conditions; see `KKTReport`.
    coverage : Coverage
        With scope `all`: why the patterns speak of every network.

    The other attributes are those of every `Certificate`.
    """

    network: ReLUNetwork
    nu: FloatArray
    multipliers: ConeMultipliers
    patterns: Patterns
    loss: Loss
    activation: str
    sample_weight: FloatArray | None
    intercept: bool
    scope: str
    cone_violation: float
    stationarity: float
    dual_infeasibility: float
    complementarity: float
    coverage: Coverage = LISTED

    kind = "network"
    thing = "The answer"
    advice = "Solve to a smaller tolerance, or accept the gap by a larger tol."
    shown = ("scope",)

    @property
    def kkt(self) -> KKTReport:
        """The optimality conditions, as numbers."""
        bounds = self.objective, self.lower_bound, self.gap, self.rel_gap
        return KKTReport(*bounds, **self._residuals())

    def _residuals(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in RESIDUALS}

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """The gap and the residuals of the optimality conditions, with their limits.

        The gap alone decides the verdict; the others say where it comes from.
        """
        loose = math.sqrt(self.tol)
        return (
            Condition("relative gap", self.rel_gap, self.tol, "between the two bounds"),
            Condition(
                "cone violation", self.cone_violation, EXACT, "neurons outside their cones"
            ),
            Condition(
                "stationarity", self.stationarity, loose, "neurons that the dual point pulls away"
            ),
            Condition(
                "dual infeasibility", self.dual_infeasibility, EXACT,
                "blocks that would pay to switch on",
            ),
            Condition(
                "complementarity", self.complementarity, loose,
                "multipliers where no hyperplane holds",
            ),
        )  # fmt: skip

    def _check_saved(self) -> None:
        check_saved(self.loss)

    def _arrays(self) -> dict[str, np.ndarray | None]:
        return {
            **self.network.to_arrays(),
            "nu": self.nu,
            "patterns": self.patterns.packed,
            "pattern_gates": self.patterns.gates,
            "pattern_remainders": self.patterns.remainders,
            "rho_blocks": self.multipliers.blocks.astype(np.int64),
            "rho_starts": self.multipliers.starts.astype(np.int64),
            "rho_rows": self.multipliers.rows.astype(np.int64),
            "rho_values": self.multipliers.values,
            "sample_weight": self.sample_weight,
        }

    def _claim(self) -> dict[str, Any]:
        said = self.coverage
        oracle = {"oracle": said.oracle, "oracle_bound": said.bound} if said.oracle else {}
        return {
            "loss": self.loss.name,
            "loss_parameters": self.loss.parameters,
            "activation": self.activation,
            "intercept": self.intercept,
            "scope": self.scope,
            "complete": self.patterns.complete,
            "coverage": said.kind,
            **oracle,
            "gap": self.gap,
            **self._residuals(),
        }

    @classmethod
    def _read(
        cls, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any], common: Mapping[str, Any]
    ) -> NetworkCertificate:
        nu = need(arrays, "nu", "f", 1)
        residuals: dict[str, Any] = {name: float(meta[name]) for name in RESIDUALS}
        multipliers = ConeMultipliers(
            need(arrays, "rho_blocks", "i", 1),
            need(arrays, "rho_starts", "i", 1),
            need(arrays, "rho_rows", "i", 1),
            need(arrays, "rho_values", "f", 1),
        )
        patterns = Patterns.from_packed(
            need(arrays, "patterns", "u", 2),
            len(nu),
            arrays.get("pattern_gates"),
            complete=meta["complete"],
            remainders=arrays.get("pattern_remainders"),
        )
        return cls(
            **common,
            network=ReLUNetwork.from_arrays(arrays),
            nu=nu,
            multipliers=multipliers,
            patterns=patterns,
            loss=make_loss(meta["loss"], meta["loss_parameters"]),
            activation=str(meta["activation"]),
            sample_weight=maybe(arrays, "sample_weight", "f", 1),
            intercept=bool(meta["intercept"]),
            scope=str(meta["scope"]),
            coverage=Coverage(
                str(meta.get("coverage", "listed")),
                str(meta.get("oracle", "")),
                float(meta.get("oracle_bound", math.nan)),
            ),
            **residuals,
        )
