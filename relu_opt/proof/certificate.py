r"""The certificate of a network of one output, whoever computed it.

The proof is a network (its objective is an upper bound), a dual point ν and cone multipliers
ρ ≥ 0. For every block, ‖X_bᵀν + (S_iX)ᵀρ_b‖ ≥ ‖P_K(X_bᵀν)‖, so where the left side is at most
λ the point ν is feasible and D(ν) is a lower bound. No projection and no solver is trusted.
`relu_opt.verify` re-checks a certificate from the file and the data alone.

Source: theory of Mishkin & Pilanci (ICML 2023), §3; the bound through ρ is Moreau's.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.io import need
from relu_opt.program.activations import Activation
from relu_opt.program.losses import Loss
from relu_opt.program.multipliers import ConeMultipliers
from relu_opt.program.network import ReLUNetwork
from relu_opt.program.patterns import Patterns
from relu_opt.proof.entries import ACTIVATION, LOSS, Arrays, Meta, Part, array, entry
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


# -- in files ------------------------------------------------------------------

RHO = {"rho_blocks": "i", "rho_starts": "i", "rho_rows": "i", "rho_values": "f"}


def _read_patterns(arrays: Arrays, meta: Meta) -> Patterns:
    return Patterns.from_packed(
        need(arrays, "patterns", "u", 2),
        len(need(arrays, "nu", "f", 1)),
        arrays.get("pattern_gates"),
        complete=meta["complete"],
        remainders=arrays.get("pattern_remainders"),
    )


NETWORK = Part(lambda arrays, _: ReLUNetwork.from_arrays(arrays), ReLUNetwork.to_arrays)
MULTIPLIERS = Part(
    lambda arrays, _: ConeMultipliers(*(need(arrays, *each, 1) for each in RHO.items())),
    lambda rho: {
        "rho_blocks": rho.blocks.astype(np.int64),
        "rho_starts": rho.starts.astype(np.int64),
        "rho_rows": rho.rows.astype(np.int64),
        "rho_values": rho.values,
    },
)
PATTERNS = Part(
    _read_patterns,
    lambda patterns: {
        "patterns": patterns.packed,
        "pattern_gates": patterns.gates,
        "pattern_remainders": patterns.remainders,
    },
    lambda patterns: {"complete": patterns.complete},
)
COVERAGE = Part(
    lambda _, meta: Coverage(
        str(meta.get("coverage", "listed")),
        str(meta.get("oracle", "")),
        float(meta.get("oracle_bound", math.nan)),
    ),
    entries=lambda said: {
        "coverage": said.kind,
        **({"oracle": said.oracle, "oracle_bound": said.bound} if said.oracle else {}),
    },
)


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

    network: Annotated[ReLUNetwork, NETWORK]
    nu: Annotated[FloatArray, array("nu", 1)]
    multipliers: Annotated[ConeMultipliers, MULTIPLIERS]
    patterns: Annotated[Patterns, PATTERNS]
    loss: Annotated[Loss, LOSS]
    activation: Annotated[Activation, ACTIVATION]
    sample_weight: Annotated[FloatArray | None, array("sample_weight", 1, optional=True)]
    intercept: Annotated[bool, entry("intercept", bool)]
    scope: Annotated[str, entry("scope", str)]
    cone_violation: Annotated[float, entry("cone_violation", float)]
    stationarity: Annotated[float, entry("stationarity", float)]
    dual_infeasibility: Annotated[float, entry("dual_infeasibility", float)]
    complementarity: Annotated[float, entry("complementarity", float)]
    coverage: Annotated[Coverage, COVERAGE] = LISTED

    kind = "network"
    thing = "The answer"
    advice = "Solve to a smaller tolerance, or accept the gap by a larger tol."
    shown: ClassVar[tuple[str, ...]] = ("scope",)

    @property
    def kkt(self) -> KKTReport:
        """The optimality conditions, as numbers."""
        return KKTReport(
            self.objective, self.lower_bound, self.gap, self.rel_gap, self.cone_violation,
            self.stationarity, self.dual_infeasibility, self.complementarity,
        )  # fmt: skip

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
