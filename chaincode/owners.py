"""Who owns things: apart from who holds them.

A thing without a recorded owner is its holder's. Ownership passes where the owner ships naming a
new owning_party, where a TransactionEvent of the owner names one, and with a container the owner
sells: for what in it was the seller's. A keeper, carrier or receiver cannot name an owner.
"""

from __future__ import annotations

from typing import Final

from chaincode.errors import Refusal
from chaincode.event import EventRun
from chaincode.records import Record
from chaincode.session import party_key
from chaincode.steps import SERVICE

MAX_SELLERS: Final = 50


def owner_of(record: Record, root: Record) -> str | None:
    """The owner of a thing in its outermost container; its holder where none is recorded."""
    own = record.get("owner")
    sellers = root.get("sold_by")
    if record is not root and sellers and (own is None or own in sellers):
        return str(root["owner"])
    found = own or root.get("holder")
    return None if found is None else str(found)


def may_transfer(run: EventRun, owner: str | None) -> bool:
    """The owner itself; for an owner outside the network, a trade party that names it as source."""
    if owner is None or owner == run.actor:
        return True
    unregistered = run.records.get(party_key(owner)) is None
    return unregistered and owner in run.senders() and bool(run.roles & SERVICE)


def may_name(
    run: EventRun, enforced: bool, record: Record, where: str, agreed: str | None = None
) -> bool:
    """Whether a shipment or receipt may name the event's new owner.

    Goods still move where it may not: there is a finding, and under enforce the owner stays.
    `agreed`: the owner the shipment named, for a receipt that names another.
    """
    owner = agreed or record.get("owner")
    if owner == run.buyer or may_transfer(run, owner):
        return True
    run.note(
        Refusal(
            "NOT_OWNER",
            f"{record['id']} is owned by {owner}; a new owner named by {owner} (in its shipment or "
            "a TransactionEvent) is accepted.",
            "/projection" + where,
        )
    )
    return not enforced


def hand_over(before: Record, fresh: Record, owner: str) -> None:
    """Write the new owner; a container remembers who sold it, for what is inside."""
    seller = before.get("owner") or before.get("holder")
    fresh["owner"] = owner
    if seller and seller != owner and ("contents" in fresh or "lots" in fresh):
        sellers = [s for s in fresh.get("sold_by", []) if s != seller]
        fresh["sold_by"] = [*sellers, seller][-MAX_SELLERS:]


def inherit(root: Record, fresh: Record) -> None:
    """What leaves a sold container belongs to its buyer, if it was a seller's."""
    sellers = root.get("sold_by")
    if not sellers or fresh.get("owner", sellers[-1]) not in sellers:
        return
    fresh["owner"] = root["owner"]
    if "contents" in fresh:
        fresh["sold_by"] = [*fresh.get("sold_by", []), *sellers][-MAX_SELLERS:]
