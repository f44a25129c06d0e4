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
    store: Annotated[str, typer.Option(help="File or URL of the decisions; default: in the folder of reviews.")] = "",
    address: Annotated[str, typer.Option(help="IP address to listen on; beyond this machine a login is asked for.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    login: Annotated[
        bool, typer.Option("--login", help="Ask for a login on this machine too (behind a proxy).")
    ] = False,
    openid: Annotated[Path | None, typer.Option(help="TOML file with Streamlit's [auth]: OpenID Connect.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="TLS certificate, PEM.")] = None,
    key: Annotated[Path | None, typer.Option(help="Private key of the certificate, PEM.")] = None,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
) -> None:
    """Review predictions in the browser; listens on this machine only, unless told otherwise.

    Example: medfuse dashboard --bundle runs/phantoms --cohort cohorts/phantoms --evaluation runs/phantoms-evaluation
    """
    from medfuse.bundle import verify
    from medfuse.cohort import Cohort
    from medfuse.review.access import Accounts
    from medfuse.review.database import Database
    from medfuse.review.reach import Reach

    digest, read = verify(bundle), Cohort.load(cohort)
    reach = Reach(address=address, login=login, openid=openid, certificate=certificate, key=key)
    store = store or str(reviews / "reviews.sqlite")
    database = Database(store)
    reach.check(Accounts(database))  # before the cases are classified, which takes long
    database.close()
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

    typer.echo(f"medfuse dashboard on {reach.url}:{port} (Ctrl-C stops it)")
    if not reach.local and certificate is None:
        typer.echo("without --certificate passwords travel readable: put a proxy with TLS before it", err=True)
    raise typer.Exit(
        serve(
            cohort=cohort,
            predictions=predictions,
            store=store,
            evaluation=evaluation,
            bundle=bundle,
            image=image,
            reach=reach,
            port=port,
            open_browser=browser,
        )
    )
