"""Prove global optimality over *all* ReLU networks of any width, on a problem in the plane.

With two features and a bias, 24 points have a few hundred activation patterns. When all of
them are listed, the convex program is the training problem itself, and its certificate has
the scope "all".

Usage: python docs/examples/enumerate_all.py
"""

import numpy as np

import relu_opt as ro


def main() -> None:
    rng = np.random.default_rng(0)
    points = rng.standard_normal((24, 2))
    X = np.c_[points, np.ones(24)]
    y = points[:, 0] * points[:, 1]

    patterns = ro.enumerate_patterns(X)
    print(f"{patterns}: every way in which a neuron can split the points")
    program = ro.ConvexProgram(X, y, lam=0.005, patterns=patterns)
    solution = ro.solve(program)
    certificate = ro.certify(program, solution, scope="all")
    print(certificate)

    # `verify` counts the patterns of the data itself before it says "of any width".
    check = ro.verify(certificate, X, y)
    print(f"{check.verdict}: {check.statement}")

    # How much is lost with a sample of the patterns?
    for gates in (10, 100, 1000):
        sampled = ro.sample_patterns(X, n_gates=gates, seed=0)
        found = ro.solve(program.with_patterns(sampled))
        excess = max(found.objective / solution.objective - 1, 0)
        full = ro.certify(program, found.network, nu=solution.nu, scope="all")
        print(
            f"{gates:5d} gates, {len(sampled):3d} patterns: objective {100 * excess:6.2f}% above "
            f"the global optimum, {full.verdict} in scope all"
        )


if __name__ == "__main__":
    main()
