"""What an importer is, for the registry and the command line's help."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from medfuse.cohort import Cohort


@dataclass(frozen=True)
class Importer:
    """One kind of source.

    Attributes:
        read: `read(source, folder, *, task, progress, **options)` fills a new folder and gives the unsaved cohort.
        summary: One line on what it reads.
        tasks: The tasks it knows.
        default_task: The task if none is given; None if one must be given.
        options: What each option means, by name; every value is text.
    """

    read: Callable[..., Cohort]
    summary: str
    tasks: tuple[str, ...]
    default_task: str | None = None
    options: Mapping[str, str] = field(default_factory=dict)
