"""A short supply chain as EPCIS events: harvest, milling, pallet, voyage, roasting, bags, shop."""

from __future__ import annotations

from typing import Any

from tests.gateway.running import Gateway, party

CHERRY = "https://id.gs1.org/01/09521234000013/10/CHERRY-1"
GREEN = "https://id.gs1.org/01/09521234000020/10/GREEN-1"
ROASTED = "https://id.gs1.org/01/09521234000037/10/ROAST-1"
PALLET = "https://id.gs1.org/00/095212340000000013"
STEPS = {
    "harvest": ("farm", "2026-03-01T08:00:00.000-05:00"),
    "to_mill": ("farm", "2026-03-02T08:00:00.000-05:00"),
    "at_mill": ("mill", "2026-03-02T15:00:00.000-05:00"),
    "milling": ("mill", "2026-03-05T08:00:00.000-05:00"),
    "palletise": ("mill", "2026-03-06T08:00:00.000-05:00"),
    "to_roaster": ("mill", "2026-03-07T08:00:00.000-05:00"),
    "at_roaster": ("roaster", "2026-03-25T08:00:00.000+01:00"),
    "depalletise": ("roaster", "2026-03-26T08:00:00.000+01:00"),
    "roasting": ("roaster", "2026-03-27T08:00:00.000+01:00"),
}


def event(name: str, **fields: Any) -> dict[str, Any]:
    """One of the steps above as an EPCIS event."""
    time = STEPS[name][1]
    return {
        "type": "ObjectEvent",
        "eventTime": time,
        "eventTimeZoneOffset": time[-6:],
        **fields,
    }


def amount(lot: str, kilograms: float) -> dict[str, Any]:
    return {"epcClass": lot, "quantity": kilograms, "uom": "KGM"}


def handed(source: str, destination: str) -> dict[str, Any]:
    return {
        "sourceList": [{"type": "possessing_party", "source": party(source)}],
        "destinationList": [{"type": "possessing_party", "destination": party(destination)}],
    }


def events() -> dict[str, dict[str, Any]]:
    """All steps by name, in order."""
    return {
        "harvest": event(
            "harvest", action="ADD", bizStep="commissioning", disposition="active",
            quantityList=[amount(CHERRY, 1000)], **{"tm:country": "CO"},
        ),
        "to_mill": event(
            "to_mill", action="OBSERVE", bizStep="shipping", disposition="in_transit",
            quantityList=[amount(CHERRY, 1000)], **handed("farm", "mill"),
        ),
        "at_mill": event(
            "at_mill", action="OBSERVE", bizStep="receiving", disposition="in_progress",
            quantityList=[amount(CHERRY, 1000)], **handed("farm", "mill"),
        ),
        "milling": event(
            "milling", type="TransformationEvent", bizStep="creating_class_instance",
            inputQuantityList=[amount(CHERRY, 1000)], outputQuantityList=[amount(GREEN, 180)],
            **{"tm:country": "CO",
               "tm:loss": [{"epcClass": CHERRY, "quantity": 820, "uom": "KGM", "reason": "husk"}]},
        ),
        "palletise": event(
            "palletise", type="AggregationEvent", action="ADD", bizStep="packing",
            parentID=PALLET, childQuantityList=[amount(GREEN, 180)],
        ),
        "to_roaster": event(
            "to_roaster", action="OBSERVE", bizStep="shipping", disposition="in_transit",
            epcList=[PALLET], **handed("mill", "roaster"),
        ),
        "at_roaster": event(
            "at_roaster", action="OBSERVE", bizStep="receiving", disposition="in_progress",
            epcList=[PALLET], **handed("mill", "roaster"),
        ),
        "depalletise": event(
            "depalletise", type="AggregationEvent", action="DELETE", bizStep="unpacking",
            parentID=PALLET, childQuantityList=[amount(GREEN, 180)],
        ),
        "roasting": event(
            "roasting", type="TransformationEvent", bizStep="creating_class_instance",
            inputQuantityList=[amount(GREEN, 180)], outputQuantityList=[amount(ROASTED, 150)],
            **{"tm:country": "DE",
               "tm:loss": [{"epcClass": GREEN, "quantity": 30, "uom": "KGM", "reason": "water"}]},
        ),
    }  # fmt: skip


def capture_all(gateway: Gateway, *, without: tuple[str, ...] = ()) -> None:
    """Capture every step as its party."""
    for name, body in events().items():
        if name not in without:
            gateway.capture(STEPS[name][0], body)
