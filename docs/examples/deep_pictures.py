"""Draw the pictures of docs/deep.md.

* `deep_jump.png`: the gain of a chain against its target, for two, three and four layers.
* `deep_spline.png`: the best deep splines on a few points.
* `collapse.png`: class means by the formula, for equal and for unequal classes.

Usage: python docs/examples/deep_pictures.py [folder]
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import relu_opt as ro
from relu_opt.plotting import plot_collapse

mpl.use("Agg")
from matplotlib import pyplot as plt

COLOURS = {2: "#7a7a7a", 3: "#1f5f8b", 4: "#b3402a"}
NAMES = {2: "two layers", 3: "three", 4: "four"}
BETA = 0.3
SPLINE_X = np.array([0.0, 0.5, 1.1, 1.5, 2.2, 2.6, 3.3, 3.9])
SPLINE_Y = np.array([0.1, 0.9, 1.3, 0.8, 0.2, 0.5, 1.6, 1.7])


def draw_jump(path: Path) -> None:
    """One chain on one row: what is left of the target t, and what it costs."""
    targets = np.linspace(0.0, 2.0, 801)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for depth, colour in COLOURS.items():
        found = [ro.deep.train_deep([[1.0]], [t], BETA, depth) for t in targets]
        gains = np.array([each.chains.gains.sum() for each in found])
        on = gains > 0
        left.plot(targets[on], gains[on], color=colour, label=NAMES[depth])
        left.plot(targets[~on], gains[~on], color=colour)
        first = int(np.argmax(on))
        left.plot(targets[[first, first]], [0, gains[first]], color=colour, lw=1, ls=":")
        right.plot(targets, [each.value for each in found], color=colour, label=NAMES[depth])
    left.plot(targets, targets, color="black", lw=0.6, ls="--")
    left.text(1.42, 1.56, "the target itself", fontsize=8, rotation=38, ha="center", va="center")
    left.set(xlabel="target t", ylabel="what the chain gives")
    left.set_title("It jumps where depth exceeds two", loc="left", fontsize=10)
    right.plot(targets, 0.5 * targets**2, color="black", lw=0.6, ls="--", label="without a chain")
    right.set(xlabel="target t", ylabel="optimum", ylim=(0, 1.3))
    right.set_title("The optimum does not jump", loc="left", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_spline(path: Path) -> None:
    """The best splines of two, three and four layers, at one λ."""
    figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
    grid = np.linspace(0, 4.1, 400)
    for depth, colour in COLOURS.items():
        found = ro.deep.train_deep(SPLINE_X[:, None], SPLINE_Y, 0.012, depth, bias="last_hidden")
        kinks = len(found.network.bias)
        name = f"{NAMES[depth]}{'' if depth == 2 else ' layers'}: {kinks} neurons"
        axes.plot(grid, found.network.predict(grid[:, None]), color=colour, label=name)
    axes.plot(SPLINE_X, SPLINE_Y, "o", color="black", ms=4)
    axes.set(xlabel="x", ylabel="y")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_collapse(path: Path) -> None:
    """Cosines between the class means of the formula's networks."""
    figure, panels = plt.subplots(1, 2, figsize=(8.4, 4.1), layout="constrained")
    for axes, counts in zip(panels, ((6, 6, 6, 6), (12, 6, 4, 2)), strict=True):
        X = np.random.default_rng(0).standard_normal((sum(counts), 3))
        Y = np.repeat(np.eye(4), counts, axis=0)
        network = ro.deep.train_deep(X, Y, 0.3 / len(X), 3, batch_norm=True).network
        plot_collapse(ro.deep.neural_collapse(network.features(X), Y), axes)
    figure.savefig(path, dpi=130)
    plt.close(figure)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/images")
    pictures = {
        "deep_jump.png": draw_jump,
        "deep_spline.png": draw_spline,
        "collapse.png": draw_collapse,
    }
    for name, draw in pictures.items():
        draw(folder / name)
        print(folder / name)


if __name__ == "__main__":
    main()
