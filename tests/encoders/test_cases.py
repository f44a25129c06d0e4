"""Cases to tokens: a volume stands as several slices, and what is kept is found again."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medfuse.case import Case, Note, Scan
from medfuse.config import Config
from medfuse.encoders import build_image_encoder, build_text_encoder
from medfuse.encoders.cache import TokenCache
from medfuse.encoders.cases import CaseEncoder
from medfuse.notes import model_text, note_from_text
from tests.imaging.conftest import _series


def encoded(folder: Path, scans: list[Path], cache: Path, **image: object) -> torch.Tensor:
    config = Config.parse({"image": {"size": 64, **image}, "text": None, "tabular": None}, source="test")
    network, _ = build_image_encoder(config.image)
    encoder = CaseEncoder(config, image=network, text=None, tokenizer=None, columns=(), cache=TokenCache(cache))
    case = Case("c", "p", scans=tuple(Scan(path) for path in scans))
    (found,) = encoder.stream([case])
    assert found.unreadable == ()
    return found.parts["image"]


def test_a_series_is_as_many_images_as_slices(tmp_path):
    _series(tmp_path / "ct", slices=12, rows=48, columns=48)
    single = next((tmp_path / "ct").iterdir())
    tokens = encoded(tmp_path, [tmp_path / "ct", single], tmp_path / "cache", slices=3)
    assert tokens.shape == ((3 + 1) * 4, 1280)  # four tokens a square of 64 pixels
    again = encoded(tmp_path, [tmp_path / "ct", single], tmp_path / "cache", slices=3)
    assert torch.equal(tokens, again)
    more = encoded(tmp_path, [tmp_path / "ct"], tmp_path / "cache", slices=5)
    assert more.shape == (5 * 4, 1280)


def test_a_changed_slice_is_encoded_anew(tmp_path):
    _series(tmp_path / "ct", slices=2, rows=48, columns=48)
    before = encoded(tmp_path, [tmp_path / "ct"], tmp_path / "cache")
    for path in (tmp_path / "ct").iterdir():
        data = bytearray(path.read_bytes())
        data[-2000:] = bytes(2000)
        path.write_bytes(data)
    assert not torch.equal(before, encoded(tmp_path, [tmp_path / "ct"], tmp_path / "cache"))


def test_a_learning_encoder_is_given_the_slices(tmp_path):
    _series(tmp_path / "ct", slices=4, rows=48, columns=48)
    assert encoded(tmp_path, [tmp_path / "ct"], tmp_path / "cache", tune="last").shape == (4, 64, 64)


@pytest.mark.parametrize("encoder", ["rnn", "lsa", "minilm-l6"])
def test_a_note_of_nothing_but_unseen_characters_is_no_note(encoder):
    tune = "full" if encoder == "rnn" else "frozen"
    config = Config.parse({"image": None, "text": {"encoder": encoder, "tune": tune}, "tabular": None}, source="test")
    network, tokenizer, _ = build_text_encoder(config.text, notes=("fever and cough", "cough and fever"))
    stream = CaseEncoder(config, image=None, text=network, tokenizer=tokenizer, columns=()).stream
    unseen, plain = stream([Case("a", "a", notes=(Note(text="\u200b"),)), Case("b", "b", notes=(Note(text="fever"),))])
    if encoder == "minilm-l6":  # its tokenizer puts marks round nothing
        assert unseen.parts.keys() <= {"text"}
    else:
        assert unseen.parts == {}
        assert unseen.warnings == ("the notes hold no word",)
    assert "text" in plain.parts


def test_a_folder_of_too_many_files_costs_that_scan(tmp_path, monkeypatch):
    monkeypatch.setattr("medfuse.imaging.sources.MAX_FILES", 3)
    _series(tmp_path / "ct", slices=5, rows=16, columns=16)
    config = Config.parse({"image": {"size": 32}, "text": None, "tabular": None}, source="test")
    network, _ = build_image_encoder(config.image)
    cache = TokenCache(tmp_path / "cache")
    encoder = CaseEncoder(config, image=network, text=None, tokenizer=None, columns=(), cache=cache)
    (found,) = encoder.stream([Case("c", "p", scans=(Scan(tmp_path / "ct"),))])
    assert found.parts == {}
    assert "more than" in found.unreadable[0]


@pytest.mark.parametrize("marked", [False, True])
def test_a_bag_of_words_tells_denied_from_seen_if_assertions_are_words(tmp_path, marked):
    """The same words in another order: without marks they are one, in training and in what a kept token is found by."""
    text = {"encoder": "lsa", "assertions": marked}
    config = Config.parse({"image": None, "text": text, "tabular": None}, source="test")
    denied, seen = "no effusion but fever", "effusion fever but no"
    notes = [model_text(note_from_text(one), config.text) for one in (denied, seen) * 3]
    network, tokenizer, _ = build_text_encoder(config.text, notes=notes)
    for _ in range(2):  # the second time from the cache
        encoder = CaseEncoder(
            config, image=None, text=network, tokenizer=tokenizer, columns=(), cache=TokenCache(tmp_path)
        )
        cases = [Case(one, one, notes=(Note(text=one),)) for one in (denied, seen)]
        first, second = (one.parts["text"].float().mean(0) for one in encoder.stream(cases))
        assert torch.allclose(first, second, atol=1e-2) != marked


def test_notes_are_read_with_their_time_in_its_order_and_not_in_that_of_the_table():
    config = Config.parse({"image": None, "text": {"encoder": "minilm-l6"}, "tabular": None}, source="test")
    network, tokenizer, _ = build_text_encoder(config.text)
    stream = CaseEncoder(config, image=None, text=network, tokenizer=tokenizer, columns=()).stream
    old, new = (Note(text=text, time=time) for text, time in (("worse", "2180-05-01"), ("better", "2180-05-06")))
    turned = (Note(text="better", time=old.time), Note(text="worse", time=new.time))
    pairs = {"written": (old, new), "as listed": (new, old), "turned": turned}
    cases = [Case(name, name, time="2180-05-07", notes=notes) for name, notes in pairs.items()]
    written, listed, other = (one.parts["text"] for one in stream(cases))
    assert torch.equal(written, listed)
    assert not torch.allclose(written.float().mean(0), other.float().mean(0), atol=1e-2)
