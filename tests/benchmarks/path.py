"""What a certified path costs, and whether its promise holds.

For diabetes (442 × 11, 50 patterns) and breast cancer (569 × 31, 500 patterns) of `problems.py`,
squared loss, from lam_max to a thousandth of it with eps = 1e-3: the solved points, the seconds,
the seconds of one cold solve at the last lam in the same process (after a warm-up), and the largest
gap. Then networks of 50 random lam between the points are compared with a lower bound that is tight
to 1e-10: the largest true relative suboptimality, and the largest gap that the path states.

With --rules, also how many points other rules need on diabetes, stepped by the same code and with
every point solved:

* kept: between two points the better of the two networks as it is, and the better of the upper
  point's nu times lam/lam_upper and the lower point's nu;
* chord: the same networks, and the chord of the two lower bounds, since p* is concave;
* mixed: this library's, networks and nu mixed.

Usage:
    python tests/benchmarks/path.py [--problems diabetes breast_cancer] [--eps 1e-3]
        [--ratio 1e-3] [--random 50] [--seed 0] [--rules]
"""

from __future__ import annotations

import argparse
import time
from unittest import mock

import numpy as np
from problems import breast_cancer, diabetes
from solve import versions
from threadpoolctl import threadpool_limits

import relu_opt as ro
from relu_opt.path import following
from relu_opt.path.segment import Segment

PROBLEMS = {"diabetes": diabetes, "breast_cancer": breast_cancer}
# Places between two neighbours at which the gap of the other rules is looked at.
PLACES = 200


class Kept(Segment):
    """Networks as they are, scaled dual points."""

    @property
    def largest_gap(self) -> float:
        lams = np.geomspace(self.low.lam, self.high.lam, PLACES)
        ends = (self.low, self.high)
        upper = np.min([end.loss + lams * end.norm for end in ends], axis=0)
        return float(((upper - self.lower(lams)) / upper).max())

    def lower(self, lams: np.ndarray) -> np.ndarray:
        scaled = [self.high.nu * lam / self.high.lam for lam in lams]
        bounds = [self.high.prog.dual_objective(nu) for nu in scaled]
        return np.maximum(bounds, self.low.certificate.lower_bound)


class Chord(Kept):
    """Networks as they are, the chord of the lower bounds."""

    def lower(self, lams: np.ndarray) -> np.ndarray:
        share = (lams - self.low.lam) / (self.high.lam - self.low.lam)
        return (
            1 - share
        ) * self.low.certificate.lower_bound + share * self.high.certificate.lower_bound


RULES = {"kept": Kept, "chord": Chord, "mixed": Segment}


def seconds_of(prog: ro.ConvexProgram, tol: float) -> float:
    """One cold solve."""
    start = time.perf_counter()
    ro.solve(prog, "native", tol)
    return time.perf_counter() - start


def promise(path: ro.SolutionPath, count: int, seed: int) -> tuple[float, float]:
    """The largest true relative suboptimality at random lam, and the largest gap stated."""
    rng = np.random.default_rng(seed)
    lams = np.exp(rng.uniform(*np.log(path.lams[[-1, 0]]), count))
    true, stated = [], []
    for lam in lams:
        network = path.solution_at(lam)
        exact = ro.solve(path.program.with_lam(lam), "native", 1e-10, warm_start=network)
        if exact.rel_gap > 1e-10:
            print(f"at lam {lam:g} the reference itself has a gap of {exact.rel_gap:.1e}")
        true.append((network.objective - exact.lower_bound) / network.objective)
        stated.append(path.gap_at(lam))
    return max(true), max(stated)


def row(name: str, prog: ro.ConvexProgram, arguments: argparse.Namespace) -> str:
    ratio, eps = arguments.ratio, arguments.eps
    last = prog.with_lam(ratio * prog.lam_max)
    seconds_of(last, 1e-8)
    start = time.perf_counter()
    path = ro.solution_path(prog, eps=eps, lam_min_ratio=ratio, backend="native")
    took = time.perf_counter() - start
    cold = seconds_of(last, path.tol)
    true, stated = promise(path, arguments.random, arguments.seed)
    kept = path.is_certified and max(true, stated, path.largest_gap) <= eps
    return (
        f"| {name} | {len(path)} | {took:.2f} | {cold:.2f} | {took / cold:.1f} "
        f"| {path.largest_gap:.2e} | {stated:.2e} | {true:.2e} | {'yes' if kept else 'NO'} |"
    )


def rules(arguments: argparse.Namespace) -> None:
    print("\n| rule on diabetes | points | seconds | largest gap by the rule |\n|---|---|---|---|")
    for name, rule in RULES.items():
        start = time.perf_counter()
        with mock.patch.object(following, "Segment", rule):
            path = ro.solution_path(
                diabetes(), eps=arguments.eps, lam_min_ratio=arguments.ratio, backend="native"
            )
        took = time.perf_counter() - start
        pairs = zip(path.points[:-1], path.points[1:], strict=True)
        largest = max(rule(high, low).largest_gap for high, low in pairs)
        ended = "" if path.stop is ro.plugins.StopReason.CONVERGED else f", {path.stop.value}"
        print(f"| {name} | {len(path)}{ended} | {took:.1f} | {largest:.2e} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS, default=list(PROBLEMS))
    parser.add_argument("--eps", type=float, default=1e-3)
    parser.add_argument("--ratio", type=float, default=1e-3)
    parser.add_argument("--random", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--rules", action="store_true")
    arguments = parser.parse_args()
    with threadpool_limits(1):
        print(
            "| problem | points | seconds | cold solve at the last lam | ratio | largest gap "
            "| stated at random lam | true there | kept |\n|---|---|---|---|---|---|---|---|---|"
        )
        for name in arguments.problems:
            print(row(name, PROBLEMS[name](), arguments), flush=True)
        if arguments.rules:
            rules(arguments)
    print(f"\n{versions()}; one thread, eps {arguments.eps:g}, to {arguments.ratio:g} lam_max")


if __name__ == "__main__":
    main()
