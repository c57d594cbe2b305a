"""Every anchored event against its payload, every payload against its commitment.

For each event and error declaration in the replayed state, at the node that anchored it: the
payload is there and matches its commitment, or was erased and its receipt verifies; projecting
the payload again gives the anchored projection; and, if a caller brings an `event_check` (the
hash of an EPCIS event is computed outside this package), the hash is the payload's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from chaincode.codec import decode
from chaincode.projection import project
from nodes.checks.report import Progress, Report
from nodes.identity.signer import Signer
from nodes.payloads import PayloadCorrupted, PayloadError, PayloadStore, PayloadUnknown
from nodes.payloads.chain_state import Record, StateReader
from nodes.payloads.errors import KeyFileError, ReceiptInvalid, StoreUnavailable
from nodes.payloads.receipt import ErasureReceipt, verify

EventCheck = Callable[[bytes, Record], str]
"""(payload, event record) -> "" or a sentence saying why the hash is not the payload's."""

Trusted = Callable[[str, bytes, datetime], bool]
"""Whether an organisation (MSP id) issued a PEM certificate, valid at that time."""


def open_store(folder: Path, org: str, signer: Signer, report: Report) -> PayloadStore | None:
    """The organisation's store for reading alone, None if it has none or it cannot be opened."""
    if not (folder / "db" / "CURRENT").exists():
        if (folder / "node.key").exists():
            report.add("PAYLOAD_STORE", org, "The key is there and the database is not.")
        return None
    try:
        return PayloadStore(folder, signer, read_only=True)
    except KeyFileError as error:
        report.add("NODE_KEY", org, error.message)
    except PayloadError as error:
        report.add("PAYLOAD_STORE", org, error.message)
    return None


class Contents:
    """Checks the stores of all organisations against the chain."""

    def __init__(
        self,
        stores: dict[str, PayloadStore],
        unusable: set[str],
        trusted: Trusted,
        event_check: EventCheck | None,
        report: Report,
    ) -> None:
        """`stores` by MSP id; `unusable`: MSP ids whose store was reported already."""
        self._stores = stores
        self._unusable = unusable
        self._trusted = trusted
        self._event_check = event_check
        self._report = report
        self._seen: dict[str, set[bytes]] = {msp: set() for msp in stores}

    def run(self, state: StateReader, progress: Progress) -> None:
        """Every event of `state`, then what else the stores hold, then their read logs."""
        for count, event in enumerate(_events(state)):
            if count % 500 == 0:
                progress("payloads", count, 0)
            self._report.counts["events"] += 1
            if event["msp"] not in self._unusable:
                self._event(event)
        for msp_id, store in self._stores.items():
            progress(f"store of {msp_id}", 0, 0)
            self._others(msp_id, store)
            self._read_log(msp_id, store)

    def _event(self, event: Record) -> None:
        commitment, where = event["commitment"], f"{event['msp']}, event {event['hash']}"
        store = self._stores.get(event["msp"])
        try:
            if store is None:
                raise PayloadUnknown.of(commitment)
            self._seen[event["msp"]].add(bytes.fromhex(commitment))
            found = store.examine(commitment)
        except PayloadUnknown:
            self._report.add("PAYLOAD_MISSING", where)
        except PayloadCorrupted as error:
            self._report.add("PAYLOAD_CORRUPTED", where, error.message)
        except StoreUnavailable as error:
            self._report.add("PAYLOAD_STORE", where, error.message)
        else:
            if isinstance(found, ErasureReceipt):
                self._receipt(found, event, where)
                return
            self._report.counts["payloads"] += 1
            self._content(found.payload, event, where)

    def _receipt(self, receipt: ErasureReceipt, event: Record, where: str) -> None:
        self._report.counts["receipts"] += 1
        try:
            verify(
                receipt,
                commitment=event["commitment"],
                event_hash=event["hash"],
                trusted=self._trusted,
            )
        except ReceiptInvalid as error:
            self._report.add("RECEIPT_INVALID", where, error.message)

    def _content(self, payload: bytes, event: Record, where: str) -> None:
        try:
            document: dict[str, Any] = orjson.loads(payload)
            projected = project(document["event"])
        except (ValueError, KeyError, TypeError) as error:
            self._report.add("PROJECTION_DIFFERS", where, f"It cannot be read: {error}")
            return
        if projected != event["projection"]:
            names = sorted(set(projected) | set(event["projection"]))
            differing = [n for n in names if projected.get(n) != event["projection"].get(n)]
            self._report.add("PROJECTION_DIFFERS", where, f"In: {', '.join(differing)}.")
        if self._event_check is not None:
            fault = self._event_check(payload, event)
            if fault:
                self._report.add("EVENT_HASH", where, fault)

    def _others(self, msp_id: str, store: PayloadStore) -> None:
        orphans = 0
        try:
            for commitment in store.commitments():
                if bytes.fromhex(commitment) in self._seen[msp_id]:
                    continue
                orphans += 1
                try:
                    store.examine(commitment)
                except PayloadCorrupted as error:
                    self._report.add("PAYLOAD_CORRUPTED", f"{msp_id}, {commitment}", error.message)
        except StoreUnavailable as error:
            self._report.add("PAYLOAD_STORE", msp_id, error.message)
        if orphans:
            self._report.counts["orphan payloads"] += orphans
            self._report.notes.append(
                f"{msp_id} keeps {orphans} payload(s) whose event is not on the chain"
            )

    def _read_log(self, msp_id: str, store: PayloadStore) -> None:
        try:
            for fault in store.log_faults():
                self._report.add("READ_LOG", f"{msp_id}, entry {fault.seq}", fault.message)
            head = store.log_head()
        except StoreUnavailable as error:
            self._report.add("PAYLOAD_STORE", msp_id, error.message)
            return
        if head is not None:
            self._report.counts["read log entries"] += head.size
            if not _signed(store.certificate, head.signed_bytes(), head.signature):
                self._report.add("READ_LOG", f"{msp_id}, head", "The node did not sign it.")


def _events(state: StateReader) -> Iterator[Record]:
    for kind in ("event", "error"):
        for row in state.get_state_by_partial_composite_key(kind, ()):
            yield decode(row.value)


def _signed(certificate: bytes, message: bytes, signature: bytes) -> bool:
    key = x509.load_pem_x509_certificate(certificate).public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return False
    try:
        key.verify(signature, message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
