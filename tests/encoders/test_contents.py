from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from medfuse.case import Case, Note, Scan
from medfuse.config import Config
from medfuse.encoders import build_image_encoder, build_text_encoder
from medfuse.encoders.cache import TokenCache
from medfuse.encoders.cases import CaseEncoder
from medfuse.encoders.contents import WORDS, contents_of_note, contents_of_scan
from medfuse.synthetic import make_cohort

LONG = "Chest pain since Tuesday. " * 8


def test_notes_are_known_by_their_words_and_short_ones_are_not() -> None:
    assert contents_of_note(LONG) == contents_of_note("\n  ".join(LONG.upper().split(" ")))
    assert contents_of_note(LONG) != contents_of_note(LONG + "today")
    assert contents_of_note("word " * (WORDS - 1)) == ()


def test_scans_are_known_by_their_bytes_and_by_their_pixels() -> None:
    pixels = np.random.default_rng(0).random((8, 8), dtype=np.float32)
    first, second = contents_of_scan("a", pixels), contents_of_scan("b", pixels + np.float32(1e-6))
    assert len(set(first) & set(second)) == 1
    assert not set(first) & set(contents_of_scan("b", 1 - pixels))
    assert len(contents_of_scan("a", np.zeros((8, 8), np.float32))) == 1  # a black picture is no one's
    assert len(contents_of_scan("", pixels)) == 1


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> CaseEncoder:
    config = Config.parse(
        {
            "name": "x",
            "image": {"encoder": "efficientnet-lite0", "size": 64},
            "text": {"encoder": "rnn", "tune": "full"},
        },
        source="test",
    )
    assert config.image is not None
    assert config.text is not None
    image, _ = build_image_encoder(config.image)
    text, tokenizer, _ = build_text_encoder(config.text, notes=[LONG] * 3)
    cache = TokenCache(tmp_path_factory.mktemp("cache"))
    return CaseEncoder(config, image=image, text=text, tokenizer=tokenizer, columns=(), cache=cache)


def test_a_rewritten_header_and_a_case_from_the_cache_are_known(encoder: CaseEncoder, tmp_path: Path) -> None:
    path = next(case for case in make_cohort(tmp_path / "c", cases=4, seed=0).cases if case.scans).scans[0].path
    path = path if path.is_absolute() else tmp_path / "c" / path
    renamed = pydicom.dcmread(path)
    renamed.PatientID = renamed.PatientName = "SOMEONE^ELSE"
    renamed.save_as(tmp_path / "renamed.dcm")
    cases = [
        Case(name, name, scans=(Scan(scan),), notes=(Note(text=LONG),))
        for name, scan in (("a", path), ("b", tmp_path / "renamed.dcm"))
    ]
    first, other = (set(one.contents) for one in encoder.stream(cases))
    assert len(first) == len(other) == 3
    assert len(first & other) == 2  # pixels and note, not the bytes
    again, _ = encoder.stream(cases)
    assert set(again.contents) == first
