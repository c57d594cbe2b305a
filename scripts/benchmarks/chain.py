"""The trace scenario: one product, 27 intermediaries in 5 countries, 240 documents.

Every intermediary receives a lot, checks and stores it, makes a lot of its own from it and ships
that on: one EPCIS document a step. The last one's lot is traced up to its origin.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from network import ORGANISATIONS, Bench
from submit import EPCIS_CONTEXT

from gateway.epcis.capture import PROCEED, Capturer
from gateway.epcis.document import read_document
from gateway.epcis.prepare import prepare
from gateway.payloads import LocalPayloads
from nodes.identity.issue import issue_user

PARTIES = 27
COUNTRIES = ("BR", "PT", "DE", "PL", "FR")
DOCUMENTS = 240
PRODUCT_OF = "0952123500{:03d}"
KILOGRAMS = 1000


@dataclass(frozen=True, slots=True)
class Step:
    """One document and who captures it."""

    party: int
    event: dict[str, Any]


def gtin(party: int) -> str:
    """A GTIN-14 for the party's product, check digit by GS1 General Specifications 7.9."""
    digits = PRODUCT_OF.format(party)
    total = sum(int(d) * (3 if n % 2 == 0 else 1) for n, d in enumerate(reversed(digits)))
    return digits + str(-total % 10)


def lot(party: int) -> str:
    """The lot the party makes."""
    return f"https://id.gs1.org/01/{gtin(party)}/10/L{party:02d}"


def party_id(party: int) -> str:
    """Network-issued id of the party."""
    return f"urn:tracemark:party:link-{party:02d}"


def organisation(party: int) -> str:
    """The X.509 organisation that hosts the party."""
    return ORGANISATIONS[party % len(ORGANISATIONS)]


def steps() -> Iterator[Step]:
    """240 documents in order of time."""
    observations = DOCUMENTS - (3 * PARTIES - 2)
    minute = 0

    def event(party: int, kind: str, **fields: Any) -> Step:
        nonlocal minute
        minute += 7
        day, rest = divmod(minute, 1440)
        body = {
            "type": kind,
            "eventTime": f"2026-02-{day + 1:02d}T{rest // 60:02d}:{rest % 60:02d}:00.000Z",
            "eventTimeZoneOffset": "+00:00",
            "tm:country": COUNTRIES[party * len(COUNTRIES) // PARTIES],
            **fields,
        }
        return Step(party, body)

    def quantity(identifier: str) -> list[dict[str, Any]]:
        return [{"epcClass": identifier, "quantity": KILOGRAMS, "uom": "KGM"}]

    for party in range(PARTIES):
        if party == 0:
            yield event(
                0,
                "ObjectEvent",
                action="ADD",
                bizStep="commissioning",
                quantityList=quantity(lot(0)),
            )
        else:
            yield event(
                party,
                "ObjectEvent",
                action="OBSERVE",
                bizStep="receiving",
                quantityList=quantity(lot(party - 1)),
                sourceList=[_end("source", party - 1)],
                destinationList=[_end("destination", party)],
            )
        share = observations // PARTIES + (party < observations % PARTIES)
        for _ in range(share):
            yield event(
                party,
                "ObjectEvent",
                action="OBSERVE",
                bizStep="inspecting",
                quantityList=quantity(lot(max(party - 1, 0))),
            )
        if party:
            yield event(
                party,
                "TransformationEvent",
                bizStep="commissioning",
                inputQuantityList=quantity(lot(party - 1)),
                outputQuantityList=quantity(lot(party)),
            )
        if party < PARTIES - 1:
            yield event(
                party,
                "ObjectEvent",
                action="OBSERVE",
                bizStep="shipping",
                disposition="in_transit",
                quantityList=quantity(lot(party)),
                sourceList=[_end("source", party)],
                destinationList=[_end("destination", party + 1)],
            )


def _end(end: str, party: int) -> dict[str, str]:
    return {"type": "possessing_party", end: party_id(party)}


def load(bench: Bench) -> int:
    """Register the parties and products and capture every document; returns how many."""
    signers = []
    for party in range(PARTIES):
        signer = issue_user(
            bench.home,
            organisation(party),
            f"link-{party:02d}",
            attrs={"tracemark.party": party_id(party)},
        )
        signers.append(signer)
        bench.client.submit_and_wait(
            bench.authority,
            "participant:register",
            {
                "id": party_id(party),
                "name": f"Link {party}",
                "msp": signer.msp_id,
                "roles": ["producer", "processor", "warehouse", "carrier"],
                "country": COUNTRIES[party * len(COUNTRIES) // PARTIES],
            },
        )
        bench.client.submit_and_wait(
            signer,
            "product:define",
            {"gtin": gtin(party), "name": f"Product {party}", "mode": "enforce", "unit": "KGM"},
        )
    payloads = LocalPayloads.of(bench.network)
    count = 0
    for step in steps():
        event = step.event
        document = {
            "@context": [*EPCIS_CONTEXT, {"tm": "urn:tracemark:ns:"}],
            "type": "EPCISDocument",
            "schemaVersion": "2.0",
            "creationDate": event["eventTime"],
            "epcisBody": {"eventList": [event]},
        }
        prepared, faults = prepare(read_document(orjson.dumps(document)))
        signer = signers[step.party]
        capturer = Capturer(bench.client, payloads, signer, signer.msp_id, party_id(step.party))
        outcome = capturer.run(prepared, PROCEED)
        if faults or outcome.refused:
            raise RuntimeError(f"document {count}: {(faults or outcome.refused)[0]}")
        count += 1
    return count


def subject() -> str:
    """The identifier to trace: the last party's lot."""
    return lot(PARTIES - 1)
