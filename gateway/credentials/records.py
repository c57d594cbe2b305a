"""The chain's records (docs/design/contract.md) as the verifier and the pages read them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from gateway.credentials.port import Anchor, ProductState

Record = Mapping[str, Any]

_STATES = {
    "recalled": "recalled",
    "stolen": "stolen",
    "destroyed": "destroyed",
    "retired": "destroyed",
    "dispensed": "dispensed",
    "consumed": "consumed",
}


def anchor_of(record: Record) -> Anchor:
    """A certificate record of the chain as the verifier reads it."""
    return Anchor(
        issuer=record["issuer"],
        digest=record["digest"],
        subject=record["subject"],
        status=record["status"],
        anchored_ms=record["time_ms"],
        changed_ms=record.get("changed_ms", record["time_ms"]),
        reason=record.get("reason", ""),
        superseded_by=record.get("superseded_by"),
        valid_from_ms=record.get("valid_from_ms"),
        valid_until_ms=record.get("valid_until_ms"),
        tx_id=record["tx_id"],
        licence=record.get("licence") or None,
    )


def state_of(record: Record, recalled_share: bool, now_ms: int) -> ProductState:
    """An item or lot record as check 8 sees it; expired after the end of the printed day."""
    expiry = record.get("expiry")
    status = "recalled" if recalled_share else record["status"]
    since = record.get("moved_ms")
    if status in _STATES:
        return ProductState(_STATES[status], since, expiry)
    ends = expiry_ms(expiry)
    if ends is not None and now_ms >= ends:
        return ProductState("expired", ends, expiry)
    return ProductState("ok", since, expiry)


def expiry_ms(text: str | None) -> int | None:
    """The first instant after the day `text` (YYYY-MM-DD) everywhere on earth (UTC-12)."""
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    end = datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1, hours=12)
    return round(end.timestamp() * 1000)


def footprint_value(record: Record) -> tuple[str, str] | None:
    """(amount, unit) a certificate states: milligrams CO2e per unit where known, else in total."""
    per_unit = record.get("per_unit")
    if per_unit and per_unit["co2e_mg"]:
        return str(per_unit["co2e_mg"]), f"mg CO2e/{per_unit['unit']}"
    total = record.get("co2e_mg")
    return (str(total), "mg CO2e") if total and not per_unit else None
