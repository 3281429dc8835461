"""Choose the backend and its options in a file, and see what wins over what.

The precedence is: argument, then environment variable, then config file, then default.

Usage: python docs/examples/config_file.py
"""

import os
import tempfile
from pathlib import Path

import numpy as np

import relu_opt as ro

CONFIG = """\
backend = "native"
tol = 1e-6
time_limit = 60

[options.native]
max_iter = 200
"""


def main(folder: Path) -> None:
    (folder / "relu-opt.toml").write_text(CONFIG)
    # Normally the file lies in the folder where you work, or in one above it. Elsewhere,
    # the variable names it.
    os.environ["RELU_OPT_CONFIG"] = str(folder / "relu-opt.toml")

    rng = np.random.default_rng(0)
    X = np.c_[rng.standard_normal((60, 3)), np.ones(60)]
    program = ro.ConvexProgram(X, np.abs(X[:, 0]), 0.01, ro.sample_patterns(X, 30))

    told = ro.solve(program).stats["options"]
    print(f"file:        tol {told['tol']}, max_iter {told['max_iter']}")

    os.environ["RELU_OPT_TOL"] = "1e-4"
    told = ro.solve(program).stats["options"]
    print(f"environment: tol {told['tol']}, max_iter {told['max_iter']}")

    told = ro.solve(program, tol=1e-9, options={"max_iter": 300}).stats["options"]
    print(f"arguments:   tol {told['tol']}, max_iter {told['max_iter']}")

    try:
        ro.solve(program, options={"max_itre": 300})
    except ro.errors.OptionError as error:
        print(f"a slip:      {error}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(name))
