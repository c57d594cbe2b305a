"""Error declarations (EPCIS 2.0 §7.4.1.2): an event declared wrong is marked, never overwritten.

The declaration repeats the event with `errorDeclaration`. CBV 2.0 leaves that part out of the
event hash, so both usually share one hash; the declaration lies under its own key. The event is
marked `voided_by`, and what it did to goods is undone if nothing else has touched any of those
records since; otherwise its effects stay and the declaration carries the finding
VOID_NOT_REVERSED: the goods' later history is not rewritten behind later parties' backs.
Only the party that captured an event (or a regulator) may declare it erroneous.
"""

from __future__ import annotations

from typing import Any, Final

from chaincode.arguments import HASH
from chaincode.errors import Refusal
from chaincode.event import EventRun
from chaincode.records import Record, Records

MAX_UNDO: Final = 2_000

_KEPT: Final = frozenset({"events", "last"})


def event_key(hex_: str) -> str:
    """State key of an event's record."""
    return f"\x00event\x00{hex_}\x00"


def error_key(hex_: str, party: str) -> str:
    """State key of a party's error declaration: nobody can take the place of another's."""
    return f"\x00error\x00{hex_}\x00{party}\x00"


def event_id_key(event_id: str) -> str:
    """State key of the index from event ids to hashes."""
    return f"\x00event-id\x00{event_id}\x00"


def undo_of(records: Records, mark: int) -> dict[str, Any] | None:
    """What the writes since `mark` replaced: `{key: {field: old value} or None if created}`.

    None where there is too much to keep (then the event cannot be undone).
    """
    undo: dict[str, Any] = {}
    for name, before, after in records.changes_since(mark):
        if before is None:
            undo[name] = None
            continue
        old: dict[str, Any] = {"last": last_of(before)}
        now = after if after is not None else {}
        for field, value in before.items():
            if field not in _KEPT and now.get(field) != value:
                old[field] = value
        for field in now:
            if field not in before:
                old[field] = None
        undo[name] = old
    return undo if len(undo) <= MAX_UNDO else None


def last_of(record: Record) -> str:
    """The last event whose effect the record shows."""
    found = record.get("last")
    return str(found if found is not None else record["events"][-1])


def declare(run: EventRun) -> str | None:
    """Void the event this declaration names; returns its hash's hex, None where it is unknown."""
    hex_, event = _target(run)
    if event is None or hex_ is None:
        run.note(
            Refusal(
                "VOIDS_UNKNOWN_EVENT",
                "The event declared erroneous is not on the ledger; a declaration with the hash "
                "or the event id of an anchored event takes effect.",
                "/projection/error",
            )
        )
        return None
    if event["party"] != run.actor and "regulator" not in run.roles:
        raise Refusal(
            "VOID_NOT_ALLOWED",
            f"Event {hex_} was captured by {event['party']}; its error declaration is accepted "
            "from that party or a regulator.",
            "/projection/error",
        )
    if "voided_by" in event:
        return hex_
    undo = event.get("undo")
    if undo is not None and all(_untouched(run, name, hex_) for name in undo):
        for name in sorted(undo):
            _restore(run, name, undo[name])
        undone = True
    else:
        undone = False
        run.note(
            Refusal(
                "VOID_NOT_REVERSED",
                f"Goods of event {hex_} have moved on since; the event is marked as void and its "
                "effects stay. Void the later events first, or correct with new events.",
                "/projection/error",
            )
        )
    fresh = dict(event)
    fresh["voided_by"], fresh["voided_party"] = run.hex, run.actor
    fresh.pop("undo", None)
    if undone:
        fresh["undone"] = True
    run.records.put(event_key(hex_), fresh)
    return hex_


def _target(run: EventRun) -> tuple[str | None, Record | None]:
    """The event of the same hash, else of the hash or id that is its event id."""
    found = run.records.get(event_key(run.hex))
    if found is not None:
        return run.hex, found
    event_id = run.p.get("event_id")
    if event_id is None:
        return None, None
    match = HASH.match(event_id)
    if match is not None:
        hex_: str | None = match.group(1)
    else:
        index = run.records.get(event_id_key(event_id))
        hex_ = index["hash"] if index is not None else None
    return hex_, run.records.get(event_key(hex_)) if hex_ else None


def _untouched(run: EventRun, name: str, hex_: str) -> bool:
    record = run.records.get(name)
    return record is not None and last_of(record) == hex_


def _restore(run: EventRun, name: str, old: Record | None) -> None:
    if old is None:
        run.records.put(name, None)
        return
    record = run.records.get(name)
    if record is None:
        return
    fresh = run.edit(name, record)
    for field, value in old.items():
        if value is None:
            fresh.pop(field, None)
        else:
            fresh[field] = value
    run.records.put(name, fresh)
