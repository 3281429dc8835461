"""The peers' own environment, and how a tool is started in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
WORKER = HERE / "peers_worker.py"
# In this order; why is said in the requirements file.
INSTALLS = (
    ("torch==2.13.0",),
    ("-r", str(HERE / "requirements-peers.txt")),
    ("--no-deps", "pyscnn==0.0.10"),
)
THREAD_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


def peers_python(folder: Path) -> Path:
    """The Python of the peers' environment in a folder, which is built if it is not there."""
    python = folder.absolute() / "bin" / "python"
    if not python.exists():
        print(f"Building the peers' environment in {folder} ...", file=sys.stderr, flush=True)
        venv.create(folder, with_pip=True)
        for wanted in INSTALLS:
            subprocess.run(
                [python, "-m", "pip", "install", "--quiet", *wanted],
                check=True,
                stderr=subprocess.DEVNULL if not sys.stderr.isatty() else None,
            )
    return python


@dataclass(frozen=True)
class Outcome:
    """What a worker left: arrays and facts, or why there are none."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]
    failure: str = ""


def start(
    python: Path | str, tool: str, problem: Path, settings: Mapping[str, Any], limit: float
) -> Outcome:
    """Run a tool in a process of its own and read what it leaves.

    Parameters
    ----------
    python : path
        Of the environment that the tool lives in.
    problem : path
        An npz file of the problem's arrays; the answer is written beside it.
    settings : mapping
        For the tool; `threads` among them.
    limit : float
        Seconds for the whole process, imports and warm-up among them.
    """
    target = problem.with_suffix(".answer.npz")
    target.unlink(missing_ok=True)
    threads = dict.fromkeys(THREAD_VARIABLES, str(settings["threads"]))
    command = [str(python), str(WORKER), tool, str(problem), str(target), json.dumps(settings)]
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **threads},
            timeout=limit,
            capture_output=True,
            text=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Outcome({}, {}, f"not finished after {limit:g} s")
    if done.returncode:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        last = lines[-1] if lines else ""
        return Outcome({}, {}, f"failed (exit {done.returncode}): {last[:160]}")
    with np.load(target) as arrays:
        values = {name: arrays[name] for name in arrays.files if name != "facts"}
        return Outcome(values, json.loads(str(arrays["facts"])))
