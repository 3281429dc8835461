"""`relu-opt verify`: re-check a certificate from its file and the data alone."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relu_opt.cli.arguments import Data, Json, KnownTarget

if TYPE_CHECKING:
    from relu_opt.arrays import FloatArray
    from relu_opt.tables import Table


def verify(
    certificate: Annotated[
        Path, typer.Argument(help="A certificate, an npz file.", metavar="CERT")
    ],
    data: Data,
    target: KnownTarget = None,
    as_json: Json = False,
) -> int:
    """Re-check a certificate on its DATA.

    From the file and the data alone: no solver, no trust.

    Exit code: 0 if it holds, 1 if not, 2 on an error.
    """
    from relu_opt import verify as check
    from relu_opt.cli.output import facts, out, print_json, verdict_text
    from relu_opt.tables import read_table

    table = read_table(data)
    X, y, drift = prepared(certificate, table, target)
    found = check(certificate, X, y)
    if as_json:
        print_json(
            {
                "command": "verify",
                "certificate": certificate,
                "data": data,
                "valid": found.valid,
                "verdict": found.verdict,
                "objective": found.primal,
                "dual_objective": found.dual,
                "rel_gap": found.rel_gap,
                "statement": found.statement,
                "problems": found.problems,
                "standardisation": {"own": not drift, "differs_in": drift},
            }
        )
    else:
        known = math.isfinite(found.primal) and math.isfinite(found.dual)
        rows = {
            "certificate": certificate,
            "data": f"{data}: {len(table)} rows",
            "prepared": _drift_text(drift),
            "objective": f"{found.primal:.12g}" if known else "unknown",
            "lower bound": f"{found.dual:.12g}" if known else "unknown",
            "relative gap": f"{found.rel_gap:.1e}" if known else "unknown",
            "verdict": verdict_text(found.verdict),
            "statement": found.statement,
        }
        rows.update({f"problem {k}": text for k, text in enumerate(found.problems, 1)})
        out().print(facts(rows))
    return 0 if found.valid else 1


def _drift_text(drift: list[str] | None) -> str:
    if drift is None:
        return "not at all: the columns as they are"
    if not drift:
        return "standardised with the means and deviations of these very data"
    named = ", ".join(drift[:3]) + (", …" if len(drift) > 3 else "")
    return f"standardised with those of other data ({len(drift)} columns differ: {named})"


def prepared(
    certificate: Path, table: Table, target: str | None
) -> tuple[FloatArray, FloatArray, list[str] | None]:
    """X and y as the certificate means them, and where the standardisation is not the data's.

    A certificate of `fit` says how its data were prepared. One that the library saved speaks
    of the columns as they are: all but the target, in their order.
    """
    from relu_opt.errors import DataError
    from relu_opt.io import read_npz
    from relu_opt.preprocessing import Preprocessing

    stored = read_npz(certificate, "certificate")[1].get("preprocessing")
    if stored is not None:
        preprocessing = Preprocessing.from_meta(stored)
        drift = preprocessing.drift(table, target) if preprocessing.standardize else None
        return preprocessing.transform(table), preprocessing.targets(table, target), drift
    if target is None:
        raise DataError(
            f"{certificate} does not say which column is the target. Give --target.",
            option="--target",
        )
    name = table.resolve(target)
    features = [other for other in table.names if other != name]
    return table.matrix(features), table.numbers(name), None
