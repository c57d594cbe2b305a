"""Backup and restore of a whole network home, as one tar file.

A backup is taken while the home's lock is held, so no ledger, log or payload store changes under
it; or, from a running network, of a copy made by :mod:`nodes.live_copy`. Every file goes in with
its mode and SHA-256; the list of them is the last member, so a backup cut short has none and is
refused. Restoring writes into a folder beside the new home, compares every file with the list,
and only then gives the folder its name: a restore that fails or is killed leaves no home at all
rather than half of one.

The archive holds private keys and the keys of the payloads: it is written with mode 0600 and
must be kept like them. A payload erased after the backup is still in it (see
`docs/design/payloads.md`, Erasure). The list finds damage, not forgery; run fsck on what was
restored to verify signatures and chains.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import sqlite3
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any, Final

from nodes.checks.lock import home_lock
from nodes.errors import LedgerError, NodeError
from nodes.live_copy import copy_home
from nodes.network import load_network
from nodes.payloads import StoreUnavailable

LIST: Final = "tracemark-backup.json"
FORMAT: Final = "tracemark/backup/v1"
_SKIPPED: Final = frozenset({"LOCK"})  # RocksDB's lock files: empty, and made again
_CHUNK: Final = 1024 * 1024

Progress = Callable[[str, int, int], None]
"""Called with (path of the file, bytes done, bytes in all)."""


class BackupError(NodeError):
    """The backup cannot be written, or is not whole."""


@dataclass(frozen=True, slots=True)
class Summary:
    """What a backup holds: name of the network, number of files, bytes, when (ms UTC)."""

    network: str
    files: int
    size: int
    created_ms: int


def backup(
    home: Path, archive: Path, progress: Progress | None = None, *, live: bool = False
) -> Summary:
    """Write the home to `archive` (a tar file that must not exist yet).

    With `live` the network may be running; the archive's folder then needs room for two copies.
    Raises AlreadyOpen while another process uses the home and `live` is not asked for,
    BackupError when the archive cannot be written.
    """
    told = progress or (lambda path, done, total: None)
    desc = load_network(home)
    if archive.exists():
        raise BackupError(f"{archive} exists; a backup never overwrites another")
    draft = archive.with_name(archive.name + ".part")
    try:
        with ExitStack() as stack:
            if live:
                copy = stack.enter_context(TemporaryDirectory(dir=archive.parent, prefix="backup-"))
                copy_home(home, Path(copy), told)
                source = Path(copy)
            else:
                stack.enter_context(home_lock(home))
                source = home
            files = list(_files(source, draft, archive))
            handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(handle, "wb") as file:
                summary = _write(source, desc.name, files, file, told)
                file.flush()
                os.fsync(file.fileno())
        draft.rename(archive)
        _sync_folder(archive.parent)
    except (OSError, LedgerError, StoreUnavailable, sqlite3.Error) as error:
        raise BackupError(f"the backup {archive} cannot be written: {error}") from error
    finally:
        draft.unlink(missing_ok=True)
    return summary


def restore(archive: Path, home: Path, progress: Progress | None = None) -> Summary:
    """Make the home `home` (which must not exist, or be empty) from a backup, verified.

    Raises BackupError naming the first file that is missing, damaged or not in the list.
    """
    told = progress or (lambda path, done, total: None)
    if home.exists() and any(home.iterdir()):
        raise BackupError(f"{home} is not empty; restore into a new folder")
    draft = home.with_name(home.name + ".restoring")
    if draft.exists():
        shutil.rmtree(draft)
    try:
        draft.mkdir(parents=True, mode=0o700)
        with tarfile.open(archive, "r:") as tar:
            summary = _read(tar, draft, archive, told)
        if home.exists():
            home.rmdir()
        draft.rename(home)
        _sync_folder(home.parent)
    except tarfile.TarError as error:
        raise BackupError(f"{archive} is not a whole backup: {error}") from error
    except OSError as error:
        raise BackupError(f"{archive} cannot be restored to {home}: {error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return summary


def _files(home: Path, *left_out: Path) -> Iterator[Path]:
    excluded = {path.resolve() for path in left_out}
    for path in sorted(home.rglob("*")):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            continue
        if path.name not in _SKIPPED and path.resolve() not in excluded:
            yield path


def _write(home: Path, name: str, paths: list[Path], file: IO[bytes], told: Progress) -> Summary:
    total = sum(path.stat().st_size for path in paths if path.is_file())
    listed: list[dict[str, Any]] = []
    done = 0
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in paths:
            relative = path.relative_to(home).as_posix()
            entry: dict[str, Any] = {"path": relative, "mode": path.stat().st_mode & 0o777}
            member = tarfile.TarInfo(relative)
            member.mode = entry["mode"]
            if path.is_dir():
                member.type = tarfile.DIRTYPE
                tar.addfile(member)
            else:
                told(relative, done, total)
                member.size = path.stat().st_size
                with path.open("rb") as source:
                    hashed = _Hashed(source)
                    tar.addfile(member, hashed)
                entry |= {"size": member.size, "sha256": hashed.digest.hexdigest()}
                done += member.size
            listed.append(entry)
        created_ms = time.time_ns() // 1_000_000
        head = {"format": FORMAT, "network": name, "created_ms": created_ms, "files": listed}
        raw = json.dumps(head).encode()
        member = tarfile.TarInfo(LIST)
        member.size, member.mode = len(raw), 0o600
        tar.addfile(member, io.BytesIO(raw))
    return Summary(name, sum("size" in entry for entry in listed), total, created_ms)


def _read(tar: tarfile.TarFile, folder: Path, archive: Path, told: Progress) -> Summary:
    found = dict[str, tuple[int, str]]()
    total, done = archive.stat().st_size, 0
    listed: dict[str, Any] | None = None
    for member in tar:
        if listed is not None:
            raise BackupError(f"{archive} goes on after its list of files")
        if member.name == LIST:
            listed = _list(tar, member, archive)
            continue
        target = _inside(folder, member, archive)
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True, mode=0o700)
            found[member.name] = 0, ""
            continue
        told(member.name, done, total)
        source = tar.extractfile(member)
        assert source is not None
        found[member.name] = member.size, _copy(source, target, member.mode)
        done += member.size
    if listed is None:
        raise BackupError(f"{archive} has no list of files: it was cut short")
    for entry in listed["files"]:
        if found.pop(entry["path"], None) != (entry.get("size", 0), entry.get("sha256", "")):
            raise BackupError(f"{entry['path']} in {archive} is missing or damaged")
    if found:
        raise BackupError(f"{next(iter(found))} in {archive} is not in its list of files")
    files = [entry for entry in listed["files"] if "size" in entry]
    size = sum(entry["size"] for entry in files)
    return Summary(listed["network"], len(files), size, listed["created_ms"])


def _list(tar: tarfile.TarFile, member: tarfile.TarInfo, archive: Path) -> dict[str, Any]:
    source = tar.extractfile(member)
    try:
        listed = json.loads(source.read() if source else b"")
        if listed["format"] != FORMAT:
            raise BackupError(f"{archive} has format {listed['format']}; this reads {FORMAT}")
        return dict(listed)
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"the list of files in {archive} cannot be read") from error


def _inside(folder: Path, member: tarfile.TarInfo, archive: Path) -> Path:
    """Where a member goes; refuses links, devices and paths that lead out of the folder."""
    path = Path(member.name)
    if not (member.isfile() or member.isdir()) or path.is_absolute() or ".." in path.parts:
        raise BackupError(f"{archive} holds {member.name!r}, which no backup contains")
    return folder / path


def _copy(source: IO[bytes], target: Path, mode: int) -> str:
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    hashed = _Hashed(source)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode & 0o700 | mode & 0o044)
    with os.fdopen(handle, "wb") as file:
        while chunk := hashed.read(_CHUNK):
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    return hashed.digest.hexdigest()


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class _Hashed:
    """A file that hashes what is read from it."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self.digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        chunk = self._source.read(size)
        self.digest.update(chunk)
        return chunk
