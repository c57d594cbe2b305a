"""What an event does to goods, decided from its action, business step and disposition.

CBV 2.0 §7.1 (business steps), §7.2 (dispositions); EPCIS 2.0 §7.3 (actions). The tables are
the rules; :func:`operation_of` reads them.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

COMMISSION: Final = "commission"
REMOVE: Final = "remove"
SHIP: Final = "ship"
RECEIVE: Final = "receive"
UNSHIP: Final = "void shipment"
RECALL: Final = "recall"
HANDLE: Final = "handle"

MAKERS: Final = frozenset({"producer", "processor", "brand"})
HANDLERS: Final = frozenset(
    {"producer", "processor", "brand", "carrier", "warehouse", "retailer", "customs"}
)
OBSERVERS: Final = frozenset(
    {"carrier", "warehouse", "certifier", "customs", "regulator", "auditor"}
)
SERVICE: Final = frozenset({"brand", "retailer", "producer", "processor"})

SHIPPING: Final = frozenset({"shipping", "consigning"})
RECEIVING: Final = frozenset({"receiving", "accepting"})
RETURNED: Final = frozenset({"returned", "recalled", "expired", "damaged", "non_sellable_other"})
# A packed child does none of these without its container.
MOVING_STEPS: Final = frozenset(
    {
        "shipping",
        "consigning",
        "receiving",
        "accepting",
        "departing",
        "arriving",
        "loading",
        "unloading",
        "transporting",
        "dispensing",
        "retail_selling",
        "destroying",
        "decommissioning",
    }
)
HOLDING_STEPS: Final = frozenset(
    {
        "holding",
        "storing",
        "inspecting",
        "sampling",
        "sensor_reporting",
        "stock_taking",
        "cycle_counting",
        "staging_outbound",
        "loading",
        "unloading",
        "departing",
        "arriving",
        "transporting",
        "entering_exiting",
        "collecting",
    }
)

# disposition or step: the status the goods end in
_BY_DISPOSITION: Final = {
    "destroyed": "destroyed",
    "disposed": "destroyed",
    "dispensed": "dispensed",
    "retail_sold": "sold",
    "stolen": "stolen",
}
_BY_STEP: Final = {
    "destroying": "destroyed",
    "decommissioning": "retired",
    "retail_selling": "sold",
    "dispensing": "dispensed",
}

OPEN: Final = frozenset({"active", "in_transit"})
# status: what is still accepted
ALLOWED_AFTER: Final[dict[str, frozenset[str]]] = {
    "recalled": frozenset(
        {"return", "receive", "hold", "destroy", "retire", "recall", "pack", "unpack"}
    ),
    "sold": frozenset(
        {"receive", "transfer", "hold", "handle", "destroy", "retire", "recall", "steal", "return"}
    ),
    "stolen": frozenset({"receive", "hold", "destroy", "recall"}),
    "dispensed": frozenset({"destroy", "recall"}),
    "retired": frozenset({"destroy"}),
    "destroyed": frozenset(),
    "consumed": frozenset(),
}
_REMOVAL_GATE: Final = {
    "destroyed": "destroy",
    "retired": "retire",
    "sold": "sell",
    "dispensed": "dispense",
    "stolen": "steal",
}


@dataclass(frozen=True, slots=True)
class Operation:
    """What an event does: `kind`, the `status` goods end in (REMOVE), the `gate` it must pass
    where goods are no longer open (a word of ALLOWED_AFTER), and whether goods move by it."""

    kind: str
    status: str
    gate: str
    moves: bool
    step: str


@lru_cache(maxsize=4_096)
def operation_of(action: str | None, step: str | None, disposition: str | None) -> Operation:
    """The operation of an ObjectEvent (or of the movement part of another event)."""
    step, disposition = step or "", disposition or ""
    if action == "ADD":
        return Operation(COMMISSION, "active", "commission", False, step)
    status = _BY_DISPOSITION.get(disposition) or _BY_STEP.get(step, "")
    if disposition == "partially_dispensed":
        status = ""
    if action == "DELETE":
        status = status or "retired"
    if status and step not in SHIPPING and step not in RECEIVING:
        return Operation(REMOVE, status, _REMOVAL_GATE[status], True, step)
    if step in SHIPPING:
        gate = "return" if disposition in RETURNED else "ship"
        return Operation(SHIP, "", gate, True, step)
    if step in RECEIVING:
        return Operation(RECEIVE, "", "receive", True, step)
    if step == "void_shipping":
        return Operation(UNSHIP, "", "receive", True, step)
    if disposition == "recalled":
        return Operation(RECALL, "recalled", "recall", False, step)
    gate = "hold" if step in HOLDING_STEPS else "handle"
    return Operation(HANDLE, "", gate, step in MOVING_STEPS, step)


def accepted_after(status: str) -> str:
    """The sentence part that says what goods of this status still accept."""
    allowed = sorted(ALLOWED_AFTER[status])
    return ", ".join(allowed) if allowed else "nothing but an error declaration"
