"""Who may use how many threads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from medfuse.encoders import threads
from medfuse.encoders.threads import budget, fastest_threads, torch_threads


@pytest.mark.parametrize(("given", "threads"), [("3", 3), ("1", 1), ("4,2", 4)])
def test_the_environment_is_respected(monkeypatch, given: str, threads: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    assert budget() == threads


@pytest.mark.parametrize("given", ["", "0", "many"])
def test_without_a_number_the_cores_decide(monkeypatch, given: str) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert 1 <= budget() <= 3


def test_torch_gets_its_threads_back() -> None:
    before = torch.get_num_threads()
    with torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


class _Clock:
    """Time that passes only by work: 2 s with one thread, `many` with more."""

    def __init__(self, monkeypatch, *, many: float) -> None:
        self.now, self.many = 0.0, many
        monkeypatch.setattr("medfuse.encoders.threads.time.perf_counter", lambda: self.now)

    def work(self) -> None:
        self.now += 2.0 if torch.get_num_threads() == 1 else self.many


@pytest.mark.parametrize(("many", "chosen"), [(1.0, 2), (1.6, 2), (1.8, 1), (2.0, 1), (40.0, 1)])
def test_more_threads_only_where_clearly_faster(tmp_path: Path, monkeypatch, many: float, chosen: int) -> None:
    clock = _Clock(monkeypatch, many=many)
    assert fastest_threads(clock.work, name="x", folder=tmp_path, most=2) == chosen


def test_the_choice_is_remembered_for_this_work_and_machine(tmp_path: Path, monkeypatch) -> None:
    assert fastest_threads(_Clock(monkeypatch, many=1.0).work, name="x", folder=tmp_path, most=2) == 2
    unasked = pytest.fail
    assert fastest_threads(lambda: unasked("probed again"), name="x", folder=tmp_path, most=2) == 2
    asked: list[int] = []
    fastest_threads(lambda: asked.append(1), name="y", folder=tmp_path, most=2)
    assert asked
    assert len(json.loads((tmp_path / "threads.json").read_text())) == 2


def test_a_damaged_memory_is_written_again(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "threads.json").write_text("{")
    assert fastest_threads(_Clock(monkeypatch, many=1.0).work, name="x", folder=tmp_path, most=2) == 2
    assert json.loads((tmp_path / "threads.json").read_text())


def test_one_thread_needs_no_probe(tmp_path: Path) -> None:
    assert fastest_threads(lambda: pytest.fail("probed"), name="x", folder=tmp_path, most=1) == 1
    assert threads.GAIN > 1
