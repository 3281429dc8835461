"""relu_opt and other tools on the same data, patterns and lam, judged by our certificate.

The peers (pyscnn, adelie, skglm, cvxpy with Clarabel and ECOS, torch) live in an environment of
their own, which is built from `requirements-peers.txt` unless it is there already. Every run is
a process of its own, one after the other, ours too; the tool returns weights, and this command
computes objective, certified gap and cone violation of them. Problems are in `problems.py`,
formulations in `peers_tools.py`; `PATH` follows 50 lam on R2, and R7 shows what 300 seconds give.

Prints a table a problem, and writes peers.md, results.json, peers.png (time against certified
gap) and R7.png into a folder. Needs matplotlib. pip's index has to offer torch's build for CPUs.

Usage:
    python tests/benchmarks/peers.py [--problems R1 R2 ...] [--peers adelie torch ...]
        [--environment FOLDER] [--mnist FOLDER] [--out FOLDER] [--threads 1]
        [--time-limit 900] [--quick]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from peers_environment import peers_python, start
from peers_judge import judge_network, judge_weights
from peers_report import LEGEND, OURS, Row, curve_picture, head, line, our_seconds, picture
from problems import problems
from solve import versions
from threadpoolctl import threadpool_limits

import relu_opt as ro

OUR_TOLS = (1e-2, 1e-4, 1e-6, 1e-8, 1e-10)
CURVE, CURVE_SECONDS = "R7", 300.0
PATH, PATH_OF, PATH_POINTS, PATH_RATIO = "PATH", "R2", 50, 0.01
QUICK, QUICK_LIMIT = ("R1", "R3"), 120.0


@dataclass(frozen=True)
class Run:
    """A tool with settings, and how the tables call both."""

    name: str
    tool: str
    settings: Mapping[str, Any]
    label: str = ""

    @property
    def words(self) -> str:
        hidden = ("time_limit", "curve", "solver")
        shown = {key: value for key, value in self.settings.items() if key not in hidden}
        return self.label or ", ".join(f"{key} {value:g}" for key, value in shown.items())


def ours(tol: float, **more: Any) -> Run:
    return Run(OURS, "relu_opt", {"tol": tol, **more}, f"tol {tol:g}")


def pyscnn(tol: float, iterations: int = 10_000) -> Run:
    return Run("pyscnn", "pyscnn", {"tol": tol, "iterations": iterations})


def adelie(tol: float, pinball_tol: float = 1e-7) -> Run:
    return Run("adelie", "adelie", {"tol": tol, "pinball_tol": pinball_tol})


def adelie_gated(tol: float) -> Run:
    return Run("adelie", "adelie", {"tol": tol})


def skglm(tol: float) -> Run:
    return Run("skglm", "skglm", {"tol": tol})


def clarabel(tol: float) -> Run:
    return Run("Clarabel", "conic", {"tol": tol, "solver": "CLARABEL"})


def ecos(tol: float) -> Run:
    return Run("ECOS", "conic", {"tol": tol, "solver": "ECOS"})


def torch(seconds: float) -> Run:
    settings = {"seconds": seconds, "rates": (0.01, 0.001), "seeds": 3}
    return Run("torch", "torch", settings, f"Adam, {seconds:g} s in all, rates 0.01 0.001, 3 seeds")


# Which run where: those that have an answer within the limit.
RUNS: dict[str, tuple[Run, ...]] = {
    "R1": (
        pyscnn(1e-6),
        pyscnn(1e-8, 100_000),
        adelie(1e-7),
        adelie(1e-11, 1e-12),
        adelie(1e-14, 1e-18),
        clarabel(1e-8),
        clarabel(1e-11),
        ecos(1e-6),
        ecos(1e-8),
        torch(30),
    ),
    "R2": (
        pyscnn(1e-6),
        pyscnn(1e-8, 100_000),
        adelie(1e-7),
        adelie(1e-11, 1e-12),
        adelie(1e-14, 1e-18),
        torch(30),
    ),
    "R3": (
        pyscnn(1e-6),
        pyscnn(1e-12),
        pyscnn(1e-16, 100_000),
        adelie_gated(1e-7),
        adelie_gated(1e-10),
        adelie_gated(1e-13),
        skglm(1e-4),
        skglm(1e-8),
        skglm(1e-12),
        clarabel(1e-8),
    ),
    "R4": (adelie(1e-7), adelie(1e-11, 1e-12), torch(30)),
    "R5": (adelie(1e-7),),
    "R6": (pyscnn(1e-6, 100),),
    "R6b": (adelie_gated(1e-7),),
}


class Journal:
    """What is printed, kept for the file."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, text: str) -> None:
        self.lines.append(text)
        print(text, flush=True)


class Bench:
    """Runs tools and judges them: the environments, limits and the scratch folder."""

    def __init__(self, arguments: argparse.Namespace, scratch: Path, peers: Path) -> None:
        self.arguments = arguments
        self.scratch = scratch
        self.peers = peers
        self.versions: dict[str, str] = {}

    def put(self, name: str, prog: ro.ConvexProgram) -> Path:
        """Write the arrays that every tool gets."""
        path = self.scratch / f"{name}.npz"
        np.savez(
            path,
            X=prog.X,
            y=prog.y,
            lam=prog.lam,
            masks=prog.patterns.masks,
            gates=prog.patterns.gates,
            activation=prog.activation,
        )
        return path

    def outcome(self, path: Path, run: Run) -> tuple[Mapping[str, Any], dict[str, Any], str]:
        """Arrays, facts and the failure of one run."""
        python = Path(sys.executable) if run.name == OURS else self.peers
        settings = {**run.settings, "threads": self.arguments.threads}
        limit = self.arguments.time_limit
        if run.name == OURS:
            settings = {"time_limit": 0.9 * limit, **settings}
            limit = max(limit, 2 * settings["time_limit"])
        found = start(python, run.tool, path, settings, limit)
        self.versions.update(found.facts.get("versions", {}) if run.name != OURS else {})
        return found.arrays, dict(found.facts), found.failure

    def row(
        self, problem: str, prog: ro.ConvexProgram, path: Path, run: Run, bound: float
    ) -> tuple[Row, dict[str, Any]]:
        """One run, judged; with the facts that the worker left."""
        arrays, facts, failure = self.outcome(path, run)
        if failure:
            return Row(problem, run.name, run.words, remark=failure), facts
        common = {
            "seconds": facts["seconds"],
            "warm": facts["warm"],
            "ready": facts["ready"],
            "claimed": facts["claimed"],
            "remark": facts["status"],
        }
        with threadpool_limits(self.arguments.threads):
            if "hidden" in arrays:
                judged = judge_network(prog, arrays["hidden"], arrays["output"])
            else:
                judged = judge_weights(prog, arrays, bound)
        facts["bound"] = judged.pop("bound")
        return Row(problem, run.name, run.words, **common, **judged), facts


def run_problem(bench: Bench, name: str, prog: ro.ConvexProgram, emit: Journal) -> list[Row]:
    """Ours at every tolerance, then the peers."""
    path = bench.put(name, prog)
    rows: list[Row] = []
    bound, width, reached = -np.inf, 0, True

    of_ours: dict[str, Any] = {}

    def do(run: Run) -> dict[str, Any]:
        row, facts = bench.row(name, prog, path, run, bound)
        rows.append(row)
        emit(line(row, our_seconds(rows)))
        return facts

    emit(head())
    # 1e-6 first: the ratios are to it.
    for tol in sorted(OUR_TOLS, key=lambda tol: (tol != 1e-6, -tol)):
        if tol < 1e-6 and not reached:
            rows.append(Row(name, OURS, f"tol {tol:g}", remark="not run: 1e-6 was not reached"))
            emit(line(rows[-1], math.nan))
            continue
        facts = do(ours(tol))
        bound = max(bound, facts.get("bound", -np.inf))
        if tol == 1e-6:
            width, reached, of_ours = rows[-1].neurons, rows[-1].gap <= tol, facts
    for run in RUNS.get(name, ()):
        if bench.arguments.peers and run.name not in bench.arguments.peers:
            continue
        if run.tool == "torch":
            run = Run(run.name, run.tool, {**run.settings, "neurons": max(width, 1)}, run.label)
        do(run)
    if of_ours.get("pass"):
        passes = of_ours["seconds"] / of_ours["pass"]
        emit(
            f"\nOurs at 1e-6 takes the time of {passes:.0f} correlation passes of "
            f"{of_ours['pass']:.2g} s, and {of_ours['memory']:.2f} GiB of memory at the most."
        )
    return rows


def run_curve(
    bench: Bench, name: str, prog: ro.ConvexProgram, emit: Journal
) -> tuple[list[Row], list[Any]]:
    """The best gap of a bounded time, and how it fell."""
    seconds = min(CURVE_SECONDS, bench.arguments.time_limit)
    run = ours(1e-10, time_limit=seconds, curve=True)
    row, facts = bench.row(name, prog, bench.put(name, prog), run, -np.inf)
    emit(f"{head()}\n{line(row, math.nan)}\n\n| seconds | gap |\n|---|---|")
    curve = [point for point in facts.get("curve", []) if None not in point[1:]]
    for share in (0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 1.0):
        until = [point for point in curve if point[0] <= share * seconds]
        if until:
            _, upper, lower = until[-1]
            emit(f"| {share * seconds:.0f} | {(upper - lower) / abs(upper):.1e} |")
        if curve and curve[-1][0] <= share * seconds:
            break
    return [row], curve


def run_path(bench: Bench, prog: ro.ConvexProgram, emit: Journal) -> dict[str, Any]:
    """A warm-started path against one cold solve at its end, for each of two tolerances."""
    path = bench.put(PATH, prog.with_lam(PATH_RATIO * prog.lam_max))
    emit(
        "| tol | 50 lam, warm-started, s | the smallest alone, s | ratio | worst gap |\n"
        "|---|---|---|---|---|"
    )
    results = {}
    for tol in (1e-4, 1e-6):
        more = {"points": PATH_POINTS, "ratio": PATH_RATIO}
        _, whole, failure = bench.outcome(path, Run(OURS, "relu_opt_path", {"tol": tol, **more}))
        _, alone, other = bench.outcome(path, ours(tol))
        if failure or other:
            emit(f"| {tol:g} | {failure or other} | | | |")
            continue
        ratio = whole["seconds"] / alone["seconds"]
        emit(
            f"| {tol:g} | {whole['seconds']:.2f} | {alone['seconds']:.2f} | {ratio:.1f} "
            f"| {whole['worst']:.1e} |"
        )
        results[f"{tol:g}"] = {
            "path": whole["seconds"],
            "cold": alone["seconds"],
            "worst_gap": whole["worst"],
        }
    return results


def cpu() -> str:
    """The processor's name, where the system says it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [text.split(":", 1)[1].strip() for text in lines if text.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def parsed() -> argparse.Namespace:
    names = [*RUNS, CURVE, PATH]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", nargs="+", choices=names, default=None)
    parser.add_argument("--peers", nargs="+", default=None, help="names as in the table")
    parser.add_argument("--environment", type=Path, default=None, help="built here if missing")
    parser.add_argument("--mnist", type=Path, default=None, help="folder of MNIST's idx files")
    parser.add_argument("--out", type=Path, default=Path("peers-results"))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--time-limit", type=float, default=900.0, help="seconds for a run")
    parser.add_argument("--quick", action="store_true", help="R1 and R3, at most 120 s a run")
    given = parser.parse_args()
    if given.quick:
        given.problems = given.problems or list(QUICK)
        given.time_limit = min(given.time_limit, QUICK_LIMIT)
    given.problems = given.problems or names
    return given


def run_all(bench: Bench, emit: Journal) -> dict[str, Any]:
    """Every problem that was asked for; rows by problem, the path and the curve."""
    known = problems(bench.arguments.mnist)
    results: dict[str, Any] = {"rows": {}, "titles": {}}
    for name in bench.arguments.problems:
        if name != PATH and name not in known:
            emit(f"\n### {name}\n\nNot run: it needs the data of --mnist.\n")
            continue
        if name == PATH:
            emit(f"\n### PATH: 50 lam from lam_max to {PATH_RATIO:g} lam_max on {PATH_OF}\n")
            results["path"] = run_path(bench, known[PATH_OF].build(), emit)
            continue
        emit(f"\n### {name}: {known[name].title}\n")
        prog = known[name].build()
        if name == CURVE:
            results["rows"][name], results["curve"] = run_curve(bench, name, prog, emit)
        else:
            results["rows"][name] = run_problem(bench, name, prog, emit)
        results["titles"][name] = known[name].title
    return results


def write(out: Path, results: dict[str, Any], emit: Journal) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "peers.md").write_text("\n".join(emit.lines) + "\n")
    rows, titles = results["rows"], results["titles"]
    plain = {name: [asdict(row) for row in each] for name, each in rows.items()}
    text = json.dumps({**results, "rows": plain}, indent=1)
    (out / "results.json").write_text(text + "\n")
    compared = {name: each for name, each in rows.items() if name != CURVE}
    if compared:
        picture(compared, titles, out / "peers.png")
    if results.get("curve"):
        curve_picture(results["curve"], f"{CURVE}: {titles[CURVE]}", out / f"{CURVE}.png")


def main() -> None:
    arguments = parsed()
    emit, began = Journal(), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        peers = peers_python(arguments.environment or scratch / "environment")
        built = time.perf_counter()
        bench = Bench(arguments, scratch, peers)
        results = run_all(bench, emit)
    theirs = ", ".join(f"{name} {each}" for name, each in sorted(bench.versions.items()))
    now = time.perf_counter()
    results["machine"] = (
        f"{cpu()}, {os.cpu_count()} processors; {arguments.threads} thread(s) for every tool; "
        f"time limit {arguments.time_limit:g} s a run; the whole took {now - began:.0f} s, "
        f"{built - began:.0f} s of it for the peers' environment"
    )
    results["versions"] = {"ours": versions(("relu-opt", "numpy", "scipy")), "peers": theirs}
    emit(f"\n{LEGEND}\n\nOurs: {results['versions']['ours']}.\nPeers: {theirs}.\n")
    emit(f"{results['machine']}.")
    write(arguments.out, results, emit)


if __name__ == "__main__":
    main()
