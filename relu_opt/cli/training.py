"""From a table to a trained, certified model: what `fit` and `demo` have in common."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from relu_opt import ConvexProgram, Solution, sample_patterns, solve, train_globally
from relu_opt.cli.output import tol_facts
from relu_opt.config import Settings, load_settings
from relu_opt.errors import DataError
from relu_opt.program.activations import RELU, get_activation
from relu_opt.program.losses import get_loss
from relu_opt.progress.bar import Reporter
from relu_opt.tabular.default_lam import default_lam
from relu_opt.tabular.model import Model
from relu_opt.tabular.preprocessing import Preprocessing
from relu_opt.tabular.tables import Table


@dataclass(frozen=True)
class Recipe:
    """What to train: the choices that make a program of a table.

    `lam` None means `default_lam`. With an `oracle` all patterns are searched, and `gates` plays a
    part in that default only. The other fields are as in `Preprocessing`, `sample_patterns` and
    `ConvexProgram`.
    """

    target: str
    lam: float | None = None
    gates: int = 100
    loss: str = "squared"
    activation: str = "relu"
    bias: bool = True
    standardize: bool = True
    intercept: bool = False
    oracle: str | None = None


@dataclass(frozen=True)
class Request:
    """How to solve: what was given on the command line; None leaves it to the settings."""

    backend: str | None = None
    tol: float | None = None
    time_limit: float | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    executor: object = None


@dataclass(frozen=True, eq=False)
class Trained:
    """A trained model, its solution, and how long building the program took."""

    recipe: Recipe
    solution: Solution
    model: Model
    build_seconds: float
    settings: Settings

    def save_certificate(self, path: Path) -> None:
        """Write the certificate, with how the data were prepared."""
        extra = {"preprocessing": self.model.preprocessing.to_meta()}
        self.solution.certificate.save(path, extra=extra)


def train(table: Table, recipe: Recipe, request: Request, report: Reporter) -> Trained:
    """Build the program of a table and solve it."""
    started = time.perf_counter()
    report("building")
    preprocessing = Preprocessing.fit(
        table, recipe.target, recipe.loss, recipe.bias, recipe.standardize
    )
    settings = load_settings().with_arguments(tol=request.tol, seed=request.options.get("seed"))
    seed = settings.seed
    program = build_program(table, preprocessing, recipe, seed)
    built = time.perf_counter() - started
    report("solving")
    if recipe.oracle is not None:
        solution = _over_all_patterns(program, recipe.oracle, request, seed)
    else:
        solution = solve(
            program,
            backend=request.backend or "auto",
            tol=request.tol,
            time_limit=request.time_limit,
            options=request.options,
            executor=request.executor,
        )
    model = Model.of(solution, preprocessing, table.source)
    return Trained(recipe, solution, model, built, settings)


def _over_all_patterns(
    program: ConvexProgram, oracle: str, request: Request, seed: int
) -> Solution:
    """The solution of global training, with its certificate of scope `all`."""
    if program.activation != RELU:
        raise DataError(
            "Searching all patterns is for ReLU networks. Leave --activation or --oracle out.",
            option="--oracle",
        )
    found = train_globally(
        program.X,
        program.y,
        program.lam,
        oracle,
        request.tol,
        loss=program.loss,
        intercept=program.intercept,
        time_limit=request.time_limit,
        backend=request.backend or "auto",
        options=request.options,
        executor=request.executor,
        seed=seed,
    )
    return replace(found.solution, certificate=found.certificate, nu=found.nu, stop=found.stop)


def build_program(
    table: Table, preprocessing: Preprocessing, recipe: Recipe, seed: int
) -> ConvexProgram:
    """The training program of a table; with a lam from the data if none was chosen."""
    X = preprocessing.transform(table)
    check_memory(len(X), X.shape[1], recipe.gates)
    program = ConvexProgram(
        X,
        preprocessing.targets(table),
        1.0 if recipe.lam is None else recipe.lam,
        sample_patterns(X, recipe.gates, seed),
        loss=get_loss(recipe.loss),
        activation=get_activation(recipe.activation),
        intercept=recipe.intercept,
    )
    return program if recipe.lam is not None else program.with_lam(default_lam(program))


def check_memory(n: int, d: int, gates: int) -> None:
    """Refuse a program that this machine's memory cannot hold.

    Raises
    ------
    DataError
        With the number of bytes that the arrays need at least.
    """
    # Patterns, data and gates, and the correlations and weights that every backend holds.
    needed = gates * (n + 7) // 8 + 8 * n * d * 3 + 8 * gates * d * 6
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise DataError(
            f"{n} rows, {d} columns and {gates} gates need at least {needed / 2**30:.1f} GiB, and "
            f"this machine has {there / 2**30:.1f} GiB. Use fewer gates or fewer rows.",
            option="--gates",
            needed_bytes=needed,
            memory_bytes=there,
        )


def errors_text(errors: Mapping[str, float], rows: int) -> str:
    """What `Model.errors` says, for people."""
    if "error_rate" in errors:
        wrong = round(errors["error_rate"] * rows)
        return f"{100 * errors['error_rate']:.2f}% ({wrong} of {rows} wrong)"
    return f"RMSE {errors['rmse']:.5g}, R² {errors['r2']:.4f}"


def time_text(seconds: Mapping[str, float]) -> str:
    """The time of solving, and that of loading the solver when there was something to wait for."""
    loading = f" (and {seconds['load']:.1f} s to load it)" if seconds["load"] > 1 else ""
    return f"{seconds['solve']:.2f} s{loading}"


def data_facts(table: Table, preprocessing: Preprocessing) -> dict[str, Any]:
    """What `--json` says of the data."""
    return {
        "file": table.source,
        "rows": len(table),
        "features": len(preprocessing.features),
        "target": preprocessing.target,
        "classes": preprocessing.classes,
    }


def program_facts(program: ConvexProgram, preprocessing: Preprocessing) -> dict[str, Any]:
    """What `--json` says of the training problem, apart from lam."""
    return {
        "loss": program.loss.name,
        "activation": program.activation.name,
        "patterns": len(program.patterns),
        "bias": preprocessing.bias,
        "intercept": program.intercept,
        "standardize": preprocessing.standardize,
    }


def data_text(data: Mapping[str, Any], program: Mapping[str, Any]) -> dict[str, object]:
    """The same, for people: two rows of the facts."""
    searched = "all" if program.get("scope") == "all" else f"{program['patterns']}"
    features = f"{data['features']} features" + (" + bias" if program["bias"] else "")
    return {
        "data": f"{data['file']}: {data['rows']} rows, {features}, target {data['target']!r}",
        "program": f"{program['activation']}, {program['loss']} loss, {searched} patterns",
    }


def summary(trained: Trained, table: Table) -> dict[str, Any]:
    """Everything that `fit --json` says of a training."""
    solution, model = trained.solution, trained.model
    program, preprocessing = solution.program, model.preprocessing
    return {
        "data": data_facts(table, preprocessing),
        "program": {
            **program_facts(program, preprocessing),
            "scope": solution.certificate.scope,
            "lam": program.lam,
            "lam_is_default": trained.recipe.lam is None,
        },
        "backend": solution.backend,
        "stop": solution.stop.value,
        "advice": solution.stop.advice,
        "objective": solution.objective,
        "dual_objective": solution.lower_bound,
        "rel_gap": solution.rel_gap,
        **tol_facts(solution.certificate.tol, trained.settings),
        "verdict": solution.certificate.verdict.value,
        "reason": solution.certificate.reason,
        "neurons": len(solution.network),
        "training_errors": model.errors(table),
        "seconds": {"program": trained.build_seconds, **solution.stats["seconds"]},
    }
