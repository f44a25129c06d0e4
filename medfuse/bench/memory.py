"""`bench memory`: the most that a process holds (VmHWM) while it classifies, and while it trains, as cases grow.

Scans and notes are small and few, linked under many names with rows of their own, so that the table, the predictions
and what is kept a case are what grows. Tokens come from a cache that the smallest cohort has filled.
"""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from medfuse.bench.harness import Report, Settings, Timing
from medfuse.errors import MedfuseError

CASES = 100_000
FILES = 200  # different scans and notes
SIDE = 64  # pixels of a scan
BUDGET = 0.05  # gigabytes of tokens that the trainings may hold: less than the larger one has
GROWTH = 1.10  # most that a tenfold cohort may hold beside the smaller one
LABELS = ("ill", "well")
CONFIG = {
    "image": {"size": 64},
    "text": {"window": 32, "overlap": 4},
    "fusion": {"width": 16, "components": 32, "name": "weighted_sum"},
    "training": {"epochs": 1, "batch_size": 64},
}
_CHILD = """
import sys
from medfuse.cli import main
try:
    main()
finally:
    with open("/proc/self/status") as status:
        print(next(line for line in status if line.startswith("VmHWM")).split()[1], file=sys.stderr)
"""


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Measure `classify` at a hundredth, a tenth and all of the cases, and `train` at a hundredth and a tenth."""
    if not Path("/proc/self/status").exists():
        message = "bench memory reads VmHWM from /proc, which this system does not have"
        raise MedfuseError(message)
    most = settings.cases or CASES
    sizes = sorted({max(100, most // 100), max(100, most // 10), max(100, most)})
    timings, held = [], {}
    with settings.folder() as work:
        config = work / "config.yaml"
        config.write_text(json.dumps(CONFIG), encoding="utf-8")  # JSON is YAML
        for size in sizes:
            _cohort(work / f"cohort-{size}", size, settings.seed)
        cache = ("--cache", str(work / "tokens"))
        for size in sizes[:2]:
            out = work / f"bundle-{size}"
            shutil.rmtree(out, ignore_errors=True)
            name = f"train, {size} cases"
            seconds, held[name] = _process("train", config, "--cohort", work / f"cohort-{size}", "--out", out, *cache)
            timings.append(Timing(name, (seconds,), (seconds,)))
            progress(1)
        for size in sizes:
            name = f"classify, {size} cases"
            out = work / f"predictions-{size}.parquet"
            seconds, held[name] = _process(
                "classify", work / f"bundle-{sizes[0]}", work / f"cohort-{size}", "--out", out, *cache
            )
            timings.append(Timing(name, (seconds,), (seconds,)))
            progress(1)
    spent = [timing.seconds[0] for timing in timings[-len(sizes) :]]
    by_size = [held[f"classify, {size} cases"] for size in sizes]
    trained = [held[f"train, {size} cases"] for size in sizes[:2]]
    facts = {
        "most memory, megabytes": {name: round(kilobytes / 1000) for name, kilobytes in held.items()},
        "tokens that train may hold, megabytes": round(BUDGET * 1000),
        "classify, largest over smallest": round(by_size[-1] / by_size[0], 3),
        "train, larger over smaller": round(trained[-1] / trained[0], 3),
        "classify within its growth": by_size[-1] <= GROWTH * by_size[0],
        "classify, slope of log seconds over log cases": round(slope(sizes, spent), 3),
    }
    return Report("memory", tuple(timings), facts=facts)


def slope(sizes: Sequence[int], seconds: Sequence[float]) -> float:
    """How time grows over three numbers of cases, 1 in proportion; what the first took is off, with the start."""
    small, large = (max(1e-3, one - seconds[0]) for one in seconds[1:])
    return math.log(large / small) / math.log((sizes[2] - sizes[0]) / (sizes[1] - sizes[0]))


def _cohort(folder: Path, size: int, seed: int) -> None:
    """Rows of their own on hard links to few files; those there are kept."""
    if (folder / "cases.csv").exists():
        return
    from PIL import Image

    rng = np.random.default_rng(seed)
    for name in ("originals", "files"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(FILES):
        ill = number % 2
        grey = np.clip(rng.normal(90 + 60 * ill, 30, (SIDE, SIDE)), 0, 255).astype(np.uint8)
        Image.fromarray(grey).save(folder / "originals" / f"{number}.png")
        words = " ".join(rng.choice(["cough", "fever", "pain", "dyspnoea", "oedema", "rash", "none"], 9))
        (folder / "originals" / f"{number}.txt").write_text(f"HISTORY: {words} day {number}.\n", encoding="utf-8")
    header = {"name": "memory", "task": "multiclass", "labels": list(LABELS), "tabular": {"age": "number"}}
    (folder / "cohort.yaml").write_text(json.dumps(header), encoding="utf-8")
    partial = folder / "cases.partial"
    with partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["case_id", "patient_id", "scans", "notes", "diagnosis", "age"])
        for number in range(size):
            image, note = number % FILES, number * 7 % FILES
            inside = folder / "files" / str(number // 1000)
            inside.mkdir(exist_ok=True)
            names = []
            for what, ending in ((image, "png"), (note, "txt")):
                path = inside / f"{number}.{ending}"
                if not path.exists():
                    os.link(folder / "originals" / f"{what}.{ending}", path)
                names.append(path.relative_to(folder).as_posix())
            writer.writerow([f"case-{number}", f"patient-{number}", *names, LABELS[1 - image % 2], 40 + number % 50])
    os.replace(partial, folder / "cases.csv")


def _process(*arguments: object) -> tuple[float, int]:
    """Seconds and the most kilobytes of a medfuse process."""
    environment = dict(
        os.environ,
        PYTHONPATH=os.pathsep.join([str(Path(__file__).parents[2]), *sys.path[1:]]),
        MEDFUSE_MEMORY_GB=str(BUDGET),
    )
    begun = time.perf_counter()
    done = subprocess.run(  # noqa: S603 - this interpreter, on code that stands above
        [sys.executable, "-c", _CHILD, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    said = done.stderr.strip().splitlines()
    if done.returncode:
        message = f"a process that was to be measured failed: {said[-2:]}"
        raise MedfuseError(message)
    return time.perf_counter() - begun, int(said[-1])
