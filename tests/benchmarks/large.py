"""Run `relu-opt fit` on a CSV file of 100,000 rows × 20 columns and 100 gates.

The data are a ReLU function with noise, seed 0. Prints wall-clock seconds of the whole command,
those of the solver, the peak memory of the process, and the certified gap.

Usage:
    python tests/benchmarks/large.py [--rows 100000] [--time-limit 60]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

FEATURES = 20


def write_data(path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    X = rng.standard_normal((rows, FEATURES))
    y = np.maximum(X @ rng.standard_normal(FEATURES), 0) + 0.5 * np.abs(X[:, 0])
    y += 0.1 * rng.standard_normal(rows)
    names = ",".join([f"f{k}" for k in range(FEATURES)] + ["y"])
    np.savetxt(path, np.c_[X, y], delimiter=",", header=names, comments="", fmt="%.6g")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--time-limit", type=float, default=60.0)
    given = parser.parse_args()
    print("| activation | seconds in all | seconds solving | stop | rel. gap | peak memory |")
    print("|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.csv"
        write_data(data, given.rows)
        for activation in ("gated", "relu"):
            program = str(Path(sys.executable).with_name("relu-opt"))
            command = [program, "fit", str(data), "--target", "y"]
            command += ["--activation", activation, "--gates", "100", "--json"]
            command += ["--time-limit", str(given.time_limit), "--out", f"{folder}/model.npz"]
            started = time.perf_counter()
            process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            output = process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.perf_counter() - started
            if status:
                raise SystemExit(f"{' '.join(command)} failed: {output}")
            report = json.loads(output)
            print(
                f"| {activation} | {seconds:.1f} | {report['seconds']['solve']:.1f} "
                f"| {report['stop']} | {report['rel_gap']:.1e} "
                f"| {usage.ru_maxrss / 2**20:.2f} GiB |"
            )


if __name__ == "__main__":
    main()
