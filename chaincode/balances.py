"""The arithmetic of balance records: amounts as decimal strings, carbon pools beside them.

No rules: who may take what is decided in :mod:`chaincode.lots`. Functions change the record they
are given, which must be an editable copy.
"""

from __future__ import annotations

from chaincode import carbon_pool
from chaincode.records import Record

Pool = dict[str, int]


def balance_key(identifier: str, holder: str) -> str:
    """State key of a holder's balance of a lot."""
    return f"\x00balance\x00{identifier}\x00{holder}\x00"


def amount_in(balance: Record, field: str) -> int:
    """A stored amount as an integer (0 where absent)."""
    found = balance.get(field)
    return int(found) if found else 0


def from_incoming(balance: Record, sender: str, most: int | None) -> tuple[int, Pool]:
    """Take at most `most` (all where None) of a sender's shipments out of a balance."""
    incoming = dict(balance.get("incoming", {}))
    entry = incoming.get(sender)
    if entry is None or most == 0:
        return 0, {}
    whole = int(entry["amount"])
    part = whole if most is None else min(whole, most)
    share, rest = carbon_pool.part(entry.get("carbon"), part, whole)
    if part == whole:
        del incoming[sender]
    else:
        left: Record = {"amount": str(whole - part)}
        if rest:
            left["carbon"] = rest
        if "recalled" in entry:
            left["recalled"] = True
        incoming[sender] = left
    if incoming:
        balance["incoming"] = incoming
    else:
        balance.pop("incoming", None)
    return part, share


def to_incoming(
    balance: Record, sender: str, base: int, share: Pool, recalled: bool = False
) -> None:
    """Add a sender's shipment to what is under way to the balance's holder.

    `recalled`: the sender had recalled what it held; so has, once it arrives, the receiver.
    """
    incoming = dict(balance.get("incoming", {}))
    entry = incoming.get(sender, {})
    fresh: Record = {"amount": str(int(entry.get("amount", 0)) + base)}
    pool = carbon_pool.add(entry.get("carbon"), share)
    if pool:
        fresh["carbon"] = pool
    if recalled or "recalled" in entry:
        fresh["recalled"] = True
    incoming[sender] = fresh
    balance["incoming"] = incoming


def recalled_from(balance: Record, sender: str) -> bool:
    """Whether something recalled is under way from the sender."""
    return "recalled" in balance.get("incoming", {}).get(sender, {})


def add_amount(balance: Record, field: str, base: int) -> None:
    """Add to a counter."""
    if base:
        balance[field] = str(amount_in(balance, field) + base)


def set_amount(balance: Record, field: str, base: int) -> None:
    """Set a counter; zero is absent."""
    if base:
        balance[field] = str(base)
    else:
        balance.pop(field, None)


def set_pool(balance: Record, field: str, pool: Pool) -> None:
    """Set a carbon pool; an empty one is absent."""
    if pool:
        balance[field] = pool
    else:
        balance.pop(field, None)
