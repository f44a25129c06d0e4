from __future__ import annotations

import multiprocessing
import sqlite3
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from medfuse.review.decision import ConflictError, Region, Review, ReviewError
from medfuse.review.store import ReviewStore, standing

LABELS = ("infection", "embolism")


@pytest.fixture
def store(tmp_path: Path) -> ReviewStore:
    return ReviewStore(tmp_path / "new folder" / "reviews.sqlite", labels=LABELS)


def decision(case_id: str = "c1", reader: str = "AB", action: str = "accept", **rest: object) -> Review:
    return Review(case_id=case_id, reader=reader, action=action, **rest)


def test_a_decision_comes_back_as_it_was(store: ReviewStore) -> None:
    given = decision(
        action="override",
        labels=("embolism",),
        comment="Robert'); DROP TABLE reviews;-- <script>ä 日本",
        predicted="infection",
        probability=0.25,
        bundle="ab12",
        seconds=12.5,
    )
    before = datetime.now(UTC)
    stored = store.add(given)
    assert stored.id == 1
    assert stored.created_at is not None
    assert stored.created_at.utcoffset() == timedelta(0)
    assert before <= stored.created_at <= datetime.now(UTC)
    assert store.history("c1") == (stored,)
    assert store.history("c2") == ()
    assert {
        getattr(stored, name) == getattr(given, name) for name in ("labels", "comment", "predicted", "seconds")
    } == {True}


def test_it_survives_closing_and_another_store_sees_it(store: ReviewStore, tmp_path: Path) -> None:
    stored = store.add(decision())
    store.close()
    again = ReviewStore(f"sqlite:///{tmp_path}/new folder/reviews.sqlite", labels=LABELS)
    assert again.history("c1") == (stored,)


def test_an_invalid_decision_is_not_stored(store: ReviewStore) -> None:
    with pytest.raises(ReviewError):
        store.add(decision(action="override", labels=("asthma",)))
    with pytest.raises(ReviewError):
        ReviewStore(store.where).add(decision(action="override", labels=("embolism",)))
    assert store.history("c1") == ()


def test_the_newest_accept_or_override_stands_and_a_remark_does_not_reopen(store: ReviewStore) -> None:
    store.add(decision(action="accept"))
    override = store.add(decision(action="override", labels=("embolism",)))
    store.add(decision(action="comment", comment="later thought"))
    other = store.add(decision(reader="CD", action="comment", comment="seen"))
    assert store.latest() == (override, other)
    assert standing(store.latest()) == {"c1": override}
    assert len(store.history("c1")) == 4


def test_progress_counts_cases_and_readers(store: ReviewStore) -> None:
    store.add(decision("c1"))
    store.add(decision("c1", action="override", labels=("embolism",)))
    store.add(decision("c2"))
    store.add(decision("c2", "CD", "comment", comment="look again"))
    store.add(decision("c3", "CD", "comment", comment="look again"))
    progress = store.progress()
    assert progress.cases == 3
    assert progress.by_action == {"accept": 1, "override": 1, "comment": 1, "uncertain": 0, "bad_image": 0}
    assert progress.by_reader == {"AB": 2, "CD": 2}


def test_cohorts_in_one_store_do_not_see_each_other(store: ReviewStore) -> None:
    other = ReviewStore(store.where, cohort="other", labels=LABELS)
    other.add(decision())
    assert store.history("c1") == store.latest() == ()
    assert len(other.latest()) == 1


def test_what_is_stored_cannot_be_changed_or_removed(store: ReviewStore, tmp_path: Path) -> None:
    store.add(decision())
    with sqlite3.connect(tmp_path / "new folder" / "reviews.sqlite") as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        for statement in ("UPDATE entries SET actor = 'X'", "DELETE FROM entries"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added"):
                raw.execute(statement)
    assert store.history("c1")[0].reader == "AB"


def test_a_database_that_is_none_gives_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no database at all " * 100)
    urls = ("nonsense://x", "mysql://x", "postgresql://u:secret@127.0.0.1:1/x", "sqlite:////no/such/folder/x.sqlite")
    for where in (tmp_path / "notes.txt", tmp_path, *urls):
        with pytest.raises(ReviewError) as caught:
            ReviewStore(where)
        assert "\n" not in str(caught.value)
        assert "secret" not in str(caught.value)


def test_a_failed_write_says_so_without_quoting_the_comment(store: ReviewStore, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "new folder" / "reviews.sqlite") as raw:
        raw.execute("DROP TABLE entries")
    with pytest.raises(ReviewError, match="was not stored") as caught:
        store.add(decision(action="comment", comment="Mrs Smith"))
    assert "Smith" not in str(caught.value)


def _write(path: Path, reader: str) -> None:
    store = ReviewStore(path)  # both open, and so create, the database at once
    for number in range(100):
        store.add(Review(case_id=f"c{number}", reader=reader, action="accept"))


def test_two_processes_writing_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "reviews.sqlite"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, reader)) for reader in ("AB", "CD")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    store = ReviewStore(path)
    assert store.progress().by_reader == {"AB": 100, "CD": 100}
    numbers = [review.id for case in range(100) for review in store.history(f"c{case}")]
    assert sorted(numbers) == list(range(1, 201))


def test_opening_waits_for_another_that_is_opening(tmp_path: Path) -> None:
    """SQLite itself refuses at once to change the mode of a file that another connection is about to write."""
    path = tmp_path / "reviews.sqlite"
    other = sqlite3.connect(path, check_same_thread=False)
    other.execute("CREATE TABLE x (y)")
    other.execute("BEGIN IMMEDIATE")
    timer = threading.Timer(0.5, other.rollback)
    timer.start()
    assert ReviewStore(path).add(decision()).id == 1
    timer.join()
    other.close()


def test_two_readers_on_one_case_do_not_overwrite_each_other_silently(store: ReviewStore) -> None:
    seen = store.version("c1")
    first = store.add(decision(reader="AB"), version=seen)
    with pytest.raises(ConflictError, match="AB decided on this case since") as caught:
        store.add(decision(reader="CD", action="override", labels=("embolism",)), version=seen)
    assert caught.value.newer == (first,)
    assert store.history("c1") == (first,)
    assert store.version("c1") == caught.value.version == first.id
    second = store.add(decision(reader="CD", action="override", labels=("embolism",)), version=caught.value.version)
    assert store.latest() == (first, second)
    # Another case's decisions are in nobody's way.
    assert store.add(decision("c2"), version=store.version("c2")).id == 3


def test_both_of_two_threads_that_saw_the_same_cannot_save(store: ReviewStore) -> None:
    start, results = threading.Barrier(8), []

    def save(reader: str) -> None:
        start.wait()
        try:
            results.append(store.add(decision(reader=reader), version=0))
        except ConflictError as error:
            results.append(error)

    threads = [threading.Thread(target=save, args=(f"R{number}",)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(result, Review) for result in results) == 1
    assert len(store.history("c1")) == 1


def test_undo_takes_the_newest_back_and_keeps_the_history(store: ReviewStore) -> None:
    accept = store.add(decision())
    override = store.add(decision(action="override", labels=("embolism",)))
    other = store.add(decision(reader="CD", action="uncertain"))
    assert (accept.corrects, override.corrects, other.corrects) == (None, accept.id, None)
    undo = store.undo("c1", "AB", version=store.version("c1"))
    assert (undo.action, undo.undoes) == ("undo", override.id)
    assert store.latest() == (accept, other)
    assert store.history("c1") == (accept, override, other, undo)
    assert store.history("c1", reader="CD") == (other,)
    again = store.add(decision(action="bad_image"))
    assert again.corrects == accept.id
    store.undo("c1", "AB")
    store.undo("c1", "AB")
    assert store.latest() == (other,)
    with pytest.raises(ReviewError, match="nothing of yours"):
        store.undo("c1", "AB")
    assert ReviewStore(store.where).latest() == (other,)  # one who reads it all says the same as one who followed


def test_a_repeated_save_is_stored_once(store: ReviewStore) -> None:
    first = store.add(decision(key="click-1"), version=0)
    assert store.add(decision(key="click-1"), version=0) == first
    assert len(store.history("c1")) == 1
    with pytest.raises(ReviewError, match="belongs to another"):
        store.add(decision("c2", key="click-1"))
    assert store.add(decision(key="click-2")).id == 2


def test_regions_and_judged_labels_come_back(tmp_path: Path) -> None:
    store = ReviewStore(tmp_path / "r.sqlite", labels=LABELS, task="multilabel")
    points = ((0.0, 0.5), (20.25, 40.0))
    region = Region(scan="scans/a.dcm", shape="rectangle", points=points, size=(64, 48), slice=3, label="embolism")
    given = decision(
        action="override", labels=("embolism",), judged=("embolism",), regions=(region,), model_answer=("infection",)
    )
    stored = store.add(given)
    assert store.history("c1") == (stored,)
    assert (stored.regions, stored.judged) == ((region,), ("embolism",))
    assert stored.answer("multilabel") == {"infection", "embolism"}


def test_a_view_is_an_entry_and_no_decision(store: ReviewStore, tmp_path: Path) -> None:
    store.viewed("c1", "AB", prediction="ab" * 32)
    assert store.history("c1") == store.latest() == ()
    assert store.version("c1") == 0
    assert store.add(decision(), version=0).id == 2
    with sqlite3.connect(tmp_path / "new folder" / "reviews.sqlite") as raw:
        row = raw.execute("SELECT action, actor, case_id, prediction FROM entries WHERE number = 1").fetchone()
    assert row == ("view", "AB", "c1", "ab" * 32)
    with pytest.raises(ReviewError):
        store.viewed("c1", "A\nB")


def test_what_stands_is_followed_and_not_read_anew(store: ReviewStore) -> None:
    other = ReviewStore(store.where, labels=LABELS)
    for number in range(50):
        (store if number % 2 else other).add(decision(f"c{number % 7}", reader=f"R{number % 3}"))
        assert store.latest() == ReviewStore(store.where).latest()
