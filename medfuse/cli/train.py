"""The verb `medfuse train`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from medfuse.cli.arguments import Cache, Overrides, load_config
from medfuse.cli.terminal import bar, exit_with


def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, such as those in configs/.")],
    *,
    cohort: Annotated[Path, typer.Option("--cohort", "-c", help="Folder with cohort.yaml and cases.csv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the bundle; must be free.")],
    override: Overrides = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run left off.")] = False,
    cache: Cache = None,
) -> None:
    """Train a model and leave it as a calibrated bundle.

    Example: medfuse train configs/demo.yaml --cohort cohorts/phantoms --out runs/phantoms --set training.epochs=20
    """
    from medfuse.bundle import require_free
    from medfuse.cohort import Cohort

    checked, read = load_config(config, override), Cohort.load(cohort)
    require_free(out)
    from medfuse.training import Processes
    from medfuse.training import train as run

    if not Processes.of(checked.compute).first:  # the first one says what there is to say
        run(checked, read, out, cache=cache, resume=resume)
        return
    with bar("reading and encoding", len(read.cases)) as advance:
        run(checked, read, out, cache=cache, resume=resume, progress=advance, show=sys.stderr.isatty())
    facts = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    counts = ", ".join(f"{count} {split}" for split, count in facts["cases"].items())
    typer.echo(f"{out}: {_told(facts)}; cases: {counts}")
    tested = any(case.split == "test" for case in read.with_splits(checked.seed, hold_out=checked.hold_out).cases)
    if tested:
        typer.echo(f"Next: medfuse evaluate {out} {cohort} --out {out}-evaluation")
    else:
        typer.echo(f"All patients trained. Next: medfuse evaluate {config} {cohort} --folds 5 --out {out}-folds")
    problems = list(read.problems)
    if facts["unreadable"]:
        problems.append(f"{facts['unreadable']} files could not be read and were left out")
    exit_with(problems)


def _told(facts: Mapping[str, Any]) -> str:
    """How the weights were found, in a few words."""
    if facts["how"] == "experts":
        return ", ".join(f"{name} counts {sum(given) / len(given):.2f}" for name, given in facts["weights"].items())
    if facts["how"] == "folds":
        return f"{facts['folds']} heads of {facts['epochs']} epochs, each without its fold of patients"
    return f"{facts['epochs']} epochs, validation loss {facts['validation_loss']}"
