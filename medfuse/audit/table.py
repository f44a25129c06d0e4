"""What the table alone tells: rows, splits, labels, values and dates."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import combinations

import numpy as np

from medfuse.audit.finding import Finding, Severity, counted, listed
from medfuse.case import SPLITS, Case
from medfuse.cohort import MOVED, Cohort
from medfuse.splits import day_of

FEW = 10  # patients, below which figures for a label say little
FIRST_RADIOGRAPH = date(1895, 11, 8)
_PLACEHOLDERS = frozenset({date(1900, 1, 1), date(1970, 1, 1)})
_SHIFTED = 0.5  # share of future dates from which they were shifted on purpose rather than mistyped
_ALWAYS = 0.98  # agreement of two labels from which one of them says nothing new


@dataclass(frozen=True, slots=True)
class Quantity:
    """What a column of this name can hold: limits that no patient passes, and units with their own."""

    name: re.Pattern[str]
    unit: str
    low: float
    high: float
    others: tuple[tuple[str, float, float], ...] = ()


def _named(words: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|[^a-z])(?:{words})(?:[^a-z]|$)")


# Limits are what has been survived, not what is normal; beyond them a value is a slip of the pen or another unit.
QUANTITIES = (
    Quantity(_named("age"), "years", 0, 122),
    Quantity(_named("temp|temperature"), "°C", 13, 47, (("°F", 80, 116),)),
    Quantity(
        _named("spo2|sao2|o2sat|saturation"), "%", 20, 100, (("a fraction", 0.2, 1), ("kPa", 2, 20), ("mmHg", 100, 700))
    ),
    Quantity(_named("heart_?rate|hr|pulse"), "per minute", 10, 350),
    Quantity(_named("resp_?rate|respiratory_rate|rr"), "per minute", 1, 120),
    Quantity(_named("sbp|systolic"), "mmHg", 20, 370, (("kPa", 4, 20),)),
    Quantity(_named("dbp|diastolic"), "mmHg", 5, 360),
    Quantity(_named("weight"), "kg", 0.2, 650),
    Quantity(_named("height"), "cm", 20, 275, (("m", 0.2, 2.75),)),
    Quantity(_named("bmi"), "kg/m²", 5, 260),
)  # fmt: skip


def about_the_cases(cohort: Cohort) -> list[Finding]:
    """How many cases and patients there are, and what was wrong with the rows."""
    of = Counter(case.patient_id for case in cohort.cases)
    labelled = sum(case.labelled for case in cohort.cases)
    several = sum(count > 1 for count in of.values())
    most = max(of.values(), default=0)
    figures = {
        "cases": len(cohort.cases),
        "patients": len(of),
        "patients_with_several_cases": several,
        "labelled": labelled,
        "scans": sum(len(case.scans) for case in cohort.cases),
        "notes": sum(len(case.notes) for case in cohort.cases),
    }
    what = (
        f"{counted(len(cohort.cases), 'case')} of {counted(len(of), 'patient')}, {labelled:,} labelled; "
        f"{counted(several, 'patient')} with several cases, {most} at most."
    )
    findings = [Finding("cases", "note", what, figures=figures)]
    rows = [problem for problem in cohort.problems if problem != MOVED]
    if rows:
        # What a cell holds stays out: a shifted column would put names here.
        lines = [re.sub(r"'[^']*'", "'…'", problem) for problem in rows]
        what = f"{counted(len(rows), 'row')} of the table could not be taken as written."
        findings.append(Finding("rows", "warning", what, listed(lines), "Correct these rows."))
    return findings


def splits(cohort: Cohort) -> list[Finding]:
    """Whether the splits are complete, as they were recorded, and hold every label."""
    given = [case for case in cohort.cases if case.split is not None]
    findings = []
    if not cohort.splits_as_recorded:
        what = "The splits are not those that cohort.yaml has the digest of: cases were moved, added or left out."
        findings.append(
            Finding("splits-changed", "error", what, fix="Draw them again with `medfuse split` (`--fix` does).")
        )
    if not given:
        what = "There are no splits; training will draw them by patient."
        return [*findings, Finding("splits", "note", what, fix="`medfuse split` draws and records them now.")]
    if len(given) < len(cohort.cases):
        lacking = [case.case_id for case in cohort.cases if case.split is None]
        what = f"{counted(len(lacking), 'case')} of {len(cohort.cases):,} have no split, so training will refuse."
        fix = "Fill the column, or draw the splits again with `medfuse split` (`--fix` does)."
        findings.append(Finding("split-missing", "error", what, listed([", ".join(lacking[:20])]), fix))
    counts = Counter(case.split for case in given)
    lines, absent = [], []
    for split in SPLITS:
        held = [case for case in given if case.split == split]
        lines.append(
            f"{split}: {counted(len(held), 'case')} of {counted(len({c.patient_id for c in held}), 'patient')}"
        )
        sides = {label: {case.labels.get(label) for case in held} - {None} for label in cohort.labels}
        absent += [f"{split}: no case with {label}" for label, values in sides.items() if 1 not in values]
    if absent:
        what = f"A split lacks a label, {counted(len(absent), 'time')}; nothing can be measured for it there."
        findings.append(
            Finding("split-without-label", "warning", what, listed(absent), "Draw the splits again by patient.")
        )
    figures = {str(split): count for split, count in counts.items()}
    return [*findings, Finding("splits", "note", "Cases and patients by split.", tuple(lines), figures=figures)]


def labels(cohort: Cohort) -> list[Finding]:
    """Balance of each label, and labels that go together."""
    findings: list[Finding] = []
    lines, few, useless = [], [], []
    columns: dict[str, np.ndarray] = {}
    for label in cohort.labels:
        values = [case.labels.get(label) for case in cohort.cases]
        columns[label] = np.array([np.nan if value is None else value for value in values], dtype=float)
        patients = {
            side: len({c.patient_id for c, value in zip(cohort.cases, values, strict=True) if value == side})
            for side in (0, 1)
        }
        known = values.count(0) + values.count(1)
        share = f"{values.count(1) / known:.1%}" if known else "–"
        counts = f"{values.count(1):,} with, {values.count(0):,} without, {values.count(None):,} not known"
        lines.append(f"{label}: {counts} ({share})")
        if not (patients[0] and patients[1]):
            useless.append(f"{label}: {patients[1]} patients with it, {patients[0]} without")
        elif min(patients.values()) < FEW:
            few.append(f"{label}: {patients[1]} patients with it, {patients[0]} without")
    findings.append(Finding("balance", "note", "How often each label is given.", listed(lines, most=40)))
    if useless:
        what = f"{counted(len(useless), 'label')} cannot be learned: every known case is on one side."
        findings.append(Finding("label-one-sided", "error", what, tuple(useless), "Take it out of cohort.yaml."))
    if few:
        what = f"{counted(len(few), 'label')} of fewer than {FEW} patients on one side; figures for it will say little."
        findings.append(Finding("label-rare", "warning", what, tuple(few), "Collect more cases, or join labels."))
    if cohort.task == "multilabel":
        findings += _agreement(columns)
    return findings


def _agreement(columns: dict[str, np.ndarray]) -> list[Finding]:
    """Pairs of labels that are given together (phi coefficient), and labels that another implies."""
    together, twins = [], []
    for (first, one), (second, other) in combinations(columns.items(), 2):
        known = ~(np.isnan(one) | np.isnan(other))
        a, b = one[known], other[known]
        if len(a) < FEW or not 0 < a.mean() < 1 or not 0 < b.mean() < 1:
            continue
        phi = float(np.corrcoef(a, b)[0, 1])
        agree = float((a == b).mean())
        line = f"{first} and {second}: phi {phi:+.2f}, alike in {agree:.1%} of {len(a):,} cases"
        together.append((abs(phi), line))
        if abs(phi) >= _ALWAYS:
            twins.append(line)
    together.sort(reverse=True)
    findings = []
    if twins:
        what = f"{counted(len(twins), 'pair')} of labels {'is' if len(twins) == 1 else 'are'} one and the same."
        findings.append(Finding("labels-alike", "warning", what, tuple(twins), "Leave one of each pair out."))
    if together:
        lines = tuple(line for _, line in together[:10])
        findings.append(Finding("agreement", "note", "Labels by how much they go together.", lines))
    return findings


def values(cohort: Cohort) -> list[Finding]:
    """Numbers that no patient has, and columns that mix units."""
    findings = []
    for column, kind in cohort.tabular.items():
        quantity = next((q for q in QUANTITIES if q.name.search(column.lower())), None)
        if kind != "number" or quantity is None:
            continue
        given = [(case, value) for case in cohort.cases if isinstance(value := case.values.get(column), float | int)]
        odd = [(case, value) for case, value in given if not quantity.low <= value <= quantity.high]
        for unit, low, high in quantity.others:
            mixed = [case for case, value in odd if low <= value <= high]
            odd = [(case, value) for case, value in odd if not low <= value <= high]
            if mixed:
                all_of_it = len(mixed) == len(given)
                severity: Severity = "note" if all_of_it else "warning"
                what = f"Column {column} is in {unit}." if all_of_it else (
                    f"Column {column} mixes units: {len(mixed):,} of {len(given):,} values look like {unit}, not "
                    f"{quantity.unit}."
                )  # fmt: skip
                ids = () if all_of_it else listed([", ".join(case.case_id for case in mixed[:20])])
                fix = "" if all_of_it else f"Give the whole column in {quantity.unit}."
                about = tuple((case.case_id, column) for case in mixed)
                findings.append(Finding("units", severity, what, ids, fix, about=about))
        if odd:
            what = (
                f"Column {column} has {counted(len(odd), 'value')} that no patient can have "
                f"({quantity.low:g} to {quantity.high:g} {quantity.unit})."
            )
            ids = listed([", ".join(case.case_id for case, _ in odd[:20])])
            about = tuple((case.case_id, column) for case, _ in odd)
            findings.append(
                Finding(
                    "value-impossible", "error", what, ids, "Correct them (`--fix` leaves them blank).", about=about
                )
            )
    return findings


def dates(cohort: Cohort, *, today: date | None = None) -> list[Finding]:
    """Dates in the future, before radiography, or of a placeholder."""
    latest = (today or datetime.now(UTC).date()) + timedelta(days=1)
    dated = [(case, day) for case in cohort.cases if (day := day_of(case.time)) is not None]
    kinds: dict[str, list[Case]] = defaultdict(list)
    for case, day in dated:
        if day > latest:
            kinds["future"].append(case)
        elif day < FIRST_RADIOGRAPH:
            kinds["early"].append(case)
        elif day in _PLACEHOLDERS:
            kinds["placeholder"].append(case)
    findings = []
    if kinds["future"] and len(kinds["future"]) >= _SHIFTED * len(dated):
        what = f"{len(kinds['future']):,} of {len(dated):,} dates are in the future; they seem shifted on purpose."
        findings.append(Finding("dates", "note", what, fix="Order within a patient holds; do not split by time."))
    elif kinds["future"]:
        findings.append(_dates("error", kinds["future"], "in the future"))
    if kinds["early"]:
        findings.append(_dates("error", kinds["early"], "before there were radiographs"))
    if kinds["placeholder"]:
        findings.append(_dates("warning", kinds["placeholder"], "of the kind that systems fill in by themselves"))
    if undated := sum(case.time is not None for case in cohort.cases) - len(dated):
        what = f"{undated:,} of {len(cohort.cases):,} times are no ISO 8601 date; a split by time needs dates."
        findings.append(Finding("dates", "note", what))
    return findings


def _dates(severity: Severity, cases: Sequence[Case], which: str) -> Finding:
    ids = listed([", ".join(case.case_id for case in cases[:20])])
    what = f"{counted(len(cases), 'date')} {'is' if len(cases) == 1 else 'are'} {which}."
    about = tuple((case.case_id, "time") for case in cases)
    return Finding("date-impossible", severity, what, ids, "Correct them (`--fix` leaves them blank).", about=about)
