"""Draw the pictures of docs/global.md.

* `global_bound.png`: networks of gradient descent from 60 starts beside the bound that holds for
  every network; and how the two bounds of the global training meet.
* `global_search.png`: the directions of a hidden neuron, how strongly the residual pulls at each,
  and the cones that the search cut.

Usage: python docs/examples/global_pictures.py [folder]
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import StandardScaler

import relu_opt as ro

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

BLUE, RED, GREY, PALE = "#1f5f8b", "#b3402a", "#7a7a7a", "#9db7cc"
LAM, STARTS, STEPS = 0.01, 60, 4000


def problem(rows: int = 150):
    """Two standardised columns of the diabetes data, a column of ones, standardised targets."""
    data = load_diabetes()
    X = np.c_[StandardScaler().fit_transform(data.data[:rows, [2, 8]]), np.ones(rows)]
    y = data.target[:rows]
    return X, (y - y.mean()) / y.std()


def descend(X, y, width: int, seed: int) -> ro.ReLUNetwork:
    """Gradient descent on the training objective from a random start."""
    rng = np.random.default_rng(seed)
    U, a = 0.5 * rng.standard_normal((width, X.shape[1])), 0.5 * rng.standard_normal(width)
    for _ in range(STEPS):
        hidden = np.maximum(X @ U.T, 0.0)
        slope = (hidden @ a - y) / len(y)
        of_U = ((hidden > 0) * a).T * slope @ X + LAM * U
        U, a = U - 0.1 * of_U, a - 0.1 * (hidden.T @ slope + LAM * a)
    return ro.ReLUNetwork(U, a)


def plain(axes: Axes, title: str) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(title, loc="left", fontsize=10)


def draw_bound(path: Path) -> None:
    X, y = problem()
    best = ro.train_globally(X, y, LAM)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
    for width, colour in ((3, RED), (30, PALE)):
        values = [descend(X, y, width, seed).objective(X, y, LAM) for seed in range(STARTS)]
        above = np.sort(values) / best.lower_bound - 1
        left.plot(100 * above, "o", ms=3.5, color=colour, label=f"{width} neurons")
    left.axhline(100 * best.rel_gap, color=BLUE, lw=1.6, label="the network of global training")
    left.set(
        xlabel=f"{STARTS} random starts, sorted",
        ylabel="objective above the bound, in %",
        yscale="log",
    )
    left.legend(frameon=False, fontsize=8, loc="center right")
    plain(left, "Gradient descent, against the bound for all networks")
    rounds = np.arange(1, len(best.rounds) + 1)
    for name, colour in (("upper", RED), ("lower", BLUE)):
        label = "network found" if name == "upper" else "no network is below"
        values = [getattr(each, name) for each in best.rounds]
        right.plot(rounds, values, "o-", color=colour, label=label)
    for k, each in zip(rounds, best.rounds, strict=True):
        place = {"textcoords": "offset points", "fontsize": 8, "color": GREY, "ha": "center"}
        right.annotate(f"{each.patterns} patterns", (k, each.lower), (0, -13), **place)
    low, high = best.rounds[0].lower, best.rounds[0].upper
    right.set(xlabel="round", ylabel="training objective", xticks=rounds)
    right.set(ylim=(low - 0.15 * (high - low), None), xlim=(0.6, rounds[-1] + 0.4))
    right.legend(frameon=False, fontsize=8, loc="lower right")
    plain(right, "Global training: both bounds meet")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def draw_search(path: Path) -> None:
    """|νᵀ(Xu)₊| over the sphere of directions, at the optimum."""
    X, y = problem(40)
    best = ro.train_globally(X, y, 0.02)
    longitude, latitude = np.linspace(-np.pi, np.pi, 721), np.linspace(-np.pi / 2, np.pi / 2, 361)
    lon, lat = np.meshgrid(longitude, latitude)
    u = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)
    pull = np.abs(np.maximum(u @ X.T, 0.0) @ best.nu) / 0.02
    figure, axes = plt.subplots(figsize=(8, 3.8), layout="constrained")
    drawn = axes.contourf(
        np.degrees(lon), np.degrees(lat), pull, np.linspace(0, 1.0001, 21), cmap="Blues"
    )
    hidden = best.network.hidden / np.linalg.norm(best.network.hidden, axis=1, keepdims=True)
    axes.plot(
        np.degrees(np.arctan2(hidden[:, 1], hidden[:, 0])),
        np.degrees(np.arcsin(hidden[:, 2])),
        "o", mfc="none", mec=RED, ms=9, mew=1.6, label="neurons of the optimal network",
    )  # fmt: skip
    bar = figure.colorbar(drawn, ax=axes, ticks=[0, 0.5, 1])
    bar.set_label("pull of the residual, |νᵀ(Xu)₊|/λ")
    axes.set(xlabel="longitude of the neuron's direction u", ylabel="latitude")
    axes.legend(frameon=True, fontsize=8, loc="lower right")
    plain(axes, "No direction is pulled harder than λ, and neurons sit where the pull is λ")
    figure.savefig(path, dpi=150)
    plt.close(figure)


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, draw in (("global_bound", draw_bound), ("global_search", draw_search)):
        draw(folder / f"{name}.png")
        print(f"wrote {folder / name}.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path("docs/images"))
