"""Tokens of frozen encoders on disk, by content: what was encoded once is never encoded again.

The key is a digest of the input's bytes, of the encoder's weights and of how the input was prepared, so an entry can
be out of date in no way; deleting the folder costs only time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

PREPARATION = 2  # raise it when reading, fitting or windows change what an encoder is given


def default_cache() -> Path:
    """`MEDFUSE_CACHE`, or `medfuse` in the user's cache folder (XDG Base Directory Specification)."""
    given = os.environ.get("MEDFUSE_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "medfuse"


def digest_of(module: nn.Module) -> str:
    """SHA-256 over the names and values of a module's state."""
    digest = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


class TokenCache:
    """Arrays with the warnings and the digests of content that came with them, one file an entry.

    Args:
        folder: Where entries lie; it is made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> tuple[torch.Tensor, tuple[str, ...], tuple[str, ...]] | None:
        """Tokens, warnings and contents of the entry, or None; one that cannot be read or lacks any is absent."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path(key), framework="pt") as stored:
                told = stored.metadata() or {}
                warnings, contents = (tuple(json.loads(told[name])) for name in ("warnings", "contents"))
                return stored.get_tensor("tokens"), warnings, contents
        except (KeyError, OSError, SafetensorError, ValueError):
            return None

    def put(self, key: str, tokens: torch.Tensor, warnings: Sequence[str], contents: Sequence[str] = ()) -> None:
        """Write an entry in one step; a disk that is full or read-only costs the entry, not the run."""
        from safetensors.torch import save

        path = self._path(key)
        told = {"warnings": json.dumps(list(warnings)), "contents": json.dumps(list(contents))}
        content = save({"tokens": tokens.contiguous()}, metadata=told)
        with contextlib.suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, partial = tempfile.mkstemp(dir=path.parent, suffix=".partial")
            try:
                with os.fdopen(handle, "wb") as stream:
                    stream.write(content)
                os.replace(partial, path)
            except OSError:
                Path(partial).unlink(missing_ok=True)
                raise

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"


def key_of(*parts: object) -> str:
    """One key from all that decides an entry."""
    return hashlib.sha256(json.dumps([PREPARATION, *map(str, parts)]).encode()).hexdigest()


def half(array: torch.Tensor) -> torch.Tensor:
    """Tokens as they are kept: half precision, so that a first run and a run from the cache see the same numbers."""
    import torch

    limit = float(np.finfo(np.float16).max)
    return array.clamp(-limit, limit).to(torch.float16)
