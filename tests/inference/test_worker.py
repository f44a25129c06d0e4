"""A worker by itself, without Ray: what breaks costs its case, and what the storage does is not blamed on a case."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pandas as pd
import pytest

from medfuse.bundle import verify
from medfuse.cohort import Cohort
from medfuse.encoders import cases
from medfuse.inference.blocks import cut
from medfuse.inference.storage import Place
from medfuse.inference.worker import Run, Worker
from medfuse.table import Ids, Table


def worker_of(bundle: Path, cohort: Path | str, out: Path, digest: str = "") -> Worker:
    known = {"bundle": digest or verify(bundle), "engine": "torch"}
    return Worker(Run(Place(str(bundle)), Place(str(cohort)), Place(str(out)), known))


def first_block(worker: Worker) -> dict[str, str]:
    table: Table = worker.table
    return {"block": json.dumps(asdict(next(cut(table, Ids(table), 32, print))))}


def breaks_on(name: str) -> Callable:
    whole = cases.read_fitted

    def read(path: Path, *arguments: object, **options: object) -> object:
        if Path(path).name == name:
            message = "a decoder's own fault, which names a patient"
            raise RuntimeError(message)
        return whole(path, *arguments, **options)

    return read


@pytest.mark.parametrize("uri", [False, True])
def test_a_case_that_breaks_what_reads_it_is_the_only_one_without_an_answer(
    uri: bool, tiny_bundle: Path, tiny_cohort: Cohort, tmp_path: Path, monkeypatch
) -> None:
    where = f"file://{tiny_cohort.folder}" if uri else tiny_cohort.folder
    well, ill = (worker_of(tiny_bundle, where, tmp_path / name) for name in ("well", "ill"))
    block = first_block(well)
    well(block)
    monkeypatch.setattr(cases, "read_fitted", breaks_on("c5.png"))
    assert json.loads(ill(block)["receipt"])["failed"] == 1
    before, after = (pd.read_parquet(tmp_path / name / "part-00000.parquet") for name in ("well", "ill"))
    assert list(before.case_id) == list(after.case_id) == [f"c{number}" for number in range(32)]
    assert list(after.error.dropna().index) == [5]
    assert "RuntimeError" in after.error[5]
    assert "patient" not in after.error[5]
    assert after.p_wet.drop(5).to_numpy() == pytest.approx(before.p_wet.drop(5).to_numpy(), abs=2e-3)
    assert before.p_wet.notna().all()


def test_a_storage_that_does_not_answer_is_no_fault_of_a_case(
    tiny_bundle: Path, tiny_cohort: Cohort, tmp_path: Path, monkeypatch
) -> None:
    worker = worker_of(tiny_bundle, f"file://{tiny_cohort.folder}", tmp_path / "out")
    block = first_block(worker)

    def gone(*_: object) -> None:
        raise ConnectionError

    monkeypatch.setattr(Place, "fetch", gone)
    with pytest.raises(ConnectionError):
        worker(block)
    assert not (tmp_path / "out").exists()


def test_a_bundle_that_was_exchanged_is_refused(tiny_bundle: Path, tiny_cohort: Cohort, tmp_path: Path) -> None:
    worker = worker_of(tiny_bundle, tiny_cohort.folder, tmp_path / "out", digest="another")
    assert "another than the run began with" in worker(first_block(worker))["error"]
    assert not (tmp_path / "out").exists()


def test_a_path_that_leads_out_of_the_cohort_is_not_fetched(
    tiny_bundle: Path, tiny_cohort: Cohort, tmp_path: Path, monkeypatch
) -> None:
    folder = tmp_path / "cohort"
    folder.mkdir()
    (folder / "cohort.yaml").write_bytes((tiny_cohort.folder / "cohort.yaml").read_bytes())
    table = pd.read_csv(tiny_cohort.folder / "cases.csv", dtype=str)
    table["scans"] = ["../secret.png", "/etc/hosts", "scans/../../secret.png"] + ["scans/none.png"] * (len(table) - 3)
    table.to_csv(folder / "cases.csv", index=False)
    (tmp_path / "secret.png").write_bytes((tiny_cohort.folder / "scans" / "c0.png").read_bytes())
    asked: list[str] = []
    fetch = Place.fetch
    monkeypatch.setattr(Place, "fetch", lambda place, name, to: (asked.append(name), fetch(place, name, to))[1])
    worker = worker_of(tiny_bundle, f"file://{folder}", tmp_path / "out")
    receipt = json.loads(worker(first_block(worker))["receipt"])
    assert not [name for name in asked if "secret" in name or "etc" in name]
    assert receipt["faulty"] == 3
    found = pd.read_parquet(tmp_path / "out" / "part-00000.parquet")
    assert not found.modalities.str.contains("image").any()
