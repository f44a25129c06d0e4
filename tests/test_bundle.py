from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from medfuse.bundle import Bundle, verify
from medfuse.cohort import Cohort
from medfuse.errors import BundleError


@pytest.fixture
def copy(tiny_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_bundle, tmp_path / "bundle"))


@pytest.mark.parametrize("name", ["model.safetensors", "bundle.json", "config.yaml", "tokenizer.json", "metrics.json"])
def test_one_changed_byte_is_found(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        Bundle.load(copy)


def test_a_missing_file_is_found(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    with pytest.raises(BundleError, match=r"model\.safetensors is missing"):
        verify(copy)


def test_a_folder_that_is_no_bundle_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="not a bundle"):
        Bundle.load(tmp_path)


def test_a_bundle_knows_whom_training_saw_without_naming_them(tiny_bundle: Path, tiny_cohort: Cohort) -> None:
    bundle = Bundle.load(tiny_bundle)
    for case in tiny_cohort.cases:
        assert bundle.split_of(case.patient_id) == (None if case.split == "test" else case.split)
    text = (tiny_bundle / "bundle.json").read_text()
    assert '"p1"' not in text


def test_no_pickle_and_a_card(tiny_bundle: Path) -> None:
    assert {path.suffix for path in tiny_bundle.iterdir()} == {".safetensors", ".json", ".yaml", ".md"}
    assert "not a medical device" in (tiny_bundle / "MODEL_CARD.md").read_text()


@pytest.mark.parametrize("name", ["outliers.safetensors", "reference.json", "tokenizer.json"])
def test_a_file_that_was_added_is_found(copy: Path, name: str) -> None:
    receipt = json.loads((copy / "receipt.json").read_text())
    receipt.pop(name, None)
    (copy / "receipt.json").write_text(json.dumps(receipt))
    (copy / name).write_bytes(b"planted")
    with pytest.raises(BundleError, match=f"{name} was added after training"):
        Bundle.load(copy)
