"""Conditions of a query that only an event's payload can answer.

Each function tells whether one event meets one :class:`Field`. Extension names are compared with
their namespaces expanded, so another prefix in the query finds the same field.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from chaincode.projection import cbv_name, epoch_ms
from gateway.epcis.canonical_uri import canonical_uri
from gateway.epcis.namespaces import Namespaces
from gateway.epcis.parameters import Field
from gateway.epcis.vocabulary import GS1_VOC, GS1_VOC_ALIASES

Event = Mapping[str, Any]


def meets(
    event: Event, namespaces: Namespaces, condition: Field, asked: Namespaces | None = None
) -> bool:
    """Whether `event` (its prefixes: `namespaces`) meets `condition`.

    asked: the prefixes of the query itself (``GS1-Extensions``).
    """
    special = _SPECIAL.get(condition.scope)
    if special is not None:
        return special(event, condition)
    if condition.comparison == "EXISTS" and ":" not in condition.name:
        return event.get(condition.name) not in (None, [], {})
    wanted = _wanted_names(condition.name, namespaces, asked)
    found = list(_extension_values(event, namespaces, condition.scope, wanted))
    if condition.comparison == "EXISTS":
        return bool(found)
    return any(_compares(value, condition) for value in found)


def _wanted_names(
    name: str, namespaces: Namespaces, asked: Namespaces | None
) -> frozenset[str | None]:
    names = {name, namespaces.clark_name(name)}
    if asked is not None:
        names.add(asked.clark_name(name))
    if "#" in name:  # namespace#local, as XML bindings write it
        stem, _, local = name.rpartition("#")
        names.update((f"{{{stem}}}{local}", f"{{{stem}#}}{local}"))
    return frozenset(names)


# -- extensions -----------------------------------------------------------------------------------


def _extension_values(
    event: Event, namespaces: Namespaces, scope: str, wanted: frozenset[str | None]
) -> Iterator[Any]:
    inner = scope.startswith("inner")
    base = scope.removeprefix("inner").removeprefix("_") or "event"
    for holder in _holders(event, base):
        yield from _named(holder, namespaces, wanted, inner)


def _holders(event: Event, scope: str) -> Iterator[Event]:
    if scope == "event":
        yield event
    elif scope == "ilmd":
        yield from _objects(event.get("ilmd"))
    elif scope == "error":
        yield from _objects(event.get("errorDeclaration"))
    else:
        for element in _objects(event.get("sensorElementList")):
            if scope == "sensor_element":
                yield element
            elif scope == "sensor_metadata":
                yield from _objects(element.get("sensorMetadata"))
            else:
                yield from _objects(element.get("sensorReport"))


def _named(
    holder: Event, namespaces: Namespaces, wanted: frozenset[str | None], inner: bool
) -> Iterator[Any]:
    for name, value in holder.items():
        if ":" in name or name.startswith("{"):
            if not inner and (name in wanted or namespaces.clark_name(name) in wanted):
                yield from value if isinstance(value, list) else [value]
            if inner:
                for child in _objects(value):
                    yield from _named(child, namespaces, wanted, False)
                    yield from _named(child, namespaces, wanted, True)


def _compares(value: Any, condition: Field) -> bool:
    if isinstance(value, Mapping):
        value = value.get("@value", value.get("#text"))
    if condition.comparison == "EQ":
        return any(_equal(value, wanted) for wanted in condition.values)
    wanted = condition.values[0]
    left, right = _ordered(value), _ordered(wanted)
    if left is None or right is None or type(left) is not type(right):
        return False
    return _COMPARE[condition.comparison](left, right)


def _equal(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool) or isinstance(wanted, bool):
        return str(value).lower() == str(wanted).lower()
    left, right = _as_number(value), _as_number(wanted)
    if left is not None and right is not None:
        return left == right
    return bool(value == wanted)


def _ordered(value: Any) -> float | int | None:
    number = _as_number(value)
    if number is not None:
        return number
    moment = epoch_ms(value) if isinstance(value, str) else None
    return moment


def _as_number(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "EQ": lambda a, b: bool(a == b),
    "GT": lambda a, b: bool(a > b),
    "GE": lambda a, b: bool(a >= b),
    "LT": lambda a, b: bool(a < b),
    "LE": lambda a, b: bool(a <= b),
}


# -- standard fields ------------------------------------------------------------------------------


def _persistent(event: Event, condition: Field) -> bool:
    holder = event.get("persistentDisposition")
    words = holder.get(condition.name, []) if isinstance(holder, Mapping) else []
    return any(isinstance(word, str) and cbv_name(word) in condition.values for word in words)


def _corrective(event: Event, condition: Field) -> bool:
    declaration = event.get("errorDeclaration")
    ids = declaration.get("correctiveEventIDs", []) if isinstance(declaration, Mapping) else []
    return not set(condition.values).isdisjoint(i for i in ids if isinstance(i, str))


def _quantity(event: Event, condition: Field) -> bool:
    for name in ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"):
        for element in _objects(event.get(name)):
            amount = _as_number(element.get("quantity"))
            if amount is None or (condition.unit and element.get("uom") != condition.unit):
                continue
            if _COMPARE[condition.comparison](amount, condition.values[0]):
                return True
    return False


def _measure(event: Event, condition: Field) -> bool:
    for report in _reports(event):
        amount = _as_number(report.get(condition.name))
        if amount is None or (condition.unit and report.get("uom") != condition.unit):
            continue
        if _COMPARE[condition.comparison](amount, condition.values[0]):
            return True
    return False


def _sensor(event: Event, condition: Field) -> bool:
    wanted = {_plain(value) for value in condition.values}
    holders = [*_reports(event), *_metadata(event)]
    return any(
        _plain(holder[condition.name]) in wanted for holder in holders if condition.name in holder
    )


def _sensor_time(event: Event, condition: Field) -> bool:
    for holder in [*_metadata(event), *_reports(event)]:
        text = holder.get(condition.name)
        moment = epoch_ms(text) if isinstance(text, str) else None
        if moment is not None and _COMPARE[condition.comparison](moment, condition.values[0]):
            return True
    return False


def _plain(value: Any) -> Any:
    """A word without the GS1 vocabulary's address, an identifier in canonical form."""
    if not isinstance(value, str):
        return value
    for stem in ("gs1:", GS1_VOC, *GS1_VOC_ALIASES):
        if value.startswith(stem):
            return value[len(stem) :]
    for stem in ("cbv:Comp-", "https://ref.gs1.org/cbv/Comp-"):
        if value.startswith(stem):
            return value[len(stem) :]
    return canonical_uri(value)


def _reports(event: Event) -> list[Event]:
    return [
        report
        for element in _objects(event.get("sensorElementList"))
        for report in _objects(element.get("sensorReport"))
    ]


def _metadata(event: Event) -> list[Event]:
    return [
        metadata
        for element in _objects(event.get("sensorElementList"))
        for metadata in _objects(element.get("sensorMetadata"))
    ]


def _objects(value: Any) -> Iterator[Event]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, Mapping):
            yield item


_SPECIAL: dict[str, Callable[[Event, Field], bool]] = {
    "persistent": _persistent,
    "corrective": _corrective,
    "quantity": _quantity,
    "measure": _measure,
    "sensor": _sensor,
    "sensor_time": _sensor_time,
}
