"""The README is true to the letter: its commands run, in its order, on a table of a user's own."""

from __future__ import annotations

import csv
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import WORDS, make_tiny

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def commands() -> list[list[str]]:
    """The `medfuse` commands of the README's shell blocks, but for the dashboard, which does not end."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.strip().removeprefix(".venv/bin/") for block in blocks for line in block.splitlines()]
    inline = re.findall(r"A single case: `(.+?)`", README)
    found = [shlex.split(line) for line in [*lines, *inline] if line.startswith("medfuse")]
    return [command for command in found if command[1] != "dashboard"]


def test_the_readme_has_its_commands() -> None:
    assert [command[1] for command in commands()] == ["import", "train", "evaluate", "classify", "classify"]
    for target in ("demo", "test"):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_every_linked_file_is_there() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (ROOT / target).exists(), target


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_five_steps_run(tmp_path: Path) -> None:
    cohort = make_tiny(tmp_path / "raw", cases=60)
    with (tmp_path / "cases.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "note", "diagnosis", "patient_id", "age"])
        for number, case in enumerate(cohort.cases):
            label = next(name for name, value in case.labels.items() if value == 1)
            image = case.scans[0].path.relative_to(tmp_path)
            writer.writerow([image, f"HISTORY: {WORDS[label]}.", label, f"p{number // 2}", 40 + number % 20])
    (tmp_path / "history.txt").write_text("HISTORY: fever and cough.")
    (tmp_path / "chest.dcm").write_bytes(cohort.cases[0].scans[0].path.read_bytes())  # told by its bytes, not its name
    environment = dict(os.environ, MEDFUSE_CACHE=str(tmp_path / "cache"))
    for command in commands():
        run = [sys.executable, "-c", "from medfuse.cli import main; main()", *command[1:]]
        done = subprocess.run(run, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
    python = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    assert python is not None
    done = subprocess.run(
        [sys.executable, "-c", python[1]], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "{" in done.stdout
