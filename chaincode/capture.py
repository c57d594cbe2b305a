"""event:capture: one transaction anchors 1 to 5,000 events.

For each event, in order: (1) its shape is checked; (2) an event whose hash is on the ledger is
answered as a duplicate and changes nothing; (3) the rules for its type are applied to an overlay
of the records; (4) its carbon is put on its goods; (5) its record is written. A refused event is
rolled back to its mark: with on_error "rollback" the whole capture is refused, with "proceed" the
other events are anchored.

An event writes its own record, one record per thing, two balances to ship a lot and one to
receive it, and one index entry where it has an event id that is no hash.
"""

from __future__ import annotations

from typing import Any, Final

from chaincode import aggregation, association, carbon, codec, objects, transformation, voiding
from chaincode.arguments import Arguments
from chaincode.balances import balance_key
from chaincode.errors import BatchRefusal, IdentifierError, Refusal
from chaincode.event import EventRun
from chaincode.identifiers import Identifier, parse
from chaincode.items import item_key
from chaincode.lots import lot_key
from chaincode.products import product_key
from chaincode.records import Record
from chaincode.session import Session
from chaincode.shape import check_event, is_plain
from chaincode.transformation import transformation_key
from chaincode.voiding import error_key, event_id_key, event_key

MAX_EVENTS: Final = 5_000
MAX_ERRORS: Final = 1_000
CLOCK_SKEW_MS: Final = 15 * 60_000

_RULES: Final = {
    "ObjectEvent": objects.object_event,
    "AggregationEvent": aggregation.aggregate,
    "TransactionEvent": objects.transaction_event,
    "TransformationEvent": transformation.transform,
    "AssociationEvent": association.associate,
}
_ITEM_LISTS: Final = ("epcs", "children", "inputs", "outputs")
_LOT_LISTS: Final = (
    "quantities",
    "child_quantities",
    "input_quantities",
    "output_quantities",
    "losses",
)


def capture(session: Session, args: list[str]) -> Record:
    """Anchor events. Raises Refusal, or BatchRefusal with one error per refused event."""
    if len(args) != 1:
        raise Refusal("BAD_ARGUMENT", f"event:capture takes one argument; {len(args)} were given.")
    raw = args[0]
    fields = codec.loads_unchecked(raw)  # its types are checked field by field
    events = fields.pop("events", None) if type(fields) is dict else None
    if type(events) is not list or not 0 < len(events) <= MAX_EVENTS:
        raise Refusal(
            "BAD_ARGUMENT", f"events must be a list of 1 to {MAX_EVENTS} events.", "/events"
        )
    rest = Arguments(fields)
    actor = rest.party("actor") if rest.has("actor") else None
    proceed = rest.choice("on_error", ("rollback", "proceed"), "rollback") == "proceed"
    rest.done()
    party = session.acting_for(actor, "event:capture")
    own = session.party()["id"]
    header: Record = {"party": party["id"], "msp": session.caller.msp}
    if own != party["id"]:
        header["submitted_by"] = own
    header["tx_id"], header["time_ms"] = session.stub.tx_id, session.now_ms
    return _Batch(session, party, header, is_plain(raw)).run(events, proceed)


class _Batch:
    """The events of one capture."""

    __slots__ = ("anchored", "header", "new", "party", "plain", "records", "refused", "session")

    def __init__(self, session: Session, party: Record, header: Record, plain: bool) -> None:
        self.session = session
        self.records = session.records
        self.party = party
        self.header = header
        self.plain = plain
        self.anchored: list[Record] = []
        self.refused: list[dict[str, object]] = []
        self.new: list[str] = []

    def run(self, events: list[Any], proceed: bool) -> Record:
        checked: list[tuple[int, str, Record]] = []
        for index, event in enumerate(events):
            try:
                hex_ = check_event(event, self.plain)
                event["carbon"] = (
                    carbon.check(event["carbon"], "/carbon") if "carbon" in event else []
                )
                checked.append((index, hex_, event))
            except Refusal as refusal:
                self._refuse(index, refusal)
        self._prefetch(checked)
        for index, hex_, event in checked:
            mark = self.records.mark()
            try:
                self._anchor(index, hex_, event)
            except Refusal as refusal:
                self.records.rollback(mark)
                self._refuse(index, refusal)
        if self.refused:
            self.refused.sort(key=lambda error: int(str(error["index"])))
            if not proceed:
                raise BatchRefusal(self.refused[:MAX_ERRORS])
        if self.new:
            self.session.stub.set_event("capture", codec.encode({"events": self.new}))
        return {"anchored": self.anchored, "refused": self.refused}

    def _refuse(self, index: int, refusal: Refusal) -> None:
        self.refused.append({"index": index, **refusal.as_dict()})

    def _anchor(self, index: int, hex_: str, event: Record) -> None:
        records, p = self.records, event["projection"]
        declaration = "error" in p
        name = error_key(hex_, self.party["id"]) if declaration else event_key(hex_)
        before = records.get(name)
        if before is not None:
            if not _same_event(before["projection"], p):
                raise Refusal(
                    "HASH_CONFLICT",
                    f"The hash {event['hash']} is anchored by {before['party']} with another "
                    "projection; the hash and the projection of one and the same event are "
                    "accepted.",
                    "/hash",
                )
            self.anchored.append(
                {
                    "index": index,
                    "hash": event["hash"],
                    "findings": before["findings"],
                    "duplicate": True,
                    "commitment": before["commitment"],
                }
            )
            return
        run = EventRun(records, self.party, p, hex_, self.session.now_ms)
        record: Record = {
            "hash": event["hash"],
            "commitment": event["commitment"],
            "projection": p,
            "index": index,
            "findings": run.findings,
            "carbon": event["carbon"],
        }
        record.update(self.header)
        if declaration:
            voids = voiding.declare(run)
            if voids is not None:
                record["voids"] = voids
        else:
            self._apply(run, record)
        records.put(name, record)
        self.new.append(event["hash"])
        self.anchored.append({"index": index, "hash": event["hash"], "findings": run.findings})

    def _apply(self, run: EventRun, record: Record) -> None:
        """Apply the rules of a regular event and fill in its record."""
        records, p = self.records, run.p
        declared = records.get(error_key(run.hex, run.actor))
        if declared is not None:
            record["voided_by"], record["voided_party"] = run.hex, run.actor
            record["undone"] = True
            run.note(
                Refusal(
                    "EVENT_VOIDED",
                    "An error declaration for this event came first; the event is anchored as "
                    "void and changes nothing.",
                )
            )
            return
        mark = records.mark()
        run.tracking = bool(record["carbon"])
        rule = _RULES.get(p["type"])
        if rule is not None:
            rule(run)
        if record["carbon"]:
            record["carbon"] = carbon.attach(run, record["carbon"])
        undo = voiding.undo_of(records, mark)
        if undo is not None:
            record["undo"] = undo
        self._check_event_itself(run)

    def _check_event_itself(self, run: EventRun) -> None:
        """Rules about the event rather than its goods, under the strictest policy it met."""
        if run.time_ms > run.now_ms + CLOCK_SKEW_MS:
            run.breach(
                run.strict,
                "EVENT_IN_FUTURE",
                f"The event time {run.time_ms} ms lies after the transaction time {run.now_ms} ms; "
                "a time at most 15 minutes ahead is accepted.",
                "/time_ms",
            )
        event_id = run.p.get("event_id")
        if event_id is None or event_id.startswith("ni:///sha-256;"):
            return
        name = event_id_key(event_id)
        before = self.records.get(name)
        if before is None:
            self.records.put(name, {"hash": run.hex})
        elif before["hash"] != run.hex:
            run.breach(
                run.strict,
                "EVENT_ID_REUSED",
                f"The event id {event_id} names event {before['hash']}; a new event id, or an "
                "error declaration of that event, is accepted.",
                "/event_id",
            )

    def _prefetch(self, checked: list[tuple[int, str, Record]]) -> None:
        """Read in one round trip what the events will need."""
        wanted: list[str] = []
        actor = self.party["id"]
        for _, hex_, event in checked:
            p = event["projection"]
            wanted.append(event_key(hex_))
            wanted.append(error_key(hex_, actor))
            event_id = p.get("event_id")
            if event_id is not None and not event_id.startswith("ni:///sha-256;"):
                wanted.append(event_id_key(event_id))
            for field in _ITEM_LISTS:
                for text in p.get(field, ()):
                    identifier = _read(text)
                    wanted.append(item_key(text))
                    if identifier is not None and identifier.gtin is not None:
                        wanted.append(product_key(identifier.gtin))
            holders = [actor]
            if "parent" in p:
                wanted.append(item_key(p["parent"]))
                holders.append(p["parent"])
            if "transformation_id" in p:
                wanted.append(transformation_key(p["transformation_id"]))
            for field in _LOT_LISTS:
                if field not in p:
                    continue
                for end in p.get("to", ()):
                    if end.get("type") in ("possessing_party", "owning_party"):
                        holders.append(end["id"])
                for quantity in p[field]:
                    text = quantity["id"]
                    identifier = _read(text)
                    if identifier is None or identifier.kind != "gtin":
                        wanted.append(lot_key(text))
                    if identifier is not None and identifier.gtin is not None:
                        wanted.append(product_key(identifier.gtin))
                    wanted.extend([balance_key(text, holder) for holder in holders])
        self.records.prefetch(wanted)


def _same_event(one: Record, other: Record) -> bool:
    """Whether two projections are of one event: CBV leaves event id and declaration unhashed."""
    if one == other:
        return True
    names = (one.keys() | other.keys()) - {"event_id", "error"}
    return all(one.get(name) == other.get(name) for name in names)


def _read(text: str) -> Identifier | None:
    try:
        return parse(text)
    except IdentifierError:
        return None
