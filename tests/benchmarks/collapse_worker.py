"""Train a classifier with batch normalisation in torch, and keep its weights on the way.

Called by collapse.py, in an environment of its own that needs torch and numpy only:
    python collapse_worker.py problem.npz answer.npz
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from torch import nn


def build(inputs: int, width: int, neurons: int, outputs: int) -> Any:
    """Two hidden layers, the second normalised; eps as good as 0, as in the formula."""
    return nn.Sequential(
        nn.Linear(inputs, width, bias=False),
        nn.ReLU(),
        nn.Linear(width, neurons, bias=False),
        nn.BatchNorm1d(neurons, eps=1e-30, track_running_stats=False),
        nn.ReLU(),
        nn.Linear(neurons, outputs, bias=False),
    ).double()


def train(module: Any, X: Any, Y: Any, beta: float, moments: set[int]) -> list[dict[str, Any]]:
    """Full-batch Adam on ½‖f − Y‖² + (β/2)(n‖scale‖² + n‖shift‖² + ‖W_L‖²)."""
    n, norm, last = len(X), module[3], module[5]
    # torch's scale is 1 at the start, for pre-activations of length √n: those of length 1 get 1/√n.
    with torch.no_grad():
        norm.weight.fill_(n**-0.5)
        norm.bias.fill_(0.1 * n**-0.5)
    steps = max(moments)
    optimiser = torch.optim.Adam(module.parameters(), lr=1.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda k: 3e-3 * min(1.0, (k + 1) / 50) * 10 ** (-4 * max(0.0, k / steps - 0.5))
    )
    kept = []
    for step in range(steps + 1):
        if step in moments:
            kept.append({k: v.detach().numpy().copy() for k, v in module.state_dict().items()})
        optimiser.zero_grad()
        misfit = 0.5 * ((module(X) - Y) ** 2).sum()
        decay = n * (norm.weight**2).sum() + n * (norm.bias**2).sum() + (last.weight**2).sum()
        (misfit + 0.5 * beta * decay).backward()
        optimiser.step()
        schedule.step()
    return kept


def main() -> None:
    torch.set_num_threads(1)
    with np.load(sys.argv[1]) as given:
        problem = {name: given[name] for name in given.files}
    torch.manual_seed(int(problem["seed"]))
    X, Y = torch.tensor(problem["X"]), torch.tensor(problem["Y"])
    module = build(X.shape[1], int(problem["width"]), int(problem["neurons"]), Y.shape[1])
    moments = problem["moments"].tolist()
    kept = train(module, X, Y, float(problem["beta"]), set(moments))
    arrays = {f"{k}_{name}": value for k, state in enumerate(kept) for name, value in state.items()}
    np.savez(sys.argv[2], **arrays)


if __name__ == "__main__":
    main()
