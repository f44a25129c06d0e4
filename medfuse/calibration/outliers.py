"""Out-of-distribution flags: is a case like those that the model was trained on?"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medfuse.calibration.likelihood import log_sum_exp
from medfuse.cohort import Task
from medfuse.errors import BundleError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray

UNLIKE = "unlike the cases of training"  # how the warning of a flagged case begins
SCORES = ("energy", "mahalanobis")


@dataclass(frozen=True)
class Outliers:
    r"""Two scores, larger for a stranger case, and the thresholds above which a case is flagged.

    Energy: $-\log \sum_c e^{z_c}$ of the logits; in a multilabel task $-\sum_c \log(1 + e^{z_c})$ (Liu et al. 2020,
    Energy-based Out-of-distribution Detection, NeurIPS, equation 4 with T = 1; Wang et al. 2021, Can multi-label
    classification networks know what they don't know?, NeurIPS, equation 5).

    Mahalanobis: $\min_c (v - \mu_c)^\top \Sigma^{-1} (v - \mu_c)$ of the fused vector, with the means of the labels
    and one covariance of the training cases (Lee et al. 2018, NeurIPS, section 2.1), shrunk as Ledoit & Wolf 2004
    have it, for vectors are long and cases few; in a multilabel task one mean.

    A threshold is the $\lceil (n + 1)(1 - \alpha) \rceil$-th smallest score of n calibration cases, so that an ordinary
    new case exceeds it with probability at most α (the conformal p-value of Bates et al. 2023, Annals of Statistics
    51, section 2.2). Each score is given half of the false alarms. With too few cases a threshold is infinite.

    Attributes:
        task: `multiclass` or `multilabel`.
        means: [K, D].
        whitening: W [D, D] with $W^\top W = \Sigma^{-1}$.
        thresholds: By score, in the order of `SCORES`.
        false_alarms: α of both together.
        fitted_on: Training cases behind the means, and calibration cases behind the thresholds.
    """

    task: Task
    means: Float[ndarray, "k d"]
    whitening: Float[ndarray, "d d"]
    thresholds: tuple[float, float]
    false_alarms: float
    fitted_on: tuple[int, int]

    @classmethod
    def fit(
        cls,
        vectors: Float[ndarray, "t d"],
        labels: Float[ndarray, "t c"],
        calibration_logits: Float[ndarray, "n c"],
        calibration_vectors: Float[ndarray, "n d"],
        *,
        task: Task,
        false_alarms: float = 0.05,
    ) -> Outliers | None:
        """Means and covariance from training cases, thresholds from calibration cases that the model never saw.

        None if a fused vector has no covariance: fewer than three training cases.

        Args:
            vectors: Fused vectors of the training cases [T, D].
            labels: 1, 0 or NaN (not known) [T, C].
            calibration_logits: [N, C].
            calibration_vectors: [N, D].
            task: `multiclass` or `multilabel`.
            false_alarms: α.
        """
        from sklearn.covariance import ledoit_wolf

        if len(vectors) < 3 or vectors.shape[1] == 0:
            return None
        groups = [labels[:, c] == 1 for c in range(labels.shape[1])] if task == "multiclass" else []
        groups = [group for group in groups if group.any()] or [np.ones(len(vectors), dtype=bool)]
        means = np.stack([vectors[group].mean(axis=0) for group in groups])
        centred = np.concatenate([vectors[group] - mean for group, mean in zip(groups, means, strict=True)])
        covariance, _ = ledoit_wolf(centred, assume_centered=True)
        values, axes = np.linalg.eigh(covariance)
        whitening = (axes / np.sqrt(np.maximum(values, values.max() * 1e-9 + 1e-30))).T
        found = cls(task, means, whitening, (math.inf, math.inf), false_alarms, (len(centred), len(calibration_logits)))
        if not len(calibration_logits):
            return found
        scores = found.scores(calibration_logits, calibration_vectors)
        thresholds = tuple(_quantile(column, 1 - false_alarms / 2) for column in scores.T)
        return cls(task, means, whitening, (thresholds[0], thresholds[1]), false_alarms, found.fitted_on)

    @classmethod
    def joined(
        cls,
        parts: Sequence[Outliers],
        held: Sequence[tuple[Float[ndarray, "n c"], Float[ndarray, "n d"]]],
        *,
        false_alarms: float = 0.05,
    ) -> Outliers | None:
        """The scores of several heads whose vectors stand side by side, each fitted without the cases it is held to.

        The distance is the mean over heads, taken to the nearest label by all of them together. Thresholds come from
        what each head says of its own held-out cases; the mean over heads varies less, so no more than α are flagged.

        Args:
            parts: One a head, in the order of the vectors.
            held: For each head the logits [N, C] and vectors [N, D] of cases that it did not see.
            false_alarms: α.

        Returns:
            None if the heads did not see cases of the same labels.
        """
        if len({part.means.shape for part in parts}) != 1:
            return None
        width = parts[0].means.shape[1]
        whitening = np.zeros((len(parts) * width, len(parts) * width))
        for place, part in enumerate(parts):
            own = slice(place * width, (place + 1) * width)
            whitening[own, own] = part.whitening / math.sqrt(len(parts))
        scores = np.concatenate([part.scores(*said) for part, said in zip(parts, held, strict=True)])
        thresholds = [_quantile(column, 1 - false_alarms / 2) for column in scores.T]
        return cls(
            parts[0].task,
            np.concatenate([part.means for part in parts], axis=1),
            whitening,
            (thresholds[0], thresholds[1]),
            false_alarms,
            (min(part.fitted_on[0] for part in parts), len(scores)),
        )

    def scores(self, logits: Float[ndarray, "n c"], vectors: Float[ndarray, "n d"]) -> Float[ndarray, "n 2"]:
        """Energy and Mahalanobis distance (squared) of cases [N, 2], in the order of `SCORES`."""
        energy = -log_sum_exp(logits)[:, 0] if self.task == "multiclass" else -np.logaddexp(0, logits).sum(axis=1)
        far = [(((vectors - mean) @ self.whitening.T) ** 2).sum(axis=1) for mean in self.means]
        return np.stack([energy, np.min(far, axis=0)], axis=1)

    def flags(self, logits: Float[ndarray, "n c"], vectors: Float[ndarray, "n d"]) -> Bool[ndarray, "n 2"]:
        """Which score of each case exceeds its threshold [N, 2]."""
        return np.asarray(self.scores(logits, vectors) > np.array(self.thresholds))

    def warnings(self, logits: Float[ndarray, "n c"], vectors: Float[ndarray, "n d"]) -> list[str | None]:
        """What a reader must know of each case [N]; None of an ordinary one."""
        return [
            f"{UNLIKE} ({' and '.join(name for name, flag in zip(SCORES, row, strict=True) if flag)} score):"
            " its probabilities may not hold"
            if row.any()
            else None
            for row in self.flags(logits, vectors)
        ]

    def save(self, path: Path) -> None:
        """Write a safetensors file."""
        from safetensors.numpy import save_file

        told = {
            "task": self.task,
            "thresholds": [None if math.isinf(one) else one for one in self.thresholds],
            "false_alarms": self.false_alarms,
            "fitted_on": list(self.fitted_on),
        }
        arrays = {"means": np.ascontiguousarray(self.means), "whitening": np.ascontiguousarray(self.whitening)}
        save_file(arrays, path, metadata={"outliers": json.dumps(told)})

    @classmethod
    def load(cls, path: Path) -> Outliers:
        """Read what `save` wrote.

        Raises:
            BundleError: If the file is not that.
        """
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(path, framework="numpy") as stored:
                told: Mapping = json.loads((stored.metadata() or {})["outliers"])
                means, whitening = stored.get_tensor("means"), stored.get_tensor("whitening")
            first, second = (math.inf if one is None else float(one) for one in told["thresholds"])
            counts = (int(told["fitted_on"][0]), int(told["fitted_on"][1]))
            found = cls(told["task"], means, whitening, (first, second), float(told["false_alarms"]), counts)
        except (SafetensorError, KeyError, TypeError, ValueError, IndexError, OSError) as error:
            message = f"{path.name}: not the out-of-distribution scores of a bundle; train or calibrate again"
            raise BundleError(message) from error
        return found


def _quantile(scores: Float[ndarray, " n"], share: float) -> float:
    rank = math.ceil((len(scores) + 1) * share - 1e-9)
    return math.inf if rank > len(scores) else float(np.partition(scores, rank - 1)[rank - 1])
