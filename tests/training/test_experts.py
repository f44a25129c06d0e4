"""The convex fit of the experts, against scikit-learn and where one modality says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from medfuse.case import Case
from medfuse.cohort import Cohort, Task
from medfuse.config import Config
from medfuse.encoders import ImageEncoder, TextEncoder
from medfuse.encoders.cases import EncodedCase
from medfuse.errors import ConfigError
from medfuse.fusion.experts import ExpertsFusion
from medfuse.model import DiagnosisModel, Head, decide_all
from medfuse.training.experts import STRENGTHS, Fitted, fit_experts

CONFIG = Config.parse({"fusion": {"name": "experts"}, "tabular": None}, source="test")
WIDTH = 6


def model_of(*, labels: int, task: Task) -> DiagnosisModel:
    nothing = torch.nn.Identity()
    image = ImageEncoder(nothing, width=WIDTH, last=nothing, architecture={})
    text = TextEncoder(nothing, width=WIDTH, last=nothing, architecture={})
    return DiagnosisModel(CONFIG, image=image, text=text, columns=(), labels=labels, task=task).eval()


def made(*, cases: int, labels: int, task: Task, seed: int = 0) -> tuple[list[EncodedCase], np.ndarray]:
    """Cases whose image tells the label; the note is noise, and a third has none."""
    rng = np.random.default_rng(seed)
    encoded, truth = [], np.zeros((cases, labels))
    for number in range(cases):
        label = number % labels
        truth[number, label] = 1
        image = rng.normal(size=(4, WIDTH)) + 0.7 * np.eye(labels, WIDTH)[label]
        parts = {"image": torch.tensor(image).half()}
        if number % 3:
            parts["text"] = torch.tensor(rng.normal(size=(5, WIDTH))).half()
        encoded.append(EncodedCase(Case(f"c{number}", f"p{number // 2}"), parts))
    if task == "multilabel":
        truth[::7, 0] = np.nan
    return encoded, truth


def fitted(*, labels: int, task: Task, cases: int = 90) -> tuple[DiagnosisModel, list[EncodedCase], np.ndarray, Fitted]:
    model = model_of(labels=labels, task=task)
    encoded, truth = made(cases=cases, labels=labels, task=task)
    return model, encoded, truth, fit_experts(model, encoded, truth, task=task, seed=0)


@pytest.mark.parametrize(("labels", "task"), [(3, "multiclass"), (2, "multiclass"), (2, "multilabel")])
def test_an_expert_is_the_logistic_regression_of_scikit_learn(labels: int, task: Task) -> None:
    model, encoded, truth, found = fitted(labels=labels, task=task)
    head = model.heads[0]
    assert isinstance(head, Head)
    assert isinstance(head.fusion, ExpertsFusion)
    features = np.stack([one.parts["image"].double().mean(0).numpy() for one in encoded])
    scale = np.sqrt(np.square(features - features.mean(0)).mean())
    strength = found.strengths["image"][-1]
    known = ~np.isnan(truth[:, -1])
    answer = truth.argmax(1) if task == "multiclass" else truth[known, -1]
    same = LogisticRegression(C=strength).fit((features[known] - features.mean(0)) / scale, answer)
    expected = same.coef_[-1] / scale / (2 if labels == 2 and task == "multiclass" else 1)
    np.testing.assert_allclose(head.fusion.experts[0].weight[-1].detach().numpy(), expected, atol=2e-3)


@pytest.mark.parametrize(("labels", "task"), [(3, "multiclass"), (2, "multilabel")])
def test_the_image_decides_and_the_noise_is_all_but_silent(labels: int, task: Task) -> None:
    model, encoded, truth, found = fitted(labels=labels, task=task)
    assert set(found.strengths["text"]) <= set(STRENGTHS)
    decided = decide_all(model, [one.parts for one in encoded])
    with_note, without = decided.logits[:, 3], decided.logits[:, 1]  # patterns: none, image, text, both
    assert np.abs(with_note - without).mean() < 0.3 * np.abs(without - decided.logits[:, 0]).mean()
    known = ~np.isnan(truth[:, -1])
    assert roc_auc_score(truth[known, -1], found.decided.logits[known, 3, -1]) > 0.8


def test_no_case_is_judged_by_a_fit_that_saw_its_patient() -> None:
    """With labels drawn at random, out-of-fold logits know nothing, while those of the fitted model look good."""
    model = model_of(labels=2, task="multiclass")
    encoded, truth = made(cases=60, labels=2, task="multiclass")
    rng = np.random.default_rng(1)
    truth = np.eye(2)[np.repeat(rng.integers(2, size=30), 2)]
    found = fit_experts(model, encoded, truth, task="multiclass", seed=0)
    unseen = found.decided.logits[:, 3, 1] - found.decided.logits[:, 3, 0]
    assert roc_auc_score(truth[:, 1], unseen) < 0.65


def test_a_label_that_hardly_occurs_breaks_nothing() -> None:
    model = model_of(labels=3, task="multiclass")
    encoded, truth = made(cases=30, labels=3, task="multiclass")
    truth[truth[:, 2] == 1] = [1, 0, 0]
    truth[0] = [0, 0, 1]
    found = fit_experts(model, encoded, truth, task="multiclass", seed=0)
    assert np.isfinite(found.decided.logits).all()
    assert np.isfinite(decide_all(model, [one.parts for one in encoded]).logits).all()


def test_the_same_seed_gives_the_same_weights() -> None:
    states = [fitted(labels=3, task="multiclass")[0].heads.state_dict().values() for _ in range(2)]
    assert all(torch.equal(a, b) for a, b in zip(*states, strict=True))


def test_a_learning_encoder_is_refused() -> None:
    with pytest.raises(ConfigError, match="frozen encoders"):
        Config.parse({"fusion": {"name": "experts"}, "text": {"encoder": "rnn"}}, source="test")


def test_a_bundle_of_experts_says_the_same_once_loaded(tmp_path: Path, token_cache: Path, tiny_cohort: Cohort) -> None:
    from medfuse.inference import Predictor
    from medfuse.training import train
    from tests.conftest import TINY

    config = Config.parse(
        {"image": TINY["image"], "text": None, "fusion": {"name": "experts"}, "name": "tiny experts"}, source="tiny"
    )
    predictor = Predictor.load(train(config, tiny_cohort, tmp_path / "bundle", cache=token_cache))
    assert predictor.bundle.facts["how"] == "experts"
    found = list(predictor.stream(tiny_cohort.in_split("test")))
    assert all(abs(sum(one.probabilities.values()) - 1) < 1e-6 for one in found)
    bare = predictor.classify(Case("bare", "nobody", values={"age": 50.0, "sex": "F"}))
    assert bare.modalities == ("tabular",)


def test_folds_are_refused_since_experts_have_their_own() -> None:
    with pytest.raises(ConfigError, match="folds of its own"):
        Config.parse({"fusion": {"name": "experts"}, "training": {"folds": 3}}, source="test")


def test_a_modality_that_training_never_saw_says_nothing() -> None:
    model = model_of(labels=2, task="multiclass")
    encoded, truth = made(cases=40, labels=2, task="multiclass")
    without = [EncodedCase(one.case, {"text": one.parts["text"]}) for one in encoded if "text" in one.parts]
    rows = [place for place, one in enumerate(encoded) if "text" in one.parts]
    fit_experts(model, without, truth[rows], task="multiclass", seed=0)
    logits = decide_all(model, [one.parts for one in encoded]).logits
    np.testing.assert_array_equal(logits[:, 1], logits[:, 0])  # the image alone, and nothing
