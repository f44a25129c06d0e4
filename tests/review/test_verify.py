from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from medfuse.review.access import Account, Accounts
from medfuse.review.chain import START
from medfuse.review.database import Database
from medfuse.review.decision import Review, ReviewError
from medfuse.review.schema import METADATA
from medfuse.review.store import ReviewStore
from medfuse.review.study import Study, create_study
from medfuse.review.verify import verify

PASSWORD = "correct horse battery"
# When a session was last used says nothing of any decision; everything else is covered.
COLUMNS = [
    (table.name, column.name)
    for table in METADATA.sorted_tables
    for column in table.columns
    if (table.name, column.name) != ("sessions", "seen_at")
]


def fill(where: str) -> Database:
    store = ReviewStore(where, cohort="ward", labels=("infection", "embolism"))
    create_study(store, Study(name="s", readers=("AB", "CD"), cases=("c1", "c2")), actor="boss")
    store.viewed("c1", "AB", prediction="ab" * 32)
    store.add(Review(case_id="c1", reader="AB", action="accept", predicted="infection", probability=0.75, key="k1"))
    store.add(Review(case_id="c1", reader="CD", action="override", labels=("embolism",), comment="wedge ä"))
    store.undo("c1", "CD")
    accounts = Accounts(store.database)
    accounts.add(Account("AB", "reader", subject="ab@example.org"), password=PASSWORD, actor="boss")
    accounts.change("AB", role="arbiter", actor="boss")
    accounts.sign_in("AB", PASSWORD)
    return store.database


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("filled") / "reviews.sqlite"
    fill(str(path)).close()
    return path.read_bytes()


@pytest.fixture
def path(filled: bytes, tmp_path: Path) -> Path:
    (tmp_path / "reviews.sqlite").write_bytes(filled)
    return tmp_path / "reviews.sqlite"


def as_attacker(path: Path) -> Any:
    """A connection on which nothing stands in the way."""
    raw = sqlite3.connect(path, isolation_level=None)
    for (trigger,) in raw.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
        raw.execute(f"DROP TRIGGER {trigger}")
    return closing(raw)


def faults(path: Path, **given: Any) -> tuple[str, ...]:
    database = Database(path)
    found = verify(database, **given).faults
    database.close()
    return found


def test_an_untouched_store_verifies_and_gives_an_anchor(where: str) -> None:
    database = fill(where)
    found = verify(database)
    assert found.faults == ()
    assert found.entries == 8
    assert found.anchor.startswith("8:")
    assert verify(database, anchor=found.anchor).faults == ()
    ReviewStore(database, cohort="ward").viewed("c2", "AB")
    assert verify(database, anchor=found.anchor).faults == ()  # what was added since is no fault
    database.close()


def test_an_empty_store_verifies(tmp_path: Path) -> None:
    database = Database(tmp_path / "x.sqlite")
    assert verify(database).anchor == f"0:{START}"
    assert verify(database).faults == ()


@pytest.mark.parametrize(("table", "column"), COLUMNS)
def test_one_changed_bit_in_any_column_is_found(path: Path, table: str, column: str) -> None:
    with as_attacker(path) as raw:
        rows = raw.execute(f"SELECT rowid, {column} FROM {table} WHERE {column} IS NOT NULL").fetchall()
        rowid, value = rows[len(rows) // 2]
        changed = value ^ 1 if isinstance(value, int) else value[:-1] + chr(ord(value[-1]) ^ 1) if value else "x"
        try:
            raw.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed, rowid))
        except sqlite3.IntegrityError:  # a number that is taken: give it another
            raw.execute(f"UPDATE {table} SET {column} = ? WHERE rowid = ?", (changed + 1000, rowid))
    assert faults(path), (value, changed)


def test_a_value_put_where_none_was_is_found(path: Path) -> None:
    with as_attacker(path) as raw:
        raw.execute("UPDATE entries SET key = 'x' WHERE number = 1")
    assert "entry 1 was changed" in faults(path)[0]


@pytest.mark.parametrize("number", [1, 4, 8])
def test_a_removed_entry_is_found(path: Path, number: int) -> None:
    with as_attacker(path) as raw:
        raw.execute("DELETE FROM entries WHERE number = ?", (number,))
    assert faults(path)


@pytest.mark.parametrize("swapped", [{"number"}, {"number", "previous"}, {"number", "previous", "hash"}, {"body"}])
def test_reordered_entries_are_found(path: Path, swapped: set[str]) -> None:
    with as_attacker(path) as raw:
        raw.row_factory = sqlite3.Row
        one, two = map(dict, raw.execute("SELECT * FROM entries WHERE number IN (4, 5)").fetchall())
        raw.execute("DELETE FROM entries WHERE number IN (4, 5)")
        for row, other in ((one, two), (two, one)):
            new = {name: (other if name in swapped else row)[name] for name in row}
            raw.execute(f"INSERT INTO entries VALUES ({', '.join('?' * len(new))})", tuple(new.values()))
    assert faults(path)


def test_removed_rows_of_accounts_are_found(path: Path) -> None:
    with as_attacker(path) as raw:
        raw.execute("DELETE FROM accounts")
    assert faults(path) == ("an account is not as the log says",)


def test_a_chain_that_was_cut_or_written_anew_is_found_by_the_anchor(path: Path, tmp_path: Path) -> None:
    database = Database(path)
    anchor = verify(database).anchor
    database.close()
    with as_attacker(path) as raw:
        raw.execute("DELETE FROM entries WHERE number > 7")
        raw.execute("DELETE FROM sessions")
        raw.execute("UPDATE head SET number = 7, hash = (SELECT hash FROM entries WHERE number = 7)")
    assert faults(path) == ()  # nothing inside of the database can tell
    assert "there are only 7" in faults(path, anchor=anchor)[0]
    other = ReviewStore(tmp_path / "other.sqlite", cohort="ward")
    for number in range(9):
        other.viewed(f"c{number}", "AB")
    other.close()
    assert faults(tmp_path / "other.sqlite", anchor=anchor) == ("entry 8 is not the one of the anchor",)
    with pytest.raises(ReviewError, match="NUMBER:HASH"):
        faults(path, anchor="nonsense")


def flips(content: bytes) -> Iterator[int]:
    """Places of bytes that belong to a stored value."""
    for value in (b"wedge", b"embolism", b"infection", b"$argon2id$", b"ab@example.org", b"override", b"0.75"):
        place = content.find(value)
        assert place >= 0, value
        yield place


def test_one_flipped_byte_of_the_file_is_found(path: Path, filled: bytes) -> None:
    for place in flips(filled):
        damaged = bytearray(filled)
        damaged[place] ^= 0x80  # no valid text any more, as a failing disk leaves it
        path.write_bytes(damaged)
        assert faults(path), filled[place : place + 10]


@pytest.mark.real
def test_one_changed_byte_in_postgresql_is_found(postgresql: str, request: pytest.FixtureRequest) -> None:
    from tests.review.conftest import new_database

    url = new_database(request)
    database = fill(url)
    raw = create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
    with raw.begin() as connection:
        with pytest.raises(Exception, match="only ever added"), connection.begin_nested():
            connection.execute(text("UPDATE entries SET actor = 'X'"))
        with pytest.raises(Exception, match="only ever added"), connection.begin_nested():
            connection.execute(text("TRUNCATE entries"))
        connection.execute(text("ALTER TABLE entries DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE entries SET body = replace(body, 'wedge', 'vedge')"))
    assert verify(database).faults == ("entry 4 was changed: its hash does not fit",)
    raw.dispose()
    database.close()
