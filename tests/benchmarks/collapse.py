"""Watch the features of a network trained in torch collapse to what the formula says.

A classifier with batch normalisation in its last hidden layer is trained by full-batch Adam, on as
many samples of each of three classes and on unlike numbers of them. At steps on the way its
objective is compared with the formula's optimum, and its features with the collapse of the
formula's. One picture has both: the features at three moments, and how far they are from it.

torch lives in an environment of its own, which is built in the folder `--env` if there is none.

Usage:
    python tests/benchmarks/collapse.py --env FOLDER [--steps 30000] [--seed 0] [--picture FILE]
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
import venv
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np

import relu_opt as ro

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

HERE = Path(__file__).parent
INSTALLS = (("torch==2.13.0",), ("-r", str(HERE / "requirements-collapse.txt")))
PICTURE = HERE.parents[1] / "docs" / "images" / "collapse_training.png"
COUNTS = ((12, 12, 12), (18, 12, 6))
BETA, WIDTH, NEURONS = 0.5, 120, 12
COLOURS = ("#1f5f8b", "#b3402a", "#6a8a3a")
GREY = "#7a7a7a"


@dataclass(frozen=True)
class Run:
    """A training: the networks on the way, their steps, and the formula's network."""

    counts: tuple[int, ...]
    X: np.ndarray
    Y: np.ndarray
    steps: np.ndarray
    networks: list[ro.deep.DeepNetwork]
    best: ro.deep.DeepSolution

    @property
    def labels(self) -> np.ndarray:
        return self.Y.argmax(axis=1)

    def collapse(self, k: int) -> ro.deep.NeuralCollapse:
        network = self.networks[k]
        return ro.deep.neural_collapse(network.features(self.X), self.labels, network.weights[-1])


def environment(folder: Path) -> Path:
    """The Python of an environment with torch, which is built if it is not there."""
    python = folder.absolute() / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        for wanted in INSTALLS:
            subprocess.run([python, "-m", "pip", "install", "--quiet", *wanted], check=True)
    return python


def problem(counts: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Three clouds that overlap, with a column of ones, and one-hot labels."""
    rng = np.random.default_rng(seed)
    turns = 2 * np.pi * np.arange(len(counts)) / len(counts)
    centres = np.repeat(np.c_[np.cos(turns), np.sin(turns)], counts, axis=0)
    points = centres + 0.45 * rng.standard_normal(centres.shape)
    return np.c_[points, np.ones(len(points))], np.repeat(np.eye(len(counts)), counts, axis=0)


def train(python: Path, counts: tuple[int, ...], steps: int, seed: int) -> Run:
    """Train in torch; take the weights at steps that are spread over the powers of ten."""
    X, Y = problem(counts, seed)
    moments = np.unique(np.r_[0, np.geomspace(1, steps, 41).astype(int)])
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "problem.npz", Path(folder) / "answer.npz"
        sizes = {"width": WIDTH, "neurons": NEURONS, "beta": BETA, "seed": seed}
        np.savez(source, X=X, Y=Y, moments=moments, **sizes)
        worker = str(HERE / "collapse_worker.py")
        subprocess.run([python, worker, str(source), str(target)], check=True)
        with np.load(target) as arrays:
            networks = [network(arrays, k, X) for k in range(len(moments))]
    best = ro.deep.train_deep(X, Y, BETA / len(X), 3, batch_norm=True)
    return Run(counts, X, Y, moments, networks, best)


def network(arrays: np.lib.npyio.NpzFile, k: int, X: np.ndarray) -> ro.deep.DeepNetwork:
    """The weights that torch kept at a moment, with the statistics of X."""
    scale, shift = (np.sqrt(len(X)) * arrays[f"{k}_3.{name}"] for name in ("weight", "bias"))
    norm = ro.deep.BatchNorm(scale, shift, 0 * scale, 0 * scale, len(X))
    weights = tuple(arrays[f"{k}_{layer}.weight"] for layer in (0, 2, 5))
    return ro.deep.DeepNetwork(weights, norm=norm).with_statistics(X)


def plane(run: Run) -> np.ndarray:
    """The plane of the class means at the end, an orthonormal (m, 2)."""
    means = run.collapse(len(run.networks) - 1).means
    return np.linalg.svd(means - means.mean(axis=0))[2][:2].T


def draw_features(axes: Axes, run: Run, k: int, across: np.ndarray, reach: float) -> None:
    """The features at a moment in that plane, about the centre, and the formula's triangle."""
    end = run.collapse(len(run.networks) - 1).means
    features = run.networks[k].features(run.X)
    centre = run.collapse(k).means.mean(axis=0)
    # The formula's means up to a rotation: the one that takes them nearest to those of the end.
    best = ro.deep.neural_collapse(run.best.network.features(run.X), run.labels).means
    best = best - best.mean(axis=0)
    left, _, right = np.linalg.svd(best.T @ (end - end.mean(axis=0)), full_matrices=False)
    corners = best @ left @ right @ across
    ring = np.vstack([corners, corners[:1]])
    axes.plot(*ring.T, color=GREY, lw=1, zorder=1)
    axes.plot(*corners.T, "o", ms=11, mfc="none", mec=GREY, zorder=1)
    places = (features - centre) @ across
    for label, colour in enumerate(COLOURS):
        axes.plot(*places[run.labels == label].T, "o", ms=4, color=colour, alpha=0.75, mew=0)
    axes.set(aspect="equal", xlim=(-reach, reach), ylim=(-reach, reach), xticks=[], yticks=[])
    axes.set_title(f"step {run.steps[k]}", fontsize=9)


def draw_measures(axes: Axes, run: Run) -> None:
    """Distances from the optimum and from collapse, against the steps."""
    objectives = np.array([n.objective(run.X, run.Y, BETA / len(run.X)) for n in run.networks])
    found = [run.collapse(k) for k in range(len(run.networks))]
    excess = objectives / run.best.objective - 1
    formula = ro.deep.neural_collapse(run.best.network.features(run.X), run.labels).cosines
    lines = (
        ("objective above the optimum, relative", excess, GREY, "-"),
        ("within/between", [each.variability for each in found], COLOURS[0], "-"),
        (
            "cosines from the formula's",
            [np.abs(each.cosines - formula).max() for each in found],
            COLOURS[1],
            "-",
        ),
        ("cosines from −1/2, a simplex", [each.etf_distance for each in found], COLOURS[1], ":"),
    )
    for name, values, colour, style in lines:
        axes.plot(run.steps + 1, np.maximum(values, 1e-16), style, color=colour, label=name)
    axes.set(xscale="log", yscale="log", xlabel="step", ylim=(1e-10, 1e2))
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower left")


def draw(runs: list[Run], path: Path) -> None:
    figure, panels = plt.subplots(
        len(runs), 4, figsize=(11, 5.6), layout="constrained", width_ratios=[1, 1, 1, 1.5]
    )
    for run, row in zip(runs, panels, strict=True):
        last = len(run.steps) - 1
        middle = int(np.argmin(np.abs(run.steps - 300)))
        across = plane(run)
        reach = 1.3 * max(
            float(np.abs((run.networks[k].features(run.X)) @ across).max()) for k in (middle, last)
        )
        for axes, k in zip(row[:3], (0, middle, last), strict=True):
            draw_features(axes, run, k, across, reach)
        row[0].set_ylabel(f"{', '.join(map(str, run.counts))} samples", fontsize=10)
        draw_measures(row[3], run)
    panels[0][0].text(
        0.03,
        0.03,
        "circles: class means of the formula",
        transform=panels[0][0].transAxes,
        fontsize=8,
    )
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--env", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=30_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=PICTURE)
    arguments = parser.parse_args()
    python = environment(arguments.env)
    runs = [train(python, counts, arguments.steps, arguments.seed) for counts in COUNTS]
    for run in runs:
        print(f"--- {', '.join(map(str, run.counts))} samples, {arguments.steps} steps of Adam")
        print(
            ro.deep.compare_deep(run.networks[-1], run.X, run.Y, BETA / len(run.X)).report(), "\n"
        )
    draw(runs, arguments.picture)


if __name__ == "__main__":
    main()
