"""The convex fit of the experts: each alone, then their weights on what they say of patients they were not fitted on.

Every modality gets a logistic regression on its mean token, as strong as out-of-fold log loss wants it. The weights are
fitted on out-of-fold logits, and so is calibration: no case is judged by an expert that has seen its patient, and yet
every patient trains. That is what a small cohort needs, where a split for validation and one for calibration would take
a third of the patients.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medfuse.cohort import Task
from medfuse.encoders.cases import EncodedCase
from medfuse.fusion.experts import ExpertsFusion
from medfuse.fusion.fused import means
from medfuse.model import Decided, DiagnosisModel, Head, collate
from medfuse.splits import patient_folds

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray

STRENGTHS = tuple(10.0**power for power in (-5, -4, -3.5, -3, -2.5, -2, -1, 0))  # C of scikit-learn's regression
FOLDS = 5
CAUTION = 30.0  # how hard a weight is held at 1, the weight of an expert that repeats nothing
_BATCH = 64


@dataclass(frozen=True)
class Fitted:
    """What the fit found beside the weights that are in the model now.

    Attributes:
        decided: Logits for every pattern of modalities, by experts that did not see the case's patient and by weights
            that were not fitted on it.
        strengths: The C of each expert, by modality and label.
        weights: The weight of each expert, by modality and label.
    """

    decided: Decided
    strengths: Mapping[str, list[float]]
    weights: Mapping[str, list[float]]


@dataclass(frozen=True)
class _Expert:
    """Logits $x A^⊤ + a$; `centre` is the mean that it is silent at."""

    weight: Float[ndarray, "c d"]
    centre: Float[ndarray, " d"]
    intercept: Float[ndarray, " c"]

    def said(self, features: Float[ndarray, "n d"]) -> Float[ndarray, "n c"]:
        return np.asarray((features - self.centre) @ self.weight.T)


def fit_experts(
    model: DiagnosisModel, encoded: Sequence[EncodedCase], truth: Float[ndarray, "n c"], *, task: Task, seed: int
) -> Fitted:
    """Fit the model's experts and their weights in place.

    Args:
        model: Its fusion is `experts`, its encoders are frozen.
        encoded: Labelled cases.
        truth: 1, 0 or NaN (not known) [N, C].
        task: `multiclass` or `multilabel`.
        seed: Of the folds.

    Raises:
        CohortError: If there are fewer than two patients.
    """
    head = model.heads[0]
    assert isinstance(head, Head)
    fusion = head.fusion
    assert isinstance(fusion, ExpertsFusion)
    features, present = _features(model, encoded)
    cases = [one.case for one in encoded]
    folds = min(FOLDS, len({case.patient_id for case in cases}))
    fold = np.array(patient_folds(cases, folds=folds, seed=seed))
    answers = _answers(truth, task)
    said = np.zeros((len(cases), len(fusion.modalities), truth.shape[1]))
    strengths: dict[str, list[float]] = {}
    for place, name in enumerate(fusion.modalities):
        rows = np.flatnonzero(present[:, place])
        linear = fusion.experts[place]
        assert isinstance(linear, torch.nn.Linear)
        if not len(rows):  # what training never saw has nothing to say
            torch.nn.init.zeros_(linear.weight)
            torch.nn.init.zeros_(linear.bias)
            strengths[name] = []
            continue
        found = _strongest(features[name][rows], answers[rows], fold[rows], task)
        strengths[name], said[rows, place] = found
        expert = _fit(features[name][rows], answers[rows], strengths[name], task)
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(expert.weight))
            linear.bias.copy_(torch.from_numpy(-expert.weight @ expert.centre))
    logits = np.zeros((len(cases), 1 << len(fusion.modalities), truth.shape[1]))
    for number in range(folds):
        out = fold == number
        logits[out] = _joined(said[out], *_weigh(said[~out], answers[~out], task))
    prior, weights = _weigh(said, answers, task)
    with torch.no_grad():
        fusion.prior.copy_(torch.from_numpy(prior))
        fusion.weights.copy_(torch.from_numpy(weights))
    named: dict[str, list[float]] = {str(name): weights[place].tolist() for place, name in enumerate(fusion.modalities)}
    return Fitted(Decided(logits, present, logits[:, -1]), strengths, named)


@torch.inference_mode()
def _features(
    model: DiagnosisModel, encoded: Sequence[EncodedCase]
) -> tuple[dict[str, Float[ndarray, "n d"]], Bool[ndarray, "n m"]]:
    """The mean token of every modality, as the fusion sees it."""
    found: dict[str, list[ndarray]] = {name: [] for name in model.modalities}
    for start in range(0, len(encoded), _BATCH):
        batch = collate([one.parts for one in encoded[start : start + _BATCH]], model.modalities)
        projected = model.project(batch)[0]
        for name in model.modalities:
            found[name].append(means(projected, (name,))[:, 0].double().numpy())
    present = np.array([[name in one.parts for name in model.modalities] for one in encoded], dtype=bool)
    return {name: np.concatenate(parts) for name, parts in found.items()}, present


def _answers(truth: Float[ndarray, "n c"], task: Task) -> Float[ndarray, "n c"]:
    """Truth with a multiclass case that has not exactly one label as not known at all."""
    if task == "multilabel":
        return truth
    return np.where((np.nansum(truth, axis=1) == 1)[:, None], np.nan_to_num(truth), np.nan)


def _strongest(
    features: Float[ndarray, "n d"], answers: Float[ndarray, "n c"], fold: ndarray, task: Task
) -> tuple[list[float], Float[ndarray, "n c"]]:
    """The strength of least out-of-fold log loss, one a label in a multilabel task, and what is said out of fold."""
    losses = np.zeros((len(STRENGTHS), answers.shape[1]))
    said = np.zeros((len(STRENGTHS), *answers.shape))
    for number in np.unique(fold):
        out = fold == number
        for place, strength in enumerate(STRENGTHS):
            expert = _fit(features[~out], answers[~out], [strength] * answers.shape[1], task)
            said[place, out] = expert.said(features[out])
            losses[place] += _losses(said[place, out] + expert.intercept, answers[out], task)
    best = losses.sum(1).argmin().repeat(answers.shape[1]) if task == "multiclass" else losses.argmin(0)
    return [STRENGTHS[place] for place in best], said[best, :, np.arange(answers.shape[1])].T


def _fit(
    features: Float[ndarray, "n d"], answers: Float[ndarray, "n c"], strengths: Sequence[float], task: Task
) -> _Expert:
    """A logistic regression on centred features, one a label in a multilabel task.

    All features of a modality are divided by one number. To give each a variance of its own would blow up those that
    hardly vary, which on small cohorts are mostly noise.
    """
    labels = answers.shape[1]
    if not len(features):
        return _Expert(np.zeros((labels, features.shape[1])), np.zeros(features.shape[1]), np.zeros(labels))
    centre = features.mean(0)
    scale = float(np.sqrt(np.square(features - centre).mean())) or 1.0
    standard = (features - centre) / scale
    weight, intercept = np.zeros((labels, features.shape[1])), np.zeros(labels)
    if task == "multiclass":
        known = ~np.isnan(answers).any(1)
        rows, classes = _logistic(standard[known], answers[known].argmax(1), strengths[0])
        for place, kind in enumerate(classes):
            weight[kind], intercept[kind] = rows[place][:-1], rows[place][-1]
        missing = np.setdiff1d(np.arange(labels), classes)
        intercept[missing] = intercept.min() - 5.0 if len(classes) else 0.0  # never seen, so hardly expected
    else:
        for place in range(labels):
            known = ~np.isnan(answers[:, place])
            rows, classes = _logistic(standard[known], answers[known, place].astype(int), strengths[place])
            if len(classes) == 2:
                weight[place], intercept[place] = (rows[1] - rows[0])[:-1], (rows[1] - rows[0])[-1]
            elif len(classes) == 1:
                intercept[place] = 5.0 * (2 * classes[0] - 1)
    return _Expert(weight / scale, centre, intercept)


def _logistic(features: Float[ndarray, "n d"], answer: ndarray, strength: float) -> tuple[ndarray, ndarray]:
    """One row [D + 1] a class that occurs, its weights and its intercept; and these classes."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    classes = np.unique(answer)
    if len(classes) < 2:
        return np.zeros((len(classes), features.shape[1] + 1)), classes
    # The fit lies in the span of the rows, so a cohort smaller than its features is solved in as few directions as it
    # has cases. The penalty does not feel the rotation.
    basis = np.eye(features.shape[1])
    if len(features) < features.shape[1]:
        basis = np.linalg.svd(features, full_matrices=False)[2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = LogisticRegression(C=strength, max_iter=1000).fit(features @ basis.T, answer)
    rows = np.hstack([found.coef_ @ basis, found.intercept_[:, None]])
    return (np.vstack([-rows / 2, rows / 2]) if len(classes) == 2 else rows), classes


def _losses(logits: Float[ndarray, "n c"], answers: Float[ndarray, "n c"], task: Task) -> Float[ndarray, " c"]:
    """Summed log loss; of a multiclass task all of it stands at the label that is true."""
    if task == "multiclass":
        logs = logits - np.logaddexp.reduce(logits, axis=1, keepdims=True)
        return np.asarray(-np.nansum(logs * answers, axis=0))
    return np.asarray(np.nansum(np.logaddexp(0, logits) - answers * logits, axis=0))


def _weigh(
    said: Float[ndarray, "n m c"], answers: Float[ndarray, "n c"], task: Task
) -> tuple[Float[ndarray, " c"], Float[ndarray, "m c"]]:
    r"""Prior $b$ and weights $w ≥ 0$ of least log loss $+ \frac{κ}{2} \sum (w - 1)^2$, κ being `CAUTION`."""
    from scipy.optimize import minimize

    _, count, labels = said.shape
    if task == "multilabel" and labels > 1:
        each = [_weigh(said[:, :, c : c + 1], answers[:, c : c + 1], task) for c in range(labels)]
        return np.concatenate([prior for prior, _ in each]), np.concatenate([w for _, w in each], axis=1)
    known = ~np.isnan(answers).any(1)
    said, answers = said[known], answers[known]

    def loss(x: ndarray) -> tuple[float, ndarray]:
        prior, weights = x[:labels], x[labels:]
        logits = prior + np.einsum("nmc,m->nc", said, weights)
        if task == "multiclass":
            expected = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
        else:
            expected = np.exp(-np.logaddexp(0, -logits))
        wrong = expected - answers
        slope = np.concatenate([wrong.sum(0), np.einsum("nc,nmc->m", wrong, said) + CAUTION * (weights - 1)])
        slope[:labels] += 1e-3 * prior  # a label that never occurs has no finite prior
        penalty = CAUTION / 2 * ((weights - 1) ** 2).sum() + 5e-4 * (prior**2).sum()
        return float(_losses(logits, answers, task).sum() + penalty), slope

    start = np.concatenate([np.zeros(labels), np.ones(count)])
    bounds: list[Any] = [(None, None)] * labels + [(0, None)] * count
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    return found[:labels], np.tile(found[labels:, None], (1, labels))


def _joined(
    said: Float[ndarray, "n m c"], prior: Float[ndarray, " c"], weights: Float[ndarray, "m c"]
) -> Float[ndarray, "n p c"]:
    """Logits for every pattern of modalities."""
    count = said.shape[1]
    kept = (np.arange(1 << count)[:, None] >> np.arange(count) & 1).astype(float)  # as `medfuse.model.patterns` counts
    return np.asarray(prior + np.einsum("nmc,pm->npc", said * weights, kept, dtype=float))
