"""Predictor: cases in, calibrated predictions with their reasons out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import islice
from math import factorial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medfuse.bundle import Bundle
from medfuse.calibration import pattern_of
from medfuse.case import MODALITIES, Case, Modality, Note, Prediction, Scan
from medfuse.encoders.cache import TokenCache, default_cache
from medfuse.encoders.cases import CaseEncoder, EncodedCase
from medfuse.encoders.threads import budget
from medfuse.model import Decided, decide_all, patterns

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

    from medfuse.inference.engines import Decide

_BATCH = 16  # cases that go through the head together


class Predictor:
    """Classifies cases with a bundle.

    Example:
        >>> predictor = Predictor.load("runs/icu")  # doctest: +SKIP
        >>> predictor.classify(case).probabilities  # doctest: +SKIP
        {'icu': 0.31}

    Args:
        bundle: The bundle.
        cache: Where tokens of frozen encoders are kept; None keeps nothing.
        engine: What runs the frozen encoders and the heads, `torch`, `onnx`, `int8`, `openvino` or `auto`; None takes
            the config's.

    Attributes:
        engine: The engine that runs them, never `auto`.
    """

    def __init__(self, bundle: Bundle, *, cache: TokenCache | None = None, engine: str | None = None) -> None:
        self.bundle = bundle
        self.encoder = CaseEncoder(
            bundle.config,
            image=bundle.model.image,
            text=bundle.model.text,
            tokenizer=bundle.tokenizer,
            columns=bundle.columns,
            cache=cache,
        )
        self.engine = engine or bundle.config.inference.engine
        self._decide: Decide = partial(decide_all, bundle.model)
        if self.engine != "torch":
            from medfuse.inference.engines import choose

            folder = (default_cache() if cache is None else cache.folder) / "engines"
            self.use(choose(bundle, folder) if self.engine == "auto" else self.engine, folder)

    def use(self, engine: str, folder: Path) -> None:
        """Let an engine run the frozen encoders and the heads.

        Args:
            engine: One of `medfuse.inference.engines.ENGINES`.
            folder: Where exported networks are kept.

        Raises:
            EncoderError: If it is not installed, or cannot run the bundle and say what torch says.
        """
        from medfuse.inference.engines import heads_by, run_by

        run_by(engine, self.encoder, folder)
        self.engine, self._decide = engine, heads_by(engine, self.bundle.model, folder)

    @classmethod
    def load(cls, bundle: str | Path, *, cache: Path | None = None, engine: str | None = None) -> Predictor:
        """Verify and load a bundle.

        Raises:
            BundleError: If it is damaged or none.
            EncoderError: If the engine is not installed, or cannot run the bundle's encoders.
        """
        return cls(Bundle.load(bundle), cache=TokenCache(cache) if cache is not None else None, engine=engine)

    def classify(self, case: Case) -> Prediction:
        """The prediction for one case; `warnings` and, if nothing is left, `error` tell what could not be read."""
        return next(self.stream([case]))

    def classify_files(
        self,
        *,
        scans: Sequence[str | Path] = (),
        notes: Sequence[str | Path] = (),
        values: Mapping[str, float | str | None] | None = None,
    ) -> Prediction:
        """The prediction for one case that is given by its files and values."""
        return self.classify(
            Case(
                case_id="case",
                patient_id="case",
                scans=tuple(Scan(Path(path)) for path in scans),
                notes=tuple(Note(Path(path)) for path in notes),
                values=values or {},
            )
        )

    def stream(self, cases: Iterable[Case]) -> Iterator[Prediction]:
        """Predictions in the order of the cases; memory does not grow with their number."""
        for batch, _, probability in self.probabilities(cases):
            yield from self.predictions(batch, probability)

    def probabilities(
        self, cases: Iterable[Case]
    ) -> Iterator[tuple[list[EncodedCase], list[tuple[Modality, ...]], Float[ndarray, "p b c"]]]:
        """Calibrated probabilities of batches of cases for every pattern of modalities, as if only those were there.

        Yields:
            The batch, the patterns (the last holds all modalities), and the probabilities [patterns, B, C].
        """
        wanted = patterns(self.bundle.model.modalities)
        for batch, has, logits in self.logits(cases):
            yield batch, wanted, self.calibrated(has, logits)

    def logits(
        self, cases: Iterable[Case]
    ) -> Iterator[tuple[list[EncodedCase], Int[ndarray, "p b"], Float[ndarray, "p b c"]]]:
        """What the network says of batches of cases for every pattern of modalities, before calibration.

        Yields:
            The batch, which modalities are left of each case in each pattern (see `pattern_of`) [patterns, B], and the
            logits [patterns, B, C].
        """
        wanted = patterns(self.bundle.model.modalities)
        for batch, decided in self._decided(cases):
            # What a case lacks is withheld from it in every pattern, so that it has exactly no influence: a part that
            # is masked beside other cases and one that is left out differ in the last bit.
            has = pattern_of(decided.present)[None] & np.arange(len(wanted))[:, None]
            told = batch
            if self.bundle.outliers is not None:
                said = self.bundle.outliers.warnings(decided.logits[:, -1], decided.vector)
                told = [
                    one if line is None or not one.parts else replace(one, warnings=(*one.warnings, line))
                    for one, line in zip(batch, said, strict=True)
                ]
            yield told, has, decided.logits[np.arange(len(batch))[None], has]

    def _decided(self, cases: Iterable[Case]) -> Iterator[tuple[list[EncodedCase], Decided]]:
        """Batches with what the heads say of them; as many go through the heads at a time as threads may work."""
        stream, ahead = self.encoder.stream(cases), budget()
        waiting: deque[tuple[list[EncodedCase], Future[Decided]]] = deque()
        with ThreadPoolExecutor(ahead) as pool:
            while batch := list(islice(stream, _BATCH)):
                waiting.append((batch, pool.submit(self._decide, [one.parts for one in batch])))
                if len(waiting) > ahead:
                    batch, future = waiting.popleft()
                    yield batch, future.result()
            while waiting:
                batch, future = waiting.popleft()
                yield batch, future.result()

    def vectors(self, cases: Iterable[Case]) -> Iterator[tuple[list[EncodedCase], Float[ndarray, "b d"]]]:
        """The fused vectors of batches of cases, with all that is there of each."""
        stream = self.encoder.stream(cases)
        while batch := list(islice(stream, _BATCH)):
            yield batch, self._decide([one.parts for one in batch]).vector

    def calibrated(self, has: Int[ndarray, "p b"], logits: Float[ndarray, "p b c"]) -> Float[ndarray, "p b c"]:
        """Probabilities of what `logits` gave."""
        return np.stack([self.bundle.calibration.probability(z, h) for h, z in zip(has, logits, strict=True)])

    def predictions(self, batch: Sequence[EncodedCase], probability: Float[ndarray, "p b c"]) -> Iterator[Prediction]:
        """Predictions of a batch from what `probabilities` gave for it."""
        labels, every = self.bundle.labels, probability[-1]
        has = pattern_of([[name in one.parts for name in self.bundle.model.modalities] for one in batch])
        sets = self.bundle.conformal.predict(every, has)
        promised = self.bundle.calibration.sensitivity
        flags = np.zeros(every.shape, dtype=bool) if promised is None else promised.flags(every)
        unsure = self.bundle.conformal.abstains(every, has)
        for row, one in enumerate(batch):
            if not one.parts:
                reason = "; ".join(one.unreadable) or "no scan, note or value that the model uses"
                yield Prediction(
                    one.case.case_id,
                    error=reason,
                    warnings=one.warnings,
                    unreadable=one.unreadable,
                    bundle=self.bundle.digest,
                )
                continue
            top = int(every[row].argmax())
            values = {
                pattern: float(probability[place, row, top])
                for place, pattern in enumerate(patterns(self.bundle.model.modalities))
            }
            yield Prediction(
                case_id=one.case.case_id,
                probabilities={label: float(p) for label, p in zip(labels, every[row], strict=True)},
                prediction_set=tuple(label for label, inside in zip(labels, sets[row], strict=True) if inside),
                abstain=bool(unsure[row]),
                flagged=tuple(label for label, flag in zip(labels, flags[row], strict=True) if flag),
                modalities=tuple(name for name in MODALITIES if name in one.parts),
                contributions=shapley(values, self.bundle.model.modalities),
                warnings=one.warnings,
                unreadable=one.unreadable,
                bundle=self.bundle.digest,
            )


def shapley(values: Mapping[tuple[Modality, ...], float], modalities: Sequence[Modality]) -> dict[str, float]:
    """Shapley value of each modality for a function of the modalities present (Shapley 1953, theorem's formula).

    They add up to the value with all present minus the value with none.

    Args:
        values: The function's value for every subset, each in the order of `modalities`.
        modalities: The players.
    """
    count = len(modalities)
    shares = {}
    for name in modalities:
        share = 0.0
        for subset in values:
            if name not in subset:
                joined = tuple(other for other in modalities if other in subset or other == name)
                weight = factorial(len(subset)) * factorial(count - len(subset) - 1) / factorial(count)
                share += weight * (values[joined] - values[subset])
        shares[str(name)] = share
    return shares
