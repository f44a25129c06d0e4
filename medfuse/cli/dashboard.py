"""The verb `medfuse dashboard`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.terminal import bar


def dashboard(
    *,
    bundle: Annotated[Path, typer.Option("--bundle", "-b")] = Path("medfuse-demo/fused"),
    cohort: Annotated[Path, typer.Option("--cohort", "-c")] = Path("medfuse-demo/cohort"),
    evaluation: Annotated[Path | None, typer.Option(help="Folder that `medfuse evaluate` made.")] = None,
    reviews: Annotated[Path, typer.Option(help="Folder for predictions and the store of decisions.")] = Path(
        "medfuse-review"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Review predictions in the browser; listens on this machine only.

    Example: medfuse dashboard --bundle runs/phantoms --cohort cohorts/phantoms --evaluation runs/phantoms-evaluation
    """
    from medfuse.bundle import verify
    from medfuse.cohort import Cohort

    digest, read = verify(bundle), Cohort.load(cohort)
    import re

    from medfuse.config import Config

    image = Config.load(bundle / "config.yaml").image
    safe = re.sub(r"[^A-Za-z0-9._-]+", "-", read.name)  # a name is not a path
    predictions = reviews / f"predictions-{safe}-{digest}.jsonl"
    if not predictions.exists():
        from medfuse.inference import Predictor, write_predictions

        held = read.in_split("test") or read.cases
        with bar("classifying", len(held)) as advance:
            write_predictions(Predictor.load(bundle).stream(held), predictions, progress=advance)
    if evaluation is None and (bundle.parent / "evaluation" / bundle.name / "metrics.json").exists():
        evaluation = bundle.parent / "evaluation" / bundle.name
    from medfuse.review import serve

    typer.echo(f"medfuse dashboard on http://127.0.0.1:{port} (Ctrl-C stops it)")
    store = str(reviews / "reviews.sqlite")
    raise typer.Exit(
        serve(
            cohort=cohort,
            predictions=predictions,
            store=store,
            evaluation=evaluation,
            bundle=bundle,
            image=image,
            port=port,
            open_browser=browser,
        )
    )
