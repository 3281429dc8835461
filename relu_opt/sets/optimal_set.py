r"""Every optimal network of a training program.

The optimal networks are those whose neurons have given directions v_j and output signs s_j, and
sizes α_j ≥ 0 with Σ_j α_j s_j (X v_j)_+ = ŷ: a polytope in α (Mishkin & Pilanci, ICML 2023, §3).
Neurons that are identical are one neuron here, though several blocks of the program may hold it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.arrays import BoolArray, FloatArray, IntArray, as_count, as_positive, as_targets
from relu_opt.errors import DataError, DoubtWarning, NotCertified, UnsupportedProgram, did_you_mean
from relu_opt.plugins.options import as_options
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork, weights_from_network
from relu_opt.proof.answer import Answer
from relu_opt.proof.certificate import NetworkCertificate
from relu_opt.proof.certified_network import CertifiedNetwork
from relu_opt.proof.dual_bound import DualBound
from relu_opt.sets.answers import Membership, Narrowest, NeuronRanges, PredictionRange
from relu_opt.sets.assembly import activations, prediction_rows, size_polytope
from relu_opt.sets.element import certified_element
from relu_opt.sets.equicorrelation import ACCURACY, Equicorrelation
from relu_opt.sets.membership import membership, sizes_in
from relu_opt.sets.narrowest import fewest_positive
from relu_opt.sets.near_optimal import NearOptimalSet
from relu_opt.sets.polishing import sharpened
from relu_opt.sets.polytope import Polytope, null_space, smallest_largest, support
from relu_opt.sets.sampling import hit_and_run
from relu_opt.sets.shadow import Shadow, shadow, widest_pair
from relu_opt.sets.vertices import walk_vertices
from relu_opt.solving.training import Solution, solve

EXTREMES = ("l1", "max_l1", "linf", "max_min")
# What every element is certified to, and how far its training fits may be from the others'.
TOL = 1e-8
# How far above the optimum near-optimal networks may be, in objectives of the zero network.
FARTHEST = 1e12


def optimal_set(sol: Solution, backend: str = "auto") -> OptimalSet:
    """All optimal networks of the program that was solved.

    Parameters
    ----------
    sol : Solution
        Certified. If its gap is above 1e−12 it is solved on to that by `native`, from where it is:
        whether a neuron may be on is read off from ‖v_b‖ = λ, and that needs an accurate ν. If
        that does not tell its neurons, it is solved afresh.
    backend : str
        Who solves the linear, quadratic and integer programs over the set.

    Returns
    -------
    OptimalSet

    Raises
    ------
    UnsupportedProgram
        If the loss has kinks, as the hinge loss.
    NotCertified
        If the solution is not certified to 1e−8, or not accurate enough to tell its neurons.

    Warns
    -----
    DoubtWarning
        If the slack 1 − ‖v_b‖/λ of some block lies between 1e−9 and 1e−8 (1e−6 where the last
        digits cannot be had), or the rank of the neurons' fits is in doubt. Such blocks are left
        out, and listed in `doubtful`.
    """
    if not isinstance(sol, Solution):
        raise DataError(
            f"sol is a {type(sol).__name__}, and a Solution is needed: what solve returns."
        )
    prog = sol.program
    if not prog.loss.smooth:
        raise UnsupportedProgram(
            f"Optimal networks of the {prog.loss.name} loss need not agree on the data, so that "
            "the set that relu_opt describes is not all of them. Use a smooth one, "
            "such as squared_hinge or huber.",
            loss=prog.loss.name,
        )
    if sol.rel_gap > ACCURACY:
        better = solve(prog, "native", tol=ACCURACY, warm_start=sol)
        sol = better if better.rel_gap < sol.rel_gap else sol
    if not sol.rel_gap <= TOL:
        raise NotCertified(
            f"The solution has a relative gap of {sol.rel_gap:.1e}, and {TOL:.0e} is needed to "
            "speak of all optimal networks. Solve it without a time limit, or use a larger lam.",
            rel_gap=sol.rel_gap,
        )
    try:
        result = _described(sol, backend)
    except NotCertified:
        # A start may end with a tiny gap far from stationary, as near λ_max: solved afresh it is.
        result = _described(solve(prog, "native", tol=ACCURACY), backend)
    doubtful, rank = len(result.doubtful), result.polytope.doubtful_rank
    if doubtful or rank:
        warnings.warn(
            f"{doubtful} blocks are so near to being equicorrelated that rounding decides, and are "
            f"left out; {rank} singular values of the neurons' fits are near zero. The set may be "
            "larger or smaller than described.",
            DoubtWarning,
            stacklevel=2,
        )
    return result


def _described(sol: Solution, backend: str) -> OptimalSet:
    """The set of a solution that is accurate enough to tell its neurons, or a NotCertified."""
    prog = sol.program
    bound, found, sizes, intercept = sharpened(sol)
    contributions = activations(prog, found, prog.X)
    if not sizes.any():
        found, sizes, contributions = found.none(), sizes[:0], contributions[:, :0]
    polytope = size_polytope(prog, contributions, sizes, intercept, backend)
    return OptimalSet(prog, bound, found, contributions * prog.lam, sizes, polytope)


@dataclass(frozen=True, eq=False)
class OptimalSet(Answer):
    """The optimal networks of a program; made by `optimal_set`.

    Neuron j is w_j = α_j v_j with output sign s_j, as a network u = w/√‖w‖, a = s√‖w‖. Networks
    that are permutations of each other, or that split a neuron in several of its direction, are
    one and the same here.

    Attributes
    ----------
    program : ConvexProgram
    bound : DualBound
        The lower bound that every element's certificate has.
    found : Equicorrelation
        The blocks that may be on, and the neurons that they hold.
    fits : (n, k) array
        s_j (X v_j)_+: what neuron j adds to the training predictions for each unit of α_j.
    sizes : (k,) array
        ‖w_j‖ in the solution that this came from.
    polytope : Polytope
        Of all sizes, in units of their sum.
    """

    program: ConvexProgram
    bound: DualBound
    found: Equicorrelation
    fits: FloatArray
    sizes: FloatArray
    polytope: Polytope

    stop: ClassVar[StopReason] = StopReason.CONVERGED

    # -- one of its networks ---------------------------------------------------

    @cached_property
    def network(self) -> CertifiedNetwork:
        """The one that the set came from."""
        return self.element(self.polytope.start)

    @property
    def certificate(self) -> NetworkCertificate:
        """Of that network; every other has its lower bound."""
        return self.network.certificate

    @property
    def stats(self) -> dict[str, Any]:
        """How many blocks and neurons there are, and how many blocks are in doubt."""
        found = self.found
        counts = {"blocks": found.blocks, "neurons": found.units, "doubtful": found.doubtful}
        return {name: len(each) for name, each in counts.items()}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write that network as a solution, from which `load` makes the set again."""
        weights = weights_from_network(self.program, self.network)
        proof, stats = self.certificate, self.stats
        Solution(
            self.program, weights, self.network, proof.nu, proof, self.stop, "optimal_set", stats
        ).save(path)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], program: ConvexProgram, backend: str = "auto"
    ) -> OptimalSet:
        """`optimal_set` of the solution in a file, such as `save` wrote; see `Solution.load`."""
        return optimal_set(Solution.load(path, program), backend)

    # -- what it is ------------------------------------------------------------

    @property
    def directions(self) -> FloatArray:
        """v_j, of norm λ, (k, d)."""
        return self.program.lam * self.found.units

    @property
    def signs(self) -> FloatArray:
        """Output signs s_j, (k,)."""
        return self.found.signs

    @property
    def alpha(self) -> FloatArray:
        """α_j in the solution that this came from, (k,)."""
        return self.sizes / self.program.lam

    @property
    def doubtful(self) -> IntArray:
        """Blocks left out that might belong: the pattern's position, plus p for the sign −1."""
        return self.found.doubtful

    @property
    def merged_blocks(self) -> int:
        """How many equicorrelated blocks hold a neuron that another block holds too."""
        return len(self.found.blocks) - len(self.found.units)

    @cached_property
    def _inner(self) -> tuple[BoolArray, FloatArray]:
        return support(self.polytope)

    @property
    def support(self) -> BoolArray:
        """S_λ: the neurons that some optimal network has, (k,)."""
        return self._inner[0][: self.polytope.sizes]

    @cached_property
    def network_dim(self) -> int:
        """Dimension of the set of optimal networks, identical neurons being one."""
        return int(null_space(self.polytope.M[:, self._inner[0]]).shape[1])

    @property
    def convex_dim(self) -> int:
        """Dimension of the set of optimal weights of the convex program."""
        return self.network_dim + int((self.found.copies()[self.support] - 1).sum())

    @property
    def is_unique(self) -> bool:
        """Whether there is one optimal network."""
        return self.network_dim == 0

    @property
    def reason(self) -> str:
        """Why the network is unique, or not."""
        on, k = int(self.support.sum()), self.polytope.sizes
        if not k:
            return "Unique: lam is at least lam_max, and the network has no neurons."
        spare = f", and {k - on} more are equicorrelated but off in all" if k > on else ""
        if self.is_unique:
            return f"Unique: the fits of its {on} neurons are linearly independent{spare}."
        return (
            f"Not unique: {on} neurons are on in some optimal network{spare}; their fits have "
            f"{self.network_dim} linear dependences."
        )

    def __repr__(self) -> str:
        return (
            f"OptimalSet(neurons={int(self.support.sum())}, network_dim={self.network_dim}, "
            f"convex_dim={self.convex_dim}, merged_blocks={self.merged_blocks})"
        )

    # -- questions -------------------------------------------------------------

    def neuron_ranges(self) -> NeuronRanges:
        """The least and the largest α_j over all optimal networks, by linear programs."""
        unit = self._total / self.program.lam
        return NeuronRanges(unit * self._size_ranges[0], unit * self._size_ranges[1])

    def shadow(self, neurons: tuple[int, int] | None = None) -> Shadow:
        """The sizes that two neurons may have together: a polygon, by linear programs.

        Parameters
        ----------
        neurons : (int, int), optional
            Which two; by default two that show most of the set.
        """
        first, second = neurons or widest_pair(self.polytope, self._inner[0])
        if first == second or not {first, second} <= set(range(self.polytope.sizes)):
            raise DataError(
                f"neurons is {neurons}, and two different numbers from 0 to "
                f"{self.polytope.sizes - 1} are needed.",
                neurons=neurons,
            )
        corners = self._total / self.program.lam * shadow(self.polytope, first, second)
        return Shadow((first, second), corners)

    def prediction_range(self, Xq: ArrayLike) -> PredictionRange:
        """The interval of predictions at each row of Xq over all optimal networks.

        Parameters
        ----------
        Xq : (q, d) array
            Queries, in the columns of the program's X.
        """
        rows = self._rows_at(Xq)
        ends = np.empty((4, len(rows)))
        for q, cost in enumerate(rows):
            low, proved_low = self._lowest(cost)
            high, proved_high = self._lowest(-cost)
            ends[:, q] = cost @ low, cost @ high, proved_low, -proved_high
        return PredictionRange(
            ends[0], ends[1], np.minimum(ends[0], ends[2]), np.maximum(ends[1], ends[3])
        )

    def contains(self, network: ReLUNetwork, tol: float = 1e-8) -> Membership:
        """Whether a network is optimal: its neurons are among the set's, and its fits are optimal.

        Parameters
        ----------
        network : ReLUNetwork
            Any network; neurons are balanced and identical ones merged first.
        tol : float
            How far a neuron's unit direction, in each entry, and the fits, relative to the
            largest, may be off.
        """
        rows = self._rows_at(self.program.X)
        return membership(self.program, self.found, rows @ self.polytope.start, network, tol)

    def alpha_of(self, network: ReLUNetwork) -> FloatArray:
        """α_j of an optimal network, (k,).

        Raises
        ------
        DataError
            If it has a neuron that no optimal network has.
        """
        return sizes_in(self.program, self.found, network) / self.program.lam

    # -- elements --------------------------------------------------------------

    def min_norm(self) -> CertifiedNetwork:
        """The optimum with the smallest Σ_b ‖w_b‖² over the *blocks* of the convex program.

        A neuron that several blocks hold is shared out among them. Its path in λ is continuous as
        long as the dependences of the neurons last (Mishkin & Pilanci, §4): other choices may
        jump where it does not. See `SolutionPath.continuity`.
        """
        copies = self.found.copies().astype(np.float64)
        weights = np.zeros(len(self.polytope.bounded))
        weights[: len(copies)] = 1.0 / copies
        none = np.zeros((0, len(weights)))
        return self._chosen(lambda: self.polytope.nearest(weights, none, np.zeros(0)))

    def extreme(self, which: str) -> CertifiedNetwork:
        """An extreme element.

        Parameters
        ----------
        which : {"l1", "max_l1", "linf", "max_min"}
            The least or largest sum of |entries| of the weights w_j; the smallest largest neuron
            max ‖w_j‖; the largest smallest neuron, of those that can be on.
        """
        if which not in EXTREMES:
            raise DataError(f"Unknown extreme {which!r}. {did_you_mean(which, EXTREMES)}")
        if which in ("linf", "max_min"):
            largest = which == "linf"
            return self._chosen(lambda: smallest_largest(self.polytope, self.support, largest))
        cost = np.zeros(len(self.polytope.bounded))
        cost[: self.polytope.sizes] = np.abs(self.found.units).sum(axis=1)
        return self.element(self._lowest(cost if which == "l1" else -cost)[0])

    def tune(self, X_valid: ArrayLike, y_valid: ArrayLike) -> CertifiedNetwork:
        """The optimal network with the smallest mean squared error on other data.

        Parameters
        ----------
        X_valid : (m, d) array
        y_valid : (m,) array
            Targets; −1 and +1 for classification, whatever the training loss.
        """
        rows = self._rows_at(X_valid)
        targets = as_targets(y_valid, "y_valid", len(rows), "X_valid")
        zeros = np.zeros(rows.shape[1])
        return self._chosen(lambda: self.polytope.nearest(zeros, rows, targets))

    def vertex(self, seed: int = 0) -> CertifiedNetwork:
        """A minimal network: none of its neurons can be left out without changing the others' fit.

        Parameters
        ----------
        seed : int
            Chooses which, through a random direction.
        """
        cost = np.random.default_rng(seed).random(len(self.polytope.bounded))
        return self.element(self._lowest(np.where(self.polytope.bounded, cost, 0.0))[0])

    def vertices(self, limit: int = 1000) -> list[CertifiedNetwork]:
        """All minimal networks.

        Raises
        ------
        DataError
            If there are more than `limit`.
        """
        limit = as_count(limit, "limit")
        walk = walk_vertices(self._reduced, limit)
        if not walk.complete:
            raise DataError(
                f"The set of dimension {self.network_dim} has more than {limit} vertices. Raise "
                "limit, or use sample or narrowest.",
                limit=limit,
            )
        return [self.element(self._expand(x)) for x in walk.vertices]

    def narrowest(self, time_limit: float | None = None) -> Narrowest:
        """The optimal network with the fewest neurons, by an integer program.

        Parameters
        ----------
        time_limit : float, optional
            Seconds for the integer program; the result then says what is proved.
        """
        if self.is_unique:
            return Narrowest(self.network, len(self.network))
        fewest = fewest_positive(self.polytope, self._size_ranges[1], time_limit)
        return Narrowest(self.element(fewest.x), fewest.lower_bound)

    def sample(self, count: int, seed: int = 0) -> list[CertifiedNetwork]:
        """Optimal networks drawn uniformly, by hit-and-run over the sizes ‖w_j‖.

        Parameters
        ----------
        count : int
        seed : int
            Of `numpy.random.default_rng`.
        """
        inner = self._inner[1][self._inner[0]]
        points = hit_and_run(self._reduced, inner, as_count(count, "count"), seed)
        return [self.element(self._expand(x)) for x in points]

    def near_optimal(
        self, eps: float, backend: str = "auto", options: Mapping[str, object] | None = None
    ) -> NearOptimalSet:
        """The networks whose objective is at most ε above the optimum.

        Parameters
        ----------
        eps : float
            ε > 0, in units of the objective.
        backend : str
            Who solves the training programs that answer questions about it.
        options : mapping, optional
            Options of that backend.

        Raises
        ------
        DataError
            If ε is not positive, or more than 10¹² times the zero network's objective.
        """
        eps, zero = as_positive(eps, "eps"), self.program.mean_loss(np.zeros(self.program.n))
        if eps > FARTHEST * zero > 0:
            raise DataError(
                f"eps is {eps:g}, more than {FARTHEST:g} times the objective {zero:g} of the zero "
                "network, where rounding hides the optimum. Use a smaller eps.",
                eps=eps,
            )
        chosen = as_options(options)
        return NearOptimalSet(self.program, self.bound, self.network, eps, backend, chosen)

    def element(self, x: FloatArray) -> CertifiedNetwork:
        """The network of a point of the polytope, certified.

        Raises
        ------
        NotCertified
            If it cannot be certified to 1e−8.
        """
        return certified_element(self.program, self.found, self.bound, self._total, x, TOL)

    # -- underneath ------------------------------------------------------------

    @property
    def _total(self) -> float:
        return float(self.sizes.sum())

    @cached_property
    def _reduced(self) -> Polytope:
        """The polytope without the entries that are zero everywhere."""
        return self.polytope.restricted(self._inner[0])

    @cached_property
    def _size_ranges(self) -> tuple[FloatArray, FloatArray]:
        """The least and the largest of each size, in the polytope's units."""
        k = self.polytope.sizes
        lower, upper = np.zeros(k), np.zeros(k)
        for j in np.flatnonzero(self.support):
            cost = np.zeros(len(self.polytope.bounded))
            cost[j] = 1.0
            lower[j] = self._lowest(cost)[0][j]
            upper[j] = self._lowest(-cost)[0][j]
        return lower, upper

    def _chosen(self, find: Callable[[], FloatArray]) -> CertifiedNetwork:
        """The element that is found, if there is more than one to choose from."""
        return self.element(self.polytope.start if self.is_unique else find())

    def _expand(self, reduced: FloatArray) -> FloatArray:
        x = np.zeros(len(self.polytope.bounded))
        x[self._inner[0]] = reduced
        return self.polytope.polished(x)

    def _lowest(self, cost: FloatArray) -> tuple[FloatArray, float]:
        """Where cost · x is smallest, and a proved lower bound on it."""
        if self.is_unique:
            return self.polytope.start, float(cost @ self.polytope.start)
        return self.polytope.minimise(cost)

    def _rows_at(self, X: ArrayLike) -> FloatArray:
        """The predictions at the rows of X as linear functions of the polytope's points, (q, m)."""
        found, width = self.found, len(self.polytope.bounded)
        return prediction_rows(self.program, found, self._total, X, width)
