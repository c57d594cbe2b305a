"""Events a second by documents of 1,000 events: bytes in, committed on every node, payloads kept.

The whole pipeline of ``POST /epcis/v2/capture`` below HTTP: strict JSON, EPCIS and CBV validation,
event hashes, encrypted payloads, endorsement by two organisations, commit on three nodes.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import orjson
from network import MAKER_PARTY, Bench
from submit import EPCIS_CONTEXT, commission_event

from gateway.epcis.capture import PROCEED, Capturer, Outcome
from gateway.epcis.document import read_document
from gateway.epcis.prepare import prepare
from gateway.payloads import LocalPayloads

EVENTS_PER_DOCUMENT = 1000
DOCUMENTS_AT_ONCE = 2


def document(prefix: str, events: int = EVENTS_PER_DOCUMENT) -> bytes:
    """An EPCIS document that commissions `events` items with serials ``<prefix><n>``."""
    return orjson.dumps(
        {
            "@context": EPCIS_CONTEXT,
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": "2026-01-05T08:00:01.000Z",
            "epcisBody": {"eventList": [commission_event(f"{prefix}{n}") for n in range(events)]},
        }
    )


def capture(bench: Bench, body: bytes) -> Outcome:
    """One document through the pipeline. :raises RuntimeError: an event was refused."""
    prepared, faults = prepare(read_document(body))
    payloads = LocalPayloads.of(bench.network)
    capturer = Capturer(bench.client, payloads, bench.maker, bench.maker.msp_id, MAKER_PARTY)
    outcome = capturer.run(prepared, PROCEED)
    if faults or outcome.refused:
        raise RuntimeError(f"refused: {(faults or outcome.refused)[0]}")
    return outcome


def events_per_second(bench: Bench, bodies: Sequence[bytes]) -> float:
    """All `bodies`, two documents at a time."""
    start = time.perf_counter()
    with ThreadPoolExecutor(DOCUMENTS_AT_ONCE) as pool:
        anchored = sum(
            len(outcome.anchored) for outcome in pool.map(lambda b: capture(bench, b), bodies)
        )
    return anchored / (time.perf_counter() - start)
