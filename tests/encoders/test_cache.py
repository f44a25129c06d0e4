"""Entries come back as they were; a folder that outgrows its limit loses what was not used for longest."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from pathlib import Path

import pytest
import torch

from medfuse.encoders.cache import TokenCache, default_limit, half, key_of
from medfuse.errors import ConfigError

SIZE = 4096 * 2  # bytes of the tokens below


def tokens(number: int) -> torch.Tensor:
    return torch.full((64, 64), float(number), dtype=torch.float16)


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("??/*.safetensors"))


def fill(cache: TokenCache, numbers: range) -> None:
    for number in numbers:
        cache.put(key_of(number), tokens(number), (f"warning {number}",))


def test_an_entry_comes_back_and_a_damaged_one_is_absent(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path)
    fill(cache, range(1))
    found = cache.get(key_of(0))
    assert found is not None
    assert torch.equal(found[0], tokens(0))
    assert found[1] == ("warning 0",)
    assert cache.get(key_of(1)) is None
    for path in tmp_path.glob("??/*"):
        path.write_bytes(path.read_bytes()[:100])
    assert cache.get(key_of(0)) is None


def test_the_folder_stays_within_its_limit(tmp_path: Path) -> None:
    limit = 40 * SIZE
    fill(TokenCache(tmp_path, limit=limit), range(200))
    assert limit // 2 < size_of(tmp_path) <= limit * 1.05 + SIZE


def test_what_was_used_lately_stays(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path, limit=1000 * SIZE)
    fill(cache, range(30))
    for number, path in enumerate(tmp_path.glob("??/*.safetensors")):
        os.utime(path, (number, number))  # long ago
    assert cache.get(key_of(7)) is not None
    small = TokenCache(tmp_path, limit=10 * SIZE)
    assert small.evict() > 0
    assert cache.get(key_of(7)) is not None
    assert size_of(tmp_path) <= 10 * SIZE
    assert small.evict() == 0


def test_tokens_that_were_read_outlive_their_entry(tmp_path: Path) -> None:
    cache = TokenCache(tmp_path)
    fill(cache, range(3, 4))
    found = cache.get(key_of(3))
    TokenCache(tmp_path, limit=1).evict()
    assert not size_of(tmp_path)
    assert found is not None
    assert torch.equal(found[0], tokens(3))


def _use(folder: str, seed: int) -> int:
    cache, wrong = TokenCache(Path(folder), limit=20 * SIZE), 0
    for turn in range(120):
        number = (turn * 7 + seed) % 40
        found = cache.get(key_of(number))
        if found is None:
            cache.put(key_of(number), tokens(number), ())
        elif not torch.equal(found[0], tokens(number)):
            wrong += 1
    return wrong


def test_processes_that_write_and_evict_at_once_never_read_a_wrong_entry(tmp_path: Path) -> None:
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.starmap(_use, [(str(tmp_path), 0), (str(tmp_path), 3)]) == [0, 0]
    assert size_of(tmp_path) <= 20 * SIZE * 1.1 + 2 * SIZE
    assert not list(tmp_path.glob("??/*.partial"))


@pytest.mark.parametrize(("given", "bytes_"), [("", 20e9), ("0.5", 5e8), ("3", 3e9)])
def test_the_limit_is_in_gigabytes(monkeypatch, given: str, bytes_: float) -> None:
    monkeypatch.setenv("MEDFUSE_CACHE_GB", given)
    assert default_limit() == bytes_


@pytest.mark.parametrize("given", ["much", "0", "-1", "inf", "nan"])
def test_no_limit_that_is_no_number(monkeypatch, given: str) -> None:
    monkeypatch.setenv("MEDFUSE_CACHE_GB", given)
    with pytest.raises(ConfigError, match="gigabytes"):
        default_limit()


def test_half_precision_never_overflows() -> None:
    assert half(torch.tensor([1e9, -1e9])).isfinite().all()


def test_a_digest_is_reckoned_again_only_when_the_file_changed(tmp_path: Path) -> None:
    cache, path, reckoned = TokenCache(tmp_path / "cache"), tmp_path / "scan", []

    def reckon(file: Path) -> str:
        reckoned.append(file)
        return hashlib.sha256(file.read_bytes()).hexdigest()

    path.write_bytes(b"one")
    assert cache.digest(path, reckon) == cache.digest(path, reckon) == hashlib.sha256(b"one").hexdigest()
    assert len(reckoned) == 2  # changed a moment ago: it may change again within the same tick of the clock
    with pytest.MonkeyPatch.context() as later:
        later.setattr("medfuse.encoders.cache.time.time", lambda: path.stat().st_mtime + 60)
        assert cache.digest(path, reckon) == cache.digest(path, reckon) == hashlib.sha256(b"one").hexdigest()
        assert len(reckoned) == 3
        kept = path.stat()
        path.write_bytes(b"two")
        os.utime(path, ns=(kept.st_atime_ns, kept.st_mtime_ns))  # as large and as old as before
        assert cache.digest(path, reckon) == hashlib.sha256(b"two").hexdigest()
        for place in (tmp_path / "cache").glob("??/*.digest"):
            place.write_bytes(b"\xff damaged")
        assert cache.digest(path, reckon) == hashlib.sha256(b"two").hexdigest()
    with pytest.raises(FileNotFoundError):
        cache.digest(tmp_path / "nowhere", reckon)
