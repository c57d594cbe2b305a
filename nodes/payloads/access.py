"""Who may read a payload: one pure decision over facts somebody else gathered.

:func:`decide` knows no ledger, clock or store. It is given the reader, the payload's terms, how
the reader relates to the product, the grants recorded on the chain and the legal bases recorded
there, and names the one rule that allows or refuses. The order of the rules is the order of the
code below; `docs/design/payloads.md` shows them as a table, and a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from nodes.payloads.model import PayloadMeta, Reader, Residency

AUTHORITIES = frozenset({"regulator", "customs"})
LEGAL_BASIS_VALID_MS = 24 * 3600 * 1000


class Relation(StrEnum):
    """How a party stands to the product an event speaks of."""

    MADE = "made"  # acted in, submitted or owns the event
    NAMED = "named"  # named in it as source, destination or owner
    HELD = "held"  # holds or once held one of its identifiers
    UPSTREAM = "upstream"  # made or held something that went into it
    DOWNSTREAM = "downstream"  # made or held something that came out of it


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant on the chain that covers the payload's event.

    `grantor`, `grantee`: party ids; `scope`: event hash or identifier it was given for;
    `expires_ms`: UTC, None for no end; `revoked`: taken back.
    """

    grantor: str
    grantee: str
    scope: str
    expires_ms: int | None = None
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class RecordedBasis:
    """A legal basis an authority left on the chain for one event, and when (transaction time)."""

    party: str
    legal_basis: str
    recorded_ms: int
    tx_id: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome: `rule` is a stable name of the rule that decided, `message` a sentence.

    `tx_id` is the transaction that recorded the legal basis where the rule needed one;
    `needs_record` says that recording one would change the refusal into an allowance.
    """

    allowed: bool
    rule: str
    message: str
    tx_id: str = ""
    needs_record: bool = False


RULES: dict[str, str] = {
    "OWNER": "the reader's party made, submitted or owns the event",
    "NAMED": "the event names the reader's party as source, destination or owner",
    "OPEN": "the payload is open to every active participant",
    "PARTNER": "the reader's party holds, held, or is upstream or downstream of the product",
    "GRANT": "the owner's grant on the chain covers the event and has not expired",
    "AUTHORITY": "a regulator or customs office reads what partners read",
    "LEGAL_BASIS": "an authority recorded its legal basis for this event on the chain",
    "NO_PARTY": "the reader is not a registered party of this network",
    "SUSPENDED": "the reader's party is suspended",
    "OTHER_COUNTRY": "the payload stays in its country and the reader's party is in another",
    "NEEDS_LEGAL_BASIS": "confidential data: an authority must first record its legal basis",
    "CONFIDENTIAL": "confidential: only the parties of the event and those it was granted to",
    "NO_RELATION": "only partners of the product read it, and no relation or grant was found",
}

RelationsOf = Collection[Relation]


def decide(
    reader: Reader,
    meta: PayloadMeta,
    relations: RelationsOf,
    grants: Collection[Grant] = (),
    bases: Collection[RecordedBasis] = (),
    *,
    now_ms: int,
) -> Decision:
    """Whether `reader` may read the payload described by `meta`, and by which rule.

    `relations`: what holds between the reader's party and the event; `grants`: those on the
    chain that cover the event, for any grantee; `bases`: legal bases recorded for the event;
    `now_ms`: UTC. Never raises; same facts, same answer.
    """
    # 1. An unknown or suspended party reads nothing, not even what is open.
    if reader.party is None:
        return _no("NO_PARTY")
    if not reader.active:
        return _no("SUSPENDED")
    # 2. Who made the event reads it back, wherever it stands.
    if reader.party == meta.owner_party or Relation.MADE in relations:
        return _yes("OWNER")
    # 3. Residency before everything else: no grant carries data over the border.
    if meta.residency is Residency.IN_COUNTRY and not _same_country(reader, meta):
        return _no("OTHER_COUNTRY", f"it stays in {meta.country or 'an undeclared country'}")
    # 4. The other parties of the event itself, and those the owner let in.
    if Relation.NAMED in relations:
        return _yes("NAMED")
    if any(_covers(grant, reader.party, meta.owner_party, now_ms) for grant in grants):
        return _yes("GRANT")
    # 5. What is open, and what partners of the product and authorities may read.
    if meta.residency is Residency.OPEN:
        return _yes("OPEN")
    if meta.residency is Residency.CONFIDENTIAL:
        return _confidential(reader, reader.party, bases, now_ms)
    if relations:
        return _yes("PARTNER")
    if reader.roles & AUTHORITIES:
        return _yes("AUTHORITY")
    return _no("NO_RELATION")


def _confidential(
    reader: Reader, party: str, bases: Collection[RecordedBasis], now_ms: int
) -> Decision:
    if not reader.roles & AUTHORITIES:
        return _no("CONFIDENTIAL")
    if reader.legal_basis:
        for basis in bases:
            fresh = now_ms - basis.recorded_ms <= LEGAL_BASIS_VALID_MS
            if basis.party == party and basis.legal_basis == reader.legal_basis and fresh:
                return Decision(True, "LEGAL_BASIS", RULES["LEGAL_BASIS"], tx_id=basis.tx_id)
    return Decision(
        False,
        "NEEDS_LEGAL_BASIS",
        RULES["NEEDS_LEGAL_BASIS"],
        needs_record=bool(reader.legal_basis),
    )


def _covers(grant: Grant, party: str, owner: str, now_ms: int) -> bool:
    live = grant.expires_ms is None or now_ms < grant.expires_ms
    return live and not grant.revoked and grant.grantee == party and grant.grantor == owner


def _same_country(reader: Reader, meta: PayloadMeta) -> bool:
    return bool(meta.country) and reader.country == meta.country


def _yes(rule: str) -> Decision:
    return Decision(True, rule, RULES[rule])


def _no(rule: str, detail: str = "") -> Decision:
    return Decision(False, rule, f"{RULES[rule]}{': ' + detail if detail else ''}")
