"""Make the picture of the README, docs/images/bounds_and_fit.png.

Left: scikit-learn's breast cancer data, 500 activation patterns, squared loss, lam = 0.003.
The network's objective and the proved lower bound meet while the solver runs, as its
progress events tell. Right: 60 noisy points on a line and the network that is optimal
among *all* ReLU networks, of any width, since every pattern of the data was listed.

Usage: python docs/examples/make_pictures.py [folder]
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

import relu_opt as ro
from relu_opt.plugins.manager import observe
from relu_opt.plugins.types import ProgressEvent

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

UPPER, LOWER, DATA = "#b3402a", "#1f5f8b", "#7a7a7a"


def breast_cancer() -> tuple[list[ProgressEvent], ro.Solution]:
    """Solve, and keep the last progress event of every iteration."""
    bunch = load_breast_cancer()
    n, features = bunch.data.shape
    X = np.c_[StandardScaler().fit_transform(bunch.data), np.ones(n)] / np.sqrt(features)
    patterns = ro.sample_patterns(X, n_gates=500, seed=123)
    program = ro.ConvexProgram(X, 2.0 * bunch.target - 1, lam=0.003, patterns=patterns)
    events: dict[int, ProgressEvent] = {}

    def note(event: ProgressEvent) -> None:
        events[event.iteration] = event

    with observe(note):
        solution = ro.solve(program, backend="native", options={"threads": 1})
    return list(events.values()), solution


def wave() -> tuple[np.ndarray, np.ndarray, ro.Solution, ro.Certificate]:
    """60 noisy points on a line, and the best of all networks."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-2, 2, 60))
    y = np.sin(2.5 * x) * np.exp(-0.2 * x) + 0.15 * rng.standard_normal(60)
    X = np.c_[x, np.ones(60)]
    program = ro.ConvexProgram(X, y, lam=0.003, patterns=ro.enumerate_patterns(X))
    solution = ro.solve(program, backend="native", tol=1e-10, options={"threads": 1})
    return x, y, solution, ro.certify(program, solution, scope="all")


def draw_bounds(axes: Axes, events: list[ProgressEvent]) -> None:
    """Upper and lower bound against the iteration."""
    steps = [event.iteration for event in events]
    upper = np.array([event.objective for event in events])
    lower = np.array([event.bound for event in events])
    axes.fill_between(steps, lower, upper, color="#e9e3d5", lw=0)
    axes.plot(steps, upper, "o-", color=UPPER, ms=4, label="objective of the network found")
    axes.plot(steps, lower, "o-", color=LOWER, ms=4, label="proved lower bound")
    axes.set_ylim(0, 1.15 * upper.max())
    axes.set_title("Breast cancer data, 500 patterns", loc="left", fontsize=11)
    axes.set_ylabel("objective")
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    axes.tick_params(labelbottom=False)


def draw_gap(axes: Axes, events: list[ProgressEvent]) -> None:
    """The relative gap, on a logarithmic scale."""
    gaps = [max(event.rel_gap or 0.0, 1e-16) for event in events]
    axes.semilogy([event.iteration for event in events], gaps, "o-", color="black", ms=4)
    axes.axhline(1e-8, color=DATA, lw=1, ls=":")
    axes.text(0, 2e-8, "tol = 1e-8", color=DATA, fontsize=9, va="bottom")
    axes.set_ylim(1e-16, 10)
    axes.set_yticks([1, 1e-4, 1e-8, 1e-12, 1e-16])
    axes.set_ylabel("relative gap")
    axes.set_xlabel("iteration")


def draw_fit(
    axes: Axes, x: np.ndarray, y: np.ndarray, solution: ro.Solution, proof: ro.Certificate
) -> None:
    """The data, the network's function, and where it bends."""
    network = solution.network.merge()
    bends = -network.hidden[:, 1] / network.hidden[:, 0]
    bends = bends[np.abs(bends) < 2]
    line = np.sort(np.r_[np.linspace(-2, 2, 400), bends])

    def value(at: np.ndarray) -> np.ndarray:
        return network.predict(np.c_[at, np.ones(len(at))])

    axes.plot(x, y, "o", color=DATA, ms=4, alpha=0.7, label="60 samples")
    axes.plot(line, value(line), color=UPPER, lw=2, label="network")
    axes.plot(bends, value(bends), "o", color="white", mec=UPPER, ms=6, label="where it bends")
    axes.set_title("Optimal among ReLU networks of any width", loc="left", fontsize=11)
    axes.set_ylim(-1.6, 2.5)
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    text = f"its objective           {proof.primal:.9f}\nlower bound, all widths {proof.dual:.9f}"
    axes.text(
        0.97, 0.04, text, transform=axes.transAxes, ha="right", family="monospace", fontsize=8
    )


def main(folder: Path) -> None:
    events, solution = breast_cancer()
    x, y, fitted, proof = wave()
    if solution.certificate.verdict != "certified" or proof.verdict != "certified":
        raise SystemExit("A certificate does not hold; nothing is drawn.")
    figure = plt.figure(figsize=(10, 4.2), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=(1, 1.05))
    bounds = figure.add_subplot(grid[:2, 0])
    gap = figure.add_subplot(grid[2, 0], sharex=bounds)
    fit = figure.add_subplot(grid[:, 1])
    draw_bounds(bounds, events)
    draw_gap(gap, events)
    draw_fit(fit, x, y, fitted, proof)
    for axes in (bounds, gap, fit):
        axes.spines[["top", "right"]].set_visible(False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "bounds_and_fit.png", dpi=130)
    print(f"{folder / 'bounds_and_fit.png'}: {solution}; {proof}")


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "images"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
