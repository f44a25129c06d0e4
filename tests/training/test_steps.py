from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from medfuse.case import Case
from medfuse.cohort import Cohort, Task
from medfuse.encoders.cases import EncodedCase
from medfuse.errors import ConfigError
from medfuse.losses import Loss
from medfuse.training import fit
from medfuse.training.learning import mean_cost
from medfuse.training.steps import Batch, loader
from tests.training.test_fit import config, heads


def numbered(count: int) -> list[EncodedCase]:
    """Cases whose one value is their number."""
    cases = [Case(case_id=f"c{number}", patient_id=f"p{number}") for number in range(count)]
    return [EncodedCase(case, {"tabular": torch.tensor([float(number)])}) for number, case in enumerate(cases)]


def taken(batches: list[Batch]) -> list[int]:
    """The numbers of the cases that count."""
    found = [parts["tabular"].values[:, 0][~truth[:, 0].isnan()] for parts, truth, _ in batches]
    return [int(number) for number in torch.cat(found)]


@pytest.mark.parametrize(
    ("count", "batch", "parts", "processes"), [(22, 8, 4, 2), (9, 4, 2, 2), (5, 4, 6, 3), (3, 8, 4, 4)]
)
@pytest.mark.parametrize("seed", [None, 3])
def test_processes_share_each_step_and_count_no_case_twice(
    count: int, batch: int, parts: int, processes: int, seed: int | None
) -> None:
    cases, truth = numbered(count), torch.arange(count).float().unsqueeze(1)

    def of(rank: int, processes: int, parts: int) -> list[Batch]:
        made = loader(
            cases,
            truth=truth,
            modalities=("tabular",),
            batch=batch,
            seed=seed,
            parts=parts,
            rank=rank,
            processes=processes,
        )
        assert len(list(made)) == len(made)
        return list(made)

    whole = of(0, 1, 1)
    shares = [of(rank, processes, parts) for rank in range(processes)]
    assert len({len(share) for share in shares}) == 1  # or one process would wait for others for ever
    assert sorted(number for share in shares for number in taken(share)) == list(range(count))
    each = parts // processes
    for number, (_, answers, _) in enumerate(whole):
        step = [share[number * each : (number + 1) * each] for share in shares]
        assert sorted(taken([one for share in step for one in share])) == sorted(answers[:, 0].int().tolist())
        assert {one[2].part for share in step for one in share} == set(range(parts))
        assert all(torch.equal(one[2].truth, answers) for share in step for one in share)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_the_mean_over_parts_is_the_cost_of_the_step(task: Task) -> None:
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(11, 3, generator=draw)
    truth = torch.nn.functional.one_hot(torch.randint(3, (11,), generator=draw), 3).float()
    truth[[1, 4, 7]] = torch.nan  # blank in the middle part, so that parts count differently
    weights, loss = torch.tensor([0.5, 1.0, 2.0]), Loss()
    whole = mean_cost(loss, logits, truth, truth, weights, task=task, parts=1)
    some = [mean_cost(loss, logits[part::3], truth[part::3], truth, weights, task=task, parts=3) for part in range(3)]
    assert torch.stack(some).mean() == pytest.approx(float(whole), rel=1e-6)
    assert torch.stack(
        [mean_cost(loss, logits[p::3], truth[p::3], truth[p::3], weights, task=task, parts=1) for p in (0, 2)]
    ).mean() != pytest.approx(float(whole), rel=1e-3)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_a_step_in_parts_teaches_what_a_whole_one_does(
    task: Task, tiny_cohort: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    cases = tiny_cohort.cases
    if task == "multilabel":  # with blanks, which are not spread evenly
        blank = [
            {**case.labels, "dry": None if number % 4 else case.labels["dry"]} for number, case in enumerate(cases)
        ]
        cases = tuple(replace(case, labels=labels) for case, labels in zip(cases, blank, strict=True))
    cohort = replace(tiny_cohort, task=task, cases=cases)
    made = []
    for parts in (1, 2, 3):
        training = {"epochs": 2, "batch_size": 8, "modality_dropout": 0, "parts": parts}
        small = config(text=None, fusion={"name": "concat", "width": 16, "dropout": 0}, training=training)
        made.append(fit(small, cohort, work=tmp_path / str(parts), cache=token_cache))
    for other in made[1:]:
        for a, b in zip(heads(made[0]), heads(other), strict=True):
            torch.testing.assert_close(a, b, rtol=0, atol=2e-5)
        assert other.facts["validation_loss"] == pytest.approx(made[0].facts["validation_loss"], abs=1e-5)


def test_more_parts_than_cases_are_refused() -> None:
    with pytest.raises(ConfigError, match="parts is 9, more than batch_size 8"):
        config(training={"batch_size": 8, "parts": 9})
