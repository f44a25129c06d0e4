"""Pretraining without labels, and that what it saw is not called held out."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medfuse.bundle import patient_digest
from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.encoders import build_image_encoder, build_text_encoder
from medfuse.errors import CohortError, ConfigError
from medfuse.training import fit
from medfuse.training.augment import Augment
from medfuse.training.masked import IGNORED, hide
from medfuse.training.pairs import contrast
from medfuse.training.pretrain import pretrain
from medfuse.training.pretrained import patients_of

WORDS = [*"fever cough swollen ankles at night routine check feels well day".split(), ",", ".", ":"]  # noqa: SIM905


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT without a language head that knows the words of the small cohort."""
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("small")
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *map(str, range(8)), "and"]
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    return folder


def config(checkpoint: Path, **changes: object) -> Config:
    return Config.parse(
        {
            "image": None,
            "text": {"encoder": "transformers", "weights": str(checkpoint), "window": 32, "overlap": 4},
            "fusion": {"width": 16, "components": 16},
            "training": {"epochs": 1},
            "pretraining": {"epochs": 8, "learning_rate": 5e-3},
            **changes,
        },
        source="test",
    )


@pytest.fixture(scope="module")
def pretrained(checkpoint: Path, tiny_cohort: Cohort, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pretrained") / "out"
    pretrain(config(checkpoint), tiny_cohort, out)
    return out


def test_a_share_of_the_words_is_hidden_and_nothing_else() -> None:
    ids = torch.randint(10, 50, (200, 40), generator=torch.Generator().manual_seed(0))
    ids[:, 0], mask = 2, torch.ones(200, 40, dtype=torch.bool)
    mask[:, 30:] = False
    special = torch.tensor([0, 1, 2, 3, 4])
    shown, wanted = hide(ids, mask, share=0.15, mask_id=4, vocabulary=50, special=special, seed=1)
    chosen = wanted != IGNORED
    assert torch.equal(wanted[chosen], ids[chosen])
    assert torch.equal(shown[~chosen], ids[~chosen])
    assert not chosen[:, 0].any()
    assert not chosen[:, 30:].any()
    assert float(chosen[:, 1:30].float().mean()) == pytest.approx(0.15, abs=0.02)
    assert float((shown[chosen] == 4).float().mean()) == pytest.approx(0.8, abs=0.05)
    again, _ = hide(ids, mask, share=0.15, mask_id=4, vocabulary=50, special=special, seed=1)
    assert torch.equal(again, shown)
    one, _ = hide(ids[:1, :2], mask[:1, :2], share=0.001, mask_id=4, vocabulary=50, special=special, seed=1)
    assert one[0, 0] == 2


def test_the_held_out_loss_falls_and_the_folder_loads_as_a_checkpoint(
    checkpoint: Path, pretrained: Path, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    record = json.loads((pretrained / "pretraining.json").read_text())
    assert record["held_loss_after"] < record["held_loss_before"]
    assert record["checkpoints"] == {"text.weights": "text"}
    later = config(pretrained / "text")
    assert later.text is not None
    encoder, _, receipt = build_text_encoder(later.text)
    assert receipt.loaded == len(encoder.network.state_dict())
    start = build_text_encoder(config(checkpoint).text)[0].state_dict()  # type: ignore[arg-type]
    now = encoder.state_dict()
    assert not torch.equal(now["network.words.weight"], start["network.words.weight"])
    bundle = fit(later, tiny_cohort, work=tmp_path, cache=token_cache)
    assert bundle.model.text is not None
    assert torch.equal(bundle.model.text.state_dict()["network.words.weight"], now["network.words.weight"])


def test_it_sees_the_training_split_alone_and_no_label(
    checkpoint: Path, pretrained: Path, tiny_cohort: Cohort, tmp_path: Path
) -> None:
    record = json.loads((pretrained / "pretraining.json").read_text())
    known = {patient_digest(case.patient_id) for case in tiny_cohort.in_split("train")}
    assert set(record["patients"]) == known
    blank = tuple(replace(case, labels=dict.fromkeys(case.labels)) for case in tiny_cohort.cases)
    pretrain(config(checkpoint), replace(tiny_cohort, cases=blank), tmp_path / "blank")
    files = [folder / "text" / "model.safetensors" for folder in (pretrained, tmp_path / "blank")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_patients_of_the_pretraining_are_not_held_out_any_more(
    pretrained: Path, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    def turned(case: Case) -> Case:
        sides = {"train": "test", "test": "train"}
        return replace(case, split=sides.get(str(case.split), case.split))  # type: ignore[arg-type]

    other = replace(tiny_cohort, cases=tuple(map(turned, tiny_cohort.cases)))
    with pytest.raises(CohortError, match="patients that are held out here"):
        fit(config(pretrained / "text"), other, work=tmp_path, cache=token_cache)
    gone = next(case.patient_id for case in tiny_cohort.cases if case.split == "train")
    few = replace(tiny_cohort, cases=tuple(case for case in tiny_cohort.cases if case.patient_id != gone))
    bundle = fit(config(pretrained / "text"), few, work=tmp_path / "few", cache=token_cache)
    assert bundle.split_of(gone) == "train"


def test_word_vectors_cannot_be_pretrained(checkpoint: Path, tiny_cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="masked words"):
        pretrain(config(checkpoint, text={"encoder": "lsa"}), tiny_cohort, tmp_path / "out")


PAIRS = {"objective": "pairs", "epochs": 6, "learning_rate": 3e-3}


@pytest.mark.parametrize("image", [{"tune": "last"}, {"tune": "frozen"}])
def test_pairs_are_told_apart_better_and_the_checkpoints_load(
    image: dict, checkpoint: Path, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    text = {"encoder": "transformers", "weights": str(checkpoint), "window": 32, "overlap": 4, "tune": "lora"}
    chosen = config(checkpoint, image={"size": 32, **image}, text=text, pretraining=PAIRS)
    record = pretrain(chosen, tiny_cohort, tmp_path / "out", cache=token_cache)
    assert record["held_loss_after"] < record["held_loss_before"]
    learns = image["tune"] != "frozen"
    assert set(record["checkpoints"]) == ({"text.weights", "image.weights"} if learns else {"text.weights"})
    later = Config.parse(
        chosen.model_dump(mode="json"),
        source="later",
        overrides=[f"{key}={tmp_path / 'out' / place}" for key, place in record["checkpoints"].items()],
    )
    assert later.text is not None
    assert later.image is not None
    encoder, _, receipt = build_text_encoder(later.text)
    assert receipt.loaded == len(encoder.network.state_dict())
    start = build_text_encoder(config(checkpoint).text)[0].state_dict()  # type: ignore[arg-type]
    changed = {name for name, tensor in encoder.state_dict().items() if not torch.equal(tensor, start[name])}
    assert changed
    assert not any("words" in name or "norm" in name for name in changed)  # LoRA learns linear maps alone
    if learns:
        states = [build_image_encoder(part)[0].state_dict() for part in (later.image, chosen.image)]  # type: ignore[arg-type]
        moved = {name for name, tensor in states[0].items() if not torch.equal(tensor, states[1][name])}
        assert any("conv_head" in name for name in moved)
        assert not any("conv_stem" in name or "running" in name for name in moved)
    assert patients_of(later) == frozenset(record["patients"])


def test_pairs_alter_the_scans_that_are_learned_from_alone(
    checkpoint: Path, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    before = Augment.__call__

    def watched(self: Augment, pixels: torch.Tensor, *, case_id: str, epoch: int) -> torch.Tensor:
        seen.append(case_id)
        return before(self, pixels, case_id=case_id, epoch=epoch)

    monkeypatch.setattr(Augment, "__call__", watched)
    text = {"encoder": "transformers", "weights": str(checkpoint), "window": 32, "overlap": 4}
    image = {"size": 32, "tune": "last", "augment": {}}
    chosen = config(checkpoint, image=image, text=text, pretraining={**PAIRS, "epochs": 1})
    record = pretrain(chosen, tiny_cohort, tmp_path / "out", cache=token_cache)
    assert len(seen) == len(set(seen)) == record["inputs"]
    assert record["cases"]["held out"] > 0


def test_the_contrast_is_that_of_the_formula_and_leaves_a_patients_own_cases_out() -> None:
    u, v = (
        torch.nn.functional.normalize(torch.randn(3, 4, generator=torch.Generator().manual_seed(n))) for n in (0, 1)
    )
    of = torch.tensor([[0.0], [1.0], [0.0]])  # the first and the last are of one patient
    said = contrast(u, v, same=of == of.T, inverse=torch.tensor(5.0))
    expected = 0.0
    for a, b in ((u, v), (v, u)):
        for row, others in ((0, [0, 1]), (1, [0, 1, 2]), (2, [1, 2])):
            scores = 5 * a[row] @ b.T
            expected += float(scores[others].logsumexp(0) - scores[row]) / 6
    assert float(said) == pytest.approx(expected, abs=1e-5)


def test_pairs_need_an_encoder_that_learns(checkpoint: Path, tiny_cohort: Cohort, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both encoders are frozen"):
        pretrain(config(checkpoint, image={"size": 32}, pretraining=PAIRS), tiny_cohort, tmp_path / "out")
