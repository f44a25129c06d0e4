"""Latent semantic analysis against scikit-learn's TF-IDF."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.feature_extraction.text import TfidfVectorizer

from medfuse.config import TextConfig
from medfuse.encoders import build_text_encoder
from medfuse.encoders.text import pad

NOTES = (
    "fever and cough for three days",
    "cough with swollen ankles",
    "routine check no fever",
    "fever fever and chills at night",
    "swollen ankles at night no cough",
)
CONFIG = TextConfig(encoder="lsa", vocabulary=200)


def means(notes: tuple[str, ...]) -> np.ndarray:
    encoder, tokenizer, _ = build_text_encoder(CONFIG, notes=NOTES)
    with torch.no_grad():
        return np.stack([encoder(*pad([tokenizer.windows(note)[0][0]]))[0].mean(0).numpy() for note in notes])


def test_notes_are_as_near_to_each_other_as_their_tfidf_vectors() -> None:
    vectoriser = TfidfVectorizer(norm=None, min_df=2, token_pattern=r"\w+")
    counts = np.array([len(note.split()) for note in NOTES])
    tfidf = vectoriser.fit_transform(NOTES).toarray() / counts[:, None]
    found = means(NOTES) / 100
    np.testing.assert_allclose(found @ found.T, tfidf @ tfidf.T, atol=1e-5)


def test_words_that_training_never_saw_or_saw_in_one_note_say_nothing() -> None:
    assert np.abs(means(("zebra routine chills",))).max() < 1e-6
    assert np.abs(means(("cough",))).max() > 0.1


def test_a_bundle_builds_it_again() -> None:
    encoder, tokenizer, receipt = build_text_encoder(CONFIG, notes=NOTES)
    again, _, _ = build_text_encoder(CONFIG, architecture=encoder.architecture, tokenizer=tokenizer.to_json())
    again.load_state_dict(encoder.state_dict())
    ids, mask = pad([tokenizer.windows(NOTES[0])[0][0]])
    assert torch.equal(again(ids, mask), encoder(ids, mask))
    assert receipt.source == "the training split's notes"


def test_words_of_a_single_note_do_not_travel_with_the_bundle() -> None:
    for encoder in ("lsa", "rnn"):
        notes = (*NOTES, "fever, seen by Dr Skywalker, record 1234567")
        _, tokenizer, _ = build_text_encoder(TextConfig(encoder=encoder, tune="full"), notes=notes)
        assert "skywalker" not in tokenizer.to_json()
        assert "1234567" not in tokenizer.to_json()
        assert "fever" in tokenizer.to_json()
