"""Draw docs/images/optimal_polytope.png: all optimal networks of a problem with n = 4 and d = 2.

The data are the corners of a square, all with target 1. By symmetry the optimal neurons point
along the four diagonals, and each row gets the right fit when opposite neurons have equal sizes.
Left: the neurons, and the data. Middle: the sizes alpha of two neighbours in every optimal
network, a segment of the convex program. Right: the same networks by their hidden weights, an arc.

Usage: python docs/examples/optimal_polytope.py [folder]
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np

import relu_opt as ro

mpl.use("Agg")
from matplotlib import pyplot as plt

BLUE, RED, GREY = "#1f5f8b", "#b3402a", "#7a7a7a"


def square() -> ro.OptimalSet:
    """All optimal networks of the square."""
    X = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]])
    program = ro.ConvexProgram(X, np.ones(4), lam=0.05, patterns=ro.enumerate_patterns(X))
    return ro.optimal_set(ro.solve(program, tol=1e-12))


def sizes(found: ro.OptimalSet, networks: list[ro.proof.CertifiedNetwork]) -> np.ndarray:
    """α of each network, neurons in the order of the set's directions."""
    result = np.zeros((len(networks), len(found.signs)))
    for row, network in zip(result, networks, strict=True):
        blocks = network.hidden * np.abs(network.output)[:, None]
        for block in blocks:
            size = np.linalg.norm(block)
            nearest = np.argmax(found.directions @ block)
            row[nearest] += size / found.program.lam
    return result


def draw(found: ro.OptimalSet) -> plt.Figure:
    """The three panels."""
    lam, sample = found.program.lam, sizes(found, found.sample(200, seed=0))
    corners = sizes(found, found.vertices())
    angle = np.degrees(np.arctan2(*found.directions.T[::-1])) % 360
    first, second = np.argsort(angle)[:2]
    figure, axes = plt.subplots(1, 3, figsize=(9, 3), layout="constrained")
    axes[0].plot(*found.program.X.T, "o", color=GREY, label="data")
    for direction in found.directions / lam:
        arrow = {"arrowstyle": "-|>", "color": BLUE}
        axes[0].annotate("", direction, (0, 0), arrowprops=arrow)
    axes[0].plot([], [], color=BLUE, label="optimal neurons")
    axes[0].set(title="directions", xlim=(-1.3, 1.3), ylim=(-1.3, 1.5), aspect="equal")
    axes[0].legend(frameon=False, fontsize=8, loc="upper center", ncols=2)
    axes[1].plot(*corners[:, [first, second]].T, "o-", color=RED, label="vertices")
    axes[1].plot(*sample[:, [first, second]].T, ".", color=BLUE, label="sampled", markersize=3)
    axes[1].set(title="convex program", xlabel=r"$\alpha_1$", ylabel=r"$\alpha_2$")
    hidden = np.sqrt(lam * sample)
    ends = np.sqrt(lam * corners)
    axes[2].plot(*ends[:, [first, second]].T, "o", color=RED)
    axes[2].plot(*hidden[:, [first, second]].T, ".", color=BLUE, markersize=3)
    axes[2].set(title="network", xlabel=r"$\|u_1\|$", ylabel=r"$\|u_2\|$", aspect="equal")
    axes[1].legend(frameon=False, fontsize=8)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    found = square()
    print(found)
    print(found.reason)
    print(f"narrowest: {found.narrowest().neurons} neurons")
    draw(found).savefig(folder / "optimal_polytope.png", dpi=150)


if __name__ == "__main__":
    main()
