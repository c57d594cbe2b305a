"""EPCIS 2.0 XML to the neutral tree the event hash works on (for tests of equality only).

Names of elements in a namespace become ``{namespace}local``; lists, quantities, sources and the
like take the shape of the JSON binding. Attributes become fields.
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree

_EPC_LISTS = {"epcList", "childEPCs", "inputEPCList", "outputEPCList"}
_QUANTITIES = {"quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"}
_TYPED = {"bizTransactionList", "sourceList", "destinationList"}
_WRAPPERS = {"extension", "baseExtension"}


def events(text: str) -> list[dict[str, Any]]:
    root = ElementTree.fromstring(text)
    for holder in root.iter("EventList"):
        return [_event(child) for child in _flat(holder)]
    return []


def _flat(element: ElementTree.Element) -> list[ElementTree.Element]:
    out: list[ElementTree.Element] = []
    for child in element:
        out.extend(_flat(child) if child.tag in _WRAPPERS else [child])
    return out


def _event(element: ElementTree.Element) -> dict[str, Any]:
    event: dict[str, Any] = {"type": element.tag}
    for child in _flat(element):
        name = child.tag
        if name in _EPC_LISTS:
            event[name] = [_text(epc) for epc in child]
        elif name in _QUANTITIES:
            event[name] = [{part.tag: _text(part) for part in item} for item in child]
        elif name in _TYPED:
            event[name] = [{**item.attrib, item.tag: _text(item)} for item in child]
        elif name in ("readPoint", "bizLocation"):
            event[name] = _extended(child)
        elif name == "persistentDisposition":
            event[name] = {
                key: [_text(part) for part in child if part.tag == key] for key in ("set", "unset")
            }
        elif name == "sensorElementList":
            event[name] = [_sensor(item) for item in child]
        elif len(child) or child.attrib:
            _add(event, name, _extended(child))
        else:
            _add(event, name, _text(child))
    return event


def _sensor(element: ElementTree.Element) -> dict[str, Any]:
    out: dict[str, Any] = {}
    for child in _flat(element):
        if child.tag == "sensorReport":
            out.setdefault("sensorReport", []).append(_extended(child))
        elif child.tag == "sensorMetadata":
            out["sensorMetadata"] = _extended(child)
        else:
            _add(out, child.tag, _extended(child) if len(child) else _text(child))
    return out


def _extended(element: ElementTree.Element) -> dict[str, Any]:
    out: dict[str, Any] = dict(element.attrib)
    for child in _flat(element):
        _add(out, child.tag, _extended(child) if len(child) or child.attrib else _text(child))
    if _text(element):
        out["#text"] = _text(element)
    return out


def _add(out: dict[str, Any], name: str, value: Any) -> None:
    if name in out:
        held = out[name]
        out[name] = [*held, value] if isinstance(held, list) else [held, value]
    else:
        out[name] = value


def _text(element: ElementTree.Element) -> str:
    return (element.text or "").strip()
