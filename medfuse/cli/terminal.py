"""What the verbs say: progress bars, tables, predictions, and how they end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer


@contextmanager
def bar(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on the terminal; nothing where there is no terminal."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(title, total=total)
        yield lambda count: progress.advance(task, count)


def table(title: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    """Print a table; the first column holds names, the others figures."""
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left")
    for place, column in enumerate(header):
        drawn.add_column(column, justify="left" if place == 0 else "right")
    for row in rows:
        drawn.add_row(*row)
    Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "100"))).print(drawn)


def show_metrics(metrics: Mapping[str, Any], out: Path, *, title: str = "") -> None:
    """Print the figures of an evaluation and where its report lies."""
    summary = metrics["summary"]
    rows = [("this model", summary)]
    rows += list(metrics.get("baselines", {}).items())
    names = ("auroc", "auprc", "brier", "ece", "log_loss")
    head = f"{summary['n_cases']} cases of {summary['n_patients']} patients, 95 % intervals"
    table(
        f"{title}: {head}" if title else head,
        ("", *(name.upper().replace("_", " ") for name in names)),
        [(name, *(with_interval(found[metric]) for metric in names)) for name, found in rows],
    )
    for evidence, value in (summary.get("best_reachable_auroc") or {}).items():
        typer.echo(f"best reachable AUROC from {evidence}: {value:.3f}")
    if distance := summary.get("posterior_distance"):
        typer.echo(f"mean distance to the true probability: {with_interval(distance)}")
    for note in metrics.get("notes", ()):
        typer.echo(note)
    for verdict in metrics.get("use", {}).get("verdicts", {}).values():
        typer.echo(verdict["sentence"])
    typer.echo(f"Report: {out / 'report.html'}")


def with_interval(figure: Mapping[str, Any]) -> str:
    """A value with its interval."""
    if figure.get("value") is None:
        return "undefined"
    if figure.get("low") is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def brief(prediction: Any) -> str:
    """A prediction in one line."""
    if prediction.error:
        return f"not classified: {prediction.error}"
    top = max(prediction.probabilities, key=prediction.probabilities.get)
    inside = prediction.prediction_set
    kept = f"cannot exclude {', '.join(inside)}" if inside else "excludes every label"
    return f"{top} {prediction.probabilities[top]:.2f} ({'not sure' if prediction.abstain else 'sure'}: {kept})"


def show_prediction(prediction: Any) -> None:
    """Print a prediction."""
    typer.echo(f"case {prediction.case_id}: {brief(prediction)}")
    for label, probability in sorted(prediction.probabilities.items(), key=lambda item: -item[1]):
        typer.echo(f"  {label:<24} {probability:6.3f}  {'█' * round(probability * 30)}")
    if prediction.contributions:
        parts = ", ".join(f"{name} {value:+.3f}" for name, value in prediction.contributions.items())
        typer.echo(f"  contributions to the most probable label: {parts}")
    if prediction.modalities:
        typer.echo(f"  read: {', '.join(prediction.modalities)}")
    for warning in prediction.warnings:
        typer.echo(f"  note: {warning}", err=True)


def exit_with(problems: Iterable[str], *, code: int = 1, more: int = 0) -> None:
    """Say what was wrong, a line each, and exit with the code if anything was; `more` lines were not kept."""
    problems = list(problems)
    for problem in problems[:50]:
        typer.echo(f"medfuse: {problem}", err=True)
    if (rest := max(0, len(problems) - 50) + more) > 0:
        typer.echo(f"medfuse: and {rest} more", err=True)
    if problems and code:
        raise typer.Exit(code)
