"""Committed transactions a second, and latency one at a time: one EPCIS event each."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from network import GTIN, Bench

from chaincode.codec import encode
from chaincode.projection import project
from gateway.epcis.hash import event_hash

EPCIS_CONTEXT = ["https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"]
SUBMITTERS = 1
BASE_TIME = "2026-01-05T08:00:00.000Z"


def commission_event(serial: str) -> dict[str, Any]:
    """One serialised item commissioned by the maker."""
    return {
        "type": "ObjectEvent",
        "eventTime": BASE_TIME,
        "eventTimeZoneOffset": "-03:00",
        "epcList": [f"https://id.gs1.org/01/{GTIN}/21/{serial}"],
        "action": "ADD",
        "bizStep": "commissioning",
        "disposition": "active",
        "readPoint": {"id": "https://id.gs1.org/414/9521321000018"},
    }


def capture_argument(serial: str) -> bytes:
    """The argument of ``event:capture`` for one commissioned item (commitment: any 32 bytes)."""
    event = commission_event(serial)
    name = event_hash(event, EPCIS_CONTEXT)
    entry = {"hash": name, "commitment": name[14:78], "projection": project(event)}
    return encode({"events": [entry], "on_error": "rollback"})


def throughput(
    bench: Bench, arguments: Sequence[bytes], in_flight: int, submitters: int = SUBMITTERS
) -> dict[str, float]:
    """Submit all `arguments`, at most `in_flight` uncommitted; latency is submit to commit."""
    slots = threading.Semaphore(in_flight)
    latencies_ms: list[float] = []
    invalid: list[int] = []
    settled = threading.Semaphore(0)

    def finished(begun: float, future: Future[Any]) -> None:
        latencies_ms.append((time.perf_counter() - begun) * 1e3)
        status = future.result()
        if not status.successful:
            invalid.append(status.code)
        slots.release()
        settled.release()

    def submit(share: Sequence[bytes]) -> None:
        for argument in share:
            slots.acquire()
            begun = time.perf_counter()
            sent = bench.client.submit(bench.maker, "event:capture", argument)
            sent.commit.add_done_callback(lambda future, begun=begun: finished(begun, future))

    start, start_cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(submitters) as pool:
        for done in [pool.submit(submit, arguments[n::submitters]) for n in range(submitters)]:
            done.result()
    for _ in arguments:
        settled.acquire()
    seconds = time.perf_counter() - start
    if invalid:
        raise RuntimeError(f"{len(invalid)} transactions were not valid, e.g. {invalid[:5]}")
    cpu_us = (time.process_time() - start_cpu) / len(arguments) * 1e6
    return {"tps": len(arguments) / seconds, "cpu_us": cpu_us, **percentiles(latencies_ms)}


def one_at_a_time(bench: Bench, arguments: Sequence[bytes]) -> dict[str, float]:
    """Latency from the call to the commit on every node, with nothing else going on."""
    latencies_ms = []
    for argument in arguments:
        begun = time.perf_counter()
        bench.client.submit_and_wait(bench.maker, "event:capture", argument)
        latencies_ms.append((time.perf_counter() - begun) * 1e3)
    return percentiles(latencies_ms)


def percentiles(values_ms: Iterable[float]) -> dict[str, float]:
    """p50 and p95 of milliseconds."""
    ordered = sorted(values_ms)
    return {
        "p50_ms": statistics.median(ordered),
        "p95_ms": ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))],
    }
