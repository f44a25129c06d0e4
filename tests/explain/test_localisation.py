from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medfuse.errors import ScanError
from medfuse.explain.localisation import centre, localisation, mask_of, placed_on


def test_a_map_on_the_finding_and_one_beside_it() -> None:
    mask = np.zeros((8, 10), dtype=bool)
    mask[2:4, 6:9] = True
    heat = np.zeros((8, 10))
    heat[2, 7], heat[0, 0], heat[7, 9] = 3.0, 1.0, -9.0
    assert placed_on(heat, mask) == type(placed_on(heat, mask))(pointing=True, energy=0.75)
    assert not placed_on(-heat, mask).pointing
    assert placed_on(np.full((8, 10), -1.0), mask).energy == 0
    assert placed_on(np.ones((8, 10)), mask).energy == pytest.approx(mask.mean())


def test_a_map_that_looked_beats_that_of_another_scan_and_the_centre() -> None:
    masks = [np.zeros((20, 30), dtype=bool), np.zeros((24, 20), dtype=bool)]
    masks[0][:5, :6] = True
    masks[1][-5:, -6:] = True
    found = localisation([mask.astype(float) for mask in masks], masks)
    assert found["map"] == {"pointing": 1.0, "energy": 1.0}
    assert found["other scan"]["energy"] == 0
    assert found["centre"]["pointing"] == 0
    assert found["chance"]["energy"] == pytest.approx((30 / 600 + 30 / 480) / 2)


def test_the_centre_is_in_the_centre() -> None:
    heat = centre(9, 5)
    assert np.unravel_index(heat.argmax(), heat.shape) == (4, 2)


def test_masks_are_read_and_refused(tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    scan = Path("scans/a.dcm")
    assert mask_of(tmp_path, scan, (4, 6)) is None
    greys = np.zeros((4, 6), dtype=np.uint8)
    Image.fromarray(greys).save(tmp_path / "masks" / "a.png")
    assert mask_of(tmp_path, scan, (4, 6)) is None
    greys[1, 2] = 255
    Image.fromarray(greys).save(tmp_path / "masks" / "a.png")
    found = mask_of(tmp_path, scan, (4, 6))
    assert found is not None
    assert found.sum() == 1
    with pytest.raises(ScanError, match=r"masks/a.png: has the shape \(4, 6\)"):
        mask_of(tmp_path, scan, (6, 4))
    (tmp_path / "masks" / "a.png").write_text("no picture")
    with pytest.raises(ScanError, match="cannot be read"):
        mask_of(tmp_path, scan, (4, 6))
