from __future__ import annotations

from datetime import UTC, datetime

import pytest

from medfuse.evaluation.intervals import wilson_interval
from medfuse.review.decision import Review
from medfuse.review.since import Month, by_month


def decided(action: str, year: int, month: int) -> Review:
    return Review(case_id="c", reader="AB", action=action, created_at=datetime(year, month, 3, tzinfo=UTC))


def test_decisions_are_counted_by_month() -> None:
    given = [decided("accept", 2026, 2), decided("override", 2026, 2), decided("uncertain", 2025, 12)]
    given += [decided("accept", 2026, 2), decided("bad_image", 2026, 2), decided("comment", 2026, 3)]
    december, february = by_month(given)
    assert (december, december.share, december.interval) == (Month("2025-12", 0, 0, 1), None, None)
    assert february == Month("2026-02", accepted=2, overridden=1, unclear=1)
    assert february.share == pytest.approx(1 / 3)
    assert february.interval == wilson_interval(positive=1, total=3)
    assert by_month([]) == []
