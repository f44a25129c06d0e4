"""The configuration: one strict object a YAML file; an unknown key is refused with the nearest known one named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import Field, ValidationError, model_validator

from medfuse.case import Modality
from medfuse.errors import ConfigError
from medfuse.settings import (
    AugmentConfig,
    CalibrationConfig,
    ComputeConfig,
    FusionConfig,
    ImageConfig,
    InferenceConfig,
    LossConfig,
    PretrainingConfig,
    Strict,
    TabularConfig,
    TextConfig,
    TrainingConfig,
    VolumeConfig,
)

__all__ = [
    "AugmentConfig",
    "CalibrationConfig",
    "ComputeConfig",
    "Config",
    "FusionConfig",
    "ImageConfig",
    "InferenceConfig",
    "LossConfig",
    "PretrainingConfig",
    "TabularConfig",
    "TextConfig",
    "TrainingConfig",
    "VolumeConfig",
]


class Config(Strict):
    """All that decides a training, besides the cohort.

    Example:
        >>> Config().fusion.name
        'cross_attention'
    """

    name: str = "medfuse"
    """A short name for reports."""
    seed: Annotated[int, Field(ge=0)] = 0
    """Decides splits, initial weights, order and dropout."""
    hold_out: bool = True
    """Whether a test split is drawn where the cohort's table has no splits; false for a model judged on other data."""
    image: ImageConfig | None = ImageConfig()
    """null leaves the scans out."""
    text: TextConfig | None = TextConfig()
    """null leaves the notes out."""
    tabular: TabularConfig | None = TabularConfig()
    """null leaves the values out."""
    fusion: FusionConfig = FusionConfig()
    """How modalities are joined."""
    training: TrainingConfig = TrainingConfig()
    """How the model learns."""
    pretraining: PretrainingConfig = PretrainingConfig()
    """How encoders are pretrained, if they are."""
    compute: ComputeConfig = ComputeConfig()
    """On what it trains."""
    calibration: CalibrationConfig = CalibrationConfig()
    """How logits become probabilities."""
    inference: InferenceConfig = InferenceConfig()
    """How cases are classified."""
    hierarchy: Mapping[str, str] = {}
    """Child to parent among the labels of a multilabel cohort; no child becomes more probable than its parent."""

    @model_validator(mode="after")
    def _several_fits_are_of_frozen_encoders(self) -> Config:
        text = self.text is not None and (self.text.tune != "frozen" or self.text.encoder == "rnn")
        learns = text or (self.image is not None and self.image.tune != "frozen")
        if self.fusion.name == "experts" and learns:
            message = "fusion 'experts' is fitted on frozen encoders; set tune to frozen, or choose another fusion"
            raise ValueError(message)
        if self.training.folds > 1 and learns:
            message = "training.folds above 1 is for frozen encoders; set tune to frozen, or training.folds to 1"
            raise ValueError(message)
        if self.fusion.name == "experts" and self.training.folds != 1:
            message = "fusion 'experts' has folds of its own; set training.folds to 1"
            raise ValueError(message)
        training = self.training
        if self.fusion.name == "experts" and (training.loss.name != "log" or training.uncertain.endswith("smoothed")):
            message = (
                "fusion 'experts' is fitted by log loss on whole labels; set training.loss.name to log and"
                " training.uncertain to ignore, zeros or ones, or choose another fusion"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _coherent(self) -> Config:
        if self.hierarchy and (self.fusion.name == "experts" or self.calibration.method != "temperature"):
            message = (
                "a hierarchy needs a fusion other than 'experts', and calibration.method temperature: one temperature"
                " for all labels keeps a child below its parent"
            )
            raise ValueError(message)
        return self

    @model_validator(mode="after")
    def _has_input(self) -> Config:
        if not self.modalities:
            message = "image, text and tabular are all null; at least one is needed"
            raise ValueError(message)
        return self

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The modalities that are used, in their fixed order."""
        parts: dict[Modality, object] = {"image": self.image, "text": self.text, "tabular": self.tabular}
        return tuple(name for name, part in parts.items() if part is not None)

    @classmethod
    def load(cls, path: str | Path, *, overrides: Sequence[str] = ()) -> Config:
        """Read a YAML file and apply overrides such as `training.epochs=5` or `text=null`.

        Raises:
            ConfigError: If the file or an override is not valid, with the key and the nearest known one.
        """
        path = Path(path)
        try:
            content = yaml.safe_load(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            message = f"{path}: no such config; the recipes that come with medfuse lie in configs/"
            raise ConfigError(message) from error
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            message = f"{path}: not valid YAML: {' '.join(str(error).split())}"
            raise ConfigError(message) from error
        return cls.parse(content or {}, source=str(path), overrides=overrides)

    @classmethod
    def parse(cls, content: Any, *, source: str, overrides: Sequence[str] = ()) -> Config:
        """Check nested keys and values as `load` does; `source` is named in errors."""
        if not isinstance(content, dict):
            message = f"{source}: should hold keys such as image, text and fusion"
            raise ConfigError(message)
        for override in overrides:
            _override(content, override)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            message = f"{source}: {'; '.join(_explain(error))}"
            raise ConfigError(message) from error

    def to_yaml(self) -> str:
        """The whole configuration, defaults included."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def _override(content: dict[str, Any], override: str) -> None:
    key, equals, value = override.partition("=")
    if not equals or not key:
        message = f"--set {override}: should read key=value, such as training.epochs=5"
        raise ConfigError(message)
    *parents, last = key.split(".")
    for parent in parents:
        inner = content.setdefault(parent, {})
        if inner is None:
            inner = content[parent] = {}
        if not isinstance(inner, dict):
            message = f"--set {override}: '{parent}' holds a value, not keys"
            raise ConfigError(message)
        content = inner
    try:
        content[last] = yaml.safe_load(value)
    except yaml.YAMLError as error:
        message = f"--set {override}: '{value}' is not a YAML value"
        raise ConfigError(message) from error


def _explain(error: ValidationError) -> Iterator[str]:
    """One clause a fault, with the dotted key."""
    for fault in error.errors():
        *parents, last = (str(part) for part in fault["loc"]) if fault["loc"] else ("config",)
        if fault["type"] == "extra_forbidden":
            known = _known_keys(parents)
            near = get_close_matches(last, known, n=1, cutoff=0.5)
            hint = f"did you mean '{near[0]}'?" if near else f"known are {', '.join(known)}"
            yield f"unknown key '{'.'.join([*parents, last])}'; {hint}"
        else:
            yield f"'{'.'.join([*parents, last])}': {fault['msg'].removeprefix('Value error, ')}"


def _known_keys(parents: Sequence[str]) -> list[str]:
    model: Any = Config()
    for parent in parents:
        model = getattr(model, parent, model)
    return list(type(model).model_fields)
