"""Cases that a model was trained on, under the same patient's name or another: refused, left out, or owned up to."""

from __future__ import annotations

from typing import Literal, get_args

from medfuse.bundle import Bundle
from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.encoders.cases import EncodedCase
from medfuse.errors import CohortError

Rule = Literal["refuse", "leave-out", "keep"]
RULES: tuple[Rule, ...] = get_args(Rule)


class Overlap:
    """Which cases of a cohort are evaluated on, with regard to those that the bundle has seen.

    Seen are the patients of the train, validation and calibration splits, by a digest of their ids, and what their
    scans and longer notes hold, by digests of content (`medfuse.encoders.contents`), so that a copy under other names
    is known too. In the cohort that the bundle was trained on these are what is not held out, and are left out; in any
    other they mean that it is no external one, and it is refused, unless `rule` says otherwise.

    Args:
        bundle: The bundle.
        cohort: The cohort.
        rule: `refuse`, `leave-out` or `keep`.

    Attributes:
        own: Whether the bundle was trained on this cohort, by its name.
        known: Ids of the cases that the bundle has seen, as far as they were looked at.
    """

    def __init__(self, bundle: Bundle, cohort: Cohort, rule: Rule = "refuse") -> None:
        self.bundle, self.cohort = bundle, cohort
        self.own = cohort.name == bundle.facts.get("cohort")
        self.rule: Rule = "leave-out" if rule == "refuse" and self.own else rule
        self.known: list[str] = []
        self._renamed = 0
        self._split = any(case.split is not None for case in cohort.cases)

    def candidates(self) -> list[Case]:
        """The cases of the test split, or of all splits if there is none, as far as their patients may stand.

        Raises:
            CohortError: If the bundle has seen a patient and the rule is to refuse.
        """
        cases = [case for case in self.cohort.cases if not self._split or case.split == "test"]
        seen = [case.case_id for case in cases if self.bundle.split_of(case.patient_id) is not None]
        if seen and self.rule == "refuse":
            message = (
                f"{self.cohort.folder}: {len(seen)} of {len(cases)} cases are of patients that this bundle was trained,"
                f" validated or calibrated on ({_few(seen)}); --overlap leave-out goes on without them, --overlap keep"
                " with them and says so in the report (ids that are alike by chance are told in no other way)"
            )
            raise CohortError(message)
        self.known = seen
        known = frozenset(seen)
        return cases if self.rule == "keep" else [case for case in cases if case.case_id not in known]

    def admits(self, one: EncodedCase) -> bool:
        """Whether a case that was read stays in.

        Raises:
            CohortError: If it holds what the bundle has seen and the rule is to refuse.
        """
        if not self.bundle.saw(one.contents):
            return True
        if self.rule == "refuse":
            message = (
                f"{self.cohort.folder}: case {one.case.case_id} holds a scan or note that this bundle was trained,"
                " validated or calibrated on, under another patient; --overlap leave-out goes on without such cases,"
                " --overlap keep with them and says so in the report"
            )
            raise CohortError(message)
        if one.case.case_id not in self.known:
            self.known.append(one.case.case_id)
            self._renamed += 1
        return self.rule == "keep"

    def problems(self) -> list[str]:
        """What was left out, one line each; nothing of training patients in a cohort without splits of its own."""
        lines: list[str] = []
        if self.bundle.contents is None and not self.own:
            lines.append(
                "the bundle was made before contents were kept: copies of its training cases under other patients'"
                " names cannot be told"
            )
        if self.rule == "keep" or not self.known:
            return lines
        same = len(self.known) - self._renamed
        if same and (self._split or not self.own):
            lines.append(f"{same} test cases left out: training saw their patients")
        if self._renamed:
            copies = self.known[-self._renamed :]
            lines.append(
                f"{self._renamed} test cases left out: they hold a scan or note of training cases under another patient"
                f" ({_few(copies)}); `medfuse audit` shows which"
            )
        return lines

    def notes(self) -> list[str]:
        """What must stand on top of the report."""
        if self.rule != "keep" or not self.known:
            return []
        return [
            f"{len(self.known)} of these cases are of patients, or hold a scan or note, that the model was trained,"
            " validated or calibrated on. They were kept on request: the figures flatter the model."
        ]


def _few(ids: list[str]) -> str:
    return ", ".join(ids[:5]) + (", …" if len(ids) > 5 else "")
