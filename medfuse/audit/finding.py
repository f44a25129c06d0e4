"""A finding: one thing that is wrong, or worth knowing, with what shows it and what to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True, slots=True)
class Finding:
    """One result of the audit. Nothing in it is patient data but ids and file names of the cohort, and listed terms.

    Attributes:
        check: Short name of the check, as in `duplicate-pixels`; stable, for scripts.
        severity: `error` if a figure measured on this cohort would be wrong, or a file is lost; `warning` if it should
            be looked at; `note` for what is only worth knowing.
        what: What was found, one sentence.
        evidence: What shows it, one line each.
        fix: What to do, one sentence.
        figures: The numbers behind it by name: a number, or `{"value", "low", "high"}`.
        about: What each fault is about, for `--fix`: case ids, or a case id with a path or a column.
    """

    check: str
    severity: Severity
    what: str
    evidence: tuple[str, ...] = ()
    fix: str = ""
    figures: Mapping[str, Any] = field(default_factory=dict)
    about: tuple[tuple[str, ...], ...] = ()

    def record(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self) | {"figures": dict(self.figures), "about": [list(group) for group in self.about]}


def worst(*severities: Severity) -> Severity:
    """The gravest of them; `note` if there are none."""
    return min((*severities, "note"), key=SEVERITIES.index)


def listed(lines: list[str], *, most: int = 20) -> tuple[str, ...]:
    """The first lines, and how many more there are."""
    rest = len(lines) - most
    return (*lines[:most], *((f"and {rest} more",) if rest > 0 else ()))


def counted(number: int, singular: str, plural: str | None = None) -> str:
    """The number with its noun: 1 case, 2 cases."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"
