"""The verb `medfuse evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, Cache, CohortDir, Overrides, load_config
from medfuse.cli.terminal import bar, exit_with, show_metrics
from medfuse.errors import MedfuseError


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle; with --folds a config.")],
    cohort: CohortDir,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for metrics.json, predictions and report.html.")],
    baselines: Annotated[bool, typer.Option("--baselines", help="Compare with logistic regression.")] = False,
    folds: Annotated[int | None, typer.Option(min=2, help="Cross-validate a config by patient.")] = None,
    by: Annotated[list[str] | None, typer.Option("--by", help="Report subgroups by this column too.")] = None,
    stress: Annotated[bool, typer.Option("--stress", help="Worsen scans and notes step by step.")] = False,
    override: Overrides = None,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws of the intervals.")] = 1000,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Measure a bundle on patients it has not seen, or a config by cross-validation.

    Example: medfuse evaluate runs/phantoms cohorts/phantoms --out runs/phantoms-evaluation --baselines
    """
    from medfuse.cohort import Cohort

    read = Cohort.load(cohort)
    if folds is None:
        if bundle.is_file():
            message = f"{bundle}: a config is evaluated by cross-validation; add --folds 5, or name a bundle"
            raise MedfuseError(message)
        from medfuse.evaluation import evaluate as run

        with bar("evaluating", None) as advance:
            found = run(
                bundle,
                read,
                baselines=baselines,
                by=tuple(by or ()),
                stressed=stress,
                draws=draws,
                cache=cache,
                progress=advance,
            )
    else:
        if stress:
            message = "--stress worsens the cases of one bundle; leave out --folds, or --stress"
            raise MedfuseError(message)
        config = load_config(bundle, override)
        from medfuse.evaluation import cross_validate

        with bar(f"{folds} folds", sum(case.labelled for case in read.cases)) as advance:
            found = cross_validate(
                config,
                read,
                folds=folds,
                baselines=baselines,
                by=tuple(by or ()),
                draws=draws,
                cache=cache,
                progress=advance,
            )
    found.save(out)
    if as_json:
        typer.echo(json.dumps(found.metrics["summary"]))
    else:
        show_metrics(found.metrics, out)
    exit_with(found.metrics["problems"])
