"""`relu-opt export`: a model as a file that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relu_opt.cli.arguments import Json, ModelFile
from relu_opt.errors import DataError, did_you_mean

if TYPE_CHECKING:
    from relu_opt.arrays import FloatArray
    from relu_opt.export import ExportReport
    from relu_opt.tabular.model import Model

FORMS = ("onnx", "torch", "json")


def export(
    model: ModelFile,
    to: Annotated[
        str,
        typer.Option(
            help="onnx; torch (a program that torch.export.load reads); json (plain text, every "
            "digit of every weight)."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The file to write.")],
    data: Annotated[
        Path | None,
        typer.Option(
            help="Table of rows to compare the file with the model on.",
            show_default="64 rows drawn around the features' means",
        ),
    ] = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            help="float32 or float64; only onnx has the choice.",
            show_default="onnx: float32; else float64",
        ),
    ] = None,
    as_json: Json = False,
) -> int:
    """Write a MODEL for other programs.

    The file takes the features as they are in the table, in the order of the training, and
    predicts in the target's units (json has the preparation beside the weights). Its
    predictions are compared with the model's.

    Exit code: 0 when written, 2 on an error.
    """
    from relu_opt.cli.output import check_writable, facts, print_json
    from relu_opt.cli.output import out as console
    from relu_opt.tabular.model import Model
    from relu_opt.tabular.tables import read_table

    if to not in FORMS:
        raise DataError(f"Unknown form {to!r}. {did_you_mean(to, FORMS)}", to=to)
    if dtype not in (None, "float64") and to != "onnx":
        raise DataError(f"--dtype {dtype} is for onnx; {to} is written in float64.", dtype=dtype)
    check_writable("--out", out, data, model)
    loaded = Model.load(model)
    features = loaded.preprocessing.features
    rows = None if data is None else read_table(data).matrix(features)
    report = write(loaded, to, out, dtype, rows)
    result = {
        "command": "export",
        "to": to,
        "dtype": report.dtype,
        "features": features,
        "neurons": report.neurons,
        "bytes": len(report.content),
        "checked": report.checked,
        "reason": report.unchecked,
        "rows": report.rows,
        "drawn": report.drawn,
        "max_difference": report.max_difference,
        "relative_difference": report.relative_difference,
        "labels_changed": report.labels_changed,
        "files": {"model": model, "data": data, "out": out},
    }
    if as_json:
        print_json(result)
    else:
        size = f"{report.inputs} features, {report.neurons} neurons, {len(report.content)} bytes"
        console().print(
            facts({"out": out, to: f"{report.dtype}, {size}", "check": report.finding()})
        )
    return 0


def write(
    model: Model, to: str, out: Path, dtype: str | None, rows: FloatArray | None
) -> ExportReport:
    """Write the file in the chosen form."""
    from relu_opt import export as forms

    network, preprocessing = model.network, model.preprocessing
    if to == "onnx":
        return forms.to_onnx(network, out, preprocessing, dtype or "float32", X=rows)
    if to == "torch":
        return forms.save_torch(network, out, preprocessing, X=rows)
    return write_json(model, out, rows)


def write_json(model: Model, out: Path, rows: FloatArray | None) -> ExportReport:
    """Write the text, read it again, and compare the two."""
    from relu_opt.export import ExportReport, from_json, to_json
    from relu_opt.export.comparison import comparison
    from relu_opt.io import write_text

    text = to_json(model.network, preprocessing=model.preprocessing)
    network, preprocessing = from_json(text)
    before = comparison(model.network, model.preprocessing, False, rows)
    after = comparison(network, preprocessing, False, rows)
    report = ExportReport(
        text.encode(),
        "json",
        "float64",
        len(model.preprocessing.features),
        len(network),
        str(out),
        **before.measure(after.outputs, after.labels),
    )
    write_text(out, text)
    return report
