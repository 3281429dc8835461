"""Any file that relu_opt wrote, as what it holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from relu_opt.errors import DataError
from relu_opt.export.json_form import from_json
from relu_opt.io import read_result
from relu_opt.path.cross_validation import PathCV
from relu_opt.path.solution_path import SolutionPath
from relu_opt.program.convex import ConvexProgram
from relu_opt.program.network import ReLUNetwork
from relu_opt.proof.record import Certificate
from relu_opt.pruning.pruning_path import PruningPath
from relu_opt.solving.training import Solution
from relu_opt.tabular.model import Model
from relu_opt.train.deep.network import DeepNetwork
from relu_opt.train.deep.training import DeepSolution
from relu_opt.train.several_outputs.network import VectorNetwork
from relu_opt.verify.archives import regular_file

Source = str | os.PathLike[str]

# What reads each kind of npz file; the kinds below need the program that they were made from.
READERS: dict[str, Callable[[Source], Any]] = {
    "certificate": Certificate.load,
    "deep_network": DeepNetwork.load,
    "deep_solution": DeepSolution.load,
    "model": Model.load,
    "network": ReLUNetwork.load,
    "pruning": PruningPath.load,
    "vector_network": VectorNetwork.load,
}
WITH_PROGRAM: dict[str, Callable[[Source, ConvexProgram], Any]] = {
    "path": SolutionPath.load,
    "solution": Solution.load,
    "validation": PathCV.load,
}
# How files begin, and what those that are none of ours are.
NPZ, JSON = b"PK", b"{"
OTHERS = {
    b"\x80": "a pickle, which is never loaded",
    b"\x93NUMPY": "one array of numpy",
    b"<": "a page, such as a report",
}


def load(path: Source, program: ConvexProgram | None = None) -> Any:
    """What a file of relu_opt holds: a certificate of any kind, an answer, a model, a network.

    What it claims is read, not checked: that is `verify`'s work. Nothing in a file is run.

    Parameters
    ----------
    path : path
        An npz file that some `save` or the command line wrote, or a network as JSON.
    program : ConvexProgram, optional
        What a solution or a regularisation path was made from: they are proved anew.

    Returns
    -------
    object
        Of the class whose `save` wrote the file. A JSON file gives the network, or the pair of it
        and its preprocessing, if that is in it.

    Raises
    ------
    DataError
        If it is no such file, is damaged, or is proved anew and `program` is missing. The message
        says what it is.
    """
    with regular_file(path).open("rb") as stream:
        head = stream.read(8)
    if head.startswith(JSON):
        network, preprocessing = from_json(path)
        return network if preprocessing is None else (network, preprocessing)
    if not head.startswith(NPZ):
        what = next((said for start, said in OTHERS.items() if head.startswith(start)), "no npz")
        raise DataError(
            f"{path} is not a relu-opt file, or it is damaged: it is {what}. What may be loaded "
            "are the npz files of certificates, solutions, paths, prunings, networks and models, "
            "and networks as JSON.",
            path=str(path),
        )
    kind = read_result(path)[1]["kind"]
    if kind in READERS:
        return READERS[kind](path)
    if kind not in WITH_PROGRAM:
        raise DataError(
            f"{path} holds a {kind!r:.60}, which this relu_opt does not know. Upgrade relu_opt.",
            path=str(path),
            kind=kind,
        )
    reader = WITH_PROGRAM[kind]
    if program is None:
        raise DataError(
            f"{path} holds a {kind}, which is proved anew when it is read. Call "
            f"{reader.__qualname__}(path, program) with its program, or load(path, program).",
            path=str(path),
            kind=kind,
        )
    return reader(path, program)
