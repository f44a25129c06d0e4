"""The worklist: which case a reader should open next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from medfuse.case import Prediction
from medfuse.cohort import Cohort, Task
from medfuse.errors import MedfuseError
from medfuse.review.decision import Review
from medfuse.review.store import standing
from medfuse.review.texts import Texts, english

STATES = ("open", "accepted", "overridden", "uncertain", "bad image", "commented")
_STATE_OF = {
    "accept": "accepted",
    "override": "overridden",
    "uncertain": "uncertain",
    "bad_image": "bad image",
    "comment": "commented",
}
Order = Literal["urgency", "uncertainty", "disagreement", "probability", "case_id", "time"]
ORDERS: tuple[Order, ...] = ("urgency", "uncertainty", "disagreement", "probability", "case_id", "time")


def worklist(cohort: Cohort, predictions: Mapping[str, Prediction], decisions: Sequence[Review]) -> pd.DataFrame:
    """What `predicted_cases` gives, with the decisions so far."""
    return with_decisions(predicted_cases(cohort, predictions), decisions)


def predicted_cases(cohort: Cohort, predictions: Mapping[str, Prediction]) -> pd.DataFrame:
    r"""One row for each predicted case of the cohort: failed cases first, then the most urgent.

    Urgency is $\sum_l p_l w_l$ with the cohort's weight $w_l$ of each label; where the cohort states no weights it is
    the uncertainty. `urgency_basis` says which in words.

    Args:
        cohort: The cases; a prediction of a case that is not among them has no row.
        predictions: By `case_id`.

    Returns:
        Columns `case_id`, `time` (text, maybe empty), `urgency` (NaN if failed), `label` (the most probable; empty if
        failed), `probability`, `uncertainty` (0 sure … 1 all alike), `abstain`, `warnings` (count), `disagreement` (see
        `_disagreement`), `site` (empty if not known), `state` (`open`), `reader` (empty) and `error`.

    Raises:
        MedfuseError: If the predictions were made for other labels than the cohort's.
    """
    rows = [(case, predictions[case.case_id]) for case in cohort.cases if case.case_id in predictions]
    matrix = _matrix([prediction for _, prediction in rows], cohort)
    uncertainty = _uncertainty(matrix, cohort.task)
    weights = np.array([cohort.urgency.get(label, 0.0) for label in cohort.labels])
    failed = np.isnan(matrix).any(axis=1)
    best = np.where(failed, 0, np.nan_to_num(matrix).argmax(axis=1)) if len(rows) else np.zeros(0, dtype=int)
    best_label = np.array([*cohort.labels, ""], dtype=object)[np.where(failed, len(cohort.labels), best)]
    every = pd.RangeIndex(len(rows))
    table = pd.DataFrame(
        {
            "case_id": [case.case_id for case, _ in rows],
            "time": [case.time or "" for case, _ in rows],
            "urgency": matrix @ weights if cohort.urgency else uncertainty,
            "label": best_label,
            "probability": matrix[np.arange(len(rows)), best],
            "uncertainty": uncertainty,
            "abstain": [prediction.abstain for _, prediction in rows],
            "warnings": [len(prediction.warnings) for _, prediction in rows],
            "disagreement": [_disagreement(prediction) for _, prediction in rows],
            "site": [case.groups.get("site", "") for case, _ in rows],
            "state": pd.Series("open", every, object),  # as `with_decisions` has them
            "reader": pd.Series("", every, object),
            "error": [prediction.error or "" for _, prediction in rows],
        }
    )
    return table.sort_values(
        ["urgency", "case_id"], ascending=[False, True], na_position="first", ignore_index=True, kind="stable"
    )


def narrow(
    table: pd.DataFrame,
    *,
    states: Sequence[str] = (),
    labels: Sequence[str] = (),
    readers: Sequence[str] = (),
    sites: Sequence[str] = (),
    unsure: bool = False,
    disagreeing: bool = False,
    text: str = "",
    order: Order = "urgency",
) -> pd.DataFrame:
    """The rows that a reader asked for, in the order asked for: cases that failed first, then the greatest.

    Args:
        table: Of `worklist`.
        states: Keep these states; all if empty.
        labels: Keep these most probable labels; all if empty.
        readers: Keep cases whose standing decision is of one of these; all if empty.
        sites: Keep cases of these sites; all if empty.
        unsure: Keep only cases of which the model is not sure.
        disagreeing: Keep only cases whose scan and note pull in opposite directions.
        text: Keep cases whose id contains this, in any case of letters.
        order: By `urgency`, `uncertainty`, `disagreement`, `probability`, `case_id` or `time` (these two rising).
    """
    keep = pd.Series(data=True, index=table.index)
    if states:
        keep &= table["state"].isin(states)
    if labels:
        keep &= table["label"].isin(labels)
    if readers:
        keep &= table["reader"].isin(readers)
    if sites:
        keep &= table["site"].isin(sites)
    if disagreeing:
        keep &= table["disagreement"] > 0
    if unsure:
        keep &= table["abstain"].astype(bool)  # an empty table has no type of its own
    if text.strip():
        keep &= table["case_id"].astype(str).str.contains(text.strip(), case=False, regex=False)
    kept = table[keep]
    if order != "urgency":  # the table's own order
        rising = order in ("case_id", "time")
        kept = kept.sort_values(order, ascending=rising, na_position="first", kind="stable")
    return kept.reset_index(drop=True)


def with_decisions(table: pd.DataFrame, decisions: Sequence[Review]) -> pd.DataFrame:
    """The rows of `predicted_cases` with the decision that stands: what it costs grows with the decisions alone.

    Args:
        table: Of `predicted_cases`; it stays as it is.
        decisions: Of `ReviewStore.latest()`.
    """
    held = standing(decisions)
    if not held:
        return table
    state, reader = table["state"].to_numpy(dtype=object).copy(), table["reader"].to_numpy(dtype=object).copy()
    decided = table.loc[table["case_id"].isin(list(held)), ["case_id", "label"]]
    for row, case_id, label in decided.itertuples(name=None):
        state[row], reader[row] = _state(held[case_id], label), held[case_id].reader
    # As objects: to make texts of them would cost more than all the rest.
    new = {"state": pd.Series(state, table.index, object), "reader": pd.Series(reader, table.index, object)}
    return table.assign(**new)


def urgency_basis(cohort: Cohort, *, texts: Texts | None = None) -> str:
    """One sentence on what the worklist is sorted by."""
    t = texts or english()
    if not cohort.urgency:
        return t("urgency_none")
    weights = sorted(((cohort.urgency.get(label, 0.0), label) for label in cohort.labels), key=lambda pair: -pair[0])
    return t("urgency_weights", weights=", ".join(f"{label} {weight:g}" for weight, label in weights))


def _disagreement(prediction: Prediction) -> float:
    """How far scan and note pull the most probable label apart: the smaller of two opposite shares, else 0."""
    image, text = prediction.contributions.get("image", 0.0), prediction.contributions.get("text", 0.0)
    return min(abs(image), abs(text)) if image * text < 0 else 0.0


def _state(review: Review | None, label: str) -> str:
    """A case whose prediction was accepted is open again once a newer model says something else."""
    if review is None or (review.action == "accept" and (review.predicted or "") != label):
        return "open"
    return _STATE_OF[review.action]


def _matrix(predictions: Sequence[Prediction], cohort: Cohort) -> np.ndarray:
    """Probabilities [N, C] in the order of the cohort's labels; a row of NaN where the case failed."""
    known = set(cohort.labels)
    missing = [float("nan")] * len(cohort.labels)
    values = []
    for prediction in predictions:
        if prediction.error is None and set(prediction.probabilities) != known:
            message = (
                f"the prediction of case {prediction.case_id} has other labels than the cohort, whose labels are "
                f"{', '.join(cohort.labels)}; classify this cohort again with a bundle trained for it"
            )
            raise MedfuseError(message)
        row = missing if prediction.error else [prediction.probabilities[label] for label in cohort.labels]
        values.append(row)
    return np.array(values, dtype=float).reshape(len(predictions), len(cohort.labels))


def _uncertainty(matrix: np.ndarray, task: Task) -> np.ndarray:
    """Entropy in 0…1: over the labels (multiclass), or the mean of each label's own (multilabel)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(matrix > 0, -matrix * np.log(matrix), matrix)  # 0 log 0 is 0; NaN stays NaN
        if task == "multiclass":
            entropy = terms.sum(axis=1) / np.log(matrix.shape[1])
        else:
            rest = 1 - matrix
            entropy = (terms + np.where(rest > 0, -rest * np.log(rest), rest)).mean(axis=1) / np.log(2)
    return np.asarray(np.clip(entropy, 0.0, 1.0))
