"""The probabilistic model behind the sample cohort, and the exact posterior it allows.

Given the diagnosis every finding is independent of every other (naive Bayes), so
P(d | findings) is proportional to P(d) * product of P(finding | d) (Bayes' theorem), whichever findings are at hand.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from medfuse.case import MODALITIES, Modality

LABELS = ("pneumonia", "heart_failure", "atelectasis", "embolism", "no_acute_finding")
PRIOR = (0.25, 0.21, 0.17, 0.15, 0.22)

Value = str | float


@dataclass(frozen=True)
class Categorical:
    """A finding with a few states.

    Attributes:
        modality: Where it is found.
        states: Its states.
        likelihood: P(state | label), one row a label in the order of `LABELS`; each row adds up to 1.
    """

    modality: Modality
    states: tuple[str, ...]
    likelihood: tuple[tuple[float, ...], ...]

    def draw(self, label: int, rng: np.random.Generator) -> str:
        """One state, given the diagnosis."""
        return self.states[_pick(self.likelihood[label], rng)]

    def log_likelihood(self, value: Value) -> Float64[np.ndarray, " labels"]:
        """Log P(value | label) for every label."""
        state = self.states.index(str(value))
        return np.array([math.log(row[state]) for row in self.likelihood])


@dataclass(frozen=True)
class Measured:
    """A number, normal given the diagnosis (or its logarithm is), rounded to `step` and held inside `low`…`high`.

    Attributes:
        mean: Mean by label, in the order of `LABELS`; of the natural logarithm if `logarithmic`.
        deviation: Standard deviation, the same for every label, on the scale of `mean`.
        step: What the value is rounded to, in its unit.
        low: Least value that is written; anything below becomes it.
        high: Greatest value that is written.
        logarithmic: Whether the logarithm is what is normal.
        modality: Where it is found.
    """

    mean: tuple[float, ...]
    deviation: float
    step: float
    low: float
    high: float
    logarithmic: bool = False
    modality: Modality = "tabular"

    def draw(self, label: int, rng: np.random.Generator) -> float:
        """One value, given the diagnosis."""
        number = self.mean[label] + self.deviation * float(rng.standard_normal())
        number = math.exp(number) if self.logarithmic else number
        return round(min(max(round(number / self.step) * self.step, self.low), self.high), 6)

    def log_likelihood(self, value: Value) -> Float64[np.ndarray, " labels"]:
        """Log P(value | label) for every label: the probability of the whole interval that is rounded to `value`."""
        number = float(value)
        below = -math.inf if number <= self.low else self._scale(number - self.step / 2)
        above = math.inf if number >= self.high else self._scale(number + self.step / 2)
        return np.array(
            [math.log(_between((below - m) / self.deviation, (above - m) / self.deviation)) for m in self.mean]
        )

    def _scale(self, number: float) -> float:
        return math.log(number) if self.logarithmic else number


# Rows: pneumonia, heart failure, atelectasis, embolism, no acute finding. The picture tells whether there is an
# opacity, but three diagnoses share each kind of it; the history tells what the trouble is about, but not whether
# anything has come of it: after an operation both a collapsed base and a clot are likely, and fever or swollen ankles
# are also seen where the film shows nothing.
FINDINGS: Mapping[str, Categorical | Measured] = {
    "opacity": Categorical(
        "image",
        ("none", "focal", "perihilar", "basal"),
        (
            (0.02, 0.42, 0.22, 0.34),
            (0.02, 0.26, 0.46, 0.26),
            (0.02, 0.36, 0.17, 0.45),
            (0.96, 0.02, 0.01, 0.01),
            (0.97, 0.01, 0.01, 0.01),
        ),
    ),
    "heart": Categorical(
        "image",
        ("normal", "enlarged"),
        (
            (0.68, 0.32),
            (0.58, 0.42),
            (0.68, 0.32),
            (0.68, 0.32),
            (0.68, 0.32),
        ),
    ),
    "effusion": Categorical(
        "image",
        ("none", "present"),
        (
            (0.76, 0.24),
            (0.70, 0.30),
            (0.76, 0.24),
            (0.76, 0.24),
            (0.82, 0.18),
        ),
    ),
    "course": Categorical(
        "text",
        ("febrile", "swollen", "operated", "pleuritic", "checkup"),
        (
            (0.90, 0.03, 0.03, 0.02, 0.02),
            (0.03, 0.90, 0.03, 0.02, 0.02),
            (0.03, 0.03, 0.90, 0.02, 0.02),
            (0.02, 0.02, 0.88, 0.06, 0.02),
            (0.49, 0.44, 0.03, 0.02, 0.02),
        ),
    ),
    "background": Categorical(
        "text",
        ("cardiac", "airways", "cancer", "none"),
        (
            (0.23, 0.28, 0.17, 0.32),
            (0.33, 0.21, 0.15, 0.31),
            (0.22, 0.26, 0.20, 0.32),
            (0.22, 0.22, 0.24, 0.32),
            (0.26, 0.26, 0.16, 0.32),
        ),
    ),
    "onset": Categorical(
        "text",
        ("minutes", "days", "weeks"),
        (
            (0.19, 0.49, 0.32),
            (0.20, 0.48, 0.32),
            (0.20, 0.50, 0.30),
            (0.28, 0.46, 0.26),
            (0.20, 0.48, 0.32),
        ),
    ),
    "sex": Categorical("tabular", ("F", "M"), ((0.48, 0.52), (0.46, 0.54), (0.48, 0.52), (0.53, 0.47), (0.52, 0.48))),
    "age": Measured((64.0, 68.0, 63.0, 62.0, 61.0), 14.0, 1.0, 18.0, 95.0),
    "temperature": Measured((37.5, 36.9, 37.1, 37.0, 36.9), 0.8, 0.1, 35.0, 41.0),
    "spo2": Measured((92.5, 92.5, 92.5, 92.5, 95.0), 3.6, 1.0, 70.0, 100.0),
    "crp": Measured((3.9, 3.1, 3.5, 3.3, 3.0), 1.2, 1.0, 1.0, 500.0, logarithmic=True),
    "nt_probnp": Measured((6.0, 7.2, 6.0, 6.3, 6.0), 1.2, 1.0, 5.0, 35000.0, logarithmic=True),
}
PERSONAL = ("sex", "age")  # what stays with a patient from one case to the next


def of_modality(*modalities: Modality) -> tuple[str, ...]:
    """The names of the findings of these modalities, in order."""
    return tuple(name for name, finding in FINDINGS.items() if finding.modality in modalities)


def draw_person(rng: np.random.Generator) -> dict[str, Value]:
    """Sex and age of a patient, from their distribution over all diagnoses."""
    label = _pick(PRIOR, rng)
    return {name: FINDINGS[name].draw(label, rng) for name in PERSONAL}


def draw_findings(person: Mapping[str, Value], rng: np.random.Generator) -> tuple[int, dict[str, Value]]:
    """A diagnosis (index into `LABELS`) for this person, and all findings.

    The diagnosis is drawn given sex and age, so that each single case follows the model exactly although the cases of
    one patient share both.
    """
    label = _pick(tuple(posterior(person)), rng)
    findings = {name: FINDINGS[name].draw(label, rng) for name in FINDINGS if name not in PERSONAL}
    return label, {name: {**person, **findings}[name] for name in FINDINGS}


def posterior(
    findings: Mapping[str, Value | None], modalities: Iterable[Modality] = MODALITIES
) -> Float64[np.ndarray, " labels"]:
    """P(label | findings of these modalities), adds up to 1; the prior if there is nothing to go by.

    Args:
        findings: Values by finding; one that is absent or None is not known and is left out (values go missing
            completely at random, so that their absence says nothing).
        modalities: Which modalities are looked at.
    """
    logarithm = np.log(np.array(PRIOR))
    for name in of_modality(*modalities):
        value = findings.get(name)
        if value is not None:
            logarithm = logarithm + FINDINGS[name].log_likelihood(value)
    weight = np.exp(logarithm - logarithm.max())
    return np.asarray(weight / weight.sum())


def _pick(probabilities: Iterable[float], rng: np.random.Generator) -> int:
    """An index, drawn from these probabilities."""
    left = float(rng.random())
    index = -1
    for index, probability in enumerate(probabilities):  # noqa: B007 (the last one takes what rounding leaves)
        left -= probability
        if left < 0:
            break
    return index


def _between(low: float, high: float) -> float:
    """P(low < Z < high) of a standard normal Z, exact in both tails (Abramowitz & Stegun 26.2.29, erfc)."""
    if low > 0:
        low, high = -high, -low  # the lower tail has the digits
    return max(0.5 * (math.erfc(-high / math.sqrt(2)) - math.erfc(-low / math.sqrt(2))), 1e-300)
