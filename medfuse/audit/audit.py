"""Every check of a cohort, and what they found together."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from medfuse.audit import duplicates, leakage, shortcuts, table
from medfuse.audit.files import NoteFacts, ScanFacts, note_facts, scan_facts
from medfuse.audit.finding import SEVERITIES, Finding, counted, listed
from medfuse.audit.sample import MOST, Sample
from medfuse.cohort import Cohort


@dataclass(frozen=True)
class Audit:
    """What an audit found.

    Attributes:
        cohort: Name of the cohort.
        findings: The gravest first.
        pixels: Whether the scans were decoded.
    """

    cohort: str
    findings: tuple[Finding, ...]
    pixels: bool

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that must be mended."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def record(self) -> dict[str, Any]:
        """As `audit.json` holds it."""
        counts = Counter(finding.severity for finding in self.findings)
        return {
            "cohort": self.cohort,
            "pixels": self.pixels,
            "summary": {severity: counts[severity] for severity in SEVERITIES},
            "findings": [finding.record() for finding in self.findings],
        }

    def save(self, folder: str | Path) -> Path:
        """Write `audit.json` and `audit.html`, each in one step."""
        from medfuse.audit.report import write_report

        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        partial = folder / "audit.json.partial"
        partial.write_text(json.dumps(self.record(), indent=1, ensure_ascii=False, allow_nan=False) + "\n", "utf-8")
        os.replace(partial, folder / "audit.json")
        write_report(self, folder / "audit.html")
        return folder


def audit(cohort: Cohort, *, pixels: bool = True, progress: Callable[[int], None] | None = None) -> Audit:
    """Check a cohort; nothing in it is changed.

    Args:
        cohort: A cohort as it was loaded.
        pixels: Whether to decode the scans. Without, it is only looked whether they are there, and neither copies,
            nor damage, nor the image's size and manufacturer are seen.
        progress: Called with the number of cases whose scans were looked at, as they were.

    Returns:
        The findings, errors first.
    """
    root = cohort.folder.resolve()
    scans = list(scan_facts(cohort.cases, root, pixels=pixels, progress=progress))
    note_copies, notes = duplicates.note_duplicates(cohort, note_facts(cohort.cases, root))
    sample = Sample.draw(cohort)
    findings = [
        *table.about_the_cases(cohort),
        *duplicates.patients_across_splits(cohort),
        *table.splits(cohort),
        *_unreadable(cohort, scans, notes),
        *_warnings(scans),
        *duplicates.scan_duplicates(cohort, scans, root),
        *note_copies,
        *_sampled(sample),
        *leakage.read_from_notes(sample),
        *shortcuts.read_from_acquisition(cohort, sample, scans),
        *shortcuts.read_from_absence(cohort, sample),
        *table.labels(cohort),
        *table.values(cohort),
        *table.dates(cohort),
    ]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    return Audit(cohort.name, tuple(findings), pixels)


def _unreadable(cohort: Cohort, scans: Sequence[ScanFacts], notes: Sequence[NoteFacts]) -> list[Finding]:
    facts: list[ScanFacts | NoteFacts] = [*scans, *notes]
    lost = [fact for fact in facts if fact.error]
    if not lost:
        return []
    lines = [f"{cohort.cases[fact.row].case_id}: {fact.path}: {fact.error}" for fact in lost]
    about = tuple((cohort.cases[fact.row].case_id, fact.path) for fact in lost)
    what = f"{counted(len(lost), 'file')} cannot be read, so {'its case goes' if len(lost) == 1 else 'their cases go'} "
    what += "on without."
    fix = "Fetch them again, or take them out of the table (`--fix` does)."
    return [Finding("unreadable", "error", what, listed(lines), fix, about=about)]


def _warnings(scans: Sequence[ScanFacts]) -> list[Finding]:
    """What reading found odd in the scans, counted."""
    # The first clause says what; figures of the single scan behind it would make every line another one.
    counts = Counter(warning for scan in scans for warning in {line.split(";")[0] for line in scan.warnings})
    if not counts:
        return []
    lines = [f"{warning}: {counted(count, 'scan')}" for warning, count in counts.most_common()]
    burned = any("burned into" in warning for warning in counts)
    fix = "Text in the pixels may name the patient: `medfuse deidentify`." if burned else ""
    return [Finding("scan-warnings", "note", "What was odd about the scans, or assumed.", listed(lines), fix)]


def _sampled(sample: Sample) -> list[Finding]:
    if len(sample.cases) == sample.of:
        return []
    what = (
        f"What can be read from notes, acquisition and missingness was measured on {len(sample.cases):,} of "
        f"{sample.of:,} labelled cases, whole patients drawn at random (at most about {MOST:,} cases)."
    )
    return [Finding("sampled", "note", what)]
