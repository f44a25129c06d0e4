"""Labels that can be read from how a case was taken, or from what is missing, without looking at the patient."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from medfuse.audit.files import ScanFacts
from medfuse.audit.finding import Finding, Severity, worst
from medfuse.audit.measure import (
    MODEST,
    NEARLY_ALWAYS,
    Reading,
    measurable,
    read_by_category,
    read_by_words,
)
from medfuse.audit.sample import Sample
from medfuse.cohort import Cohort

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

# Group columns that say who the patient is, not how the case was taken.
_PERSON = re.compile(r"(?:^|_)(?:age|sex|gender|race|ethnic\w*|band)(?:_|$)", re.IGNORECASE)
_RARE = 5  # patients; categories of fewer are put together, so that none points at a person
_SIZES = 6  # classes of image size, where there are many sizes
ALL = "all of them together"


def read_from_acquisition(cohort: Cohort, sample: Sample, scans: Sequence[ScanFacts]) -> list[Finding]:
    """One finding a label: how well view, source, manufacturer, image size and the like read it, each and together."""
    facets = _facets(cohort, sample, scans)
    return _findings(
        sample,
        facets,
        check="label-in-acquisition",
        nothing="How the cases were taken does not give {label} away",
        something="How the cases were taken reads {label}",
        fix="Balance the sources, or evaluate within each and on a site of its own (`medfuse split --by site`).",
    )


def read_from_absence(cohort: Cohort, sample: Sample) -> list[Finding]:
    """How much is missing, and one finding a label: how well what is missing reads it."""
    absent = _absent(cohort)
    total = max(1, len(cohort.cases))
    shares = {name: sum(column) / total for name, column in absent.items()}
    lines = [f"{name}: missing in {sum(absent[name]):,} of {total:,} cases ({share:.0%})"
             for name, share in shares.items() if share]  # fmt: skip
    findings = []
    if lines:
        what = "Some cases lack " + ", ".join(name for name, share in shares.items() if share) + "."
        findings.append(Finding("missing", "note", what, tuple(lines), figures=shares))
    columns = {
        name: ["missing" if column[row] else "there" for row in sample.rows]
        for name, column in absent.items()
        if 0 < shares[name] < 1
    }
    return findings + _findings(
        sample,
        columns,
        check="label-in-missingness",
        nothing="What is missing does not give {label} away",
        something="What is missing reads {label}",
        fix="Find out why it is missing; a model will use it, and it will be missing for other reasons elsewhere.",
    )


def _facets(cohort: Cohort, sample: Sample, scans: Sequence[ScanFacts]) -> dict[str, list[str]]:
    """The value of each facet for each case of the sample: of its first scan that could be read, and of its groups."""
    first: dict[int, Mapping[str, str]] = {}
    for scan in scans:
        if not scan.error:
            first.setdefault(scan.row, scan.taken)
    names = dict.fromkeys(name for taken in first.values() for name in taken)
    facets = {name: [first.get(row, {}).get(name, "") for row in sample.rows] for name in names}
    if "size" in facets:
        facets["size"], facets["proportions"] = _sizes(facets["size"])
    for column in cohort.groups:
        if not _PERSON.search(column):
            facets[column] = [case.groups.get(column, "") for case in sample.cases]
    facets["number of scans"] = [str(min(3, len(case.scans))) for case in sample.cases]
    return facets


def _sizes(sizes: list[str]) -> tuple[list[str], list[str]]:
    """Sizes as they are where there are few, else in classes of equally many; and classes of proportions."""
    sides = [tuple(map(int, size.split(" x "))) if size else (0, 0) for size in sizes]
    pixels = np.array([rows * columns / 1e6 for rows, columns in sides])
    shape = np.array([rows / columns if columns else 0 for rows, columns in sides])
    few = len(set(sizes)) <= 2 * _SIZES
    return sizes if few else _classes(pixels, "megapixels"), _classes(shape, "rows to a column")


def _classes(values: Float[ndarray, " n"], unit: str) -> list[str]:
    """Classes of about equally many, each named by where it begins."""
    begins = np.unique(np.quantile(values, np.linspace(0, 1, _SIZES + 1)[:-1]))
    return [f"from {begins[place - 1]:.2f} {unit}" for place in np.searchsorted(begins, values, side="right")]


def _absent(cohort: Cohort) -> dict[str, list[bool]]:
    absent = {
        "scan": [not case.scans for case in cohort.cases],
        "note": [not case.notes for case in cohort.cases],
    }
    for column in cohort.tabular:
        absent[column] = [case.values.get(column) is None for case in cohort.cases]
    return absent


def _findings(
    sample: Sample, facets: Mapping[str, Sequence[str]], *, check: str, nothing: str, something: str, fix: str
) -> list[Finding]:
    coded = {name: _coded(values, sample.patients) for name, values in facets.items()}
    coded = {name: (codes, names) for name, (codes, names) in coded.items() if len(names) > 1}
    if not coded or not len(sample.folds):
        return []
    everything = _one_hot([codes for codes, _ in coded.values()])
    readings: dict[str, list[Reading]] = {}
    for label, truth in sample.truth.items():
        known = ~np.isnan(truth)
        if not measurable(truth[known], sample.patients[known]):
            continue
        given = (truth[known], sample.patients[known], sample.folds[known])
        found = [read_by_category(name, codes[known], *given) for name, (codes, _) in coded.items()]
        if len(found) > 1:
            found.append(read_by_words(ALL, everything[known], *given))
        readings[label] = sorted(found, key=lambda reading: -reading.auroc)
    measurements = sum(map(len, readings.values()))
    findings = []
    for label, found in readings.items():
        severity: Severity = "note"
        for reading in found:
            if reading.above_chance(measurements) and reading.auroc >= MODEST:
                severity = worst(severity, "error" if reading.low >= NEARLY_ALWAYS else "warning")
        best = found[0]
        measured = f" (AUROC {best.auroc:.3f}, {best.low:.3f} to {best.high:.3f}, from {best.name})."
        what = (nothing if severity == "note" else something).format(label=label) + measured
        lines = [
            f"{reading}{'' if reading.above_chance(measurements) else ', no more than chance gives'}"
            for reading in found
        ]
        for reading in found:
            if reading.name in coded and reading.auroc >= MODEST:
                lines += _shares(reading.name, *coded[reading.name], sample.truth[label], label)
        figures = {reading.name: reading.figure for reading in found}
        findings.append(
            Finding(check, severity, what, tuple(lines), fix if severity != "note" else "", figures, ((label,),))
        )
    return findings


def _coded(values: Sequence[str], patients: Int[ndarray, " n"]) -> tuple[Int[ndarray, " n"], list[str]]:
    """Categories as numbers with their names; those of few patients are `other`, blanks `(none)`."""
    owners: dict[str, set[int]] = {}
    for value, patient in zip(values, patients.tolist(), strict=True):
        owners.setdefault(value, set()).add(patient)
    shown = ["other" if len(owners[value]) < _RARE else value or "(none)" for value in values]
    names = [name for name, _ in Counter(shown).most_common()]
    place = {name: number for number, name in enumerate(names)}
    return np.array([place[name] for name in shown], dtype=int), names


def _one_hot(columns: Sequence[Int[ndarray, " n"]]) -> Float[ndarray, "n w"]:
    return np.hstack([codes[:, None] == np.arange(codes.max() + 1) for codes in columns]).astype(float)


def _shares(
    facet: str, codes: Int[ndarray, " n"], names: Sequence[str], truth: Float[ndarray, " n"], label: str
) -> list[str]:
    lines = []
    for number, name in enumerate(names[:8]):
        inside = truth[(codes == number) & ~np.isnan(truth)]
        if len(inside):
            lines.append(f"{facet} {name}: {label} in {int(inside.sum()):,} of {len(inside):,} cases")
    return lines
