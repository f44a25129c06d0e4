from __future__ import annotations

import socket
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from medfuse.config import ImageConfig
from medfuse.errors import CohortError, MedfuseError
from medfuse.review import launch
from medfuse.review.desk import Places

PLACES = Places(cohort=Path("a cohort"), predictions=Path("p.jsonl"), store="x.sqlite", evaluation=Path("--e"))


def option(command: list[str], name: str) -> str:
    assert command.count(name) == 1
    return command[command.index(name) + 1]


def test_the_server_listens_on_this_machine_only_and_sends_nothing() -> None:
    command = launch.command(PLACES, port=8123)
    assert command[:4] == [sys.executable, "-m", "medfuse.review.server", "run"]
    assert Path(command[4]).name == "door.py"
    expected = {
        "--server.address": "127.0.0.1",
        "--server.port": "8123",
        "--server.headless": "true",
        "--server.enableCORS": "true",
        "--server.enableXsrfProtection": "true",
        "--server.fileWatcherType": "none",
        "--browser.gatherUsageStats": "false",
        "--client.showErrorDetails": "none",
    }
    assert {name: option(command, name) for name in expected} == expected
    hosts = [value for name, value in pairwise(command) if name == "--server.allowedHosts"]
    assert hosts == ["127.0.0.1", "localhost"]


def test_streamlit_knows_every_option() -> None:
    from streamlit import config

    known = config.get_config_options()
    names = [part[2:] for part in launch.command(PLACES, port=1) if part.startswith("--") and "." in part]
    assert set(names) <= set(known)


def test_places_survive_the_command_line() -> None:
    places = Places(
        cohort=Path("a cohort"), predictions=Path("p"), store="postgresql://h/d", image=ImageConfig(size=320)
    )
    assert Places.of_arguments(places.arguments()) == places
    with_evaluation = Places(cohort=Path("c"), predictions=Path("p"), store="s", evaluation=Path("e"))
    assert Places.of_arguments(with_evaluation.arguments()) == with_evaluation


def test_a_wrong_input_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    with pytest.raises(CohortError, match="no such folder"):
        launch.serve(cohort=tmp_path / "none", predictions=tmp_path / "p", store=str(tmp_path / "s.sqlite"))


def test_a_port_in_use_is_told_before_anything_starts(desk_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("started"))
    given = {
        "cohort": desk_folder / "cohort",
        "predictions": desk_folder / "predictions.jsonl",
        "store": str(desk_folder / "reviews.sqlite"),
    }
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(MedfuseError, match="--port"):
            launch.serve(**given, port=taken.getsockname()[1])
    with pytest.raises(MedfuseError, match="65535"):
        launch.serve(**given, port=70000)


def test_the_exit_code_is_the_servers(desk_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[list[str]] = []

    class Server:
        def __init__(self, command: list[str]) -> None:
            started.append(command)

        def wait(self) -> int:
            return 3

    monkeypatch.setattr(subprocess, "Popen", Server)
    code = launch.serve(
        cohort=desk_folder / "cohort",
        predictions=desk_folder / "predictions.jsonl",
        store=str(desk_folder / "reviews.sqlite"),
        port=8499,
        open_browser=False,
    )
    assert code == 3
    assert option(started[0], "--cohort") == str(desk_folder / "cohort")
