"""The audit of one identifier: its history, numbered checks, gaps, findings, mass balance.

The checks, each `pass`, `fail`, `warn` or `unknown`, with the events it concerns:

  1. on-ledger       every event stands in a block, in a transaction marked VALID
  2. payloads        stored payloads give commitment, event hash and projection again
  3. origin          every identifier upstream has an event that brought it into being
  4. custody         no shipping without arrival, no arrival without shipping, no silent handover
  5. continuity      no silence longer than `quiet_days`
  6. rules           no finding was recorded when the events were accepted
  7. corrections     no event of the history was declared erroneous
  8. mass-balance    every lot upstream adds up over all its holders
  9. certificates    no certificate about the identifier is revoked or suspended
 10. state           the read model shows what the ledger says now

`fail` contradicts the ledger or its rules; `warn` is a question to ask somebody; `unknown` is
what this caller may not see or what cannot be reached.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, bindparam, select

from chaincode.errors import IdentifierError
from chaincode.identifiers import parse
from gateway import recheck as rechecks
from gateway.auth import Caller
from gateway.container import Container
from gateway.errors import Problem
from gateway.gaps import Gap, gaps
from gateway.ledger.errors import EvaluateError
from gateway.mass_balance import lot_balance, transformation_balance
from gateway.readmodel import tables
from gateway.recheck import Recheck, recheck
from gateway.trace import trace
from gateway.trace_view import event_json
from gateway.traced import Trace, TracedEvent

Json = dict[str, Any]
MOST_RECHECKED = 1000
MOST_LOTS = 200
_SHOWN = 20
_PAYLOAD_STATES = {
    rechecks.VERIFIED: "available",
    rechecks.ERASED: "erased",
    rechecks.DENIED: "available",
    rechecks.MISSING: "missing",
    rechecks.UNREACHABLE: "unreachable",
}


def audit(
    container: Container,
    caller: Caller,
    identifier: str,
    *,
    quiet_days: int = 30,
    legal_basis: str = "",
) -> Json:
    """Audit a canonical identifier as `caller`.

    legal_basis: under which an authority reads confidential payloads; it must stand on the chain.

    :raises Problem: NOT_FOUND.
    """
    with container.readmodel.read() as connection:
        found = trace(connection, identifier, "up", max_nodes=container.settings.trace_max_nodes)
        if not found.events:
            raise Problem("NOT_FOUND", f"no event about {identifier} is on the ledger")
        events = found.in_order()
        checked = recheck(container, connection, caller, events[:MOST_RECHECKED], legal_basis)
        missing = gaps(found, quiet_days)
        lots = _lot_balances(connection, found)
        certificates = _certificates(connection, identifier)
        height = int(connection.execute(select(tables.projection.c.height)).scalar_one())
        shown = _record(connection, identifier)
    state = _state(container, identifier)
    checks = [
        _on_ledger(checked, len(events)),
        _payloads(checked, len(events)),
        _of_gaps(3, "origin", missing, {"no-origin", "no-events"}, found),
        _of_gaps(
            4, "custody", missing, {"not-received", "not-shipped", "handover-unrecorded"}, found
        ),
        _of_gaps(5, "continuity", missing, {"time-gap"}, found),
        _rules(events),
        _corrections(events),
        _balances(lots),
        _about_certificates(certificates),
        _same_state(state, shown),
    ]
    outcomes = {entry.hash: entry.outcome for entry in checked}
    return {
        "id": identifier,
        "as_of": {"height": height},
        "verdict": _verdict(checks),
        "checks": checks,
        "state": state,
        "history": [
            event_json(event, _payload_state(outcomes.get(event.record["hash"])))
            | {"check": outcomes.get(event.record["hash"], "not checked")}
            for event in events
        ],
        "gaps": [gap.to_json() for gap in missing],
        "findings": _findings(events),
        "mass_balance": {
            "lots": lots,
            "transformations": [
                transformation_balance(event)
                for event in events
                if event.projection["type"] == "TransformationEvent" and event.follows
            ],
        },
        "certificates": certificates,
        "completeness": _completeness(found, events, checked, missing),
        "truncated": found.truncated,
    }


# -- the checks -------------------------------------------------------------------------------


def _check(number: int, name: str, outcome: str, detail: str, events: Iterable[str] = ()) -> Json:
    check: Json = {"number": number, "name": name, "outcome": outcome, "detail": detail}
    concerned = list(dict.fromkeys(events))
    if concerned:
        check["events"] = concerned[:_SHOWN]
    return check


def _on_ledger(checked: Sequence[Recheck], total: int) -> Json:
    bad = [entry.hash for entry in checked if entry.outcome == rechecks.NOT_VALID]
    if bad:
        detail = f"{len(bad)} of {len(checked)} events are not in a VALID transaction."
        return _check(1, "on-ledger", "fail", detail, bad)
    if len(checked) < total:
        detail = f"The first {len(checked)} of {total} events are in VALID transactions."
        return _check(1, "on-ledger", "unknown", detail)
    return _check(1, "on-ledger", "pass", f"All {total} events are in VALID transactions.")


def _payloads(checked: Sequence[Recheck], total: int) -> Json:
    wrong = [entry for entry in checked if entry.outcome in rechecks.WRONG]
    wrong = [entry for entry in wrong if entry.outcome != rechecks.NOT_VALID]
    if wrong:
        kinds = Counter(entry.outcome for entry in wrong)
        said = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
        return _check(2, "payloads", "fail", said + ".", (entry.hash for entry in wrong))
    verified = sum(entry.outcome == rechecks.VERIFIED for entry in checked)
    if verified == total:
        return _check(2, "payloads", "pass", f"All {total} payloads give what is on the chain.")
    kinds = Counter(entry.outcome for entry in checked if entry.outcome != rechecks.VERIFIED)
    said = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
    detail = f"{verified} of {total} payloads verified; {said or 'the rest was not read'}."
    return _check(2, "payloads", "unknown", detail)


def _of_gaps(number: int, name: str, missing: Sequence[Gap], kinds: set[str], found: Trace) -> Json:
    mine = [gap for gap in missing if gap.kind in kinds]
    if mine:
        detail = mine[0].sentence + (f" And {len(mine) - 1} more." if len(mine) > 1 else "")
        return _check(number, name, "warn", detail, (h for gap in mine for h in gap.events))
    if found.truncated:
        return _check(number, name, "unknown", "The history is longer than what was read.")
    return _check(number, name, "pass", "Nothing is missing.")


def _rules(events: Sequence[TracedEvent]) -> Json:
    broken = [event for event in events if event.record.get("findings") and event.follows]
    if not broken:
        return _check(6, "rules", "pass", "No event broke a rule of the contract.")
    codes = Counter(f["code"] for event in broken for f in event.record["findings"])
    said = ", ".join(f"{code} ({count})" for code, count in sorted(codes.items()))
    detail = f"{len(broken)} events were accepted with findings: {said}."
    return _check(6, "rules", "warn", detail, (event.record["hash"] for event in broken))


def _corrections(events: Sequence[TracedEvent]) -> Json:
    voided = [event.record["hash"] for event in events if event.voided_by is not None]
    if not voided:
        return _check(7, "corrections", "pass", "No event was declared erroneous.")
    return _check(7, "corrections", "warn", f"{len(voided)} events were voided.", voided)


def _balances(lots: Sequence[Json]) -> Json:
    wrong = [lot["lot"] for lot in lots if not lot["balanced"]]
    if wrong:
        return _check(8, "mass-balance", "fail", f"Does not add up: {', '.join(wrong[:_SHOWN])}.")
    adopted = [lot["lot"] for lot in lots if not lot["proven"]]
    if adopted:
        detail = f"Accepted without a known source: {', '.join(adopted[:_SHOWN])}."
        return _check(8, "mass-balance", "warn", detail)
    detail = f"{len(lots)} lots add up." if lots else "There is no lot to balance."
    return _check(8, "mass-balance", "pass", detail)


def _about_certificates(certificates: Sequence[Json]) -> Json:
    ended = [entry["id"] for entry in certificates if entry["status"] in ("revoked", "suspended")]
    if ended:
        detail = f"Revoked or suspended: {', '.join(ended[:_SHOWN])}."
        return _check(9, "certificates", "warn", detail)
    detail = f"{len(certificates)} certificates, none revoked or suspended."
    return _check(9, "certificates", "pass", detail)


def _same_state(state: Json | None, shown: Json | None) -> Json:
    if state is None:
        return _check(10, "state", "unknown", "The ledger could not be asked.")
    own = state.get("lot") if "balances" in state else state
    differing = [
        name
        for name in ("status", "owner", "parent", "disposition", "events")
        if own is not None and shown is not None and own.get(name) != shown.get(name)
    ]
    if differing or (own is None) != (shown is None):
        detail = f"The read model differs in {', '.join(differing) or 'whether it exists'}."
        return _check(10, "state", "fail", detail + " Rebuild it.")
    return _check(10, "state", "pass", "The read model and the ledger agree.")


def _verdict(checks: Sequence[Json]) -> str:
    outcomes = {check["outcome"] for check in checks}
    return next((name for name in ("fail", "warn", "unknown") if name in outcomes), "pass")


# -- what they look at --------------------------------------------------------------------------


def _payload_state(outcome: str | None) -> str:
    if outcome is None:
        return "not checked"
    return _PAYLOAD_STATES.get(outcome, outcome.removeprefix("payload-"))


def _findings(events: Iterable[TracedEvent]) -> list[Json]:
    return [
        {"event": event.record["hash"], "time_ms": event.time_ms, **finding}
        for event in events
        for finding in event.record.get("findings") or ()
    ]


def _lot_balances(connection: Connection, found: Trace) -> list[Json]:
    lots = [name for name in found.depths if _is_class(name)][:MOST_LOTS]
    units: dict[str, str] = {}
    for row in connection.execute(_LOTS, {"ids": lots}).all():
        units[row.id] = orjson.loads(row.record).get("unit", "EA")
    held: dict[str, list[Json]] = {}
    for row in connection.execute(_BALANCES, {"ids": lots}).all():
        held.setdefault(row.lot, []).append(orjson.loads(row.record))
    return [lot_balance(lot, units.get(lot, "EA"), held[lot]) for lot in lots if lot in held]


def _is_class(identifier: str) -> bool:
    try:
        return parse(identifier).is_class
    except IdentifierError:
        return False


def _certificates(connection: Connection, identifier: str) -> list[Json]:
    table = tables.certificates
    rows = connection.execute(
        select(table.c.record).where(table.c.subject == identifier).order_by(table.c.id)
    )
    return [orjson.loads(row.record) for row in rows]


def _record(connection: Connection, identifier: str) -> Json | None:
    for table in (tables.items, tables.lots):
        row = connection.execute(select(table.c.record).where(table.c.id == identifier)).first()
        if row is not None:
            record: Json = orjson.loads(row.record)
            return record
    return None


def _state(container: Container, identifier: str) -> Json | None:
    try:
        state: Json = container.ledger.evaluate(container.signer, "item:get", {"id": identifier})
    except EvaluateError as error:
        if error.refusal is not None and error.refusal.code == "NOT_FOUND":
            return {"id": identifier, "balances": []}
        return None
    return state


def _completeness(
    found: Trace,
    events: Sequence[TracedEvent],
    checked: Sequence[Recheck],
    missing: Sequence[Gap],
) -> Json:
    """Counts of what is there against what should be; a share is shown, never a score."""
    without_origin = {gap.identifier for gap in missing if gap.kind in ("no-origin", "no-events")}
    located = sum(
        bool(e.projection.get("read_point") or e.projection.get("location")) for e in events
    )
    return {
        "identifiers": len(found.depths),
        "identifiers_with_origin": len(found.depths) - len(without_origin),
        "events": len(events),
        "events_with_place": located,
        "events_with_country": sum(bool(e.projection.get("country")) for e in events),
        "events_without_findings": sum(not e.record.get("findings") for e in events),
        "payloads_verified": sum(entry.outcome == rechecks.VERIFIED for entry in checked),
        "gaps": dict(Counter(gap.kind for gap in missing)),
    }


_IDS: Any = bindparam("ids", expanding=True)
_LOTS = select(tables.lots.c.id, tables.lots.c.record).where(tables.lots.c.id.in_(_IDS))
_BALANCES = (
    select(tables.balances.c.lot, tables.balances.c.record)
    .where(tables.balances.c.lot.in_(_IDS))
    .order_by(tables.balances.c.lot, tables.balances.c.holder)
)
