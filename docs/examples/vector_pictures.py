"""Draw the picture of docs/vector-outputs.md.

`vector_outputs.png`: for images of digits in one principal component and a bias, the pull of the
residuals at every direction of a hidden neuron, and the ten outputs of the best network.

Usage: python docs/examples/vector_pictures.py [folder]
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_digits

import relu_opt as ro

mpl.use("Agg")
from matplotlib import pyplot as plt

BLUE, RED, GREY = "#1f5f8b", "#b3402a", "#7a7a7a"
LAM = 0.01


def problem():
    """The first principal component of the images, a column of ones, and one-hot targets."""
    digits = load_digits()
    centred = digits.data - digits.data.mean(axis=0)
    scores = np.linalg.svd(centred, full_matrices=False)[0][:, 0] * np.sqrt(len(centred))
    return np.c_[scores, np.ones(len(scores))], np.eye(10)[digits.target]


def draw(path: Path) -> None:
    X, Y = problem()
    best = ro.several_outputs.train_vector(X, Y, LAM, intercept=True)
    print(best, f"{len(best.rounds)} rounds")
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    angles = np.linspace(0, 2 * np.pi, 2001)
    units = np.c_[np.cos(angles), np.sin(angles)]
    pulls = np.linalg.norm(np.maximum(units @ X.T, 0.0) @ best.nu, axis=1) / LAM
    left.plot(np.degrees(angles), pulls, color=BLUE, lw=1.2)
    left.axhline(1.0, color=RED, lw=0.9)
    left.text(4, 1.015, "λ", color=RED)
    hidden = best.network.hidden
    places = np.degrees(np.arctan2(hidden[:, 1], hidden[:, 0])) % 360
    left.plot(places, np.ones(len(places)), "o", color=RED, ms=4)
    left.set(xlabel="direction of a hidden neuron (degrees)", ylabel="pull ‖Vᵀ(Xu)₊‖ / λ")
    left.set(xlim=(0, 360), xticks=range(0, 361, 90), ylim=(0, 1.12))
    left.set_title("Nowhere above λ, and at λ where neurons are", loc="left", fontsize=10)
    grid = np.linspace(X[:, 0].min(), X[:, 0].max(), 400)
    outputs = best.network.predict(np.c_[grid, np.ones(400)])
    shown = {int(k) for k in np.argsort(-outputs.max(axis=0))[:4]}
    for digit in range(10):
        strong = digit in shown
        colour = plt.colormaps["viridis"](sorted(shown).index(digit) / 4) if strong else "#d0d0d0"
        right.plot(grid, outputs[:, digit], color=colour, lw=1.6 if strong else 0.9)
        if strong:
            top = int(np.argmax(outputs[:, digit]))
            side = {0: "left", 399: "right"}.get(top, "center")
            right.text(
                grid[top], outputs[top, digit] + 0.015, f"digit {digit}", color=colour, ha=side
            )
    right.set(xlabel="first principal component of the image", ylabel="output", ylim=(-0.17, 1.05))
    right.set_title("Ten outputs that share the neurons", loc="left", fontsize=10)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    draw(folder / "vector_outputs.png")
