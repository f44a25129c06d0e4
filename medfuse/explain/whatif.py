"""What if parts of a case were not there: encoded once, then only the fusion runs again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from medfuse.calibration import pattern_of
from medfuse.case import Case, Modality, Note
from medfuse.encoders.cases import CaseEncoder, EncodedCase, whole_note
from medfuse.errors import MedfuseError, NoteError
from medfuse.explain.explanation import Part
from medfuse.explain.tokens import Tokens, logits_of, stacked
from medfuse.model import collate
from medfuse.notes import kept_sections, without_sections

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray
    from torch import Tensor

    from medfuse.inference import Predictor

_BATCH = 64  # variants that go through the fusion together


class WhatIf:
    """One case of which parts can be left out.

    Scans and notes are encoded when they are first needed and then kept. Notes are encoded anew for every set of
    sections that is left out, since every token of a note knows the others.

    Example:
        >>> variants = WhatIf(Predictor.load("runs/icu"), case)  # doctest: +SKIP
        >>> variants.without({"scan:0"})  # doctest: +SKIP
        {'icu': 0.27}

    Args:
        predictor: Classifies.
        case: The case.

    Attributes:
        notes: The case's notes as they were read; None where one could not be read.
        parts: What can be left out: scans, notes, their sections where there are several, and values.
        warnings: What could not be read.
    """

    def __init__(self, predictor: Predictor, case: Case) -> None:
        self.predictor = predictor
        self.case = case
        self.bundle = predictor.bundle
        self.model = predictor.bundle.model
        self.warnings: list[str] = []
        self.notes = tuple(self._read(note) for note in case.notes) if self.model.text is not None else ()
        self.parts = tuple(self._parts())
        self._scans: dict[int, Tensor | None] = {}
        self._texts: dict[frozenset[str], Tensor | None] = {}
        # What is encoded with something left out is of no use to anyone else, so it stays out of the cache on disk.
        model = self.model
        self._encoder = CaseEncoder(
            self.bundle.config, image=model.image, text=model.text, tokenizer=self.bundle.tokenizer, columns=()
        )

    def without(self, left_out: Collection[str]) -> dict[str, float]:
        """Calibrated probability by label without the parts of these keys.

        Raises:
            MedfuseError: If the case has no such part.
        """
        return dict(zip(self.bundle.labels, self.probabilities([left_out])[0].tolist(), strict=True))

    def probabilities(self, variants: Sequence[Collection[str]]) -> Float[ndarray, "n c"]:
        """Calibrated probabilities of several variants of the case, each without the parts of its keys."""
        known = {part.key for part in self.parts}
        for key in sorted(set().union(*map(set, variants)) - known):
            message = f"the case has no part '{key}'; it has {', '.join(sorted(known)) or 'none'}"
            raise MedfuseError(message)
        self._encode(variants)
        found = [np.zeros((0, len(self.bundle.labels)))]
        for start in range(0, len(variants), _BATCH):
            tokens = [self.tokens(left_out) for left_out in variants[start : start + _BATCH]]
            with torch.inference_mode():
                logits = logits_of(self.model, *stacked(self.model, tokens)).double().numpy()
            present = [[name in one for name in self.model.modalities] for one in tokens]
            found.append(self.bundle.calibration.probability(logits, pattern_of(present)))
        return np.concatenate(found)

    def tokens(self, left_out: Collection[str] = ()) -> Tokens:
        """Tokens of what is left, by modality; one of which nothing is left is not there.

        `image` and `text` are [L, D] as the heads take them, `tabular` the encoded values [C].
        """
        self._encode([left_out])
        found: dict[Modality, Tensor] = {}
        if scans := [one for place in self._used(left_out) if (one := self._scans[place]) is not None]:
            found["image"] = torch.cat(scans)
        if (text := self._texts[self._text_key(left_out)]) is not None:
            found["text"] = text
        if (values := self._values(left_out)) is not None:
            found["tabular"] = values
        return {name: found[name] for name in self.model.modalities if name in found}

    def scan_tokens(self, place: int) -> Tensor | None:
        """Tokens [L, D] of one scan of the case; None if it cannot be read."""
        if place not in self._scans:
            self._encode_scans([place])
        return self._scans[place]

    def scans(self) -> tuple[int, ...]:
        """The scans that the model reads, as places in the case."""
        return tuple(place for place in self._used(()) if self.scan_tokens(place) is not None)

    def _read(self, note: Note) -> Note | None:
        try:
            return whole_note(note)
        except NoteError as error:
            self.warnings.append(str(error))
            return None

    def _parts(self) -> Iterable[Part]:
        text = self.bundle.config.text
        for place, scan in enumerate(self.case.scans if self.model.image is not None else ()):
            yield Part(f"scan:{place}", "scan", scan.path.name, "image")
        for place, note in enumerate(self.notes):
            kept = () if note is None or text is None else kept_sections(note, exclude=text.exclude_sections)
            if note is None or not kept:
                continue
            yield Part(f"note:{place}", "note", note.path.name if note.path else f"note {place + 1}", "text")
            for number in kept:
                name = note.sections[number].name or "without a header"
                yield Part(f"section:{place}:{number}", "section", name, "text")
        for column in self.model.columns:
            if not np.isnan(column.encode(self.case.values.get(column.name))):
                yield Part(f"value:{column.name}", "value", column.name, "tabular")

    def _used(self, left_out: Collection[str]) -> list[int]:
        if self.model.image is None or self.bundle.config.image is None:
            return []
        left = [place for place in range(len(self.case.scans)) if f"scan:{place}" not in left_out]
        return left[: self.bundle.config.image.max_scans]

    def _text_key(self, left_out: Collection[str]) -> frozenset[str]:
        """The sections that are left out, those of a whole note among them."""
        notes = {key.removeprefix("note:") for key in left_out if key.startswith("note:")}
        sections = {part.key for part in self.parts if part.kind == "section"}
        return frozenset(key for key in sections if key in left_out or key.split(":")[1] in notes)

    def _values(self, left_out: Collection[str]) -> Tensor | None:
        if not self.model.columns:
            return None
        values = torch.tensor(
            [
                float("nan") if f"value:{column.name}" in left_out else column.encode(self.case.values.get(column.name))
                for column in self.model.columns
            ]
        )
        return None if bool(values.isnan().all()) else values

    def _encode(self, variants: Sequence[Collection[str]]) -> None:
        wanted = {place for left_out in variants for place in self._used(left_out)}
        self._encode_scans(sorted(wanted - self._scans.keys()))
        texts = dict.fromkeys(self._text_key(left_out) for left_out in variants)
        self._encode_texts([key for key in texts if key not in self._texts])

    def _encode_scans(self, places: Sequence[int]) -> None:
        alone = [replace(self.case, scans=(self.case.scans[place],), notes=(), values={}) for place in places]
        for place, one in zip(places, self.predictor.encoder.stream(alone), strict=True):
            self._scans[place] = self._as_tokens(one, "image")
            self.warnings.extend(line for line in one.unreadable if line not in self.warnings)

    def _encode_texts(self, keys: Sequence[frozenset[str]]) -> None:
        for whole in (True, False):
            some = [key for key in keys if (not key) is whole]
            encoder = self.predictor.encoder if whole else self._encoder
            cases = [replace(self.case, scans=(), notes=self.notes_without(key), values={}) for key in some]
            for key, one in zip(some, encoder.stream(cases), strict=True):
                self._texts[key] = self._as_tokens(one, "text") if self.model.text is not None else None

    def notes_without(self, sections: Collection[str]) -> tuple[Note, ...]:
        """The notes that could be read, without the sections of these keys; one of which nothing is left is not there.

        An excluded section stays in its note, where no model reads it.
        """
        left: list[Note] = []
        for place, note in enumerate(self.notes):
            if note is None:
                continue
            out = {number for number in range(len(note.sections)) if f"section:{place}:{number}" in sections}
            readable = {part.key for part in self.parts if part.key.startswith(f"section:{place}:")}
            if readable - set(sections):
                left.append(without_sections(note, out) if out else note)
        return tuple(left)

    @torch.inference_mode()
    def _as_tokens(self, one: EncodedCase, name: Modality) -> Tensor | None:
        """Tokens [L, D] as the heads take them."""
        if name not in one.parts:
            return None
        encoded = self.model.encode(collate([one.parts], self.model.modalities))[name]
        return encoded.tokens[0][encoded.mask[0]]


def without(variants: WhatIf, left_out: Collection[str]) -> Case:
    """The case itself without these parts, as it would have come.

    Args:
        variants: The case with its notes read.
        left_out: Keys of parts.
    """
    case = variants.case
    sections = {part.key for part in variants.parts if part.kind == "section"}
    gone = {key for key in sections if key in left_out or f"note:{key.split(':')[1]}" in left_out}
    values: Mapping[str, float | str | None] = {
        name: None if f"value:{name}" in left_out else value for name, value in case.values.items()
    }
    return replace(
        case,
        scans=tuple(scan for place, scan in enumerate(case.scans) if f"scan:{place}" not in left_out),
        notes=variants.notes_without(gone),
        values=values,
    )
