from __future__ import annotations

import multiprocessing
import shutil
import sqlite3
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from medfuse.review.database import Database
from medfuse.review.decision import Review, ReviewError
from medfuse.review.migrations import KNOWN
from medfuse.review.schema import METADATA, REVISION
from medfuse.review.store import ReviewStore

RELEASES = Path(__file__).parent / "releases"  # a store of every released schema, written by that release


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return Path(shutil.copy(RELEASES / "1.sqlite", tmp_path / "reviews.sqlite"))


def test_the_first_releases_decisions_are_kept(old: Path) -> None:
    ward = ReviewStore(old, cohort="ward", labels=("infection", "embolism"))
    first, second = ward.history("c1")
    (third,) = ward.history("c2")
    assert (first.id, first.reader, first.action, first.predicted, first.probability) == (
        1, "AB", "accept", "infection", 0.75
    )  # fmt: skip
    assert (second.labels, second.comment, second.seconds) == (("embolism",), "wedge – <b>ä 日本", 30.0)
    assert str(first.created_at) == "2026-11-24 06:56:31.804385+00:00"
    assert (third.action, third.comment) == ("comment", "look again")
    (fourth,) = ReviewStore(old, cohort="clinic").history("c1")
    assert (fourth.labels, fourth.probability, fourth.action) == ((), 1 / 3, "override")
    assert ward.add(Review(case_id="c9", reader="AB", action="accept")).id == 5
    ward.close()
    with sqlite3.connect(old) as raw:
        tables = {name for (name,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    assert "reviews" not in tables
    assert ReviewStore(old, cohort="ward").latest()[-1].case_id == "c9"


@pytest.mark.parametrize("old_file", ["1.sqlite", None])
def test_the_migrated_schema_is_the_one_that_the_code_uses(old_file: str | None, tmp_path: Path) -> None:
    path = tmp_path / "reviews.sqlite"
    if old_file:
        shutil.copy(RELEASES / old_file, path)
    database = Database(path)
    with database.reading("x") as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
    assert KNOWN[-1] == REVISION


def test_a_store_of_a_newer_medfuse_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "reviews.sqlite"
    Database(path).close()
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '99'")
    with pytest.raises(ReviewError, match="newer medfuse"):
        Database(path)


def test_a_migration_that_fails_leaves_the_old_store(old: Path) -> None:
    with sqlite3.connect(old) as raw:
        raw.execute("CREATE TABLE sessions (x)")  # is in the new schema's way
    with pytest.raises(ReviewError, match="cannot be brought"):
        Database(old)
    with sqlite3.connect(old) as raw:
        assert raw.execute("SELECT count(*) FROM reviews").fetchone() == (4,)
        assert not raw.execute("SELECT 1 FROM sqlite_master WHERE name IN ('entries', 'alembic_version')").fetchall()


def _open(path: Path) -> None:
    Database(path).close()


def test_two_that_open_an_old_store_at_once_migrate_it_once(old: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_open, args=(old,)) for _ in range(2)]
    for one in both:
        one.start()
    for one in both:
        one.join(60)
    assert [one.exitcode for one in both] == [0, 0]
    assert len(ReviewStore(old, cohort="ward").latest()) == 3
