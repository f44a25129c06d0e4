"""Two processes on this machine's processor (gloo), as `medfuse train` starts them, beside one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from medfuse.bundle import Bundle
from medfuse.cohort import Cohort
from medfuse.config import ComputeConfig
from medfuse.errors import ConfigError
from medfuse.inference import Predictor
from medfuse.training import Processes, fit
from tests.conftest import TINY
from tests.training.test_fit import config

PROGRAM = "from medfuse.cli import main\n\nif __name__ == '__main__':\n    main()\n"


SETTINGS = {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


def command(folder: Path, cohort: Cohort, cache: Path, given: dict[str, Any], *more: str) -> list[str]:
    """`medfuse train` into a folder `bundle`."""
    folder.mkdir(exist_ok=True)
    (folder / "run.py").write_text(PROGRAM, encoding="utf-8")
    (folder / "config.yaml").write_text(json.dumps({**TINY, **given}), encoding="utf-8")
    words = [sys.executable, folder / "run.py", "train", folder / "config.yaml", "--out", folder / "bundle"]
    return [*map(str, words), "--cohort", str(cohort.folder), "--cache", str(cache), *more]


def train(folder: Path, cohort: Cohort, cache: Path, given: dict[str, Any], *more: str) -> tuple[Bundle, str]:
    """Run the command; the bundle, and what it printed."""
    words = command(folder, cohort, cache, given, *more)
    done = subprocess.run(words, env=SETTINGS, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr
    return Bundle.load(folder / "bundle"), done.stdout


def alike(one: Bundle, other: Bundle, cohort: Cohort, *, tolerance: float) -> None:
    """Whether two bundles hold the same weights and metrics, and say the same of every case."""
    states = one.model.state_dict(), other.model.state_dict()
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name], rtol=0, atol=tolerance, msg=name)
    assert other.facts["validation_loss"] == pytest.approx(one.facts["validation_loss"], abs=tolerance)
    assert other.facts["epochs"] == one.facts["epochs"]
    assert other.facts["learned"] == one.facts["learned"]
    said = [[list(p.probabilities.values()) for p in Predictor(b).stream(cohort.cases)] for b in (one, other)]
    np.testing.assert_allclose(*said, atol=tolerance)
    cuts = [[of["threshold"] for of in b.facts["thresholds"]["by_label"].values()] for b in (one, other)]
    assert cuts[1] == pytest.approx(cuts[0], abs=tolerance, nan_ok=True)


@pytest.mark.slow
def test_two_processes_give_the_metrics_of_one(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    # Steps of 9, 9, 9 and 1: the second part of the last is empty. Dropout is as it comes.
    given = {"training": {"epochs": 3, "batch_size": 9, "parts": 2}}
    one, _ = train(tmp_path / "one", tiny_cohort, token_cache, given)
    two, told = train(tmp_path / "two", tiny_cohort, token_cache, given, "--set", "compute.devices=2")
    assert two.facts["processes"] == 2
    assert told.count("epochs, validation loss") == 1
    assert not (tmp_path / "two" / "bundle.training.partial").exists()
    alike(one, two, tiny_cohort, tolerance=1e-5)


@pytest.mark.slow
def test_two_processes_that_were_killed_go_on(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    given = {"training": {"epochs": 8, "batch_size": 9, "parts": 2, "patience": 8}}
    whole, _ = train(tmp_path / "whole", tiny_cohort, token_cache, given)
    more = ("--set", "compute.devices=2")
    words = command(tmp_path / "part", tiny_cohort, token_cache, given, *more)
    running = subprocess.Popen(words, env=SETTINGS, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    kept = tmp_path / "part" / "bundle.training.partial" / "last.ckpt"
    while not kept.exists():
        assert running.poll() is None
        time.sleep(0.01)
    running.kill()  # the first alone; the other loses its peer and ends by itself
    running.wait()
    assert not (tmp_path / "part" / "bundle").exists()
    resumed, _ = train(tmp_path / "part", tiny_cohort, token_cache, given, *more, "--resume")
    alike(whole, resumed, tiny_cohort, tolerance=1e-5)


@pytest.mark.slow
def test_processes_that_read_different_cases_are_refused(
    tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    other = Cohort.load(shutil.copytree(tiny_cohort.folder, tmp_path / "other"))
    lost = next(case for case in other.in_split("train") if case.labelled)
    replace(other, cases=tuple(case for case in other.cases if case is not lost)).save()
    words = command(tmp_path / "run", tiny_cohort, token_cache, {}, "--set", "compute.devices=2")
    elsewhere = "import os, sys\nif os.environ.get('LOCAL_RANK') == '1':\n"
    elsewhere += f"    sys.argv[sys.argv.index('--cohort') + 1] = {str(other.folder)!r}\n"
    (tmp_path / "run" / "run.py").write_text(elsewhere + PROGRAM, encoding="utf-8")
    done = subprocess.run(words, env=SETTINGS, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode != 0
    assert "the processes do not read the same cases" in done.stderr


@pytest.mark.slow
def test_shared_weights_learn_what_whole_ones_do(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    # Most cases have no note, so that now and then a process has nothing to encode while the other has.
    whole = Cohort.load(shutil.copytree(tiny_cohort.folder, tmp_path / "cohort"))
    bare = tuple(case if number % 5 == 0 else replace(case, notes=()) for number, case in enumerate(whole.cases))
    cohort = replace(whole, cases=bare)
    cohort.save()
    text = {"encoder": "minilm-l6", "tune": "lora", "rank": 2, "window": 32, "overlap": 4}
    given = {"text": text, "image": None, "training": {"epochs": 2, "batch_size": 10, "parts": 2}}
    one, _ = train(tmp_path / "one", cohort, token_cache, given)
    more = ("--set", "compute.devices=2", "--set", "compute.strategy=fsdp", "--set", "compute.checkpointing=true")
    two, _ = train(tmp_path / "two", cohort, token_cache, given, *more)
    alike(one, two, cohort, tolerance=1e-4)


def test_bfloat16_learns_and_leaves_single_precision(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    made = [
        fit(config(compute={"precision": precision}), tiny_cohort, work=tmp_path / precision, cache=token_cache)
        for precision in ("32", "bf16-mixed")
    ]
    losses = [bundle.facts["validation_loss"] for bundle in made]
    assert losses[0] != losses[1]
    assert losses[1] == pytest.approx(losses[0], abs=0.02)
    assert all(one.dtype == torch.float32 for one in made[1].model.parameters())


def test_what_the_machine_does_not_have_is_one_clear_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from medfuse.training.processes import trainer_of

    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match=r"compute\.precision 16-mixed needs a GPU"):
            trainer_of(ComputeConfig(precision="16-mixed"))
        with pytest.raises(ConfigError, match=r"^compute: "):
            trainer_of(ComputeConfig(accelerator="gpu"))
    with pytest.raises(ConfigError, match="strategy fsdp takes precision"):
        config(compute={"strategy": "fsdp", "precision": "16-mixed"})
    for name, value in {"RANK": "0", "LOCAL_RANK": "0", "WORLD_SIZE": "3", "GROUP_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    for name in ("MASTER_ADDR", "MASTER_PORT", "TORCHELASTIC_RUN_ID", "LOCAL_WORLD_SIZE"):
        monkeypatch.setenv(name, "3")
    with pytest.raises(ConfigError, match=r"3 processes were started, but compute\.devices × compute\.nodes is 2 × 1"):
        Processes.of(ComputeConfig(devices=2, accelerator="cpu"))


def test_other_verbs_train_in_one_process(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    several = config(compute={"devices": 2}, text=None, training={"epochs": 1})
    bundle = fit(several, tiny_cohort, work=tmp_path, cache=token_cache)
    assert "processes" not in bundle.facts


def test_dropout_rests_when_the_model_is_calibrated(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    from medfuse.training import train as run

    small = config(fusion={"width": 16, "components": 16, "dropout": 0.7})
    predictor = Predictor.load(run(small, tiny_cohort, tmp_path / "bundle", cache=token_cache))
    held = tiny_cohort.with_splits(small.seed).in_split("validation")
    found = predictor.bundle.facts["thresholds"]["by_label"]
    said = np.array([list(p.probabilities.values()) for p in predictor.stream(held)])
    for column, of in zip(said.T, found.values(), strict=True):
        values = np.unique(column)
        if of["threshold"] is not None:
            assert np.abs((values[1:] + values[:-1]) / 2 - of["threshold"]).min() < 1e-6
    assert any(of["threshold"] is not None for of in found.values())
