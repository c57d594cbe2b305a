"""Lasting attachment (AssociationEvent, EPCIS 2.0 §7.4): a sensor on a container.

Attached things know their parents and move freely.
"""

from __future__ import annotations

from chaincode import item_rules, lot_rules
from chaincode.errors import Refusal
from chaincode.event import EventRun
from chaincode.identifiers import parse
from chaincode.items import item_key
from chaincode.steps import HANDLE, Operation


def associate(run: EventRun) -> None:
    """Apply an AssociationEvent: a sensor on a container, an asset in a place."""
    p = run.p
    action = p.get("action", "OBSERVE")
    parent = p.get("parent", "")
    op = Operation(HANDLE, "", "handle", False, p.get("step", ""))
    for child, quantity, where in run.goods("children", "child_quantities"):
        if quantity is not None:
            lot_rules.apply(run, op, child, quantity, where)
            continue
        item_rules.apply(run, op, child, where)
        if action not in ("ADD", "DELETE") or not parent:
            continue
        name = item_key(child.uri)
        record = run.records.get(name)
        if record is None:
            continue
        fresh = run.edit(name, record)
        linked = [item for item in fresh.get("associated", ()) if item != parent]
        if action == "ADD":
            linked.append(parent)
        fresh["associated"] = linked
        run.records.put(name, fresh)
    if parent and not _is_place(parent):
        item_rules.apply(run, op, run.identify(parent, "/parent"), "/parent")


def _is_place(text: str) -> bool:
    try:
        return parse(text).kind in ("gln", "pgln")
    except Refusal:
        return False
