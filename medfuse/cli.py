"""The command line: one thin function a verb; what is heavy is imported inside it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from medfuse.errors import MedfuseError

app = typer.Typer(
    name="medfuse",
    help="Classify patient cases from scans and clinical notes together. Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Cache = Annotated[
    Path | None, typer.Option("--cache", help="Folder for tokens of frozen encoders; default: the user's.")
]
Cohort_ = Annotated[Path, typer.Argument(metavar="COHORT", help="Folder with cohort.yaml and cases.csv.")]
Bundle_ = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that `medfuse train` made.")]
Set = Annotated[list[str] | None, typer.Option("--set", help="Override a key, as in training.epochs=5.")]


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


@app.command()
def demo(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes; must be free.")] = Path(
        "medfuse-demo"
    ),
    cases: Annotated[int, typer.Option(min=60, help="Cases of the cohort.")] = 400,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Do the whole path on a synthetic cohort: train, calibrate, evaluate, classify.

    Example: medfuse demo --out medfuse-demo
    """
    from medfuse.demo import run_demo

    shown = run_demo(out, cases=cases, seed=seed, bar=_bar)
    _table(
        f"AUROC on {shown.rows[0][1]['n_cases']} held-out cases",
        ("model", "AUROC", "95 % interval", "ECE", "best reachable"),
        [
            (
                {"image": "image only", "note": "note only", "fused": "scans, notes and values"}[name],
                f"{summary['auroc']['value']:.3f}",
                f"{summary['auroc']['low']:.3f} to {summary['auroc']['high']:.3f}",
                f"{summary['ece']['value']:.3f}",
                f"{shown.best[{'image': 'image', 'note': 'text', 'fused': 'all'}[name]]:.3f}",
            )
            for name, summary in (shown.rows[1], shown.rows[2], shown.rows[0])
        ],
    )
    _show_prediction(shown.example)
    typer.echo(f"The same case without its note: {_brief(shown.without_note)}")
    typer.echo(f"\nGo on with:\n  medfuse dashboard --bundle {out / 'fused'} --cohort {out / 'cohort'}")
    typer.echo(f"  open {out / 'evaluation' / 'fused' / 'report.html'}")
    typer.echo(f"  medfuse classify {out / 'fused'} {out / 'cohort'} --out predictions.jsonl")
    typer.echo("Research software, not a medical device.")


@app.command("sample-data")
def sample_data(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the cohort; must be free.")],
    *,
    cases: Annotated[int, typer.Option(min=1)] = 600,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Make a synthetic cohort whose true posterior is known.

    Example: medfuse sample-data cohorts/phantoms --cases 600 --seed 1
    """
    from medfuse.synthetic import make_cohort

    with _bar("making phantoms", cases) as advance:
        cohort = make_cohort(out, cases=cases, seed=seed, progress=advance)
    typer.echo(f"{len(cohort.cases)} cases in {out}")


@app.command("import")
def import_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="covid-chestxray, table or image-folder.")],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The data as they are.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the cohort; must be free.")],
    *,
    task: Annotated[str | None, typer.Option(help="Which task of the source, such as icu.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Importer's option, as in label=finding.")
    ] = None,
) -> None:
    """Turn a public data set, a table or a folder of files into a cohort.

    Example: medfuse import table cases.csv cohorts/ward --option image=xray --option text=history --option label=dx
    """
    from medfuse.importers import import_cohort

    options = dict(_pair(given) for given in option or ())
    with _bar("importing", None) as advance:
        cohort = import_cohort(name, source, out, task=task, progress=advance, **options)
    labelled = sum(case.labelled for case in cohort.cases)
    patients = len({case.patient_id for case in cohort.cases})
    typer.echo(f"{len(cohort.cases)} cases of {patients} patients, {labelled} labelled, in {out}")
    _exit_with(cohort.problems)


@app.command()
def train(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file, such as those in configs/.")],
    *,
    cohort: Annotated[Path, typer.Option("--cohort", "-c", help="Folder with cohort.yaml and cases.csv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the bundle; must be free.")],
    override: Set = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where a stopped run left off.")] = False,
    cache: Cache = None,
) -> None:
    """Train a model and leave it as a calibrated bundle.

    Example: medfuse train configs/demo.yaml --cohort cohorts/phantoms --out runs/phantoms --set training.epochs=20
    """
    from medfuse.bundle import require_free
    from medfuse.cohort import Cohort

    checked, read = _config(config, override), Cohort.load(cohort)
    require_free(out)
    with _bar("reading and encoding", len(read.cases)) as advance:
        from medfuse.training import train as run

        run(checked, read, out, cache=cache, resume=resume, progress=advance, show=sys.stderr.isatty())
    facts = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    counts = ", ".join(f"{count} {split}" for split, count in facts["cases"].items())
    typer.echo(f"{out}: {facts['epochs']} epochs, cases: {counts}; validation loss {facts['validation_loss']}")
    typer.echo(f"Next: medfuse evaluate {out} {cohort} --out {out}-evaluation")
    problems = list(read.problems)
    if facts["unreadable"]:
        problems.append(f"{facts['unreadable']} files could not be read and were left out")
    _exit_with(problems)


@app.command()
def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle; with --folds a config.")],
    cohort: Cohort_,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for metrics.json, predictions and report.html.")],
    baselines: Annotated[bool, typer.Option("--baselines", help="Compare with logistic regression.")] = False,
    folds: Annotated[int | None, typer.Option(min=2, help="Cross-validate a config by patient.")] = None,
    override: Set = None,
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

        with _bar("evaluating", None) as advance:
            found = run(bundle, read, baselines=baselines, draws=draws, cache=cache, progress=advance)
    else:
        config = _config(bundle, override)
        from medfuse.evaluation import cross_validate

        with _bar(f"{folds} folds", sum(case.labelled for case in read.cases)) as advance:
            found = cross_validate(
                config, read, folds=folds, baselines=baselines, draws=draws, cache=cache, progress=advance
            )
    found.save(out)
    if as_json:
        typer.echo(json.dumps(found.metrics["summary"]))
    else:
        _show_metrics(found.metrics, out)
    _exit_with(found.metrics["problems"])


@app.command()
def classify(
    bundle: Bundle_,
    cohort: Annotated[
        Path | None, typer.Argument(metavar="[COHORT]", help="A cohort; or use --scan and --note.")
    ] = None,
    *,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="predictions.jsonl, .csv or .parquet")] = None,
    scan: Annotated[list[Path] | None, typer.Option("--scan", help="A scan of one case; may be given again.")] = None,
    note: Annotated[list[Path] | None, typer.Option("--note", help="A note of one case; may be given again.")] = None,
    value: Annotated[list[str] | None, typer.Option("--value", help="A value of one case, as in age=61.")] = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Classify every case of a cohort, or one case from its files.

    Example: medfuse classify runs/phantoms --scan chest.dcm --note history.txt --value age=61
    """
    one = bool(scan or note or value)
    if one == (cohort is not None):
        message = "name either a cohort or the files of one case (--scan, --note, --value)"
        raise MedfuseError(message)
    if cohort is not None and out is None:
        message = "name the file for the predictions: --out predictions.jsonl"
        raise MedfuseError(message)
    from medfuse.inference import Predictor, write_predictions
    from medfuse.inference.output import record

    if cohort is None:
        values: dict[str, float | str | None] = {key: _number(text) for key, text in map(_pair, value or ())}
        predictor = Predictor.load(bundle, cache=cache)
        unknown = [name for name in values if name not in {column.name for column in predictor.bundle.columns}]
        if unknown:
            message = f"--value {unknown[0]}: the bundle has no such column"
            raise MedfuseError(message)
        prediction = predictor.classify_files(scans=scan or (), notes=note or (), values=values)
        if out is not None:
            write_predictions([prediction], out)
        if as_json:
            typer.echo(json.dumps(record(prediction), ensure_ascii=False))
        else:
            _show_prediction(prediction)
        raise typer.Exit(1 if prediction.error or any("cannot" in line for line in prediction.warnings) else 0)
    from medfuse.cohort import Cohort

    assert out is not None
    read = Cohort.load(cohort)
    predictor = Predictor.load(bundle, cache=cache)
    with _bar("classifying", len(read.cases)) as advance:
        remarkable = write_predictions(predictor.stream(read.cases), out, progress=advance)
    failed = [p for p in remarkable if p.error is not None]
    summary = {"classified": len(read.cases) - len(failed), "failed": len(failed), "with_warnings": len(remarkable)}
    typer.echo(json.dumps(summary) if as_json else f"{summary['classified']} cases classified, in {out}")
    problems = [f"case {p.case_id}: not classified: {p.error}" for p in failed]
    problems += [f"case {p.case_id}: {line}" for p in remarkable if not p.error for line in p.warnings]
    _exit_with([*read.problems, *problems], code=1 if failed or read.problems else 0)


@app.command()
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
        with _bar("classifying", len(held)) as advance:
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
            image_size=image.size if image is not None else 224,
            port=port,
            open_browser=browser,
        )
    )


def _config(path: Path, overrides: Iterable[str] | None) -> Any:
    """A config by its path, or by its name among those that come with medfuse."""
    from medfuse.config import Config
    from medfuse.resources import shipped

    if not path.exists() and not path.is_absolute():
        inside = shipped("configs") / path.relative_to("configs") if path.parts[:1] == ("configs",) else None
        path = inside if inside is not None and inside.exists() else path
    return Config.load(path, overrides=tuple(overrides or ()))


def _pair(given: str) -> tuple[str, str]:
    key, equals, value = given.partition("=")
    if not equals:
        message = f"'{given}' should read key=value"
        raise MedfuseError(message)
    return key, value


def _number(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


@contextmanager
def _bar(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
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


def _table(title: str, header: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for place, column in enumerate(header):
        table.add_column(column, justify="left" if place == 0 else "right")
    for row in rows:
        table.add_row(*row)
    Console(width=None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "100"))).print(table)


def _show_metrics(metrics: Mapping[str, Any], out: Path) -> None:
    summary = metrics["summary"]
    rows = [("this model", summary)]
    rows += list(metrics.get("baselines", {}).items())
    names = ("auroc", "auprc", "brier", "ece", "log_loss")
    _table(
        f"{summary['n_cases']} cases of {summary['n_patients']} patients, 95 % intervals",
        ("", *(name.upper().replace("_", " ") for name in names)),
        [(name, *(_figure(found[metric]) for metric in names)) for name, found in rows],
    )
    for evidence, value in (summary.get("best_reachable_auroc") or {}).items():
        typer.echo(f"best reachable AUROC from {evidence}: {value:.3f}")
    for name, figure in metrics.get("reliance", {}).items():
        typer.echo(f"{name}: AUROC {_figure(figure)}")
    typer.echo(f"Report: {out / 'report.html'}")


def _figure(figure: dict[str, Any]) -> str:
    if figure.get("value") is None:
        return "undefined"
    if figure.get("low") is None:
        return f"{figure['value']:.3f}"
    return f"{figure['value']:.3f} ({figure['low']:.3f} to {figure['high']:.3f})"


def _brief(prediction: Any) -> str:
    if prediction.error:
        return f"not classified: {prediction.error}"
    top = max(prediction.probabilities, key=prediction.probabilities.get)
    sure = "not sure" if prediction.abstain else "sure"
    return f"{top} {prediction.probabilities[top]:.2f} ({sure}: cannot exclude {', '.join(prediction.prediction_set)})"


def _show_prediction(prediction: Any) -> None:
    typer.echo(f"case {prediction.case_id}: {_brief(prediction)}")
    for label, probability in sorted(prediction.probabilities.items(), key=lambda item: -item[1]):
        typer.echo(f"  {label:<24} {probability:6.3f}  {'█' * round(probability * 30)}")
    if prediction.contributions:
        parts = ", ".join(f"{name} {value:+.3f}" for name, value in prediction.contributions.items())
        typer.echo(f"  contributions to the most probable label: {parts}")
    if prediction.modalities:
        typer.echo(f"  read: {', '.join(prediction.modalities)}")
    for warning in prediction.warnings:
        typer.echo(f"  note: {warning}", err=True)


def _exit_with(problems: Iterable[str], *, code: int = 1) -> None:
    """Say what was wrong, a line each, and exit with the code if anything was."""
    problems = list(problems)
    for problem in problems[:50]:
        typer.echo(f"medfuse: {problem}", err=True)
    if len(problems) > 50:
        typer.echo(f"medfuse: and {len(problems) - 50} more", err=True)
    if problems and code:
        raise typer.Exit(code)
