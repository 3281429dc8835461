"""Figure 2 of the paper: test accuracy while a network is pruned, one method beside another.

25 gates, lam 0.01, half of the rows for test, 5 splits of seeds 650 to 654. `optimal` takes exact
steps to a minimal network first, and least-squares steps from there; the others set one neuron to
zero at a time. Accuracy at a width is the mean over the splits.

Usage:
    python tests/paper/figure2.py FOLDER [--out FILE.png] [--names fertility ...]

FOLDER has the UCI sets as CSV files without header, the class in the last column.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from splits import accuracy, make_split, read
from threadpoolctl import threadpool_limits

import relu_opt as ro

NAMES = ("fertility", "monks-1", "spectf", "breast-cancer")
METHODS = ("optimal", "magnitude", "activation", "gradient", "residual", "random")
SPLITS = 5


def curve(path: ro.PruningPath, test: tuple[np.ndarray, np.ndarray], widest: int) -> np.ndarray:
    """Test accuracy at each width up to `widest`: that of the widest network that is no wider."""
    result = np.empty(widest + 1)
    widths = np.asarray(path.widths)
    for width in range(widest + 1):
        step = int(np.argmax(widths <= width))
        result[width] = accuracy(path.network(step), test)
    return result


def one_set(X: np.ndarray, y: np.ndarray) -> tuple[dict[str, np.ndarray], list[dict[str, float]]]:
    """Mean curves by method, and facts about each split."""
    solved, facts = [], []
    for r in range(SPLITS):
        split = make_split(X, y, 0.5, 0.0, r)
        solved.append((split, ro.solve(split.program(0.01, 25, 123 + r), tol=1e-12)))
    widest = max(len(solution.network) for _, solution in solved)
    curves = {name: np.zeros((SPLITS, widest + 1)) for name in METHODS}
    for r, (split, solution) in enumerate(solved):
        for name in METHODS:
            path = ro.prune(solution, method=name, to=0, seed=r)
            curves[name][r] = curve(path, split.test, widest)
            if name == "optimal":
                exact = path.rel_gaps[path.exact_steps]
                start, end = path.widths[0], path.widths[path.exact_steps]
                facts.append({"start": start, "vertex": end, "gap": float(exact)})
    return {name: values.mean(axis=0) for name, values in curves.items()}, facts


def draw(results: dict[str, dict[str, np.ndarray]], file: Path) -> None:
    """One panel a data set."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(results), figsize=(11, 3), layout="constrained")
    for axis, (name, curves) in zip(np.atleast_1d(axes), results.items(), strict=True):
        for method, values in curves.items():
            ours = method == "optimal"
            axis.step(
                np.arange(len(values)),
                values,
                where="post",
                label=method,
                linewidth=2.5 if ours else 1.2,
                color="black" if ours else None,
                zorder=3 if ours else 2,
            )
        axis.set(title=name, xlabel="neurons")
        axis.invert_xaxis()
        axis.spines[["top", "right"]].set_visible(False)
    np.atleast_1d(axes)[0].set_ylabel("test accuracy")
    np.atleast_1d(axes)[0].legend(frameon=False, fontsize=7)
    figure.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--names", nargs="*", default=NAMES)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    print("| data | neurons: solved → minimal | largest gap there | method ", end="")
    print("| at the minimal width | half of it | a quarter |")
    print("|---|---|---|---|---|---|---|")
    results = {}
    for name in given.names:
        results[name], facts = one_set(*read(given.folder, name))
        vertex = int(np.mean([each["vertex"] for each in facts]))
        counts = ", ".join(f"{each['start']} → {each['vertex']}" for each in facts)
        gap = max(each["gap"] for each in facts)
        for method, values in results[name].items():
            cells = [name, counts, f"{gap:.0e}"] if method == "optimal" else ["", "", ""]
            cells.append(method)
            cells += [f"{values[width]:.3f}" for width in (vertex, vertex // 2, vertex // 4)]
            print("| " + " | ".join(cells) + " |", flush=True)
    if given.out is not None:
        draw(results, given.out)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()
