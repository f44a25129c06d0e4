from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.explain import METHODS, WhatIf
from medfuse.explain.aim import Aim
from medfuse.explain.check import check
from medfuse.explain.curves import curves, in_any_order
from medfuse.explain.explain import aim_of, scan_in_place
from medfuse.explain.image import SeenScan
from medfuse.explain.sanity import check as sanity_of
from medfuse.explain.sanity import similarity
from medfuse.inference import Predictor
from tests.test_cli import run


@pytest.fixture(scope="module")
def scan(experts: Predictor, case: Case) -> SeenScan:
    variants = WhatIf(experts, case)
    return scan_in_place(variants, 0, aim_of(variants, 0, "logit")).seen


def test_a_map_that_learned_weights_make_passes_and_one_of_edges_fails(scan: SeenScan) -> None:
    def edges(one: SeenScan) -> torch.Tensor:
        """A map that looks at no weight (Adebayo et al. 2018, section 5: an edge detector)."""
        return one.pixels.diff(dim=-1, append=one.pixels[..., :1]).abs()

    failed = sanity_of(scan, edges, edges(scan))
    assert failed.similarity == pytest.approx(1)
    assert not failed.passed
    found = sanity_of(scan, METHODS["grad_cam"], METHODS["grad_cam"](scan))
    assert found.similarity < failed.similarity
    assert found.passed == (found.similarity < found.limit)


def test_similarity_goes_by_rank_and_sign() -> None:
    heat = torch.rand(1, 28, 28, generator=torch.Generator().manual_seed(0))
    assert similarity(heat, heat * 5 - 1) == pytest.approx(1)
    assert similarity(heat, -heat) == pytest.approx(-1)
    assert similarity(heat, heat * 0) == 0
    assert similarity(heat, heat * torch.nan) == 0


def test_the_right_order_deletes_faster_than_chance_and_the_wrong_one_slower(scan: SeenScan) -> None:
    """With a model whose logit is the brightness of the left half, the true map is known."""

    class Half(SeenScan):
        def seen(self, pixels: torch.Tensor) -> torch.Tensor:
            return pixels[..., : pixels.shape[-1] // 2].mean((1, 2, 3))

    pixels = torch.rand(1, 56, 56, generator=torch.Generator().manual_seed(0)) * 0.2
    pixels[:, 8:24, 4:20] = 1.0  # bright, so that blurring it changes the mean of its neighbours only
    pixels[:, :, 28:] = torch.rand(1, 56, 28, generator=torch.Generator().manual_seed(1))
    one = Half(**{**vars(scan), "pixels": pixels})
    truth = pixels.clone()
    truth[:, :, 28:] = -1.0
    right, wrong, chance = curves(one, truth), curves(one, -truth), in_any_order(one, seed=0)
    assert right.deletion < chance.deletion < wrong.deletion
    assert right.insertion > chance.insertion > wrong.insertion


def test_the_calibrated_probability_is_explained_through_any_calibrator(experts: Predictor) -> None:
    """Gradient against a finite difference of the calibrator itself."""
    aim = Aim(experts.bundle, 1, "probability", 7)
    logits = torch.tensor([[0.3, -0.2, 0.1], [1.0, 2.0, -1.0]], requires_grad=True)
    found = aim(logits)
    pattern = np.array([7, 7])
    expected = experts.bundle.calibration.probability(logits.detach().double().numpy(), pattern)[:, 1]
    assert found.detach().numpy() == pytest.approx(expected, abs=1e-6)
    found.sum().backward()
    assert logits.grad is not None
    for column in range(3):
        moved = logits.detach().double().numpy().copy()
        moved[:, column] += 1e-3
        slope = (experts.bundle.calibration.probability(moved, pattern)[:, 1] - expected) / 1e-3
        assert logits.grad[:, column].numpy() == pytest.approx(slope, abs=1e-3)


def test_figures_of_a_cohort_with_masks(experts: Predictor, tiny_cohort: Cohort, tmp_path: Path) -> None:
    (tmp_path / "masks").mkdir()
    unseen = [one for one in tiny_cohort.cases if experts.bundle.split_of(one.patient_id) in (None, "test")]
    mask = np.zeros((48, 48), dtype=np.uint8)
    mask[:24] = 255
    Image.fromarray(mask).save(tmp_path / "masks" / f"{unseen[0].scans[0].path.stem}.png")
    ticks: list[int] = []
    (found,) = check(experts, replace(tiny_cohort, folder=tmp_path), cases=3, progress=ticks.append)
    assert (found.maps, found.localised, sum(ticks)) == (3, 1, 3)
    assert set(found.localisation) == {"map", "other scan", "centre", "chance"}
    assert found.localisation["chance"]["energy"] == pytest.approx(0.5)
    assert 0 <= found.deletion <= 1
    assert json.loads(json.dumps(found.to_dict()))["method"] == "grad_cam"


def test_patients_that_training_saw_are_not_used(experts: Predictor, tiny_cohort: Cohort) -> None:
    seen = [one for one in tiny_cohort.cases if experts.bundle.split_of(one.patient_id) == "train"]
    with pytest.raises(MedfuseError, match="not seen"):
        check(experts, replace(tiny_cohort, cases=tuple(seen)))
    with pytest.raises(MedfuseError, match="method 'mars'"):
        check(experts, tiny_cohort, methods=["mars"])


def test_the_verb_writes_files_and_says_what_is_wrong(tiny_bundle: Path, tiny_cohort: Cohort, tmp_path: Path) -> None:
    done = run("explain", tiny_bundle, tiny_cohort.folder, "--case", "c0", "--out", tmp_path / "why", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["case_id"] == "c0"
    assert {path.name for path in (tmp_path / "why").iterdir()} == {
        "scan-1.png", "explanation.json", "explanation.html",
    }  # fmt: skip
    done = run("explain", tiny_bundle, tiny_cohort.folder, "--case", "nobody", "--out", tmp_path / "why")
    assert (done.returncode, "no such case" in done.stderr) == (2, True)
    done = run("explain", tiny_bundle, tiny_cohort.folder)
    assert (done.returncode, "--check" in done.stderr) == (2, True)
