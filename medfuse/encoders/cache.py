"""Tokens of frozen encoders on disk, by content: what was encoded once is never encoded again.

The key is a digest of the input's bytes, of the encoder's weights and of how the input was prepared, so an entry can
be out of date in no way; deleting the folder costs only time. When the folder outgrows its limit, what was not used for
longest goes first.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from stat import S_ISREG
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from medfuse.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

SETTLED = 2.0  # seconds after which a file that changes again is sure to get another time
_ENTRY = ".safetensors"
DEFAULT_GB = 20  # 10⁹ bytes
PREPARATION = 4  # raise it when reading, fitting or windows change what an encoder is given


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


def default_limit() -> int:
    """Bytes that a cache may take: `MEDFUSE_CACHE_GB`, or 20 GB.

    Raises:
        ConfigError: If the variable holds no number above 0.
    """
    return bytes_in("MEDFUSE_CACHE_GB", DEFAULT_GB)


def bytes_in(variable: str, gigabytes: float) -> int:
    """The bytes that an environment variable states in gigabytes (10⁹ bytes), or so many gigabytes where it is not set.

    Raises:
        ConfigError: If it holds no number above 0.
    """
    given = os.environ.get(variable) or str(gigabytes)
    try:
        size = float(given)
    except ValueError:
        size = math.nan
    if not 0 < size < math.inf:
        message = f"{variable} is '{given}'; it should be a number of gigabytes, such as {gigabytes:g}"
        raise ConfigError(message)
    return max(1, round(size * 1e9))


class TokenCache:
    """Arrays with the warnings and the digests of content that came with them, one file an entry.

    Several threads and processes may share a folder: an entry is written in one step, one that another has evicted
    counts as absent, and one that is being read stays readable until it is closed.

    Args:
        folder: Where entries lie; it is made when the first is written.
        limit: Bytes that all entries together may take, exceeded for a while by no more than a twentieth; None takes
            `default_limit()`.
    """

    def __init__(self, folder: Path, *, limit: int | None = None) -> None:
        self.folder = folder
        self.limit = limit or default_limit()
        self._unchecked = 0  # bytes written since the folder was last measured
        self._counting, self._evicting = Lock(), Lock()

    def get(self, key: str) -> tuple[torch.Tensor, tuple[str, ...], tuple[str, ...]] | None:
        """Tokens, warnings and contents of the entry, or None; one that cannot be read or lacks any is absent."""
        from safetensors import SafetensorError, safe_open

        try:
            with safe_open(self._path(key, _ENTRY), framework="pt") as stored:
                told = stored.metadata() or {}
                warnings, contents = (tuple(json.loads(told[name])) for name in ("warnings", "contents"))
                tokens = stored.get_tensor("tokens")
        except (KeyError, OSError, SafetensorError, ValueError):
            return None
        with contextlib.suppress(OSError):
            os.utime(self._path(key, _ENTRY))  # used now; the time of access is not kept on every disk
        return tokens, warnings, contents

    def put(self, key: str, tokens: torch.Tensor, warnings: Sequence[str], contents: Sequence[str] = ()) -> None:
        """Write an entry in one step; a disk that is full or read-only costs the entry, not the run."""
        from safetensors.torch import save

        path = self._path(key, _ENTRY)
        told = {"warnings": json.dumps(list(warnings)), "contents": json.dumps(list(contents))}
        content = save({"tokens": tokens.contiguous()}, metadata=told)
        self._write(path, content)

    def _write(self, path: Path, content: bytes) -> None:
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
            self._count(len(content))

    def digest(self, path: Path, reckon: Callable[[Path], str]) -> str:
        """A file's digest, reckoned once while its place, size and times are the same, as git's index does.

        What was changed within the last seconds, or is no plain file, is reckoned anew each time.

        Args:
            path: The file.
            reckon: Gives the digest from the file's bytes.
        """
        try:
            at = path.stat()
        except OSError:
            return reckon(path)
        if not S_ISREG(at.st_mode) or time.time() - max(at.st_mtime, at.st_ctime) < SETTLED:
            return reckon(path)
        times = (at.st_mtime_ns, at.st_ctime_ns)
        place = self._path(key_of("digest", path.absolute(), at.st_dev, at.st_ino, at.st_size, *times), ".digest")
        with contextlib.suppress(OSError, UnicodeDecodeError):
            known = place.read_text(encoding="ascii")
            if len(known) == 64 and not known.strip("0123456789abcdef"):
                return known
        found = reckon(path)
        self._write(place, found.encode())
        return found

    def evict(self) -> int:
        """Remove what was not used for longest until nine tenths of the limit are left; the bytes removed."""
        found = []
        for path in self.folder.glob("??/*.*"):
            with contextlib.suppress(OSError):  # another process may evict too
                kept = path.stat()
                found.append((kept.st_mtime, kept.st_size, path))
        excess = sum(size for _, size, _ in found) - self.limit
        if excess <= 0:
            return 0
        wanted, removed = excess + self.limit // 10, 0
        for _, size, path in sorted(found):
            if removed >= wanted:
                break
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
            removed += size
        return removed

    def _count(self, size: int) -> None:
        """Measure the folder whenever a twentieth of the limit was written."""
        with self._counting:
            self._unchecked += size
            if self._unchecked < self.limit // 20:
                return
            self._unchecked = 0
        if self._evicting.acquire(blocking=False):  # one thread is enough
            try:
                self.evict()
            finally:
                self._evicting.release()

    def _path(self, key: str, ending: str) -> Path:
        return self.folder / key[:2] / f"{key}{ending}"


def key_of(*parts: object) -> str:
    """One key from all that decides an entry."""
    return hashlib.sha256(json.dumps([PREPARATION, *map(str, parts)]).encode()).hexdigest()


def half(array: torch.Tensor) -> torch.Tensor:
    """Tokens as they are kept: half precision, so that a first run and a run from the cache see the same numbers."""
    import torch

    limit = float(np.finfo(np.float16).max)
    return array.clamp(-limit, limit).to(torch.float16)
