"""Grid searches over lam and gates, beside scikit-learn's MLP over alpha and width.

Nested cross-validation on three data sets that scikit-learn ships: in each of five outer folds, a
grid search with five inner folds chooses the settings and trains on all rows of the outer fold, and
the rows kept back give the score: R² for diabetes, accuracy for breast cancer and wine. Outer and
inner folds are the same for both, shuffled (and stratified for classes) by the seed. Shown are the
mean over the outer folds, and its standard error: deviation over the folds / √5.

Both grids have ten points. The MLPs are scikit-learn's, with at most 1000 epochs and otherwise
default settings; their features, and the target of diabetes, are standardised in each fold, as the
estimators of relu_opt do by themselves. Seconds are of processor time, for all fits and scores in
one thread.

Usage:
    python tests/benchmarks/grid_search.py [--data diabetes breast_cancer wine] [--seed 0]
"""

from __future__ import annotations

import argparse
import math
import time
import warnings
from collections import Counter

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import TransformedTargetRegressor
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, KFold, StratifiedKFold
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from solve import versions
from threadpoolctl import threadpool_limits

import relu_opt as ro

DATA = {"diabetes": load_diabetes, "breast_cancer": load_breast_cancer, "wine": load_wine}
FOLDS = 5
LAMS, GATES = [0.03, 0.01, 0.003, 0.001, 0.0003], [20, 100]
ALPHAS, WIDTHS = [1e-2, 1e-1, 1.0, 10.0, 100.0], [20, 100]


def contenders(classes: bool) -> dict[str, tuple[BaseEstimator, dict[str, list]]]:
    """Each estimator with its grid, by name."""
    ours = ro.ReLUClassifier() if classes else ro.ReLURegressor()
    found = {"relu_opt": (ours, {"lam": LAMS, "n_gates": GATES})}
    kind = MLPClassifier if classes else MLPRegressor
    mlp = make_pipeline(StandardScaler(), kind(max_iter=1000, random_state=0))
    prefix = kind.__name__.lower() + "__"
    if not classes:
        mlp = TransformedTargetRegressor(mlp, transformer=StandardScaler())
        prefix = "regressor__" + prefix
    sizes = {f"{prefix}alpha": ALPHAS, f"{prefix}hidden_layer_sizes": [(k,) for k in WIDTHS]}
    return found | {kind.__name__: (mlp, sizes)}


def row(name: str, who: str, model: BaseEstimator, grid: dict[str, list], seed: int) -> str:
    data, target = DATA[name](return_X_y=True)
    classes = name != "diabetes"
    folds = (StratifiedKFold if classes else KFold)(FOLDS, shuffle=True, random_state=seed)
    scores, chosen, start = [], Counter(), time.process_time()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        for train, test in folds.split(data, target):
            search = GridSearchCV(model, grid, cv=folds).fit(data[train], target[train])
            scores.append(search.score(data[test], target[test]))
            chosen[", ".join(f"{value}" for value in search.best_params_.values())] += 1
    took = time.process_time() - start
    short = sum(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    fits = FOLDS * (FOLDS * math.prod(map(len, grid.values())) + 1)
    error = np.std(scores, ddof=1) / math.sqrt(FOLDS)
    often = "; ".join(f"{values} ({count}×)" for values, count in chosen.most_common())
    return (
        f"| {name} | {who} | {np.mean(scores):.3f} ± {error:.3f} | {took:.0f} "
        f"| {short} of {fits} | {often} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="+", choices=DATA, default=list(DATA))
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    print(
        "| data | estimator | score | seconds | not converged | chosen lam, gates or alpha, width |"
    )
    print("|---|---|---|---|---|---|", flush=True)
    with threadpool_limits(1):
        for name in arguments.data:
            for who, (model, grid) in contenders(name != "diabetes").items():
                print(row(name, who, model, grid, arguments.seed), flush=True)
    found = versions(("relu-opt", "numpy", "scipy", "scikit-learn"))
    print(f"\n{found}; one thread, seed {arguments.seed}")


if __name__ == "__main__":
    main()
