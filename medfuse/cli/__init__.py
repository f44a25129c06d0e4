"""The command line: one module a verb, in each one thin function; what is heavy is imported inside it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from medfuse.cli.ablate import ablate
from medfuse.cli.audit import audit
from medfuse.cli.bench import bench
from medfuse.cli.calibrate import calibrate
from medfuse.cli.classify import classify
from medfuse.cli.compare import compare
from medfuse.cli.dashboard import dashboard
from medfuse.cli.deidentify import deidentify
from medfuse.cli.demo import demo
from medfuse.cli.evaluate import evaluate
from medfuse.cli.explain import explain
from medfuse.cli.export import export
from medfuse.cli.import_cohort import import_
from medfuse.cli.monitor import monitor
from medfuse.cli.pretrain import pretrain
from medfuse.cli.review import app as review
from medfuse.cli.sample_data import sample_data
from medfuse.cli.split import split
from medfuse.cli.train import train
from medfuse.cli.tune import tune
from medfuse.errors import MedfuseError

app = typer.Typer(
    name="medfuse",
    help="Classify patient cases from scans and clinical notes together. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
app.command()(demo)
app.command("sample-data")(sample_data)
app.command("import")(import_)
app.command()(audit)
app.command()(split)
app.command()(deidentify)
app.command()(pretrain)
app.command()(train)
app.command()(tune)
app.command()(evaluate)
app.command()(compare)
app.command()(ablate)
app.command()(classify)
app.command()(explain)
app.command()(calibrate)
app.command()(export)
app.command()(monitor)
app.command()(dashboard)
app.command()(bench)
app.add_typer(review, name="review")


def main() -> None:
    """Run the command line; an error that the user can mend is one line and an exit code."""
    debug = "--debug" in sys.argv
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(args=arguments)
    except MedfuseError as error:
        if debug:
            raise
        print(f"medfuse: {error}", file=sys.stderr)  # noqa: T201 - the command line speaks
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)


def _version(*, wanted: bool) -> None:
    if wanted:
        from medfuse import __version__

        typer.echo(f"medfuse {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    *,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback instead of one line.")] = False,  # noqa: ARG001
) -> None:
    _version(wanted=version)
