"""A backup holds the whole home, and a restore gives back exactly that or nothing."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
import tarfile
from contextlib import closing
from pathlib import Path

import pytest

from nodes.backup import LIST, BackupError, backup, restore
from nodes.errors import AlreadyOpen
from nodes.fsck import check
from tests.faults.home import harvest, opened
from tests.faults.load import capture_load, read_journal
from tests.faults.test_fsck import hash_check
from tests.faults.test_kill import start, verify_promises, wait_for


@pytest.fixture
def archive(home: Path, tmp_path: Path) -> Path:
    backup(home, tmp_path / "backup.tar")
    return tmp_path / "backup.tar"


def modes(home: Path) -> dict[str, int]:
    return {
        str(path.relative_to(home)): stat.S_IMODE(path.stat().st_mode)
        for path in home.rglob("*")
        if path.is_file() and path.name not in {"LOCK", "LOG", "lock"}
    }


def test_what_was_saved_comes_back(home: Path, archive: Path, tmp_path: Path) -> None:
    """A restored home verifies, opens, and goes on from where the backup was taken."""
    seen: list[str] = []
    summary = restore(archive, tmp_path / "new", lambda path, done, total: seen.append(path))
    assert summary.network == "faults"
    assert summary.files == len(seen) > 50
    assert modes(tmp_path / "new") == modes(home)
    report = check(tmp_path / "new", event_check=hash_check)
    assert report.ok
    assert report.counts["payloads"] == 12
    with opened(tmp_path / "new") as site:
        site.capture([harvest("RESTORED")])
    assert check(tmp_path / "new", event_check=hash_check).ok


def test_keys_stay_private(archive: Path, tmp_path: Path) -> None:
    """An archive or a restored key readable by others would give away every signature."""
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    restore(archive, tmp_path / "new")
    for name in ("priv_sk", "ca-key.pem", "node.key"):
        files = list((tmp_path / "new").rglob(name))
        assert files
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def test_a_running_network_is_refused(home: Path, tmp_path: Path) -> None:
    """A copy of files that change meanwhile would be a mixture of two moments."""
    with opened(home), pytest.raises(AlreadyOpen):
        backup(home, tmp_path / "backup.tar")
    assert not (tmp_path / "backup.tar").exists()
    backup(home, home / "inside.tar")
    restore(home / "inside.tar", tmp_path / "new")
    assert not (tmp_path / "new" / "inside.tar").exists()


def test_a_running_network_is_copied_live(home: Path, tmp_path: Path) -> None:
    """Taken under load from outside, a backup opens with all that was acknowledged before it."""
    (home / "gateway").mkdir()
    database = sqlite3.connect(home / "gateway" / "state.sqlite")
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE kept (n INTEGER)")
    database.execute("INSERT INTO kept VALUES (7)")
    database.commit()
    journal = tmp_path / "journal"
    child = start(capture_load, home, journal, "B")
    wait_for(journal, "captured", child, at_least=5)
    acknowledged = []
    for number in range(2):
        acknowledged.append(read_journal(journal))
        backup(home, tmp_path / f"{number}.tar", live=True)
    assert child.exitcode is None
    child.kill()
    child.join()
    database.close()
    for number, facts in enumerate(acknowledged):
        new = tmp_path / f"new{number}"
        restore(tmp_path / f"{number}.tar", new)
        # What was read or erased during the copy may be missing; what was captured before is not.
        with opened(new) as site:
            for fact in facts:
                for tx_id in fact.get("tx_ids", ()):
                    assert site.network.node("FarmMSP").ledger.position(tx_id) is not None
        assert check(new, event_check=hash_check).findings == []
        with closing(sqlite3.connect(new / "gateway" / "state.sqlite")) as copy:
            assert copy.execute("SELECT n FROM kept").fetchall() == [(7,)]
    assert list(tmp_path.glob("backup-*")) == []
    verify_promises(home, read_journal(journal))


def test_nothing_is_overwritten(home: Path, archive: Path) -> None:
    """Neither an older backup nor a home with data in it is lost to a slip of the hand."""
    with pytest.raises(BackupError, match="exists"):
        backup(home, archive)
    with pytest.raises(BackupError, match="not empty"):
        restore(archive, home)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.97])
def test_a_flipped_byte_is_found(archive: Path, tmp_path: Path, share: float) -> None:
    """A damaged archive gives no home at all."""
    raw = bytearray(archive.read_bytes())
    place = int(len(raw) * share)
    while not raw[place]:  # padding between members means nothing
        place += 1
    raw[place] ^= 1
    archive.write_bytes(raw)
    with pytest.raises(BackupError):
        restore(archive, tmp_path / "new")
    assert not (tmp_path / "new").exists()
    assert list(tmp_path.glob("*.restoring")) == []


def test_a_backup_cut_short_is_refused(archive: Path, tmp_path: Path) -> None:
    """A copy that ran out of space must not pass for a backup."""
    raw = archive.read_bytes()
    for length in (0, 100, len(raw) // 2, raw.rindex(LIST.encode())):
        archive.write_bytes(raw[:length])
        with pytest.raises(BackupError):
            restore(archive, tmp_path / "new")
        assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("name", ["../escape", "/tmp/escape", "a/../../escape"])
def test_members_stay_inside(archive: Path, tmp_path: Path, name: str) -> None:
    """A crafted archive must not write outside the new home."""
    evil = tmp_path / "evil.tar"
    with tarfile.open(evil, "w") as tar:
        member = tarfile.TarInfo(name)
        member.size = 4
        tar.addfile(member, io.BytesIO(b"evil"))
    with pytest.raises(BackupError, match="no backup contains"):
        restore(evil, tmp_path / "new")
    assert not (tmp_path / "escape").exists()


def test_links_and_strangers_are_refused(archive: Path, tmp_path: Path) -> None:
    """A link could point a key file anywhere; an unlisted file was not in the backup."""
    for kind in ("link", "stranger"):
        other = tmp_path / f"{kind}.tar"
        with tarfile.open(archive) as source, tarfile.open(other, "w") as tar:
            for member in source:
                if member.name == LIST:
                    extra = tarfile.TarInfo("extra")
                    if kind == "link":
                        extra.type, extra.linkname = tarfile.SYMTYPE, "/etc/passwd"
                    tar.addfile(extra, io.BytesIO(b""))
                tar.addfile(member, source.extractfile(member) if member.isfile() else None)
        with pytest.raises(BackupError):
            restore(other, tmp_path / "new")


def test_the_list_is_readable(home: Path, archive: Path) -> None:
    """Other tools can verify a backup: the list is JSON with sizes and SHA-256."""
    with tarfile.open(archive) as tar:
        file = tar.extractfile(LIST)
        assert file is not None
        listed = json.load(file)
    paths = {entry["path"] for entry in listed["files"]}
    assert {"network.json", "orderer/blocks.log"} <= paths
    assert all(len(e["sha256"]) == 64 for e in listed["files"] if "size" in e)
