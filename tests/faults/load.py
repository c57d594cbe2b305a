"""What the killed processes do: capture, read and erase, and write down what was acknowledged.

A journal line is written (one `write` system call, which a kill cannot undo) only after the
network has answered. Kill points are put around the production functions from here, so that
production code has none: the n-th time a point is reached, the process kills itself.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import threading
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

from nodes import orderlog
from nodes.ledger import Ledger
from nodes.orderlog import OrderLog
from nodes.payloads import erasure, keyring, rotation
from nodes.payloads.database import PayloadDatabase
from nodes.payloads.vault import ReadLog
from tests.faults.home import OWNER, Site, harvest, opened

NODES = 3


class Journal:
    """Acknowledged facts, one JSON line each."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, **fact: Any) -> None:
        os.write(self._file, json.dumps(fact).encode() + b"\n")


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Every acknowledged fact; a line cut short by the kill does not count."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    return [json.loads(line) for line in lines]


def capture_load(home: Path, journal: Path, name: str, point: str, nth: int, threads: int) -> None:
    """Capture (and sometimes read and erase) for ever, on several threads."""
    facts = Journal(journal)
    with opened(home) as site:
        site.store()
        arm(point, nth)
        facts.write(kind="started")
        workers = [
            threading.Thread(target=_work, args=(site, facts, f"{name}-{n}"), daemon=True)
            for n in range(threads)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()


def _work(site: Site, facts: Journal, name: str) -> None:
    choose = random.Random(name)
    for count in range(10_000):
        serials = [f"{name}-{count}-{n}" for n in range(choose.randint(1, 4))]
        try:
            outcome = site.capture([harvest(serial) for serial in serials])
        except Exception as error:
            facts.write(kind="failed", error=f"{type(error).__name__}: {error}")
            return
        facts.write(
            kind="captured",
            hashes=[event.hash for event in outcome.anchored],
            tx_ids=[event.tx_id for event in outcome.anchored],
        )
        commitments = [commitment_of(site, event.hash) for event in outcome.anchored]
        if choose.random() < 0.3:
            site.store().get(commitments[0], OWNER)
            facts.write(kind="read", commitment=commitments[0])
        if choose.random() < 0.15:
            receipt = site.store().erase(commitments[-1], OWNER)
            facts.write(kind="erased", receipt=receipt.to_json())


def commitment_of(site: Site, event_hash: str) -> str:
    event = site.ledger.evaluate(site.signer("farm"), "event:get", {"hash": event_hash})
    return str(event["commitment"])


def rotation_load(home: Path, journal: Path, name: str, point: str, nth: int, threads: int) -> None:
    """Rotate the node's key until killed."""
    facts = Journal(journal)
    with opened(home) as site:
        store = site.store()
        arm(point, nth)
        facts.write(kind="started")
        while True:
            store.rotate_key()
            facts.write(kind="rotated")


def filling_load(home: Path, journal: Path, name: str, point: str, nth: int, threads: int) -> None:
    """Capture large events until the disk is full, try on for a while, and end properly."""
    facts = Journal(journal)
    if nth:
        resource.setrlimit(resource.RLIMIT_FSIZE, (nth, nth))
    with opened(home) as site:
        failures = 0
        store = site.store()
        for count in range(2000):
            event = harvest(f"{name}-{count}") | {"tm:note": os.urandom(60_000).hex()}
            try:
                outcome = site.capture([event])
            except Exception as error:
                facts.write(kind="failed", error=f"{type(error).__name__}: {error}")
                failures += 1
                if failures == 5:
                    break
                continue
            facts.write(
                kind="captured",
                hashes=[event.hash for event in outcome.anchored],
                tx_ids=[event.tx_id for event in outcome.anchored],
            )
        store.close()
        facts.write(kind="closing")


def opening(home: Path, journal: Path, name: str, point: str, nth: int, threads: int) -> None:
    """Try to open the home, as user number `nth` where that is not 0, and say what happened."""
    facts = Journal(journal)
    if nth:
        os.setgid(nth)
        os.setuid(nth)
    try:
        with opened(home):
            facts.write(kind="opened")
    except Exception as error:
        facts.write(kind="failed", error=f"{type(error).__name__}: {error}")


# -- kill points -------------------------------------------------------------------------------


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def arm(point: str, nth: int) -> None:
    """Die at the `nth` time `point` is reached; "" arms nothing."""
    if point:
        POINTS[point](_Countdown(nth))


class _Countdown:
    def __init__(self, nth: int) -> None:
        self._left = nth
        self._lock = threading.Lock()

    def reached(self) -> bool:
        with self._lock:
            self._left -= 1
            return self._left == 0


def _before(owner: Any, name: str) -> Callable[[_Countdown], None]:
    def install(countdown: _Countdown) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            if countdown.reached():
                die()
            return original(*args, **kwargs)

        setattr(owner, name, wrapped)

    return install


def _after(owner: Any, name: str) -> Callable[[_Countdown], None]:
    def install(countdown: _Countdown) -> None:
        original = getattr(owner, name)

        @wraps(original)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            if countdown.reached():
                die()
            return result

        setattr(owner, name, wrapped)

    return install


def _torn_order_log(countdown: _Countdown) -> None:
    """Die with half of a record written."""

    class HalfWriting:
        def __getattr__(self, name: str) -> Any:
            return getattr(os, name)

        @staticmethod
        def pwrite(file: int, data: bytes, offset: int) -> int:
            if countdown.reached():
                os.pwrite(file, data[: len(data) // 2], offset)
                die()
            return os.pwrite(file, data, offset)

    orderlog.os = HalfWriting()  # type: ignore[attr-defined]


POINTS: dict[str, Callable[[_Countdown], None]] = {
    "before the payload batch": _before(PayloadDatabase, "write"),
    "after the payload batch": _after(PayloadDatabase, "write"),
    "before the block is logged": _before(OrderLog, "append"),
    "with the block half logged": _torn_order_log,
    "after the block is logged": _after(OrderLog, "append"),
    "after a node has the block": _after(Ledger, "append"),
    "before the read is logged": _before(ReadLog, "add_to"),
    "before the erased key is shredded": _before(erasure, "finish"),
    "after the new key is written": _after(keyring.Keyring, "add"),
    "between rewrapped batches": _before(rotation, "_rewrap"),
    "before the old key is dropped": _before(keyring.Keyring, "retire"),
}
