"""Train on the workers of a Dask cluster; here a local one of two processes.

On real machines start `dask scheduler` on one and `dask worker tcp://HOST:8786` on the others
(relu_opt must be installed there), and pass the address in place of the client.

Usage: python docs/examples/dask_cluster.py   (needs `pip install 'relu-opt[dask]'`)
"""

import numpy as np
from distributed import Client, LocalCluster
from sklearn.datasets import load_breast_cancer
from sklearn.preprocessing import StandardScaler

import relu_opt as ro


def main() -> None:
    data, target = load_breast_cancer(return_X_y=True)
    X = np.c_[StandardScaler().fit_transform(data), np.ones(len(data))] / np.sqrt(30)
    program = ro.ConvexProgram(
        X, 2.0 * target - 1, lam=0.01, patterns=ro.sample_patterns(X, 2000, seed=0)
    )
    here = ro.solve(program)
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster) as client,
    ):
        there = ro.solve(program, executor=client)
    stats = there.stats["backend_stats"]
    print(f"verdict: {there.certificate.verdict}")
    print(f"rounds: {stats['rounds']}, shards: {stats['shards']}")
    print(f"patterns that mattered: {stats['working_patterns']} of {len(program.patterns)}")
    print(f"same optimum: {abs(here.objective - there.objective) <= 1e-8 * here.objective}")


if __name__ == "__main__":
    main()
