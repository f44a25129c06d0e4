from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medfuse.bundle import Bundle
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.errors import CohortError
from medfuse.training import fit, train
from tests.conftest import TINY


def config(**changes: object) -> Config:
    return Config.parse({**TINY, **changes}, source="tiny")


def stop_after(epoch: int, chosen: Config, cohort: Cohort, work: Path, cache: Path) -> None:
    """Train until an epoch has been kept, and be killed there."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    before = ModelCheckpoint.on_train_epoch_end

    def killed(self: ModelCheckpoint, trainer: object, module: object) -> None:
        before(self, trainer, module)
        if trainer.current_epoch == epoch:  # type: ignore[attr-defined]
            raise SystemExit

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ModelCheckpoint, "on_train_epoch_end", killed)
        with pytest.raises(SystemExit):
            fit(chosen, cohort, work=work, cache=cache)


def heads(bundle: Bundle) -> list[torch.Tensor]:
    return list(bundle.model.heads.state_dict().values())


def test_the_same_seed_gives_the_same_weights(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    made = [fit(config(), tiny_cohort, work=tmp_path / name, cache=token_cache) for name in ("a", "b")]
    assert all(torch.equal(a, b) for a, b in zip(*map(heads, made), strict=True))


def test_a_stopped_run_goes_on_to_the_same_weights(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    whole = fit(config(), tiny_cohort, work=tmp_path / "whole", cache=token_cache)
    stop_after(1, config(), tiny_cohort, tmp_path / "part", token_cache)
    assert (tmp_path / "part" / "last.ckpt").exists()
    resumed = fit(config(), tiny_cohort, work=tmp_path / "part", cache=token_cache)
    assert all(torch.equal(a, b) for a, b in zip(heads(whole), heads(resumed), strict=True))


@pytest.mark.parametrize("tune", ["last", "full"])
def test_an_encoder_can_be_tuned(tune: str, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    small = config(
        image={"encoder": "efficientnet-lite0", "size": 32, "tune": tune},
        training={"epochs": 1, "encoder_learning_rate": 1e-3},
    )
    from medfuse.encoders import build_image_encoder

    bundle = fit(small, tiny_cohort, work=tmp_path, cache=token_cache)
    assert small.image is not None
    assert bundle.model.image is not None
    start = build_image_encoder(small.image)[0].state_dict()
    changed = {
        name
        for name, tensor in bundle.model.image.state_dict().items()
        if not torch.equal(tensor, start[name]) and not name.startswith(("mean", "deviation"))
    }
    assert any("conv_head" in name for name in changed)
    assert any("conv_stem" in name for name in changed) == (tune == "full")
    assert not any("running" in name for name in changed)


LORA = {"text": {"encoder": "minilm-l6", "tune": "lora", "rank": 2, "window": 32, "overlap": 4}}


def test_lora_leaves_plain_weights_that_say_the_same(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    from medfuse.encoders import build_text_encoder
    from medfuse.inference import Predictor

    small = config(**LORA, image=None, training={"epochs": 2, "learning_rate": 0.01})
    bundle = fit(small, tiny_cohort, work=tmp_path / "work", cache=token_cache)
    learned = bundle.facts["learned"]["text"]
    assert f"- Numbers that learned, text: {learned:,}" in bundle.card()
    assert small.text is not None
    assert bundle.model.text is not None
    start = build_text_encoder(small.text)[0].state_dict()
    assert learned < sum(tensor.numel() for tensor in start.values()) / 100
    now = bundle.model.text.state_dict()
    assert now.keys() == start.keys()
    changed = {name for name, tensor in now.items() if not torch.equal(tensor, start[name])}
    assert changed
    assert all("in_proj_weight" in name or "linear" in name or "out_proj" in name for name in changed)
    loaded = Bundle.load(bundle.save(tmp_path / "bundle"))
    of = [torch.tensor(logits) for one in (bundle, loaded) for _, _, logits in Predictor(one).logits(tiny_cohort.cases)]
    half = len(of) // 2
    assert all(torch.equal(a, b) for a, b in zip(of[:half], of[half:], strict=True))


def test_a_stopped_run_with_lora_goes_on_to_the_same_weights(
    tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    small = config(**LORA, image=None, training={"epochs": 2})
    whole = fit(small, tiny_cohort, work=tmp_path / "whole", cache=token_cache)
    stop_after(0, small, tiny_cohort, tmp_path / "part", token_cache)
    kept = torch.load(tmp_path / "part" / "last.ckpt", weights_only=True)["state_dict"]
    assert not any("original" in name or "words" in name for name in kept)
    resumed = fit(small, tiny_cohort, work=tmp_path / "part", cache=token_cache)
    states = (bundle.model.state_dict() for bundle in (whole, resumed))
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))


def test_a_label_without_training_cases_is_one_clear_line(tiny_cohort: Cohort, tmp_path: Path) -> None:
    bare = replace(tiny_cohort, labels=(*tiny_cohort.labels, "rare"))
    with pytest.raises(CohortError, match="no training case has the label rare"):
        fit(config(), bare, work=tmp_path)


def test_a_taken_folder_is_refused(tiny_cohort: Cohort, tiny_bundle: Path) -> None:
    with pytest.raises(CohortError, match="already there"):
        train(config(), tiny_cohort, tiny_bundle)


def test_multilabel_with_blanks_trains(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    cases = tuple(
        replace(case, labels={**case.labels, "dry": None if number % 3 == 0 else case.labels["dry"]})
        for number, case in enumerate(tiny_cohort.cases)
    )
    bundle = fit(config(), replace(tiny_cohort, task="multilabel", cases=cases), work=tmp_path, cache=token_cache)
    assert bundle.task == "multilabel"


def test_a_second_training_reads_no_scan_again(
    tiny_cohort: Cohort, token_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit(config(), tiny_cohort, work=tmp_path / "first", cache=token_cache)

    def never(*_: object, **__: object) -> None:
        raise AssertionError

    monkeypatch.setattr("medfuse.encoders.cases.read_fitted", never)
    fit(config(), tiny_cohort, work=tmp_path / "second", cache=token_cache)


def test_damaged_files_cost_only_themselves(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_cohort.folder, tmp_path / "c")
    known = next(case for case in tiny_cohort.cases if case.split == "train")
    (tmp_path / "c" / "scans" / known.scans[0].path.name).write_bytes(b"<html>404</html>")
    bundle = fit(config(), Cohort.load(tmp_path / "c"), work=tmp_path / "w", cache=token_cache)
    assert bundle.facts["unreadable"] == 1
