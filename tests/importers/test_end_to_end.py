"""Any pictures with texts run unchanged: imported, trained on, evaluated on what was held out, and classified."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from PIL import Image

from medfuse.config import Config
from medfuse.importers import import_cohort
from tests.conftest import TINY

CHECKS = {
    "genuine": ("signed by the account's owner at the counter", 180),
    "fraud": ("altered amount, signature does not match", 60),
}


@pytest.fixture
def checks(tmp_path):
    """Scanned bank checks: train.csv and test.csv of picture, remark, amount and verdict."""
    source = tmp_path / "checks"
    (source / "pictures").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, count in {"train": 48, "test": 12}.items():
        with (source / f"{split}.csv").open("w", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["image", "text", "label", "amount"])
            for number in range(count):
                verdict = list(CHECKS)[number % 2]
                words, grey = CHECKS[verdict]
                picture = source / "pictures" / f"{split}{number}.png"
                Image.fromarray(rng.integers(grey - 50, grey + 50, (40, 80)).astype(np.uint8)).save(picture)
                writer.writerow([f"pictures/{picture.name}", f"{words}, no. {number}", verdict, 100 + number])
    return source


@pytest.fixture
def products(tmp_path, checks):
    """The same pictures as a Hugging Face image folder: split/label/picture with metadata.jsonl beside."""
    source = tmp_path / "products"
    for split in ("train", "test"):
        (source / split).mkdir(parents=True)
        with (checks / f"{split}.csv").open(newline="") as stream:
            rows = list(csv.DictReader(stream))
        with (source / split / "metadata.jsonl").open("w") as lines:
            for row in rows:
                name = f"{row['label']}/{row['image'].rsplit('/')[-1]}"
                (source / split / row["label"]).mkdir(exist_ok=True)
                (source / split / name).write_bytes((checks / row["image"]).read_bytes())
                lines.write(json.dumps({"file_name": name, "text": row["text"], "amount": int(row["amount"])}) + "\n")
    return source


@pytest.mark.slow
@pytest.mark.parametrize("importer", ["table", "image-folder"])
def test_checks_for_fraud(checks, products, tmp_path, importer, token_cache):
    from medfuse.evaluation import evaluate
    from medfuse.inference import Predictor
    from medfuse.training import train

    source = checks if importer == "table" else products
    cohort = import_cohort(importer, source, tmp_path / "cohort", tabular="amount")
    assert cohort.problems == ()
    assert (cohort.labels, len(cohort.in_split("test"))) == (("fraud", "genuine"), 12)
    config = Config.parse({**TINY, "training": {"epochs": 6, "batch_size": 8}}, source="tiny")
    bundle = train(config, cohort, tmp_path / "bundle", cache=token_cache)
    metrics = evaluate(bundle, cohort, draws=20, cache=token_cache).metrics
    assert metrics["summary"]["n_cases"] == 12
    assert metrics["summary"]["auroc"]["value"] > 0.9
    prediction = Predictor.load(bundle).classify(cohort.in_split("test")[0])
    assert prediction.modalities == ("image", "text", "tabular")
    assert prediction.error is None
