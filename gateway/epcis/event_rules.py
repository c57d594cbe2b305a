"""What each event type and action needs and allows (EPCIS 2.0 §7.4): who, what, where, why, how."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.epcis.checks import Checker
from gateway.epcis.document import pointer_token
from gateway.epcis.sensors import check_sensors
from gateway.epcis.vocabulary import BIZ_STEP, DISPOSITION, SOURCE_DEST_TYPE, TRANSACTION_TYPE

Event = Mapping[str, Any]

_ACTIONS = ("OBSERVE", "ADD", "DELETE")


def check_event(check: Checker, event: Event, kind: str, pointer: str) -> None:
    """Append what `event`, of the standard type `kind`, breaks to the checker's findings."""
    _action(check, event, kind, pointer)
    _what(check, event, kind, pointer)
    _where_and_why(check, event, pointer)
    if "ilmd" in event:
        _ilmd(check, event, kind, pointer)


# -- action, identifiers, quantities --------------------------------------------------------------


def _action(check: Checker, event: Event, kind: str, pointer: str) -> None:
    if kind == "TransformationEvent":
        return
    action = event.get("action")
    if action is None:
        check.add(pointer + "/action", "MISSING", f"action is missing: {kind} needs one")
    elif action not in _ACTIONS:
        check.add(
            pointer + "/action",
            "BAD_VALUE",
            f"{str(action)[:40]!r} is no action; {', '.join(_ACTIONS)} is accepted",
        )


def _what(check: Checker, event: Event, kind: str, pointer: str) -> None:
    for name in ("epcList", "childEPCs", "inputEPCList", "outputEPCList"):
        if name in event:
            check.epcs(event[name], f"{pointer}/{name}")
    for name in ("quantityList", "childQuantityList", "inputQuantityList", "outputQuantityList"):
        if name in event:
            check.quantities(event[name], f"{pointer}/{name}")
    if "parentID" in event:
        check.identifier(event["parentID"], pointer + "/parentID")
    if "transformationID" in event:
        check.identifier(event["transformationID"], pointer + "/transformationID")
    _NEEDS[kind](check, event, pointer)


def _object_needs(check: Checker, event: Event, pointer: str) -> None:
    if not _any(event, "epcList", "quantityList", "sensorElementList"):
        check.add(
            pointer,
            "MISSING",
            "an ObjectEvent names objects in epcList or quantityList, or has a sensorElementList",
        )


def _aggregation_needs(check: Checker, event: Event, pointer: str) -> None:
    action = event.get("action")
    if action in ("ADD", "DELETE") and "parentID" not in event:
        check.add(
            pointer + "/parentID", "MISSING", f"parentID is missing: action {action} needs it"
        )
    _children(check, event, pointer)


def _association_needs(check: Checker, event: Event, pointer: str) -> None:
    if "parentID" not in event:
        check.add(
            pointer + "/parentID", "MISSING", "parentID is missing: an AssociationEvent needs it"
        )
    _children(check, event, pointer)


def _children(check: Checker, event: Event, pointer: str) -> None:
    if event.get("action") != "DELETE" and not _any(
        event, "childEPCs", "childQuantityList", "sensorElementList"
    ):
        check.add(
            pointer + "/childEPCs", "MISSING", "childEPCs or childQuantityList names no children"
        )


def _transaction_needs(check: Checker, event: Event, pointer: str) -> None:
    if not event.get("bizTransactionList"):
        check.add(
            pointer + "/bizTransactionList",
            "MISSING",
            "bizTransactionList is missing or empty: a TransactionEvent needs it",
        )
    if event.get("action") != "DELETE" and not _any(
        event, "epcList", "quantityList", "parentID", "sensorElementList"
    ):
        check.add(pointer, "MISSING", "epcList, quantityList or parentID names the objects")


def _transformation_needs(check: Checker, event: Event, pointer: str) -> None:
    inputs = _any(event, "inputEPCList", "inputQuantityList")
    outputs = _any(event, "outputEPCList", "outputQuantityList")
    if "transformationID" in event:
        if not (inputs or outputs or _any(event, "sensorElementList")):
            check.add(pointer, "MISSING", "a TransformationEvent names inputs or outputs")
        return
    for present, what in ((inputs, "input"), (outputs, "output")):
        if not present:
            check.add(
                f"{pointer}/{what}QuantityList",
                "MISSING",
                f"{what}EPCList or {what}QuantityList is missing; only parts joined by a "
                "transformationID may leave it out",
            )


_NEEDS = {
    "ObjectEvent": _object_needs,
    "AggregationEvent": _aggregation_needs,
    "TransactionEvent": _transaction_needs,
    "TransformationEvent": _transformation_needs,
    "AssociationEvent": _association_needs,
}


def _any(event: Event, *names: str) -> bool:
    return any(event.get(name) for name in names)


# -- where, why, how ------------------------------------------------------------------------------

_PLACE = frozenset(("id",))


def _where_and_why(check: Checker, event: Event, pointer: str) -> None:
    get = event.get
    if (step := get("bizStep")) is not None:
        check.term(BIZ_STEP, step, pointer + "/bizStep")
    if (disposition := get("disposition")) is not None:
        check.term(DISPOSITION, disposition, pointer + "/disposition")
    for name in ("readPoint", "bizLocation"):
        if (place := get(name)) is not None:
            _place(check, place, f"{pointer}/{name}")
    if (transactions := get("bizTransactionList")) is not None:
        check.typed(
            transactions, "bizTransaction", TRANSACTION_TYPE, pointer + "/bizTransactionList"
        )
    if (sources := get("sourceList")) is not None:
        check.typed(sources, "source", SOURCE_DEST_TYPE, pointer + "/sourceList")
    if (destinations := get("destinationList")) is not None:
        check.typed(destinations, "destination", SOURCE_DEST_TYPE, pointer + "/destinationList")
    if (persistent := get("persistentDisposition")) is not None:
        _persistent(check, persistent, pointer + "/persistentDisposition")
    if (sensors := get("sensorElementList")) is not None:
        check_sensors(check, sensors, pointer + "/sensorElementList")


def _place(check: Checker, value: Any, pointer: str) -> None:
    place = check.mapping(value, pointer)
    if place is None:
        return
    if "id" not in place:
        check.add(pointer + "/id", "MISSING", "id is missing")
    else:
        check.identifier(place["id"], pointer + "/id")
    if len(place) > 1:
        check.extensions(place, _PLACE, pointer)


def _persistent(check: Checker, value: Any, pointer: str) -> None:
    holder = check.mapping(value, pointer)
    if holder is None:
        return
    if not holder.keys() & {"set", "unset"}:
        check.add(pointer, "EMPTY", "set or unset is expected")
    for name in holder:
        where = f"{pointer}/{pointer_token(name)}"
        if name not in ("set", "unset"):
            check.add(where, "UNKNOWN_PROPERTY", f"{name[:60]!r}: only set and unset are known")
            continue
        words = check.items(holder[name], where, nonempty=True)
        for index, word in enumerate(words):
            check.term(DISPOSITION, word, f"{where}/{index}")
        check.unique(words, where)


def _ilmd(check: Checker, event: Event, kind: str, pointer: str) -> None:
    if kind not in ("ObjectEvent", "TransformationEvent"):
        return  # _names said so
    where = pointer + "/ilmd"
    if kind == "ObjectEvent" and event.get("action") != "ADD":
        check.add(
            where,
            "ILMD_NOT_ALLOWED",
            "ilmd describes objects at their making: in an ObjectEvent action ADD is expected",
        )
    ilmd = check.mapping(event["ilmd"], where)
    if ilmd is not None:
        check.extensions(ilmd, frozenset(), where)
