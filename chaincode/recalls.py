"""Recalled goods inside containers: a closed pallet does not carry them on.

A container lists what in it is recalled, or holds recalled goods, in `recalled`; a recalled lot is
looked up where it is packed. Such a container accepts what recalled goods accept.
"""

from __future__ import annotations

from collections.abc import Mapping

from chaincode.event import EventRun
from chaincode.items import item_key
from chaincode.lots import lot_key
from chaincode.records import Record
from chaincode.steps import accepted_after


def add(container: Record, child: str) -> None:
    """Note a recalled child on an editable copy of its container."""
    container["recalled"] = sorted({*container.get("recalled", ()), child})


def mark_outer(run: EventRun, record: Record) -> None:
    """Note on every container around the record that there are recalled goods in it."""
    while "parent" in record:
        name = item_key(record["parent"])
        outer = run.records.get(name)
        if outer is None or record["id"] in outer.get("recalled", ()):
            return
        fresh = run.edit(name, outer)
        add(fresh, record["id"])
        run.records.put(name, fresh)
        record = fresh


def clear(run: EventRun, name: str, contents: Mapping[str, int]) -> None:
    """After unpacking: forget what left, here and in the containers around."""
    record = run.records.get(name)
    while record is not None and "recalled" in record:
        rest = [child for child in record["recalled"] if child in contents]
        if len(rest) == len(record["recalled"]):
            return
        fresh = run.edit(name, record)
        fresh["recalled"] = rest
        if not rest:
            del fresh["recalled"]
        run.records.put(name, fresh)
        if rest or fresh["status"] == "recalled" or "parent" not in fresh:
            return
        name = item_key(fresh["parent"])
        record = run.records.get(name)
        inside = record.get("contents", {}) if record is not None else {}
        contents = {child: 0 for child in inside if child != fresh["id"]}


def mark_balance(run: EventRun, name: str) -> None:
    """What a holder has of a lot is recalled."""
    found = run.records.get(name)
    if found is not None:
        run.records.put(name, {**run.edit(name, found), "status": "recalled"})


def check_inside(run: EventRun, enforced: bool, record: Record, where: str) -> None:
    """Breach NOT_ACTIVE where something in the container is recalled."""
    found = _recalled_in(run, record)
    if found is not None:
        run.breach(
            enforced,
            "NOT_ACTIVE",
            f"{found} in {record['id']} is recalled; the container accepts "
            f"{accepted_after('recalled')} until it is unpacked.",
            where,
        )


def _recalled_in(run: EventRun, record: Record) -> str | None:
    if "recalled" in record:
        return str(record["recalled"][0])
    for uri in sorted(record.get("lots", {})):
        lot = run.records.get(lot_key(uri))
        if lot is not None and lot["status"] == "recalled":
            return str(uri)
    for uri in sorted(record.get("contents", {})):
        inner = run.records.get(item_key(uri)) if "/21/" not in uri else None
        if inner is not None and inner.get("parent") == record["id"]:
            found = _recalled_in(run, inner)
            if found is not None:
                return found
    return None
