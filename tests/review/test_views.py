from __future__ import annotations

import pytest

from medfuse.review.database import Database
from medfuse.review.decision import ReviewError
from medfuse.review.store import ReviewStore
from medfuse.review.verify import verify
from medfuse.review.views import MOST, save_view, views


def test_views_are_each_readers_own_and_the_newest_of_a_name_counts(where: str) -> None:
    database = Database(where)
    store = ReviewStore(database, cohort="ward")
    save_view(store, "AB", "unsure", {"unsure": True, "labels": ["wet"]})
    save_view(store, "AB", "all", {})
    save_view(store, "AB", "unsure", {"unsure": True})
    assert views(store, "AB") == {"all": {}, "unsure": {"unsure": True}}
    assert views(store, "CD") == views(ReviewStore(database, cohort="other"), "AB") == {}
    save_view(store, "AB", "all", None)
    assert list(views(store, "AB")) == ["unsure"]
    assert store.latest() == ()  # no decision
    assert verify(database).faults == ()
    database.close()


@pytest.mark.parametrize(("reader", "name"), [("", "x"), ("AB", ""), ("AB", "a\nb"), ("AB", "x" * 61)])
def test_views_that_are_not_valid_are_refused(tmp_path, reader: str, name: str) -> None:
    store = ReviewStore(tmp_path / "reviews.sqlite")
    with pytest.raises(ReviewError):
        save_view(store, reader, name, {})
    assert views(store, reader) == {}


def test_a_reader_has_no_endless_number_of_views(tmp_path) -> None:
    store = ReviewStore(tmp_path / "reviews.sqlite")
    for number in range(MOST):
        save_view(store, "AB", f"v{number}", {})
    with pytest.raises(ReviewError, match="delete one"):
        save_view(store, "AB", "one more", {})
    save_view(store, "AB", "v0", {"unsure": True})  # in place of one that is there
