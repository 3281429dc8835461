"""`relu-opt verify`: re-check a certificate from its file and the data alone."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relu_opt.cli.arguments import Data, Json, KnownTarget

if TYPE_CHECKING:
    from relu_opt import Verification
    from relu_opt.arrays import FloatArray
    from relu_opt.tabular.tables import Table


def verify(
    certificate: Annotated[
        Path, typer.Argument(help="A certificate, an npz file.", metavar="CERT")
    ],
    data: Data,
    target: KnownTarget = None,
    require_scope: Annotated[
        str | None,
        typer.Option(help="Whose optimality must be proved at least: own, program or all."),
    ] = None,
    require_lam: Annotated[
        float | None, typer.Option(help="The lam that the certificate must be of.")
    ] = None,
    require_loss: Annotated[
        str | None, typer.Option(help="The loss that the certificate must be of.")
    ] = None,
    tol: Annotated[
        float | None,
        typer.Option(
            help="The relative gap that must be proved.", show_default="the certificate's own"
        ),
    ] = None,
    exact: Annotated[
        bool, typer.Option("--exact", help="Prove it in integers, whatever the range of numbers.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Re-check a certificate on its DATA.

    From the file and the data alone: no solver, no trust. The features are all columns but the
    target, prepared as `fit` prepares these data; a file that says otherwise is invalid.

    Exit code: 0 if it holds, 1 if not, 2 on an error.
    """
    from relu_opt import verify as check
    from relu_opt.arrays import as_tolerance
    from relu_opt.cli.output import print_json
    from relu_opt.tabular.tables import read_table

    if tol is not None:
        as_tolerance(tol, "--tol")
    table = read_table(data)
    seen = prepared(certificate, table, target)
    found = check(
        certificate,
        seen.X,
        seen.y,
        scope=require_scope,
        lam=require_lam,
        loss=require_loss,
        tol=tol,
        arithmetic="exact" if exact else "float",
    )
    found = seen.judged(found)
    if as_json:
        print_json(
            {
                "command": "verify",
                "certificate": certificate,
                "data": data,
                "target": seen.target,
                "features": seen.features,
                "standardisation": {"own": not seen.drift, "differs_in": seen.drift},
                "valid": found.valid,
                "verdict": found.verdict,
                "scope": found.scope,
                "lam": found.lam,
                "loss": found.loss,
                "weights": found.weights,
                "coverage": found.coverage,
                "tol": found.tol if tol is None else tol,
                "tol_from": "certificate" if tol is None else "argument",
                "arithmetic": found.arithmetic,
                "objective": found.objective,
                "dual_objective": found.lower_bound,
                "rel_gap": found.rel_gap,
                "statement": found.statement,
                "problems": found.problems,
            }
        )
    else:
        show(found, seen, certificate, f"{data}: {len(table)} rows", tol)
    return 0 if found.valid else 1


def show(
    found: Verification, seen: Prepared, certificate: Path, data: str, tol: float | None
) -> None:
    """Print what was checked, on which columns, and what was found."""
    from relu_opt.cli.output import facts, out, verdict_text
    from relu_opt.tabular.preprocessing import listed

    asked = (found.tol, "the certificate") if tol is None else (tol, "argument")
    known = math.isfinite(found.objective) and math.isfinite(found.lower_bound)
    rows = {
        "certificate": certificate,
        "data": data,
        "target": repr(seen.target),
        "features": listed(seen.features),
        "prepared": seen.words,
        "objective": f"{found.objective:.12g}" if known else "unknown",
        "lower bound": f"{found.lower_bound:.12g}" if known else "unknown",
        "relative gap": f"{found.rel_gap:.1e}" if known else "unknown",
        "verdict": verdict_text(found.verdict, *asked),
        "statement": found.statement,
    }
    rows.update({f"problem {k}": text for k, text in enumerate(found.problems, 1)})
    out().print(facts(rows))


@dataclass(frozen=True, eq=False)
class Prepared:
    """X and y of a table as a certificate means them, and what is wrong with that.

    Attributes
    ----------
    X, y : arrays
    target : str
    features : tuple of str
        The columns they are made of.
    drift : tuple of str or None
        The columns that are standardised by foreign means or deviations; None without any.
    problems : tuple of str
        How that differs from what the table itself, and the user, say.
    """

    X: FloatArray
    y: FloatArray
    target: str
    features: tuple[str, ...]
    drift: tuple[str, ...] | None = None
    problems: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """How the columns were prepared."""
        if self.drift is None:
            return "not at all: the columns as they are"
        if not self.drift:
            return "standardised with the means and deviations of these very data"
        named = ", ".join(self.drift[:3]) + (", …" if len(self.drift) > 3 else "")
        return f"standardised with those of other data ({len(self.drift)} columns differ: {named})"

    def judged(self, found: Verification) -> Verification:
        """What a re-check found, invalid if the data were prepared in another way than their own.

        A proof about some columns, another target or foreign scales is none about the table.
        """
        if not self.problems:
            return found
        from relu_opt.verify.outcome import nothing

        problems = (*self.problems, *found.problems)
        return replace(found, verdict="invalid", problems=problems, statement=nothing(problems[0]))


def prepared(certificate: Path, table: Table, target: str | None) -> Prepared:
    """X and y as the certificate means them.

    A certificate of `fit` says how its data were prepared, and that has to be how `fit` prepares
    these. One that the library saved speaks of the columns as they are: all but the target, in
    their order.
    """
    from relu_opt.errors import DataError
    from relu_opt.program.losses import is_known
    from relu_opt.tabular.preprocessing import Preprocessing
    from relu_opt.verify.subject import certificate_file

    meta = certificate_file(certificate)[1]
    if meta.get("preprocessing") is not None:
        stored, loss = Preprocessing.from_meta(meta["preprocessing"]), meta.get("loss")
        # An unknown loss is for the re-check to refuse.
        known = isinstance(loss, str) and is_known(loss)
        problems = stored.departures(table, str(loss) if known else "squared")
        if target is not None and table.resolve(target) != stored.target:
            problems.append(
                f"The target asked for is {table.resolve(target)!r}, and the certificate's is "
                f"{stored.target!r}."
            )
        return Prepared(
            stored.transform(table),
            stored.targets(table),
            stored.target,
            stored.features,
            tuple(stored.drift(table)) if stored.standardize else None,
            tuple(problems),
        )
    if meta.get("problem") == "several_outputs":
        raise DataError(
            f"{certificate} is of a network with several outputs, and a table has one target. "
            "Pass X and Y to relu_opt.verify in Python.",
            path=str(certificate),
        )
    if target is None:
        raise DataError(
            f"{certificate} does not say which column is the target. Give --target.",
            option="--target",
        )
    name = table.resolve(target)
    features = tuple(other for other in table.names if other != name)
    return Prepared(table.matrix(features), table.numbers(name), name, features)
