from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medfuse.errors import CohortError
from medfuse.imaging import read_volume
from medfuse.synthetic.volume import COURSE, LESION, PRIOR, make_ct_cohort, render


def test_the_tables_are_probabilities() -> None:
    for table in (LESION, COURSE):
        assert np.array(list(table.values())).sum(0) == pytest.approx(1)
    assert sum(PRIOR) == pytest.approx(1)


def test_the_lesion_is_where_it_is_said_to_be() -> None:
    for lesion in LESION:
        healthy, found = (render(kind, np.random.default_rng(3)) for kind in ("none", lesion))
        change = np.abs(found - healthy) > 300
        if lesion == "none":
            assert not change.any()
            continue
        columns = np.nonzero(change)[2]
        assert (columns.max() < 24) == lesion.startswith("right")
        assert (change.sum() > 60) == lesion.endswith("large")


def test_one_seed_makes_one_cohort_of_readable_series(tmp_path: Path) -> None:
    first, second = (make_ct_cohort(tmp_path / name, cases=count, seed=5) for name, count in (("a", 4), ("b", 3)))
    assert [case.labels for case in first.cases[:3]] == [case.labels for case in second.cases]
    files = sorted(path.relative_to(tmp_path / "b") for path in (tmp_path / "b" / "scans").rglob("*.dcm"))
    assert all((tmp_path / "a" / f).read_bytes() == (tmp_path / "b" / f).read_bytes() for f in files)
    truth = second.truth()
    assert truth is not None
    assert all(sum(p) == pytest.approx(1) for cases in truth.values() for p in cases.values())
    for case in second.cases:
        for scan in case.scans:
            volume = read_volume(tmp_path / "b" / scan.path)
            assert volume.voxels.shape == (1, 48, 48, 16)
            assert volume.voxels.pixdim.tolist() == pytest.approx([7, 7, 18])
            assert -1100 < float(volume.voxels.min()) < -900


def test_a_folder_that_is_not_free_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(CohortError, match="already there"):
        make_ct_cohort(tmp_path, cases=1, seed=0)
