"""Draw docs/images/path.png and path_cv.png: scikit-learn's diabetes data over lam.

The first has the norms of the neurons, their number, the objective between its bounds with the
training loss, and the certified gap at every lam. The second has the errors of a cross-validation
in five folds, with the lam of the smallest error and the largest within one standard error of it.

Usage: python docs/examples/path_pictures.py [folder]
"""

import sys
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

import relu_opt as ro
from relu_opt.plotting import plot_overview, save_figure


def diabetes() -> ro.ConvexProgram:
    """442 rows, 10 features and the bias, 50 gates, standardised target."""
    data, target = load_diabetes(return_X_y=True)
    X = np.column_stack([data / data.std(axis=0), np.ones(len(data))]) / np.sqrt(10)
    y = (target - target.mean()) / target.std()
    return ro.ConvexProgram(X, y, lam=1.0, patterns=ro.sample_patterns(X, n_gates=50, seed=0))


def main() -> None:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "docs/images")
    found = ro.cross_validate(diabetes(), folds=5, n_lams=25, eps=1e-3, lam_min_ratio=5e-3)
    print(found.path)
    print(found)
    if not found.is_certified:
        raise SystemExit("A certificate does not hold; nothing is drawn.")
    save_figure(plot_overview(found.path), folder / "path.png")
    save_figure(found.plot(), folder / "path_cv.png")


if __name__ == "__main__":
    main()
