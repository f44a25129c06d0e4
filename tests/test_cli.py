"""The command line as a user meets it: in processes of its own."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from medfuse.cohort import Cohort


def run(*arguments: object, cache: Path | None = None) -> subprocess.CompletedProcess[str]:
    environment = dict(os.environ, COLUMNS="120")
    if cache is not None:
        environment["MEDFUSE_CACHE"] = str(cache)
    command = [sys.executable, "-c", "from medfuse.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=250)


def test_help_is_quick_and_needs_no_torch() -> None:
    code = "import sys; sys.argv = ['medfuse', '--help']\nfrom medfuse.cli import main\n"
    code += "try: main()\nexcept SystemExit: pass\n"
    code += "assert not {'torch', 'pandas', 'monai', 'transformers', 'numpy'} & set(sys.modules), 'heavy'"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.returncode == 0, done.stderr
    assert "classify" in done.stdout
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 1.5  # 0.5 s on a quiet machine


@pytest.mark.parametrize(
    "verb",
    [
        *("demo", "sample-data", "import", "audit", "split", "deidentify", "pretrain", "train", "tune", "evaluate"),
        *("compare", "classify"),
        *("calibrate", "monitor", "dashboard", "bench", "explain", "review", "ablate", "export"),
    ],
)
def test_every_verb_has_help_with_an_example(verb: str) -> None:
    done = run(verb, "--help")
    assert done.returncode == 0
    assert f"Example: medfuse {verb}" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("train", "nowhere.yaml", "--cohort", "x", "--out", "y"), 2, "no such config"),
        (("classify", "nowhere", "--note", "n.txt"), 1, "not a bundle"),
        (("classify", "nowhere"), 2, "either a cohort or the files"),
        (("classify", "nowhere", "c", "--out", "p", "--on", "spark"), 2, "--on takes ray"),
        (("classify", "nowhere", "c", "--out", "p.csv", "--workers", "2"), 2, "go with it"),
        (("classify", "nowhere", "c", "--out", "p", "--engine", "ray", "--block", "24"), 2, "a multiple of 16"),
        (("evaluate", "nowhere", "nowhere", "--out", "x"), 2, "no such folder"),
        (("import", "mars", "x", "y"), 2, "mars"),
        (("train", "--nonsense"), 2, "nonsense"),
        (("tune", "configs/demo.yaml", "--cohort", "nowhere", "--out", "x.yaml"), 2, "no such folder"),
        (("pretrain", "configs/demo.yaml", "--cohort", "nowhere", "--out", "x"), 2, "no such folder"),
    ],
)
def test_wrong_use_is_one_line_and_a_code(arguments: tuple[str, ...], code: int, said: str) -> None:
    done = run(*arguments)
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_cohort_with_faults_is_classified_but_for_them(
    tiny_bundle: Path, tiny_cohort: Cohort, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(tiny_cohort.folder, tmp_path / "cohort"))
    rows = (folder / "cases.csv").read_text().splitlines()
    rows[2] = rows[2].replace("scans/c1.png", "../outside.png")
    rows[3] = rows[3].replace(",clear,", ",zebra,")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    (folder / "scans" / "c0.png").write_bytes((folder / "scans" / "c0.png").read_bytes()[:60])
    (folder / "notes" / "c3.txt").write_text("")
    out = tmp_path / "p.jsonl"
    done = run("classify", tiny_bundle, folder, "--out", out)
    assert done.returncode == 1
    for said in ("lies outside", "zebra", "c0.png", "the note is empty"):
        assert said in done.stderr
    found = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(found) == len(tiny_cohort.cases)
    assert all(one["error"] is None for one in found)
    assert "image" not in found[0]["modalities"]
    assert "zebra" not in json.dumps(found)


def test_train_evaluate_and_classify_by_files(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    from medfuse.config import Config
    from tests.conftest import TINY

    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(Config.parse(TINY, source="tiny").to_yaml())
    bundle, folder = tmp_path / "bundle", tiny_cohort.folder
    done = run("train", recipe, "--cohort", folder, "--out", bundle, "--set", "training.epochs=1", cache=token_cache)
    assert done.returncode == 0, done.stderr
    done = run(
        "evaluate", bundle, folder, "--out", tmp_path / "e", "--baselines", "--draws", "50", "--json", cache=token_cache
    )
    assert done.returncode == 0, done.stderr
    metrics = json.loads((tmp_path / "e" / "metrics.json").read_text())
    assert next(iter(metrics)) == "summary"
    assert set(json.loads(done.stdout)) >= {"auroc", "auprc", "brier", "ece", "log_loss", "n_cases", "n_patients"}
    assert metrics["summary"]["n_cases"] == len(tiny_cohort.in_split("test"))
    assert metrics["baselines"]
    assert {path.name for path in (tmp_path / "e").iterdir()} == {
        "MODEL_CARD.md",
        "metrics.json", "predictions.jsonl", "predictions.parquet", "cases.csv", "report.html", "figures"
    }  # fmt: skip
    case = tiny_cohort.cases[0]
    done = run("classify", bundle, "--scan", case.scans[0].path, "--value", "age=61", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["modalities"] == ["image", "tabular"]


def test_cross_validation_holds_out_every_case(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    from medfuse.config import Config
    from medfuse.evaluation import cross_validate
    from tests.conftest import TINY

    small = Config.parse({**TINY, "text": None, "training": {"epochs": 1}}, source="tiny")
    found = cross_validate(small, tiny_cohort, folds=3, baselines=True, draws=20, cache=token_cache)
    assert sorted(p.case_id for p in found.predictions) == sorted(case.case_id for case in tiny_cohort.cases)
    assert {figure["n_cases"] for figure in found.metrics["baselines"].values()} == {len(tiny_cohort.cases)}
    found.save(tmp_path / "cv")
    assert 50_000 < (tmp_path / "cv" / "report.html").stat().st_size < 1_000_000
