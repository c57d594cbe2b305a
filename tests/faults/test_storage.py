"""A full disk, a home that cannot be written, two processes at once, a lock nobody holds."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from nodes.embedded import EmbeddedNetwork
from nodes.errors import AlreadyOpen, DescriptionError
from nodes.identity import load_signer
from nodes.payloads import PayloadStore, StoreUnavailable, commitment_of
from tests.faults.home import established, harvest, opened
from tests.faults.load import capture_load, filling_load, opening, read_journal
from tests.faults.test_kill import start, verify_promises, wait_for
from tests.payloads.conftest import new_payload

NOBODY = 65534


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 12 MiB of its own; skips where this user may not mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def errors(journal: Path) -> list[str]:
    return [fact["error"] for fact in read_journal(journal) if fact["kind"] == "failed"]


def test_a_full_disk(small_disk: Path, tmp_path: Path) -> None:
    """Captures fail with a reason, the process ends, and with space again everything is there."""
    home = established(small_disk / "home", events=4)
    child = start(filling_load, home, tmp_path / "journal", "F")
    child.join(60)
    facts = read_journal(tmp_path / "journal")
    assert child.exitcode is not None, "the process hangs on a full disk"
    assert facts[-1]["kind"] == "closing"
    assert sum(fact["kind"] == "captured" for fact in facts) > 3
    assert errors(tmp_path / "journal")
    assert all("Error" in e or "Unavailable" in e for e in errors(tmp_path / "journal"))
    subprocess.run(["mount", "-o", "remount,size=256m", str(small_disk)], check=True)
    verify_promises(home, facts)
    with opened(home) as site:
        site.capture([harvest("AFTER")])
    verify_promises(home, facts)


def test_a_full_disk_under_the_payloads(small_disk: Path, home: Path) -> None:
    """A batch that does not fit is not there in part, and the store goes on once there is room."""
    signer = load_signer(home, "farm", "clerk")
    kept, last = list[str](), list[str]()
    with PayloadStore(small_disk / "store", signer) as store, suppress(StoreUnavailable):
        for _ in range(200):
            batch = [replace(new_payload(), payload=os.urandom(20_000)) for _ in range(10)]
            last = [commitment_of(new.payload, new.salt) for new in batch]
            kept += store.put_many(batch)
    assert last[0] not in kept, "the disk never filled up"
    subprocess.run(["mount", "-o", "remount,size=64m", str(small_disk)], check=True)
    with PayloadStore(small_disk / "store", signer) as store:
        assert len(kept) > 50
        assert all(store.verify(commitment).commitment == commitment for commitment in kept)
        assert not set(last) & set(store.commitments())
        store.put(new_payload())


@pytest.mark.parametrize("limit", [60_000, 400_000])
def test_files_that_cannot_grow(home: Path, tmp_path: Path, limit: int) -> None:
    """A write that fails half-way (quota, file size limit) is undone, not left torn."""
    child = start(filling_load, home, tmp_path / "journal", "L", nth=limit)
    child.join(60)
    facts = read_journal(tmp_path / "journal")
    assert child.exitcode is not None
    assert errors(tmp_path / "journal") or child.exitcode != 0
    verify_promises(home, facts)
    with opened(home) as site:
        site.capture([harvest("AFTER")])


def test_a_home_that_cannot_be_written(home: Path, tmp_path: Path) -> None:
    """Opened by a user without rights to write, the error says so and nothing changes."""
    journal = tmp_path / "journal"
    as_user = 0
    if os.getuid() == 0:
        as_user = NOBODY
        for path in (home, *home.rglob("*"), tmp_path):
            os.chown(path, NOBODY, NOBODY)
        for parent in tmp_path.parents:
            if parent.stat().st_uid == 0 and "pytest" in parent.name:
                parent.chmod(0o755)
    journal.touch()
    os.chown(journal, *((NOBODY, NOBODY) if as_user else (-1, -1)))
    folders = [home, *(path for path in home.rglob("*") if path.is_dir())]
    files = [path for path in home.rglob("*") if path.is_file()]
    for path in folders:
        path.chmod(0o500)
    for path in files:
        path.chmod(0o400)
    try:
        child = start(opening, home, journal, "W", nth=as_user)
        child.join(30)
        assert child.exitcode == 0
        (error,) = errors(journal)
        assert error.startswith(("DescriptionError", "LedgerError"))
        assert "ermission denied" in error
    finally:
        for path in folders:
            path.chmod(0o700)
        for path in files:
            path.chmod(0o600)
    if as_user:
        for path in (*folders, *files):
            os.chown(path, 0, 0)
    verify_promises(home, [])


def test_two_processes(home: Path, tmp_path: Path) -> None:
    """The second is told who has the home, and the first goes on undisturbed."""
    child = start(capture_load, home, tmp_path / "first", "T")
    wait_for(tmp_path / "first", "started", child)
    with pytest.raises(AlreadyOpen, match=rf"process {child.pid}\b"):
        EmbeddedNetwork.open(home)
    wait_for(tmp_path / "first", "captured", child, at_least=3)
    child.kill()
    child.join()
    verify_promises(home, read_journal(tmp_path / "first"))


def test_many_openers_at_once(home: Path, tmp_path: Path) -> None:
    """Of several that open at the same moment one gets the home, the others a clear refusal."""
    children = [start(opening, home, tmp_path / f"journal-{n}", "O") for n in range(4)]
    for child in children:
        child.join(30)
    outcomes = [read_journal(tmp_path / f"journal-{n}")[0] for n in range(4)]
    assert sum(fact["kind"] == "opened" for fact in outcomes) >= 1
    refused = [fact["error"] for fact in outcomes if fact["kind"] == "failed"]
    assert all(error.startswith("AlreadyOpen") for error in refused)
    verify_promises(home, [])


@pytest.mark.parametrize("content", [b"", b"999999\n", b"\xff\x00garbage", b"1\n" * 5000])
def test_a_lock_nobody_holds(home: Path, content: bytes) -> None:
    """A lock file left behind, whatever it says, does not keep the owner out."""
    (home / "lock").write_bytes(content)
    with opened(home) as site:
        site.capture([harvest("LOCK")])
        assert (home / "lock").read_bytes() == f"{os.getpid()}\n".encode()


def test_a_lock_that_is_a_folder(home: Path) -> None:
    """Something else in the lock's place is named, not tripped over."""
    (home / "lock").unlink(missing_ok=True)
    (home / "lock").mkdir()
    with pytest.raises(DescriptionError, match="locked"):
        EmbeddedNetwork.open(home)


def test_closing_while_capturing(home: Path) -> None:
    """A shutdown under load answers every caller: captured, or an error, never silence."""
    with opened(home) as site:
        results: list[str] = []

        def work(name: str) -> None:
            try:
                for count in range(1000):
                    site.capture([harvest(f"{name}-{count}")])
            except Exception as error:
                results.append(type(error).__name__)

        workers = [threading.Thread(target=work, args=(f"S{n}",)) for n in range(3)]
        for worker in workers:
            worker.start()
        time.sleep(0.3)
        site.network.close()
        for worker in workers:
            worker.join(20)
            assert not worker.is_alive()
    assert len(results) == 3
    verify_promises(home, [])
