"""Sides that do the same work, measured in turns in one run, and what the measurements say.

Other work on the machine slows whatever runs at that moment. Sides therefore alternate, the order changes from round to
round, and two sides are compared within each round: a slow minute is in both, and the median over rounds leaves it out.
"""

from __future__ import annotations

import gc
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Settings:
    """How large a bench is; None takes the bench's own default.

    Attributes:
        cases: Cases that every side works on.
        rounds: Times that every side runs.
        threads: Threads that every side may use.
        work: Folder for what is made before measuring; None makes one that is removed afterwards.
        seed: Of everything drawn.
    """

    cases: int | None = None
    rounds: int | None = None
    threads: int | None = None
    work: Path | None = None
    seed: int = 0

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """The work folder; what lies there is used again if it is named in the settings."""
        if self.work is not None:
            self.work.mkdir(parents=True, exist_ok=True)
            yield self.work
            return
        from tempfile import TemporaryDirectory

        with TemporaryDirectory(prefix="medfuse-bench-") as made:
            yield Path(made)


@dataclass(frozen=True)
class Side:
    """One way to do the work.

    Attributes:
        name: What the table calls it.
        run: The work; only this is timed. What it returns is dropped.
        before: Runs untimed before each timed run, such as emptying a cache.
        warm: Runs once, untimed, before the first round: imports and first calls.
    """

    name: str
    run: Callable[[], object]
    before: Callable[[], object] | None = None
    warm: Callable[[], object] | None = None


@dataclass(frozen=True)
class Spread:
    """Median and quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of at least one value; the quartiles are those of the values alone (inclusive method)."""
        if len(values) == 1:
            return cls(values[0], values[0], values[0])
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(median, low, high)

    def to_dict(self) -> dict[str, float]:
        """As JSON holds it."""
        return {"median": self.median, "low": self.low, "high": self.high}


@dataclass(frozen=True)
class Timing:
    """What was measured of one side, one value a round.

    Attributes:
        name: The side.
        seconds: On the clock.
        cpu: Of processor time, this process and those it waited for.
    """

    name: str
    seconds: tuple[float, ...]
    cpu: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """How many times faster one side is than another, or what share of a floor it reaches (`floor` / `name`).

    Attributes:
        name: The side that is judged.
        than: What it is compared with.
        ratio: Seconds of `than` over seconds of `name`, by round.
        aim: The least ratio that is wanted; None where nothing was promised.
    """

    name: str
    than: str
    ratio: Spread
    aim: float | None = None

    @property
    def reached(self) -> bool | None:
        """Whether the median is at least the aim; None without an aim."""
        return None if self.aim is None else self.ratio.median >= self.aim


@dataclass(frozen=True)
class Report:
    """What a bench found.

    Attributes:
        bench: Its name.
        timings: By side.
        comparisons: Of sides with each other.
        facts: What was the same for all sides, and other figures by name.
        figure: A plot as SVG; empty where there is none.
    """

    bench: str
    timings: tuple[Timing, ...]
    comparisons: tuple[Comparison, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    figure: str = field(default="", repr=False)

    def compared(self, name: str, than: str, *, aim: float | None = None) -> Comparison:
        """One side with another."""
        by_name = {timing.name: timing for timing in self.timings}
        pairs = zip(by_name[than].seconds, by_name[name].seconds, strict=True)
        return Comparison(name, than, Spread.of([other / own for other, own in pairs]), aim)

    def to_dict(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "bench": self.bench,
            "machine": machine(),
            "facts": dict(self.facts),
            "sides": {
                timing.name: {
                    "seconds": {**Spread.of(timing.seconds).to_dict(), "rounds": list(timing.seconds)},
                    "cpu_seconds": {**Spread.of(timing.cpu).to_dict(), "rounds": list(timing.cpu)},
                }
                for timing in self.timings
            },
            "comparisons": [
                {"side": one.name, "than": one.than, **one.ratio.to_dict(), "aim": one.aim, "reached": one.reached}
                for one in self.comparisons
            ],
        }


def alternate(sides: Sequence[Side], *, rounds: int, progress: Callable[[int], None] | None = None) -> list[Timing]:
    """Run every side once a round, each round beginning with the next side.

    Example:
        >>> [timing.name for timing in alternate([Side("sum", lambda: sum(range(9)))], rounds=2)]
        ['sum']

    Args:
        sides: What is compared.
        rounds: Times that every side runs.
        progress: Called with 1 after each run.
    """
    seconds: dict[str, list[float]] = {side.name: [] for side in sides}
    cpu: dict[str, list[float]] = {side.name: [] for side in sides}
    for side in sides:
        if side.warm is not None:
            side.warm()
    for number in range(rounds):
        start = number % len(sides)
        for side in [*sides[start:], *sides[:start]]:
            if side.before is not None:
                side.before()
            gc.collect()  # what one side left behind is not charged to the next
            worked, begun = _cpu(), time.perf_counter()
            side.run()
            seconds[side.name].append(time.perf_counter() - begun)
            cpu[side.name].append(_cpu() - worked)
            if progress is not None:
                progress(1)
    return [Timing(side.name, tuple(seconds[side.name]), tuple(cpu[side.name])) for side in sides]


def machine() -> dict[str, Any]:
    """What the figures were measured on; no name of the machine or its user."""
    names = [line for line in _lines(Path("/proc/cpuinfo")) if line.startswith("model name")]
    return {
        "processor": names[0].partition(":")[2].strip() if names else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
    }


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return []


def _cpu() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)
