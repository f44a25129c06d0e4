"""Where the words of the notes look in a scan: the weights of cross-attention."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from medfuse.encoders import Encoded
from medfuse.errors import MedfuseError
from medfuse.explain.tokens import repeated
from medfuse.fusion.cross_attention import CrossAttentionFusion
from medfuse.model import Head

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from medfuse.explain.image import SeenScan


def from_text_to_image(scan: SeenScan, tokens: Float[Tensor, "n l d"]) -> Float[Tensor, "n l"]:
    """Attention of the note's tokens to each token of the scan, over attention heads and heads of the model.

    A note's token counts by its own weight in the pooling of the notes, so that the weights over all of a case's scans
    and values add up to 1.

    Raises:
        MedfuseError: If the fusion is another, or the case has no notes.
    """
    if "text" not in scan.others:
        message = "the case has no note that could attend to its scans; choose another method"
        raise MedfuseError(message)
    own = scan.model.reductions["image"](tokens) if "image" in scan.model.reductions else tokens
    whole = torch.cat([scan.before, own.flatten(0, 1), scan.after]).unsqueeze(0)
    encoded, values = repeated(scan.model, scan.others, 1)
    encoded["image"] = Encoded(whole, torch.ones(whole.shape[:2], dtype=torch.bool))
    found = []
    for head in scan.model.heads:
        assert isinstance(head, Head)
        fusion = head.fusion
        if not isinstance(fusion, CrossAttentionFusion):
            message = "only the fusion cross_attention has attention to show; choose another method"
            raise MedfuseError(message)
        weights, pooling = fusion.attended(head.project(encoded, values), "text", "image")
        found.append((pooling.unsqueeze(-1) * weights).sum(1)[0])
    mean = torch.stack(found).mean(0)
    return mean[len(scan.before) : len(scan.before) + own.shape[0] * own.shape[1]].view(own.shape[:2])
