from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medfuse.errors import MedfuseError
from medfuse.imaging import read_scan
from medfuse.review.upload import dropped_case
from tests.review.test_levels import RAMP, made


def png() -> bytes:
    stream = BytesIO()
    Image.fromarray((RAMP // 16).astype(np.uint8)).save(stream, format="PNG")
    return stream.getvalue()


def test_files_become_a_case_and_are_gone_afterwards(tmp_path: Path) -> None:
    slices = [
        made(tmp_path / f"{place}.dcm", RAMP, SOPInstanceUID=f"1.2.{place}", InstanceNumber=place).read_bytes()
        for place in (1, 2)
    ]
    files = [("a.dcm", slices[0]), ("../../b", slices[1]), ("../../../etc/x.png", png())]
    with dropped_case(files, "INDICATION: cough") as case:
        paths = [scan.path for scan in case.scans]
        assert [path.is_dir() for path in paths] == [True, False]
        assert read_scan(paths[0]).pixels.shape[0] == 2  # type: ignore[union-attr]
        assert read_scan(paths[1]).pixels.shape == (40, 30)  # type: ignore[union-attr]
        folder = paths[1].parent
        assert all(path.resolve().is_relative_to(folder.resolve()) for path in paths)
        assert case.notes[0].path is not None
        assert case.notes[0].path.read_text() == "INDICATION: cough"
    assert not folder.exists()


def test_they_are_kept_where_asked_and_never_over_others(tmp_path: Path) -> None:
    with dropped_case([("x.png", png())], "", keep=tmp_path / "kept"):
        pass
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["scan-00001.png"]
    with pytest.raises(MedfuseError, match="not there yet"), dropped_case([("x.png", png())], "", keep=tmp_path):
        pass


def test_nothing_is_no_case() -> None:
    with pytest.raises(MedfuseError, match="nothing to classify"), dropped_case([], " "):
        pass
