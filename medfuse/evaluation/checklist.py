"""Which items of the reporting guidelines an evaluation answers, and which ones a person must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GUIDELINES = {
    "TRIPOD+AI": "Collins et al. 2024, BMJ 385:e078378",
    "CLAIM 2024": "Tejani et al. 2024, Radiology: Artificial Intelligence 6:e240300",
    "PROBAST+AI": "Moons et al. 2025, BMJ 388:e082505; model evaluation",
}


@dataclass(frozen=True)
class Item:
    """An item of a guideline, in our words.

    Attributes:
        guideline: A key of `GUIDELINES`.
        number: As published.
        topic: What it asks for.
        by: The key of `metrics.json` that answers it; None where only a person can.
        where: Where the report answers it; for a person, what to write down.
    """

    guideline: str
    number: str
    topic: str
    by: str | None
    where: str


def _items(guideline: str, rows: tuple[tuple[str, str, str | None, str], ...]) -> tuple[Item, ...]:
    return tuple(Item(guideline, *row) for row in rows)


ITEMS = (
    *_items(
        "TRIPOD+AI",
        (
            ("3a to 4", "context, users, known inequalities, objectives", None, "who would use it, for whom, for what"),
            ("5a, 5b", "data sources and dates", None, "source, how representative, first and last date"),
            ("6a to 6c", "setting, eligibility, treatments", None, "sites, who was included, who was not"),
            ("7", "preparation and checks of the data", None, "what was done; `medfuse audit` lists what it found"),
            ("8a to 8c", "outcome, assessors, blinding", None, "how each label came about, blinded or not"),
            ("9a to 9c", "predictors", None, "why these inputs; which of them are known when the model is used"),
            ("10", "sample size", None, "why this many; the numbers are in this report"),
            ("11", "missing data", "patterns", "By what was present"),
            ("12a to 12c", "how data were used, type of model", None, "from the model card and the config"),
            ("12d", "heterogeneity between clusters, method", "cohorts", "Site by site"),
            ("12e", "measures and plots of performance", "labels", "Label by label, Whether the probabilities hold"),
            ("12f", "model updating, method", "recalibration", "Before and after recalibration on the site"),
            ("12g", "how predictions were calculated", "bundle", "How it was computed (digest of the bundle)"),
            ("13", "class imbalance", None, "whether training weighed classes, from the config"),
            ("14", "what was done for fairness", None, "measures taken; For whom shows what came of them"),
            ("15", "output and thresholds", "operating", "At the thresholds"),
            ("16", "development against evaluation data", None, "differences; `medfuse monitor` measures some"),
            ("17", "ethical approval", None, "committee, consent or waiver"),
            ("18a to 19", "funding, conflicts, protocol, registration, sharing, involvement", None, "state each"),
            ("20a", "flow of participants", None, "from the patients approached to those measured here"),
            ("20b", "characteristics", None, "age, sex and severity of the cases"),
            ("20c", "predictors compared with development", None, "`medfuse monitor` against the bundle's reference"),
            ("21", "participants and outcome events", "labels", "Label by label"),
            ("22", "the full model", "bundle", "the bundle of this digest; state who can have it"),
            ("23a", "performance with intervals, in subgroups too", "subgroups", "all tables, For whom"),
            ("23b", "heterogeneity between clusters, results", "cohorts", "Site by site"),
            ("24", "model updating, results", "recalibration", "Before and after recalibration on the site"),
            ("25 to 27c", "interpretation, limits, usability", None, "what follows, and what does not"),
        ),
    ),
    *_items(
        "CLAIM 2024",
        (
            ("5, 6", "prospective or not, study goal", None, "state both"),
            ("7, 8", "data sources, inclusion and exclusion", None, "as in TRIPOD+AI 5 and 6"),
            ("9 to 11, 13", "pre-processing, subsets, de-identification, acquisition", None, "state each"),
            ("12", "missing data", "patterns", "By what was present"),
            ("14 to 18", "reference standard and its variability", None, "who annotated, how well they agree"),
            ("19", "assignment to partitions", None, "how the split was drawn"),
            ("20", "level at which partitions are disjoint", "interval", "How it was computed (patients)"),
            ("21", "intended sample size", None, "as in TRIPOD+AI 10"),
            ("22 to 27", "model and training", None, "from the model card and the config"),
            ("28", "metrics of performance", "labels", "Label by label"),
            ("29", "significance and uncertainty", "interval", "How it was computed"),
            ("30", "robustness or sensitivity analysis", "stress", "When inputs are worse"),
            ("31", "explainability", "use", "What the model relies on"),
            ("32", "evaluation on internal data", "labels", "this report, if the cohort is the model's own"),
            ("33", "testing on external data", "cohorts", "Site by site"),
            ("34", "trial registration", None, "state it"),
            ("35, 36", "numbers in and out, demographics", None, "as in TRIPOD+AI 20"),
            ("37, 38", "performance and its precision", "summary", "the first page, Label by label"),
            ("39", "failure analysis", "errors", "Where it was most wrong"),
            ("40 to 44", "limits, implications, protocol, access, funding", None, "state each"),
        ),
    ),
    *_items(
        "PROBAST+AI",
        (
            ("1.1 to 1.3", "participants: sources, design, who they stand for", None, "judge the risk of bias"),
            ("2.1 to 2.4", "predictors: alike for all, blind to the outcome, known in time", None, "judge it"),
            ("3.1 to 3.4", "outcome: definition, alike for all, blinding, timing", None, "judge it"),
            ("4.1", "not on apparent performance alone", "interval", "training patients held out, or said on top"),
            ("4.2", "a reasonable sample size", "labels", "Label by label (counts, intervals)"),
            ("4.3", "missing data", "patterns", "By what was present, Problems met"),
            ("4.4", "evaluated without imbalance correction", "labels", "cases as they are; none is weighed or drawn"),
            ("4.5", "leakage avoided where data were split", "problems", "by patient; copies under Problems met"),
            ("4.6", "all steps of development repeated in resampling", "interval", "with folds each trains anew"),
            ("4.7", "calibration, discrimination, net benefit", "calibration", "Whether the probabilities hold"),
        ),
    ),
)


def answered(metrics: Mapping[str, Any]) -> dict[str, dict[str, list[Item]]]:
    """By guideline the items that these metrics answer (`answered`) and those for a person (`human`)."""
    found: dict[str, dict[str, list[Item]]] = {name: {"answered": [], "human": []} for name in GUIDELINES}
    for item in ITEMS:
        found[item.guideline][
            "answered" if item.by is not None and metrics.get(item.by) is not None else "human"
        ].append(item)
    return found
