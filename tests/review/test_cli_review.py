"""The verbs `medfuse review …`, through the program's own entry."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from medfuse.case import Case
from medfuse.cli import main
from medfuse.cohort import Cohort
from medfuse.review.access import Accounts
from medfuse.review.database import Database
from medfuse.review.decision import Review
from medfuse.review.log import newest
from medfuse.review.seat import Seat
from medfuse.review.store import ReviewStore
from tests.review.test_verify import as_attacker

LABELS = ("infection", "embolism")


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    cases = tuple(Case(f"c{number}", f"p{number}", split="test") for number in range(4))
    Cohort(tmp_path / "cohort", "ward", "multiclass", LABELS, cases).save()
    store = ReviewStore(tmp_path / "reviews.sqlite", cohort="ward", labels=LABELS)
    store.add(Review(case_id="c0", reader="AB", action="override", labels=("embolism",)))
    store.close()
    return tmp_path / "reviews.sqlite", tmp_path / "cohort"


def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: object
) -> tuple[int, str, str]:
    monkeypatch.setattr(sys, "argv", ["medfuse", "review", *map(str, arguments)])
    monkeypatch.setenv("COLUMNS", "120")
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr()
    return int(ended.value.code or 0), told.out, told.err


def test_verify_backup_restore_and_export(
    places: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, cohort = places
    code, out, _ = run(capsys, monkeypatch, "verify", store, "--json")
    anchor = json.loads(out)["anchor"]
    assert (code, anchor[:2]) == (0, "1:")
    assert run(capsys, monkeypatch, "backup", store, tmp_path / "kept")[0] == 0
    code, out, _ = run(capsys, monkeypatch, "restore", tmp_path / "kept", tmp_path / "again.sqlite")
    assert (code, anchor in out) == (0, True)
    for kind, name in (("csv", "r.csv"), ("fhir", "r.json"), ("cohort", "corrected")):
        code, out, err = run(
            capsys, monkeypatch, "export", store, "--cohort", cohort, "--format", kind, "--out", tmp_path / name
        )
        assert (code, err) == (0, "")
        assert (tmp_path / name).exists()
    done = [(one.action, one.body.get("format", "")) for one in newest(Database(store))]
    assert done[:4] == [("export", "cohort"), ("export", "fhir"), ("export", "csv"), ("backup", "")]
    assert Cohort.load(tmp_path / "corrected").cases[0].labels == {"infection": 0, "embolism": 1}
    with as_attacker(store) as raw:
        raw.execute("UPDATE entries SET actor = 'XY' WHERE number = 1")
    code, out, err = run(capsys, monkeypatch, "verify", store, "--anchor", anchor)
    assert (code, err) == (1, "medfuse: entry 1 was changed: its hash does not fit\n")


def test_a_store_that_is_not_there_is_not_made(
    places: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for verb in (("verify",), ("backup",), ("user", "list")):
        rest = (tmp_path / "out",) if verb == ("backup",) else ()
        code, _, err = run(capsys, monkeypatch, *verb, tmp_path / "none.sqlite", *rest)
        assert (code, "no such store" in err) == (2, True)
    assert not (tmp_path / "none.sqlite").exists()


def test_accounts(
    places: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, _ = places
    (tmp_path / "secret").write_text("correct horse battery\n")
    given = ("AB", "--role", "auditor", "--password-file", tmp_path / "secret")
    assert run(capsys, monkeypatch, "user", "add", store, *given)[0] == 0
    assert run(capsys, monkeypatch, "user", "add", store, "CD", "--subject", "cd@example.org")[0] == 0
    assert run(capsys, monkeypatch, "user", "add", store, *given)[0] == 2
    (tmp_path / "other").write_text("another long password\n")
    assert run(capsys, monkeypatch, "user", "change", store, "CD", "--role", "arbiter")[0] == 0
    changed = ("AB", "--role", "admin", "--password-file", tmp_path / "other")
    assert run(capsys, monkeypatch, "user", "change", store, *changed)[0] == 0
    assert Accounts(Database(store)).sign_in("AB", "another long password")
    assert "nothing to change" in run(capsys, monkeypatch, "user", "change", store, "AB")[2]
    assert run(capsys, monkeypatch, "user", "change", store, "AB", "--role", "auditor")[0] == 0
    assert run(capsys, monkeypatch, "user", "disable", store, "AB")[0] == 0
    _, out, _ = run(capsys, monkeypatch, "user", "list", store, "--json")
    assert [(one["name"], one["role"], one["disabled"]) for one in json.loads(out)] == [
        ("AB", "auditor", True), ("CD", "arbiter", False)
    ]  # fmt: skip
    assert "cd@example.org" in run(capsys, monkeypatch, "user", "list", store)[1]
    assert run(capsys, monkeypatch, "verify", store)[0] == 0


def test_a_study_and_its_agreement(
    places: tuple[Path, Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, cohort = places
    given = ("--cohort", cohort, "--name", "s", "--reader", "AB", "--reader", "CD", "--arbiter", "ZZ")
    code, out, _ = run(capsys, monkeypatch, "study", path, *given)
    assert (code, out) == (0, "AB: 4 cases\nCD: 4 cases\n")
    store = ReviewStore(path, cohort="ward", labels=LABELS)
    for reader, labels in (("AB", (0, 1, 0, 1)), ("CD", (0, 1, 1, 1))):
        seat = Seat(store, "s", reader, {})
        for number, label in enumerate(labels):
            chosen = (LABELS[label],)
            seat.add(Review(case_id=f"c{number}", reader="", action="override", labels=chosen, seconds=10.0))
    code, out, _ = run(capsys, monkeypatch, "agreement", path, "--cohort", cohort, "--study", "s", "--json")
    told = json.loads(out)
    assert told["cases"] == {"open": 0, "agreed": 3, "disagreed": 1, "arbitrated": 0}
    assert [one["median_seconds"] for one in told["readers"]] == [10.0, 10.0]
    # By hand: 3 of 4 agree, chance (2 × 1 + 2 × 3) / 16.
    (pair,) = told["agreement"][0]["cohen_kappa"]
    assert pair["value"] == pytest.approx((0.75 - 0.5) / 0.5)
    code, out, _ = run(capsys, monkeypatch, "agreement", path, "--cohort", cohort, "--study", "s")
    assert "Gwet's AC1" in out
    code, _, err = run(capsys, monkeypatch, "agreement", path, "--cohort", cohort, "--study", "t")
    assert (code, "there are s" in err) == (2, True)
