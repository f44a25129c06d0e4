"""Monitor: are the cases that come now still like those that the bundle was calibrated on?"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from medfuse import __version__
from medfuse.bundle import Bundle
from medfuse.calibration.outliers import UNLIKE
from medfuse.cohort import Cohort
from medfuse.drift import Check, compare, first_of_each, inputs_of
from medfuse.encoders.cache import TokenCache, default_cache
from medfuse.errors import BundleError, CohortError
from medfuse.inference import Predictor
from medfuse.page import page
from medfuse.training.fit import facts_wanted
from medfuse.training.learning import targets

TEMPLATE = Path(__file__).with_name("monitor.html.j2")
LEAST = 20  # patients below which only the largest changes could be told from chance

_KINDS = (
    ("input", "What goes in", "Shares by range against the reference: population stability index."),
    ("output", "What the model says", "Distribution of the probabilities against the reference."),
    ("calibration", "Whether it still holds", "Share of cases with the label less the mean probability said of it."),
)


@dataclass(frozen=True)
class Monitoring:
    """What came of it.

    Attributes:
        checks: One comparison each.
        cases: New cases compared, one of each patient.
        reference: Cases in the reference.
        flagged: Share of the new cases that is unlike those of training; None if the bundle cannot tell.
        false_alarms: What that share was to be at most.
        bundle: Digest of the bundle.
        problems: What a reader must know, one line each.
        title: For the report.
    """

    checks: tuple[Check, ...]
    cases: int
    reference: int
    flagged: float | None
    false_alarms: float | None
    bundle: str
    problems: tuple[str, ...] = ()
    title: str = "Drift"

    @property
    def drifted(self) -> tuple[Check, ...]:
        """The checks that found drift."""
        return tuple(check for check in self.checks if check.drift)

    @property
    def verdict(self) -> str:
        """In one line."""
        if not self.drifted:
            return f"No drift in {len(self.checks)} checks of {self.cases} cases against {self.reference}."
        found = ", ".join(f"{check.what} ({check.statistic} {check.value:.2f})" for check in self.drifted)
        return f"Drift in {len(self.drifted)} of {len(self.checks)} checks of {self.cases} cases: {found}."

    def to_dict(self) -> dict[str, Any]:
        """What `drift.json` holds."""
        return {
            "drift": bool(self.drifted),
            "cases": self.cases,
            "reference": self.reference,
            "unlike_training": self.flagged,
            "false_alarms": self.false_alarms,
            "checks": [check.to_dict() for check in self.checks],
            "problems": list(self.problems),
            "bundle": self.bundle,
        }

    def save(self, folder: str | Path) -> Path:
        """Write `drift.json` and `drift.html`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        html = page(
            TEMPLATE,
            {
                "title": self.title,
                "checks": self.checks,
                "drifted": self.drifted,
                "verdict": self.verdict,
                "kinds": _KINDS,
                "new_cases": self.cases,
                "reference_cases": self.reference,
                "bundle": self.bundle,
                "version": __version__,
                "zip": zip,
            },
        )
        _write(folder / "drift.html", html)
        _write(folder / "drift.json", json.dumps(self.to_dict(), indent=1, allow_nan=False) + "\n")
        return folder


def monitor(
    bundle: Bundle | str | Path,
    cohort: Cohort | str | Path,
    *,
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Monitoring:
    """Compare the cases of a cohort with the reference that the bundle holds.

    One case of each patient counts, the first. Patients that training saw are left out, and their number is told:
    they are no sample of what comes now.

    Args:
        bundle: The bundle or its folder.
        cohort: The cohort or its folder; labels are used where there are some.
        cache: Where tokens of frozen encoders are kept; None takes the user's cache folder.
        progress: Called with the number of cases that were classified.

    Raises:
        BundleError: If the bundle is damaged or holds no reference.
        CohortError: If no case is left.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    cohort = cohort if isinstance(cohort, Cohort) else Cohort.load(cohort)
    if bundle.reference is None:
        message = "the bundle holds no reference for drift: train or calibrate it again, with cases to calibrate on"
        raise BundleError(message)
    new = [case for case in cohort.cases if bundle.split_of(case.patient_id) is None]
    problems = list(cohort.problems)
    if len(new) < len(cohort.cases):
        problems.append(f"{len(cohort.cases) - len(new)} cases left out: training or calibration saw their patients")
    rows = [new[row] for row in first_of_each([case.patient_id for case in new])]
    facts: list[Mapping[str, Any]] = []
    said: list[np.ndarray] = []
    known = []
    flagged = 0
    wanted = facts_wanted(bundle.model)
    for batch, _, probability in Predictor(bundle, cache=TokenCache(cache or default_cache())).probabilities(rows):
        for place, one in enumerate(batch):
            if not one.parts:
                problems.append(f"case {one.case.case_id} could not be read")
                continue
            facts.append(inputs_of(one.case, one.parts, **wanted))
            said.append(probability[-1, place])
            known.append(one.case)
            flagged += any(line.startswith(UNLIKE) for line in one.warnings)
        if progress is not None:
            progress(len(batch))
    if not known:
        message = f"{cohort.folder}: no readable case of a patient that training has not seen; nothing to compare"
        raise CohortError(message)
    if len(known) < LEAST:
        problems.append(f"{len(known)} patients: so few show only the largest changes; wait for {LEAST} or more")
    checks = compare(
        bundle.reference,
        facts,
        np.stack(said),
        targets(known, bundle.labels).double().numpy(),
        names=bundle.labels,
        seed=bundle.config.seed,
    )
    return Monitoring(
        tuple(checks),
        len(known),
        bundle.reference.cases,
        None if bundle.outliers is None else flagged / len(known),
        None if bundle.outliers is None else bundle.outliers.false_alarms,
        bundle.digest,
        tuple(problems),
        f"Drift: {cohort.name} against the reference of {bundle.config.name}",
    )


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)
