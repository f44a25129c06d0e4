"""What is told at the end of a run over many cases: counts, and the first lines of what went wrong, never all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from medfuse.case import Prediction

LINES = 50  # of each kind that are kept


@dataclass
class Summary:
    """Predictions counted as they pass.

    Attributes:
        cases: How many there were.
        failed: Those that could not be classified.
        unreadable: Those that were classified without a file that could not be read.
        remarkable: Those with an error or a warning.
        lines: The first different lines of each kind.
        untold: Lines that were not kept; some may have repeated others.
    """

    cases: int = 0
    failed: int = 0
    unreadable: int = 0
    remarkable: int = 0
    lines: Mapping[str, dict[str, None]] = field(
        default_factory=lambda: {kind: {} for kind in ("table", "failed", "unreadable", "warnings")}
    )
    untold: int = 0

    def add(self, prediction: Prediction) -> None:
        """Count a prediction and keep what it says."""
        self.cases += 1
        self.remarkable += bool(prediction.error or prediction.warnings)
        if prediction.error is not None:
            self.failed += 1
            self.tell("failed", f"case {prediction.case_id}: not classified: {prediction.error}")
            return
        self.unreadable += bool(prediction.unreadable)
        for line in prediction.unreadable:
            self.tell("unreadable", f"case {prediction.case_id}: {line}")
        for line in prediction.warnings:
            if line not in prediction.unreadable:
                self.tell("warnings", f"case {prediction.case_id}: {line}")

    def tell(self, kind: str, line: str) -> None:
        """Keep a line, if there is room for it among its kind."""
        kept = self.lines[kind]
        if line in kept:
            return
        if len(kept) < LINES:
            kept[line] = None
        else:
            self.untold += 1

    def told(self) -> list[str]:
        """The lines that were kept, the worst kind first, each once."""
        return list(dict.fromkeys(line for kept in self.lines.values() for line in kept))

    def watch(self, predictions: Iterable[Prediction]) -> Iterator[Prediction]:
        """Let predictions pass, and count them."""
        for prediction in predictions:
            self.add(prediction)
            yield prediction
