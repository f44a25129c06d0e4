"""Sixteen readers at once and one of them killed: every decision that was acknowledged is there, once.

The full run, 1,000 decisions a reader:
`MEDFUSE_DECISIONS=1000 python -m pytest tests/review/test_many_readers.py -s --timeout 3000`.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep

import pytest

from medfuse.review.database import Database
from medfuse.review.decision import ConflictError, Review
from medfuse.review.store import ReviewStore
from medfuse.review.verify import verify

READERS = 16
DECISIONS = int(os.environ.get("MEDFUSE_DECISIONS", "60"))
CASES = max(50, DECISIONS // 4)  # so few that the readers meet on each
pytestmark = [pytest.mark.slow, pytest.mark.timeout(max(300, 3 * DECISIONS))]


def _read(where: str, reader: str, told: Path) -> None:
    """A reader: tells each decision once the store has said that it is stored.

    Started again, it repeats the first one that it has not told, as a page would whose answer did not come.
    """
    store, conflicts = ReviewStore(where, cohort="ward", labels=("infection", "embolism")), 0
    done = len(told.read_text().split())
    with told.open("a") as out:
        for number in range(done, DECISIONS):
            case_id = f"c{(number * 7 + int(reader[1:])) % CASES}"
            label = ("infection", "embolism")[number % 2]
            review = Review(
                case_id=case_id, reader=reader, action="override", labels=(label,), key=f"{reader}-{number}"
            )
            seen, stored = store.version(case_id), None
            while stored is None:
                try:
                    stored = store.add(review, version=seen)
                except ConflictError as error:
                    seen, conflicts = error.version, conflicts + 1
            out.write(f"{number}:{stored.id}\n")
            out.flush()
    told.with_suffix(".conflicts").write_text(str(conflicts))


def test_no_decision_is_lost_or_doubled(where: str, tmp_path: Path) -> None:
    Database(where).close()
    told = {f"R{number}": tmp_path / f"R{number}" for number in range(READERS)}
    context = multiprocessing.get_context("forkserver")  # imports once, so that the readers really meet
    context.set_forkserver_preload(["medfuse.review.store", "psycopg", "tests.review.test_many_readers"])

    def start(reader: str) -> BaseProcess:
        told[reader].touch()
        process = context.Process(target=_read, args=(where, reader, told[reader]), daemon=True)
        process.start()
        return process

    began = monotonic()
    running = {reader: start(reader) for reader in told}
    while len(told["R3"].read_text().split()) < DECISIONS // 3:
        assert running["R3"].is_alive()
        sleep(0.005)
    os.kill(running["R3"].pid or 0, signal.SIGKILL)
    running["R3"].join()
    assert running["R3"].exitcode == -signal.SIGKILL
    acknowledged = len(told["R3"].read_text().split())
    assert acknowledged < DECISIONS
    running["R3"] = start("R3")
    for process in running.values():
        process.join()
    seconds = monotonic() - began
    assert {process.exitcode for process in running.values()} == {0}
    conflicts = sum(int(file.with_suffix(".conflicts").read_text()) for file in told.values())

    store = ReviewStore(where, cohort="ward")
    stored = {review.key: review for case in range(CASES) for review in store.history(f"c{case}")}
    counted = sum(len(store.history(f"c{case}")) for case in range(CASES))
    assert counted == len(stored) == READERS * DECISIONS  # none lost, none twice
    for reader, file in told.items():
        for line in file.read_text().split():
            number, _, place = line.partition(":")
            assert stored[f"{reader}-{number}"].id == int(place)  # and each is the one that was acknowledged
    found = verify(store.database)
    store.close()
    assert found.faults == ()
    assert found.entries == READERS * DECISIONS
    print(  # noqa: T201 - the figures of the full run
        f"\n{store.database.where.partition(':')[0]}: {counted} decisions of {READERS} readers in {seconds:.0f} s, "
        f"{conflicts} conflicts told, one reader killed after {acknowledged}; anchor {found.anchor[:20]}…"
    )
