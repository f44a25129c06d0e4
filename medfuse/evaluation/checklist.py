"""Which items of the reporting guidelines an evaluation answers, and which ones a person must."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

GUIDELINES = {
    "TRIPOD+AI": "Collins et al. 2024, BMJ 385:e078378",
    "CLAIM 2024": "Tejani et al. 2024, Radiology: Artificial Intelligence 6:e240300",
    "PROBAST": "Wolff et al. 2019, Annals of Internal Medicine 170:51-58",
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
            ("3a to 4", "clinical question, users, aims", None, "who would use the model, for whom, to decide what"),
            ("5a, 5b", "data source and dates", None, "source, first and last date"),
            ("6a to 6c", "setting, eligibility, treatments", None, "sites, who was included, who was not"),
            ("8a to 8c", "outcome and who assessed it", None, "how each label came about, blinded or not"),
            ("9a to 9c", "predictors", None, "why these inputs; which of them are known when the model is used"),
            ("10", "sample size", None, "what was planned; the number of cases is in this report"),
            ("11", "missing data", "patterns", "By what was present"),
            ("12e", "measures of performance", "labels", "Label by label, Whether the probabilities hold"),
            ("12g", "how predictions were calculated", "bundle", "How it was computed (digest of the bundle)"),
            ("14", "fairness", "subgroups", "For whom"),
            ("15", "output and thresholds", "operating", "At the thresholds"),
            ("17 to 19", "ethics, funding, conflicts, protocol, sharing, involvement", None, "state each"),
            ("20a", "flow of participants", None, "from the patients approached to those measured here"),
            ("20b", "characteristics", None, "age, sex and severity of the cases"),
            ("21", "participants and outcome events", "labels", "Label by label"),
            ("23a", "performance with intervals, in subgroups too", "labels", "all tables"),
            ("23b", "variation between clusters", "subgroups", "For whom (sites)"),
            ("25 to 27c", "interpretation, limits, usability", None, "what follows, and what does not"),
        ),
    ),
    *_items(
        "CLAIM 2024",
        (
            ("7, 8", "data sources, inclusion and exclusion", None, "as in TRIPOD+AI 5 and 6"),
            ("12", "missing data", "patterns", "By what was present"),
            ("14 to 18", "reference standard and its variability", None, "who annotated, how well they agree"),
            ("20", "level at which partitions are disjoint", "interval", "How it was computed (patients)"),
            ("28", "metrics of performance", "labels", "Label by label"),
            ("29", "significance and uncertainty", "interval", "How it was computed"),
            ("30", "robustness or sensitivity analysis", "stress", "When inputs are worse"),
            ("31", "explainability", "use", "Does it use both?"),
            ("32", "evaluation on internal data", "labels", "this report, if the cohort is the model's own"),
            ("33", "testing on external data", None, "evaluate on a cohort from elsewhere"),
            ("35, 36", "patients, demographics", None, "as in TRIPOD+AI 20"),
            ("37, 38", "performance and its precision", "summary", "the first page, Label by label"),
            ("39", "failure analysis", "errors", "Where it was most wrong"),
            ("40 to 44", "limits, implications, access, funding", None, "state each"),
        ),
    ),
    *_items(
        "PROBAST",
        (
            ("1.1, 1.2", "participants: source, inclusion", None, "judge the risk of bias"),
            ("2.1 to 2.3", "predictors: alike for all, blind to the outcome, known in time", None, "judge it"),
            ("3.1 to 3.6", "outcome: definition, blinding, timing", None, "judge it"),
            ("4.1", "enough participants with the outcome", "labels", "Label by label (counts, intervals)"),
            ("4.3", "all enrolled participants analysed", "n_failed", "Problems met (cases not classified)"),
            ("4.4", "missing data", "patterns", "By what was present"),
            ("4.7", "discrimination and calibration both", "calibration", "Whether the probabilities hold"),
            ("4.8", "overfitting accounted for", "interval", "patients of training are held out (How it was computed)"),
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
