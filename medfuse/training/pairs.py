r"""Contrastive pretraining: which notes belong to which scans, learned from cases that may have no labels at all.

Of a batch of N cases, $u_i$ and $v_i$ are the mean tokens of scans and notes of case i, each through a linear map and
at length 1. The loss is the mean of both directions of $-\log \frac{e^{⟨u_i, v_i⟩ / τ}}{\sum_k e^{⟨u_i, v_k⟩ / τ}}$
with τ learned: Zhang et al. 2022, "Contrastive Learning of Medical Visual Representations from Paired Images and Text",
MLHC (arXiv:2010.00747), with equal weights and the temperature of Radford et al. 2021 (arXiv:2103.00020). Other cases
of the same patient are no wrong pairs, so they are left out of the sum. An encoder with `tune: frozen` stays as it is,
which is LiT (Zhai et al. 2022, arXiv:2111.07991) where it is the image's.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import save_file
from torch import nn

from medfuse.config import Config
from medfuse.encoders import NoteTokenizer, TextEncoder, build_image_encoder, build_text_encoder
from medfuse.encoders.cases import EncodedCase, is_frozen
from medfuse.encoders.image import Features
from medfuse.encoders.text import Transformers, text_folder
from medfuse.encoders.weights import checkpoint_config, load_transformers
from medfuse.errors import ConfigError
from medfuse.fusion.fused import means
from medfuse.model import DiagnosisModel
from medfuse.training.augment import Augment
from medfuse.training.learning import Learning
from medfuse.training.steps import loader

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor
    from torch.utils.data import DataLoader

_WIDTH = 128  # of the space in which pairs are compared
_COLDEST = log(100)  # a larger inverse temperature is unstable (Radford et al. 2021, section 2.5)


class Pairs(Learning):
    """How both encoders learn from pairs.

    Args:
        config: Names the encoders and what of them learns.
        steps: Steps of the whole training, for the schedule.

    Attributes:
        tokenizer: That of the text encoder, which is transformers' own network: it writes a checkpoint like any other.

    Raises:
        ConfigError: If an encoder is lacking, or neither learns.
        EncoderError: If an encoder cannot be built.
    """

    def __init__(self, config: Config, *, steps: int) -> None:
        if config.image is None or config.text is None or config.text.encoder in ("rnn", "lsa"):
            message = "pretraining on pairs needs image, and text with encoder minilm-l6 or transformers"
            raise ConfigError(message)
        if is_frozen(config, "image") and is_frozen(config, "text"):
            message = "both encoders are frozen; set image.tune or text.tune to last, lora or full"
            raise ConfigError(message)
        image, _ = build_image_encoder(config.image)
        text, tokenizer = _text(config)
        most = max(image.width, text.width)
        # Mean tokens are compared as they are, so nothing is reduced.
        whole = config.model_copy(
            update={
                "tabular": None,
                "fusion": config.fusion.model_copy(update={"name": "concat", "components": most}),
                "training": config.training.model_copy(update={"folds": 1}),
            }
        )
        model = DiagnosisModel(whole, image=image, text=text, columns=(), labels=1, task="multilabel")
        super().__init__(model, task="multilabel", weights=torch.ones(1), steps=steps)
        self.tokenizer = tokenizer
        self.model.heads.requires_grad_(requires_grad=False)
        widths = {"image": image.width, "text": text.width}
        self.projections = nn.ModuleDict({name: nn.Linear(wide, _WIDTH, bias=False) for name, wide in widths.items()})
        self.cold = nn.Parameter(torch.tensor(log(1 / 0.07)))

    def loader(self, encoded: Sequence[EncodedCase], *, seed: int | None) -> DataLoader:
        """Batches of cases that have both; what stands for labels is the patient's number."""
        numbers = {name: float(number) for number, name in enumerate(sorted({one.case.patient_id for one in encoded}))}
        patients = torch.tensor([[numbers[one.case.patient_id]] for one in encoded])
        batch = self.config.pretraining.batch_size
        augment = None if seed is None else Augment.of(self.config)
        modalities = self.model.modalities
        return loader(encoded, truth=patients, modalities=modalities, batch=batch, seed=seed, augment=augment)

    def training_step(self, batch: Any, _: int) -> Tensor:
        """The contrastive loss of a batch."""
        loss = self._contrast(batch)
        self.log("training_loss", loss, on_epoch=True, on_step=False, batch_size=len(batch[1]))
        return loss

    def validation_step(self, batch: Any, _: int) -> None:
        """The same on held-out cases, which depends on how many a batch has."""
        self.log("held_loss", self._contrast(batch), batch_size=len(batch[1]))

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW under a one-cycle schedule; what starts from nothing at `training.learning_rate`."""
        fresh: list[Any] = [*self.projections.parameters(), self.cold]
        tuned: list[Any] = []
        for name, encoder in self._encoders():
            learning = [p for p in encoder.parameters() if p.requires_grad]
            (fresh if self._tune(name) == "lora" else tuned).extend(learning)
        rates = (self.config.training.learning_rate, self.config.pretraining.learning_rate)
        groups: list[dict[str, Any]] = [
            {"params": part, "lr": rate} for part, rate in zip((fresh, tuned), rates, strict=True) if part
        ]
        optimiser = torch.optim.AdamW(groups, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=[group["lr"] for group in groups], total_steps=max(2, self.steps), pct_start=0.1
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def write(self, folder: Path) -> dict[str, str]:
        """Leave what learned as checkpoints; by the config's key, where each lies."""
        self.finish()
        made = {}
        image, text = self.model.image, self.model.text
        if text is not None and not is_frozen(self.config, "text"):
            assert isinstance(text.network, Transformers)
            text.network.body.save_pretrained(folder / "text")
            (folder / "text" / "tokenizer.json").write_text(self.tokenizer.to_json(), encoding="utf-8")
            made["text.weights"] = "text"
        if image is not None and not is_frozen(self.config, "image"):
            network = image.network
            body: Any = network.body if isinstance(network, Features) else network
            if image.architecture:  # one of transformers
                body.save_pretrained(folder / "image")
                made["image.weights"] = "image"
            else:
                (folder / "image").mkdir()
                state = {name: tensor.contiguous() for name, tensor in body.state_dict().items()}
                save_file(state, folder / "image" / "model.safetensors")
                made["image.weights"] = "image/model.safetensors"
        return made

    def _contrast(self, batch: Any) -> Tensor:
        parts, patients, _ = batch
        encoded = self.model.encode(parts)
        u, v = (
            nn.functional.normalize(self.projections[name](means(encoded, (name,))[:, 0]), dim=1)
            for name in ("image", "text")
        )
        return contrast(u, v, same=patients == patients.T, inverse=self.cold.clamp(max=_COLDEST).exp())


def contrast(
    u: Float[Tensor, "n d"], v: Float[Tensor, "n d"], *, same: Bool[Tensor, "n n"], inverse: Tensor
) -> Float[Tensor, ""]:
    """The mean of both directions of InfoNCE.

    Args:
        u: One vector of length 1 a case.
        v: The other.
        same: Which pairs are of one patient; but for a case's own they are left out.
        inverse: The inverse temperature.
    """
    own = torch.eye(len(u), dtype=torch.bool, device=u.device)
    alike = (inverse * u @ v.T).masked_fill(same & ~own, -torch.inf)
    places = torch.arange(len(u), device=u.device)
    both = nn.functional.cross_entropy(alike, places) + nn.functional.cross_entropy(alike.T, places)
    return both / 2


def _text(config: Config) -> tuple[TextEncoder, NoteTokenizer]:
    assert config.text is not None
    folder = text_folder(config.text)
    _, tokenizer, _ = build_text_encoder(config.text)
    body, _ = load_transformers(folder, source=config.text.weights)
    network = Transformers(checkpoint_config(folder), body)
    encoder = TextEncoder(
        network, width=network.width, last=network.last_module(), architecture=checkpoint_config(folder)
    )
    return encoder, tokenizer
