"""Bodies of EPCIS 2.0 answers: query documents, collections, capture jobs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from chaincode.errors import IdentifierError
from chaincode.identifiers import canonical
from gateway.epcis.job_store import Job
from gateway.epcis.negotiation import iso
from gateway.epcis.vocabulary import EPCIS_CONTEXTS

EPCIS_CONTEXT = EPCIS_CONTEXTS[0] + "2.0.0/epcis-context.jsonld"

_ID_LISTS = frozenset(("epcList", "childEPCs", "inputEPCList", "outputEPCList"))
_IDS = frozenset(("parentID", "epcClass", "source", "destination"))
_PLACES = frozenset(("readPoint", "bizLocation"))


def query_document(
    events: Sequence[Mapping[str, Any]], context: Sequence[Any], name: str = "SimpleEventQuery"
) -> dict[str, Any]:
    """An EPCISQueryDocument with `events` as they are."""
    contexts = list(context)
    if not any(isinstance(item, str) and item.startswith(EPCIS_CONTEXTS) for item in contexts):
        contexts.insert(0, EPCIS_CONTEXT)
    return {
        "@context": contexts,
        "type": "EPCISQueryDocument",
        "schemaVersion": "2.0",
        "creationDate": iso(int(time.time() * 1000)),
        "epcisBody": {
            "queryResults": {"queryName": name, "resultsBody": {"eventList": list(events)}}
        },
    }


def collection(members: Sequence[str]) -> dict[str, Any]:
    """A Collection resource."""
    return {"@context": EPCIS_CONTEXT, "type": "Collection", "member": list(members)}


def capture_job(job: Job) -> dict[str, Any]:
    """A CaptureJob resource; the counts are this gateway's addition, `errors` are problems."""
    body: dict[str, Any] = {
        "captureID": job.id,
        "createdAt": iso(job.created_ms),
        "running": job.running,
        "success": job.success,
        "captureErrorBehaviour": job.behaviour,
        "events": job.events,
        "anchored": job.anchored,
        "duplicates": job.duplicates,
        "findings": job.findings,
        "errors": job.errors,
    }
    if job.finished_ms is not None:
        body["finishedAt"] = iso(job.finished_ms)
    return body


def with_digital_links(event: Any) -> Any:
    """`event` with every GS1 identifier of the standard's fields in canonical Digital Link form."""
    if isinstance(event, list):
        return [with_digital_links(item) for item in event]
    if not isinstance(event, Mapping):
        return event
    out: dict[str, Any] = {}
    for name, value in event.items():
        if name in _ID_LISTS and isinstance(value, list):
            out[name] = [_link(item) for item in value]
        elif name in _IDS:
            out[name] = _link(value)
        elif name in _PLACES and isinstance(value, Mapping):
            out[name] = {key: _link(v) if key == "id" else v for key, v in value.items()}
        else:
            out[name] = with_digital_links(value) if ":" not in name else value
    return out


def _link(value: Any) -> Any:
    try:
        return canonical(value) if isinstance(value, str) else value
    except IdentifierError:
        return value
