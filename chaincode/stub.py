"""The one interface between the contract and a ledger engine.

The method names and semantics are Hyperledger Fabric's ``ChaincodeStubInterface``: reads see the
committed snapshot and never the transaction's own writes; ranges are ordered by key bytes and
hide composite keys from plain ranges; history comes newest first. The embedded node and the
Fabric chaincode server each provide one implementation; :mod:`chaincode.memory` is a third.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One committed record: UTF-8 key (may be a composite key) and value bytes."""

    key: str
    value: bytes


@dataclass(frozen=True, slots=True)
class KeyModification:
    """One historic version of a key: transaction id, header time in ms UTC, value or deletion."""

    tx_id: str
    timestamp_ms: int
    value: bytes
    is_delete: bool


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a range: records in key order, and the bookmark to go on from ("" at the end)."""

    records: tuple[KeyValue, ...]
    bookmark: str


class Stub(Protocol):
    """What one transaction (or query) may ask of the ledger."""

    @property
    def channel(self) -> str:
        """Channel name."""

    @property
    def tx_id(self) -> str:
        """Transaction id: 64 lower-case hex characters."""

    @property
    def timestamp_ms(self) -> int:
        """Milliseconds UTC from the proposal's channel header, the contract's only clock."""

    @property
    def creator_msp(self) -> str:
        """MSP id of the proposal's creator."""

    @property
    def creator_certificate(self) -> bytes:
        """PEM X.509 certificate of the proposal's creator, already verified by the engine."""

    @property
    def transient(self) -> dict[str, bytes]:
        """Transient data of the proposal: never written to the ledger."""

    def get_state(self, key: str) -> bytes | None:
        """Committed value of `key`, or None where there is none."""

    def get_states(self, keys: Sequence[str]) -> list[bytes | None]:
        """Committed values of many keys, in the order asked, in one round trip."""

    def put_state(self, key: str, value: bytes) -> None:
        """Write `value` (not empty) at `key` (not empty) when the transaction commits."""

    def del_state(self, key: str) -> None:
        """Delete `key` when the transaction commits."""

    def get_state_range(self, start: str, end: str) -> Iterator[KeyValue]:
        """Plain keys in [start, end); phantom-checked at commit."""

    def get_state_by_partial_composite_key(
        self, object_type: str, attributes: Sequence[str]
    ) -> Iterator[KeyValue]:
        """Composite keys below a prefix of attributes; phantom-checked at commit."""

    def get_state_page(
        self, object_type: str, attributes: Sequence[str], page_size: int, bookmark: str
    ) -> Page:
        """One page of the same range (queries only: not phantom-checked)."""

    def get_history_for_key(self, key: str) -> Iterator[KeyModification]:
        """Every committed version of `key`, newest first (queries only)."""

    def set_event(self, name: str, payload: bytes) -> None:
        """Set the transaction's one chaincode event; the last call wins."""
