"""The bundle: the folder that training leaves and inference loads; every byte of it is held to a receipt."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from medfuse.calibration import Calibration, Calibrator, ConformalSets, Outliers
from medfuse.case import Split
from medfuse.cohort import Task
from medfuse.config import Config
from medfuse.drift import Reference
from medfuse.encoders import (
    Column,
    NoteTokenizer,
    TabularEncoder,
    WeightsReceipt,
    build_image_encoder,
    build_text_encoder,
)
from medfuse.encoders.weights import sha256_of
from medfuse.errors import BundleError, CohortError
from medfuse.hierarchy import parents_of
from medfuse.model import DiagnosisModel

FORMAT = 2  # raised when an older medfuse could no longer read the folder
_RECEIPT = "receipt.json"
_OUTLIERS, _REFERENCE = "outliers.safetensors", "reference.json"


@dataclass(frozen=True)
class Bundle:
    """A trained, calibrated model with all that is needed to use it.

    Attributes:
        config: The configuration it was trained with.
        task: `multiclass` or `multilabel`.
        labels: The labels in the order of every probability vector.
        model: The network.
        tokenizer: Makes windows of notes; None if notes are not used.
        calibration: Logits to probabilities, and those to prediction sets.
        outliers: Whether a case is like those of training; None if that could not be learned.
        reference: What the calibration cases were like, to tell drift by; None if there were none.
        weights: What each encoder's weights came from.
        seen: Salted digests of the patients by split, so that an evaluation can leave them out.
        contents: Digests of their scans and longer notes, so that they are known under other names too; None in a
            bundle that was made before these were kept.
        facts: What training found (counts, validation loss, …), for the model card.
        urgency: Weight by label that the cohort stated.
        digest: Digest of the saved bundle; empty before it is saved.
    """

    config: Config
    task: Task
    labels: tuple[str, ...]
    model: DiagnosisModel
    tokenizer: NoteTokenizer | None
    calibration: Calibration
    outliers: Outliers | None = None
    reference: Reference | None = None
    weights: Mapping[str, WeightsReceipt] = field(default_factory=dict)
    seen: Mapping[Split, frozenset[str]] = field(default_factory=dict)
    contents: frozenset[str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    urgency: Mapping[str, float] = field(default_factory=dict)
    digest: str = ""

    @property
    def calibrator(self) -> Calibrator:
        """Logits to probabilities."""
        return self.calibration.calibrator

    @property
    def conformal(self) -> ConformalSets:
        """Probabilities to prediction sets."""
        return self.calibration.conformal

    @property
    def columns(self) -> tuple[Column, ...]:
        """The tabular columns that the model uses."""
        return self.model.columns

    def split_of(self, patient_id: str) -> Split | None:
        """The split in which training saw a patient; None if it never did."""
        known = patient_digest(patient_id)
        return next((split for split, members in self.seen.items() if known in members), None)

    def saw(self, contents: Iterable[str]) -> bool:
        """Whether training, validation or calibration had a scan or note with one of these digests."""
        return self.contents is not None and not self.contents.isdisjoint(contents)

    def save(self, folder: str | Path) -> Path:
        """Write the bundle in one step: a crash leaves no folder that looks whole.

        Raises:
            BundleError: If the folder already holds something.
        """
        from safetensors.torch import save_file

        folder = Path(folder)
        require_free(folder)
        partial = folder.with_name(folder.name + ".saving.partial")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        state = {name: tensor.contiguous() for name, tensor in self.model.state_dict().items()}
        save_file(state, partial / "model.safetensors")
        (partial / "config.yaml").write_text(self.config.to_yaml(), encoding="utf-8")
        if self.tokenizer is not None:
            (partial / "tokenizer.json").write_text(self.tokenizer.to_json(), encoding="utf-8")
        if self.reference is not None:
            _write_json(partial / _REFERENCE, self.reference.to_dict())
        if self.outliers is not None:
            self.outliers.save(partial / _OUTLIERS)
        image, text = self.model.image, self.model.text
        content = {
            "format": FORMAT,
            "task": self.task,
            "labels": list(self.labels),
            "urgency": dict(self.urgency),
            "image": None if image is None else image.architecture,
            "text": None if text is None else text.architecture,
            "tabular": TabularEncoder.architecture_of(self.columns),
            "calibration": self.calibration.to_dict(),
            "weights": {name: asdict(receipt) for name, receipt in self.weights.items()},
            "seen": {split: sorted(members) for split, members in self.seen.items()},
            "contents": None if self.contents is None else sorted(self.contents),
        }
        _write_json(partial / "bundle.json", content)
        _write_json(partial / "metrics.json", dict(self.facts))
        (partial / "MODEL_CARD.md").write_text(self.card(), encoding="utf-8")
        sums = {path.name: sha256_of(path) for path in sorted(partial.iterdir())}
        _write_json(partial / _RECEIPT, sums)
        if folder.exists():
            folder.rmdir()
        os.replace(partial, folder)
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Bundle:
        """Verify and load a bundle.

        Raises:
            BundleError: If a file is missing, was changed by so much as a byte, or is of a later format.
        """
        from safetensors.torch import load_file

        folder = Path(folder)
        digest = verify(folder)
        content = json.loads((folder / "bundle.json").read_text(encoding="utf-8"))
        if content["format"] > FORMAT:
            message = f"{folder}: made by a later medfuse (format {content['format']}); update medfuse"
            raise BundleError(message)
        config = Config.load(folder / "config.yaml")
        image = text = tokenizer = None
        if config.image is not None and content["image"] is not None:
            image, _ = build_image_encoder(config.image, architecture=content["image"])
        if config.text is not None and content["text"] is not None:
            written = (folder / "tokenizer.json").read_text(encoding="utf-8")
            text, tokenizer, _ = build_text_encoder(config.text, architecture=content["text"], tokenizer=written)
        labels = tuple(content["labels"])
        model = DiagnosisModel(
            config,
            image=image,
            text=text,
            columns=TabularEncoder.columns_from(content["tabular"]),
            labels=len(labels),
            task=content["task"],
            parents=parents_of(config.hierarchy, labels) if config.hierarchy else (),
        )
        model.load_state_dict(load_file(folder / "model.safetensors"), assign=True)
        return cls(
            config=config,
            task=content["task"],
            labels=labels,
            model=model.eval(),
            tokenizer=tokenizer,
            calibration=Calibration.from_dict(content["calibration"]),
            reference=_reference(folder / _REFERENCE),
            outliers=Outliers.load(folder / _OUTLIERS) if (folder / _OUTLIERS).exists() else None,
            weights={name: WeightsReceipt(**receipt) for name, receipt in content["weights"].items()},
            seen={split: frozenset(members) for split, members in content["seen"].items()},
            contents=None if content.get("contents") is None else frozenset(content["contents"]),
            facts=json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
            urgency=content["urgency"],
            digest=digest,
        )

    def card(self) -> str:
        """The model card (after Mitchell et al. 2019, arXiv:1810.03993)."""
        counts = self.facts.get("cases", {})
        lines = [
            f"# Model card: {self.config.name}",
            "",
            "Research software, not a medical device. Do not use it to decide about a patient.",
            "",
            f"- Task: {self.task}, labels {', '.join(self.labels)}",
            f"- Inputs: {', '.join(self.model.modalities)}; any subset may be missing",
            f"- Fusion: {self.config.fusion.name}, width {self.config.fusion.width}",
            *(f"- {name} encoder weights: {receipt.source}" for name, receipt in self.weights.items()),
            *(f"- Numbers that learned, {name}: {count:,}" for name, count in self.facts.get("learned", {}).items()),
            f"- Trained on: {self.facts.get('cohort')}, {self.facts.get('licence') or 'licence not stated'}",
            *(f"- Cases in {split}: {count}" for split, count in counts.items()),
            *self.calibration.card(self.labels),
            "",
            "How good it is on held-out patients is told by `medfuse evaluate`, not by this card. It knows only",
            "patients like those it was trained on; evaluate it before using it elsewhere.",
        ]
        return "\n".join(lines) + "\n"


def verify(folder: Path) -> str:
    """Hold every file of a bundle to its receipt; the digest of the bundle.

    Raises:
        BundleError: If a file is missing, changed or added, or the folder is no bundle.
    """
    path = folder / _RECEIPT
    if not path.exists():
        message = f"{folder}: not a bundle (no {_RECEIPT}); `medfuse train` makes one"
        raise BundleError(message)
    try:
        sums = dict(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, UnicodeDecodeError) as error:
        message = f"{path}: not readable; the bundle is damaged, restore it from where it came from"
        raise BundleError(message) from error
    for name in ("bundle.json", "config.yaml", "model.safetensors", "metrics.json", *sums):
        file = folder / name
        if name not in sums or file.parent != folder or not file.is_file():
            message = f"{folder}: {name} is missing; the bundle is damaged, restore it from where it came from"
            raise BundleError(message)
    for name in (_OUTLIERS, _REFERENCE, "tokenizer.json"):  # what is read if it is there
        if (folder / name).exists() and name not in sums:
            message = f"{folder}: {name} was added after training; remove it, or restore the bundle"
            raise BundleError(message)
    for name, expected in sums.items():
        if sha256_of(folder / name) != expected:
            message = f"{folder}: {name} was changed after training (SHA-256 differs from {_RECEIPT}); restore it"
            raise BundleError(message)
    return sha256_of(path)[:16]


def _reference(path: Path) -> Reference | None:
    return Reference.from_dict(json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def require_free(folder: Path) -> None:
    """Refuse to write over something.

    Raises:
        CohortError: If the folder holds anything.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"{folder}: already there; choose another folder or remove it first"
        raise CohortError(message)


def patient_digest(patient_id: str) -> str:
    """A patient's identity as a bundle keeps it: comparable, not readable."""
    return hashlib.sha256(f"medfuse patient {patient_id}".encode()).hexdigest()[:24]


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=1, allow_nan=False) + "\n", encoding="utf-8")
