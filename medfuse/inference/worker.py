"""What each Ray worker does: it holds the model, takes a block at a time and leaves its part."""

from __future__ import annotations

import json
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medfuse.bundle import Bundle
from medfuse.case import Case, Prediction
from medfuse.errors import BundleError, MedfuseError
from medfuse.inference.blocks import STEP, Block, part_of, receipt_of
from medfuse.inference.predictor import Predictor
from medfuse.inference.storage import Place
from medfuse.table import NAMES, SEPARATOR, Root, Table, read_header

_FETCHED = 4 * STEP  # cases whose files are fetched ahead of the encoders
_FETCHERS = 8  # threads that wait for the storage

Row = tuple[int, Mapping[str, str]]


@dataclass(frozen=True)
class Run:
    """All that a worker must know.

    Attributes:
        bundle: Where the bundle lies.
        cohort: Where the cohort lies.
        out: Where the parts go.
        header: What every part says of the run.
        cache: Folder for tokens of frozen encoders, on the worker's own machine; None keeps none.
    """

    bundle: Place
    cohort: Place
    out: Place
    header: Mapping[str, Any]
    cache: Path | None = None


class Worker:
    """Classifies blocks; Ray makes one a process.

    Args:
        run: What to do.
    """

    def __init__(self, run: Run) -> None:
        self.run = run
        self.table = open_table(run.cohort)
        self._predictor: Predictor | None = None

    def __call__(self, item: Mapping[str, str]) -> dict[str, str]:
        """The receipt of a block as JSON, or why none can be done; a part that is there and whole is taken as it is."""
        given = json.loads(item["block"])
        block = Block(**{**given, "left_out": tuple(given["left_out"])})
        content = self.run.out.read(block.name)
        receipt = receipt_of(content, block, self.run.header)
        if receipt is None:
            try:
                bundle = self.predictor.bundle
            except MedfuseError as error:  # no block can be done, so that none need be tried again
                return {"receipt": "", "error": str(error)}
            content = self._part(block, bundle)
            receipt = receipt_of(content, block, self.run.header)
            assert receipt is not None
            self.run.out.write(block.name, content)
        return {"receipt": json.dumps(asdict(receipt)), "error": ""}

    @property
    def predictor(self) -> Predictor:
        """The model, loaded once, when the first block needs it."""
        if self._predictor is None:
            with TemporaryDirectory(prefix="medfuse-bundle-") as made:
                folder = fetch_bundle(self.run.bundle, Path(made))
                self._predictor = Predictor.load(folder, cache=self.run.cache, engine=self.run.header["engine"])
            if self._predictor.bundle.digest != self.run.header["bundle"]:
                message = "the bundle is another than the run began with; start the run again into another folder"
                raise BundleError(message)
        return self._predictor

    def _part(self, block: Block, bundle: Bundle) -> bytes:
        faulty: list[str] = []
        rows = list(block.taken(self.table))
        try:
            predictions = list(self._classified(rows, faulty.append))
        except OSError:
            raise  # the storage, not a case: Ray tries the block again
        except Exception:  # noqa: BLE001 - a case that breaks a reader must not cost its neighbours
            faulty.clear()
            predictions = list(self._one_by_one(rows, faulty.append))
        labels, modalities = bundle.labels, bundle.model.modalities
        return part_of(
            predictions, block, self.run.header, labels=labels, modalities=modalities, faulty=len(set(faulty))
        )

    def _classified(self, rows: Sequence[Row], told: Callable[[str], None]) -> Iterator[Prediction]:
        """Predictions of rows, whose files are fetched ahead where the cohort does not lie on this machine."""
        if (folder := self.run.cohort.local) is not None:
            yield from self.predictor.stream(self.table.cases(rows, Root(folder), lambda _: False, told))
            return
        with TemporaryDirectory(prefix="medfuse-cases-") as made:
            predictions = self.predictor.stream(self._fetched(rows, Path(made), told))
            for (number, _), prediction in zip(rows, predictions, strict=True):
                shutil.rmtree(Path(made) / str(number), ignore_errors=True)
                yield prediction

    def _fetched(self, rows: Sequence[Row], made: Path, told: Callable[[str], None]) -> Iterator[Case]:
        """Cases with their files in a folder each, so that one can go while the next are there."""

        def fetch(row: Row) -> Row:
            for column in ("scans", "notes"):
                for part in filter(None, (part.strip() for part in row[1].get(column, "").split(SEPARATOR))):
                    if not part.startswith("/") and ".." not in Path(part).parts and "\x00" not in part:
                        self.run.cohort.fetch(part, made / str(row[0]) / part)
            return row

        remaining, ahead = iter(rows), deque[Future[Row]]()
        with ThreadPoolExecutor(_FETCHERS) as pool:
            try:
                while True:
                    ahead.extend(pool.submit(fetch, row) for row in islice(remaining, _FETCHED - len(ahead)))
                    if not ahead:
                        return
                    row = ahead.popleft().result()
                    yield from self.table.cases([row], Root(made / str(row[0])), lambda _: False, told)
            finally:
                pool.shutdown(cancel_futures=True)

    def _one_by_one(self, rows: Sequence[Row], told: Callable[[str], None]) -> Iterator[Prediction]:
        """The same in small groups, those with a case that breaks one by one; that case becomes an error."""
        for start in range(0, len(rows), STEP):
            group = rows[start : start + STEP]
            try:
                yield from list(self._classified(group, told))
            except OSError:
                raise
            except Exception:  # noqa: BLE001 - see above
                for row in group:
                    try:
                        yield from list(self._classified([row], told))
                    except OSError:
                        raise
                    except Exception as error:  # noqa: BLE001 - see above
                        reason = f"its files broke what reads them ({type(error).__name__})"
                        digest = self.predictor.bundle.digest
                        yield Prediction(row[1]["case_id"].strip(), error=reason, bundle=digest)


def open_table(cohort: Place) -> Table:
    """The table of a cohort, wherever it lies.

    Raises:
        CohortError: If the folder, `cohort.yaml` or the table's columns are not valid.
    """
    if (folder := cohort.local) is not None:
        return Table.of(folder)
    with TemporaryDirectory(prefix="medfuse-header-") as made:
        cohort.fetch("cohort.yaml", Path(made) / "cohort.yaml")
        header = read_header(Path(made))
    there = cohort.names()
    name = next((name for name in NAMES if name in there), NAMES[-1])
    return Table.checked(name, header, lambda: cohort.open(name), where=name)


def fetch_bundle(bundle: Place, made: Path) -> Path:
    """The folder of a bundle; its files are copied into `made` if it lies in an object store."""
    if (folder := bundle.local) is not None:
        return folder
    for name in bundle.names():
        bundle.fetch(name, made / name)
    return made
