"""The Ray engine, on a real Ray: the same answers, every case once, whatever is killed, from a real S3 server too."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.inference import Predictor, write_predictions
from medfuse.inference.cluster import classify_on_ray
from tests.conftest import make_tiny

pytest.importorskip("ray", reason="the extra 'ray' is not installed")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(900), pytest.mark.xdist_group("ray")]

CASES = 400
BLOCK = 16


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cohort with a damaged scan, a case without anything, a row that stands twice and a path that leads out."""
    folder = tmp_path_factory.mktemp("ward") / "cohort"
    make_tiny(folder, cases=CASES)
    (folder / "scans" / "c5.png").write_bytes(b"<html>404</html>")
    lines = (folder / "cases.csv").read_text().splitlines()
    lines.insert(40, lines[3])
    columns = lines[0].split(",")
    bare = {"case_id": "bare", "patient_id": "bare", "scans": "../../etc/passwd"}
    lines.append(",".join(bare.get(column, "") for column in columns))
    (folder / "cases.csv").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture(scope="module")
def alone(ward: Path, tiny_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """What this machine's engine says."""
    path = tmp_path_factory.mktemp("alone") / "p.parquet"
    write_predictions(Predictor.load(tiny_bundle).stream(Cohort.load(ward).cases), path)
    return pd.read_parquet(path)


def parts(folder: Path) -> pd.DataFrame:
    listed = [one["name"] for one in json.loads((folder / "manifest.json").read_text())["parts"]]
    assert sorted(path.name for path in folder.iterdir()) == sorted([*listed, "manifest.json", "run.json"])
    return pd.concat([pd.read_parquet(folder / name) for name in listed], ignore_index=True)


def assert_same(found: pd.DataFrame, alone: pd.DataFrame) -> None:
    assert list(found.case_id) == list(alone.case_id)  # every case exactly once, in the order of the table
    assert list(found.columns) == list(alone.columns)
    for column in alone.columns:
        if alone[column].dtype == float:
            np.testing.assert_allclose(found[column], alone[column], atol=1e-6)
        else:
            assert list(found[column].fillna("")) == list(alone[column].fillna("")), column


def test_the_same_answers_as_one_machine_and_a_manifest_of_the_parts(
    ward: Path, alone: pd.DataFrame, tiny_bundle: Path, tmp_path: Path
) -> None:
    import hashlib

    done: list[int] = []
    summary = classify_on_ray(
        str(tiny_bundle), str(ward), str(tmp_path / "out"), workers=2, block=BLOCK, progress=done.append
    )
    assert_same(parts(tmp_path / "out"), alone)
    assert sum(done) == summary.cases == CASES + 1
    assert (summary.failed, summary.unreadable) == (1, 1)
    assert "stands twice" in summary.told()[0]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["cases"], manifest["failed"], manifest["left_out"]) == (CASES + 1, 1, 1)
    assert len(manifest["parts"]) == -(-(CASES + 1) // BLOCK)
    for part in manifest["parts"]:
        assert part["sha256"] == hashlib.sha256((tmp_path / "out" / part["name"]).read_bytes()).hexdigest()
    # A damaged part is done again, the others are left as they are; another run finds the folder taken.
    before = manifest["parts"][4]
    times = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("part-*")}
    (tmp_path / "out" / before["name"]).write_bytes(b"half a part")
    classify_on_ray(str(tiny_bundle), str(ward), str(tmp_path / "out"), workers=1, block=BLOCK)
    after = {path.name for path in (tmp_path / "out").glob("part-*") if path.stat().st_mtime_ns != times[path.name]}
    assert after == {before["name"]}
    assert_same(parts(tmp_path / "out"), alone)
    with pytest.raises(MedfuseError, match="differs in block"):
        classify_on_ray(str(tiny_bundle), str(ward), str(tmp_path / "out"), workers=1, block=2 * BLOCK)


def start(bundle: Path, cohort: Path, out: Path, *, workers: int) -> subprocess.Popen:
    command = [sys.executable, "-c", "from medfuse.cli import main; main()", "classify", bundle, cohort]
    command += ["--engine", "ray", "--workers", str(workers), "--block", str(BLOCK), "--out", out]
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(Path(__file__).parents[2]), *sys.path[1:]]))
    return subprocess.Popen([*map(str, command)], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def wait_for_parts(out: Path, count: int, driver: subprocess.Popen) -> None:
    until = time.monotonic() + 120
    while len(list(out.glob("part-*.parquet"))) < count:
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < until
        time.sleep(0.02)


def below(pid: int) -> Iterator[tuple[int, str]]:
    """The processes that a process started, and those that these started, with what they are called."""
    parents: dict[int, list[tuple[int, str]]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
                title = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            parents.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append((int(entry.name), title))
    waiting = [pid]
    while waiting:
        for child, title in parents.get(waiting.pop(), ()):
            yield child, title
            waiting.append(child)


def test_a_worker_that_is_killed_costs_nothing_but_time(
    ward: Path, alone: pd.DataFrame, tiny_bundle: Path, tmp_path: Path
) -> None:
    driver = start(tiny_bundle, ward, tmp_path / "out", workers=2)
    wait_for_parts(tmp_path / "out", 3, driver)
    workers = [pid for pid, title in below(driver.pid) if "MapWorker" in title]
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    assert not (tmp_path / "out" / "manifest.json").exists()  # it was in mid-run
    said, wrong = driver.communicate(timeout=200)
    assert driver.returncode == 1, wrong  # one case holds nothing, one row stands twice
    assert f"{CASES} cases classified" in said.decode()
    assert_same(parts(tmp_path / "out"), alone)


def test_a_driver_that_is_killed_is_started_again_and_does_the_rest(
    ward: Path, alone: pd.DataFrame, tiny_bundle: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    driver = start(tiny_bundle, ward, out, workers=1)
    wait_for_parts(out, 4, driver)
    started = [pid for pid, title in below(driver.pid) if "MapWorker" in title]
    driver.kill()
    driver.communicate()
    until = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in started) and time.monotonic() < until:
        time.sleep(0.1)  # Ray's processes end when their driver is gone
    assert not (out / "manifest.json").exists()
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("part-*")}
    assert 4 <= len(kept) < -(-(CASES + 1) // BLOCK)
    (out / ".part-00020.parquet.0000.partial").write_bytes(b"what a killed worker was writing")
    again = start(tiny_bundle, ward, out, workers=1)
    _, wrong = again.communicate(timeout=200)
    assert again.returncode == 1, wrong
    assert_same(parts(out), alone)
    assert {name: (out / name).stat().st_mtime_ns for name in kept} == kept  # none of them was done again


def test_a_block_that_fails_again_and_again_is_named_when_the_others_are_done(
    ward: Path, alone: pd.DataFrame, tiny_bundle: Path, tmp_path: Path
) -> None:
    out, many = tmp_path / "out", 4 * BLOCK
    places = (str(tiny_bundle), str(ward), str(out))
    classify_on_ray(*places, workers=1, block=many)
    for name in ("manifest.json", "part-00002.parquet", "part-00004.parquet"):
        (out / name).unlink()
    (out / "part-00002.parquet").mkdir()  # neither read nor written: a storage that fails
    with pytest.raises(MedfuseError, match=r"1 of 7 blocks were not done \(the first is 2\)"):
        classify_on_ray(*places, workers=1, block=many)
    assert not (out / "manifest.json").exists()
    assert len([path for path in out.glob("part-*") if path.is_file()]) == 6
    (out / "part-00002.parquet").rmdir()
    classify_on_ray(*places, workers=1, block=many)
    assert_same(parts(out), alone)


def test_a_folder_that_holds_something_else_is_left_alone(ward: Path, tiny_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(MedfuseError, match="already holds something"):
        classify_on_ray(str(tiny_bundle), str(ward), str(tmp_path), workers=1, block=BLOCK)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.fixture(scope="module")
def store() -> Iterator[str]:
    """The options of a real S3 server, moto's, on this machine."""
    server = os.environ.get("MEDFUSE_MOTO_SERVER") or str(Path(sys.executable).with_name("moto_server"))
    if not Path(server).exists():
        pytest.skip("moto_server is not installed: pip install 'moto[server]>=5.2.5' (5.2.1 cannot end an upload)")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen([server, "-H", "127.0.0.1", "-p", str(port)], **quiet)
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            break
        except OSError:
            time.sleep(0.1)
    yield f"endpoint_override=127.0.0.1:{port}&scheme=http&region=us-east-1"
    process.terminate()
    process.wait()


@pytest.mark.parametrize("table", ["csv", "parquet"])
def test_bundle_cohort_and_predictions_may_lie_in_an_object_store(
    table: str, ward: Path, alone: pd.DataFrame, tiny_bundle: Path, store: str, tmp_path: Path, monkeypatch
) -> None:
    from pyarrow.fs import FileSystem, LocalFileSystem, copy_files

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "of-no-account")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "of-no-account")
    system, _ = FileSystem.from_uri(f"s3://ward?{store}&allow_bucket_creation=true")
    bucket = f"ward-{table}"
    system.create_dir(bucket)
    cohort = tmp_path / "cohort"
    shutil.copytree(ward, cohort)
    if table == "parquet":
        pd.read_csv(cohort / "cases.csv", dtype=str).to_parquet(cohort / "cases.parquet", row_group_size=50)
        (cohort / "cases.csv").unlink()
    for name, folder in (("cohort", cohort), ("bundle", tiny_bundle)):
        copy_files(str(folder), f"{bucket}/{name}", source_filesystem=LocalFileSystem(), destination_filesystem=system)
    places = [f"s3://{bucket}/{name}?{store}" for name in ("bundle", "cohort", "out")]
    summary = classify_on_ray(*places, workers=2, block=10 * BLOCK)
    assert summary.cases == CASES + 1
    (tmp_path / "out").mkdir()
    copy_files(
        f"{bucket}/out", str(tmp_path / "out"), source_filesystem=system, destination_filesystem=LocalFileSystem()
    )
    assert_same(parts(tmp_path / "out"), alone)
