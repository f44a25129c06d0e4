from __future__ import annotations

from pathlib import Path

import pytest

from medfuse.config import Config
from medfuse.errors import ConfigError
from medfuse.resources import shipped

# The rest are no recipes; tests/tuning and tests/real read them.
OTHERS = {shipped("configs") / "tune.yaml", *(shipped("configs") / "ray").iterdir()}


@pytest.mark.parametrize("path", sorted(set(shipped("configs").rglob("*.yaml")) - OTHERS), ids=lambda path: path.stem)
def test_every_recipe_is_valid(path: Path) -> None:
    assert Config.load(path).modalities


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("trainng.epochs=3", "did you mean 'training'"),
        ("training.epoch=3", "did you mean 'epochs'"),
        ("fusion.name=sum", "'fusion.name'"),
        ("image.size=tall", "'image.size'"),
        ("epochs", "key=value"),
        ("text.overlap=200", "overlap should be less"),
        ("seed.x=1", "holds a value"),
    ],
)
def test_a_wrong_key_or_value_is_one_clear_line(override: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.parse({"seed": 0}, source="mine.yaml", overrides=[override])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_modalities_can_be_left_out_but_not_all() -> None:
    assert Config.parse({"text": None}, source="x").modalities == ("image", "tabular")
    with pytest.raises(ConfigError, match="at least one"):
        Config.parse({"image": None, "text": None, "tabular": None}, source="x")


def test_a_written_config_reads_as_itself(tmp_path: Path) -> None:
    config = Config.parse({"text": None, "seed": 7, "fusion": {"name": "gate"}}, source="x")
    (tmp_path / "c.yaml").write_text(config.to_yaml())
    assert Config.load(tmp_path / "c.yaml") == config


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("name: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        Config.load(tmp_path / "c.yaml")
