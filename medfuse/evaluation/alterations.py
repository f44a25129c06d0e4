"""The same cases with one kind of evidence altered: given to another patient, made noise, or a note section removed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from medfuse.calibration import pattern_of
from medfuse.case import Case, Modality, Note
from medfuse.encoders.cases import EncodedCase
from medfuse.errors import NoteError
from medfuse.inference import Predictor
from medfuse.model import collate
from medfuse.notes import note_from_text, read_note, select

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray
    from torch import Tensor

BLOCK = 256  # cases among which evidence changes hands: a bound on memory
SHUFFLES = 5
SECTIONS = 12  # the most common sections of a block that are removed one by one
_BATCH = 16
_UNNAMED = "(before any header)"


@dataclass(frozen=True)
class Alteration:
    """What was done to the evidence.

    Attributes:
        kind: `shuffled`, `noise` or `section removed`.
        what: The modality, or the name of the section.
    """

    kind: str
    what: str


def alterations(
    predictor: Predictor, block: Sequence[EncodedCase], *, seed: int
) -> Iterator[tuple[Alteration, list[int], Float[ndarray, "k b c"]]]:
    """Calibrated probabilities of a block of cases under every alteration.

    Evidence changes hands between patients only, and only between cases that have it, so that which modalities a case
    has stays as it was. Noise has the mean and the spread of each feature over the block; ids of notes are drawn from
    all ids of the block, values column by column from those of the block.

    Yields:
        The alteration, the rows of the block that it concerns, and their probabilities [K, B, C] under each of K
        repetitions.
    """
    rng = np.random.default_rng((seed, len(block)))
    for name in predictor.bundle.model.modalities:
        rows = [row for row, one in enumerate(block) if name in one.parts]
        if len({block[row].case.patient_id for row in rows}) > 1:
            orders = [_donors([block[row].case.patient_id for row in rows], rng) for _ in range(SHUFFLES)]
            given = [[block[rows[donor]].parts[name] for donor in order] for order in orders]
            yield Alteration("shuffled", name), rows, _with(predictor, block, rows, name, given)
        if rows:
            noise = [_noise([block[row].parts[name] for row in rows], name, rng) for _ in range(SHUFFLES)]
            yield Alteration("noise", name), rows, _with(predictor, block, rows, name, noise)
    if predictor.bundle.config.text is not None:
        yield from _sections(predictor, block)


def _donors(patients: Sequence[str], rng: np.random.Generator) -> list[int]:
    """Whose evidence each case gets: a random permutation without a case of the same patient as far as there is one."""
    names = np.asarray(patients, dtype=str)
    order = rng.permutation(len(names))
    for row in np.flatnonzero(names[order] == names):
        # Trade with a case for which both then have someone else's.
        trade = np.flatnonzero((names[order] != names[row]) & (names != names[order[row]]))
        if trade.size:
            other = rng.choice(trade)
            order[row], order[other] = order[other], order[row]
    return [int(donor) for donor in order]


def _noise(parts: Sequence[Tensor], name: Modality, rng: np.random.Generator) -> list[Tensor]:
    if not parts[0].is_floating_point():  # ids with marks [W, T, 2]
        pool = np.concatenate([part[..., 0][part[..., 1] > 0].numpy() for part in parts])
        drawn = []
        for part in parts:
            ids = torch.from_numpy(rng.choice(pool, size=tuple(part.shape[:-1]))).to(part.dtype)
            drawn.append(torch.stack([ids * (part[..., 1] > 0), part[..., 1]], dim=-1))
        return drawn
    if name == "tabular":
        table = torch.stack(list(parts))
        columns = [column[torch.from_numpy(rng.permutation(len(column)))] for column in table.T]
        return list(torch.stack(columns, dim=1))
    features = torch.cat([part.float().reshape(-1, part.shape[-1]) for part in parts])
    # Of pixels [S, size, size] a column of the square is no feature: one mean and one spread serve all.
    whole = parts[0].ndim == 3
    mean, spread = (features.mean(), features.std()) if whole else (features.mean(0), features.std(0, correction=0))
    normal = (torch.from_numpy(rng.standard_normal(tuple(part.shape), dtype=np.float32)) for part in parts)
    return [(mean + spread * one).to(parts[0].dtype) for one in normal]


def _with(
    predictor: Predictor,
    block: Sequence[EncodedCase],
    rows: Sequence[int],
    name: Modality,
    given: Sequence[list[Tensor]],
) -> Float[ndarray, "k b c"]:
    """Probabilities of these rows with the modality replaced by what is given, one list a repetition."""
    said = []
    for parts in given:
        altered = [{**block[row].parts, name: part} for row, part in zip(rows, parts, strict=True)]
        said.append(probabilities_of(predictor, altered))
    return np.stack(said)


@torch.inference_mode()
def probabilities_of(predictor: Predictor, parts: Sequence[Mapping[Modality, Tensor]]) -> Float[ndarray, "b c"]:
    """Calibrated probabilities [B, C] of encoded cases."""
    model, found = predictor.bundle.model, []
    for start in range(0, len(parts), _BATCH):
        chunk = parts[start : start + _BATCH]
        logits = model(collate(chunk, model.modalities)).logits.double().numpy()
        present = pattern_of([[name in one for name in model.modalities] for one in chunk])
        found.append(predictor.bundle.calibration.probability(logits, present))
    return np.concatenate(found)


def _sections(
    predictor: Predictor, block: Sequence[EncodedCase]
) -> Iterator[tuple[Alteration, list[int], Float[ndarray, "k b c"]]]:
    """Each note section removed from the cases that have it; the rest of the case stays as it was encoded."""
    assert predictor.bundle.config.text is not None
    excluded = predictor.bundle.config.text.exclude_sections
    notes = [notes_of(one.case) if "text" in one.parts else [] for one in block]
    unread = set(excluded)
    having: dict[str, list[int]] = {}
    for row, several in enumerate(notes):
        for name in {section.name for note in several for section in note.sections} - unread:
            having.setdefault(name, []).append(row)
    common = sorted(having, key=lambda name: (-len(having[name]), name))[:SECTIONS]
    for name in common:
        rows = having[name]
        shorter = [
            Case(
                case_id=block[row].case.case_id,
                patient_id=block[row].case.patient_id,
                notes=tuple(Note(text=select(note, exclude=(*excluded, name))) for note in notes[row]),
            )
            for row in rows
        ]
        encoded = list(predictor.encoder.stream(shorter))
        altered = [_joined(block[row], one) for row, one in zip(rows, encoded, strict=True)]
        found = probabilities_of(predictor, [one.parts for one in altered])
        yield Alteration("section removed", name or _UNNAMED), rows, found[None]


def _joined(whole: EncodedCase, shorter: EncodedCase) -> EncodedCase:
    parts: dict[Modality, Tensor] = {**whole.parts}
    del parts["text"]
    if "text" in shorter.parts:
        parts["text"] = shorter.parts["text"]
    return replace(whole, parts=parts)


def notes_of(case: Case) -> list[Note]:
    """The notes of a case as far as they can be read."""
    found = []
    for note in case.notes:
        try:
            if note.text is not None:
                found.append(note if note.sections else note_from_text(note.text))
            elif note.path is not None:
                found.append(read_note(note.path))
        except NoteError:
            continue  # told when the case was encoded
    return found
