"""Draw docs/images/classification.png: one network a loss, on two features of real tumours.

150 of scikit-learn's breast cancer data, two columns, 100 activation patterns, lam = 0.01. The
logistic and the squared hinge loss are trained by the default backend, the hinge loss, which has a
kink, as a second-order cone program. All three networks are certified.

Usage: python docs/examples/classification_pictures.py [folder]
"""

import sys
from pathlib import Path

import matplotlib as mpl
import numpy as np
from sklearn.datasets import load_breast_cancer

import relu_opt as ro
from relu_opt.plotting import plot_regions

mpl.use("Agg")
from matplotlib import pyplot as plt

BACKENDS = {"logistic": "native", "squared_hinge": "native", "hinge": "clarabel"}
COLUMNS = ["mean texture", "mean concave points"]


def tumours() -> tuple[np.ndarray, np.ndarray]:
    """150 rows of two columns, and their classes."""
    bunch = load_breast_cancer(as_frame=True)
    rows = np.random.default_rng(0).permutation(len(bunch.data))[:150]
    return bunch.data[COLUMNS].to_numpy()[rows], bunch.target_names[bunch.target][rows]


def main(folder: Path) -> None:
    X, y = tumours()
    figure, panels = plt.subplots(1, 3, figsize=(11, 4.2), sharey=True, layout="constrained")
    for axes, (loss, backend) in zip(panels, BACKENDS.items(), strict=True):
        model = ro.ReLUClassifier(lam=0.01, loss=loss, backend=backend, random_state=0).fit(X, y)
        if model.certificate_.verdict != "certified":
            raise SystemExit(f"The network of the {loss} loss is not certified; nothing is drawn.")
        plot_regions(model, X, y, axes)
        axes.set_title(f"{loss.replace('_', ' ')}, {model.n_neurons_} neurons", loc="left")
        axes.set(xlabel=COLUMNS[0], ylabel=COLUMNS[1] if axes is panels[0] else "")
        axes.spines[["top", "right"]].set_visible(False)
        handles, names = axes.get_legend_handles_labels()
        axes.get_legend().remove()
        print(f"{loss}: {model.score(X, y):.3f} of the rows right, {model.solution_}")
    figure.legend(handles, names, ncols=4, frameon=False, fontsize=9, loc="outside lower center")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "classification.png", dpi=130)


if __name__ == "__main__":
    default = Path(__file__).resolve().parents[1] / "images"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else default)
