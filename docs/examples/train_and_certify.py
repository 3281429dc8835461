"""Train a network on real data, write its certificate, and check the file.

scikit-learn's diabetes data: 442 people, 10 measurements, the disease's progression a year
later. Features and target are standardised; the last column of X is the hidden bias.

Usage: python docs/examples/train_and_certify.py
"""

import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_diabetes

import relu_opt as ro


def main(folder: Path) -> None:
    data, target = load_diabetes(return_X_y=True)
    X = np.c_[data / data.std(axis=0), np.ones(len(data))] / np.sqrt(data.shape[1])
    y = (target - target.mean()) / target.std()

    # Which samples may a hidden neuron be active on? Fifty sampled answers.
    patterns = ro.sample_patterns(X, n_gates=50, seed=0)
    program = ro.ConvexProgram(X, y, lam=0.01, patterns=patterns)
    print(f"{program}; the network is zero from lam = {program.lam_max:.4f} on")

    solution = ro.solve(program, tol=1e-8)
    print(solution)
    print(f"stopped because: {solution.stop.value}. {solution.stop.advice}")

    # The certificate is the network, a dual point and multipliers. It does not hold the data.
    file = folder / "certificate.npz"
    solution.certificate.save(file)
    check = ro.verify(file, X, y)
    print(f"{check.verdict}: {check.statement}")

    # On other data the same file proves nothing.
    other = y.copy()
    other[0] += 1e-6
    print(ro.verify(file, X, other).problems[0])


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
