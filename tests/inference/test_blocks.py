"""A cohort is cut into blocks that can be read alone, and a part is known by what it says of itself."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from medfuse.case import Prediction
from medfuse.inference.blocks import Block, cut, part_of, receipt_of
from medfuse.inference.storage import Place
from medfuse.table import Ids, Table

HEADER = "name: x\ntask: multilabel\nlabels: [ill]\ntabular: {age: number}\n"
ROWS = [
    ("a", "1", "30"),
    ("b", "0", ""),
    ("", "1", "31"),  # no id
    ("a", "0", "32"),  # stands twice
    ("ç,\nd", "", "33"),  # a comma, a line's end and two bytes a letter inside a cell
    ("e", "1", "34"),
    ("f", "0", "35"),
    ("e", "0", "36"),  # stands twice
]


def table_of(folder: Path, kind: str) -> Table:
    frame = pd.DataFrame(ROWS, columns=["case_id", "ill", "age"])
    (folder / "cohort.yaml").write_text(HEADER)
    if kind == "parquet":
        frame.to_parquet(folder / "cases.parquet", row_group_size=3)
    else:
        (folder / "cases.csv").write_bytes(
            "\ufeff".encode() + frame.to_csv(index=False, lineterminator="\r\n").encode()
        )
    return Table.of(folder)


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("size", [1, 2, 3, 16])
def test_blocks_hold_every_case_once_and_can_be_read_alone(kind: str, size: int, tmp_path: Path) -> None:
    table, said = table_of(tmp_path, kind), []
    ids = Ids(table)
    assert ids.cases == 5
    blocks = list(cut(table, ids, size, said.append))
    taken = [[(number, row["case_id"]) for number, row in block.taken(table)] for block in reversed(blocks)]
    assert [one for part in reversed(taken) for one in part] == [(2, "a"), (3, "b"), (6, "ç,\nd"), (7, "e"), (8, "f")]
    assert [len(part) for part in reversed(taken)] == [block.cases for block in blocks]
    assert all(block.cases == size for block in blocks[:-1])
    assert [line.split(":")[0].split()[-1] for line in said] == ["4", "5", "9"]


def test_ids_with_equal_sums_are_still_told_apart(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("medfuse.table._sum", lambda _: 7)
    ids = Ids(table_of(tmp_path, "csv"))
    assert [ids.again(one) for one in ("a", "b", "a", "c", "b")] == [False, False, True, False, True]


def made(count: int) -> list[Prediction]:
    good = Prediction("c0", {"ill": 0.25}, ("ill",), contributions={"text": 0.1}, warnings=("odd",), bundle="b")
    return [good, *(Prediction(f"c{n}", error="no scan", bundle="b") for n in range(1, count))]


def test_a_part_is_known_by_its_run_and_its_block_and_a_damaged_one_is_none(tmp_path: Path) -> None:
    block, header = Block(3, 0, 2, 4, 4), {"bundle": "b", "cohort": "c"}
    content = part_of(made(4), block, header, labels=("ill",), modalities=("text",), faulty=2)
    receipt = receipt_of(content, block, header)
    assert receipt is not None
    assert (receipt.cases, receipt.failed, receipt.remarkable, receipt.faulty) == (4, 3, 4, 2)
    assert receipt_of(None, block, header) is None
    assert receipt_of(content, block, header | {"bundle": "other"}) is None
    assert receipt_of(content, Block(4, 0, 2, 4, 4), header) is None
    assert receipt_of(content, Block(3, 0, 2, 5, 5), header) is None
    assert receipt_of(content[: len(content) // 2], block, header) is None
    place = content.index(b"no scan")
    assert receipt_of(content[:place] + b"on scan" + content[place + 7 :], block, header) is None
    all_failed = part_of(made(4)[1:], Block(0, 0, 2, 3, 3), header, labels=("ill",), modalities=("text",), faulty=0)
    for number, part in enumerate((content, all_failed)):
        (tmp_path / f"{number}.parquet").write_bytes(part)
    columns = [list(pd.read_parquet(tmp_path / f"{number}.parquet").columns) for number in (0, 1)]
    assert columns[0] == columns[1]
    assert "p_ill" in columns[0]


def test_a_place_writes_whole_files_and_fetches_folders(tmp_path: Path) -> None:
    place = Place(str(tmp_path / "out"))
    assert place.names() == []
    assert place.read("x") is None
    place.write("x", b"one")
    place.write("x", b"two")
    assert place.read("x") == b"two"
    assert place.names() == ["x"]
    (tmp_path / "out" / "series" / "deep").mkdir(parents=True)
    (tmp_path / "out" / "series" / "deep" / "1.dcm").write_bytes(b"1")
    by_uri = Place(f"file://{tmp_path}/out")
    by_uri.fetch("series", tmp_path / "copy")
    by_uri.fetch("absent", tmp_path / "nothing")
    assert (tmp_path / "copy" / "deep" / "1.dcm").read_bytes() == b"1"
    assert not (tmp_path / "nothing").exists()
