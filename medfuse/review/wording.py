"""What the case page says in words: how sure the model is, what moved it, what it did not have."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC

from medfuse.case import MODALITIES, Case, Note, Prediction, Scan, ScanReceipt
from medfuse.cohort import Task
from medfuse.review.decision import Review
from medfuse.review.texts import Texts, english


def markdown_plain(text: str) -> str:
    """The text such that Markdown shows it letter by letter: no link, picture, emphasis, HTML or emoji code."""
    one_line = " ".join(text.split())
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", one_line)


def markdown_table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown that shows its cells letter by letter: light where a page has few rows to show."""
    lines = [[*map(markdown_plain, heads)], ["---"] * len(heads), *([*map(markdown_plain, row)] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def most_probable(prediction: Prediction) -> tuple[str, float] | None:
    """The label with the highest probability, and that; None if the case failed."""
    if prediction.error or not prediction.probabilities:
        return None
    return max(prediction.probabilities.items(), key=lambda pair: pair[1])


def verdict(prediction: Prediction, *, task: Task, texts: Texts | None = None) -> str:
    """One sentence on what the model says and how sure it is."""
    t = texts or english()
    top = most_probable(prediction)
    if top is None:
        return t("verdict_failed")
    if not prediction.abstain:
        answer = ", ".join(prediction.prediction_set) or t("none_of_the_labels")
        if task == "multilabel":
            return t("verdict_labels", answer=answer)
        return t("verdict_label", answer=answer, percent=t.percent(top[1]))
    if not prediction.prediction_set:
        return t("verdict_none_fits")
    if task == "multiclass" and len(prediction.prediction_set) == 1:
        return t("verdict_unsure_single", answer=prediction.prediction_set[0])
    return t("verdict_unsure", answer=", ".join(prediction.prediction_set))


def answer_set(prediction: Prediction, *, task: Task, texts: Texts | None = None) -> str:
    """The labels that cannot be excluded, joined; or what it means that there are none."""
    if prediction.prediction_set or prediction.error:
        return ", ".join(prediction.prediction_set)
    t = texts or english()
    return t("no_label_fits" if task == "multiclass" or prediction.abstain else "no_label_applies")


def absent(prediction: Prediction) -> tuple[str, ...]:
    """The modalities that the model uses and did not have."""
    # A model that does not use a modality has no contribution for it, and then its absence is no news.
    used = () if prediction.error else prediction.contributions or MODALITIES
    return tuple(name for name in MODALITIES if name in used and name not in prediction.modalities)


def rests_on(prediction: Prediction, *, texts: Texts | None = None) -> str | None:
    """What the model did not have, and so rests on; None if it had everything or failed."""
    t = texts or english()
    lacking = [t(f"no_{name}") for name in absent(prediction)]
    if not lacking:
        return None
    lacking = [lacking[0], *(noun[0].lower() + noun[1:] for noun in lacking[1:])]
    had = [t(f"the_{modality}") for modality in MODALITIES if modality in prediction.modalities]
    return t("rests_on", lacking=t.join(lacking), basis=t.join(had) if had else t("rests_on_nothing"))


def influence(prediction: Prediction, *, texts: Texts | None = None) -> str | None:
    """How each modality moved the most probable label, strongest first; None if that is not known."""
    t = texts or english()
    top = most_probable(prediction)
    if top is None or not prediction.contributions:
        return None
    label, probability = top
    start = min(1.0, max(0.0, probability - sum(prediction.contributions.values())))
    ordered = sorted(prediction.contributions.items(), key=lambda pair: -abs(pair[1]))
    moves = [
        t("raised" if value > 0 else "lowered", what=t(f"the_{name}"), points=points(value, texts=t))
        for name, value in ordered
        if abs(value) >= 0.005
    ]
    moved = t.join(moves) if moves else t("nothing_moved")
    return t("influence", label=label, start=t.percent(start), moved=moved, end=t.percent(probability))


def reader_warnings(prediction: Prediction, scans: Sequence[Scan], notes: Sequence[Note]) -> tuple[str, ...]:
    """What a reader must know about the input, each thing once.

    A remark about the reference label is left out: it would tell the reader what the label is.
    """
    told = list(prediction.warnings)
    read = [warning for scan in scans if scan.receipt for warning in scan.receipt.warnings]
    read += [warning for note in notes for warning in note.warnings]
    told += [warning for warning in read if not any(line.endswith(warning) for line in prediction.warnings)]
    return tuple(dict.fromkeys(warning for warning in told if not warning.startswith("label '")))


def points(difference: float, *, texts: Texts | None = None) -> str:
    """A difference of probabilities in percentage points, without its sign."""
    number, t = round(abs(difference) * 100), texts or english()
    return t("one_point") if number == 1 else t("many_points", number=number)


def receipt_rows(receipt: ScanReceipt, *, texts: Texts | None = None) -> list[tuple[str, str]]:
    """What reading the scan did, as pairs of a plain name and a value."""
    t = texts or english()
    rescale = t("receipt_none") if receipt.rescale is None else "× {:g} + {:g}".format(*receipt.rescale)
    size = t("receipt_pixels", columns=receipt.columns, rows=receipt.rows, bits=receipt.bits)
    shown = t("receipt_of", shown=len(receipt.shown), frames=receipt.frames)
    return [
        (t("receipt_format"), receipt.format),
        (t("receipt_size"), size),
        (t("receipt_kind"), receipt.modality or t("receipt_not_stated")),
        (t("receipt_view"), receipt.view or t("receipt_not_stated")),
        (t("receipt_compression"), receipt.transfer_syntax or t("receipt_as_format")),
        (t("receipt_grey"), receipt.photometric + (t("receipt_inverted") if receipt.inverted else "")),
        (t("receipt_rescaled"), rescale),
        (t("receipt_window"), receipt.voi),
        *([(t("receipt_slices"), shown)] if receipt.frames > 1 else []),
        *([(t("receipt_series"), receipt.series)] if receipt.series else []),
        (t("receipt_sum"), receipt.sha256[:16] + "…" if receipt.sha256 else ""),
    ]


def value_rows(case: Case, *, texts: Texts | None = None) -> list[tuple[str, str]]:
    """The tabular values for reading, the missing ones marked."""
    missing = (texts or english())("value_missing")
    return [
        (column, missing if value is None else f"{value:g}" if isinstance(value, float) else str(value))
        for column, value in case.values.items()
    ]


def told(review: Review, *, texts: Texts | None = None) -> str:
    """A stored decision in one line, without its comment."""
    t = texts or english()
    at = review.created_at
    when = at.astimezone(UTC).strftime(t("time_format")) if at else t("not_stored_yet")
    name = f"told_{review.action}"
    if review.action in ("accept", "override") and review.predicted:
        name += "_model"
    labels = ", ".join(review.labels) or t("none_of_the_labels")
    did = t(name, reader=review.reader, labels=labels, predicted=review.predicted or "")
    return f"{did} ({when})"
