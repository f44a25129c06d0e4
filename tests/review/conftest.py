from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from medfuse.case import Case
from medfuse.cohort import Cohort


@pytest.fixture
def desk_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `cohort/`, `predictions.jsonl` and `evaluation/`, without scans and notes."""
    folder = tmp_path_factory.mktemp("desk")
    cases = tuple(Case(case_id, case_id) for case_id in ("a", "b"))
    Cohort(folder / "cohort", "small", "multiclass", ("infection", "embolism"), cases).save()
    line = {
        "case_id": "a",
        "probabilities": {"infection": 0.6, "embolism": 0.4},
        "prediction_set": ["infection"],
        "abstain": False,
        "modalities": [],
        "contributions": {},
        "warnings": [],
        "error": None,
        "bundle": "ab12",
    }
    (folder / "predictions.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "evaluation").mkdir()
    (folder / "evaluation" / "metrics.json").write_text(json.dumps({"summary": {"n_cases": 3}}))
    (folder / "evaluation" / "report.html").write_text("<html></html>")
    return folder


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of Debian's PostgreSQL, a cluster of its own in a temporary folder on a free port."""
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not programs:
        if os.environ.get("CI"):
            pytest.fail("no PostgreSQL in /usr/lib/postgresql; `.ci/run` should have installed it")
        pytest.skip("no PostgreSQL in /usr/lib/postgresql (Debian package postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="medfuse-postgresql-", dir="/tmp"))  # its socket's path must be short
    # The server refuses to run as root.
    other = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    if other:
        shutil.chown(folder, "nobody", "nogroup")

    def run(program: str, *arguments: str) -> None:
        command = [str(programs[-1].parent / program), *arguments]
        subprocess.run(command, check=True, cwd=folder, stdout=subprocess.DEVNULL, timeout=120, **other)

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    data, log = str(folder / "data"), str(folder / "log")
    options = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1 -c max_connections=120"
    run("initdb", "-D", data, "-U", "medfuse", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8")
    run("pg_ctl", "-D", data, "-l", log, "-o", options, "-w", "start")
    try:
        yield f"postgresql://medfuse@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty store of each kind: the path of a file, or the URL of a new database."""
    return str(tmp_path / "reviews.sqlite") if request.param == "sqlite" else new_database(request)


def new_database(request: pytest.FixtureRequest) -> str:
    """The URL of a new database of the private PostgreSQL."""
    import psycopg

    url = request.getfixturevalue("postgresql")
    name = f"d{uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return url.removesuffix("postgres") + name
