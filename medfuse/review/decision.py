"""Review: what one reader decided on one prediction, and what makes it valid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from medfuse.cohort import Task
from medfuse.errors import MedfuseError

Action = Literal["accept", "override", "uncertain", "bad_image", "comment", "undo"]
ACTIONS: tuple[Action, ...] = ("accept", "override", "uncertain", "bad_image", "comment")  # what a reader may choose
Shape = Literal["point", "rectangle", "ellipse", "polygon"]
_POINTS: dict[Shape, tuple[int, int]] = {"point": (1, 1), "rectangle": (2, 2), "ellipse": (2, 2), "polygon": (3, 500)}

COMMENT_LIMIT = 4000  # characters; a page of text
NAME_LIMIT = 200  # characters of an id, a label or a reader's name
REGION_LIMIT = 50  # regions of one decision


class ReviewError(MedfuseError):
    """A decision is not valid, or cannot be stored."""


class ConflictError(ReviewError):
    """Somebody else decided on the case since it was opened; nothing was stored.

    Attributes:
        newer: What was stored since, oldest first.
        version: The case's version now: who has seen `newer` saves with it.
    """

    def __init__(self, newer: tuple[Review, ...], version: int) -> None:
        who = ", ".join(dict.fromkeys(review.reader for review in newer))
        super().__init__(f"{who} decided on this case since you opened it; look at that and save again")
        self.newer = newer
        self.version = version


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A place marked on a scan, in pixels of the stored image.

    The corner of the image's first pixel is (0, 0), x runs along the columns and y down the rows, as DICOM's
    structured reports count (PS3.3 C.18.6.1.2).

    Attributes:
        scan: The scan's path as the cohort has it, relative to its folder.
        shape: `point`, `rectangle` and `ellipse` (two opposite corners of the box around it), or `polygon`.
        points: Pairs of x and y.
        size: Columns and rows of the stored image.
        slice: Which slice or frame of it, from 1.
        label: What is there; may be empty.
    """

    scan: str
    shape: Shape
    points: tuple[tuple[float, float], ...]
    size: tuple[int, int]
    slice: int = 1
    label: str = ""

    def fault(self) -> str | None:
        """What is wrong with it, in words; None if nothing is."""
        least, most = _POINTS.get(self.shape, (0, -1))
        if most < 0:
            return f"a region's shape is one of {', '.join(_POINTS)}"
        if not least <= len(self.points) <= most:
            return f"a {self.shape} has {least if least == most else f'{least} to {most}'} points"
        columns, rows = self.size
        if not all(0 <= x <= columns and 0 <= y <= rows for x, y in self.points):  # NaN is not within either
            return f"a region lies outside its scan, which has {columns} × {rows} pixels"
        if not self.scan or not _is_name(self.scan) or not _is_name(self.label) or self.slice < 1:
            return "a region names its scan, a slice from 1, and a label on one line"
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A reader's decision on a prediction.

    Attributes:
        case_id: The case.
        reader: Who decided: a name or initials.
        action: `accept` the prediction, `override` it with `labels`, say `uncertain` or `bad_image`, or only `comment`;
            `undo` takes the reader's own `undoes` back, and only the store makes it.
        labels: What the reader says applies; for an override only. In a multilabel task none means "none applies".
        judged: Which labels an override is about, in a multilabel task; None means all of them. A label that is judged
            and not among `labels` does not apply; one that is not judged stays as the model had it.
        comment: Free text, at most `COMMENT_LIMIT` characters.
        regions: Places marked on the scans.
        predicted: The most probable label at the time; None if the case could not be classified.
        probability: Its probability at the time.
        model_answer: Labels that the model's answer named at the time (multilabel: those of the prediction set).
        bundle: Digest of the bundle that predicted.
        prediction: Digest of the whole prediction (`prediction_digest`); empty if not known.
        ai: Whether the reader saw the prediction before deciding.
        seconds: How long the case was open, if known.
        study: The reading study that the decision belongs to; empty outside of one.
        key: Chosen by the caller, so that a save that is repeated is stored once; may be empty.
        id: Number in the store, rising with time; None before storing.
        created_at: When it was stored, UTC; None before storing.
        corrects: Number of the reader's own decision that this one replaces; the store fills it in.
        undoes: Of an `undo`, the number of the decision that it takes back.
    """

    case_id: str
    reader: str
    action: Action
    labels: tuple[str, ...] = ()
    judged: tuple[str, ...] | None = None
    comment: str = ""
    regions: tuple[Region, ...] = ()
    predicted: str | None = None
    probability: float | None = None
    model_answer: tuple[str, ...] = ()
    bundle: str = ""
    prediction: str = ""
    ai: bool = True
    seconds: float | None = None
    study: str = ""
    key: str = ""
    id: int | None = None
    created_at: datetime | None = None
    corrects: int | None = None
    undoes: int | None = None

    def answer(self, task: Task) -> frozenset[str] | None:
        """The labels that the decision says apply; None if it gives no answer (uncertain, bad image, comment, undo)."""
        model = frozenset(self.model_answer or ((self.predicted,) if self.predicted and task == "multiclass" else ()))
        if self.action == "accept":
            return model
        if self.action != "override":
            return None
        return frozenset(self.labels) | (model - set(self.judged) if self.judged is not None else frozenset())

    def check(self, *, labels: Sequence[str], task: Task) -> None:
        """Refuse what must not be stored.

        Args:
            labels: The labels of the task.
            task: In a multiclass task an override names exactly one label; in a multilabel task any number.

        Raises:
            ReviewError: If the decision is not valid; the message is for the reader and carries no comment text.
        """
        override, judged = self.action == "override", self.judged if self.judged is not None else tuple(labels)
        faults = {
            "the decision names no case": not self.case_id,
            "say who is reading: a name or initials": not self.reader.strip(),
            f"the reader's name is one line of at most {NAME_LIMIT} characters": not _is_name(self.reader),
            f"the case's id is one line of at most {NAME_LIMIT} characters": not _is_name(self.case_id),
            f"the action is one of {', '.join(ACTIONS)}": self.action not in ACTIONS,
            "only an override chooses labels": not override and bool(self.labels or self.judged is not None),
            "an override chooses one label": override and task == "multiclass" and len(self.labels) != 1,
            f"an override chooses among the labels {', '.join(labels)}, each once": (
                not set(self.labels) <= set(labels) or len(set(self.labels)) < len(self.labels)
            ),
            "only in a multilabel task does an override judge some of the labels": (
                self.judged is not None and task == "multiclass"
            ),
            "an override's labels are among those that it judges, and those among the task's": override
            and not set(self.labels) <= set(judged) <= set(labels),
            f"the comment is longer than {COMMENT_LIMIT} characters": len(self.comment) > COMMENT_LIMIT,
            "the comment holds a NUL character, which databases refuse": "\0" in self.comment,
            "the comment holds half of a character (a lone surrogate)": not _is_unicode(self.comment),
            "a comment needs some text": self.action == "comment" and not self.comment.strip(),
            f"a decision has at most {REGION_LIMIT} regions": len(self.regions) > REGION_LIMIT,
            "the prediction's probability is not within 0 and 1": (
                self.probability is not None and not 0 <= self.probability <= 1
            ),
            "the seconds spent are not a number from 0": (
                self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds >= 0)
            ),
            "the digests and the key are short and of plain characters": not all(
                text.isascii() and text.isprintable() and len(text) <= limit
                for text, limit in ((self.key, 64), (self.prediction, 64), (self.bundle, NAME_LIMIT))
            ),
        }
        for fault, present in faults.items():
            if present:
                raise ReviewError(fault)
        for region in self.regions:
            if wrong := region.fault():
                raise ReviewError(wrong)


def _is_name(text: str) -> bool:
    return len(text) <= NAME_LIMIT and text.isprintable()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
