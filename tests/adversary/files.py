"""Files of every kind that is read, their damage, and what reads them."""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import relu_opt as ro
from relu_opt.cli import main
from relu_opt.config import load_settings
from relu_opt.errors import ReluOptError
from relu_opt.io import read_npz
from relu_opt.tabular.model import Model
from relu_opt.tabular.tables import read_table

from .answers import Answer
from .damage import DAMAGES
from .data import Rng
from .judge import Judge
from .tables import odd_csv, odd_npz, odd_parquet
from .trials import Trial, fault, spoiled, strict
from .truths import Truth, make

Reader = Callable[[Path], object]
# How often one of the readers that take long is chosen.
LONG_SHARE = 0.04
CODES = (0, 1, 2)
# How often a path is no file, and (counted with that) a file is forged rather than damaged.
SPECIAL_SHARE, FORGED_SHARE = 0.01, 0.21


@dataclass(frozen=True, eq=False)
class Host:
    """A healthy file and what reads it.

    Attributes
    ----------
    name : str
        What kind of file it is.
    raw : bytes
    ways : tuple of str
        The kinds of damage that it can take, keys of `DAMAGES`.
    suffix : str
    readers, long : tuples of callables
        Of a path; `long` ones take longer than a few milliseconds.
    truth : Truth or None
        What the file proves, if it is a certificate.
    """

    name: str
    raw: bytes
    ways: tuple[str, ...]
    suffix: str
    readers: tuple[Reader, ...]
    long: tuple[Reader, ...] = ()
    truth: Truth | None = None


class WrongCodeError(Exception):
    """The command line ended with a code that it does not document."""


def command(*arguments: object) -> int:
    """`relu-opt` with these arguments, in this process and in silence."""
    quiet = io.StringIO()
    with contextlib.redirect_stdout(quiet), contextlib.redirect_stderr(quiet):
        code = main([str(argument) for argument in arguments])
    if code not in CODES or (code == 1 and arguments[0] not in ("verify", "certify", "fit")):
        raise WrongCodeError(f"{arguments[0]} ended with {code}: {quiet.getvalue()[-300:]}")
    return code


def with_settings(path: Path, *arguments: object) -> int:
    """`relu-opt` under a file of settings."""
    os.environ["RELU_OPT_CONFIG"] = str(path)
    try:
        return command(*arguments)
    finally:
        del os.environ["RELU_OPT_CONFIG"]


def table_text(rows: int = 10) -> str:
    """A small table of two features and a target."""
    rng = np.random.default_rng(3)
    X = rng.standard_normal((rows, 2)).round(3)
    y = (np.abs(X[:, 0]) - X[:, 1]).round(3)
    return "a,b,y\n" + "".join(f"{a},{b},{t}\n" for (a, b), t in zip(X, y, strict=True))


def hosts(folder: Path) -> list[Host]:
    """Healthy files of all kinds, and what reads them; `folder` gets those that stay whole."""
    return [*_of_commands(folder), *_of_certificates(folder), *_of_objects(folder)]


def _of_commands(folder: Path) -> Iterator[Host]:
    import pyarrow as pa
    from pyarrow import parquet

    data, model, proof = folder / "data.csv", folder / "m.npz", folder / "c.npz"
    data.write_text(table_text())
    settings = "tol = 1e-6\nseed = 1\nverbose = false\n\n[options.native]\n"
    command("fit", data, "--target", "y", "--gates", 5, "--out", model, "--certificate", proof)
    command("export", model, "--to", "json", "--out", folder / "m.json")
    yield Host(
        "model", model.read_bytes(), ("bytes", "npz"), ".npz",
        (lambda path: Model.load(path).predict(read_table(data)), ro.load),
        (lambda path: command("certify", path, data),
         lambda path: command("explore", path, data),
         lambda path: command("prune", path, data, "--json"),
         lambda path: command("sensitivity", path, data, "--json"),
         lambda path: command("export", path, "--to", "json", "--out", folder / "again.json")),
    )  # fmt: skip
    yield Host(
        "certificate of fit", proof.read_bytes(), ("bytes", "npz"), ".npz",
        (lambda path: ro.Certificate.load(path),),
        (lambda path: command("verify", path, data, "--exact", "--require-scope", "all"),
         lambda path: command("verify", path, data, "--json", "--target", "y")),
    )  # fmt: skip
    exported = (folder / "m.json").read_bytes()
    json_ways = ("bytes", "text", "text", "text")
    yield Host("json", exported, json_ways, ".json", (ro.export.from_json,))

    def use(path: Path) -> object:
        table = read_table(path)
        return table.matrix([table.resolve("0")])

    readers: tuple[Reader, ...] = (read_table, use)
    fits: tuple[Reader, ...] = (
        lambda path: command("verify", proof, path),
        lambda path: command("certify", model, path),
        lambda path: command("fit", path, "--target", "-1", "--gates", 3, "--json"),
        lambda path: command("path", path, "--target", "-1", "--gates", 3),
    )
    yield Host("csv", data.read_bytes(), ("bytes", "text"), ".csv", readers, fits)
    numbers = np.loadtxt(io.StringIO(table_text()), delimiter=",", skiprows=1)
    stream = io.BytesIO()
    names = dict(zip(("a", "b", "y"), numbers.T, strict=True))
    parquet.write_table(pa.table(names), stream)
    yield Host("parquet", stream.getvalue(), ("bytes",), ".parquet", readers, fits)
    stream = io.BytesIO()
    np.savez(stream, **names)
    yield Host("table as npz", stream.getvalue(), ("bytes", "npz"), ".npz", readers, fits)
    toml: tuple[tuple[Reader, ...], ...] = (
        (load_settings,), (lambda path: with_settings(path, "certify", model, data),)
    )  # fmt: skip
    yield Host("toml", settings.encode(), ("bytes", "text", "text"), ".toml", *toml)
    parent = f"[tool.relu-opt]\n{settings.replace('[options', '[tool.relu-opt.options')}".encode()
    yield Host("pyproject", parent, ("bytes", "text", "text"), "/pyproject.toml", *toml)


CERTIFIED = (
    "relu-squared-program", "gated-logistic-own", "relu-hinge-all", "relu-huber-own", "searched",
    "spike-free", "several-outputs", "patches", "spline-squared", "spline-interpolation",
)  # fmt: skip


def _of_certificates(folder: Path) -> Iterator[Host]:
    for kind in CERTIFIED:
        truth = make(kind, 2)
        if truth is None:
            continue
        path = folder / "certificate.npz"
        truth.certificate.save(path)
        X, y, load = truth.answer.X, truth.answer.y, type(truth.certificate).load
        readers = (
            lambda path, X=X, y=y: ro.verify(path, X, y),
            lambda path, X=X, y=y: ro.verify(path, X, y),
            lambda path, X=X, y=y: ro.verify(path, X, y, arithmetic="exact"),
            load,
            ro.load,
        )
        raw = path.read_bytes()
        yield Host(kind, raw, ("bytes", "npz"), ".npz", readers, truth=truth)


def _of_objects(folder: Path) -> Iterator[Host]:
    rng, path = np.random.default_rng(5), folder / "object.npz"
    X, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
    prog = ro.ConvexProgram(X, y, 0.05, ro.sample_patterns(X, 4))
    solution = ro.solve(prog)
    deep = ro.deep.train_deep(np.eye(3), np.eye(3), 0.01, 3)
    several = ro.several_outputs.train_vector(X[:4], X[:4], 0.2, tol=1e-2)
    things: tuple[tuple[str, Any, Reader], ...] = (
        ("solution", solution, lambda path: ro.Solution.load(path, prog)),
        ("network", solution.network, ro.ReLUNetwork.load),
        ("path", ro.solution_path(prog, lam_min_ratio=0.3),
         lambda path: ro.SolutionPath.load(path, prog)),
        ("deep network", deep.network, ro.deep.DeepNetwork.load),
        ("vector network", several.network, ro.several_outputs.VectorNetwork.load),
        ("pruning path", ro.prune(solution), ro.PruningPath.load),
        ("deep solution", deep, ro.deep.DeepSolution.load),
        ("cross-validation", ro.cross_validate(prog, 2, [0.1, 0.05]),
         lambda path: ro.PathCV.load(path, prog)),
        ("interpolant", ro.interpolation.minimum_norm_interpolant(X[:2], y[:2]),
         lambda path: ro.interpolation.Interpolant.load(path, X[:2], y[:2])),
        ("optimal set", ro.optimal_set(solution), lambda path: ro.OptimalSet.load(path, prog)),
    )  # fmt: skip
    for name, thing, reader in things:
        thing.save(path)
        readers = (
            reader,
            ro.load,
            lambda path: ro.load(path, prog),
            lambda path: ro.verify(path, X, y),
        )
        yield Host(name, path.read_bytes(), ("bytes", "npz", "npz"), ".npz", readers)


# -- attacks -------------------------------------------------------------------

ODD_TABLES = {".csv": odd_csv, ".npz": odd_npz, ".parquet": odd_parquet}


def damaged(rng: Rng, host: Host) -> tuple[bytes, list[str]]:
    """The host's bytes after one or two kinds of damage, or an odd file of its kind."""
    if host.name in ("csv", "parquet", "table as npz") and rng.random() < 0.5:
        return ODD_TABLES[host.suffix](rng), ["odd table"]
    if rng.random() < 0.005:
        return b"", ["emptied"]
    raw, names = host.raw, []
    # What is built goes first, since it needs a whole file; broken bytes may follow.
    kinds = [host.ways[rng.integers(len(host.ways))]]
    kinds += ["bytes"] if rng.random() < 0.2 else []
    for kind in kinds:
        ways = DAMAGES[kind]
        names.append(sorted(ways)[rng.integers(len(ways))])
        raw = ways[names[-1]](rng, raw)
    return raw, names


def no_file(rng: Rng, path: Path) -> str:
    """Something else than a file in its place."""
    kinds = ("nothing", "folder", "fifo", "endless", "empty device", "loop", "dangling")
    kind = kinds[rng.integers(len(kinds))]
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind != "nothing":
        targets = {"endless": "/dev/zero", "empty device": "/dev/null", "loop": path}
        path.symlink_to(targets.get(kind, path.with_name("nowhere")))
    return kind


def cleared(path: Path) -> None:
    """Take away whatever is at a path."""
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def forged(rng: Rng, path: Path, truth: Truth) -> list[str]:
    """A certificate's file whose contents are a spoiled answer's."""
    answer, names = spoiled(rng, truth.answer)
    claims = {"kind": "certificate", "version": 1, **answer.claims}
    text = json.dumps(claims, default=str)
    arrays = {name: array for name, array in answer.arrays.items() if name != "meta"}
    with path.open("wb") as stream:
        np.savez(stream, allow_pickle=True, meta=np.array(text), **arrays)
    return ["forged", *names]


def attack(host: Host, judge: Judge | None, folder: Path, rng: Rng) -> Trial:
    """Damage a file and let something read it."""
    path = folder / (host.suffix if host.suffix[0] == "/" else f"file{host.suffix}").lstrip("/")
    roll = rng.random()
    if roll < SPECIAL_SHARE:
        names = [no_file(rng, path)]
    elif roll < FORGED_SHARE and host.truth:
        names = forged(rng, path, host.truth)
    else:
        raw, names = damaged(rng, host)
        path.write_bytes(raw)
    readers = host.long if host.long and rng.random() < LONG_SHARE else host.readers
    kinds = tuple(names)
    try:
        with strict():
            found = readers[rng.integers(len(readers))](path)
        if isinstance(found, ro.Verification) and found.valid and judge and host.truth:
            return Trial(kinds, "certified", judge(contents(path, host.truth), found))
    except ReluOptError:
        return Trial(kinds, "refused", "")
    except Exception as error:  # noqa: BLE001 - any other error is what is looked for
        return Trial(kinds, "error", fault(error))
    finally:
        cleared(path)
    return Trial(kinds, "read", "")


def contents(path: Path, truth: Truth) -> Answer:
    """The answer in a certificate's file that was read, with the data of the truth."""
    arrays, claims = read_npz(path, "certificate")
    return Answer(arrays, claims, truth.answer.X, truth.answer.y)
