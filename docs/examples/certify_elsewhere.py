"""Certify a network that something else trained, and say how much better it could be.

A few hundred steps of Adam, written with numpy alone, train 30 neurons on scikit-learn's
diabetes data. relu_opt then says how far that network is from the optimum, first over the
activation patterns of its own neurons, then over 200 sampled patterns beside them.

Usage: python docs/examples/certify_elsewhere.py
"""

import numpy as np
from sklearn.datasets import load_diabetes

import relu_opt as ro

LAM = 0.01


def adam(
    X: np.ndarray, y: np.ndarray, neurons: int, steps: int, rate: float = 0.01
) -> ro.ReLUNetwork:
    """Minimise mean ½(prediction − y)² + (LAM/2)(‖hidden‖² + ‖output‖²)."""
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((neurons, X.shape[1])) * 0.5
    output = rng.standard_normal(neurons) * 0.1
    weights = np.r_[hidden.ravel(), output]
    mean, square = np.zeros_like(weights), np.zeros_like(weights)
    for step in range(1, steps + 1):
        hidden, output = weights[:-neurons].reshape(neurons, -1), weights[-neurons:]
        linear = X @ hidden.T
        active = np.maximum(linear, 0)
        slope = (active @ output - y) / len(y)
        into_hidden = (np.outer(slope, output) * (linear > 0)).T @ X
        gradient = np.r_[into_hidden.ravel(), active.T @ slope] + LAM * weights
        mean = 0.9 * mean + 0.1 * gradient
        square = 0.999 * square + 0.001 * gradient**2
        scaled = np.sqrt(square / (1 - 0.999**step)) + 1e-12
        weights = weights - rate * mean / (1 - 0.9**step) / scaled
    return ro.ReLUNetwork(weights[:-neurons].reshape(neurons, -1), weights[-neurons:])


def main() -> None:
    data, target = load_diabetes(return_X_y=True)
    X = np.c_[data / data.std(axis=0), np.ones(len(data))] / np.sqrt(data.shape[1])
    y = (target - target.mean()) / target.std()
    network = adam(X, y, neurons=30, steps=600)
    print(f"Adam:           objective {network.objective(X, y, LAM):.6f}, {len(network)} neurons")

    # Every neuron has to lie in a cone of the program: give it the neurons' own patterns.
    own = ro.program.patterns_of_gates(X, network.hidden.T)
    program = ro.ConvexProgram(X, y, LAM, own)
    quick = ro.certify(program, network, tol=1e-3)
    print(f"{quick.verdict}, without a solver: at most {100 * quick.rel_gap:.3f}% too high")

    # A good dual point makes the bound sharp, and a solve brings one.
    best = ro.solve(program)
    sharp = ro.certify(program, network, nu=best.nu, tol=1e-3)
    print(f"{sharp.verdict}, with the dual point of a solve: {100 * sharp.rel_gap:.3f}% too high")

    # With more patterns the optimum can only be lower, and the network further from it.
    more = np.hstack([network.hidden.T, np.random.default_rng(1).standard_normal((11, 200))])
    wider = program.with_patterns(ro.program.patterns_of_gates(X, more))
    better = ro.solve(wider, warm_start=best.network)
    again = ro.certify(wider, network, nu=better.nu, tol=1e-3)
    print(
        f"{again.verdict}, over {len(wider.patterns)} patterns: {100 * again.rel_gap:.3f}% too high"
    )
    print(f"relu_opt there: objective {better.objective:.6f}, {len(better.network)} neurons")


if __name__ == "__main__":
    main()
