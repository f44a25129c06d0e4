"""A cohort cut into numbered blocks, and the part of the output that each becomes.

A part is whole or absent, and says which block of which run it is. Whoever finds it need not do the block again, so
that a worker that is lost, a block that is tried twice and a run that is started again all come to the same files.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from medfuse.case import Prediction
from medfuse.inference.output import flat, schema_of
from medfuse.inference.summary import Summary
from medfuse.table import Ids, Table

STEP = 16  # cases that are encoded and decided together: blocks of whole steps give what one machine gives, to the bit
_NOTE = b"medfuse"  # key of what a part says of itself, in the metadata of its schema


@dataclass(frozen=True)
class Block:
    """Rows of the table that are classified together.

    Attributes:
        number: From 0.
        at: Where its first row lies (see `Table.rows`).
        first: Number of that row, as a spreadsheet counts.
        rows: How many rows.
        cases: How many of them are cases.
        left_out: The numbers of the others: no id, or one that stood before.
    """

    number: int
    at: int
    first: int
    rows: int
    cases: int
    left_out: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Of its part."""
        return f"part-{self.number:05d}.parquet"

    def taken(self, table: Table) -> Iterator[tuple[int, dict[str, str]]]:
        """Its rows that are cases, with their numbers."""
        rows = table.rows(at=self.at)
        for number in range(self.first, self.first + self.rows):
            row, _ = next(rows)
            if number not in self.left_out:
                yield number, row


@dataclass(frozen=True)
class Receipt:
    """What became of a block.

    Attributes:
        number: Of the block.
        name: Of the part.
        cases: Rows of the part.
        failed: Those that could not be classified.
        unreadable: Those that were classified without a file that could not be read.
        remarkable: Those with an error or a warning.
        faulty: Those in whose row of the table something was wrong.
        sha256: Of the part's bytes.
    """

    number: int
    name: str
    cases: int
    failed: int
    unreadable: int
    remarkable: int
    faulty: int
    sha256: str


def cut(table: Table, ids: Ids, size: int, told: Callable[[str], None]) -> Iterator[Block]:
    """Blocks of `size` cases, the last of fewer.

    Args:
        table: It is read once.
        ids: Of the table.
        size: A multiple of `STEP`.
        told: Called with a line for each row that is left out.
    """
    number, start, begun, cases = 0, 0, 2, 0
    left_out: list[int] = []
    place, row_number = 0, 1
    for row_number, (row, place) in enumerate(table.rows(), start=2):
        case_id = row["case_id"].strip()
        if not case_id or ids.again(case_id):
            what = f"case_id '{case_id}' stands twice" if case_id else "no case_id"
            told(f"{table.name} row {row_number}: {what}; the row is left out")
            left_out.append(row_number)
        else:
            cases += 1
        if cases == size:
            yield Block(number, start, begun, row_number + 1 - begun, cases, tuple(left_out))
            number, start, begun, cases, left_out = number + 1, place, row_number + 1, 0, []
    if cases:
        yield Block(number, start, begun, row_number + 1 - begun, cases, tuple(left_out))


def part_of(
    predictions: Sequence[Prediction],
    block: Block,
    header: Mapping[str, Any],
    *,
    labels: Sequence[str],
    modalities: Sequence[str],
    faulty: int,
) -> bytes:
    """The part of a block as the bytes of a Parquet file; every part of a run has the same columns."""
    import pyarrow as pa
    from pyarrow.parquet import write_table

    likely = Prediction("", dict.fromkeys(labels, 0.0), contributions=dict.fromkeys(modalities, 0.0))
    columns = list(flat(likely))
    unreadable = sum(bool(one.unreadable) and one.error is None for one in predictions)
    said = {**header, "number": block.number, "unreadable": unreadable, "faulty": faulty}
    schema = schema_of(columns).with_metadata({_NOTE: json.dumps(said, sort_keys=True).encode()})
    rows = [flat(one) for one in predictions]
    stream = io.BytesIO()
    table = pa.table({name: [row.get(name) for row in rows] for name in columns}, schema)
    write_table(table, stream, write_page_checksum=True)
    return stream.getvalue()


def receipt_of(content: bytes | None, block: Block, header: Mapping[str, Any]) -> Receipt | None:
    """What a part says; None if it is absent, damaged, or of another block or run."""
    if content is None:
        return None
    import pyarrow as pa
    from pyarrow.parquet import read_table

    try:
        table = read_table(
            io.BytesIO(content), columns=["case_id", "error", "warnings"], page_checksum_verification=True
        )
        said = json.loads((table.schema.metadata or {})[_NOTE])
    except (pa.ArrowException, OSError, KeyError, ValueError):
        return None
    unreadable, faulty = said.pop("unreadable", 0), said.pop("faulty", 0)
    if said != {**header, "number": block.number} or table.num_rows != block.cases:
        return None
    errors, warnings = table["error"].to_pylist(), table["warnings"].to_pylist()
    return Receipt(
        number=block.number,
        name=block.name,
        cases=table.num_rows,
        failed=sum(error is not None for error in errors),
        unreadable=unreadable,
        remarkable=sum(error is not None or bool(line) for error, line in zip(errors, warnings, strict=True)),
        faulty=faulty,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def manifest_of(header: Mapping[str, Any], receipts: Sequence[Receipt], left_out: int) -> bytes:
    """The list of all parts, which is written when the last of them is there."""
    content = {
        **header,
        "cases": sum(one.cases for one in receipts),
        "failed": sum(one.failed for one in receipts),
        "left_out": left_out,
        "parts": [asdict(one) for one in receipts],
    }
    return (json.dumps(content, indent=1) + "\n").encode()


def add_up(receipts: Sequence[Receipt], summary: Summary, table: str) -> None:
    """Count what the blocks of a table came to, and say where their faults are told."""
    for one in receipts:
        summary.cases += one.cases
        summary.failed += one.failed
        summary.unreadable += one.unreadable
        summary.remarkable += one.remarkable
    if faulty := sum(one.faulty for one in receipts):
        summary.tell("table", f"{faulty} faults in rows of {table}; the column warnings of the parts names them")
    if summary.failed:
        summary.tell("failed", f"{summary.failed} cases were not classified; the column error of the parts says why")
    if summary.unreadable:
        summary.tell("unreadable", f"{summary.unreadable} cases have files that could not be read; see warnings")
