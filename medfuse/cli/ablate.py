"""The verb `medfuse ablate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from medfuse.cli.arguments import AsJson, Cache, CohortDir, Overrides, load_config
from medfuse.cli.terminal import with_interval


def ablate(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="The recipe.")],
    cohort: CohortDir,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for ablation.json and ablation.md.")],
    folds: Annotated[int, typer.Option(min=2, help="Folds of each repetition.")] = 5,
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions, each with other folds.")] = 3,
    only: Annotated[list[str] | None, typer.Option("--only", help="Variants whose name holds this.")] = None,
    override: Overrides = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Cross-validate a recipe with each ingredient taken away, or put in, on the same folds.

    Example: medfuse ablate configs/covid_chestxray_icu.yaml cohorts/icu --out runs/icu-ablation
    """
    from medfuse.cohort import Cohort
    from medfuse.evaluation.ablation import ablate as run
    from medfuse.evaluation.ablation import to_markdown

    read = load_config(config, override)

    out.mkdir(parents=True, exist_ok=True)

    def keep(found: dict[str, Any]) -> None:  # after each row, since a run takes long
        (out / "ablation.json").write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        (out / "ablation.md").write_text(to_markdown(found), encoding="utf-8")
        name, row = list(found["rows"].items())[-1]
        typer.echo(f"{name}: AUROC {with_interval(row['auroc'])}", err=True)

    found = run(read, Cohort.load(cohort), folds=folds, seeds=seeds, only=only or (), cache=cache, progress=keep)
    typer.echo(json.dumps(found) if as_json else to_markdown(found), nl=False)
