from __future__ import annotations

from medfuse.review.database import Database
from medfuse.review.decision import Review
from medfuse.review.log import actions, newest, record
from medfuse.review.store import ReviewStore
from medfuse.review.verify import verify


def test_what_was_done_is_read_newest_first(where: str) -> None:
    database = Database(where)
    store = ReviewStore(database, cohort="ward")
    store.viewed("c1", "AB")
    store.add(Review(case_id="c1", reader="AB", action="accept"))
    told = record(database, "export", actor="AU", cohort="ward", study="S", body={"format": "csv"})
    assert (told.number, told.body) == (3, {"format": "csv"})
    assert [(one.actor, one.action) for one in newest(database)] == [("AU", "export"), ("AB", "accept"), ("AB", "view")]
    assert [one.action for one in newest(database, actor="AB", most=1)] == ["accept"]
    assert [one.number for one in newest(database, action="view")] == [1]
    assert newest(database, case_id="c2") == []
    assert actions(database) == ("accept", "export", "view")
    assert verify(database).faults == ()
    database.close()
