r"""The regularization path, proved at every λ of an interval and not at grid points alone.

p*(λ) is concave with slope Σ_b ‖w_b‖ (Mishkin & Pilanci, ICML 2023, §4). Between two neighbours of
the path weights and dual points are mixed linearly, which is feasible on both sides; see
`relu_opt.path.segment` for the gap in closed form.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from relu_opt.above import above
from relu_opt.arrays import FloatArray, as_positive
from relu_opt.clock import Clock
from relu_opt.config import load_settings
from relu_opt.errors import DataError, NotCertified
from relu_opt.io import read_npz, write_npz
from relu_opt.path.continuity import Continuity
from relu_opt.path.events import PathEvent, Uniqueness, distance, events_between, uniqueness
from relu_opt.path.file import Promise, contents, from_contents
from relu_opt.path.following import Follower, lam_grid
from relu_opt.path.point import PathPoint
from relu_opt.path.points import Points
from relu_opt.path.segment import Segment
from relu_opt.plugins.dispatch import can_start
from relu_opt.plugins.options import as_options
from relu_opt.plugins.stopping import until_stopped
from relu_opt.plugins.types import StopReason
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.certified_network import CertifiedNetwork
from relu_opt.proof.verdict import Verdict, relative_gap
from relu_opt.sets.optimal_set import OptimalSet
from relu_opt.solving.shards.executors import opened
from relu_opt.solving.shards.training import Shards
from relu_opt.solving.training import Solution, solve

# Where the path ends by default, as a share of λ_max, and the gap that it promises.
RATIO, EPS = 1e-3, 1e-3
# The gap of a point is at most this share of ε.
POINT_SHARE = 0.1


def solution_path(
    prog: ConvexProgram,
    lams: ArrayLike | None = None,
    n_lams: int | None = None,
    eps: float | None = None,
    lam_min_ratio: float = RATIO,
    backend: str = "auto",
    tol: float | None = None,
    time_limit: float | None = None,
    options: Mapping[str, object] | None = None,
    executor: object = None,
) -> SolutionPath:
    """Optimal networks for every λ of an interval.

    Parameters
    ----------
    prog : ConvexProgram
        The training problem; its own λ plays no part.
    lams : (m,) array, optional
        The λ to solve at, in any order.
    n_lams : int, optional
        In place of `lams`: so many, evenly in log λ from λ_max to `lam_min_ratio` · λ_max.
    eps : float, optional
        Largest relative gap at *every* λ between the first and the last. Points are added where
        it needs them. 1e−3 if neither `lams` nor `n_lams` is given, and then the points are chosen
        freely; otherwise no promise is made by default.
    lam_min_ratio : float
        Where the path ends, between 0 and 1.
    backend, options
        As in `solve`.
    tol : float, optional
        Relative gap at the points; as in `solve`, and at most ε/10.
    time_limit : float, optional
        Seconds for the whole path.
    executor : optional
        As in `solve`: where to spread the patterns over. They are sent once for the whole path.

    Returns
    -------
    SolutionPath
        Also when a limit or Ctrl-C ended it: it then goes as far as it came, and `stop` says why.

    Raises
    ------
    DataError
        If the λ cannot be used, or no network is better than zero at any λ.
    """
    if not isinstance(prog, ConvexProgram):
        raise DataError(f"prog is a {type(prog).__name__}, and a ConvexProgram is needed.")
    settings = load_settings().with_arguments(tol=tol, time_limit=time_limit)
    clock = Clock(settings.time_limit)
    if lams is not None and n_lams is not None:
        raise DataError("lams and n_lams were given. Pass one of them.")
    free = lams is None and n_lams is None
    eps = EPS if eps is None and free else eps
    if eps is not None and not as_positive(eps, "eps") < 1:
        raise DataError(f"eps is {eps}, and a relative gap below 1 is needed.", eps=eps)
    grid = lam_grid(prog, lams, 2 if free else n_lams, lam_min_ratio)
    tol = settings.tol if eps is None else min(settings.tol, POINT_SHARE * eps)
    follower = Follower(prog, backend, tol, as_options(options), clock)

    def follow() -> None:
        follower.points.append(follower.solve(float(grid[0]), None))
        if free and eps is not None:
            follower.follow_freely(float(grid[-1]), eps)
        for lam in grid[1:] if not free else ():
            follower.step_to(float(lam), eps)

    if executor is None:
        stop = until_stopped(follow).stop
    else:
        with opened(executor) as workers:
            follower.executor = Shards(prog.canonical, workers)
            stop = until_stopped(follow).stop
    if not follower.points:
        raise NotCertified(
            f"The path was stopped before its first point was solved: {stop.value}. {stop.advice}",
            stop=stop,
        )
    points = tuple(follower.points)
    return _judged(SolutionPath(prog, points, eps, tol, stop, backend, as_options(options)))


@dataclass(frozen=True, eq=False)
class SolutionPath(Points):
    """Networks for every λ of an interval, each with its gap. Made by `solution_path`.

    Attributes
    ----------
    program : ConvexProgram
        The training problem; its own λ plays no part.
    points : tuple of PathPoint
        The solved points, with falling λ.
    eps : float or None
        The largest relative gap that was asked for between them.
    tol : float
        The relative gap that was asked for at them.
    stop : StopReason
        `CONVERGED` if the path is complete.
    backend : str
        Who solves.
    options : mapping
        The backend's options.
    """

    program: ConvexProgram
    points: tuple[PathPoint, ...]
    eps: float | None
    tol: float
    stop: StopReason
    backend: str = "auto"
    options: Mapping[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return (
            f"SolutionPath({len(self)} points, lam {self.lams[0]:.4g} to {self.lams[-1]:.4g}, "
            f"largest_gap={self.largest_gap:.2e}, stop={self.stop.value!r})"
        )

    # -- between the points --------------------------------------------------------------

    @cached_property
    def segment_gaps(self) -> FloatArray:
        """What the relative gap does not exceed between neighbours, (m − 1,)."""
        return np.array([segment.largest_gap for segment in self._segments])

    @property
    def largest_gap(self) -> float:
        """What the relative gap does not exceed anywhere from the first λ to the last."""
        return max(float(self.rel_gaps.max()), float(self.segment_gaps.max(initial=0.0)))

    @property
    def is_certified(self) -> bool:
        """Whether the path is complete and keeps `tol` at the points and `eps` between them."""
        kept = self.eps is None or self.largest_gap <= self.eps
        return self.stop.converged and kept and bool((self.rel_gaps <= self.tol).all())

    @property
    def rel_gap(self) -> float:
        """The `largest_gap`."""
        return self.largest_gap

    @property
    def verdict(self) -> Verdict:
        """`certified` if the path is, else `not_certified`; `reason` says why."""
        return Verdict.CERTIFIED if self.is_certified else Verdict.NOT_CERTIFIED

    @property
    def reason(self) -> str:
        """What is proved of the path, or what is missing."""
        high, low = self.lams[0], self.lams[-1]
        said = f"The gap is at most {self.rel_gap:.1e} at every lam from {high:.4g} to {low:.4g}."
        if self.is_certified:
            return said
        if not self.stop.converged:
            return f"Ended early: {self.stop.value}. {said}"
        between = "" if self.eps is None else f" and {self.eps:.0e} between them"
        return f"{said} {self.tol:.0e} at the points{between} was asked for."

    @property
    def stats(self) -> dict[str, Any]:
        """How many points there are, and the seconds that they took."""
        seconds = [sum(point.stats.get("seconds", {}).values()) for point in self.points]
        return {"points": len(self), "seconds": sum(seconds)}

    def bounds_at(self, lam: float) -> tuple[float, float]:
        """Upper and lower bound on p*(λ); the upper one is attained by `solution_at(lam)`.

        Parameters
        ----------
        lam : float
            From the last λ of the path to the first; also above, if that is λ_max.
        """
        place = self._place(lam)
        if isinstance(place, Segment):
            return place.bounds(lam)
        # At a point, or above λ_max, where the zero network stays.
        upper = place.loss + lam * place.norm
        return upper, place.certificate.lower_bound

    def gap_at(self, lam: float) -> float:
        """The relative gap, in closed form, of the network that `solution_at(lam)` returns.

        Parameters
        ----------
        lam : float
            As in `bounds_at`.
        """
        return relative_gap(*self.bounds_at(lam))

    def solution_at(self, lam: float, refine: bool = False) -> Solution:
        """The network at any λ of the path, with its certificate.

        Parameters
        ----------
        lam : float
            As in `bounds_at`.
        refine : bool
            Whether to solve there, from the mixture of the neighbours, to the tolerance of the
            points. Otherwise the answer between two points is their mixture, which has the
            neurons of both and is certified to `eps`.
        """
        place = self._place(lam)
        if isinstance(place, PathPoint) and lam == place.lam:
            return place.solution
        near = None
        if isinstance(place, Segment):
            near = place.solution(lam, self.tol if self.eps is None else self.eps)
            if not refine:
                return near
        if not can_start(self.program, self.backend):
            near = None
        prog = self.program.with_lam(lam)
        return solve(prog, self.backend, self.tol, warm_start=near, options=self.options)

    @cached_property
    def _segments(self) -> list[Segment]:
        return [Segment(high, low) for high, low in itertools.pairwise(self.points)]

    def _place(self, lam: float) -> Segment | PathPoint:
        """The neighbours round λ, or the point at it."""
        lam, lams = as_positive(lam, "lam"), self.lams
        if lam > lams[0] and not len(self.points[0].blocks):
            return self.points[0]
        if not lams[-1] <= lam <= lams[0]:
            raise DataError(
                f"lam is {lam:g}, and the path goes from {lams[-1]:g} to {lams[0]:g}. Follow it "
                "further, or solve there.",
                lam=lam,
                lowest=float(lams[-1]),
                highest=float(lams[0]),
            )
        k = int(np.searchsorted(-lams, -lam))
        return self.points[k] if lams[k] == lam else self._segments[k - 1]

    # -- sets, events, continuity ----------------------------------------------------------

    def optimal_set(self, k: int) -> OptimalSet:
        """All optimal networks at point k.

        Raises
        ------
        NotCertified
            If the solution there is not accurate enough to tell.
        """
        found = self.points[k].optimal
        if isinstance(found, NotCertified):
            raise found
        return found

    @property
    def uniqueness(self) -> tuple[Uniqueness, ...]:
        """Whether the optimal network is unique at each point, and why; solves to 1e−12."""
        return tuple(uniqueness(point) for point in self.points)

    def min_norm(self) -> tuple[CertifiedNetwork, ...]:
        """The optimum with the smallest Σ_b ‖w_b‖² at each point; see `OptimalSet.min_norm`."""
        return tuple(self.optimal_set(k).min_norm() for k in range(len(self)))

    @cached_property
    def events(self) -> tuple[PathEvent, ...]:
        """Neurons that enter or leave and faces that change, with falling λ.

        Each lies between two neighbouring points; `located` brings those closer. A neuron that
        enters and leaves between the same two points is not seen, and one that crosses a whole
        cone between them counts as one that leaves and one that enters. Where the optimal set
        could not be told (see `uniqueness`), events are missing.
        """
        return tuple(
            event
            for high, low in itertools.pairwise(self.points)
            for event in events_between(high.optimal, low.optimal)
        )

    def located(self, tol: float = 1e-3) -> SolutionPath:
        """The path with more points, so that each event is known to lie in a short interval.

        Parameters
        ----------
        tol : float
            lam_high/lam_low − 1 of every event at the most.

        Returns
        -------
        SolutionPath
            After Ctrl-C or at the limit of points, what was reached; `stop` says so.
        """
        tol = as_positive(tol, "tol")
        follower = Follower(self.program, self.backend, self.tol, self.options)
        follower.points = list(self.points)
        stop = until_stopped(lambda: follower.locate(tol)).stop
        if stop is StopReason.CONVERGED:
            stop = self.stop
        return _judged(replace(self, points=tuple(follower.points), stop=stop))

    def continuity(self, pick: Callable[[OptimalSet], ReLUNetwork] | None = None) -> Continuity:
        """How far the weights move from point to point, beside the min-norm path.

        Parameters
        ----------
        pick : callable, optional
            Takes the optimal set at a point and returns the element whose path is looked at; the
            path's own networks by default.
        """
        sets = [self.optimal_set(k) for k in range(len(self))]
        chosen = [S.alpha if pick is None else S.alpha_of(pick(S)) for S in sets]
        least = [S.alpha_of(S.min_norm()) for S in sets]

        def steps(alphas: list[FloatArray]) -> FloatArray:
            ends = range(len(sets) - 1)
            return np.array(
                [distance(sets[k], alphas[k], sets[k + 1], alphas[k + 1]) for k in ends]
            )

        off = [distance(S, one, S, two) for S, one, two in zip(sets, chosen, least, strict=True)]
        dims = np.array([S.network_dim for S in sets])
        return Continuity(self.lams, steps(chosen), steps(least), np.array(off), dims)

    def plot(self, kind: str = "norms", ax: Any = None) -> Any:
        """Draw the path over log λ, which falls to the right; needs matplotlib.

        Parameters
        ----------
        kind : str
            `norms`: ‖w_b‖ of each neuron, followed by its block. `neurons`: how many there are.
            `objective`: the objective with its bounds, between the points too, and the training
            loss. `gap`: the relative gap at the points and between them.
        ax : matplotlib Axes, optional
            Where to; a new figure by default.

        Returns
        -------
        Axes
        """
        return above("plotting.plot_path")(self, kind, ax)

    # -- files -------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the points to an npz file (no pickle, no data); an earlier one survives failure."""
        write_npz(path, "path", *contents(self.points, Promise(self.eps, self.tol, self.stop)))

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], program: ConvexProgram, tol: float | None = None
    ) -> SolutionPath:
        """Read what `save` wrote; the program is needed again, and every proof is made anew.

        Parameters
        ----------
        path : path
        program : ConvexProgram
            What the path was made from.
        tol : float, optional
            The relative gap to certify at the points; that of the file by default.

        Raises
        ------
        DataError
            If the file is damaged, or its blocks do not fit the program.
        """
        points, asked = from_contents(*read_npz(path, "path"), path, program, tol)
        return cls(program, points, asked.eps, asked.tol, asked.stop)


def _judged(path: SolutionPath) -> SolutionPath:
    """A path at its end that does not keep what was asked for converged to a looser tolerance."""
    if path.stop is StopReason.CONVERGED and not path.is_certified:
        return replace(path, stop=StopReason.CONVERGED_LOOSE)
    return path
