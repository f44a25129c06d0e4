"""What travels in the wheel, and that it runs from there."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = folder.glob("*.whl")
    assert wheel.stat().st_size < 8_000_000
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_configs_dashboard_and_sample_data_travel(unpacked: Path) -> None:
    shipped = unpacked / "medfuse" / "shipped"
    assert (shipped / "configs" / "demo.yaml").exists()
    assert (shipped / "dashboard" / "app.py").exists()
    assert (shipped / "dashboard" / "viewer" / "viewer.js").exists()
    assert (shipped / "dashboard" / "texts" / "de.yaml").exists()
    assert (shipped / "sample_data" / "cohort.yaml").exists()
    assert list((unpacked / "medfuse" / "evaluation").glob("*.j2"))


def test_the_installed_program_finds_them(unpacked: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import medfuse; from medfuse.resources import shipped\n"
        "from medfuse.config import Config; from medfuse.cohort import Cohort\n"
        "assert medfuse.__file__.startswith(sys.argv[1]), medfuse.__file__\n"
        "assert str(shipped('configs')).startswith(sys.argv[1])\n"
        "from medfuse.review import ReviewStore\n"
        "store = ReviewStore('reviews.sqlite')\n"  # the migrations travel too
        "assert not store.latest()\n"
        "print(Config.load(shipped('configs') / 'demo.yaml').name, len(Cohort.load(shipped('sample_data')).cases))\n"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, str(unpacked)], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] == "demo"
