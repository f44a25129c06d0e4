"""Review: what one reader decided on one prediction, and what makes it valid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from medfuse.cohort import Task
from medfuse.errors import MedfuseError

Action = Literal["accept", "override", "comment"]
ACTIONS: tuple[Action, ...] = ("accept", "override", "comment")

COMMENT_LIMIT = 4000  # characters; a page of text
NAME_LIMIT = 200  # characters of an id, a label or a reader's name


class ReviewError(MedfuseError):
    """A decision is not valid, or cannot be stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """A reader's decision on a prediction.

    Attributes:
        case_id: The case.
        reader: Who decided: a name or initials.
        action: `accept` the prediction, `override` it with `labels`, or only `comment`.
        labels: What the reader says instead; for an override only. In a multilabel task none means "none applies".
        comment: Free text, at most `COMMENT_LIMIT` characters.
        predicted: The most probable label at the time; None if the case could not be classified.
        probability: Its probability at the time.
        bundle: Digest of the bundle that predicted.
        seconds: How long the case was open, if known.
        id: Number in the store, rising with time; None before storing.
        created_at: When it was stored, UTC; None before storing.
    """

    case_id: str
    reader: str
    action: Action
    labels: tuple[str, ...] = ()
    comment: str = ""
    predicted: str | None = None
    probability: float | None = None
    bundle: str = ""
    seconds: float | None = None
    id: int | None = None
    created_at: datetime | None = None

    def check(self, *, labels: Sequence[str], task: Task) -> None:
        """Refuse what must not be stored.

        Args:
            labels: The labels of the task.
            task: In a multiclass task an override names exactly one label; in a multilabel task any number.

        Raises:
            ReviewError: If the decision is not valid; the message is for the reader and carries no comment text.
        """
        faults = {
            "the decision names no case": not self.case_id,
            "say who is reading: a name or initials": not self.reader.strip(),
            f"the reader's name is one line of at most {NAME_LIMIT} characters": not _is_name(self.reader),
            f"the case's id is one line of at most {NAME_LIMIT} characters": not _is_name(self.case_id),
            f"the action is one of {', '.join(ACTIONS)}": self.action not in ACTIONS,
            "only an override chooses labels": self.action != "override" and bool(self.labels),
            "an override chooses one label": (
                self.action == "override" and task == "multiclass" and len(self.labels) != 1
            ),
            f"an override chooses among the labels {', '.join(labels)}, each once": (
                not set(self.labels) <= set(labels) or len(set(self.labels)) < len(self.labels)
            ),
            f"the comment is longer than {COMMENT_LIMIT} characters": len(self.comment) > COMMENT_LIMIT,
            "the comment holds a NUL character, which databases refuse": "\0" in self.comment,
            "a comment needs some text": self.action == "comment" and not self.comment.strip(),
            "the prediction's probability is not within 0 and 1": (
                self.probability is not None and not 0 <= self.probability <= 1
            ),
            "the seconds spent are not a number from 0": (
                self.seconds is not None and not (math.isfinite(self.seconds) and self.seconds >= 0)
            ),
        }
        for fault, present in faults.items():
            if present:
                raise ReviewError(fault)


def _is_name(text: str) -> bool:
    return len(text) <= NAME_LIMIT and text.isprintable()
