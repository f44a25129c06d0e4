"""How fast medfuse is beside what else does the same: one module a bench, each ends in a Report.

A bench module has a function `run(settings, progress) -> Report`. It is imported when it runs, for peers are heavy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module

from medfuse.bench.harness import Comparison, Report, Settings, Side, Timing, alternate
from medfuse.errors import MedfuseError

__all__ = ["BENCHES", "Comparison", "Report", "Settings", "Side", "Timing", "alternate", "run"]

BENCHES: Mapping[str, str] = {
    "autogluon": "the sample cohort, beside AutoGluon, whose environment's Python MEDFUSE_AUTOGLUON names",
    "classify": "radiographs with notes, beside a plain PyTorch loop and the encoders alone",
    "dashboard": "what a reader waits for in a real browser, with 100,000 predicted cases",
    "encode": "the engines of the frozen encoders on ready tensors",
    "evaluate": "every figure with its interval, as cases grow",
    "finetune": "training of an imaging encoder, beside a bare PyTorch loop",
    "imaging": "radiographs from the file to the network, beside MONAI and pydicom's plugins",
    "memory": "the most that classify and train hold, as cases grow",
    "ray": "one Ray worker beside two, and what ten million studies would take",
    "roofline": "each stage in one thread, beside what the machine cannot go below",
    "startup": "fresh processes",
    "train": "training on frozen encoders, beside the tutorial's loop and a logistic regression",
}
"""By name, what is measured; the module has the same name."""


def run(name: str, settings: Settings, progress: Callable[[int], None] | None = None) -> Report:
    """Run one bench.

    Args:
        name: One of `BENCHES`.
        settings: How large; what is not given is the bench's own default.
        progress: Called with 1 after each measured run.

    Raises:
        MedfuseError: If there is no such bench, or a peer that it needs is not installed.
    """
    if name not in BENCHES:
        message = f"no bench '{name}'; there are {', '.join(BENCHES)}"
        raise MedfuseError(message)
    module = import_module(f"medfuse.bench.{name}")
    report: Report = module.run(settings, progress or (lambda _: None))
    return report
