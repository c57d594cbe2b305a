"""The pure part of a capture: a document's events as what the chain and the node will keep.

Per event: its hash (CBV 2.0), the payload bytes that are committed (``{"@context","event"}``,
compact, as received), the public projection and the carbon records. Events with faults are
reported and not prepared. No I/O and no randomness, so it may run in another process.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from chaincode.projection import carbon_of, plain_decimal, project
from gateway.epcis.checks import MAX_FINDINGS
from gateway.epcis.document import Document
from gateway.epcis.errors import Finding
from gateway.epcis.hash import Hasher
from gateway.epcis.validate import document_namespaces, validate_event


@dataclass(frozen=True, slots=True)
class PreparedEvent:
    """One event ready to be anchored.

    index: 0-based place in the document; pointer: the same as a JSON pointer. hash: ``ni:`` URI.
    payload: the bytes to commit to. projection, carbon: as the contract reads them. size: bytes
    the event roughly adds to a transaction.
    """

    index: int
    pointer: str
    hash: str
    payload: bytes
    projection: dict[str, Any]
    carbon: list[dict[str, Any]]
    size: int

    @property
    def disclosure(self) -> str:
        """Residency class of the payload: what ``tm:disclosure`` says, else open."""
        return str(self.projection.get("disclosure", "open"))

    @property
    def country(self) -> str:
        return str(self.projection.get("country", ""))


@dataclass(frozen=True, slots=True)
class Fault:
    """An event that cannot be captured, and why; `index` -1: the document as a whole."""

    index: int
    pointer: str
    findings: tuple[Finding, ...]


def prepare(document: Document) -> tuple[list[PreparedEvent], list[Fault]]:
    """Validate and prepare every event of `document`."""
    prepared: list[PreparedEvent] = []
    faults: list[Fault] = []
    for item in prepare_each(document):
        if isinstance(item, PreparedEvent):
            prepared.append(item)
        else:
            faults.append(item)
    return prepared, faults


def prepare_each(document: Document) -> Iterator[PreparedEvent | Fault]:
    """The same, one by one in document order.

    Once `MAX_FINDINGS` findings are noted, further faulty events come with their first one only.
    """
    namespaces = document_namespaces(document)
    hasher = Hasher(namespaces)
    noted = 0
    head = b'{"@context":' + orjson.dumps(document.context) + b',"event":'
    for index, event in enumerate(document.events):
        pointer = document.pointer(index)
        findings = validate_event(event, namespaces, pointer)
        if findings:
            kept = findings if noted < MAX_FINDINGS else findings[:1]
            noted += len(kept)
            yield Fault(index, pointer, tuple(kept))
            continue
        projection = project(event)
        carbon = [_without_floats(record) for record in carbon_of(event)]
        yield PreparedEvent(
            index,
            pointer,
            hasher.hash(event),
            head + orjson.dumps(event) + b"}",
            projection,
            carbon,
            _ENTRY_BYTES + len(orjson.dumps((projection, carbon))),
        )


_ENTRY_BYTES = 256
"""Hash, commitment and punctuation of one event in a transaction's argument."""


def payload_parts(payload: bytes) -> tuple[Any, dict[str, Any]]:
    """``@context`` and event of stored payload bytes."""
    parts = orjson.loads(payload)
    return parts["@context"], parts["event"]


def _without_floats(value: Any) -> Any:
    """The chain knows no floats: numbers with a fraction become plain decimal strings."""
    if isinstance(value, float):
        return plain_decimal(value)
    if isinstance(value, Mapping):
        return {
            name: plain_decimal(item) if name in _DECIMALS else _without_floats(item)
            for name, item in value.items()
        }
    if isinstance(value, list):
        return [_without_floats(item) for item in value]
    return value


_DECIMALS = frozenset(("amount", "value_mg_per_unit"))
