"""Sides alternate, are compared within rounds, and the report says what was seen."""

from __future__ import annotations

import json

import pytest

from medfuse.bench import Report, Settings, Side, alternate, run
from medfuse.bench.harness import Spread, Timing
from medfuse.errors import MedfuseError


def test_sides_alternate_and_each_round_begins_with_the_next() -> None:
    said: list[str] = []
    sides = [
        Side(name, run=lambda name=name: said.append(name), warm=lambda name=name: said.append(f"warm {name}"))
        for name in "abc"
    ]
    counted: list[int] = []
    timings = alternate(sides, rounds=3, progress=counted.append)
    assert said == ["warm a", "warm b", "warm c", *"abc", *"bca", *"cab"]
    assert [len(timing.seconds) for timing in timings] == [3, 3, 3]
    assert sum(counted) == 9


def test_what_runs_before_is_not_timed() -> None:
    burnt = lambda: sum(number * number for number in range(400_000))  # noqa: E731
    timings = alternate([Side("bare", lambda: None, before=burnt), Side("burnt", burnt)], rounds=3)
    assert max(timings[0].seconds) < min(timings[1].seconds) / 10
    assert min(timings[1].cpu) > 0


def test_a_ratio_is_taken_within_rounds_so_that_a_slow_round_does_not_count() -> None:
    quick, slow = Timing("quick", (1.0, 10.0, 1.0), (1.0,) * 3), Timing("slow", (3.0, 30.0, 3.0), (3.0,) * 3)
    found = Report("x", (quick, slow)).compared("quick", "slow", aim=2.5)
    assert found.ratio == Spread(3.0, 3.0, 3.0)
    assert found.reached
    assert Report("x", (quick, slow)).compared("quick", "slow", aim=3.5).reached is False
    assert Report("x", (quick, slow)).compared("quick", "slow").reached is None


def test_spread_is_median_and_quartiles() -> None:
    assert Spread.of([4.0, 1.0, 2.0, 3.0, 5.0]) == Spread(3.0, 2.0, 4.0)
    assert Spread.of([7.0]) == Spread(7.0, 7.0, 7.0)


def test_a_report_is_json_without_names_of_the_machine() -> None:
    report = Report("x", (Timing("a", (1.0,), (0.5,)),), facts={"cases": 3})
    read = json.loads(json.dumps(report.to_dict()))
    assert read["sides"]["a"]["seconds"]["median"] == 1.0
    assert read["facts"] == {"cases": 3}
    assert set(read["machine"]) == {"processor", "cores", "system", "python"}


def test_an_unknown_bench_is_named_with_those_there_are() -> None:
    with pytest.raises(MedfuseError, match="no bench 'speed'"):
        run("speed", Settings())


def test_the_work_folder_is_kept_only_if_it_was_named(tmp_path) -> None:
    with Settings(work=tmp_path / "kept").folder() as kept:
        (kept / "x").touch()
    assert (tmp_path / "kept" / "x").exists()
    with Settings().folder() as made:
        assert made.is_dir()
    assert not made.exists()
