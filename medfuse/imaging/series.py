"""Series among files: slices grouped by SeriesInstanceUID, and the rule that says which series is used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from medfuse.imaging.boundary import UnreadableError
from medfuse.imaging.content import kind_of
from medfuse.imaging.dicom import parse
from medfuse.imaging.elements import numbers_of, text_of
from medfuse.imaging.frames import planes_of
from medfuse.imaging.geometry import Plane, ordered
from medfuse.imaging.sources import Source

DESCRIPTION = "description:"  # how a rule begins that goes by Series Description


@dataclass(slots=True)
class Series:
    """The slices of one series.

    Attributes:
        uid: Series Instance UID; empty if not stated.
        number: Series Number; None if not stated.
        description: Series Description. It is matched, never shown: it may hold anything.
        planes: Its slices, as found.
    """

    uid: str
    number: int | None = None
    description: str = ""
    planes: list[Plane] = field(default_factory=list)

    @property
    def survey(self) -> bool:
        """Whether it is nothing but localisers."""
        return all(plane.localiser for plane in self.planes)


def find_series(sources: Sequence[Source], warnings: list[str]) -> list[Series]:
    """Group the images among files by their series.

    Args:
        sources: The files; those that are no DICOM image are counted and left out.
        warnings: Receives what was left out.

    Returns:
        The series in the order in which they were met, each with at least one slice.

    Raises:
        UnreadableError: If there is no DICOM image at all.
    """
    found: dict[str, Series] = {}
    seen: set[tuple[str, int]] = set()
    strangers, broken, copies, reasons = 0, 0, 0, []
    for place, source in enumerate(sources):
        try:
            data = source.read()
            if kind_of(data) != "DICOM":
                strangers += 1
                continue
            dataset = parse(data).dataset
            if "Rows" not in dataset:
                strangers += 1  # a report, a plan, a presentation state, a directory
                continue
            planes = planes_of(dataset, place)
        except UnreadableError as error:
            broken += 1
            reasons.append(str(error))
            continue
        fresh = [plane for plane in planes if not plane.uid or (plane.uid, plane.frame) not in seen]
        seen.update((plane.uid, plane.frame) for plane in fresh)
        copies += len(fresh) < len(planes)
        uid = text_of(dataset, "SeriesInstanceUID")
        series = found.setdefault(uid, Series(uid, _number(dataset), text_of(dataset, "SeriesDescription")))
        series.planes.extend(fresh)
    if not found:
        reason = f"no DICOM image that can be read among {len(sources)} files"
        reason += f", the first because {reasons[0]}" if reasons else "; name a picture by its own path"
        raise UnreadableError(reason)
    for count, what in ((broken, "cannot be read"), (strangers, "are no DICOM images"), (copies, "are copies")):
        if count:
            warnings.append(f"{count} of {len(sources)} files {what} and were left out")
    return list(found.values())


def choose(series: Sequence[Series], rule: str) -> tuple[Series, str]:
    """Choose one series; survey series only if there is nothing else.

    Args:
        series: At least one.
        rule: `largest` (most images; then the lower number), `first` (lowest Series Number), or `description:` with a
            pattern of `*` and `?` for the whole Series Description, in any case; the largest of those that match.

    Returns:
        The series, and what was chosen by which rule, in words.

    Raises:
        UnreadableError: If no description matches.
    """
    candidates = [one for one in series if not one.survey] or list(series)
    if rule.startswith(DESCRIPTION):
        pattern = rule.removeprefix(DESCRIPTION).strip().casefold()
        candidates = [one for one in series if fnmatchcase(one.description.casefold(), pattern)]
        if not candidates:
            reason = f"none of its {len(series)} series fits the rule '{rule}'; check `series` in the config"
            raise UnreadableError(reason)
    if rule == "first":
        chosen = min(candidates, key=_rank)
    else:
        chosen = min(candidates, key=lambda one: (-len(one.planes), _rank(one)))
    words = "without a number" if chosen.number is None else f"{chosen.number}"
    if len(series) > 1:
        words += f", by the rule '{rule}' of {len(series)} series"
    return chosen, words


def slices_of(series: Series, warnings: list[str]) -> list[Plane]:
    """The slices of a series in order, without its localisers; `warnings` receives what was set aside or is missing."""
    planes = [plane for plane in series.planes if not plane.localiser] or series.planes
    if len(planes) < len(series.planes):
        warnings.append(f"{len(series.planes) - len(planes)} localisers set aside")
    return ordered(planes, warnings)


def _rank(series: Series) -> float:
    return math.inf if series.number is None else series.number


def _number(dataset: Any) -> int | None:
    numbers = numbers_of(dataset, "SeriesNumber")
    return int(numbers[0]) if numbers and math.isfinite(numbers[0]) else None
