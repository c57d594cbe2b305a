"""History: every version of an identifier's records, and its containers' while it lay in them.

Read from the ledger's own history of keys, so it needs no record of its own. A lot's history is
that of its record and of every holder's balance.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chaincode import codec
from chaincode.items import item_key
from chaincode.lots import lot_key
from chaincode.records import Record
from chaincode.session import Session
from chaincode.stub import KeyModification


def history(session: Session, uri: str) -> list[Record]:
    """Versions of the identifier's own records, and of its containers while it lay in them."""
    stub = session.stub
    found: list[tuple[int, int, Record]] = []

    def add(versions: list[KeyModification], packed_in: Callable[[Record], str | None]) -> None:
        for version in versions:
            found.append((version.timestamp_ms, len(found), _entry(version)))
        for span in _spans(versions, packed_in):
            for entry in _container_entries(session, span):
                found.append((entry["time_ms"], len(found), entry))

    add(_versions(session, item_key(uri)), lambda record: record.get("parent"))
    add(_versions(session, lot_key(uri)), lambda record: None)
    for row in stub.get_state_by_partial_composite_key("balance", [uri]):
        add(
            _versions(session, row.key),
            lambda record: record["holder"] if "on_hand" in record else None,
        )
    found.sort(key=lambda row: row[:2])
    return [entry for _, _, entry in found]


def events_of(session: Session, uri: str) -> list[str]:
    """Hashes (hex) of the events in the identifier's history, oldest first, each once."""
    seen: dict[str, None] = {}
    for entry in history(session, uri):
        for hex_ in entry["events"]:
            seen[hex_] = None
    return list(seen)


@dataclass(frozen=True, slots=True)
class _Span:
    """A stay in a container: when it began and ended (0 and None where it has not), and the
    events of the versions that began and ended it."""

    container: str
    start_ms: int
    start_events: list[str]
    end_ms: int | None
    end_events: list[str]


def _versions(session: Session, name: str) -> list[KeyModification]:
    """Every version of a key, oldest first."""
    return list(session.stub.get_history_for_key(name))[::-1]


def _spans(
    versions: list[KeyModification], packed_in: Callable[[Record], str | None]
) -> Iterator[_Span]:
    """The stays in containers that a record's versions tell of."""
    container, start_ms, start_events = None, 0, list[str]()
    for version in versions:
        record = {} if version.is_delete else codec.decode(version.value)
        now = packed_in(record) if record else None
        events = record.get("events", [])
        if now != container:
            if container is not None:
                yield _Span(container, start_ms, start_events, version.timestamp_ms, events)
            container, start_ms, start_events = now, version.timestamp_ms, events
    if container is not None:
        yield _Span(container, start_ms, start_events, None, [])


def _container_entries(session: Session, span: _Span) -> Iterator[Record]:
    """The container's versions during a stay, less what happened before it or after it."""
    for version in _versions(session, item_key(span.container)):
        now = version.timestamp_ms
        if now < span.start_ms or (span.end_ms is not None and now > span.end_ms):
            continue
        entry = _entry(version)
        events = entry["events"]
        if now == span.start_ms:
            shared = [index for index, hex_ in enumerate(events) if hex_ in span.start_events]
            events = events[shared[-1] + 1 :] if shared else events
        elif now == span.end_ms:
            shared = [index for index, hex_ in enumerate(events) if hex_ in span.end_events]
            events = events[: shared[0]] if shared else events
        if events:
            yield {**entry, "events": events, "container": span.container}


def _entry(version: KeyModification) -> Record:
    entry: Record = {"tx_id": version.tx_id, "time_ms": version.timestamp_ms, "events": []}
    if version.is_delete:
        entry["deleted"] = True
    else:
        record = codec.decode(version.value)
        entry["events"] = record.get("events", [])
        entry["record"] = record
    return entry
