"""`bench ray`: the same cohort by one Ray worker and by two, and what ten million studies would take at that rate."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

from medfuse.bench.harness import Report, Settings, Spread, Timing
from medfuse.bench.subjects import default_bundle, radiographs
from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.inference.blocks import STEP
from medfuse.inference.cluster import classify_on_ray

CASES, ROUNDS, SIDE = 512, 3, 2048
SKIPPED = 4  # blocks by which both workers have loaded the model
STUDIES = 10_000_000  # of the computed plan
CORES = (16, 64, 256)
EFFICIENCY = 0.85  # share of more cores that is taken to arrive: what two workers are asked to reach
_TICKS = os.sysconf("SC_CLK_TCK")


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Classify the same radiographs by one worker and by two, single-threaded, in turns.

    A side's seconds, and the processor seconds of its workers, are those between the end of its fourth block and the
    end of its last, a case, so that the start of Ray and the loading of the model are left out; the facts say how long
    all of it took.
    """
    count, rounds = settings.cases or CASES, settings.rounds or ROUNDS
    if count < 2 * SKIPPED * STEP:
        message = f"--cases {count}: what is skipped and what is measured need {2 * SKIPPED * STEP} cases or more"
        raise MedfuseError(message)
    with settings.folder() as work:
        bundle = default_bundle(work)
        cases = tuple(radiographs(work / "cohort" / "files", count=count, seed=settings.seed, side=SIDE))
        Cohort(work / "cohort", "radiographs", bundle.task, bundle.labels, cases).save()
        found: dict[int, list[_Measured]] = {1: [], 2: []}
        for number in range(rounds):
            for workers in (1, 2) if number % 2 == 0 else (2, 1):
                found[workers].append(_measure(work, workers))
                progress(1)
        size = sum(path.stat().st_size for case in cases for path in _files(case)) / count
    timings = tuple(
        Timing(_name(workers), tuple(one.steady for one in each), tuple(one.processor for one in each))
        for workers, each in found.items()
    )
    report = Report("ray", timings)
    spent = Spread.of([one.processor for one in found[1]]).median
    facts = {
        "cases": count,
        "side of a radiograph": SIDE,
        "whole run, seconds": {
            _name(workers): [round(one.whole, 1) for one in each] for workers, each in found.items()
        },
        "processor seconds a case, one worker": round(spent, 4),
        "megabytes of a case": round(size / 1e6, 2),
        f"plan for {STUDIES} studies": plan(spent, size),
    }
    return Report("ray", timings, (report.compared(_name(2), _name(1), aim=1.7),), facts)


def plan(spent: float, size: float) -> dict[str, str]:
    """How long the studies take by cores, and what their storage must give meanwhile.

    Args:
        spent: Processor seconds a case on one core.
        size: Bytes of a case that are read.
    """
    told = {"processor": f"{spent * STUDIES / 3600:.0f} core hours, {size * STUDIES / 1e12:.0f} TB to read"}
    for cores in CORES:
        hours = spent * STUDIES / 3600 / cores / EFFICIENCY
        told[f"{cores} cores"] = f"{hours:.1f} h, {size * STUDIES / hours / 3600 / 1e9:.2f} GB a second"
    return told


def _files(case: Case) -> list[Path]:
    return [*(scan.path for scan in case.scans), *(note.path for note in case.notes if note.path is not None)]


@dataclass(frozen=True)
class _Measured:
    """Seconds of a whole run; seconds and processor seconds a case of its measured blocks."""

    whole: float
    steady: float
    processor: float


def _name(workers: int) -> str:
    return f"{workers} worker{'s' if workers > 1 else ''}"


def _measure(work: Path, workers: int) -> _Measured:
    shutil.rmtree(work / "out", ignore_errors=True)
    marks: list[tuple[int, float, float]] = []  # cases, seconds and processor seconds as each block ends
    with _watched() as used:
        begun = time.perf_counter()

        def mark(cases: int) -> None:
            used.look()
            marks.append((cases, time.perf_counter() - begun, used.seconds))

        places = (str(work / name) for name in ("bundle", "cohort", "out"))
        classify_on_ray(*places, workers=workers, block=STEP, engine="torch", progress=mark)
        whole = time.perf_counter() - begun
    (_, first, spent), (_, last, total) = marks[SKIPPED - 1], marks[-1]
    cases = sum(count for count, _, _ in marks[SKIPPED:])
    return _Measured(whole, (last - first) / cases, (total - spent) / cases)


@dataclass
class _Used:
    """Processor seconds by process."""

    ticks: dict[int, int] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        return sum(self.ticks.values()) / _TICKS

    def look(self) -> None:
        """Read how much the workers have used; they are Ray's children, so that nobody can ask for it afterwards."""
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if b"MapWorker" not in (entry / "cmdline").read_bytes():
                    continue
                user, system = (entry / "stat").read_text().rpartition(")")[2].split()[11:13]
            except (OSError, ValueError):
                continue
            self.ticks[int(entry.name)] = int(user) + int(system)


@contextmanager
def _watched() -> Iterator[_Used]:
    used, ended = _Used(), Event()

    def look() -> None:
        while not ended.wait(0.2):
            used.look()

    thread = Thread(target=look, daemon=True)
    thread.start()
    try:
        yield used
    finally:
        ended.set()
        thread.join()
