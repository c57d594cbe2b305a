"""Carbon on containers belongs to what is inside.

It is divided when contents leave (by mass where every mass is known, else equally) and handed to
what is inside before more is added.
"""

from __future__ import annotations

from chaincode import carbon_pool
from chaincode.balances import balance_key
from chaincode.event import EventRun
from chaincode.items import item_key
from chaincode.records import Record


def shares_of_leaving(
    container: Record, leaving: list[str], lots_leaving: list[str]
) -> dict[str, carbon_pool.Pool]:
    """The container's carbon that leaves with each child; the rest stays on the container."""
    pool = container.get("carbon")
    if not pool:
        return {}
    inside = {**container.get("contents", {}), **container.get("lots", {})}
    names = sorted(inside)
    shares = dict(zip(names, carbon_pool.split(pool, [inside[n] for n in names]), strict=True))
    going = {n: shares[n] for n in [*leaving, *lots_leaving] if n in shares}
    rest: carbon_pool.Pool = {}
    for kept in names:
        if kept not in going:
            rest = carbon_pool.add(rest, shares[kept])
    if not names:
        rest = pool
    container.pop("carbon")
    if rest:
        container["carbon"] = rest
    return going


def settle(run: EventRun, parent: str, container: Record) -> Record:
    """Hand the container's carbon to what is inside now, before more is added."""
    contents, packed = container.get("contents", {}), container.get("lots", {})
    inside = {**contents, **packed}
    shares = shares_of_leaving(container, sorted(contents), sorted(packed))
    for uri in sorted(inside):
        name = item_key(uri) if uri in contents else balance_key(uri, parent)
        record = run.records.get(name)
        if record is not None:
            fresh = run.edit(name, record)
            fresh["carbon"] = carbon_pool.add(fresh.get("carbon"), shares.get(uri))
            run.records.put(name, fresh)
    return container
