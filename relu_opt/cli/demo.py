"""`relu-opt demo`: the main job on a real data set that scikit-learn ships."""

from __future__ import annotations

import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relu_opt.cli.arguments import Json, Quiet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from relu_opt.tabular.model import Model
    from relu_opt.tabular.tables import Table

TARGET = "benign"
GATES = 500
SPLIT_SEED = 0
MLP_SEEDS = (0, 1, 2, 3, 4)
MLP_WIDTH = 100


def demo(
    out_dir: Annotated[
        Path, typer.Option(help="Folder for the data, the model and the certificate.")
    ] = Path("relu-opt-demo"),
    as_json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Train on a real data set, and check the proof.

    The data are scikit-learn's: 569 tumours, 30 measurements each, benign or malignant; a
    quarter is kept for testing.

    Exit code: 0 if the certificate held, 1 if not, 2 on an error.
    """
    from relu_opt import verify as check
    from relu_opt.cli.output import print_json
    from relu_opt.cli.training import Recipe, Request, summary, train
    from relu_opt.cli.verify import prepared
    from relu_opt.config import load_settings
    from relu_opt.progress.bar import progress
    from relu_opt.tabular.tables import read_table

    settings = load_settings()
    make_folder(out_dir)
    files = {name: out_dir / name for name in ("train.csv", "test.csv")}
    model_file, certificate_file = out_dir / "model.npz", out_dir / "certificate.npz"
    with progress(not (quiet or as_json), settings.tol) as report:
        report("preparing data")
        write_data(files["train.csv"], files["test.csv"])
        table, test = read_table(files["train.csv"]), read_table(files["test.csv"])
        request = Request(options={"verbose": False} if as_json else {})
        trained = train(table, Recipe(TARGET, gates=GATES, loss="logistic"), request, report)
        trained.model.save(model_file)
        trained.save_certificate(certificate_file)
        report("re-checking the certificate")
        seen = prepared(certificate_file, read_table(files["train.csv"]), TARGET)
        found = seen.judged(check(certificate_file, seen.X, seen.y))
        report("training scikit-learn's MLP")
        peer = peer_errors(trained.model, table, test)
    result = {
        **summary(trained, table),
        "test_rows": len(test),
        "test_errors": trained.model.errors(test),
        "mlp": peer,
        "verification": {"verdict": found.verdict, "statement": found.statement},
        "files": {**files, "model": model_file, "certificate": certificate_file},
    }
    if as_json:
        print_json({"command": "demo", **result})
    else:
        show(result, out_dir)
    return 0 if found.valid else 1


def make_folder(folder: Path) -> None:
    """Make the output folder, or a DataError that says why it cannot be."""
    from relu_opt.errors import DataError

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"--out-dir {folder} cannot be made: {error.strerror}. Name another folder.",
            option="--out-dir",
            path=str(folder),
        ) from error


def write_data(train_file: Path, test_file: Path) -> None:
    """Write the stratified split, 3:1, as CSV with all digits."""
    import numpy as np
    from sklearn.datasets import load_breast_cancer
    from sklearn.model_selection import train_test_split

    from relu_opt.io import write_text

    bundle = load_breast_cancer()
    rows = np.column_stack([bundle.data, bundle.target])
    parts = train_test_split(rows, test_size=0.25, stratify=bundle.target, random_state=SPLIT_SEED)
    header = ",".join([*bundle.feature_names, TARGET])
    for file, part in zip((train_file, test_file), parts, strict=True):
        lines = [",".join(f"{value:.17g}" for value in row) for row in part]
        write_text(file, "\n".join([header, *lines]) + "\n")


def peer_errors(model: Model, table: Table, test: Table) -> dict[str, Any]:
    """Error rates of scikit-learn's MLP, default but for max_iter, on the same features."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier

    X, y = model.preprocessing.transform(table), model.preprocessing.targets(table)
    X_test, y_test = model.preprocessing.transform(test), model.preprocessing.targets(test)
    # The network's rows are divided by √d₀, and have the bias that the MLP has by itself.
    scale = len(model.preprocessing.features) ** 0.5
    X, X_test = X[:, :-1] * scale, X_test[:, :-1] * scale
    started, train_rates, test_rates = time.perf_counter(), [], []
    for seed in MLP_SEEDS:
        peer = MLPClassifier((MLP_WIDTH,), max_iter=500, random_state=seed)
        with warnings.catch_warnings():
            # That it stops at max_iter is its business; its errors are what is shown.
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer.fit(X, y)
        train_rates.append(1 - float(peer.score(X, y)))
        test_rates.append(1 - float(peer.score(X_test, y_test)))
    return {
        "neurons": MLP_WIDTH,
        "seeds": MLP_SEEDS,
        "train_error_rates": train_rates,
        "test_error_rates": test_rates,
        "seconds": (time.perf_counter() - started) / len(MLP_SEEDS),
    }


def show(result: Mapping[str, Any], folder: Path) -> None:
    """Print what was solved, how it compares, and what to try next."""
    from rich.table import Table as Grid

    from relu_opt.cli.output import facts, out, verdict_text
    from relu_opt.cli.training import time_text

    data, program, seconds = result["data"], result["program"], result["seconds"]
    console = out()
    console.print("[bold]A ReLU network with a proof[/bold]: breast cancer data, scikit-learn\n")
    rows = {
        "data": f"{data['rows']} rows to train, {result['test_rows']} to test, "
        f"{data['features']} features",
        "program": f"{program['loss']} loss, {program['patterns']} activation patterns, "
        f"lam {program['lam']:.3g}",
        "solved by": f"{result['backend']}, {time_text(seconds)}: {result['stop']}",
        "objective": f"{result['objective']:.12g}",
        "lower bound": f"{result['dual_objective']:.12g}",
        "relative gap": f"{result['rel_gap']:.1e}",
        "re-checked": verdict_text(
            result["verification"]["verdict"],
            result["tol"],
            result["tol_from"],
            result["verification"]["statement"],
        ),
    }
    console.print(facts(rows))
    console.print()
    grid = Grid(box=None, pad_edge=False)
    for name, justify in (
        ("", "left"),
        ("neurons", "right"),
        ("train error", "right"),
        ("test error", "right"),
        ("seconds", "right"),
        ("gap", "right"),
    ):
        grid.add_column(name, justify=justify)  # type: ignore[arg-type]
    mlp = result["mlp"]
    grid.add_row(
        "relu-opt",
        str(result["neurons"]),
        _percent([result["training_errors"]["error_rate"]]),
        _percent([result["test_errors"]["error_rate"]]),
        f"{seconds['solve']:.1f}",
        f"{max(result['rel_gap'], 0.0):.0e}",
    )
    grid.add_row(
        "MLPClassifier",
        str(mlp["neurons"]),
        _percent(mlp["train_error_rates"]),
        _percent(mlp["test_error_rates"]),
        f"{mlp['seconds']:.1f}",
        "unknown",
    )
    console.print(grid)
    console.print(
        f"(MLPClassifier: max_iter=500, else default; {len(mlp['seeds'])} seeds, lowest to "
        "highest; seconds a seed)\n",
        style="dim",
    )
    console.print(f"Written to {folder}: train.csv, test.csv, model.npz, certificate.npz")
    console.print("\nNext:", style="bold")
    for command in (
        f"relu-opt verify {folder}/certificate.npz {folder}/train.csv",
        f"relu-opt certify {folder}/model.npz {folder}/train.csv",
        f"relu-opt fit {folder}/train.csv --target {TARGET} --loss logistic",
        "relu-opt backends",
    ):
        console.print(f"  {command}", soft_wrap=True)


def _percent(rates: list[float]) -> str:
    low, high = (f"{100 * rate:.1f}" for rate in (min(rates), max(rates)))
    return f"{low}%" if low == high else f"{low}–{high}%"
