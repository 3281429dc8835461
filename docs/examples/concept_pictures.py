"""Draw docs/images/training_is_convex.png: why training becomes convex, on five points.

One feature and a bias, so a neuron is a direction in the plane. Left: two networks of one neuron
each. Middle: the rows cut the plane of hidden weights into cones; all neurons of a cone are active
on the same rows. Right: the training objective along the straight line from one network to the
other, once through the weights of the neuron, once through the blocks of the convex program.

Usage: python docs/examples/concept_pictures.py [folder]
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import relu_opt as ro
from relu_opt.program.network import weights_from_network

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

LAM = 0.1
BLUE, RED, GREY = "#1f5f8b", "#b3402a", "#7a7a7a"
x = np.array([-1.5, -0.75, 0.1, 0.8, 1.5])
X = np.column_stack([x, np.ones(5)])
y = np.array([1.1, 0.4, 0.0, 0.5, 1.2])
# Two neurons: u is active on the rows at the left, v on those at the right.
U, V = np.array([-0.85, -0.3]), np.array([0.85, -0.2])


def draw_cones(axes: Axes, patterns: ro.Patterns) -> None:
    """The plane of hidden weights, cut by the rows."""
    masks = patterns.masks
    turns = np.linspace(0, 2 * np.pi, 3601)
    circle = np.column_stack([np.cos(turns), np.sin(turns)])
    active = circle @ X.T >= 0
    colours = plt.get_cmap("Pastel1").colors + plt.get_cmap("Pastel2").colors
    starts = np.flatnonzero((active[1:] != active[:-1]).any(axis=1)) + 1
    for k, (begin, end) in enumerate(zip(starts, [*starts[1:], starts[0] + 3600], strict=True)):
        wedge = np.linspace(turns[begin], turns[begin] + (end - begin) * turns[1], 60)
        axes.fill([0, *np.cos(wedge)], [0, *np.sin(wedge)], color=colours[k % len(colours)])
        middle = wedge.mean()
        rows = active[((begin + end) // 2) % 3600]
        text = "".join("●" if on else "○" for on in rows)
        axes.text(
            1.22 * np.cos(middle), 1.12 * np.sin(middle), text, ha="center", va="center", fontsize=8
        )
    for neuron, name, shift in ((U, "u", (-0.12, 0.0)), (V, "v", (0.12, 0.0))):
        axes.annotate("", neuron * 0.85, (0, 0), arrowprops={"arrowstyle": "->", "lw": 1.6})
        axes.text(*(neuron * 0.85 + shift), name, ha="center", va="center", fontsize=12)
    axes.set(xlim=(-1.5, 1.5), ylim=(-1.3, 1.3), aspect="equal", xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(
        "rightwards the weight of x, upwards the bias\n● active, ○ not, on the five rows"
    )
    axes.set_title(f"{masks.shape[1]} cones, one for each pattern", loc="left", fontsize=11)


def draw_networks(axes: Axes) -> None:
    """The rows, and what the two networks predict."""
    line = np.linspace(-1.8, 1.8, 200)
    inputs = np.column_stack([line, np.ones(200)])
    axes.plot(x, y, "o", color=GREY, label="data")
    for neuron, name, colour in ((U, "network u", BLUE), (V, "network v", RED)):
        axes.plot(line, ro.ReLUNetwork([neuron], [1.0]).predict(inputs), color=colour, label=name)
    axes.set_xlabel("x")
    axes.set_ylabel("y")
    axes.set_title("Two networks of one neuron", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9, loc="upper center")


def draw_walks(axes: Axes, program: ro.ConvexProgram) -> None:
    """The objective from one network to the other, in both worlds."""
    share = np.linspace(0, 1, 201)
    ends = [ro.ReLUNetwork([neuron], [1.0]).balance() for neuron in (U, V)]
    (u, a), (v, b) = [(network.hidden, network.output) for network in ends]
    walked = [
        ro.ReLUNetwork((1 - t) * u + t * v, (1 - t) * a + t * b).objective(X, y, LAM) for t in share
    ]
    blocks = [weights_from_network(program, network) for network in ends]
    mixed = [program.objective((1 - t) * blocks[0] + t * blocks[1]) for t in share]
    if not np.allclose([walked[0], walked[-1]], [mixed[0], mixed[-1]]):
        raise SystemExit("The ends of the two lines are not the same networks; nothing is drawn.")
    axes.plot(share, walked, color=RED, label="through the weights")
    axes.plot(share, mixed, color=BLUE, label="through the blocks")
    axes.plot([0, 1], [mixed[0], mixed[-1]], "o", color="black")
    axes.set_xticks([0, 0.5, 1], ["u", "half-way", "v"])
    axes.set_ylim(0, None)
    axes.set_ylabel("objective")
    axes.set_title("The straight line from u to v", loc="left", fontsize=11)
    axes.legend(frameon=False, fontsize=9, loc="lower center")
    print(f"half-way: {walked[100]:.3f} through the weights, {mixed[100]:.3f} through the blocks")


def main(folder: Path) -> None:
    program = ro.ConvexProgram(X, y, lam=LAM, patterns=ro.enumerate_patterns(X))
    figure, (networks, cones, walks) = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
    draw_networks(networks)
    draw_cones(cones, program.patterns)
    draw_walks(walks, program)
    for axes in (networks, walks):
        axes.spines[["top", "right"]].set_visible(False)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "training_is_convex.png", dpi=130)


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "images"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
