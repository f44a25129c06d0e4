"""Radiographs from the file to what a network takes, beside MONAI and beside decoding alone by pydicom's plugins."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from medfuse.bench.harness import Comparison, Report, Settings, Side, Timing, alternate

SIDE = 2048  # pixels of a radiograph
SIZE = 224  # pixels that the network takes
FIFTH = 5.0  # times as fast as MONAI that uncompressed and run-length coded files shall be read
PLAIN = ("implicit", "explicit", "deflated", "rle")


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Read one made radiograph in every transfer syntax.

    `medfuse` and `monai` go from the file to the network's pixels (`read_fitted`; `LoadImage` with its PydicomReader
    and `Resize` by area, its default). The plugins only decode. GDCM takes part if python-gdcm is installed. The
    receipt's digest, which no other side takes, is given, as it is by the cache; `medfuse with digest` takes it too.
    """
    import torch
    from monai.transforms import Compose, EnsureChannelFirst, LoadImage, Resize
    from pydicom.pixels import pixel_array

    from medfuse.imaging import read_fitted, scan_digest

    torch.set_num_threads(settings.threads or 1)
    chain = Compose(
        [LoadImage(image_only=True, reader="PydicomReader"), EnsureChannelFirst(), Resize((SIZE, SIZE), mode="area")]
    )
    timings: list[Timing] = []
    aims: list[tuple[str, str, float]] = []
    pairs: list[tuple[str, str]] = []
    with settings.folder() as folder:
        for syntax, path in write_all(folder, side=SIDE, seed=settings.seed).items():
            ours = f"{syntax}: medfuse"
            sides = [_side(ours, partial(read_fitted, path, SIZE, sha256=scan_digest(path)))]
            plugins = _plugins(path)
            if syntax in PLAIN:
                sides.append(_side(f"{syntax}: monai", partial(chain, path)))
                aims.append((ours, sides[-1].name, FIFTH))
                sides.append(_side(f"{ours} with digest", partial(read_fitted, path, SIZE)))
                pairs.append((sides[-1].name, sides[-2].name))
            for plugin in plugins:
                sides.append(_side(f"{syntax}: {plugin}", partial(pixel_array, path, decoding_plugin=plugin)))
                if syntax not in PLAIN:
                    aims.append((ours, sides[-1].name, 1.0))
            timings += alternate(sides, rounds=settings.rounds or 7, progress=progress)
    bare = Report("imaging", tuple(timings))
    compared: tuple[Comparison, ...] = tuple(bare.compared(name, than, aim=aim) for name, than, aim in aims)
    compared += tuple(bare.compared(name, than) for name, than in pairs)
    return Report("imaging", bare.timings, compared, {"side": SIDE, "size": SIZE, "threads": settings.threads or 1})


def write_all(folder: Path, *, side: int, seed: int) -> dict[str, Path]:
    """Write one radiograph of 16 bits (8 or 12 where a syntax holds no more) in every syntax; what is there stays."""
    import imagecodecs
    from pydicom import uid

    wide, twelve, eight = (radiograph(side, bits=bits, seed=seed) for bits in (16, 12, 8))
    syntaxes: dict[str, tuple[ndarray, int, str, Callable[[], Any] | None]] = {
        "implicit": (wide, 16, uid.ImplicitVRLittleEndian, None),
        "explicit": (wide, 16, uid.ExplicitVRLittleEndian, None),
        "deflated": (wide, 16, uid.DeflatedExplicitVRLittleEndian, None),
        "rle": (wide, 16, uid.RLELossless, lambda: _run_lengths(wide)),
        "jpeg-lossless": (
            wide, 16, uid.JPEGLosslessSV1,
            lambda: imagecodecs.jpeg8_encode(wide, lossless=True, predictor=1, bitspersample=16),
        ),
        "jpeg-ls": (wide, 16, uid.JPEGLSLossless, lambda: imagecodecs.jpegls_encode(wide)),
        "jpeg-2000-lossless": (
            wide, 16, uid.JPEG2000Lossless,
            lambda: imagecodecs.jpeg2k_encode(wide, codecformat="j2k", bitspersample=16, reversible=True),
        ),
        "jpeg-2000": (
            wide, 16, uid.JPEG2000,
            lambda: imagecodecs.jpeg2k_encode(wide, level=60, codecformat="j2k", bitspersample=16, reversible=False),
        ),
        "htj2k": (wide, 16, uid.HTJ2KLossless, lambda: imagecodecs.htj2k_encode(wide, reversible=True)),
        "jpeg-12-bit": (
            twelve, 12, uid.JPEGExtended12Bit,
            lambda: imagecodecs.jpeg8_encode(twelve, level=90, bitspersample=12),
        ),
        "jpeg-8-bit": (eight, 8, uid.JPEGBaseline8Bit, lambda: imagecodecs.jpeg8_encode(eight, level=90)),
    }  # fmt: skip
    paths = {}
    for name, (stored, bits, syntax, encode) in syntaxes.items():
        paths[name] = folder / f"{name}-{side}-{seed}.dcm"
        if not paths[name].exists():
            paths[name].write_bytes(_file(stored, bits, syntax, None if encode is None else bytes(encode())))
    return paths


def radiograph(side: int, *, bits: int, seed: int) -> ndarray:
    """A chest of smooth shapes with ribs and detector noise, stored values [side, side]."""
    y, x = np.mgrid[:side, :side] / side
    body = np.exp(-(((x - 0.5) / 0.42) ** 4) - ((y - 0.55) / 0.5) ** 4)
    lungs = sum(np.exp(-(((x - place) / 0.13) ** 2) - ((y - 0.45) / 0.22) ** 2) for place in (0.3, 0.7))
    ribs = 0.06 * np.sin(60 * (y + 0.25 * (x - 0.5) ** 2)) * lungs
    noise = np.random.default_rng(seed).normal(0, 0.004, (side, side))
    grey = 0.15 + 0.6 * body - 0.35 * lungs + ribs + noise
    return np.asarray(np.clip(grey * 2**bits, 0, 2**bits - 1), dtype=np.uint8 if bits <= 8 else np.uint16)


def _file(stored: ndarray, bits: int, syntax: str, frame: bytes | None) -> bytes:
    from pydicom import dcmwrite
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate
    from pydicom.uid import UID, DigitalXRayImageStorageForPresentation

    dataset: Any = Dataset()
    dataset.SOPClassUID, dataset.SOPInstanceUID = DigitalXRayImageStorageForPresentation, "1.2.3.4"
    dataset.Modality, dataset.PhotometricInterpretation, dataset.SamplesPerPixel = "DX", "MONOCHROME2", 1
    dataset.Rows, dataset.Columns = stored.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8 * stored.dtype.itemsize, bits, bits - 1
    dataset.PixelRepresentation, dataset.PixelSpacing = 0, [0.2, 0.2]
    dataset.WindowCenter, dataset.WindowWidth = round(0.45 * 2**bits), round(0.7 * 2**bits)
    dataset.PixelData = stored.tobytes() if frame is None else encapsulate([frame])
    dataset["PixelData"].VR = "OW" if frame is None else "OB"
    dataset["PixelData"].is_undefined_length = frame is not None
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = UID(syntax)
    stream = BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def _run_lengths(stored: ndarray) -> bytes:
    from rle.utils import encode_frame

    rows, columns = stored.shape
    return bytes(encode_frame(stored.tobytes(), rows, columns, 1, 8 * stored.dtype.itemsize, "<"))


def _plugins(path: Path) -> list[str]:
    """Plugins of pydicom that decode a file; its own for run lengths is in Python and takes seconds."""
    from pydicom import dcmread
    from pydicom.pixels import get_decoder, pixel_array

    found = []
    for plugin in get_decoder(dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID).available_plugins:
        try:
            if plugin != "pydicom":
                pixel_array(path, decoding_plugin=plugin)
                found.append(plugin)
        except RuntimeError:  # such as GDCM and Pillow of 12-bit JPEG
            continue
    return found


def _side(name: str, work: Callable[[], object]) -> Side:
    return Side(name, work, warm=work)
