"""Any file that relu_opt wrote, as what it holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from relu_opt.errors import DataError
from relu_opt.io import read_result
from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.record import Certificate
from relu_opt.pruning.pruning_path import PruningPath
from relu_opt.tabular.model import Model
from relu_opt.train.deep.network import DeepNetwork
from relu_opt.train.several_outputs.network import VectorNetwork

READERS: dict[str, Callable[[str | os.PathLike[str]], Any]] = {
    "certificate": Certificate.load,
    "deep_network": DeepNetwork.load,
    "model": Model.load,
    "network": ReLUNetwork.load,
    "pruning": PruningPath.load,
    "vector_network": VectorNetwork.load,
}
WITH_PROGRAM = {"solution": "Solution.load", "path": "SolutionPath.load"}


def load(path: str | os.PathLike[str]) -> Any:
    """What a file of relu_opt holds: a certificate of any kind, a model, a network, a pruning path.

    What it claims is read, not checked: that is `verify`'s work.

    Raises
    ------
    DataError
        If it is no such file, is damaged, or holds a solution or a regularisation path, which are
        proved anew from their program: `Solution.load(path, program)`.
    """
    kind = read_result(path)[1]["kind"]
    if kind in WITH_PROGRAM:
        raise DataError(
            f"{path} holds a {kind}, which is proved anew when it is read. Call "
            f"{WITH_PROGRAM[kind]}(path, program) with its program.",
            path=str(path),
            kind=kind,
        )
    if kind not in READERS:
        raise DataError(
            f"{path} holds a {kind!r:.60}, which this relu_opt does not know. Upgrade relu_opt.",
            path=str(path),
            kind=kind,
        )
    return READERS[kind](path)
