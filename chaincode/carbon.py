"""Lifecycle carbon, its first form: records hang on events and flow with the goods.

A record states milligrams CO2e for one stage. Its amount is put on its subjects (all of the
event's goods where it names none): divided by mass where every mass is known, else equally, and
added to the pool of wherever those goods now lie. From there it flows: with shipped, packed and
consumed amounts in proportion, through a transformation to the outputs by mass. Division rounds
down and remainders stay, so what flows out never exceeds what flowed in plus the stage's own.
"""

from __future__ import annotations

import re
from typing import Any, Final

from chaincode import carbon_pool
from chaincode.arguments import Arguments
from chaincode.errors import Refusal, UnitError
from chaincode.event import EventRun
from chaincode.records import Record, key
from chaincode.session import Session
from chaincode.units import fraction, unit_of

STAGES: Final = ("raw-material", "production", "transport", "use", "end-of-life")
MAX_RECORDS: Final = 64
MAX_CO2E_MG: Final = 10**15  # one million tonnes
MAX_POOL_MG: Final = 10**15  # so that sums of pools stay within 53 bits

_REQUIRED: Final = frozenset({"stage", "activity", "factor", "co2e_mg"})
_OPTIONAL: Final = frozenset({"stated_by", "subjects"})
_WORD: Final = re.compile(r"[!-~][ -~]{0,199}\Z", re.ASCII)


def check(records: object, where: str) -> list[Record]:
    """The event's carbon records, validated. Raises Refusal BAD_CARBON, CARBON_ARITHMETIC, ..."""
    if type(records) is not list or len(records) > MAX_RECORDS:
        raise Refusal(
            "BAD_CARBON", f"carbon must be a list of at most {MAX_RECORDS} records.", where
        )
    return [_check_one(item, f"{where}/{index}") for index, item in enumerate(records)]


def attach(run: EventRun, records: list[Record]) -> list[Record]:
    """Put each record's amount on its subjects' pools; returns the records as stored."""
    stored = []
    for index, record in enumerate(records):
        stated_by = record.setdefault("stated_by", run.actor)
        if stated_by != run.actor:
            raise Refusal(
                "BAD_CARBON",
                f"The record says it is stated by {stated_by}, the event is captured by "
                f"{run.actor}; the capturing party is accepted.",
                f"/carbon/{index}/stated_by",
            )
        subjects = record.get("subjects") or _goods(run)
        _put_on(run, record, subjects, f"/carbon/{index}")
        stored.append(record)
    return stored


def verify(session: Session, args: Arguments) -> Record:
    """carbon:verify: a certifier or auditor confirms one record of another party's event."""
    event, index = args.event_hash("event"), args.integer("index", 0, MAX_RECORDS - 1)
    statement = args.text("statement", 500)
    actor = args.party("actor") if args.has("actor") else None
    args.done()
    party = session.acting_for(actor, "carbon:verify")
    if not {"certifier", "auditor"} & set(party["roles"]):
        raise Refusal(
            "ROLE_NOT_ALLOWED",
            f"{party['id']} has the roles {', '.join(party['roles'])}; certifier or auditor is "
            "accepted here.",
        )
    name = key("event", event)
    found = session.records.get(name)
    if found is None or index >= len(found["carbon"]):
        raise Refusal(
            "NOT_FOUND",
            f"Event {event} has no carbon record {index}; one of its records is accepted.",
            "/index",
        )
    record = found["carbon"][index]
    if "verified_by" in record:
        raise Refusal(
            "CARBON_VERIFIED",
            f"The record was verified by {record['verified_by']}; an unverified one is accepted.",
            "/index",
        )
    own = (party["id"], session.party()["id"])
    if any(p in (record["stated_by"], found["party"], found.get("submitted_by")) for p in own):
        raise Refusal(
            "SELF_VERIFICATION",
            f"{' for '.join(dict.fromkeys(own[::-1]))} stated this record itself; another "
            "certifier or auditor is accepted.",
        )
    verified = {
        **record,
        "verified_by": party["id"],
        "verified_ms": session.now_ms,
        "statement": statement,
    }
    carbon = [verified if i == index else item for i, item in enumerate(found["carbon"])]
    found = {**found, "carbon": carbon}
    session.records.put(name, found)
    return found


def _goods(run: EventRun) -> list[str]:
    """All goods of the event, as subjects: outputs, else the container, else what is listed."""
    p = run.p
    if p["type"] == "TransformationEvent":
        found = [*p.get("outputs", ()), *_ids(p, "output_quantities")]
        return found or [p.get("transformation_id", "")]
    if p["type"] == "AggregationEvent" and "parent" in p and p.get("action") != "DELETE":
        return [p["parent"]]
    names = ("epcs", "children")
    found = [text for name in names for text in p.get(name, ())]
    found += [*_ids(p, "quantities"), *_ids(p, "child_quantities")]
    return found or ([p["parent"]] if "parent" in p else [])


def _ids(p: dict[str, Any], name: str) -> list[str]:
    return [item["id"] for item in p.get(name, ())]


def _put_on(run: EventRun, record: Record, subjects: list[str], where: str) -> None:
    places = []
    for subject in dict.fromkeys(subjects or [""]):  # an event without goods places nothing
        place = run.places.get(subject)
        if place is None:
            run.breach_at(
                run.strict,
                "CARBON_UNPLACED",
                f"{subject or 'The event'} is not among the goods of the event that lie on the "
                "ledger; subjects of the event itself are accepted.",
                where + "/subjects",
            )
        else:
            places.append(place)
    pool = {record["stage"]: record["co2e_mg"]}
    shares = carbon_pool.split(pool, [weight for _, _, weight in places])
    for (name, sender, _), share in zip(places, shares, strict=True):
        found = run.records.get(name)
        if found is None or not share:
            continue
        fresh = run.edit(name, found)
        before = found if sender is None else found["incoming"][sender]
        if carbon_pool.total(before.get("carbon")) + carbon_pool.total(share) > MAX_POOL_MG:
            raise Refusal(
                "BAD_CARBON",
                f"The goods would carry more than {MAX_POOL_MG} mg; less is accepted.",
                where + "/co2e_mg",
            )
        if sender is None:
            fresh["carbon"] = carbon_pool.add(fresh.get("carbon"), share)
        else:
            entry = fresh["incoming"][sender]
            moved = {**entry, "carbon": carbon_pool.add(entry.get("carbon"), share)}
            fresh["incoming"] = {**fresh["incoming"], sender: moved}
        run.records.put(name, fresh)


def _check_one(record: object, where: str) -> Record:
    if type(record) is not dict:
        raise Refusal("BAD_CARBON", "A carbon record must be an object.", where)
    names = record.keys()
    if not names >= _REQUIRED or not names <= _REQUIRED | _OPTIONAL:
        raise Refusal(
            "BAD_CARBON",
            "A carbon record has stage, activity, factor and co2e_mg, may have subjects and "
            "stated_by, and nothing else.",
            where,
        )
    if record["stage"] not in STAGES:
        raise Refusal("BAD_CARBON", f"stage must be one of {', '.join(STAGES)}.", where + "/stage")
    co2e_mg = record["co2e_mg"]
    if type(co2e_mg) is not int or not 0 <= co2e_mg <= MAX_CO2E_MG:
        raise Refusal(
            "BAD_CARBON", f"co2e_mg must be an integer from 0 to {MAX_CO2E_MG}.", where + "/co2e_mg"
        )
    amount = _texts(record["activity"], ("amount", "unit"), (), where + "/activity")
    factor = _texts(record["factor"], ("id", "version"), ("value_mg_per_unit",), where + "/factor")
    numerator, denominator = _number(amount["amount"], where + "/activity/amount")
    try:
        unit_of(amount["unit"])
    except UnitError as error:
        raise UnitError(error.code, error.message, where + "/activity/unit") from None
    if "value_mg_per_unit" in factor:
        top, bottom = _number(factor["value_mg_per_unit"], where + "/factor/value_mg_per_unit")
        exact, scale = numerator * top, denominator * bottom
        if abs(exact - co2e_mg * scale) >= scale:
            raise Refusal(
                "CARBON_ARITHMETIC",
                f"{amount['amount']} {amount['unit']} times {factor['value_mg_per_unit']} mg is "
                f"{exact // scale} mg; co2e_mg within 1 mg of it is accepted, not {co2e_mg}.",
                where + "/co2e_mg",
            )
    _check_subjects(record, where)
    return dict(record)


def _check_subjects(record: Record, where: str) -> None:
    subjects = record.get("subjects", [])
    if type(subjects) is not list or len(subjects) > 10_000:
        raise Refusal("BAD_CARBON", "subjects must be a list of identifiers.", where + "/subjects")
    for item in (*subjects, record.get("stated_by", "-")):
        if type(item) is not str or not 0 < len(item) <= 512:
            raise Refusal("BAD_CARBON", "Subjects and stated_by are identifiers.", where)


def _texts(
    value: object, required: tuple[str, ...], optional: tuple[str, ...], where: str
) -> dict[str, str]:
    if type(value) is not dict or not set(required) <= value.keys() <= {*required, *optional}:
        raise Refusal("BAD_CARBON", f"An object with {', '.join(required)} is accepted.", where)
    for name in sorted(value):
        if type(value[name]) is not str or not _WORD.match(value[name]):
            raise Refusal(
                "BAD_CARBON",
                "A printable text of 1 to 200 characters is accepted.",
                f"{where}/{name}",
            )
    return value


def _number(text: str, where: str) -> tuple[int, int]:
    try:
        return fraction(text)
    except UnitError as error:
        raise UnitError(error.code, error.message, where) from None
