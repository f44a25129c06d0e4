"""A volume as a network for volumes sees it: turned to the patient, resampled, and cut into windows of one size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn.functional import interpolate, pad

from medfuse.case import Scan
from medfuse.config import VolumeConfig
from medfuse.errors import ScanError
from medfuse.imaging import fit_scan, read_scan, read_volume

if TYPE_CHECKING:
    from jaxtyping import Float
    from monai.data import MetaTensor
    from torch import Tensor


class Windows(NamedTuple):
    """What is left of a scan.

    Attributes:
        values: Grey values [W, X, Y, Z] in 0…1; X runs to the patient's right, Y to the front, Z to the head (RAS).
        warnings: What was odd or assumed, one line each.
        sha256: Digest of the scan's bytes.
    """

    values: Float[Tensor, "w x y z"]
    warnings: tuple[str, ...]
    sha256: str


def read_windows(scan: Scan, config: VolumeConfig, *, series: str = "largest") -> Windows:
    """Read a volume and cut it; a single picture is read as a frontal projection, the same at every depth.

    A picture is a volume in which nothing changes along one axis, as a still image is a film in which nothing moves
    (Carreira & Zisserman 2017, arXiv:1705.07750, section 2.4).

    Args:
        scan: The scan; pixels that it has already are taken as a picture, of several slices the middle one.
        config: How to resample and cut.
        series: Which of several series in a folder.

    Raises:
        ScanError: If it can be read neither as a volume nor as a picture.
    """
    if scan.pixels is None:
        try:
            volume = read_volume(scan.path, series=series)
        except ScanError:  # a picture, or slices that do not say where they lie; what is damaged fails below too
            scan = read_scan(scan.path, series=series, slices=1)
        else:
            if volume.voxels.shape[-1] > 1:
                values, warnings = windows_of(volume.voxels, config)
                return Windows(values, (*volume.receipt.warnings, *warnings), volume.receipt.sha256)
            scan = read_scan(scan.path, series=series, slices=1)
    across, depth, up = config.size
    fitted = fit_scan(scan, max(across, up))
    assert fitted.pixels is not None
    assert fitted.receipt is not None
    plane = torch.from_numpy(fitted.pixels).reshape(-1, *fitted.pixels.shape[-2:])
    plane = plane[len(plane) // 2]
    said = () if fitted.receipt.frames == 1 else ("its slices are no volume; one of them stands for it",)
    small = interpolate(plane[None, None], size=(up, across), mode="area")[0, 0]
    # The left of a frontal picture is the patient's right, its top the head.
    values = small.flip(0, 1).T[None, :, None, :].expand(1, across, depth, up).contiguous()
    return Windows(values, (*fitted.receipt.warnings, *said), fitted.receipt.sha256)


def windows_of(voxels: MetaTensor, config: VolumeConfig) -> tuple[Float[Tensor, "w x y z"], tuple[str, ...]]:
    """Windows [W, X, Y, Z] in 0…1 of a volume [1, …] whose affine maps voxels to RAS millimetres, and warnings.

    Axes are flipped and swapped to point as RAS does, never resampled across each other. What shrinks is averaged over
    whole blocks, so that a small finding gets fainter but is not stepped over.
    """
    from monai.data.utils import dense_patch_slices
    from monai.transforms import Orientation

    turned = Orientation(axcodes="RAS", labels=(("L", "R"), ("P", "A"), ("I", "S")))(voxels)
    extent = [float(step) * length for step, length in zip(turned.pixdim, turned.shape[1:], strict=True)]
    grey = _grey(turned.as_tensor().float(), config.values)
    spacing = config.spacing
    if spacing is None:  # the same along all axes, so that the whole volume fits one window
        step = max(length / side for length, side in zip(extent, config.size, strict=True))
        spacing = (step, step, step)
    shape = [max(1, round(length / step)) for length, step in zip(extent, spacing, strict=True)]
    if config.spacing is None:
        shape = [min(length, side) for length, side in zip(shape, config.size, strict=True)]
    small = _padded(_resized(grey, shape), config.size)
    interval = [max(1, round(side * (1 - config.overlap))) for side in config.size]
    places = dense_patch_slices(small.shape[1:], config.size, interval)
    warnings: tuple[str, ...] = ()
    if len(places) > config.max_windows:
        warnings = (f"the volume fills {len(places)} windows; {config.max_windows} of them, evenly spaced, are used",)
        count = config.max_windows
        places = [places[(2 * number + 1) * len(places) // (2 * count)] for number in range(count)]
    return torch.stack([small[(0, *place)] for place in places]), warnings


def _grey(values: Tensor, ends: tuple[float, float] | None) -> Tensor:
    low, high = ends if ends is not None else _percentiles(values)
    return ((values - low) / max(high - low, 1e-6)).clamp(0, 1)


def _percentiles(values: Tensor) -> tuple[float, float]:
    """The 0.5th and 99.5th, of an even sample of at most a million voxels."""
    flat = values.flatten()
    sample = flat[:: -(-len(flat) // 1_000_000)]
    low, high = torch.quantile(sample, torch.tensor([0.005, 0.995])).tolist()
    return low, high


def _resized(grey: Float[Tensor, "1 x y z"], shape: Sequence[int]) -> Float[Tensor, "1 a b c"]:
    shrunk = [min(new, old) for new, old in zip(shape, grey.shape[1:], strict=True)]
    small = interpolate(grey[None], size=shrunk, mode="area")
    return interpolate(small, size=list(shape), mode="trilinear", align_corners=False)[0]


def _padded(grey: Float[Tensor, "1 x y z"], size: Sequence[int]) -> Float[Tensor, "1 a b c"]:
    """At least as large as a window, the volume in the middle, the rest black."""
    ends: list[int] = []
    for length, side in zip(reversed(grey.shape[1:]), reversed(size), strict=True):
        lack = max(0, side - length)
        ends += [lack // 2, lack - lack // 2]
    return pad(grey, ends)
