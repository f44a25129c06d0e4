"""What the program says in English is said in the reader's language: every error of the review room, and more."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from medfuse import review
from medfuse.resources import shipped
from medfuse.review.texts import Texts

# What these say is said at the command line, and not by a page.
ELSEWHERE = {"backup", "database", "export", "fhir", "launch", "reach", "texts"}
MODULES = sorted(path for path in Path(review.__file__).parent.glob("*.py") if path.stem not in ELSEWHERE)


def spoken(node: ast.expr) -> str:
    """A text of the source, with `X` for what is put in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
    return ""


def errors_of(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            if name == "message":
                yield spoken(value)
            if name == "faults" and isinstance(value, ast.Dict):
                yield from (spoken(key) for key in value.keys if key is not None)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            asked = node.args if node.func.attr in ("writing", "reading") else []
            yield from (f"{what}: X" for what in map(spoken, asked) if what)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("super", "ReviewError"):
            yield from filter(None, map(spoken, node.args))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_error_of_the_review_room_is_said_in_german(path: Path) -> None:
    german = Texts("de")
    for told in errors_of(path):
        assert german.said(told) != told, told


def test_what_changes_is_kept_letter_by_letter() -> None:
    german = Texts("de")
    assert (
        german.said("there is no study '{x} \\1' in which you read")
        == "Es gibt keine Studie „{x} \\1“, in der Sie lesen"
    )
    assert german.said("the view was not stored: database is locked") == (
        "Die Ansicht wurde nicht gespeichert: die Datenbank ist gesperrt"
    )
    assert german.said("scan a.dcm: no spacing stated; 1 mm assumed") == (
        "Aufnahme a.dcm: kein Abstand angegeben; 1 mm angenommen"
    )
    assert german.said("of this nobody has a word") == "of this nobody has a word"
    assert Texts("en").said("a comment needs some text") == "a comment needs some text"


def test_every_saying_names_the_same_parts_in_both_languages() -> None:
    held = yaml.safe_load((shipped("dashboard") / "texts" / "said.de.yaml").read_text(encoding="utf-8"))
    for told, here in held.items():
        assert set(re.findall(r"\{\w+\}", here)) == set(re.findall(r"\{\w+\}", told)), told
