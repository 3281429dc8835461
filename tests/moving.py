"""The neurons of programs near one, matched with its neurons: for finite differences."""

from __future__ import annotations

import numpy as np

import relu_opt as ro


def solved(prog):
    return ro.solve(prog, tol=1e-12)


class Moving:
    """Follows the optimal network of a program as the program changes a little."""

    def __init__(self, prog):
        self.prog = prog
        self.result = ro.sensitivity(solved(prog))
        self.blocks, self.signs = self.neurons(self.result.network)

    def neurons(self, network):
        return network.hidden * np.abs(network.output)[:, None], np.sign(network.output)

    def at(self, prog):
        """w (k, d) and the network of a program nearby, in the order of the first."""
        found = ro.optimal_set(solved(prog))
        network = found.element(found.polytope.start)
        blocks, signs = self.neurons(network)
        assert len(blocks) == len(self.blocks)
        order = [
            int(np.argmin(np.linalg.norm(blocks - w, axis=1) + 10 * (signs != s)))
            for w, s in zip(self.blocks, self.signs, strict=True)
        ]
        assert sorted(order) == list(range(len(blocks)))
        gates = None if network.gates is None else network.gates[order]
        return blocks[order], ro.ReLUNetwork(
            network.hidden[order], network.output[order], network.intercept, gates, network.slope
        )

    def differences(self, change, step):
        """The quotient of w at `change(±step)`, and the networks there."""
        (up, above), (down, below) = self.at(change(step)), self.at(change(-step))
        return (up - down) / (2 * step), above, below
