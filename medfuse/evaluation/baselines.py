"""The plain references that every claim is compared with: logistic regression on what the encoders give, frozen."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.case import Modality
from medfuse.cohort import Task
from medfuse.config import Config
from medfuse.encoders.cases import EncodedCase, is_frozen
from medfuse.errors import MedfuseError, NoteError

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

# Name of each reference in reports.
BASELINES: Mapping[str, str] = {
    "image": "logistic regression, image features",
    "text": "logistic regression, note features",
    "tabular": "logistic regression, values",
    "concatenated": "logistic regression, all features concatenated",
    "tfidf": "logistic regression, TF-IDF of the note",
    "prevalence": "share of each label in training",
}
_STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # C of the logistic regression, chosen by patient-level cross-validation


class Baselines:
    """References on the same cases and the same frozen features as the model.

    A modality that a case lacks is a row of zeros after standardisation, which is the mean.

    Args:
        task: `multiclass` or `multilabel`.
        labels: The labels.
        config: The configuration; a modality whose encoder learns has no frozen features and is left out.
        seed: Of the inner folds.
    """

    def __init__(self, *, task: Task, labels: Sequence[str], config: Config, seed: int = 0) -> None:
        self.task = task
        self.labels = tuple(labels)
        self.config = config
        self.seed = seed
        frozen: list[Modality] = [name for name in config.modalities if name != "tabular" and is_frozen(config, name)]
        self.modalities: tuple[Modality, ...] = (*frozen, *(("tabular",) if "tabular" in config.modalities else ()))

    def fit(self, encoded: Iterable[EncodedCase]) -> Baselines:
        """Fit every reference; nothing but these cases is looked at."""
        cases = list(encoded)
        truth = np.array(
            [[np.nan if (v := one.case.labels.get(k)) is None else v for k in self.labels] for one in cases]
        )
        patients = np.array([one.case.patient_id for one in cases])
        fitted = {name: _Features.fit(name, cases) for name in self.modalities}
        self.features_ = {name: features for name, features in fitted.items() if features is not None}
        inputs: dict[str, Any] = {
            name: features.apply(cases) for name, features in self.features_.items() if features is not None
        }
        if len(inputs) > 1:
            inputs["concatenated"] = np.hstack(list(inputs.values()))
        if self.config.text is not None:
            from sklearn.feature_extraction.text import TfidfVectorizer

            self.tfidf_ = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
            try:
                inputs["tfidf"] = self.tfidf_.fit_transform([self._text(one) for one in cases])
            except ValueError:  # no word stands in two notes
                self.tfidf_ = None
        self.models_ = {name: self._fit_all(matrix, truth, patients) for name, matrix in inputs.items()}
        self.prevalence_ = np.nanmean(truth, axis=0)
        return self

    def predict(self, encoded: Iterable[EncodedCase]) -> dict[str, Float[ndarray, "n c"]]:
        """Probabilities [N, C] of each reference."""
        cases = list(encoded)
        inputs: dict[str, Any] = {
            name: features.apply(cases) for name, features in self.features_.items() if features is not None
        }
        if "concatenated" in self.models_:
            inputs["concatenated"] = np.hstack(list(inputs.values()))
        if "tfidf" in self.models_ and self.tfidf_ is not None:
            inputs["tfidf"] = self.tfidf_.transform([self._text(one) for one in cases])
        found = {name: self._predict_all(self.models_[name], matrix, len(cases)) for name, matrix in inputs.items()}
        found["prevalence"] = np.tile(self.prevalence_, (len(cases), 1))
        return {name: found[name] for name in BASELINES if name in found}

    def _text(self, one: EncodedCase) -> str:
        from medfuse.notes import model_text, read_note

        assert self.config.text is not None
        texts = []
        for note in one.case.notes:
            try:
                whole = note if note.path is None else read_note(note.path)
            except NoteError:
                continue  # told when the case was encoded
            texts.append(model_text(whole, self.config.text, at=one.case.time))
        return "\n".join(texts)

    def _fit_all(self, matrix: Any, truth: Float[ndarray, "n c"], patients: ndarray) -> list[Any]:
        """One multinomial model, or one a label; None where a label has a single value."""
        if self.task == "multiclass":
            rows = ~np.isnan(truth).any(1)
            return [self._fit(matrix[rows], truth[rows].argmax(1), patients[rows])]
        models = []
        for column in truth.T:
            rows = ~np.isnan(column)
            models.append(self._fit(matrix[rows], column[rows].astype(int), patients[rows]))
        return models

    def _fit(self, matrix: Any, answer: ndarray, patients: ndarray) -> Any:
        from sklearn.linear_model import LogisticRegression
        from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold

        if len(set(answer.tolist())) < 2:
            return None
        folds = min(5, *np.unique(answer, return_counts=True)[1].tolist(), len(set(patients.tolist())))
        estimator = LogisticRegression(max_iter=2000)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if folds < 2:
                return estimator.fit(matrix, answer)
            inner = StratifiedGroupKFold(folds, shuffle=True, random_state=self.seed)
            search = GridSearchCV(estimator, {"C": _STRENGTHS}, scoring="neg_log_loss", cv=inner, error_score=-1e9)
            return search.fit(matrix, answer, groups=patients).best_estimator_

    def _predict_all(self, models: Sequence[Any], matrix: Any, count: int) -> Float[ndarray, "n c"]:
        if self.task == "multiclass":
            found = np.tile(self.prevalence_, (count, 1))
            if models[0] is not None:
                found[:] = 0.0
                found[:, models[0].classes_] = models[0].predict_proba(matrix)
            return found
        columns = [
            np.full(count, self.prevalence_[place]) if model is None else model.predict_proba(matrix)[:, 1]
            for place, model in enumerate(models)
        ]
        return np.stack(columns, axis=1)


class _Features:
    """One modality of cases as a standardised matrix; the statistics come from the cases it was fitted on."""

    def __init__(self, name: Modality, mean: ndarray, deviation: ndarray) -> None:
        self.name, self.mean, self.deviation = name, mean, deviation

    @classmethod
    def fit(cls, name: Modality, cases: Sequence[EncodedCase]) -> _Features | None:
        rows = [_pooled(one, name) for one in cases if name in one.parts]
        if not rows:
            return None
        matrix = np.stack(rows)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a column without a single value has no mean
            mean, deviation = np.nanmean(matrix, axis=0), np.nanstd(matrix, axis=0)
        return cls(name, np.nan_to_num(mean), np.where(np.nan_to_num(deviation) > 1e-6, deviation, 1.0))

    def apply(self, cases: Sequence[EncodedCase]) -> Float[ndarray, "n d"]:
        """Rows of cases; values have a second half that says which are missing."""
        rows = []
        for one in cases:
            row = _pooled(one, self.name) if self.name in one.parts else np.full(len(self.mean), np.nan)
            scaled = (row - self.mean) / self.deviation
            row = np.nan_to_num(scaled)
            rows.append(np.concatenate([row, np.isnan(scaled)]) if self.name == "tabular" else row)
        return np.stack(rows)


def _pooled(one: EncodedCase, name: Modality) -> Float[ndarray, " d"]:
    part = one.parts[name].double().numpy()
    if name == "tabular":
        return part
    if part.ndim != 2:
        message = f"the {name} encoder learns, so it has no frozen features for a reference"
        raise MedfuseError(message)
    mean: ndarray = part.mean(axis=0)
    return mean
