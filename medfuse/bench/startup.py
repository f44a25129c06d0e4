"""`bench startup`: what a fresh process costs, beside what nobody can do without."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from medfuse.bench.harness import Report, Settings, Side, Spread, alternate
from medfuse.bench.subjects import default_bundle, radiographs
from medfuse.errors import MedfuseError

ROUNDS = 7
HELP = 0.25  # seconds that `medfuse --help` may take
_LOAD = "import sys, torch\nfrom safetensors.torch import load_file\nload_file(sys.argv[1])\n"
_MEDFUSE = "from medfuse.cli import main\nmain()\n"


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Time `--help` and the classification of one case in fresh processes, and importing torch and loading weights."""
    with settings.folder() as work:
        default_bundle(work)
        case = radiographs(work / "cases", count=1, seed=settings.seed)[0]
        bundle = work / "bundle"
        one = ("classify", bundle, "--scan", case.scans[0].path, "--note", case.notes[0].path)
        sides = [
            _side("medfuse --help", _MEDFUSE, "--help"),
            _side("medfuse classify, one case", _MEDFUSE, *one),
            _side("import torch and load the weights", _LOAD, bundle / "model.safetensors"),
        ]
        timings = alternate(sides, rounds=settings.rounds or ROUNDS, progress=progress)
    report = Report("startup", tuple(timings))
    floor = report.compared("medfuse classify, one case", "import torch and load the weights", aim=1 / 1.3)
    seconds = Spread.of(timings[0].seconds).median
    facts = {"help, seconds": round(seconds, 3), "help within its budget": seconds <= HELP}
    return Report("startup", tuple(timings), (floor,), facts)


def _side(name: str, code: str, *arguments: object) -> Side:
    work = partial(_process, code, *map(str, arguments))
    return Side(name, work, warm=work)


def _process(code: str, *arguments: str) -> None:
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join([str(Path(__file__).parents[2]), *sys.path[1:]]))
    done = subprocess.run(  # noqa: S603 - this interpreter, on code that stands above
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False, env=environment
    )
    if done.returncode:
        message = f"a process that was to be timed failed: {done.stderr.strip().splitlines()[-1:]}"
        raise MedfuseError(message)
