from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from medfuse.review.backup import backup, restore
from medfuse.review.database import Database
from medfuse.review.decision import Review, ReviewError
from medfuse.review.log import newest
from medfuse.review.store import ReviewStore
from medfuse.review.verify import verify
from tests.review.conftest import new_database
from tests.review.test_migrations import RELEASES
from tests.review.test_verify import as_attacker, fill


def test_a_backup_is_restored_as_it_was(where: str, tmp_path: Path) -> None:
    database = fill(where)
    found = backup(database, tmp_path / "kept" / "backup")
    assert found == verify(database)
    ReviewStore(database, cohort="ward").viewed("c2", "AB")  # is after the backup
    again = Database(tmp_path / "again.sqlite")
    assert restore(tmp_path / "kept" / "backup", again) == found
    one, two = ReviewStore(database, cohort="ward"), ReviewStore(again, cohort="ward")
    assert one.history("c1") == two.history("c1") != ()
    assert two.add(Review(case_id="c2", reader="AB", action="accept")).id == found.entries + 1
    assert sorted(path.name for path in (tmp_path / "kept").iterdir()) == ["backup"]
    with pytest.raises(ReviewError, match="is there already"):
        backup(database, tmp_path / "kept" / "backup")
    with pytest.raises(ReviewError, match="holds entries already"):
        restore(tmp_path / "kept" / "backup", again)
    database.close()
    again.close()


@pytest.mark.real
def test_a_store_moves_between_sqlite_and_postgresql(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    small = fill(str(tmp_path / "small.sqlite"))
    found = backup(small, tmp_path / "one")
    large = Database(new_database(request))
    assert restore(tmp_path / "one", large) == found
    assert backup(large, tmp_path / "two") == found
    assert (tmp_path / "two").read_bytes().startswith(b'{"medfuse_review_backup":1')
    back = Database(tmp_path / "back.sqlite")
    assert restore(tmp_path / "two", back) == found
    large.close()
    with pytest.raises(ReviewError, match="is there already"):
        backup(large, tmp_path / "two")


@pytest.mark.real
def test_a_damaged_backup_is_refused_and_nothing_is_restored(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    database = fill(new_database(request))
    backup(database, tmp_path / "good")
    database.close()
    good = (tmp_path / "good").read_bytes()
    lines = good.splitlines(keepends=True)
    damaged = {
        "flipped": good.replace(b"wedge", b"vedge"),
        "cut": good[: len(good) // 2],
        "without end": b"".join(lines[:-1]),
        "without a row": b"".join([*lines[:3], *lines[4:]]),
        "empty": b"",
        "something else": b'{"a": 1}\n{"lines": 1}\n',
    }
    target = Database(tmp_path / "target.sqlite")
    for name, content in damaged.items():
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(ReviewError):
            restore(tmp_path / "bad", target)
        assert verify(target).entries == 0, name
    restore(tmp_path / "good", target)
    assert verify(target).faults == ()


def test_a_store_that_does_not_verify_is_not_backed_up(tmp_path: Path) -> None:
    database = fill(str(tmp_path / "reviews.sqlite"))
    with as_attacker(tmp_path / "reviews.sqlite") as raw:
        raw.execute("UPDATE entries SET actor = 'X' WHERE number = 3")
    with pytest.raises(ReviewError, match="does not verify"):
        backup(database, tmp_path / "kept")
    assert not (tmp_path / "kept").exists()


def test_a_backup_of_the_first_release_is_restored_and_left_as_it_is(tmp_path: Path) -> None:
    old = Path(shutil.copy(RELEASES / "1.sqlite", tmp_path / "old.sqlite"))
    before = old.read_bytes()
    assert restore(old, Database(tmp_path / "new.sqlite")).entries == 4
    assert old.read_bytes() == before


def test_a_store_that_is_in_use_is_restored_with_its_newest_entries(tmp_path: Path) -> None:
    database = fill(str(tmp_path / "a store #1.sqlite"))
    assert (tmp_path / "a store #1.sqlite-wal").stat().st_size > 0
    found = verify(database)
    assert restore(tmp_path / "a store #1.sqlite", Database(tmp_path / "new.sqlite")) == found
    database.close()


def test_a_damaged_file_of_sqlite_is_refused(tmp_path: Path) -> None:
    fill(str(tmp_path / "reviews.sqlite")).close()
    content = bytearray((tmp_path / "reviews.sqlite").read_bytes())
    content[content.find(b"wedge")] ^= 1
    (tmp_path / "bad").write_bytes(content)
    (tmp_path / "cut").write_bytes(content[: len(content) // 3])
    target = Database(tmp_path / "target.sqlite")
    for name in ("bad", "cut"):
        with pytest.raises(ReviewError):
            restore(tmp_path / name, target)
    assert verify(target).entries == 0


def test_backup_and_restore_stand_in_the_log_of_who_did_them(tmp_path: Path) -> None:
    database = Database(tmp_path / "a.sqlite")
    ReviewStore(database).add(Review(case_id="c1", reader="AB", action="accept"))
    found = backup(database, tmp_path / "kept", actor="AD")
    again = Database(tmp_path / "b.sqlite")
    assert restore(tmp_path / "kept", again, actor="AE") == found
    for one, action, actor in ((database, "backup", "AD"), (again, "restore", "AE")):
        (last, _) = newest(one)
        assert (last.action, last.actor, last.body) == (action, actor, {"anchor": found.anchor})
        assert verify(one, anchor=found.anchor).faults == ()
