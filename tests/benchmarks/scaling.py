"""How time and memory grow with patterns, samples, features and lam.

One quantity changes at a time around a base point of synthetic data (n 2000, d 20, 200 patterns,
lam 0.05 lam_max; see `problems.synthetic`), tolerance 1e-6, each point a process of its own that
measures seconds and peak memory. The exponents are fitted by least squares in logarithms over
the points that converged, and plotted beside the cost of one correlation pass, XᵀD_iν for every
pattern: 2·n·d·p flops at the rate of a matrix product of that shape, measured in the same process.

Prints a table a quantity, and writes scaling.md, scaling.json and scaling.png (with the
activation in their names) into a folder. Needs matplotlib.

Usage:
    python tests/benchmarks/scaling.py [--activation relu gated] [--sweeps p n d lam]
        [--time-limit 60] [--threads 1] [--tol 1e-6] [--out FOLDER]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from peers import cpu
from peers_environment import THREAD_VARIABLES
from problems import synthetic
from solve import versions

import relu_opt as ro

# Beyond the limit of the solver: data, patterns, certificate.
EXTRA_SECONDS = 120.0


@dataclass(frozen=True)
class Point:
    """A problem's sizes; lam is a share of lam_max."""

    p: int = 200
    n: int = 2000
    d: int = 20
    lam: float = 0.05


SWEEPS: dict[str, tuple[float, ...]] = {
    "p": (50, 100, 200, 500, 1000, 2000, 5000),
    "n": (500, 1000, 2000, 5000, 10_000, 20_000, 50_000),
    "d": (5, 10, 20, 50, 100, 200),
    "lam": (0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 1e-3, 1e-4),
}
AXES = {
    "p": "patterns p",
    "n": "samples n",
    "d": "features d",
    "lam": "lam / lam_max",
}


@dataclass(frozen=True)
class Measured:
    """What a point took; NaN where it failed, and then `stop` says why."""

    point: Point
    seconds: float = math.nan
    pass_seconds: float = math.nan
    memory_mib: float = math.nan
    base_mib: float = math.nan
    patterns: int = 0
    neurons: int = 0
    rel_gap: float = math.nan
    stop: str = ""

    @property
    def converged(self) -> bool:
        return self.stop == ro.plugins.StopReason.CONVERGED.value

    @property
    def passes(self) -> float:
        return self.seconds / self.pass_seconds


def pass_seconds(n: int, d: int, p: int) -> float:
    """Seconds of one product of (p, n) by (n, d): the fastest of several."""
    rng = np.random.default_rng(1)
    rows = max(1, min(p, 2**24 // n))
    left, right = rng.standard_normal((rows, n)), rng.standard_normal((n, d))
    times = []
    for _ in range(7):
        start = time.perf_counter()
        left @ right
        times.append(time.perf_counter() - start)
    return min(times) * p / rows


def peak_mib() -> float:
    """Peak resident memory of this process so far (kilobytes on Linux, bytes on macOS)."""
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure(point: Point, arguments: argparse.Namespace) -> Measured:
    """Solve one point, in this process."""
    activation = arguments.activation[0]
    prog = synthetic(point.n, point.d, point.p, point.lam, activation)
    options = {"threads": arguments.threads}
    ro.solve(synthetic(60, 4, 5, 0.1, activation), options=options)  # Warm imports.
    before = peak_mib()
    start = time.perf_counter()
    found = ro.solve(prog, tol=arguments.tol, time_limit=arguments.time_limit, options=options)
    seconds = time.perf_counter() - start
    return Measured(
        point,
        seconds,
        memory_mib=peak_mib(),
        base_mib=before,
        pass_seconds=pass_seconds(prog.n, prog.d, len(prog.patterns)),
        patterns=len(prog.patterns),
        neurons=len(found.network),
        rel_gap=found.rel_gap,
        stop=found.stop.value,
    )


def measure_apart(point: Point, activation: str, arguments: argparse.Namespace) -> Measured:
    """Solve one point in a process of its own."""
    command = [sys.executable, __file__, "--point", json.dumps(asdict(point))]
    command += ["--activation", activation, "--tol", str(arguments.tol)]
    command += ["--time-limit", str(arguments.time_limit), "--threads", str(arguments.threads)]
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(arguments.threads))}
    limit = arguments.time_limit + EXTRA_SECONDS
    try:
        done = subprocess.run(
            command, env=environment, timeout=limit, capture_output=True, text=True, check=False
        )
    except subprocess.TimeoutExpired:
        return Measured(point, stop=f"killed after {limit:g} s")
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return Measured(point, stop=f"failed (exit {done.returncode}): {last[:100]}")
    values = json.loads(done.stdout)
    return Measured(point, **{key: value for key, value in values.items() if key != "point"})


def exponent(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """(slope, intercept) of log y over log x by least squares; NaN for fewer than two points."""
    if len(x) < 2:
        return math.nan, math.nan
    slope, intercept = np.polyfit(np.log(x), np.log(y), 1)
    return float(slope), float(intercept)


def size(result: Measured, quantity: str) -> float:
    """What the point is drawn at: patterns may be fewer than gates, being distinct."""
    return result.patterns if quantity == "p" else float(getattr(result.point, quantity))


def fits(results: Sequence[Measured], quantity: str) -> dict[str, float]:
    """Exponents of seconds, passes and memory in the quantity, over the converged points."""
    used = [result for result in results if result.converged]
    x = [size(result, quantity) for result in used]
    grown = [max(result.memory_mib - result.base_mib, 0.1) for result in used]
    return {
        "seconds": exponent(x, [result.seconds for result in used])[0],
        "passes": exponent(x, [result.passes for result in used])[0],
        "memory": exponent(x, grown)[0],
    }


def table(results: Sequence[Measured], quantity: str) -> list[str]:
    lines = [
        f"| {AXES[quantity]} | seconds | one pass, s | passes | peak memory MiB "
        "| of it solving | neurons | rel. gap | stop |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for result in results:
        name = f"{getattr(result.point, quantity):g}"
        if math.isnan(result.seconds):
            lines.append(f"| {name} | | | | | | | | {result.stop} |")
            continue
        lines.append(
            f"| {name} | {result.seconds:.3g} | {result.pass_seconds:.2g} | {result.passes:.0f} "
            f"| {result.memory_mib:.0f} | {result.memory_mib - result.base_mib:.0f} "
            f"| {result.neurons} | {result.rel_gap:.1e} | {result.stop} |"
        )
    found = fits(results, quantity)
    lines.append(
        f"\nExponents over the converged points: seconds {found['seconds']:.2f}, passes "
        f"{found['passes']:.2f}, memory of solving {found['memory']:.2f}."
    )
    return lines


def picture(sweeps: dict[str, list[Measured]], title: str, path: Path) -> None:
    """Seconds and the cost of one pass against each quantity."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    across, down = min(2, len(sweeps)), math.ceil(len(sweeps) / 2)
    figure, axes = plt.subplots(
        down, across, figsize=(5.5 * across, 4 * down + 0.3), squeeze=False, layout="constrained"
    )
    for axis, (quantity, results) in zip(axes.flat, sweeps.items(), strict=False):
        measured = [result for result in results if not math.isnan(result.seconds)]
        done = [result for result in measured if result.converged]
        late = [result for result in measured if not result.converged]
        x = np.array([size(result, quantity) for result in done])
        slope, intercept = exponent(x, [result.seconds for result in done])
        axis.plot(x, [r.seconds for r in done], "o", color="C0", label="one solve")
        if not math.isnan(slope):
            label = f"fit: exponent {slope:.2f}"
            axis.plot(x, np.exp(intercept) * x**slope, "-", color="C0", lw=1, label=label)
        if late:
            where = [size(result, quantity) for result in late]
            axis.plot(where, [r.seconds for r in late], "x", color="C3", label="not finished")
        for result in late:
            place = size(result, quantity), result.seconds
            note = f"gap {result.rel_gap:.0e}"
            axis.annotate(note, place, (0, -12), textcoords="offset points", ha="center", size=8)
        every = [size(result, quantity) for result in measured]
        label = "one correlation pass"
        axis.plot(every, [r.pass_seconds for r in measured], "s--", color="C1", ms=4, label=label)
        axis.set(xscale="log", yscale="log", xlabel=AXES[quantity], ylabel="seconds")
        axis.margins(x=0.1, y=0.1)
        if quantity == "lam":
            axis.invert_xaxis()
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    for axis in axes.flat[len(sweeps) :]:
        axis.remove()
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def run(activation: str, arguments: argparse.Namespace) -> None:
    """All sweeps of one activation: tables and files."""
    lines: list[str] = []

    def emit(text: str) -> None:
        lines.append(text)
        print(text, flush=True)

    base, done, sweeps = Point(), {}, {}
    title = (
        f"{activation}, around n {base.n}, d {base.d}, {base.p} patterns, {base.lam:g} lam_max; "
        f"tol {arguments.tol:g}, {arguments.threads} thread(s)"
    )
    emit(f"\n## {title}")
    for quantity in arguments.sweeps:
        results = []
        for value in SWEEPS[quantity]:
            point = replace(base, **{quantity: value})
            if point not in done:
                done[point] = measure_apart(point, activation, arguments)
            results.append(done[point])
        sweeps[quantity] = results
        emit(f"\n### {AXES[quantity]}\n")
        emit("\n".join(table(results, quantity)))
    emit(f"\n{versions(('relu-opt', 'numpy', 'scipy'))}; {cpu()}, {os.cpu_count()} processors.")
    arguments.out.mkdir(parents=True, exist_ok=True)
    stem = f"scaling-{activation}"
    (arguments.out / f"{stem}.md").write_text("\n".join(lines) + "\n")
    plain = {quantity: [asdict(result) for result in each] for quantity, each in sweeps.items()}
    slopes = {quantity: fits(each, quantity) for quantity, each in sweeps.items()}
    text = json.dumps({"sweeps": plain, "exponents": slopes}, indent=1)
    (arguments.out / f"{stem}.json").write_text(text + "\n")
    picture(sweeps, title, arguments.out / f"{stem}.png")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    both = ["relu", "gated"]
    parser.add_argument("--activation", nargs="+", choices=both, default=both)
    parser.add_argument("--sweeps", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--time-limit", type=float, default=60.0, help="seconds for a point")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--out", type=Path, default=Path("scaling-results"))
    parser.add_argument("--point", default=None, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    arguments = parsed()
    if arguments.point is not None:
        print(json.dumps(asdict(measure(Point(**json.loads(arguments.point)), arguments))))
        return
    for activation in arguments.activation:
        run(activation, arguments)


if __name__ == "__main__":
    main()
