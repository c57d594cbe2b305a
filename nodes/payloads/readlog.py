"""The read log: every attempt to read, allowed or refused, in an append-only hash chain.

An entry says which payload, which party, which rule and when; never what was read, and no names
of persons (a certificate is named by its SHA-256 fingerprint). Entry n is stored as its own
32-byte hash and its JSON; the hash covers the hash before it, so no entry can be altered, moved
or taken out of the middle, and the node signs the newest hash with each append, so none can be
cut off the end without the node's key. What the chain cannot show by itself is a whole store put
back to an older state: for that, keep the heads elsewhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace

import orjson

GENESIS = bytes(32)
HASH_BYTES = 32

_ENTRY_PREFIX = b"tracemark/read-log/v1\0"
_HEAD_PREFIX = b"tracemark/read-log-head/v1\0"


@dataclass(frozen=True, slots=True)
class ReadEntry:
    """One line of the log.

    `action`: read, refuse, mismatch, erase, collect; `rule`: of :data:`access.RULES`, an error
    code, or the reason of an erasure; `party`, `msp_id`, `certificate_sha256`: of the reader;
    `tx_id`: transaction holding the legal basis, where one was needed.
    """

    seq: int
    time_ms: int
    action: str
    rule: str
    commitment: str
    event_hash: str
    party: str
    msp_id: str
    certificate_sha256: str
    legal_basis: str = ""
    tx_id: str = ""

    def numbered(self, seq: int) -> ReadEntry:
        """The same line as entry number `seq`."""
        return replace(self, seq=seq)


_FIELDS = tuple(sorted(field.name for field in fields(ReadEntry)))


@dataclass(frozen=True, slots=True)
class LogHead:
    """The newest position: number of entries, the last entry's hash, the node's signature."""

    size: int
    digest: bytes
    signature: bytes

    def signed_bytes(self) -> bytes:
        """What the node signs: domain prefix, size (8 bytes, big-endian), hash."""
        return head_bytes(self.size, self.digest)

    def encode(self) -> bytes:
        return self.size.to_bytes(8, "big") + self.digest + self.signature

    @classmethod
    def decode(cls, stored: bytes) -> LogHead:
        return cls(int.from_bytes(stored[:8], "big"), stored[8:40], stored[40:])


@dataclass(frozen=True, slots=True)
class LogFault:
    """A place where the log does not hold together."""

    seq: int
    message: str


def head_bytes(size: int, digest: bytes) -> bytes:
    return _HEAD_PREFIX + size.to_bytes(8, "big") + digest


def key_of(seq: int) -> bytes:
    """Database key of entry `seq` (from 0): 8 bytes, big-endian."""
    return seq.to_bytes(8, "big")


def encode(entry: ReadEntry, previous: bytes) -> tuple[bytes, bytes]:
    """`entry` as stored (its hash, then JSON) and its 32-byte hash, chained to `previous`."""
    present = {name: value for name in _FIELDS if (value := getattr(entry, name)) != ""}
    body = orjson.dumps(present)
    digest = hashlib.sha256(_ENTRY_PREFIX + previous + body).digest()
    return digest + body, digest


def decode(stored: bytes) -> ReadEntry:
    """The entry inside `stored`; raises ValueError when it is not one."""
    found = orjson.loads(stored[HASH_BYTES:])
    texts = ("action", "rule", "commitment", "event_hash", "party", "msp_id")
    try:
        return ReadEntry(
            seq=int(found["seq"]),
            time_ms=int(found["time_ms"]),
            **{name: str(found.get(name, "")) for name in texts},
            certificate_sha256=str(found.get("certificate_sha256", "")),
            legal_basis=str(found.get("legal_basis", "")),
            tx_id=str(found.get("tx_id", "")),
        )
    except (KeyError, TypeError, AttributeError) as exc:
        raise ValueError("not an entry of the read log") from exc


def check_chain(rows: Iterable[tuple[bytes, bytes]], head: LogHead | None) -> Iterator[LogFault]:
    """Faults of a log given as (key, stored) in key order, and its head; none means intact.

    The head's signature is checked by whoever knows the node's certificate.
    """
    previous, expected = GENESIS, 0
    for key, stored in rows:
        seq = int.from_bytes(key, "big")
        if seq != expected:
            yield LogFault(expected, f"entry {expected} is missing")
            expected = seq
        body = stored[HASH_BYTES:]
        if hashlib.sha256(_ENTRY_PREFIX + previous + body).digest() != stored[:HASH_BYTES]:
            yield LogFault(seq, f"entry {seq} or the one before it was altered")
        elif _claims(stored) != seq:
            yield LogFault(seq, f"entry {seq} carries another number inside")
        previous, expected = stored[:HASH_BYTES], seq + 1
    size, digest = (head.size, head.digest) if head else (0, GENESIS)
    if (size, digest) != (expected, previous):
        yield LogFault(expected, f"the log has {expected} entries but its head says {size}")


def _claims(stored: bytes) -> int:
    try:
        return decode(stored).seq
    except ValueError:
        return -1
