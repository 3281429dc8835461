"""How much of what is public has types that every checker infers alike: a ratchet."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The share that `basedpyright --verifytypes` found. It only rises.
FLOOR = 0.97


@pytest.mark.slow
def test_types_are_as_complete_as_they_were():
    checker = shutil.which("basedpyright", path=Path(sys.executable).parent)
    if checker is None:
        pytest.skip("basedpyright is not installed")
    command = [checker, "--verifytypes", "relu_opt", "--ignoreexternal", "--outputjson"]
    done = subprocess.run(
        [*command, "--pythonpath", sys.executable],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    score = json.loads(done.stdout)["typeCompleteness"]["completenessScore"]
    assert score >= FLOOR
    assert score < FLOOR + 0.005, f"types are better than they were: set FLOOR to {score:.3f}"
