"""A consistent copy of a home while its network runs, made from outside.

RocksDB lets another process open a database for reading while it is in use, and see it as it was
at that moment, provided that no write-ahead log came or went while it was being opened: a log
that is dropped between reading the list of tables and reading the logs would be a hole. That is
looked at, and the opening repeated. The copies are made in the order in which a restart can make
good what happened in between (docs/design/crash.md):

1. every node's ledger, each as some block left it;
2. the sequencer's log, which then holds those blocks and perhaps more: nodes catch up from it;
3. the payload stores, which then hold the payloads of all those events and perhaps orphans;
4. the gateway's SQLite databases through SQLite's own backup;
5. every other file; the description last, because an organisation it names is added to the
   channel when the network is opened.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from rocksdict import Rdict, WriteBatch

from nodes.errors import LedgerError
from nodes.ledger import Ledger, _options
from nodes.payloads import StoreUnavailable
from nodes.payloads.database import FAMILIES, PayloadDatabase

ATTEMPTS: Final = 50
_BATCH: Final = 2000
_SQLITE: Final = b"SQLite format 3\0"
_SIDE_FILES: Final = ("-wal", "-shm", "-journal")

Opened = TypeVar("Opened", Ledger, PayloadDatabase)
Told = Callable[[str, int, int], None]


def copy_home(home: Path, target: Path, told: Told) -> None:
    """Copy the home to the empty folder `target`; `told` gets the path of each part.

    Raises LedgerError, StoreUnavailable or OSError when a part cannot be copied.
    """
    done = set[Path]()
    for ledger in sorted(home.glob("nodes/*/ledger")):
        told(str(ledger.relative_to(home)), 0, 0)
        if (ledger / "CURRENT").exists():
            _copy_ledger(ledger, target / ledger.relative_to(home))
        done.add(ledger)
    _copy_plain(home, home / "orderer", target, done)
    done.add(home / "orderer")
    for store in sorted(home.glob("nodes/*/payloads/db")):
        told(str(store.relative_to(home)), 0, 0)
        _copy_payloads(store, target / store.relative_to(home))
        done.add(store)
    description = home / "network.json"
    done.add(description)
    _copy_plain(home, home, target, done)
    shutil.copy2(description, target / description.name)


def _steadily(folder: Path, open_: Callable[[], Opened]) -> Opened:
    """Open a database during whose opening its owner dropped or began no log."""
    error: Exception | None = None
    for attempt in range(ATTEMPTS):
        before = _logs(folder)
        try:
            opened = open_()
        except (LedgerError, StoreUnavailable) as exc:
            error = exc  # a file vanished between its being listed and opened
        else:
            if _logs(folder) == before:
                return opened
            opened.close()
        time.sleep(min(0.01 * (attempt + 1), 0.2))
    raise error or LedgerError(f"{folder} changes too fast to be copied; try again")


def _logs(folder: Path) -> set[str]:
    return {name for name in os.listdir(folder) if name.endswith(".log")}


def _copy_ledger(source: Path, target: Path) -> None:
    target.mkdir(parents=True, mode=0o700)
    with closing(_steadily(source, partial(Ledger, source, read_only=True))) as ledger:
        copy = Rdict(str(target), _options())
        try:
            for rows in _batches(ledger.scan(b"", b"\xff")):
                batch = WriteBatch(raw_mode=True)
                for key, value in rows:
                    batch.put(key, value)
                copy.write(batch)
            copy.flush()
        finally:
            copy.close()


def _copy_payloads(source: Path, target: Path) -> None:
    original = _steadily(source, partial(PayloadDatabase, source, read_only=True))
    with closing(original), closing(PayloadDatabase(target)) as copy:
        for family in FAMILIES:
            for rows in _batches(original.rows(family)):
                batch = copy.batch()
                for key, value in rows:
                    batch.put(family, key, value)
                copy.write(batch, sync=False)


def _batches(rows: Iterator[tuple[bytes, bytes]]) -> Iterator[list[tuple[bytes, bytes]]]:
    batch = list[tuple[bytes, bytes]]()
    for row in rows:
        batch.append(row)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _copy_plain(home: Path, folder: Path, target: Path, done: set[Path]) -> None:
    for path in sorted(folder.iterdir()):
        place = target / path.relative_to(home)
        if path in done or path.is_symlink():
            continue
        if path.is_dir():
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
            _copy_plain(home, path, target, done)
        elif path.name.endswith(_SIDE_FILES):
            continue
        elif path.is_file():
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _copy_file(path, place)


def _copy_file(source: Path, target: Path) -> None:
    try:
        with source.open("rb") as file:
            is_sqlite = file.read(len(_SQLITE)) == _SQLITE
        if is_sqlite:
            _copy_sqlite(source, target)
        else:
            shutil.copy2(source, target)
    except FileNotFoundError:
        target.unlink(missing_ok=True)  # a temporary file that is gone meanwhile


def _copy_sqlite(source: Path, target: Path) -> None:
    original = sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)
    with closing(original), closing(sqlite3.connect(target)) as copy:
        original.backup(copy)
    shutil.copymode(source, target)
