"""The verbs `medfuse review …`: verify, back up, restore and export the decisions; accounts and reading studies."""

from __future__ import annotations

import getpass
import json
import os
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medfuse.cli.arguments import AsJson
from medfuse.cli.terminal import bar, exit_with, table

if TYPE_CHECKING:
    from medfuse.cohort import Cohort
    from medfuse.review.agreement import Agreement
    from medfuse.review.database import Database
    from medfuse.review.store import ReviewStore

Store = Annotated[str, typer.Argument(metavar="STORE", help="File of decisions, or its URL (postgresql://…).")]
Actor = Annotated[str, typer.Option("--as", help="Who does this; default: the user of this machine.")]
PasswordFile = Annotated[Path | None, typer.Option(help="Its first line is the password; else it is asked.")]
CohortDir = Annotated[Path, typer.Option("--cohort", "-c", help="Folder of the cohort that is read.")]

app = typer.Typer(
    no_args_is_help=True,
    help="The readers' decisions: verify, back up, restore, export; accounts and blinded reading studies.\n\n"
    "Example: medfuse review verify medfuse-review/reviews.sqlite",
)
user = typer.Typer(
    no_args_is_help=True,
    help="Who may sign in.\n\nExample: medfuse review user add medfuse-review/reviews.sqlite AB --role reader",
)
app.add_typer(user, name="user")


class Format(StrEnum):
    """What an export is for."""

    csv = "csv"
    fhir = "fhir"
    cohort = "cohort"


class ShowAI(StrEnum):
    """When readers of a study see what the model says."""

    first = "first"
    second = "second"
    never = "never"


class AsRole(StrEnum):
    """What an account may do."""

    reader = "reader"
    arbiter = "arbiter"
    admin = "admin"
    auditor = "auditor"


@app.command()
def verify(
    store: Store,
    *,
    anchor: Annotated[str | None, typer.Option(help="What an earlier verification printed.")] = None,
    as_json: AsJson = False,
) -> None:
    """Check that no entry was changed, removed, added or moved; print the anchor to keep elsewhere.

    Example: medfuse review verify medfuse-review/reviews.sqlite --anchor 120:6f0c…
    """
    from medfuse.review.verify import verify as run

    database = _existing(store)
    found = run(database, anchor=anchor)
    if as_json:
        typer.echo(json.dumps({"entries": found.entries, "anchor": found.anchor, "faults": found.faults}))
    else:
        typer.echo(f"{found.entries} entries; anchor {found.anchor}")
    exit_with(found.faults)


@app.command()
def backup(
    store: Store, out: Annotated[Path, typer.Argument(metavar="OUT", help="File to make.")], *, actor: Actor = ""
) -> None:
    """Copy the store while others go on using it; the copy is verified before it counts.

    Example: medfuse review backup medfuse-review/reviews.sqlite backups/monday
    """
    from medfuse.review.backup import backup as run

    found = run(_existing(store), out, actor=actor or _me())
    typer.echo(f"{found.entries} entries in {out}; anchor {found.anchor}")


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="BACKUP", help="What `medfuse review backup` made.")],
    store: Store,
    *,
    actor: Actor = "",
) -> None:
    """Fill a new store from a backup, of SQLite or PostgreSQL into either.

    Example: medfuse review restore backups/monday postgresql://medfuse@db/reviews
    """
    from medfuse.review.backup import restore as run
    from medfuse.review.database import Database

    found = run(source, Database(store), actor=actor or _me())
    typer.echo(f"{found.entries} entries restored; anchor {found.anchor}")


@app.command()
def export(
    store: Store,
    *,
    cohort: CohortDir,
    out: Annotated[Path, typer.Option("--out", "-o", help="File to write; of a cohort, the folder.")],
    as_format: Annotated[Format, typer.Option("--format", help="What it is for.")] = Format.csv,
    study: Annotated[str, typer.Option(help="The decisions of this reading study.")] = "",
    actor: Actor = "",
) -> None:
    """Write the decisions: all of them (csv), or those that count as FHIR or as a cohort with corrected labels.

    Example: medfuse review export medfuse-review/reviews.sqlite --cohort cohorts/ward --format cohort --out corrected
    """
    from medfuse.review.export import final_decisions, write_cohort, write_csv
    from medfuse.review.log import record

    reviews, read = _reviews(store, cohort)
    # Written down before: what left the store is known even if the program ends in between.
    told = {"format": as_format.value}
    record(reviews.database, "export", actor=actor or _me(), cohort=read.name, study=study, body=told)
    if as_format is Format.csv:
        typer.echo(f"{write_csv(reviews, out, study=study)} decisions in {out}")
    elif as_format is Format.fhir:
        from medfuse.review.fhir import write_fhir

        typer.echo(f"{write_fhir(read, final_decisions(reviews, study), out)} reports in {out}")
    else:
        with bar("writing", len(read.cases)) as advance:
            made = write_cohort(read, final_decisions(reviews, study), out, progress=advance)
        typer.echo(
            f"{len(made.cohort.cases)} cases in {out}: {made.changed} with changed labels, {made.confirmed} confirmed, "
            f"{made.uncertain} left blank as uncertain, {made.bad_image} without their bad image"
        )
        exit_with(made.cohort.problems)


@app.command()
def study(
    store: Store,
    *,
    cohort: CohortDir,
    name: Annotated[str, typer.Option(help="Of the study.")],
    reader: Annotated[list[str], typer.Option(help="Who reads; repeatable.")],
    reads: Annotated[int, typer.Option(min=1, help="By how many readers each case is read.")] = 2,
    ai: Annotated[ShowAI, typer.Option(help="When the readers see what the model says.")] = ShowAI.never,
    arbiter: Annotated[str, typer.Option(help="Who decides where they disagree.")] = "",
    split: Annotated[str, typer.Option(help="Only the cases of this split.")] = "",
    seed: Annotated[int, typer.Option(min=0, help="Of the assignment.")] = 0,
    actor: Actor = "",
) -> None:
    """Set up a blinded reading study; it is never changed afterwards.

    Example: medfuse review study reviews.sqlite --cohort cohorts/ward --name pilot --reader AB --reader CD --arbiter ZZ
    """
    from medfuse.review.study import Study, create_study

    reviews, read = _reviews(store, cohort)
    cases = tuple(case.case_id for case in read.cases if not split or case.split == split)
    wanted = Study(name=name, readers=tuple(reader), cases=cases, reads=reads, ai=ai.value, arbiter=arbiter, seed=seed)
    made = create_study(reviews, wanted, actor=actor or _me())
    for who, assigned in made.assigned.items():
        typer.echo(f"{who}: {len(assigned)} cases")


@app.command()
def agreement(
    store: Store,
    *,
    cohort: CohortDir,
    name: Annotated[str, typer.Option("--study", help="The reading study.")],
    as_json: AsJson = False,
) -> None:
    """How far each reader of a study is, and how far they agree: Cohen's and Fleiss' kappa, Gwet's AC1.

    Example: medfuse review agreement reviews.sqlite --cohort cohorts/ward --study pilot
    """
    from dataclasses import asdict

    from medfuse.errors import MedfuseError
    from medfuse.review.arbitration import reader_progress, results
    from medfuse.review.study import studies
    from medfuse.review.study_agreement import study_agreement

    reviews, read = _reviews(store, cohort)
    found = studies(reviews).get(name)
    if found is None:
        message = f"there is no study '{name}'; there are {', '.join(studies(reviews)) or 'none'}"
        raise MedfuseError(message)
    outcome, progress = results(reviews, found), reader_progress(reviews, found)
    told = study_agreement(found, outcome, labels=read.labels, task=read.task)
    kinds = ("open", "agreed", "disagreed", "arbitrated")
    counts = {kind: sum(one.outcome == kind for one in outcome) for kind in kinds}
    if as_json:
        questions = [
            {"question": one.question, "fleiss_kappa": asdict(one.fleiss), "gwet_ac1": asdict(one.ac1)}
            | {"cohen_kappa": [{"readers": pair, **asdict(value)} for pair, value in one.pairs.items()]}
            for one in told
        ]
        facts = {"cases": counts, "readers": [asdict(one) for one in progress], "agreement": questions}
        typer.echo(json.dumps(facts))
        return
    typer.echo(", ".join(f"{count} {kind}" for kind, count in counts.items()))
    rows = [(p.reader, str(p.assigned), str(p.done), f"{p.median_seconds or 0:.0f}") for p in progress]
    table("Readers", ("", "assigned", "done", "seconds a decision (median)"), rows)
    for one in told:
        lines = [(f"Cohen's kappa, {' and '.join(pair)}", *_cells(value)) for pair, value in one.pairs.items()]
        lines += [("Fleiss' kappa", *_cells(one.fleiss)), ("Gwet's AC1", *_cells(one.ac1))]
        table(one.question, ("", "value", "95 % interval", "agreement", "cases"), lines)


@user.command("add")
def add_user(
    store: Store,
    name: Annotated[str, typer.Argument(metavar="NAME", help="As it is to stand in decisions.")],
    *,
    role: Annotated[AsRole, typer.Option(help="What the account may do.")] = AsRole.reader,
    subject: Annotated[str, typer.Option(help="'ISSUER SUB' or e-mail at the OpenID provider; then no password.")] = "",
    password_file: PasswordFile = None,
    actor: Actor = "",
) -> None:
    """Let a person sign in, with a password or by OpenID Connect.

    Example: medfuse review user add medfuse-review/reviews.sqlite AB --role reader
    """
    from medfuse.review.access import Accounts
    from medfuse.review.database import Database
    from medfuse.review.roles import Account

    password = _password(password_file) if password_file is not None or not subject else ""
    accounts = Accounts(Database(store))
    accounts.add(Account(name, role.value, subject=subject), password=password, actor=actor or _me())
    typer.echo(f"{name} may sign in as {role.value}")


@user.command("change")
def change_user(
    store: Store,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    role: Annotated[AsRole | None, typer.Option(help="What the account may do from now on.")] = None,
    password: Annotated[bool, typer.Option("--password", help="Ask for a new password.")] = False,
    password_file: PasswordFile = None,
    enable: Annotated[bool, typer.Option("--enable", help="Let a disabled account sign in again.")] = False,
    actor: Actor = "",
) -> None:
    """Change an account's role or password; a new password ends its sessions.

    Example: medfuse review user change medfuse-review/reviews.sqlite AB --role arbiter
    """
    from medfuse.errors import MedfuseError
    from medfuse.review.access import Accounts

    if not (role or password or password_file or enable):
        message = "nothing to change: give --role, --password, --password-file or --enable"
        raise MedfuseError(message)
    accounts = Accounts(_existing(store))
    new = _password(password_file) if password or password_file else None
    state = False if enable else None
    accounts.change(name, role=role.value if role else None, password=new, disabled=state, actor=actor or _me())
    typer.echo(f"{name} was changed")


@user.command("disable")
def disable_user(
    store: Store,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    *,
    actor: Actor = "",
) -> None:
    """End an account and its sessions; what the person decided stays.

    Example: medfuse review user disable medfuse-review/reviews.sqlite AB
    """
    from medfuse.review.access import Accounts

    Accounts(_existing(store)).change(name, disabled=True, actor=actor or _me())
    typer.echo(f"{name} may not sign in any more")


@user.command("list")
def list_users(store: Store, *, as_json: AsJson = False) -> None:
    """Every account with its role.

    Example: medfuse review user list medfuse-review/reviews.sqlite
    """
    from dataclasses import asdict

    from medfuse.review.access import Accounts

    accounts = Accounts(_existing(store)).all()
    if as_json:
        typer.echo(json.dumps([asdict(account) for account in accounts]))
        return
    rows = [(one.name, one.role, one.subject or "password", "disabled" if one.disabled else "") for one in accounts]
    table("Accounts", ("name", "role", "signs in by", ""), rows)


def _existing(store: str) -> Database:
    """The database; a file that is not there is an error and not a new store."""
    from medfuse.errors import MedfuseError
    from medfuse.review.database import Database

    if "://" not in store and not Path(store).expanduser().is_file():
        message = f"{store}: no such store of decisions"
        raise MedfuseError(message)
    return Database(store)


def _reviews(store: str, folder: Path) -> tuple[ReviewStore, Cohort]:
    from medfuse.cohort import Cohort
    from medfuse.review.store import ReviewStore

    cohort = Cohort.load(folder)
    return ReviewStore(_existing(store), cohort=cohort.name, labels=cohort.labels, task=cohort.task), cohort


def _password(file: Path | None) -> str:
    """The first line of a file, or what is typed twice."""
    from medfuse.errors import MedfuseError

    if file is None:
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    try:
        return file.read_text(encoding="utf-8").split("\n", 1)[0].rstrip("\r")
    except (OSError, UnicodeDecodeError) as error:
        message = f"{file}: the password cannot be read"
        raise MedfuseError(message) from error


def _me() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no name
        return f"uid {os.getuid()}"


def _cells(found: Agreement) -> tuple[str, str, str, str]:
    interval = f"{found.low:.3f} to {found.high:.3f}"
    return f"{found.value:.3f}", interval, f"{found.observed:.3f}", str(found.cases)
