"""Arguments that several verbs take."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medfuse.errors import MedfuseError

if TYPE_CHECKING:
    from medfuse.config import Config

AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Cache = Annotated[
    Path | None, typer.Option("--cache", help="Folder for tokens of frozen encoders; default: the user's.")
]
CohortDir = Annotated[Path, typer.Argument(metavar="COHORT", help="Folder with cohort.yaml and cases.csv.")]
BundleDir = Annotated[Path, typer.Argument(metavar="BUNDLE", help="Folder that `medfuse train` made.")]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Override a key, as in training.epochs=5.")]


def load_config(path: Path, overrides: Iterable[str] | None) -> Config:
    """A config by its path, or by its name among those that come with medfuse."""
    from medfuse.config import Config

    return Config.load(recipe(path), overrides=tuple(overrides or ()))


def recipe(path: Path) -> Path:
    """The file itself, or the one of that name among those that come with medfuse."""
    from medfuse.resources import shipped

    if not path.exists() and not path.is_absolute() and path.parts[:1] == ("configs",):
        inside = shipped("configs") / path.relative_to("configs")
        return inside if inside.exists() else path
    return path


def pair(given: str) -> tuple[str, str]:
    """Key and value of `key=value`."""
    key, equals, value = given.partition("=")
    if not equals:
        message = f"'{given}' should read key=value"
        raise MedfuseError(message)
    return key, value


def number(text: str) -> float | str:
    """The text as a number if it is one."""
    try:
        return float(text)
    except ValueError:
        return text
