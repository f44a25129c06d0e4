"""FSDP: processes share the weights of a large encoder, so that none holds all of them.

Each block's weights are gathered when the block runs and let go afterwards, and gradients are summed where the weights
are kept: Zhao et al. 2023, "PyTorch FSDP", VLDB 16(12) (arXiv:2304.11277), by torch's `fully_shard`. All processes
must run the same blocks in the same order, whatever their cases have; `DiagnosisModel.lockstep` tells which.
For the same reason every weight of the heads has a gradient in every step; where no case of a step has a modality it is
zero, while elsewhere there is none, and AdamW tells these apart: here such a weight moves and decays a little further.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.distributed.fsdp import fully_shard, register_fsdp_forward_method

from medfuse.encoders.blocks import blocks_of
from medfuse.encoders.cases import is_frozen

if TYPE_CHECKING:
    from torch.distributed.device_mesh import DeviceMesh

    from medfuse.training.learning import Learning


def shard(learning: Learning, mesh: DeviceMesh) -> None:
    """Share the weights of what learns among the processes of a mesh.

    Args:
        learning: Its `training_step` and `validation_step` are what gathers weights from here on.
        mesh: The processes, along one axis.
    """
    model = learning.model
    idle: set[nn.Parameter] = set()  # of encoders whose tokens are at hand: they do not run
    for name, encoder in (("image", model.image), ("text", model.text)):
        if encoder is None:
            continue
        if is_frozen(model.config, name):  # type: ignore[arg-type]
            idle.update(encoder.parameters())
            continue
        for block in blocks_of(encoder.network):
            fully_shard(block, mesh=mesh)
        fully_shard(encoder, mesh=mesh)
    fully_shard(learning, mesh=mesh, ignored_params=idle)
    for step in ("training_step", "validation_step"):
        register_fsdp_forward_method(learning, step)
