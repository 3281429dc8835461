"""Networks as plain JSON, which any language reads, with every digit of every weight.

The text of a network is a claim by whoever wrote it: reading refuses what is not exactly of
this form, whatever is wrong with it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from relu_opt.arrays import FloatArray
from relu_opt.errors import DataError
from relu_opt.export.folded import check_fit
from relu_opt.io import write_text
from relu_opt.program.activations import activation_of
from relu_opt.program.network import ReLUNetwork
from relu_opt.tabular.preprocessing import Preprocessing
from relu_opt.verify.archives import regular_file

FORMAT, VERSION = "relu_opt network", 1
KEYS = ("format", "version", "activation", "features", "hidden", "output", "intercept")
OPTIONAL = ("gates", "preprocessing", "slope")
MAX_BYTES = 2**30
LARGEST = sys.float_info.max


def to_json(
    network: ReLUNetwork,
    path: str | os.PathLike[str] | None = None,
    preprocessing: Preprocessing | None = None,
) -> str:
    """A network, with the preparation of its data if there is one, as a JSON text.

    Parameters
    ----------
    network : ReLUNetwork
    path : path, optional
        The file to write as well; an earlier one survives a failure.
    preprocessing : Preprocessing, optional
        What makes the rows that the network takes, such as a model's.

    Returns
    -------
    str
        `from_json` gives back the same network, to the last bit.

    Raises
    ------
    DataError
        If network and preprocessing do not fit together, or the file cannot be written.
    """
    check_fit(network, preprocessing, bias=False)
    content: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        **network.activation.meta,
        "features": network.hidden.shape[1],
        "hidden": network.hidden.tolist(),
        "output": network.output.tolist(),
        "intercept": network.intercept,
    }
    if network.gates is not None:
        content["gates"] = network.gates.tolist()
    if preprocessing is not None:
        content["preprocessing"] = preprocessing.to_meta()
    # One line an entry: large networks stay readable, and do not get a line a number.
    entries = (
        f"{json.dumps(key)}: {json.dumps(value, allow_nan=False)}" for key, value in content.items()
    )
    text = "{\n" + ",\n".join(entries) + "\n}\n"
    if path is not None:
        write_text(path, text)
    return text


def from_json(source: str | os.PathLike[str]) -> tuple[ReLUNetwork, Preprocessing | None]:
    """The network of a JSON text or file, and what prepares its data if that is in it.

    Parameters
    ----------
    source : str or path
        The text itself, which begins with a brace, or the name of a file.

    Raises
    ------
    DataError
        If the file is missing, or is not exactly what `to_json` writes.
    """
    if isinstance(source, str) and source.lstrip().startswith("{"):
        return _read(source, "The text")
    if not isinstance(source, str | os.PathLike):
        raise DataError(
            f"source is a {type(source).__name__}. Pass a JSON text, or the name of a file."
        )
    return _read(_text_of(Path(source)), str(source))


def _text_of(path: Path) -> str:
    if regular_file(path).stat().st_size > MAX_BYTES:
        raise DataError(f"{path} is larger than the {MAX_BYTES} bytes allowed.", path=str(path))
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not JSON: it is not UTF-8 text.", path=str(path)) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.", path=str(path)) from error


def _read(text: str, name: str) -> tuple[ReLUNetwork, Preprocessing | None]:
    try:
        content = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except DataError as error:
        raise DataError(f"{name} is not a usable network: {error.message}") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{name} is not JSON, or it is cut off ({error}).") from error
    try:
        return _rebuilt(content)
    except DataError as error:
        raise DataError(
            f"{name} is not a usable network: {error.message}", **error.fields
        ) from error


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise DataError("it has a key twice.")
    return found


def _no_constant(name: str) -> NoReturn:
    raise DataError(f"it holds {name}, and finite numbers are needed.")


def _rebuilt(content: object) -> tuple[ReLUNetwork, Preprocessing | None]:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise DataError(f"its 'format' is not {FORMAT!r}.")
    if content.get("version") != VERSION or isinstance(content["version"], bool):
        raise DataError(
            f"its version is {content.get('version')!r:.40}, and this relu_opt reads version "
            f"{VERSION}. Upgrade relu_opt."
        )
    missing = [key for key in KEYS if key not in content]
    strange = [key for key in content if key not in KEYS + OPTIONAL]
    if missing or strange:
        raise DataError(
            f"it lacks {missing} and has the unknown entries {[key[:40] for key in strange]}.",
            missing=missing,
            unknown=strange,
        )
    activation = activation_of(content)
    if activation.gated != ("gates" in content):
        raise DataError("a gated network has 'gates', and another has none.")
    features = content["features"]
    if isinstance(features, bool) or not isinstance(features, int) or features < 1:
        raise DataError(f"'features' is {features!r:.40}, and a positive integer is needed.")
    network = ReLUNetwork(
        _matrix(content["hidden"], "hidden", features),
        _vector(content["output"], "output"),
        _vector([content["intercept"]], "intercept")[0],
        _matrix(content["gates"], "gates", features) if "gates" in content else None,
        activation.slope,
    )
    if "preprocessing" not in content:
        return network, None
    preprocessing = Preprocessing.from_meta(content["preprocessing"])
    check_fit(network, preprocessing, bias=False)
    return network, preprocessing


def _matrix(rows: object, key: str, width: int) -> FloatArray:
    if not isinstance(rows, list):
        raise DataError(f"{key!r} is not a list of rows.", entry=key)
    vectors = [_vector(row, key) for row in rows]
    if any(len(vector) != width for vector in vectors):
        raise DataError(f"{key!r} has a row that does not hold {width} numbers.", entry=key)
    return np.array(vectors).reshape(len(vectors), width)


def _vector(values: object, key: str) -> FloatArray:
    # Booleans are integers to Python, and its integers have no end.
    if not isinstance(values, list) or any(type(each) not in (int, float) for each in values):
        raise DataError(f"{key!r} holds something that is not a number.", entry=key)
    if any(not abs(each) <= LARGEST for each in values):
        raise DataError(f"{key!r} holds a number beyond double precision.", entry=key)
    return np.array(values, dtype=np.float64)
