"""Classification on many machines: Ray Data hands out blocks of the cohort, and a manifest is written at the end.

Ray Data keeps a pool of processes that each hold the model, sends a block to one that is free (so that nothing piles
up), and tries a block again whose process was lost. What is finished lies in the output folder and nowhere else: a run
whose driver was lost is started again with the same command, finds the parts and does the rest.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from medfuse.bundle import verify
from medfuse.config import Config
from medfuse.encoders.threads import budget
from medfuse.errors import MedfuseError
from medfuse.inference.blocks import STEP, Block, Receipt, add_up, cut, manifest_of
from medfuse.inference.storage import Place
from medfuse.inference.summary import Summary
from medfuse.inference.worker import Run, Worker, fetch_bundle, open_table
from medfuse.table import Ids, Table

FORMAT = 1
BLOCK = 512  # cases; a lost worker costs the time of one block
RETRIES = 3  # of a block whose process was lost or whose storage did not answer
_RUN, _MANIFEST = "run.json", "manifest.json"
_STORE = 100 * 2**20  # bytes that Ray may share between processes of one machine; blocks are a few hundred


def classify_on_ray(
    bundle: str,
    cohort: str,
    out: str,
    *,
    workers: int | None = None,
    block: int = BLOCK,
    engine: str | None = None,
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Summary:
    """Classify a cohort into a folder of `part-NNNNN.parquet` with `manifest.json`.

    A Ray cluster is joined if `RAY_ADDRESS` names one; else one is started on this machine for the while.

    Args:
        bundle: Folder or URI, the same for every machine.
        cohort: Folder or URI; scans and notes lie inside.
        out: Folder or URI; must be free, or hold parts of the same run.
        workers: Most processes that hold the model, one core each; None takes the cores of this machine.
        block: Cases of a part, a multiple of 16.
        engine: What runs the frozen encoders, `torch`, `onnx`, `int8` or `openvino`; None takes the config's.
        cache: Folder for tokens of frozen encoders on each machine; None keeps none.
        progress: Called with the number of cases of each finished block.

    Raises:
        MedfuseError: If something is not valid, or a block could not be done; what was done is kept.
    """
    if block < 1 or block % STEP:
        message = f"--block {block}: should be a multiple of {STEP}, the cases that are encoded together"
        raise MedfuseError(message)
    source, target, home = Place(cohort), Place(out), Place(bundle)
    with TemporaryDirectory(prefix="medfuse-bundle-") as made:
        folder = fetch_bundle(home, Path(made))
        digest, engine = verify(folder), engine or Config.load(folder / "config.yaml").inference.engine
    if engine == "auto":
        message = "machines of a cluster may choose differently; name --engine torch, onnx, int8 or openvino"
        raise MedfuseError(message)
    summary = Summary()
    table = open_table(source)
    header = {"format": FORMAT, "bundle": digest, "cohort": digest_of_table(source, table), "block": block}
    header |= {"engine": engine}
    _claim(target, header)
    blocks = list(cut(table, Ids(table), block, lambda line: summary.tell("table", line)))
    run = Run(home, source, target, header, cache)
    receipts: dict[int, Receipt] = {}
    for receipt in _done(run, blocks, workers or budget()):
        receipts[receipt.number] = receipt
        if progress is not None:
            progress(receipt.cases)
    missing = [one.number for one in blocks if one.number not in receipts]
    if missing:
        message = f"{len(missing)} of {len(blocks)} blocks were not done (the first is {missing[0]}); start it again"
        raise MedfuseError(message)
    if digest_of_table(source, table) != header["cohort"]:
        message = "the cohort's table was changed during the run; start it again into another folder"
        raise MedfuseError(message)
    ordered = [receipts[one.number] for one in blocks]
    target.write(_MANIFEST, manifest_of(header, ordered, sum(len(one.left_out) for one in blocks)))
    if target.local is not None:  # what killed workers were writing
        for partial in target.local.glob(".part-*.partial"):
            partial.unlink(missing_ok=True)
    add_up(ordered, summary, table.name)
    return summary


def digest_of_table(cohort: Place, table: Table) -> str:
    """SHA-256 over `cohort.yaml` and the table; scans and notes are not in it."""
    digest = hashlib.sha256()
    for name in ("cohort.yaml", table.name):
        with cohort.open(name) as stream:
            while piece := stream.read(1 << 20):
                digest.update(piece)
            digest.update(b"\x00 end of file")
    return digest.hexdigest()


def _claim(out: Place, header: Mapping[str, Any]) -> None:
    """Say whose the folder is, or find that it is this run's.

    Raises:
        MedfuseError: If it holds something else.
    """
    said = out.read(_RUN)
    if said is None:
        if out.names():
            message = f"{out.where}: already holds something; choose another folder"
            raise MedfuseError(message)
        out.write(_RUN, (json.dumps(header, indent=1) + "\n").encode())
        return
    try:
        known = json.loads(said)
    except ValueError:
        known = None
    if known != header:
        differs = ", ".join(key for key in header if not isinstance(known, dict) or known.get(key) != header[key])
        message = f"{out.where}: holds another run (it differs in {differs or 'form'}); choose another folder"
        raise MedfuseError(message)


def _done(run: Run, blocks: Sequence[Block], workers: int) -> Iterator[Receipt]:
    """Receipts of blocks as they are finished; a block that was given up has none."""
    if not blocks:
        return
    with _ray(workers):
        from ray.data import ActorPoolStrategy, DataContext, from_items

        context = DataContext.get_current()
        context.enable_progress_bars = context.print_on_execution_start = False
        context.actor_task_retry_on_errors = True  # at most `RETRIES` times
        context.max_errored_blocks = -1  # the others are done first, then the run says which are missing
        items = [{"block": json.dumps(asdict(block))} for block in blocks]
        most = min(workers, len(blocks))
        pool = ActorPoolStrategy(min_size=1, max_size=most, initial_size=most, max_tasks_in_flight_per_actor=2)
        given = from_items(items, override_num_blocks=len(items))
        with warnings.catch_warnings():  # Ray Data has no other way yet to bound the retries after a lost process
            warnings.simplefilter("ignore")
            receipts = given.map(Worker, fn_constructor_args=(run,), compute=pool, num_cpus=1, max_task_retries=RETRIES)
        for row in receipts.iter_rows():
            if row["error"]:
                raise MedfuseError(row["error"])
            yield Receipt(**json.loads(row["receipt"]))


@contextmanager
def _ray(workers: int) -> Iterator[None]:
    """A Ray that is there already, the cluster of `RAY_ADDRESS`, or one on this machine that ends with the run."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing of a run is told to anybody
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    os.environ.setdefault("RAY_worker_niceness", "0")  # Ray would let everything else on the machine go first
    try:
        import ray
        import ray.data
    except ImportError as error:
        message = "classification on many machines needs Ray; install it with: pip install 'medfuse[ray]'"
        raise MedfuseError(message) from error
    if ray.is_initialized():
        yield
        return
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if os.environ.get("RAY_ADDRESS"):
        ray.init(**quiet)
    else:
        ray.init("local", num_cpus=workers, object_store_memory=_STORE, include_dashboard=False, **quiet)
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    try:
        yield
    finally:
        ray.shutdown()
