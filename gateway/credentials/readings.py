"""How a certificate's facts are read from ledger records, when it is issued and when it is checked.

A reading is a pure function of one record, so the same code that took a fact from an event can show
years later that the event still says so. Records are the JSON values on the chain
(docs/design/contract.md).

    of the identifier   gtin, lot, serial
    of the product      product-name, product-brand
    of the first events of its materials   origin-country, origin-date, origin-party, origin-product
    of the event that made it              made-country, made-date, made-party, quantity, expiry
    of its carbon records                  footprint
    of a check that a claim names          inspection
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from chaincode.identifiers import parse

Record = Mapping[str, Any]

INSPECTION = "inspection"
"""Reading of a declared claim's evidence: the named checker recorded an inspection."""
INSPECTING = frozenset({"inspecting", "sampling", "certifying"})

ORIGIN = frozenset({"origin-country", "origin-date", "origin-party", "origin-product"})
MADE = frozenset({"made-country", "made-date", "made-party", "quantity", "expiry"})
IDENTIFIER = frozenset({"gtin", "lot", "serial"})
PRODUCT = frozenset({"product-name", "product-brand"})
FOOTPRINT = "footprint"
NAMES = ORIGIN | MADE | IDENTIFIER | PRODUCT | {FOOTPRINT}


def of_identifier(reading: str, subject: str) -> str | None:
    """gtin, lot or serial of a canonical identifier."""
    found = parse(subject)
    return {"gtin": found.gtin, "lot": found.lot, "serial": found.serial}[reading]


def of_product(reading: str, product: Record) -> str | None:
    """Name or brand in a product record."""
    return product.get("name" if reading == "product-name" else "brand")


def of_event(reading: str, event: Record, subject: str) -> tuple[str, str | None] | None:
    """(value, unit) of an event record, or None where it does not say.

    For a party the value is its id; for ``origin-product`` the identifier that was made.
    """
    read = _EVENT_READINGS.get(reading.removeprefix("origin-").removeprefix("made-"))
    return read(event, subject) if read else None


def made_by_event(projection: Record) -> list[str]:
    """Identifiers an event brought into being: outputs, or what an ADD commissioned."""
    if projection["type"] == "TransformationEvent":
        return [*projection.get("outputs", ()), *_ids(projection, "output_quantities")]
    if projection["type"] == "ObjectEvent" and projection.get("action") == "ADD":
        return [*projection.get("epcs", ()), *_ids(projection, "quantities")]
    return []


def inspected_by(party: str, event: Record) -> bool:
    """Whether the event is an inspection recorded by `party`."""
    return event["party"] == party and event["projection"].get("step") in INSPECTING


def local_time(projection: Record) -> datetime:
    """Event time with the event's own zone offset ("+02:00"), UTC where it states none."""
    at = datetime.fromtimestamp(projection["time_ms"] / 1000, UTC)
    zone = projection.get("tz", "")
    if len(zone) == 6 and zone[0] in "+-":
        minutes = int(zone[1:3]) * 60 + int(zone[4:6])
        at += timedelta(minutes=minutes if zone[0] == "+" else -minutes)
    return at


def _ids(projection: Record, name: str) -> list[str]:
    return [entry["id"] for entry in projection.get(name, ())]


def _country(event: Record, subject: str) -> tuple[str, str | None] | None:
    country = event["projection"].get("country")
    return (country, None) if country else None


def _date(event: Record, subject: str) -> tuple[str, str | None] | None:
    return local_time(event["projection"]).strftime("%Y-%m-%d"), None


def _party(event: Record, subject: str) -> tuple[str, str | None] | None:
    return event["party"], None


def _product(event: Record, subject: str) -> tuple[str, str | None] | None:
    made = made_by_event(event["projection"])
    return (made[0], None) if made else None


def _expiry(event: Record, subject: str) -> tuple[str, str | None] | None:
    expiry = event["projection"].get("expiry")
    return (expiry, None) if expiry else None


def _quantity(event: Record, subject: str) -> tuple[str, str | None] | None:
    projection = event["projection"]
    for name in ("output_quantities", "quantities"):
        for entry in projection.get(name, ()):
            if entry["id"] == subject and "qty" in entry:
                return entry["qty"], entry.get("unit", "EA")
    return None


_EVENT_READINGS: Mapping[str, Callable[[Record, str], tuple[str, str | None] | None]] = {
    "country": _country,
    "date": _date,
    "party": _party,
    "product": _product,
    "expiry": _expiry,
    "quantity": _quantity,
}
