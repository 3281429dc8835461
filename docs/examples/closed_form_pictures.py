"""Draw the pictures of docs/closed-forms.md and docs/sparsity.md.

* `whitened.png`: the two neurons of whitened rows, soft-thresholded.
* `spike_free.png`: what a neuron of norm 1 can predict on two rows, for three kinds of data.
* `sparsity.png`: the network with the fewest neurons, and that of least cost, on four points.

Usage: python docs/examples/closed_form_pictures.py [folder]
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import relu_opt as ro

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

BLUE, RED, GREY, PALE = "#1f5f8b", "#b3402a", "#7a7a7a", "#dfe9f1"
TARGETS = np.array([3.0, 1.0, -2.0, 2.0, -1.0, 0.5, -2.5, 0.0])
DATA = (
    ("Whitened rows", np.eye(2)),
    ("Spike-free, not whitened", np.array([[1.0, 0.0], [0.6, 0.8]])),
    ("Not spike-free", np.array([[1.0, 0.0], [-0.75, 0.66]])),
)
POINTS = np.array([-1.5, -0.5, 0.5, 1.5])
HEIGHTS = np.array([0.0, 2.0, 1.0, 0.0])


def plain(axes: Axes, title: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10)


# -- whitened --------------------------------------------------------------------------------


def draw_whitened(path: Path) -> None:
    """Targets and fits at one λ, and the sizes of both neurons at every λ."""
    X, n = np.eye(len(TARGETS)), len(TARGETS)
    lam = 0.2
    network = ro.formulas.closed_form(X, TARGETS, lam).network
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    rows = np.arange(1, n + 1)
    left.bar(rows, TARGETS, color=PALE, edgecolor=GREY, label="target")
    for sign, name, colour in ((1, "positive neuron", BLUE), (-1, "negative neuron", RED)):
        chosen = network.output * sign > 0
        fits = network.activations(X)[:, chosen] @ network.output[chosen]
        on = fits != 0
        left.bar(rows[on], fits[on], width=0.45, color=colour, label=name)
    left.axhline(0, color=GREY, lw=0.8)
    left.set(xlabel="row", xticks=rows, ylabel="target and fit", ylim=(-3.4, 4.2))
    left.legend(frameon=False, fontsize=8, ncols=3, loc="upper center")
    plain(left, f"Fits at λ = {lam}")
    strengths = np.linspace(0.005, 0.6, 200)
    for sign, colour in ((1, BLUE), (-1, RED)):
        sizes = []
        for strength in strengths:
            answer = ro.formulas.closed_form(X, TARGETS, strength).network
            fits = answer.predict(X)
            sizes.append(np.linalg.norm(np.maximum(sign * fits, 0)))
        norm = np.linalg.norm(np.maximum(sign * TARGETS, 0))
        right.plot(strengths, sizes, color=colour)
        right.annotate(
            f"‖y{'₊' if sign > 0 else '₋'}‖/n = {norm / n:.3f}",
            (norm / n, 0),
            (0.52, 1.2) if sign > 0 else (0.095, 0.4),
            color=colour,
            fontsize=9,
            ha="center",
            arrowprops={"arrowstyle": "->", "color": colour},
        )
    right.axvline(lam, color=GREY, lw=0.8, ls=":")
    right.set(xlabel="λ", ylabel="norm of a neuron's fits", ylim=(0, None), xlim=(0, 0.6))
    plain(right, "Each sign shrinks by nλ, down to 0")
    figure.savefig(path, dpi=150)
    plt.close(figure)


# -- spike-free ------------------------------------------------------------------------------


def draw_spike_free(path: Path) -> None:
    """{Xu : ‖u‖ ≤ 1} and {(Xu)_+ : ‖u‖ ≤ 1} for each kind of data."""
    figure, panels = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained", sharey=True)
    turns = np.linspace(0, 2 * np.pi, 1441)
    circle = np.array([np.cos(turns), np.sin(turns)])
    for axes, (name, X) in zip(panels, DATA, strict=True):
        ellipse = X @ circle
        axes.fill(*ellipse, color=PALE, label="Xv, ‖v‖ ≤ 1")
        positive = (ellipse >= 0).all(axis=0)
        # The part of the ellipse in the first quadrant, from one axis to the other.
        order = np.argsort(np.arctan2(*ellipse[::-1])[positive])
        part = ellipse[:, positive][:, order]
        axes.fill(*np.c_[[0, 0], part], color=BLUE, alpha=0.75, label="(Xu)₊, ‖u‖ ≤ 1")
        found = ro.formulas.is_spike_free(X)
        ends = np.linalg.inv(X @ X.T).diagonal() ** -0.5
        for k in (0, 1):
            other = ellipse[1 - k] <= 0
            reach = ellipse[k][other].max()
            if reach > ends[k] + 1e-9:
                tip, start = np.zeros(2), np.zeros(2)
                tip[k], start[k] = reach, ends[k]
                line = np.array([start, tip]).T
                spike = axes.plot(*line, color=RED, lw=3, solid_capstyle="butt")[0]
                spike.set_label("spike: no such v" if k == 0 else "_")
        if not found:
            spiked = np.maximum(X @ found.witness, 0)
            axes.plot(*(X @ found.witness), "o", color="black", ms=5)
            axes.plot(*spiked, "o", color=RED, ms=6)
            axes.annotate("", spiked, X @ found.witness, arrowprops={"arrowstyle": "->"})
            x, y = X @ found.witness - 0.06
            axes.text(x, y, "Xu", ha="right", va="top", fontsize=9)
            axes.text(spiked[0] + 0.08, spiked[1] + 0.09, "(Xu)₊", fontsize=9)
        axes.axhline(0, color=GREY, lw=0.6)
        axes.axvline(0, color=GREY, lw=0.6)
        axes.set(aspect="equal", xlim=(-1.3, 1.5), ylim=(-1.3, 1.3), xlabel="first row")
        axes.set(xticks=[-1, 0, 1], yticks=[-1, 0, 1])
        plain(axes, name)
    panels[0].set_ylabel("second row")
    handles, labels = panels[-1].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)


# -- sparsity --------------------------------------------------------------------------------


def draw_sparsity(path: Path) -> ro.interpolation.Sparsity:
    """The two networks as functions, and what each neuron adds."""
    found = ro.interpolation.sparsest_interpolant(np.column_stack([POINTS, np.ones(4)]), HEIGHTS)
    figure, panels = plt.subplots(1, 2, figsize=(9.4, 3.6), layout="constrained", sharey=True)
    line = np.linspace(-2.3, 2.3, 2101)
    inputs = np.column_stack([line, np.ones(len(line))])
    for axes, network, name in (
        (panels[0], found.sparsest, "Fewest neurons"),
        (panels[1], found.least_norm.network, "Least cost"),
    ):
        parts = network.activations(inputs) * network.output
        for k, (part, sign) in enumerate(zip(parts.T, network.output, strict=True)):
            colour = BLUE if sign > 0 else RED
            axes.plot(line, part, color=colour, lw=1.2, ls=("-", "--", ":")[k])
        axes.plot(line, parts.sum(axis=1), color="black", lw=2)
        axes.plot(POINTS, HEIGHTS, "o", color="black", ms=6, zorder=3)
        axes.axhline(0, color=GREY, lw=0.6)
        axes.set(xlabel="x", ylim=(-4.2, 4.2))
        plain(axes, f"{name}: {len(network)} neurons, cost {network.penalty():.2f}")
    panels[0].set_ylabel("y")
    kinds = [
        plt.Line2D([], [], color="black", lw=2, marker="o", label="network and data"),
        plt.Line2D([], [], color=BLUE, lw=1.2, label="neurons of sign +"),
        plt.Line2D([], [], color=RED, lw=1.2, label="neurons of sign −"),
    ]
    figure.legend(handles=kinds, loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(path, dpi=150)
    plt.close(figure)
    return found


def main() -> None:
    images = Path(__file__).resolve().parents[1] / "images"
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else images
    folder.mkdir(parents=True, exist_ok=True)
    draw_whitened(folder / "whitened.png")
    draw_spike_free(folder / "spike_free.png")
    print(draw_sparsity(folder / "sparsity.png"))


if __name__ == "__main__":
    main()
