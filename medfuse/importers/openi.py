"""Open-I, the Indiana University chest X-ray collection: one report with its radiographs a case.

The source folder holds what the archives unpack to: `ecgen-radiology/*.xml`, and the images as PNG
(`CXR1_1_IM-0001-3001.png`) or as DICOM (`1/1_IM-0001-3001.dcm`), in any folders; where both are there DICOM is taken.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from xml.etree.ElementTree import Element, ParseError, fromstring

from medfuse.case import Case
from medfuse.cohort import SEPARATOR, Cohort
from medfuse.errors import CohortError
from medfuse.importers.importer import Importer
from medfuse.importers.linking import digest_of, linked_patients
from medfuse.importers.new_folder import NewFolder, file_inside, safe_name

# Headings by which the collection's annotators coded what is abnormal (Demner-Fushman et al., 2016), the common ones
# that name a finding and not a place.
LABELS = (
    "Cardiomegaly", "Pulmonary Atelectasis", "Pleural Effusion", "Opacity", "Calcified Granuloma", "Consolidation",
    "Airspace Disease", "Infiltrate", "Nodule", "Pulmonary Congestion", "Pulmonary Edema", "Emphysema", "Pneumonia",
    "Pneumothorax", "Fractures, Bone", "Hernia, Hiatal", "Scoliosis",
)  # fmt: skip
ABNORMAL = "abnormal"
NORMAL = "normal"
UNCODED = frozenset({"no indexing", "technical quality of image unsatisfactory"})  # say nothing of findings

LICENCE = "{licences}; Open-I, U.S. National Library of Medicine"
CITATION = (
    "D. Demner-Fushman, M. D. Kohli, M. B. Rosenman, S. E. Shooshan, L. Rodriguez, S. Antani, G. R. Thoma, "
    "C. J. McDonald: Preparing a collection of radiology examinations for distribution and retrieval. Journal of the "
    "American Medical Informatics Association 23(2):304-310, 2016"
)

_MOST_BYTES = 1 << 20  # of one report; the longest of the collection has 20 KB
_IMAGE = re.compile(r"(?:CXR)?(?P<report>\d+)_(?:\d+_)?(?P<image>IM-[\d-]+)", re.IGNORECASE)
_SUFFIXES = {".dcm": 0, ".png": 1, ".jpg": 2}  # which is taken if an image is there more than once


@dataclass(frozen=True)
class _Report:
    """What is taken of a report; `headings` are MeSH headings in small letters without their qualifiers."""

    uid: str
    text: str
    headings: frozenset[str]
    images: tuple[str, ...]
    licence: str


def read_openi(
    source: Path,
    folder: NewFolder,
    *,
    task: str,
    progress: Callable[[int], None] | None = None,
    labels: str = "",
) -> Cohort:
    """Fill the folder and give the cohort.

    The collection names no patients: each report is taken as a patient of its own, and reports that share an image as
    one. FINDINGS and IMPRESSION stay in the note; the config decides whether a model reads them.

    Raises:
        CohortError: If there are no reports, or an option names a heading that no report has.
    """
    problems: list[str] = []
    reports, images = _reports(source, problems), _images(source)
    if not reports:
        message = (
            f"{source}: no reports of Open-I (ecgen-radiology/*.xml) in the folder; unpack NLMCXR_reports.tgz in it"
        )
        raise CohortError(message)
    chosen = (ABNORMAL,) if task == ABNORMAL else _chosen(source, labels, reports)
    found = {report.uid: _found(report, images, source, problems) for report in reports}
    linked = linked_patients(
        pair
        for report in reports
        for pair in [(report.uid, report.uid), *((report.uid, digest_of(image)) for image in found[report.uid])]
    )
    if shared := len(linked) - len(set(linked.values())):
        problems.append(f"{shared} reports share an image with another; their patients are taken as one")
    cases: list[Case] = []
    for report in reports:
        case_id = safe_name(report.uid)
        if found[report.uid] or report.text:
            cases.append(
                Case(
                    case_id=case_id,
                    patient_id=linked[report.uid],
                    scans=tuple(folder.scan(image, image.stem) for image in found[report.uid]),
                    notes=(folder.note(report.text, case_id, kind="radiology report"),) if report.text else (),
                    labels=_labels(report, chosen),
                )
            )
        else:
            problems.append(f"case {case_id}: neither an image nor text; left out")
        if progress is not None:
            progress(1)
    licences = sorted({report.licence for report in reports} - {""})
    return Cohort(
        folder=folder.path,
        name=f"openi-{task}",
        task="multilabel",
        labels=chosen,
        cases=tuple(cases),
        licence=LICENCE.format(licences=", ".join(licences) or "licence not stated"),
        citation=CITATION,
        problems=tuple(problems),
    )


OPENI = Importer(
    read=read_openi,
    summary="Open-I / Indiana University chest X-rays: a folder with the XML reports and the PNG or DICOM images",
    tasks=("findings", ABNORMAL),
    default_task="findings",
    options={
        "labels": f"MeSH headings to take as labels, joined by {SEPARATOR}; {', '.join(LABELS[:3])}, … if not given"
    },
)


def _reports(source: Path, problems: list[str]) -> list[_Report]:
    """The reports in the order of their numbers; each id once."""
    reports: dict[str, _Report] = {}
    paths = (path for path in _files(source) if path.suffix.lower() == ".xml")
    for path in sorted(paths, key=lambda path: (not path.stem.isdigit(), path.stem.zfill(9), path)):
        try:
            report = _report(path)
        except (OSError, ParseError, ValueError):
            problems.append(f"report '{path.relative_to(source).as_posix()}' is no XML that can be read; left out")
            continue
        if report is not None and reports.setdefault(report.uid, report) is not report:
            problems.append(f"report '{path.relative_to(source).as_posix()}' has the id of another; left out")
    return list(reports.values())


def _report(path: Path) -> _Report | None:
    """The report; None if it is some other XML.

    Raises:
        ParseError: If it is not XML.
        ValueError: If it is too large, or declares entities, by which small files grow without bound.
    """
    with path.open("rb") as stream:
        content = stream.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES or b"<!DOCTYPE" in content or b"<!ENTITY" in content:
        message = "too large, or with a document type"
        raise ValueError(message)
    root = fromstring(content)  # noqa: S314 - no entities, and bounded
    uid = root.find("uId")
    if root.tag != "eCitation" or uid is None or not uid.get("id"):
        return None
    sections = ((part.get("Label", "").strip().upper(), _text(part)) for part in root.iter("AbstractText"))
    mesh = root.find("MeSH")
    majors = [] if mesh is None else [_text(major) for major in mesh.iter("major")]
    return _Report(
        uid=str(uid.get("id")),
        text="\n\n".join(f"{label}: {text}" if label else text for label, text in sections if text),
        headings=frozenset(major.split("/")[0].strip().lower() for major in majors) - {""},
        images=tuple(filter(None, (image.get("id", "") for image in root.iter("parentImage")))),
        licence=_licence(root),
    )


def _text(element: Element) -> str:
    return " ".join("".join(element.itertext()).split())


def _licence(root: Element) -> str:
    url = root.find("licenseURL")
    return "" if url is None else _text(url)


def _files(source: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(source):
        folders.sort()
        yield from (Path(folder) / name for name in sorted(names) if not name.startswith("."))


def _images(source: Path) -> Mapping[tuple[str, str], Path]:
    """The image by number of the report and name within it, whichever archive it comes from."""
    images: dict[tuple[str, str], Path] = {}
    for path in _files(source):
        match = _IMAGE.fullmatch(path.stem)
        suffix = path.suffix.lower()
        if match is None or suffix not in _SUFFIXES:
            continue
        key = (match["report"], match["image"].upper())
        if key not in images or _SUFFIXES[suffix] < _SUFFIXES[images[key].suffix.lower()]:
            images[key] = path
    return images


def _found(
    report: _Report, images: Mapping[tuple[str, str], Path], source: Path, problems: list[str]
) -> tuple[Path, ...]:
    found = []
    for name in report.images:
        match = _IMAGE.fullmatch(name)
        path = images.get((match["report"], match["image"].upper())) if match else None
        inside = file_inside(source, path.relative_to(source).as_posix()) if path else "is not there"
        if path is None or isinstance(inside, str):
            problems.append(f"case {safe_name(report.uid)}: image '{safe_name(name)}' {inside}; left out")
        else:
            found.append(path)
    return tuple(dict.fromkeys(found))


def _chosen(source: Path, labels: str, reports: list[_Report]) -> tuple[str, ...]:
    """The labels: those of the option, which must occur, or else those of `LABELS` that do."""
    there = {heading for report in reports for heading in report.headings}
    named = tuple(dict.fromkeys(filter(None, (part.strip() for part in labels.split(SEPARATOR)))))
    for label in named:
        if label.lower() not in there:
            near = get_close_matches(label.lower(), sorted(there), n=3, cutoff=0.5)
            message = f"{source}: no report has the heading '{label}'; nearest: {', '.join(near) or 'none'}"
            raise CohortError(message)
    chosen = named or tuple(label for label in LABELS if label.lower() in there)
    if not chosen:
        message = f"{source}: no report has one of the usual headings; name some by the option labels"
        raise CohortError(message)
    return chosen


def _labels(report: _Report, labels: tuple[str, ...]) -> dict[str, int | None]:
    """1 or 0 by label; None where the report was not coded."""
    coded = report.headings - UNCODED
    if not coded:
        return dict.fromkeys(labels)
    if labels == (ABNORMAL,):
        return {ABNORMAL: int(coded != {NORMAL})}
    return {label: int(label.lower() in report.headings) for label in labels}
