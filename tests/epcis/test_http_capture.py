"""Capturing over HTTP: behaviours, errors with pointers, idempotence, restarts, wrong bodies."""

from __future__ import annotations

import errno
import fcntl
import itertools
import json
import time
from pathlib import Path
from typing import Any

import orjson
import pytest
from sqlalchemy import select, update

from gateway.epcis.canonical_uri import check_digit
from gateway.epcis.capture import batches
from gateway.epcis.document import as_document
from gateway.epcis.hash import event_hash
from gateway.epcis.jobs import CaptureJobs, Sender
from gateway.epcis.prepare import PreparedEvent
from gateway.readmodel.tables import events
from gateway.state_tables import capture_jobs
from tests.epcis.conftest import CONTEXT, document, object_event
from tests.epcis.network import BUYER, CARRIER, FARMER, MAKER, Gateway, running_gateway

GTIN = "https://id.gs1.org/01/09521234543213"
_serials = itertools.count(1)


def commissioned(**changes: Any) -> dict[str, Any]:
    """A new thing each time it is called."""
    return object_event(
        **{
            "action": "ADD",
            "bizStep": "commissioning",
            "disposition": "active",
            "epcList": [f"{GTIN}/21/C{next(_serials)}"],
            **changes,
        }
    )


def again(event: dict[str, Any]) -> dict[str, Any]:
    """Commissioning the same thing at another time: against the rules where they are enforced."""
    return {**event, "eventTime": "2026-03-01T09:30:00.000+01:00"}


@pytest.fixture(scope="session")
def enforced(gateway: Gateway) -> str:
    """A GTIN under policy `enforce`."""
    gtin = "09521234543220"
    container = gateway.container
    signer = container.wallet.get("MakersMSP", "maker")
    assert signer is not None
    container.ledger.submit_and_wait(
        signer, "product:define", {"gtin": gtin, "name": "Tea", "mode": "enforce"}
    )
    return f"https://id.gs1.org/01/{gtin}/21/"


def test_job_resource(gateway: Gateway) -> None:
    """A job whose resource does not say what the standard says."""
    answer = gateway.post("/capture", document(commissioned(), commissioned()))
    assert answer.status_code == 202
    assert answer.headers["GS1-EPCIS-Version"] == "2.0.0"
    job = gateway.capture(document(commissioned()))
    assert job["running"] is False
    assert job["success"] is True
    assert job["captureErrorBehaviour"] == "rollback"
    assert job["errors"] == []
    assert job["createdAt"] <= job["finishedAt"]
    assert (job["events"], job["anchored"], job["duplicates"]) == (1, 1, 0)
    assert gateway.get(f"/capture/{job['captureID']}").json() == job


def test_jobs_are_listed_newest_first_and_by_owner(gateway: Gateway) -> None:
    """Another party's jobs shown, or pages that repeat or skip a job."""
    made = [gateway.capture(document(commissioned()))["captureID"] for _ in range(3)]
    answer = gateway.get("/capture", perPage=2)
    seen = [job["captureID"] for job in answer.json()]
    following = gateway.client.get(answer.links["next"]["url"], headers=gateway.headers())
    seen += [job["captureID"] for job in following.json()]
    assert seen[:3] == made[::-1]
    assert gateway.get("/capture", "buyer").json() == []
    assert gateway.get(f"/capture/{made[0]}", "buyer").status_code == 404
    assert gateway.get(f"/capture/{made[0]}", "inspector").status_code == 200


def test_same_event_again_changes_nothing(gateway: Gateway) -> None:
    """A retry that anchors twice."""
    event = commissioned()
    first = gateway.capture(document(event))
    spelled = {**event, "eventTime": "2026-03-01T07:30:00Z", "bizStep": "cbv:BizStep-commissioning"}
    second = gateway.capture(document(spelled, event))
    assert (first["duplicates"], second["duplicates"]) == (0, 2)
    assert second["success"]
    assert gateway.events(MATCH_epc=event["epcList"][0]) == [event]


def test_repeated_captures_do_not_fill_the_node(gateway: Gateway) -> None:
    """A payload stored anew for every repetition of a capture."""
    assert gateway.container.network is not None
    store = gateway.container.network.node("MakersMSP").payloads
    body = document(commissioned(), commissioned())
    assert gateway.capture(body)["duplicates"] == 0
    stored = len(list(store.commitments()))
    assert gateway.capture(body)["duplicates"] == 2
    assert len(list(store.commitments())) == stored


def test_rollback_keeps_nothing(gateway: Gateway) -> None:
    """One faulty event of a document whose others are captured nevertheless."""
    good, bad = commissioned(), commissioned(bizStep="flying")
    job = gateway.capture(document(good, bad))
    assert job["success"] is False
    assert job["anchored"] == 0
    assert [(e["code"], e["where"], e["index"]) for e in job["errors"]] == [
        ("UNKNOWN_WORD", "/epcisBody/eventList/1/bizStep", 1)
    ]
    assert gateway.events(MATCH_epc=good["epcList"][0]) == []


def test_proceed_keeps_what_is_good(gateway: Gateway) -> None:
    """One faulty event that takes the others with it."""
    good, bad = commissioned(), commissioned(bizStep="flying")
    job = gateway.capture(document(bad, good), **{"GS1-Capture-Error-Behaviour": "proceed"})
    assert job["captureErrorBehaviour"] == "proceed"
    assert job["success"] is False
    assert job["anchored"] == 1
    assert [e["index"] for e in job["errors"]] == [0]
    assert gateway.events(MATCH_epc=good["epcList"][0]) == [good]


def test_refusals_of_the_contract(gateway: Gateway, enforced: str) -> None:
    """A refusal of the chain that does not say which event of the document it means."""
    one = commissioned(epcList=[enforced + "R1"])
    two = commissioned(epcList=[enforced + "R2"])
    third = again(two)
    job = gateway.capture(document(one, two, third))
    assert [(e["code"], e["where"]) for e in job["errors"]] == [
        ("ALREADY_COMMISSIONED", "/epcisBody/eventList/2")
    ]
    assert job["anchored"] == 0
    job = gateway.capture(document(one, two, third), **{"GS1-Capture-Error-Behaviour": "proceed"})
    assert job["anchored"] == 2
    assert [(e["code"], e["index"]) for e in job["errors"]] == [("ALREADY_COMMISSIONED", 2)]


def test_report_policy_notes_findings(gateway: Gateway) -> None:
    """Foreign data refused, or accepted without a note."""
    event = commissioned()
    gateway.capture(document(event))
    job = gateway.capture(document(again(event)))
    assert job["success"]
    assert job["findings"] >= 1


def test_ten_thousand_events_with_one_bad(gateway: Gateway) -> None:
    """A large document that loses its one error, or captures part of a rollback."""
    many = [
        object_event(epcList=[f"{GTIN}/21/L{n}"], action="ADD", bizStep="commissioning")
        for n in range(10_000)
    ]
    many[9_876]["eventTime"] = "2026-13-01T00:00:00Z"
    job = gateway.capture(document(*many))
    assert (job["events"], job["anchored"]) == (10_000, 0)
    assert [(e["code"], e["where"]) for e in job["errors"]] == [
        ("BAD_TIME", "/epcisBody/eventList/9876/eventTime")
    ]


def test_more_events_than_one_transaction_holds(gateway: Gateway) -> None:
    """Batches that lose or repeat events at their borders."""
    many = [
        object_event(epcList=[f"{GTIN}/21/B{n}"], action="ADD", bizStep="commissioning")
        for n in range(2_100)
    ]
    job = gateway.capture(document(*many), **{"GS1-Capture-Error-Behaviour": "proceed"})
    assert job["success"], job["errors"]
    assert (job["anchored"], job["duplicates"]) == (2_100, 0)
    with gateway.container.readmodel.read() as connection:
        hashes = {
            row.hash
            for row in connection.execute(select(events.c.hash).where(events.c.party == MAKER))
        }
    wanted = {event_hash(event)[14:78] for event in many}
    assert wanted <= hashes


def test_acting_for_another_party(gateway: Gateway) -> None:
    """A delegation that does not reach the chain, or one that was never given."""
    event = commissioned()
    job = gateway.capture(document(event), **{"Tracemark-Actor": FARMER})
    assert job["success"], job["errors"]
    with gateway.container.readmodel.read() as connection:
        row = connection.execute(
            select(events).where(events.c.hash == event_hash(event)[14:78])
        ).one()
    assert (row.party, row.submitted_by) == (FARMER, MAKER)
    refused = gateway.capture(document(commissioned()), **{"Tracemark-Actor": BUYER})
    assert [e["code"] for e in refused["errors"]] == ["NOT_DELEGATED"]


def test_carbon_goes_along(gateway: Gateway) -> None:
    """A carbon record dropped on the way, or its decimals sent as floats."""
    event = commissioned(
        **{
            "tm:country": "NL",
            "tm:carbon": [
                {
                    "stage": "production",
                    "activity": {"amount": 12.5, "unit": "KWH"},
                    "factor": {"id": "grid-nl", "version": "2025", "value_mg_per_unit": 1000},
                    "co2e_mg": 12500,
                }
            ],
        }
    )
    context = [CONTEXT, {"tm": "urn:tracemark:ns:"}]
    job = gateway.capture(document(event, context=context))
    assert job["success"], job["errors"]
    with gateway.container.readmodel.read() as connection:
        row = connection.execute(
            select(events.c.record).where(events.c.hash == event_hash(event, context)[14:78])
        ).one()
    carbon = orjson.loads(row.record)["carbon"]
    assert carbon[0]["activity"]["amount"] == "12.5"
    assert carbon[0]["co2e_mg"] == 12500


def test_single_event(gateway: Gateway) -> None:
    """POST /events that does not wait, or does not give the event's place."""
    event = commissioned(**{"@context": {"x": "https://example.com/x/"}, "x:note": "a"})
    answer = gateway.post("/events", event)
    assert answer.status_code == 201, answer.text
    assert answer.json() == event
    found = gateway.client.get(answer.headers["Location"], headers=gateway.headers())
    assert found.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"] == [event]
    bad = gateway.post("/events", commissioned(action="MAYBE"))
    assert bad.status_code == 400
    assert bad.json()["type"] == "epcisException:ValidationException"
    assert bad.json()["errors"][0]["where"] == "/action"
    two = gateway.post("/events", [commissioned(), commissioned()])
    assert two.status_code == 400


def test_single_event_refused_by_rule(gateway: Gateway, enforced: str) -> None:
    """A refusal of the chain answered as success."""
    event = commissioned(epcList=[enforced + "S1"])
    assert gateway.post("/events", event).status_code == 201
    refused = gateway.post("/events", again(event))
    assert refused.status_code == 422
    assert refused.json()["code"] == "ALREADY_COMMISSIONED"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "code"),
    [
        (b"<epcis:EPCISDocument/>", "application/xml", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"<epcis:EPCISDocument/>", "text/xml; charset=utf-8", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"a,b", "text/csv", 415, "UNSUPPORTED_MEDIA_TYPE"),
        (b"{", "application/json", 400, "DOCUMENT_SYNTAX"),
        (b'{"a":1,"a":2}', "application/json", 400, "DUPLICATE_KEY"),
        (b'{"a":NaN}', "application/ld+json", 400, "DOCUMENT_SYNTAX"),
        (b"[" * 3000, "application/json", 400, None),
        (b'{"type":"EPCISDocument"}', "application/json", 400, "NOT_EPCIS"),
        (json.dumps(document(object_event(), **{"@context": None})).encode(),
         "application/json", 400, "EPCIS_INVALID"),
        (b" " * (65 << 20), "application/json", 413, None),
    ],
)  # fmt: skip
def test_wrong_bodies(
    gateway: Gateway, body: bytes, content_type: str, status: int, code: str | None
) -> None:
    """A hostile or mistaken body that is taken, or refused without a code."""
    answer = gateway.client.post(
        "/epcis/v2/capture",
        content=body,
        headers={**gateway.headers(), "Content-Type": content_type},
    )
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert code is None or answer.json()["code"] == code


def test_wrong_headers(gateway: Gateway) -> None:
    """A version or behaviour this gateway does not know taken for one it does."""
    body = document(commissioned())
    assert gateway.post("/capture", body, **{"GS1-EPCIS-Version": "1.2"}).status_code == 406
    wrong = gateway.post("/capture", body, **{"GS1-Capture-Error-Behaviour": "maybe"})
    assert wrong.status_code == 400
    nobody = gateway.client.post("/epcis/v2/capture", json=body)
    assert nobody.status_code == 401


def test_key_kept_by_its_user(gateway: Gateway) -> None:
    """A capture accepted for a caller whose key is not here, to fail only later."""
    signer = gateway.container.wallet.get("TradersMSP", "carrier")
    assert signer is not None
    gateway.container.wallet.remove("TradersMSP", "carrier")
    try:
        gateway.container.authenticator.forget()
        answer = gateway.post("/capture", document(commissioned()), "carrier")
        assert answer.status_code == 403
        assert answer.json()["code"] == "KEY_NOT_HELD"
    finally:
        gateway.container.wallet.put("carrier", signer)
        gateway.container.authenticator.forget()


def test_batches_by_bytes() -> None:
    """A transaction beyond what the ledger takes, or an event in no batch."""
    prepared = [PreparedEvent(n, f"/{n}", "ni:", b"{}", {}, [], size=5_000_000) for n in range(5)]
    cut = list(batches(prepared, 1000))
    assert [len(batch) for batch in cut] == [2, 2, 1]
    assert [event.index for batch in cut for event in batch] == [0, 1, 2, 3, 4]
    assert list(batches([], 10)) == []


def test_jobs_survive_a_restart(tmp_path: Path) -> None:
    """A job that was accepted (202) and is forgotten when the process is killed."""
    home = tmp_path / "home"
    body = json.dumps(document(commissioned(), commissioned())).encode()
    with running_gateway(home) as running:
        jobs = CaptureJobs(running.container)
        jobs._closing.set()  # accepts, but starts nothing: as if killed right after the 202
        job = jobs.submit(
            body,
            as_document(json.loads(body)),
            Sender("MakersMSP", "maker", MAKER),
            "rollback",
        )
        assert jobs.store.get(job.id) is not None
        assert running.get(f"/capture/{job.id}").json()["running"] is True
    with running_gateway(home) as running:
        deadline = time.monotonic() + 30
        while running.get(f"/capture/{job.id}").json()["running"]:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        finished = running.get(f"/capture/{job.id}").json()
        assert finished["success"], finished["errors"]
        assert finished["anchored"] == 2
        assert not list((home / "gateway" / "captures").iterdir())
        # Killed after the events were committed, before the job's row said so:
        folder = home / "gateway" / "captures"
        (folder / f"{job.id}.json").write_bytes(body)
        meta = {"msp": "MakersMSP", "user": "maker", "party": MAKER, "actor": ""}
        (folder / f"{job.id}.meta").write_bytes(orjson.dumps({**meta, "behaviour": "rollback"}))
        with running.container.state.begin() as connection:
            connection.execute(update(capture_jobs).values(running=True, finished_ms=None))
        jobs = running.container.parts["capture_jobs"]
        assert jobs.resume() == 1
        assert jobs.wait(job.id, 30)
        finished = running.get(f"/capture/{job.id}").json()
        assert (finished["anchored"], finished["duplicates"]) == (2, 2)


def test_jobs_of_a_party_keep_their_order(gateway: Gateway, enforced: str) -> None:
    """A shipment that overtakes the commissioning sent right before it."""
    locations = []
    for number in range(12):
        thing = commissioned(epcList=[f"{enforced}O{number}"])
        packed = {
            **aggregated(thing["epcList"][0], number),
            "eventTime": "2026-03-01T09:00:00.000+01:00",
        }
        for event in (thing, packed):
            answer = gateway.post("/capture", document(event))
            locations.append(answer.headers["Location"].rpartition("/")[2])
    jobs = gateway.container.parts["capture_jobs"]
    for job_id in locations:
        assert jobs.wait(job_id, 60)
        job = gateway.get(f"/capture/{job_id}").json()
        assert job["success"], job["errors"]
    assert jobs.running == 0


def aggregated(child: str, number: int) -> dict[str, Any]:
    body = f"0952123450000{number:04d}"
    return {
        "type": "AggregationEvent",
        "eventTimeZoneOffset": "+01:00",
        "action": "ADD",
        "bizStep": "packing",
        "parentID": f"https://id.gs1.org/00/{body}{check_digit(body)}",
        "childEPCs": [child],
    }


def test_two_gateways_of_one_home(gateway: Gateway) -> None:
    """One job worked off by two processes at once."""
    body = json.dumps(document(commissioned())).encode()
    waiting = CaptureJobs(gateway.container)
    waiting._closing.set()
    sender = Sender("MakersMSP", "maker", MAKER)
    job = waiting.submit(body, as_document(json.loads(body)), sender, "rollback")
    meta = gateway.container.home / "gateway" / "captures" / f"{job.id}.meta"
    other = CaptureJobs(gateway.container)
    with meta.open("rb") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        assert other.resume() == 1
        assert other.wait(job.id, 10)
        assert gateway.get(f"/capture/{job.id}").json()["running"] is True
    assert other.resume() == 1
    assert other.wait(job.id, 30)
    assert gateway.get(f"/capture/{job.id}").json()["anchored"] == 1
    other.close()


def test_full_disk(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """A capture answered 202 although its body could not be kept."""

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    folder = gateway.container.home / "gateway" / "captures"
    before = sorted(folder.iterdir())
    with monkeypatch.context() as patched:
        patched.setattr("gateway.epcis.job_store.os.fsync", full)
        answer = gateway.post("/capture", document(commissioned()))
    assert answer.status_code == 507
    assert answer.json()["code"] == "STORAGE_UNAVAILABLE"
    assert sorted(folder.iterdir()) == before
    assert gateway.capture(document(commissioned()))["success"]


def test_disclosure_decides_who_reads(gateway: Gateway) -> None:
    """A payload shown to a party its owner keeps it from."""
    context = [CONTEXT, {"tm": "urn:tracemark:ns:"}]
    event = commissioned(**{"tm:disclosure": "confidential"})
    epc = event["epcList"][0]
    assert gateway.capture(document(event, context=context))["success"]
    assert gateway.events(MATCH_epc=epc) == [event]
    denied = gateway.get("/events", "buyer", MATCH_epc=epc)
    assert denied.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"] == []
    assert denied.headers["Tracemark-Withheld"] == "1"
    path = "/events/" + event_hash(event, context)[14:78]
    assert gateway.get(path, "buyer").status_code == 403
    assert gateway.get(path, "inspector").status_code == 403
    basis = {"Tracemark-Legal-Basis": "(EU) 2017/625 Art. 15"}
    allowed = gateway.get(path, "inspector", headers=basis)
    assert allowed.status_code == 200, allowed.text


def test_parties_are_named_in_projection(gateway: Gateway) -> None:
    """A shipment whose receiver the chain does not learn."""
    event = commissioned()
    gateway.capture(document(event))
    ship = object_event(
        epcList=event["epcList"],
        eventTime="2026-03-02T08:30:00.000+01:00",
        destinationList=[
            {"type": "possessing_party", "destination": "urn:epc:id:pgln:9521235.00001"}
        ],
    )
    assert gateway.capture(document(ship))["success"]
    found = gateway.events(EQ_destination_possessing_party=CARRIER)
    assert ship in found
