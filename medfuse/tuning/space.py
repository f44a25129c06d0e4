"""The space that a search may look at: which keys of a config, and between or among which values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, ValidationError, model_validator

from medfuse.config import Config
from medfuse.errors import ConfigError

if TYPE_CHECKING:
    from optuna import Trial

Value = bool | int | float | str | None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Choices(_Strict):
    """One of some values."""

    choices: Annotated[tuple[Value, ...], Field(min_length=1)]
    """The values."""

    def draw(self, trial: Trial, key: str) -> Value:
        """What a trial takes."""
        return trial.suggest_categorical(key, self.choices)

    def holds(self, value: object) -> bool:
        """Whether a value is among them."""
        return value in self.choices

    @property
    def first(self) -> Value:
        """A value that is allowed."""
        return self.choices[0]


class Between(_Strict):
    """A number from `low` to `high`, a whole one if both are."""

    low: int | float
    """The least."""
    high: int | float
    """The most."""
    log: bool = False
    """Whether orders of magnitude are equally probable, for what is above 0."""

    @model_validator(mode="after")
    def _ordered(self) -> Between:
        if not self.low < self.high or (self.log and self.low <= 0):
            message = "low should be below high, and above 0 where log is true"
            raise ValueError(message)
        return self

    def draw(self, trial: Trial, key: str) -> Value:
        """What a trial takes."""
        if isinstance(self.low, int) and isinstance(self.high, int):
            return trial.suggest_int(key, self.low, self.high, log=self.log)
        return trial.suggest_float(key, self.low, self.high, log=self.log)

    def holds(self, value: object) -> bool:
        """Whether a value lies there."""
        return isinstance(value, int | float) and self.low <= value <= self.high

    @property
    def first(self) -> Value:
        """A value that is allowed."""
        return self.low


def _kind(given: object) -> str:
    among = isinstance(given, Choices) or (isinstance(given, Mapping) and "choices" in given)
    return "choices" if among else "between"


Part = Annotated[Annotated[Choices, Tag("choices")] | Annotated[Between, Tag("between")], Discriminator(_kind)]


class Space(_Strict):
    """What a search looks at, and how each setting is judged.

    Example:
        >>> Space.model_validate({"space": {"training.epochs": {"low": 5, "high": 20}}}).folds
        5
    """

    folds: Annotated[int, Field(ge=2, le=20)] = 5
    """Folds by patient of the training split; a setting that is behind after some is given up."""
    space: Annotated[Mapping[str, Part], Field(min_length=1)]
    """By dotted key of the config."""

    @classmethod
    def load(cls, path: str | Path) -> Space:
        """Read a YAML file.

        Raises:
            ConfigError: If it is not valid, or names a key that a config does not have.
        """
        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            space = cls.model_validate(content)
        except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
            message = f"{path}: not a readable YAML file: {' '.join(str(error).split())}"
            raise ConfigError(message) from error
        except ValidationError as error:
            faults = "; ".join(f"'{'.'.join(map(str, e['loc']))}': {e['msg']}" for e in error.errors()[:3])
            message = f"{path}: {faults}; see configs/tune.yaml for what a space looks like"
            raise ConfigError(message) from error
        for key, part in space.space.items():
            with_values({}, {key: part.first}, source=f"{path}: {key}")
        return space


def with_values(config: Mapping[str, object], values: Mapping[str, Value], *, source: str) -> Config:
    """A config, as nested keys, with the values of dotted keys in it.

    Raises:
        ConfigError: If a key is not known, or the values do not go together.
    """
    content: dict = yaml.safe_load(yaml.safe_dump(dict(config)))
    return Config.parse(
        content,
        source=source,
        overrides=[f"{key}={yaml.safe_dump(value).split(chr(10))[0]}" for key, value in values.items()],
    )
