"""The processes that learn together: how Lightning runs them, and which of them this one is.

A process is a device, or on a machine without a GPU a share of its cores. Each runs all of the program; Lightning
starts those of this machine with the same command, unless torchrun or a scheduler has started them already.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy
from lightning.pytorch.utilities.exceptions import MisconfigurationException

from medfuse.config import ComputeConfig
from medfuse.errors import CohortError, ConfigError
from medfuse.training.quiet import quiet

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Processes:
    """Which process this is, and of how many.

    Attributes:
        count: Processes on all machines.
        here: Processes on this machine.
        local: Number of this one on its machine, from 0.
        first: Whether this is the one that writes.
    """

    count: int = 1
    here: int = 1
    local: int = 0
    first: bool = True

    @classmethod
    def of(cls, compute: ComputeConfig) -> Processes:
        """As the config asks and as the environment says.

        Raises:
            ConfigError: If the machine, or what started the processes, does not fit the config.
        """
        here = _devices(compute)
        if here * compute.nodes == 1:
            return cls()
        trainer = trainer_of(compute, logger=False, enable_checkpointing=False, enable_progress_bar=False)
        if trainer.world_size != here * compute.nodes:  # torchrun or a scheduler says otherwise
            message = (
                f"{trainer.world_size} processes were started, but compute.devices × compute.nodes is"
                f" {here} × {compute.nodes}; start as many as that, each machine its compute.devices"
            )
            raise ConfigError(message)
        return cls(trainer.world_size, here, trainer.local_rank, trainer.global_rank == 0)

    def wait(self) -> None:
        """Wait until all others are here too."""
        if self.count > 1 and torch.distributed.is_initialized():
            torch.distributed.barrier()


class SameInputs(Callback):  # type: ignore[misc]  # Lightning is not typed here
    """Refuses to learn from inputs that are not those of the first process: they would wait for ever, or learn noise.

    Args:
        exact: What must be the same [N], such as labels and how many inputs a case has.
        near: What must be the same but for rounding [M], to a hundredth of its norm.
    """

    def __init__(self, *, exact: Tensor, near: Tensor) -> None:
        self.exact, self.near = exact, near

    def setup(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        """Compare, once the processes know of each other."""
        exact, near = trainer.strategy.broadcast((self.exact, self.near))
        if not torch.equal(exact, self.exact) or (near - self.near).norm() > 0.01 * near.norm():
            message = (
                "the processes do not read the same cases, or encode them differently; all need the same files, and"
                " machines of one kind"
            )
            raise CohortError(message)


def trainer_of(compute: ComputeConfig, **given: Any) -> Trainer:
    """Lightning's trainer for what the config asks of the machine; `given` is what else it takes.

    Raises:
        ConfigError: If the machine does not have it.
    """
    quiet()
    here = _devices(compute)
    count = here * compute.nodes
    strategy: Any = "auto"
    if count > 1 and compute.strategy == "fsdp":
        strategy = ModelParallelStrategy(count, 1, save_distributed_checkpoint=False)
    elif count > 1:  # a modality that no case of a part has leaves its weights without a gradient
        strategy = DDPStrategy(find_unused_parameters=True)
    try:
        return Trainer(
            accelerator=compute.accelerator,
            devices=here,
            num_nodes=compute.nodes,
            strategy=strategy,
            precision=_precision(compute),
            use_distributed_sampler=False,  # `Parts` shares out each step
            enable_model_summary=False,
            **given,
        )
    except MisconfigurationException as error:
        message = f"compute: {' '.join(str(error).split())}"
        raise ConfigError(message) from error


def _devices(compute: ComputeConfig) -> int:
    """Processes on this machine."""
    if compute.devices != "auto":
        return compute.devices
    return max(1, torch.cuda.device_count()) if compute.accelerator in ("auto", "gpu") else 1


def _precision(compute: ComputeConfig) -> Any:
    """As Lightning names it; `auto` is what a GPU has, and single precision on a processor."""
    gpu = compute.accelerator in ("auto", "gpu") and torch.cuda.is_available()
    if compute.precision == "auto":
        if not gpu:
            return "32-true"
        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bf16-mixed"
        return "32-true" if compute.strategy == "fsdp" else "16-mixed"
    if compute.precision == "16-mixed" and not gpu:
        message = "compute.precision 16-mixed needs a GPU; take auto or bf16-mixed"
        raise ConfigError(message)
    return "32-true" if compute.precision == "32" else compute.precision
