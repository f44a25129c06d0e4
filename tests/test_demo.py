from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from medfuse.demo import run_demo


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_whole_path_runs_from_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    @contextmanager
    def bar(title: str, total: int) -> Iterator:
        yield lambda _: None

    shown = run_demo(Path("demo"), cases=90, seed=0, bar=bar)  # a relative folder, as a user gives it
    assert [name for name, _ in shown.rows] == ["fused", "image", "note"]
    assert shown.best["all"] > max(shown.best["image"], shown.best["text"])
    assert shown.example.modalities[:2] == ("image", "text")
    assert "text" not in shown.without_note.modalities
    for name in ("fused", "image", "note"):
        assert (tmp_path / "demo" / "evaluation" / name / "report.html").exists()
