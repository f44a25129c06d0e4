"""How good probabilities are: AUROC, AUPRC, Brier score, calibration error and log loss, for any case weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

METRICS = ("auroc", "auprc", "brier", "ece", "log_loss")
SCORED = (*METRICS, "sensitivity_at_specificity")  # what a Scorer gives; the last is told by label only

SPECIFICITY = 0.9  # at least this, where sensitivity is read off the ROC curve

BINS = 10  # of equal mass; Naeini et al. 2015 use ten
SMALLEST = float(np.finfo(np.float64).eps)  # a probability of 0 costs -log of this, as in scikit-learn's log_loss


class Scorer:
    """Truth and probabilities, sorted once, then scored under as many case weights as wanted.

    Each label is scored by itself, one against the rest. A blank (NaN) truth takes its case out of that label only.

    Example:
        >>> scorer = Scorer(truth=[[1], [0], [1], [0]], probability=[[0.9], [0.1], [0.4], [0.4]])
        >>> float(scorer()["auroc"][0])
        0.875

    Args:
        truth: 1, 0 or NaN (not known) [N, C].
        probability: Probability that the label is 1 [N, C].

    Raises:
        ValueError: If the shapes differ, truth is anything else, or a probability lies outside 0…1.
    """

    def __init__(self, *, truth: Float[ndarray, "n c"], probability: Float[ndarray, "n c"]) -> None:
        truth, probability = _checked(truth, probability)
        self.shape = truth.shape
        self._labels = [_Label(truth[:, c], probability[:, c]) for c in range(truth.shape[1])]

    def __call__(self, weight: Float[ndarray, " n"] | Float[ndarray, "b n"] | None = None) -> dict[str, ndarray]:
        """Every metric of every label.

        Args:
            weight: How often each case counts, at least 0 [N], or one such row a bootstrap draw [B, N]; None is once.

        Returns:
            Name of the metric to values [C], or [B, C] where weights were [B, N]. NaN means undefined: AUROC and AUPRC
            need a case with and a case without the label, the others need a case for which the label is known.
            `sensitivity_at_specificity` is the highest sensitivity of a threshold whose specificity is `SPECIFICITY`
            or more; the threshold is found on these same cases, so it says what a model could do, not what it does.
        """
        weights = np.ones((1, self.shape[0])) if weight is None else np.atleast_2d(np.asarray(weight, dtype=float))
        if weights.ndim != 2 or weights.shape[1] != self.shape[0]:
            message = f"weights are {weights.shape}; {self.shape[0]} cases need [N] or [B, N]"
            raise ValueError(message)
        values = np.stack([label.scored(weights) for label in self._labels], axis=-1)  # [6, B, C]
        flat = weight is None or np.asarray(weight).ndim == 1
        return {name: value[0] if flat else value for name, value in zip(SCORED, values, strict=True)}

    def bins(self) -> list[ndarray]:
        """The bins of the calibration error by label: mean probability, positives and cases a bin [bins, 3]."""
        return [label.bins() for label in self._labels]


def auroc(truth: ndarray, probability: ndarray, weight: ndarray | None = None) -> ndarray:
    r"""Area under the ROC curve by label: how often a case with the label scores above one without, ties by half.

    $\frac{1}{n_1 n_0} \sum_{i: y_i = 1} \sum_{j: y_j = 0} [p_i > p_j] + \tfrac{1}{2} [p_i = p_j]$, the Mann-Whitney
    statistic (Hanley & McNeil 1982, Radiology 143:29-36). Arguments and result as in `Scorer`.
    """
    return Scorer(truth=truth, probability=probability)(weight)["auroc"]


def auprc(truth: ndarray, probability: ndarray, weight: ndarray | None = None) -> ndarray:
    r"""Average precision by label, $\sum_k (R_k - R_{k-1}) P_k$ over the distinct scores from high to low.

    The step sum of scikit-learn's `average_precision_score`; straight lines between the points would flatter (Davis &
    Goadrich 2006, ICML). Its level for a model that knows nothing is the prevalence. Arguments and result as in
    `Scorer`.
    """
    return Scorer(truth=truth, probability=probability)(weight)["auprc"]


def brier(truth: ndarray, probability: ndarray, weight: ndarray | None = None) -> ndarray:
    """Mean of (p - y)² by label (Brier 1950, Monthly Weather Review 78:1-3). Arguments and result as in `Scorer`.

    Brier's own sum over the classes of one forecast is the number of labels times the mean of these.
    """
    return Scorer(truth=truth, probability=probability)(weight)["brier"]


def ece(truth: ndarray, probability: ndarray, weight: ndarray | None = None) -> ndarray:
    r"""Expected calibration error by label, $\sum_b \frac{n_b}{n} |\bar y_b - \bar p_b|$ over ten bins of equal mass.

    One label against the rest, so that the probability of every label is checked and not only the highest (class-wise
    ECE: Kull et al. 2019, NeurIPS). Bins of equal mass, as of Naeini et al. 2015 (AAAI), because bins of
    equal width leave most of the range of a rare label almost empty (Nixon et al. 2019, CVPR workshops) and are the
    more biased by chance (Roelofs et al. 2022, AISTATS). Equal probabilities are never parted. The bins are those of
    the cases as given; weights change what falls into them and not where they lie. Arguments and result as in `Scorer`.
    """
    return Scorer(truth=truth, probability=probability)(weight)["ece"]


def log_loss(truth: ndarray, probability: ndarray, weight: ndarray | None = None) -> ndarray:
    r"""Mean of $-y \log p - (1 - y) \log(1 - p)$ by label, natural logarithm. Arguments and result as in `Scorer`."""
    return Scorer(truth=truth, probability=probability)(weight)["log_loss"]


def categorical_log_loss(truth: ndarray, probability: ndarray, weight: ndarray | None = None) -> ndarray:
    r"""Mean of $-\log p_y$, the probability given to the label that is true, over the cases whose label is known.

    What a multiclass model is trained on; a probability row is taken as it is and not brought to sum 1.

    Returns:
        One value, or [B] where weights were [B, N]; NaN where no labelled case has weight.
    """
    truth, probability = _checked(truth, probability)
    known = np.flatnonzero(np.nansum(truth, axis=1) == 1)
    given = probability[known, np.nanargmax(truth[known], axis=1)] if known.size else np.empty(0)
    loss = -np.log(np.clip(given, SMALLEST, 1))
    weight = np.ones(len(truth)) if weight is None else np.asarray(weight, dtype=float)
    return _ratio(weight[..., known] @ loss, weight[..., known].sum(axis=-1))


def calibrated_ece(
    *, truth: ndarray, probability: ndarray, exclusive: bool, draws: int = 200, seed: int = 0
) -> Float[ndarray, " draws"]:
    """The macro ECE that chance alone gives: labels drawn from the probabilities themselves, so calibrated by make.

    A binned ECE is never 0 on few cases. What it would be for a calibrated model says how to read it (consistency
    resampling: Bröcker & Smith 2007, Weather and Forecasting 22:651-661). Cases are drawn as independent.

    Args:
        truth: As in `Scorer`; only its blanks count here [N, C].
        probability: As in `Scorer` [N, C].
        exclusive: Whether exactly one label is true in a case, as in a multiclass task.
        draws: How many times labels are drawn.
        seed: Of the draws.
    """
    truth, probability = _checked(truth, probability)
    labels = [_Label(truth[:, c], probability[:, c]) for c in range(truth.shape[1])]
    out = np.full(draws, np.nan)
    if not any(label.order.size for label in labels):
        return out
    rng = np.random.default_rng(seed)
    ceiling = np.cumsum(probability, axis=1)
    for draw in range(draws):
        if exclusive:
            drawn = rng.random(len(probability)) * ceiling[:, -1]
            told = np.eye(len(labels))[(ceiling <= drawn[:, None]).sum(axis=1).clip(max=len(labels) - 1)]
        else:
            told = (rng.random(probability.shape) < probability).astype(float)
        out[draw] = np.mean([label.gap(told[:, c]) for c, label in enumerate(labels) if label.order.size])
    return out


class _Label:
    """One label's known cases from the highest probability to the lowest, with all that weights do not change."""

    def __init__(self, truth: Float[ndarray, " n"], probability: Float[ndarray, " n"]) -> None:
        known = np.flatnonzero(~np.isnan(truth))
        self.order: Int[ndarray, " k"] = known[np.argsort(-probability[known], kind="stable")]
        self.truth = truth[self.order]
        self.probability = probability[self.order]
        self.positive: Int[ndarray, " p"] = np.flatnonzero(self.truth == 1)
        # Where the run of equal probabilities around each distinct positive probability starts and ends, among all
        # known cases and among the positive ones. Ranks only change at these, so sums between them are all it takes.
        falling = -self.probability
        scores = np.unique(falling[self.positive])
        self.runs = [
            np.searchsorted(among, scores, side=side)
            for among in (falling, falling[self.positive])
            for side in ("left", "right")
        ]
        self.residual = self.truth - self.probability
        self.starts = bin_starts(self.probability)
        clipped = np.clip(self.probability, SMALLEST, 1 - SMALLEST)
        loss = -np.where(self.truth == 1, np.log(clipped), np.log1p(-clipped))
        self.losses: Float[ndarray, "k 3"] = np.stack([np.ones_like(loss), self.residual**2, loss], axis=1)

    def scored(self, weights: Float[ndarray, "b n"]) -> Float[ndarray, "6 b"]:
        """The metrics in the order of `SCORED` under each row of weights."""
        if not self.order.size:
            return np.full((len(SCORED), len(weights)), np.nan)
        weight = weights.take(self.order, axis=1)
        total, squared, loss = (weight @ self.losses).T
        gaps = np.add.reduceat(weight * self.residual, self.starts, axis=1)
        area, average, sensitivity = self._ranked(weight)
        means = (_ratio(sums, total) for sums in (squared, np.abs(gaps).sum(axis=1), loss))
        return np.stack([area, average, *means, sensitivity])

    def _ranked(self, weight: Float[ndarray, "b k"]) -> tuple[ndarray, ndarray, ndarray]:
        start, end, first, last = self.runs
        every = _running(weight)
        positive = _running(weight.take(self.positive, axis=1))
        n_positive = positive[:, -1]
        n_negative = every[:, -1] - n_positive
        here = positive[:, last] - positive[:, first]
        upto = every[:, end]
        above = every[:, start] - positive[:, first]
        negatives = upto - positive[:, last]  # with a score as high or higher
        won = (here * (n_negative[:, None] - (above + negatives) / 2)).sum(axis=1)
        precision = np.divide(positive[:, last], upto, out=np.zeros_like(upto), where=upto > 0)
        undefined = (n_positive <= 0) | (n_negative <= 0)
        area = _ratio(won, np.where(undefined, 0, n_positive * n_negative))
        n_positive = np.where(undefined, 0, n_positive)
        average = _ratio((here * precision).sum(axis=1), n_positive)
        allowed = negatives <= (1 - SPECIFICITY) * n_negative[:, None] + 1e-9
        sensitivity = _ratio(np.max(positive[:, last] * allowed, axis=1, initial=0), n_positive)
        return area, average, sensitivity

    def gap(self, told: Float[ndarray, " n"]) -> float:
        """The calibration error if `told` were the truth."""
        gaps = np.add.reduceat(told[self.order] - self.probability, self.starts)
        return float(np.abs(gaps).sum() / self.order.size)

    def bins(self) -> Float[ndarray, "bins 3"]:
        """Mean probability, positives and cases of each bin, from the lowest to the highest probability."""
        if not self.order.size:
            return np.empty((0, 3))
        sums = [np.add.reduceat(values, self.starts) for values in (self.probability, self.truth, self.losses[:, 0])]
        return np.stack([sums[0] / sums[2], sums[1], sums[2]], axis=1)[::-1]


def bin_starts(falling: Float[ndarray, " k"], *, bins: int = BINS) -> Int[ndarray, " bins"]:
    """Where each bin of equal mass starts in falling probabilities; a run of equal ones goes to the upper bin."""
    if not falling.size:
        return np.empty(0, dtype=int)
    last = -(-np.arange(1, bins + 1) * falling.size // bins) - 1  # the last case of each bin, were there no ties
    ends = np.searchsorted(-falling, -falling[last[last >= 0]], side="right")
    return np.unique(np.concatenate([[0], ends[ends < falling.size]]))


def _running(weight: Float[ndarray, "b k"]) -> Float[ndarray, "b k+1"]:
    """Sums of the first 0…k columns."""
    sums = np.zeros((len(weight), weight.shape[1] + 1))
    np.cumsum(weight, axis=1, out=sums[:, 1:])
    return sums


def _ratio(above: ndarray, below: ndarray) -> ndarray:
    """Their quotient, NaN where `below` is 0."""
    out = np.full(np.shape(above), np.nan)
    np.divide(above, below, out=out, where=np.asarray(below) > 0)
    return out


def _checked(truth: ndarray, probability: ndarray) -> tuple[ndarray, ndarray]:
    truth, probability = np.asarray(truth, dtype=float), np.asarray(probability, dtype=float)
    faults = {
        f"truth is {truth.shape} and probability {probability.shape}; both should be [cases, labels]": (
            truth.shape != probability.shape or truth.ndim != 2
        ),
        "truth should be 1, 0 or NaN": not np.isin(truth[~np.isnan(truth)], (0, 1)).all(),
        "a probability lies outside 0…1 or is not a number": not ((probability >= 0) & (probability <= 1)).all(),
    }
    for message, present in faults.items():
        if present:
            raise ValueError(message)
    return truth, probability
