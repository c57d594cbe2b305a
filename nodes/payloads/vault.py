"""What the parts of one payload store share: database, node keys, read log, identity, clock."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from nodes.payloads import envelope, readlog
from nodes.payloads.database import HEAD, LOG, META, Batch, PayloadDatabase
from nodes.payloads.envelope import Head
from nodes.payloads.errors import PayloadUnknown, StoreUnavailable
from nodes.payloads.keyring import Keyring
from nodes.payloads.model import Reader, commitment_key
from nodes.payloads.readlog import LogFault, LogHead, ReadEntry
from nodes.payloads.receipt import NodeSigner
from nodes.payloads.writers import Writers

FORMAT = b"1"
_FORMAT_KEY, _LOG_HEAD = b"format", b"log-head"


class ReadLog:
    """The read log in the database: appends under the vault's lock, signs its head."""

    def __init__(self, db: PayloadDatabase, signer: NodeSigner) -> None:
        self._db = db
        self._signer = signer
        stored = db.get(META, _LOG_HEAD)
        self.head = LogHead.decode(stored) if stored else None

    def add_to(self, batch: Batch, entries: Sequence[ReadEntry]) -> LogHead:
        """Put `entries` (renumbered) and the newly signed head into `batch`; returns that head.

        The caller commits the batch and then makes the head current, holding the lock.
        """
        size, digest = (self.head.size, self.head.digest) if self.head else (0, readlog.GENESIS)
        for entry in entries:
            stored, digest = readlog.encode(entry.numbered(size), digest)
            batch.put(LOG, readlog.key_of(size), stored)
            size += 1
        head = LogHead(size, digest, self._signer.sign(readlog.head_bytes(size, digest)))
        batch.put(META, _LOG_HEAD, head.encode())
        return head

    def entries(self, start: int = 0) -> Iterator[ReadEntry]:
        """Entries in order from number `start` on."""
        for _, stored in self._db.rows(LOG, readlog.key_of(start)):
            yield readlog.decode(stored)

    def faults(self) -> Iterator[LogFault]:
        """Where the chain does not hold together (the head's signature is checked by fsck)."""
        return readlog.check_chain(self._db.rows(LOG), self.head)


@dataclass(slots=True)
class Vault:
    """The open parts of one store.

    `lock` serialises whoever appends to the read log; `writers` keeps writers of the same
    payload, and a change of the node's key, apart.
    """

    db: PayloadDatabase
    keyring: Keyring
    log: ReadLog
    signer: NodeSigner
    clock_ms: Callable[[], int]
    lock: threading.RLock = field(default_factory=threading.RLock)
    writers: Writers = field(default_factory=Writers)
    _syncing: threading.Lock = field(default_factory=threading.Lock)
    _synced: int = 0

    @classmethod
    def open(
        cls,
        directory: Path,
        signer: NodeSigner,
        clock_ms: Callable[[], int],
        *,
        read_only: bool = False,
    ) -> Vault:
        """Open or create the files in `directory`; raises StoreUnavailable or KeyFileError."""
        db = PayloadDatabase(directory / "db", read_only=read_only)
        try:
            version = db.get(META, _FORMAT_KEY)
            if version not in (None, FORMAT):
                raise StoreUnavailable(
                    f"the payload store {directory} has format {version!r}; "
                    f"this program reads format {FORMAT!r}"
                )
            keyring = Keyring.load_or_create(
                directory / "node.key", may_create=version is None and not read_only
            )
            if version is None and not read_only:
                batch = db.batch()
                batch.put(META, _FORMAT_KEY, FORMAT)
                db.write(batch, sync=True)
            return cls(db, keyring, ReadLog(db, signer), signer, clock_ms)
        except BaseException:
            db.close()
            raise

    def head(self, commitment: str) -> Head:
        """The head stored for `commitment` (64 hex); raises PayloadUnknown or PayloadCorrupted."""
        key = commitment_key(commitment)
        stored = self.db.get(HEAD, key)
        if stored is None:
            raise PayloadUnknown.of(commitment)
        return envelope.open_head(key, stored)

    def entry(
        self,
        action: str,
        rule: str,
        commitment: str,
        event_hash: str = "",
        reader: Reader | None = None,
        tx_id: str = "",
    ) -> ReadEntry:
        """A line for the read log; its number is given when it is appended."""
        return ReadEntry(
            seq=-1,
            time_ms=self.clock_ms(),
            action=action,
            rule=rule,
            commitment=commitment,
            event_hash=event_hash,
            party=(reader.party or "") if reader else "",
            msp_id=reader.msp_id if reader else self.signer.msp_id,
            certificate_sha256=reader.certificate_sha256 if reader else "",
            legal_basis=reader.legal_basis if reader else "",
            tx_id=tx_id,
        )

    def commit(self, batch: Batch, entries: Sequence[ReadEntry], *, sync: bool) -> None:
        """Commit `batch` and the log `entries` together; raises StoreUnavailable."""
        with self.lock:
            head = self.log.add_to(batch, entries) if entries else self.log.head
            self.db.write(batch, sync=sync)
            self.log.head = head

    def append(self, entries: Sequence[ReadEntry], *, sync: bool) -> None:
        """Append `entries` to the read log; with `sync` they are on the disk when this returns.

        Readers that wait for the disk at the same time share one sync. Raises StoreUnavailable.
        """
        if not entries:
            return
        with self.lock:
            self.commit(self.db.batch(), entries, sync=False)
            size = self._log_size()
        if sync:
            with self._syncing:
                if self._synced < size:
                    reached = self._log_size()
                    self.db.sync()
                    self._synced = reached

    def _log_size(self) -> int:
        return self.log.head.size if self.log.head else 0

    def close(self) -> None:
        with self.lock:
            self.db.close()
