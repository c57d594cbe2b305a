"""Kill the loaded network and open it again: nothing acknowledged is lost, nothing is half there.

``TRACEMARK_FAULT_ROUNDS`` sets the number of random kills (default 9).
"""

from __future__ import annotations

import multiprocessing
import os
import random
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

import pytest

from nodes.fsck import Authorities, check
from nodes.network import load_network
from nodes.payloads import ErasureReceipt
from nodes.payloads.receipt import verify
from tests.faults.home import OWNER, Site, opened
from tests.faults.load import (
    POINTS,
    capture_load,
    commitment_of,
    read_journal,
    rotation_load,
)
from tests.faults.test_fsck import hash_check

ROUNDS = int(os.environ.get("TRACEMARK_FAULT_ROUNDS", "9"))
ROTATION_POINTS = [name for name in POINTS if "key" in name and "shred" not in name]
ROTATION_POINTS += ["between rewrapped batches"]
CAPTURE_POINTS = [name for name in POINTS if name not in ROTATION_POINTS]

# A server that has imported everything and opened nothing forks each child quickly and cleanly.
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["tests.faults.load"])

Load = Callable[[Path, Path, str, str, int, int], None]


def start(
    load: Load, home: Path, journal: Path, name: str, point: str = "", nth: int = 0,
    threads: int = 3,
) -> ForkServerProcess:  # fmt: skip
    child = FORKS.Process(target=load, args=(home, journal, name, point, nth, threads))
    child.start()
    return child


def wait_for(journal: Path, kind: str, child: ForkServerProcess, at_least: int = 1) -> None:
    deadline = time.monotonic() + 30
    while sum(fact["kind"] == kind for fact in read_journal(journal)) < at_least:
        assert child.exitcode is None, f"the child ended with {child.exitcode}"
        assert time.monotonic() < deadline, f"the child never reported {kind!r}"
        time.sleep(0.005)


def verify_promises(home: Path, facts: list[dict[str, Any]]) -> None:
    """Everything acknowledged is there; everything that is there is whole."""
    trusted = Authorities(home, load_network(home))
    with opened(home) as site:
        erased = {
            fact["receipt"]["commitment"]: fact["receipt"]
            for fact in facts
            if fact["kind"] == "erased"
        }
        for fact in facts:
            if fact["kind"] == "captured":
                _verify_captured(site, fact, erased)
        _verify_reads(site, facts)
        for receipt in map(ErasureReceipt.from_json, erased.values()):
            verify(
                receipt,
                commitment=receipt.commitment,
                event_hash=receipt.event_hash,
                trusted=trusted,
            )
        heights = {node.ledger.height for node in site.network.nodes.values()}
        assert len(heights) == 1
    report = check(home, event_check=hash_check)
    assert report.findings == []


def _verify_captured(site: Site, fact: dict[str, Any], erased: dict[str, Any]) -> None:
    for tx_id in fact["tx_ids"]:
        for node in site.network.nodes.values():
            position = node.ledger.position(tx_id)
            assert position is not None, f"an acknowledged transaction is lost: {tx_id}"
            assert position.code == 0
    for event_hash in fact["hashes"]:
        commitment = commitment_of(site, event_hash)
        receipt = site.store().receipt(commitment)
        if receipt is None:
            assert site.store().verify(commitment).event_hash == event_hash
            assert commitment not in erased, "an erased payload came back"
        else:  # erased, perhaps killed before the erasure was acknowledged
            assert receipt.event_hash == event_hash
            assert erased.get(commitment, receipt.to_json()) == receipt.to_json()


def _verify_reads(site: Site, facts: list[dict[str, Any]]) -> None:
    logged = [entry.commitment for entry in site.store().reads() if entry.action == "read"]
    for fact in facts:
        if fact["kind"] == "read":
            assert fact["commitment"] in logged, "an acknowledged read is not in the log"
            logged.remove(fact["commitment"])


def test_killed_at_random_times(home: Path, tmp_path: Path) -> None:
    """Whatever instruction the kill hits, the home opens again with all it acknowledged."""
    seed = int(os.environ.get("TRACEMARK_FAULT_SEED", "0")) or random.randrange(1 << 32)
    choose = random.Random(seed)
    print(f"TRACEMARK_FAULT_SEED={seed}")
    facts: list[dict[str, Any]] = []
    for number in range(ROUNDS):
        journal = tmp_path / f"journal-{number}"
        child = start(capture_load, home, journal, f"R{number}")
        if choose.random() < 0.8:
            wait_for(journal, "started", child)
        time.sleep(choose.random() ** 2 * 0.5)
        child.kill()
        child.join()
        new = read_journal(journal)
        assert not [fact for fact in new if fact["kind"] == "failed"]
        facts += new
        if number % 3 == 2 or number == ROUNDS - 1:
            verify_promises(home, facts)
    assert sum(fact["kind"] == "captured" for fact in facts) > ROUNDS


@pytest.mark.parametrize("point", CAPTURE_POINTS)
def test_killed_at_a_named_point(home: Path, tmp_path: Path, point: str) -> None:
    """Each row of the crash table: killed exactly there, a few steps into the load."""
    facts: list[dict[str, Any]] = []
    for nth in (1, 8):
        journal = tmp_path / f"journal-{nth}"
        child = start(capture_load, home, journal, f"N{nth}", point, nth)
        child.join(30)
        assert child.exitcode == -9, "the point was never reached"
        facts += read_journal(journal)
    verify_promises(home, facts)


@pytest.mark.parametrize("point", ROTATION_POINTS)
def test_killed_while_the_key_is_rotated(
    home: Path, tmp_path: Path, point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rotation cut short anywhere leaves every payload readable and one key in the end."""
    for nth in (1, 3):
        child = start(rotation_load, home, tmp_path / f"journal-{nth}", "K", point, nth)
        child.join(30)
        assert child.exitcode == -9
        with opened(home) as site:
            assert len(site.store()._vault.keyring.ids) == 1
            outcomes = site.store().get_many(list(site.store().commitments()), OWNER)
            assert [type(outcome).__name__ for outcome in outcomes] == ["StoredPayload"] * 12
    verify_promises(home, [])


def test_a_killed_node_catches_up(home: Path, tmp_path: Path) -> None:
    """Killed when one node has a block that the others lack: they take it from the log."""
    journal = tmp_path / "journal"
    child = start(capture_load, home, journal, "C", "after a node has the block", 4, 1)
    child.join(30)
    assert child.exitcode == -9
    report = check(home, event_check=hash_check)
    assert report.findings == []
    assert "behind" in " ".join(report.notes)
    verify_promises(home, read_journal(journal))
    assert check(home).notes == [] or "payload" in " ".join(check(home).notes)
