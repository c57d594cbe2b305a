"""The public projection: what of an EPCIS event the chain sees.

The one place that decides it. :func:`project` is pure; the gateway calls it before anchoring and
fsck and audits call it again on the stored payload and compare. It reads EPCIS 2.0 JSON/JSON-LD
(EPCIS 2.0 §7, §10), never refuses an event for its content, and leaves out prices, documents,
sensor values, free text and unknown extensions. Identifiers become canonical; an identifier that
cannot be read stays as written, so that the contract can name it in a finding.

Its numbers are integers or plain decimal strings; a JSON number is written out exactly as its
shortest decimal form.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any, Final

from chaincode.errors import IdentifierError
from chaincode.identifiers import as_party, canonical

VERSION: Final = 1
EVENT_TYPES: Final = frozenset(
    {
        "ObjectEvent",
        "AggregationEvent",
        "TransactionEvent",
        "TransformationEvent",
        "AssociationEvent",
    }
)
EXTENDED: Final = "ExtendedEvent"
PARTY_TYPES: Final = frozenset({"possessing_party", "owning_party"})
NAMESPACE: Final = "urn:tracemark:ns:"

# EPCIS name, projection name
_ID_LISTS: Final = (
    ("epcList", "epcs"),
    ("childEPCs", "children"),
    ("inputEPCList", "inputs"),
    ("outputEPCList", "outputs"),
)
_QUANTITY_LISTS: Final = (
    ("quantityList", "quantities"),
    ("childQuantityList", "child_quantities"),
    ("inputQuantityList", "input_quantities"),
    ("outputQuantityList", "output_quantities"),
)
_EXPIRY_NAMES: Final = (
    "itemExpirationDate",
    "expirationDate",
    "expiryDate",
    "bestBeforeDate",
    "sellByDate",
)
_CBV_NAME: Final = re.compile(
    r"(?:urn:epcglobal:cbv:(?:bizstep|disp|btt|sdt|er):"
    r"|https?://(?:ref|ns)\.gs1\.org/cbv/(?:BizStep|Disp|BTT|SDT|ER)-"
    r"|cbv:(?:BizStep|Disp|BTT|SDT|ER)-)([A-Za-z_]+)\Z"
)
_TIME: Final = re.compile(
    r"(-?\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|z|[+-]\d\d:?\d\d)?\Z", re.ASCII
)
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

Projection = dict[str, Any]


def project(event: dict[str, Any]) -> Projection:
    """The public projection of one EPCIS event (shape: docs/design/contract.md, Projection).

    `event` is the parsed JSON object. Missing and unreadable parts are left out; only a value
    that is no dict raises (TypeError).
    """
    if not isinstance(event, dict):
        raise TypeError("an event is a JSON object")
    found: Projection = {"v": VERSION}
    kind = _short(_text(event.get("type") or event.get("@type") or event.get("isA")))
    if kind in EVENT_TYPES:
        found["type"] = kind
    else:
        found["type"] = EXTENDED
        found["extra_type"] = kind or "unknown"
    _put(found, "event_id", _text(event.get("eventID")))
    _put(found, "action", _text(event.get("action")))
    time_ms = epoch_ms(_text(event.get("eventTime")), _text(event.get("eventTimeZoneOffset")))
    found["time_ms"] = time_ms if time_ms is not None else 0
    _put(found, "tz", _text(event.get("eventTimeZoneOffset")))
    _put(found, "step", cbv_name(_text(event.get("bizStep"))))
    _put(found, "disposition", cbv_name(_text(event.get("disposition"))))
    for name, short in _ID_LISTS:
        if name in event:
            _put(found, short, [_id(item) for item in _strings(event[name])])
    for name, short in _QUANTITY_LISTS:
        if name in event:
            _put(found, short, [_quantity(item) for item in _dicts(event[name], "epcClass")])
    if "parentID" in event:
        _put(found, "parent", _id(_text(event["parentID"])))
    if "transformationID" in event:
        _put(found, "transformation_id", _id(_text(event["transformationID"])))
    _put(found, "read_point", _place(event.get("readPoint")))
    _put(found, "location", _place(event.get("bizLocation")))
    _put(found, "country", _text(_own(event, "country")))
    if "sourceList" in event:
        _put(found, "from", _ends(event["sourceList"], "source"))
    if "destinationList" in event:
        _put(found, "to", _ends(event["destinationList"], "destination"))
    if "bizTransactionList" in event:
        _put(found, "transactions", _transactions(event["bizTransactionList"]))
    losses = _own(event, "loss")
    if losses:
        _put(found, "losses", [_loss(item) for item in _dicts(losses, "epcClass", "epc")])
    ilmd = event.get("ilmd")
    if isinstance(ilmd, dict):
        _put(found, "expiry", _expiry(ilmd))
    _put(found, "disclosure", _text(_own(event, "disclosure")))
    declaration = event.get("errorDeclaration")
    if isinstance(declaration, dict):
        found["error"] = _error(declaration)
    return found


def carbon_of(event: dict[str, Any]) -> list[dict[str, Any]]:
    """The event's `tm:carbon` records: subjects canonical, numbers as decimals; [] without any."""
    found = []
    for item in _dicts(_own(event, "carbon"), "stage"):
        record = dict(item)
        for part, name in (("activity", "amount"), ("factor", "value_mg_per_unit")):
            inner = record.get(part)
            if isinstance(inner, dict) and isinstance(inner.get(name), int | float):
                record[part] = {**inner, name: plain_decimal(inner[name]) or "NaN"}
        if "subjects" in record:
            record["subjects"] = [_id(text) for text in _strings(record["subjects"])]
        found.append(record)
    return found


def cbv_name(text: str) -> str:
    """The CBV 2.0 short name of a business step, disposition or type; other texts unchanged."""
    match = _CBV_NAME.match(text) if ":" in text else None
    return match.group(1) if match else text


def epoch_ms(text: str, zone: str = "") -> int | None:
    """Milliseconds UTC of an XML Schema dateTime; `zone` ("+02:00") where it has none itself."""
    match = _TIME.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour <= 24 and minute <= 59 and second <= 60):
        return None
    millis = int(((match.group(7) or "") + "000")[:3])
    offset = _offset_minutes(match.group(8) or zone or "Z")
    seconds = _days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
    return (seconds - offset * 60) * 1_000 + millis


def plain_decimal(value: object) -> str:
    """A JSON number or decimal text as a plain decimal string without trailing zeros.

    "" where it is no finite number of at most 60 digits.
    """
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value) if value.bit_length() < 200 else ""
    if isinstance(value, float):
        value = repr(value)
    elif not isinstance(value, str | Decimal):
        return ""
    try:
        number = Decimal(value)
    except InvalidOperation:
        return ""
    if not number.is_finite() or not -30 <= number.adjusted() <= 30:
        return "0" if number.is_zero() else ""
    text = format(number, "f")
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text if len(text) <= 62 else ""


def _put(found: Projection, name: str, value: object) -> None:
    if value:
        found[name] = value


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _short(text: str) -> str:
    return text[6:] if text.startswith("epcis:") else text


def _strings(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list):
        return []
    found = (item.get("id") if isinstance(item, dict) else item for item in value)
    return [item for item in found if isinstance(item, str) and item]


def _dicts(value: object, *required: str) -> Iterable[dict[str, Any]]:
    items = value if isinstance(value, list) else [value]
    for item in items:
        if isinstance(item, dict) and any(isinstance(item.get(name), str) for name in required):
            yield item


def _id(text: str) -> str:
    if not text:
        return ""
    try:
        return canonical(text)
    except IdentifierError:
        return text


def _own(event: dict[str, Any], name: str) -> Any:
    value = event.get(f"tm:{name}")
    return event.get(NAMESPACE + name) if value is None else value


def _quantity(item: dict[str, Any]) -> dict[str, str]:
    found = {"id": _id(item["epcClass"])}
    if "quantity" in item:
        found["qty"] = plain_decimal(item["quantity"]) or "NaN"
    _put(found, "unit", _text(item.get("uom")))
    return found


def _loss(item: dict[str, Any]) -> dict[str, str]:
    found = {"id": _id(_text(item.get("epcClass")) or _text(item.get("epc")))}
    if "quantity" in item:
        found["qty"] = plain_decimal(item["quantity"]) or "NaN"
    _put(found, "unit", _text(item.get("uom")))
    _put(found, "reason", _text(item.get("reason")))
    return found


def _place(value: object) -> str:
    return _id(_text(value.get("id")) if isinstance(value, dict) else _text(value))


def _ends(value: object, name: str) -> list[dict[str, str]]:
    """Sources or destinations: parties by their 417 form, locations by their 414 form."""
    found = []
    for item in _dicts(value, name):
        kind = cbv_name(_text(item.get("type")))
        read: Callable[[str], str] = _party if kind in PARTY_TYPES else _id
        target = read(item[name])
        found.append({"type": kind, "id": target} if kind else {"id": target})
    return found


def _party(text: str) -> str:
    try:
        return as_party(text)
    except IdentifierError:
        return text


def _transactions(value: object) -> list[dict[str, str]]:
    found = []
    for item in _dicts(value, "bizTransaction"):
        entry = {"id": _id(item["bizTransaction"])}
        _put(entry, "type", cbv_name(_text(item.get("type"))))
        found.append(entry)
    return found


def _expiry(ilmd: dict[str, Any]) -> str:
    for wanted in _EXPIRY_NAMES:
        for name in sorted(ilmd):
            if name.rpartition(":")[2] == wanted:
                value = ilmd[name]
                text = _text(value.get("@value") if isinstance(value, dict) else value)
                match = _DATE.match(text)
                if match:
                    return match.group()
    return ""


def _error(declaration: dict[str, Any]) -> dict[str, Any]:
    time_ms = epoch_ms(_text(declaration.get("declarationTime")))
    found: dict[str, Any] = {"time_ms": time_ms if time_ms is not None else 0}
    _put(found, "reason", cbv_name(_text(declaration.get("reason"))))
    found["corrective"] = _strings(declaration.get("correctiveEventIDs"))
    return found


def _offset_minutes(zone: str) -> int:
    if zone in ("Z", "z") or len(zone) < 5 or zone[0] not in "+-":
        return 0
    digits = zone[1:].replace(":", "")
    if len(digits) != 4 or not digits.isdigit():
        return 0
    minutes = int(digits[:2]) * 60 + int(digits[2:])
    return -minutes if zone[0] == "-" else minutes


@lru_cache(maxsize=4_096)
def _days(year: int, month: int, day: int) -> int:
    """Days from 1970-01-01 in the proleptic Gregorian calendar."""
    year -= month <= 2
    era = year // 400
    year_of_era = year - era * 400
    day_of_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    day_of_era = year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year
    return era * 146_097 + day_of_era - 719_468
