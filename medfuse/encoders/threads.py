"""How many threads may work, and how work is shared among them.

torch splits one operation over threads that wait for each other at its end, and wait busily. Where something else holds
one of the cores, all of them wait for the one that was put aside: two such threads on two shared cores were seen ten
times slower than one. Whole inputs are therefore encoded side by side, each in a thread of its own with one torch
thread, so that nothing waits for anything. Where there is one operation at a time, as in an encoder that learns, a
probe decides.
"""

from __future__ import annotations

import contextlib
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROBES = 5  # runs of each choice, in turns
GAIN = 1.2  # more threads must be so many times faster than one; less is not worth what they cost when cores are shared
_NAME = "threads.json"


def budget() -> int:
    """Threads that may work at once: `OMP_NUM_THREADS`, else the cores that this process may use.

    The cores are those of its affinity, but no more than a container's quota (cgroup v2, `cpu.max`).
    """
    given = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    if given.isdigit() and int(given) > 0:
        return int(given)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    with contextlib.suppress(OSError, ValueError):
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if quota != "max":
            cores = min(cores, max(1, int(quota) // int(period)))
    return cores


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Let torch split an operation over `count` threads, here and in threads that are started inside."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def fastest_threads(work: Callable[[], object], *, name: str, folder: Path, most: int | None = None) -> int:
    """Torch threads with which `work` is fastest: one, or all that may be used if they are clearly faster.

    The choice is remembered in `folder` for this machine, this budget and this torch.

    Args:
        work: A short probe of the real work, such as one step of the encoder.
        name: What the work is, such as a digest of the encoder.
        folder: The cache folder.
        most: Threads that may be used; None takes `budget()`.
    """
    import torch

    most = most or budget()
    if most == 1:
        return 1
    key = f"{name} {most} threads, torch {torch.__version__}, {processor()}"
    known = remembered(folder / _NAME).get(key)
    if known in (1, most):
        return int(known)
    taken: dict[int, list[float]] = {1: [], most: []}
    for number in range(PROBES + 1):
        for count in taken:
            with torch_threads(count):
                begun = time.perf_counter()
                work()
                if number:  # the first run of each pays for what is made once
                    taken[count].append(time.perf_counter() - begun)
    chosen = most if statistics.median(taken[1]) >= GAIN * statistics.median(taken[most]) else 1
    remember(folder / _NAME, key, chosen)
    return chosen


def processor() -> str:
    """The processor and its cores, as a machine's choices are remembered by."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return f"{line.partition(':')[2].strip()} with {os.cpu_count()} cores"
    return f"{os.cpu_count()} cores"


def remembered(path: Path) -> dict[str, Any]:
    """The choices in a JSON file; none where it is not there or damaged."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def remember(path: Path, key: str, choice: object) -> None:
    """Add a choice in one step; a disk that is full or read-only costs the memory of it, not the run."""
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump({**remembered(path), key: choice}, stream, indent=1)
        os.replace(partial, path)
