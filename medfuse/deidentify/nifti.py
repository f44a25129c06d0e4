"""A NIfTI volume with a header of numbers alone."""

from __future__ import annotations

from medfuse.errors import ScanError
from medfuse.imaging.nifti import unpacked, voxels_of

_PADDING = b"\0\0\0\0"  # no extensions follow (NIfTI-1 and NIfTI-2, "extended header sections")


def clean_nifti(data: bytes) -> bytes:
    """The volume without free text, extensions and what stands behind its voxels; these stay as they are stored.

    Free text is `descrip`, `aux_file`, `intent_name` and what is left of ANALYZE (`data_type`, `db_name`).

    Args:
        data: The file, `.nii` or `.nii.gz`.

    Returns:
        The content of a `.nii` file.

    Raises:
        UnreadableError: If it is damaged.
        ScanError: If its voxels lie where they cannot.
    """
    import nibabel

    data = unpacked(data)
    _, _, read = voxels_of(data, [])  # refuses what is damaged
    kind = nibabel.Nifti2Header if data[4:8] == b"n+2\x00" else nibabel.Nifti1Header
    header = kind(data[: kind.sizeof_hdr], check=False)
    for name in header.structarr.dtype.names:
        if header.structarr.dtype[name].kind == "S" and name != "magic":
            header[name] = b""
    begin = int(header["vox_offset"])
    size = read.get_data_dtype().itemsize
    for side in read.get_data_shape():
        size *= int(side)
    if begin < kind.sizeof_hdr or begin + size > len(data):
        message = "its voxels lie outside of the file; convert the volume again from its DICOM files"
        raise ScanError(message)
    header["vox_offset"] = kind.sizeof_hdr + len(_PADDING)
    return bytes(header.binaryblock) + _PADDING + data[begin : begin + size]
