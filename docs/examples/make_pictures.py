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
from relu_opt.plotting import plot_convergence, plot_fit, plot_gap

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes


def breast_cancer() -> tuple[ro.progress.History, ro.Solution]:
    """Solve, and record the bounds."""
    bunch = load_breast_cancer()
    n, features = bunch.data.shape
    X = np.c_[StandardScaler().fit_transform(bunch.data), np.ones(n)] / np.sqrt(features)
    patterns = ro.sample_patterns(X, n_gates=500, seed=123)
    program = ro.ConvexProgram(X, 2.0 * bunch.target - 1, lam=0.003, patterns=patterns)
    with ro.progress.record() as history:
        solution = ro.solve(program, backend="native", options={"threads": 1})
    return history, solution


def wave() -> tuple[np.ndarray, np.ndarray, ro.Solution, ro.Certificate]:
    """60 noisy points on a line, and the best of all networks."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(-2, 2, 60))
    y = np.sin(2.5 * x) * np.exp(-0.2 * x) + 0.15 * rng.standard_normal(60)
    X = np.c_[x, np.ones(60)]
    program = ro.ConvexProgram(X, y, lam=0.003, patterns=ro.enumerate_patterns(X))
    solution = ro.solve(program, backend="native", tol=1e-10, options={"threads": 1})
    return x, y, solution, ro.certify(program, solution, scope="all")


def draw_fit(
    axes: Axes, x: np.ndarray, y: np.ndarray, solution: ro.Solution, proof: ro.Certificate
) -> None:
    """The data, the network's function, where it bends, and both bounds."""
    plot_fit(solution.network.merge(), x, y, axes)
    axes.set_title("Optimal among ReLU networks of any width", loc="left", fontsize=11)
    axes.set_ylim(-1.6, 2.7)
    axes.legend(frameon=False, fontsize=9, loc="upper right")
    text = (
        f"its objective           {proof.objective:.9f}\n"
        f"lower bound, all widths {proof.lower_bound:.9f}"
    )
    axes.text(
        0.97, 0.04, text, transform=axes.transAxes, ha="right", family="monospace", fontsize=8
    )


def main(folder: Path) -> None:
    history, solution = breast_cancer()
    x, y, fitted, proof = wave()
    if solution.certificate.verdict != "certified" or proof.verdict != "certified":
        raise SystemExit("A certificate does not hold; nothing is drawn.")
    figure = plt.figure(figsize=(10, 4.2), layout="constrained")
    grid = figure.add_gridspec(3, 2, width_ratios=(1, 1.05))
    bounds = figure.add_subplot(grid[:2, 0])
    gap = figure.add_subplot(grid[2, 0], sharex=bounds)
    fit = figure.add_subplot(grid[:, 1])
    plot_convergence(history, bounds)
    bounds.set_title("Breast cancer data, 500 patterns", loc="left", fontsize=11)
    bounds.tick_params(labelbottom=False)
    plot_gap(history, gap, tol=1e-8)
    draw_fit(fit, x, y, fitted, proof)
    for axes in (bounds, gap, fit):
        axes.spines[["top", "right"]].set_visible(False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "bounds_and_fit.png", dpi=130)
    print(f"{folder / 'bounds_and_fit.png'}: {solution}; {proof}")


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "images"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
