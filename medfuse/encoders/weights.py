"""Where weights come from, and the receipt that says what was loaded: a weight that does not load is an error."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.errors import EncoderError

if TYPE_CHECKING:
    from torch import Tensor

_FILES = ("model.safetensors", "pytorch_model.bin", "model.pt")
_CHUNK = 1 << 20  # bytes hashed at a time


@dataclass(frozen=True)
class WeightsReceipt:
    """What loading did.

    Attributes:
        source: The package, file name or hub id; `random` where nothing was loaded.
        sha256: Digest of the weights file; empty where nothing was loaded.
        loaded: Tensors of the network that were filled.
        unused: Tensors of the file that the network has no place for (a head for another purpose).
    """

    source: str
    sha256: str = ""
    loaded: int = 0
    unused: int = 0


def sha256_of(path: Path) -> str:
    """Digest of a file's bytes, hexadecimal, read in pieces."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_CHUNK):
            digest.update(piece)
    return digest.hexdigest()


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a `.safetensors` file or of a torch file that holds nothing but tensors.

    Raises:
        EncoderError: If it is neither; torch files are read without unpickling anything else.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return dict(load_file(path))
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the libraries raise many kinds, all meaning the same
        message = f"{path.name}: not a file of weights that can be read safely ({type(error).__name__})"
        raise EncoderError(message) from error
    for key in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        message = f"{path.name}: should hold a mapping from names to tensors"
        raise EncoderError(message)
    return dict(content)


def fill(module: nn.Module, tensors: Mapping[str, Tensor], *, source: str, sha256: str) -> WeightsReceipt:
    """Put tensors into a module by name.

    Args:
        module: The network.
        tensors: Its weights by name; names that the network lacks are counted, not loaded.
        source: What to call the weights in the receipt and in errors.
        sha256: Digest of the file they came from.

    Raises:
        EncoderError: If a tensor that the network needs is missing or has another shape.
    """
    own = module.state_dict()
    counters = ("num_batches_tracked",)  # torch's bookkeeping, absent from older files
    missing = [n for n in own if n not in tensors and not n.endswith(counters)]
    other = [n for n in own if n in tensors and own[n].shape != tensors[n].shape]
    if missing or other:
        what = (
            f"lack {len(missing)} of {len(own)} tensors (first: {missing[0]})" if missing else f"differ in {other[0]}"
        )
        message = f"the weights '{source}' {what}; they are for another network"
        raise EncoderError(message)
    usable = {name: tensors[name] for name in own if name in tensors}
    module.load_state_dict(usable, strict=False)
    return WeightsReceipt(source, sha256, loaded=len(usable), unused=len(tensors.keys() - own.keys()))


def checkpoint_folder(source: str) -> Path:
    """A local folder as it is, or a hub id through the hub's own cache.

    Raises:
        EncoderError: If it is neither here nor there.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    if folder.is_absolute() or source.startswith((".", "~")) or source.count("/") != 1:
        message = f"no folder '{source}' with a transformers checkpoint (config.json and weights)"
        raise EncoderError(message)
    from huggingface_hub import snapshot_download

    patterns = ["*.json", "*.txt", "*.model", "model.safetensors", "pytorch_model.bin"]
    try:
        return Path(snapshot_download(source, allow_patterns=patterns))
    except Exception as error:  # no network, no such id, no permission: the remedy is the same
        message = f"'{source}' is no folder here and the model hub did not give it; download it and name its folder"
        raise EncoderError(message) from error


def checkpoint_config(folder: Path) -> dict[str, Any]:
    """A transformers checkpoint's `config.json`.

    Raises:
        EncoderError: If there is none.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        message = f"{folder.name}: no readable config.json; a transformers checkpoint has one"
        raise EncoderError(message) from error
    return dict(config)


def load_transformers(folder: Path, *, source: str) -> tuple[nn.Module, WeightsReceipt]:
    """Any transformers encoder through its library, which knows the names that older checkpoints use.

    Raises:
        EncoderError: If the checkpoint lacks a tensor of the network, but for a pooler, or cannot be read.
    """
    from transformers import AutoModel

    path = checkpoint_weights(folder)
    try:
        body, found = AutoModel.from_pretrained(
            folder, output_loading_info=True, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        message = f"'{source}' is no checkpoint that transformers can load ({type(error).__name__})"
        raise EncoderError(message) from error
    missing = [name for name in found["missing_keys"] if not name.startswith("pooler.")]
    other = [*missing, *found["mismatched_keys"]]
    if other:
        message = f"the weights '{source}' lack {len(other)} tensors (first: {other[0]}); they are for another network"
        raise EncoderError(message)
    loaded = len(body.state_dict()) - len(found["missing_keys"])
    return body, WeightsReceipt(source, sha256_of(path), loaded=loaded, unused=len(found["unexpected_keys"]))


def checkpoint_weights(folder: Path) -> Path:
    """The weights file of a transformers checkpoint.

    Raises:
        EncoderError: If there is none.
    """
    for name in _FILES:
        if (folder / name).exists():
            return folder / name
    message = f"{folder.name}: no {' or '.join(_FILES)}"
    raise EncoderError(message)
