"""The verb `medfuse tune`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, Cache, Overrides, load_config, recipe
from medfuse.cli.terminal import bar, exit_with
from medfuse.errors import CohortError


def tune(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file to start from.")],
    *,
    cohort: Annotated[Path, typer.Option("--cohort", "-c", help="Folder with cohort.yaml and cases.csv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="YAML file for the best config; must be free.")],
    trials: Annotated[int, typer.Option(min=1, help="Settings that are tried, those before a --resume included.")] = 30,
    minutes: Annotated[float | None, typer.Option(min=0, help="No further trial is begun after that many.")] = None,
    space: Annotated[Path, typer.Option(help="YAML file of what may change.")] = Path("configs/tune.yaml"),
    override: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped search left off.")] = False,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Search for settings by folds of the training split; needs `pip install medfuse[tune]`.

    Example: medfuse tune configs/demo.yaml --cohort cohorts/ward --trials 30 --out ward.yaml
    """
    from medfuse.cohort import Cohort
    from medfuse.tuning import Space
    from medfuse.tuning import tune as run

    checked, read, allowed = load_config(config, override), Cohort.load(cohort), Space.load(recipe(space))
    journal = out.with_name(out.name + ".journal")
    taken = next((path for path in (out, journal) if path.exists()), None)
    if taken is not None and not resume:
        message = f"{taken}: already there; go on with --resume, or remove it first"
        raise CohortError(message)
    with bar("trials", trials) as advance:
        found = run(
            checked, allowed, read, trials=trials, minutes=minutes, journal=journal, cache=cache, progress=advance
        )
    told = (
        f"macro AUROC {found.auroc:.4f} over {allowed.folds} folds by patient of the training split, the best of"
        f" {found.finished} trials ({found.given_up} more were given up)"
    )
    start = "" if found.first is None else f"; {found.first:.4f} where the search began"
    out.write_text(f"# medfuse tune: {told}{start}.\n{found.config.to_yaml()}", encoding="utf-8")
    if as_json:
        typer.echo(json.dumps({key: value for key, value in vars(found).items() if key != "config"}))
    else:
        typer.echo(f"{out}: {told}{start}")
        typer.echo("  " + ", ".join(f"{key} {value}" for key, value in found.values.items()))
        typer.echo(f"Next: medfuse train {out} --cohort {cohort} --out BUNDLE")
    exit_with(read.problems)
