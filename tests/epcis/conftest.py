"""Shared data: GS1's and FSMA's documents where the vectors folder is present, and own events."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.epcis.network import Gateway, running_gateway

ROOT = Path(__file__).resolve().parents[2]
VECTORS = Path(os.environ.get("TRACEMARK_VECTORS") or ROOT.parent / "shared" / "vectors")
CONTEXT = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld"


def vector_files(*patterns: str) -> list[Any]:
    """Documents below the vectors folder as test parameters; one skipped one without the folder."""
    found = sorted(path for pattern in patterns for path in VECTORS.glob(pattern))
    if not found:
        reason = f"no vectors at {VECTORS}; set TRACEMARK_VECTORS to the folder"
        return [pytest.param(Path(), marks=pytest.mark.skip(reason=reason), id="absent")]
    return [pytest.param(path, id=path.stem) for path in found]


EXAMPLES = vector_files("gs1-epcis-2.0/examples/**/*.jsonld", "fsma204/*.jsonld")


def object_event(**changes: Any) -> dict[str, Any]:
    """An ObjectEvent that nothing is wrong with; None removes a property."""
    event: dict[str, Any] = {
        "type": "ObjectEvent",
        "eventTime": "2026-03-01T08:30:00.000+01:00",
        "eventTimeZoneOffset": "+01:00",
        "epcList": ["https://id.gs1.org/01/09521234543213/21/A1"],
        "action": "OBSERVE",
        "bizStep": "shipping",
        "disposition": "in_transit",
        "readPoint": {"id": "https://id.gs1.org/414/9521234000013"},
    }
    event.update(changes)
    return {name: value for name, value in event.items() if value is not None}


def document(*events: dict[str, Any], context: Any = CONTEXT, **changes: Any) -> dict[str, Any]:
    """An EPCISDocument around `events`; None removes a property."""
    body: dict[str, Any] = {
        "@context": context,
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": "2026-03-01T09:00:00Z",
        "epcisBody": {"eventList": list(events)},
    }
    body.update(changes)
    return {name: value for name, value in body.items() if value is not None}


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """One gateway for all tests that only add events."""
    with running_gateway(tmp_path_factory.mktemp("network") / "home") as running:
        yield running
