"""Options and arguments that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Data = Annotated[
    Path, typer.Argument(help="CSV (header optional), Parquet or npz.", metavar="DATA")
]
ModelFile = Annotated[
    Path, typer.Argument(help="A model that `relu-opt fit` wrote.", metavar="MODEL")
]
Target = Annotated[
    str,
    typer.Option(help="Column to predict: its name, or its position (0 the first, -1 the last)."),
]
KnownTarget = Annotated[
    str | None,
    typer.Option(help="Column of the targets; the one of the training by default."),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on stdout and nothing else.")
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bar.")]
Tolerance = Annotated[
    float | None, typer.Option(help="Relative duality gap to reach.", show_default="1e-8")
]
CertificateFile = Annotated[
    Path | None,
    typer.Option("--certificate", help="Where to write the certificate, an npz file."),
]
