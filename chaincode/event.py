"""One event while its rules are applied: who acts, what it says, which rules it broke.

A broken rule is a refusal where the product's policy is `enforce` and a finding where it is
`report`. Goods without a GTIN (logistic units, assets) follow what is packed in them; foreign
identifiers and GTINs nobody defined are under `report`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from chaincode.errors import IdentifierError, Refusal, UnitError
from chaincode.identifiers import Identifier, as_party, parse
from chaincode.products import convert, product_key
from chaincode.records import Record, Records, key
from chaincode.units import BASE_PER_MILLIGRAM, DEFAULT_UNIT, MASS, amount

MAX_FINDINGS: Final = 100
UNNAMED: Final = "unnamed"

Amount = tuple[str, int]


class EventRun:
    """The context of one event: records, the acting party, findings, carbon placements.

    `places` maps an identifier to where its goods lie after the event (state key, the sender for
    goods under way or None, weight in milligrams or 0): that is where carbon is put.
    """

    __slots__ = (
        "_ends",
        "actor",
        "disposition",
        "findings",
        "hex",
        "now_ms",
        "p",
        "party",
        "places",
        "records",
        "roles",
        "strict",
        "time_ms",
        "tracking",
    )

    def __init__(
        self, records: Records, party: Record, p: dict[str, Any], hex_: str, now_ms: int
    ) -> None:
        self.records = records
        self.party = party
        self.actor: str = party["id"]
        self.roles = frozenset(party["roles"])
        self.p = p
        self.hex = hex_
        self.now_ms = now_ms
        self.time_ms: int = p["time_ms"]
        self.disposition: str | None = p.get("disposition")
        self.findings: list[dict[str, object]] = []
        self.strict = False
        self.tracking = False
        self.places: dict[str, tuple[str, str | None, int]] = {}
        self._ends: tuple[str | None, str | None] | None = None

    # policy

    def breach(self, enforced: bool, code: str, message: str, where: str) -> None:
        """A rule is broken: refuse under enforce, note a finding under report."""
        self.breach_at(enforced, code, message, "/projection" + where)

    def breach_at(self, enforced: bool, code: str, message: str, where: str) -> None:
        """The same with a pointer into the event's whole argument."""
        refusal = Refusal(code, message, where)
        if enforced:
            raise refusal
        self.note(refusal)

    def note(self, refusal: Refusal) -> None:
        """Record a finding (at most 100 an event; the last one says that there are more)."""
        count = len(self.findings)
        if count < MAX_FINDINGS - 1:
            self.findings.append(refusal.as_dict())
        elif count == MAX_FINDINGS - 1:
            more = "Further findings of this event are left out."
            self.findings.append({"code": refusal.code, "message": more, "where": refusal.where})

    def enforced(self, identifier: Identifier, record: Record | None = None) -> bool:
        """Whether the policy that governs this identifier is `enforce`."""
        found = record is not None and record.get("mode") == "enforce"
        if not found and identifier.gtin is not None:
            product = self.records.get(product_key(identifier.gtin))
            found = product is not None and product["mode"] == "enforce"
        if found:
            self.strict = True
        return found

    def require_roles(self, enforced: bool, allowed: frozenset[str], what: str, where: str) -> None:
        """Breach ROLE_NOT_ALLOWED unless the acting party has one of the roles."""
        if not (self.roles & allowed):
            self.breach(
                enforced,
                "ROLE_NOT_ALLOWED",
                f"{self.actor} has the roles {', '.join(sorted(self.roles))}; {what} is accepted "
                f"from {', '.join(sorted(allowed))}.",
                where,
            )

    def require_maker(
        self, enforced: bool, allowed: frozenset[str], identifier: Identifier, where: str
    ) -> None:
        """Breach ROLE_NOT_ALLOWED or NOT_MAKER unless the party may commission this product."""
        self.require_roles(enforced, allowed, f"commissioning {identifier.uri}", where)
        product = self.product(identifier)
        if product is None or self.actor == product["owner"]:
            return
        makers = product.get("makers", ())
        if self.actor not in makers:
            self.breach(
                enforced,
                "NOT_MAKER",
                f"{identifier.uri} may be commissioned by its product's owner {product['owner']} "
                f"and the makers it named ({', '.join(makers) or 'none'}); "
                f"{self.actor} is not among them.",
                where,
            )

    # identifiers, quantities, products

    def identify(self, text: str, where: str) -> Identifier:
        """The identifier, canonical; one that cannot be read counts as foreign, with a finding.

        Raises Refusal NOT_CANONICAL, IdentifierError UNSAFE_CHARACTERS.
        """
        try:
            found = parse(text)
        except IdentifierError as error:
            if error.code == "UNSAFE_CHARACTERS":
                raise IdentifierError(error.code, error.message, "/projection" + where) from None
            self.note(Refusal(error.code, error.message, "/projection" + where))
            return Identifier("other", text)
        if found.uri != text:
            raise Refusal(
                "NOT_CANONICAL",
                f"{text} is not in canonical form; {found.uri} is accepted.",
                "/projection" + where,
            )
        return found

    def goods(
        self, ids: str, quantities: str
    ) -> Iterator[tuple[Identifier, dict[str, str] | None, str]]:
        """The goods of an id list and its quantity list: identifier, quantity, pointer.

        The quantity is None for one thing. A class in the id list counts as a quantity that is
        not known.
        """
        for index, text in enumerate(self.p.get(ids, ())):
            where = f"/{ids}/{index}"
            identifier = self.identify(text, where)
            yield identifier, {"id": text} if identifier.is_class else None, where
        for index, quantity in enumerate(self.p.get(quantities, ())):
            where = f"/{quantities}/{index}"
            yield self.identify(quantity["id"], where + "/id"), quantity, where

    def product(self, identifier: Identifier) -> Record | None:
        """The product record that governs the identifier, or None."""
        if identifier.gtin is None:
            return None
        return self.records.get(product_key(identifier.gtin))

    def amount_of(self, quantity: dict[str, str], enforced: bool, where: str) -> Amount | None:
        """Dimension and base amount of a quantity, or None where it has none that can be read."""
        text = quantity.get("qty")
        if text is None:
            return None
        try:
            return amount(text, quantity.get("unit", DEFAULT_UNIT))
        except UnitError as error:
            # an unreadable number is refused under any policy; an unknown unit may be foreign
            self.breach(
                enforced or error.code == "BAD_QUANTITY", error.code, error.message, where + "/qty"
            )
            return None

    def milligrams(self, identifier: Identifier, found: Amount | None) -> int:
        """The weight of an amount, 0 where unknown."""
        if found is None:
            return 0
        mass = convert(self.product(identifier), found[0], found[1], MASS)
        return 0 if mass is None else mass // BASE_PER_MILLIGRAM

    # who ships, who receives

    @property
    def receiver(self) -> str | None:
        """The party the event names as receiver: possessing, else owning, else by location."""
        return self._both_ends()[0]

    @property
    def buyer(self) -> str | None:
        """The new owner the event names, or None."""
        return self._both_ends()[1]

    def senders(self) -> list[str]:
        """Parties the event names as source, possessing before owning."""
        return _parties(self.p.get("from", ()), "from")

    def _both_ends(self) -> tuple[str | None, str | None]:
        if self._ends is None:
            ends = self.p.get("to", ())
            parties = _parties(ends, "to")
            owner = next((e["id"] for e in ends if e.get("type") == "owning_party"), None)
            receiver = parties[0] if parties else self._party_at(ends)
            self._ends = (receiver, owner)
        return self._ends

    def _party_at(self, ends: Sequence[dict[str, str]]) -> str | None:
        """The party that registered a named location, else the party of the location's GLN."""
        for end in ends:
            found = self.records.get(key("location", end["id"]))
            if found is not None:
                return str(found["party"])
        for end in ends:
            if end["id"].startswith("https://id.gs1.org/414/"):
                return "https://id.gs1.org/417/" + end["id"][23:36]
        return None

    # records

    def edit(self, name: str, record: Record) -> Record:
        """A copy to change and put back, stamped with this event."""
        copy = dict(record)
        if not self.records.written(name):
            copy["events"] = [self.hex]
        elif record["events"][-1] != self.hex:
            copy["events"] = [*record["events"], self.hex]
        copy.pop("last", None)
        return copy

    def touch(self, name: str, record: Record) -> None:
        """Note the event on a record that it does not change."""
        self.records.put(name, self.edit(name, record))

    def place(self, identifier: str, name: str, sender: str | None, weight: int) -> None:
        """Remember where an identifier's goods lie now (only kept for events with carbon)."""
        if self.tracking:
            self.places[identifier] = (name, sender, weight)


def _parties(ends: Sequence[dict[str, str]], field: str) -> list[str]:
    holders: list[str] = []
    owners: list[str] = []
    for index, end in enumerate(ends):
        kind, party = end.get("type"), end["id"]
        if kind == "possessing_party":
            holders.append(_party(party, f"/{field}/{index}/id"))
        elif kind == "owning_party" and party not in holders:
            owners.append(_party(party, f"/{field}/{index}/id"))
    return holders + owners


def _party(text: str, where: str) -> str:
    """A party as the event names it, which must be canonical where it can be read."""
    try:
        found = as_party(text)
    except IdentifierError:
        return text
    if found != text:
        raise Refusal(
            "NOT_CANONICAL",
            f"{text} is not a party in canonical form; {found} is accepted.",
            "/projection" + where,
        )
    return found
