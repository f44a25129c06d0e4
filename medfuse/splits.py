"""Who trains, validates, calibrates and tests: by patient, by time or by site, and no patient ever in two splits."""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_right
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime
from itertools import accumulate

from medfuse.case import SPLITS, Case, Split
from medfuse.errors import CohortError

SPLIT_TWENTIETHS: Mapping[Split, int] = {"train": 11, "validation": 2, "calibration": 3, "test": 4}


def split_by_patient(cases: Sequence[Case], *, seed: int, hold_out: bool = True) -> list[Split]:
    """Draw a split for each case: no patient in two, every label spread in the proportions of `SPLIT_TWENTIETHS`.

    Args:
        cases: The cases.
        seed: Of the draw.
        hold_out: Whether there is a test split.

    Raises:
        CohortError: If there are fewer than four patients.
    """
    shares = {split: share for split, share in SPLIT_TWENTIETHS.items() if hold_out or split != "test"}
    return _drawn(cases, shares, seed=seed)


def split_by_time(cases: Sequence[Case]) -> list[Split]:
    """Train on the patients seen first, then validate, calibrate, and test on those seen last.

    A patient counts by the first dated case, so every test case is from the last stretch of time; later cases of a
    patient who trains stay in training.

    Raises:
        CohortError: If a patient has no case with an ISO 8601 date, or there are fewer than four patients.
    """
    first: dict[str, date] = {}
    size: dict[str, int] = {}
    for case in cases:
        size[case.patient_id] = size.get(case.patient_id, 0) + 1
        if (day := day_of(case.time)) is not None:
            first[case.patient_id] = min(day, first.get(case.patient_id, day))
    if undated := len(size) - len(first):
        message = f"{undated} of {len(size)} patients have no case with a date (YYYY-MM-DD in `time`); split by patient"
        raise CohortError(message)
    _require(len(size), SPLIT_TWENTIETHS)
    order = sorted(first, key=lambda patient: (first[patient], patient))
    reached = list(accumulate(size[patient] for patient in order))
    cuts: list[int] = []  # how many patients stand before the end of each split but the last
    twentieths = accumulate(SPLIT_TWENTIETHS[split] for split in SPLITS[:-1])
    for later, share in zip(range(len(SPLITS) - 1, 0, -1), twentieths, strict=True):
        cut = bisect_right(reached, len(cases) * share / 20)
        cuts.append(min(max(cut, (cuts[-1] if cuts else 0) + 1), len(order) - later))
    owner = {patient: SPLITS[bisect_right(cuts, place)] for place, patient in enumerate(order)}
    return [owner[case.patient_id] for case in cases]


def split_by_site(cases: Sequence[Case], *, column: str, test: Collection[str], seed: int) -> list[Split]:
    """Test on the patients of the named sites; those of the other sites train, validate and calibrate.

    A patient who was at a named site and elsewhere is in the test split with every case.

    Args:
        cases: The cases.
        column: A column of `groups` that names the site.
        test: Sites to test on.
        seed: Of the draw among the other patients.

    Raises:
        CohortError: If a site is not there, or fewer than three patients are left for the other splits.
    """
    counts: dict[str, int] = {}
    for case in cases:
        site = case.groups.get(column, "")
        counts[site] = counts.get(site, 0) + 1
    listed = ", ".join(f"{site or '(blank)'} ({n} cases)" for site, n in sorted(counts.items(), key=lambda s: -s[1]))
    unknown = sorted(set(test) - set(counts))
    if unknown or not test:
        message = f"column '{column}' has no site '{', '.join(unknown)}'" if test else "name the sites to test on"
        message = f"{message}; there are {listed}"
        raise CohortError(message)
    away = {case.patient_id for case in cases if case.groups.get(column, "") in test}
    rest = [case for case in cases if case.patient_id not in away]
    shares: dict[Split, int] = {split: share for split, share in SPLIT_TWENTIETHS.items() if split != "test"}
    drawn = iter(_drawn(rest, shares, seed=seed))
    return ["test" if case.patient_id in away else next(drawn) for case in cases]


def patient_folds(cases: Sequence[Case], *, folds: int, seed: int) -> list[int]:
    """The fold 0…folds-1 of each case: no patient in two, labels spread as evenly as patients allow.

    Raises:
        CohortError: If there are fewer patients than folds.
    """
    patients = len({case.patient_id for case in cases})
    if folds < 2 or patients < folds:
        message = f"{patients} patients cannot be dealt into {folds} folds"
        raise CohortError(message)
    return stratified_parts(cases, shares=[1.0] * folds, seed=seed)


def stratified_parts(cases: Sequence[Case], *, shares: Sequence[float], seed: int) -> list[int]:
    """Deal patients into parts so that each part has its share of the cases and of every label.

    Iterative stratification (Sechidis, Tsoumakas, Vlahavas 2011, On the Stratification of Multi-Label Data, algorithm
    1), with a patient in place of an example: the rarest label is dealt first, each of its patients to the part that
    lacks most cases of it, ties to the part that lacks most cases. A patient weighs as many cases as it has, and those
    with most cases are dealt first. Where a label is blank in some cases, its 0 is a label of its own, so that the
    parts know equally much. No part stays empty if there are patients enough.

    Args:
        cases: The cases.
        shares: What each part should have, in any unit.
        seed: Of the order among patients with equally many cases.

    Returns:
        The part 0…len(shares)-1 of each case.
    """
    sizes, held, totals = _patients(cases)
    order = sorted(sizes)
    random.Random(seed).shuffle(order)  # noqa: S311 - a draw, not a secret
    order.sort(key=lambda patient: -sizes[patient])
    whole = sum(shares)
    lacks = [len(cases) * share / whole for share in shares]
    lacks_label = {label: [total * share / whole for share in shares] for label, total in totals.items()}
    members: dict[str, list[str]] = {label: [] for label in totals}
    for patient in order:
        for label in held[patient]:
            members[label].append(patient)
    left = dict(totals)
    parts = range(len(shares))
    dealt: dict[str, int] = {}

    def deal(patient: str, part: int) -> None:
        dealt[patient] = part
        lacks[part] -= sizes[patient]
        for label, count in held[patient].items():
            lacks_label[label][part] -= count
            left[label] -= count

    while rarest := min(
        (label for label in left if left[label] > 0), key=lambda label: (left[label], label), default=""
    ):
        wanted = lacks_label[rarest]
        for patient in members[rarest]:
            if patient not in dealt:
                deal(patient, max(parts, key=lambda part: (wanted[part], lacks[part])))
    for patient in order:
        if patient not in dealt:
            deal(patient, max(parts, key=lacks.__getitem__))
    _fill_empty(dealt, order, parts)
    return [dealt[case.patient_id] for case in cases]


def digest_of_splits(cases: Iterable[Case]) -> str:
    """A digest of which patient's case is in which split; it changes if one of them moves, not with their order."""
    lines = sorted(f"{case.case_id}\t{case.patient_id}\t{case.split or ''}" for case in cases)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


def day_of(time: str | None) -> date | None:
    """The day of an ISO 8601 date or date-time; None for anything else."""
    try:
        return datetime.fromisoformat(time).date() if time else None
    except ValueError:
        return None


def _drawn(cases: Sequence[Case], shares: Mapping[Split, int], *, seed: int) -> list[Split]:
    _require(len({case.patient_id for case in cases}), shares)
    names = list(shares)
    return [names[part] for part in stratified_parts(cases, shares=list(shares.values()), seed=seed)]


def _require(patients: int, shares: Mapping[Split, int]) -> None:
    if patients < len(shares):
        message = f"{patients} patients cannot be split into {', '.join(shares)}; {len(shares)} are the least"
        raise CohortError(message)


def _patients(cases: Sequence[Case]) -> tuple[dict[str, int], dict[str, dict[str, int]], dict[str, int]]:
    """Cases by patient, cases by label and patient, cases by label."""
    blank = {label for case in cases for label, value in case.labels.items() if value is None}
    sizes: dict[str, int] = {}
    held: dict[str, dict[str, int]] = {}
    totals: dict[str, int] = {}
    for case in cases:
        sizes[case.patient_id] = sizes.get(case.patient_id, 0) + 1
        labels = held.setdefault(case.patient_id, {})
        for label, value in case.labels.items():
            if value == 1 or (value == 0 and label in blank):
                name = f"{value} {label}"
                labels[name] = labels.get(name, 0) + 1
                totals[name] = totals.get(name, 0) + 1
    return sizes, held, totals


def _fill_empty(dealt: dict[str, int], order: Sequence[str], parts: Sequence[int]) -> None:
    """Give each empty part the last patient of the part that has most patients."""
    counts = [0] * len(parts)
    for part in dealt.values():
        counts[part] += 1
    for empty in [part for part in parts if not counts[part]]:
        fullest = max(parts, key=counts.__getitem__)
        if counts[fullest] > 1:
            moved = next(patient for patient in reversed(order) if dealt[patient] == fullest)
            dealt[moved] = empty
            counts[fullest] -= 1
            counts[empty] += 1
