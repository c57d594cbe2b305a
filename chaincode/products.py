"""Product policy: what the network enforces for one GTIN.

`mode` enforce refuses events that break a rule; report accepts them and records the finding.
A GTIN nobody defined, and foreign identifiers, are under report: historic and foreign data must
come in, and nobody vouches for it. `max_yield` is the most mass a transformation may put out per
mass taken in ("1.00" where nothing is declared); `mass_g` weighs one `unit`; `makers`, where
declared, are the parties that may commission the product besides its owner.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from chaincode.arguments import Arguments
from chaincode.errors import Refusal, UnitError
from chaincode.identifiers import as_party, gtin14, parse
from chaincode.records import Record
from chaincode.session import Session, require_party
from chaincode.units import BASE_PER_GRAM, DEFAULT_UNIT, MASS, fraction, unit_of

DEFINING_ROLES: Final = ("brand", "producer", "processor", "regulator")
DISCLOSURES: Final = ("open", "partners", "confidential", "in-country")


def product_key(gtin: str) -> str:
    """State key of a GTIN's product record."""
    return f"\x00product\x00{gtin}\x00"


def define(session: Session, args: Arguments) -> Record:
    """product:define: the first definer owns the product; only it or a regulator changes it."""
    gtin = _gtin(args)
    record: Record = {
        "gtin": gtin,
        "name": args.text("name"),
        "mode": args.choice("mode", ("enforce", "report")),
        "unit": args.text("unit", 3, DEFAULT_UNIT),
        "disclosure": args.choice("disclosure", DISCLOSURES, "open"),
        "time_ms": session.now_ms,
    }
    if args.has("brand"):
        record["brand"] = args.text("brand")
    if args.has("max_yield"):
        record["max_yield"] = _decimal(args, "max_yield")
    if args.has("mass_g"):
        record["mass_g"] = _decimal(args, "mass_g")
    if args.has("makers"):
        record["makers"] = sorted(as_party(item) for item in args.texts("makers", 500))
    actor = args.party("actor") if args.has("actor") else None
    named = args.party("owner") if args.has("owner") else None
    args.done()
    unit_of(record["unit"])
    party = session.acting_for(actor, "product:define")
    if not any(role in party["roles"] for role in DEFINING_ROLES):
        raise Refusal(
            "ROLE_NOT_ALLOWED",
            f"{party['id']} has the roles {', '.join(party['roles'])}; "
            f"{' or '.join(DEFINING_ROLES)} may define products.",
        )
    existing = session.records.get(product_key(gtin))
    owner = existing["owner"] if existing is not None else party["id"]
    if owner != party["id"] and "regulator" not in party["roles"]:
        raise Refusal(
            "PRODUCT_OWNED",
            f"GTIN {gtin} was defined by {owner}; that party or a regulator is accepted.",
            "/gtin",
        )
    if existing is not None and "regulator" not in party["roles"]:
        _require_no_looser(existing, record)
    if named is not None and named != owner:
        if "regulator" not in party["roles"]:
            raise Refusal(
                "ROLE_NOT_ALLOWED",
                f"GTIN {gtin} belongs to {owner}; only a regulator may give it to {named}.",
                "/owner",
            )
        owner = require_party(session.records, named, "/owner")["id"]
    record["owner"], record["defined_by"] = owner, party["id"]
    session.records.put(product_key(gtin), record)
    return record


def _require_no_looser(before: Record, after: Record) -> None:
    """Under `enforce` an owner does not change what past quantities mean, nor loosen the rules."""
    if before["mode"] != "enforce":
        return
    for name in ("mode", *(("unit", "mass_g") if "mass_g" in before else ())):
        if name in before and _plain(before[name]) != _plain(after.get(name, "")):
            raise _settled(before, name)
    if "max_yield" in before:
        old, new = fraction(before["max_yield"]), fraction(after.get("max_yield", "1"))
        if new[0] * old[1] > old[0] * new[1]:
            raise _settled(before, "max_yield")


def _settled(before: Record, name: str) -> Refusal:
    return Refusal(
        "ROLE_NOT_ALLOWED",
        f"GTIN {before['gtin']} is enforced with {name} {before[name]}; only a regulator may "
        "change or loosen that. The same value (a lower max_yield) is accepted from its owner.",
        f"/{name}",
    )


def _plain(text: str) -> str:
    """A decimal without trailing zeros; other texts as they are."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def get(session: Session, args: Arguments) -> Record:
    """product:get"""
    gtin = _gtin(args)
    args.done()
    found = session.records.get(product_key(gtin))
    if found is None:
        raise Refusal(
            "NOT_FOUND", f"GTIN {gtin} is not defined; a defined one is accepted.", "/gtin"
        )
    return found


def list_all(session: Session, args: Arguments) -> Record:
    """product:list"""
    size, bookmark = args.page()
    args.done()
    return session.page("product", size, bookmark)


def convert(product: Record | None, dimension: str, base: int, target: str) -> int | None:
    """A base amount in another dimension: by itself, or through the product's mass per unit.

    None where no conversion is declared.
    """
    if dimension == target:
        return base
    if product is None or "mass_g" not in product:
        return None
    unit_dimension, per_unit = unit_of(product["unit"])
    mass = _base_mass(product["mass_g"])
    if dimension == unit_dimension and target == MASS:
        return base * mass // per_unit
    if dimension == MASS and target == unit_dimension:
        return base * per_unit // mass
    return None


def piece_mass(product: Record | None) -> int:
    """Base mass (femtograms) of one serialised piece of the product; 0 where unknown."""
    if product is None or "mass_g" not in product or unit_of(product["unit"])[0] == MASS:
        return 0
    return _base_mass(product["mass_g"])


@lru_cache(maxsize=4_096)
def _base_mass(grams: str) -> int:
    numerator, denominator = fraction(grams)
    return max(1, numerator * BASE_PER_GRAM // denominator)


def _gtin(args: Arguments) -> str:
    text = args.text("gtin", 512)
    bare = text.isascii() and text.isdigit()
    gtin = gtin14(text) if bare else parse(text).gtin
    if gtin is None:
        raise Refusal(
            "BAD_IDENTIFIER", f"{text!a} is no GTIN; 8, 12, 13 or 14 digits are.", "/gtin"
        )
    return gtin


def _decimal(args: Arguments, name: str) -> str:
    text = args.decimal(name)
    try:
        numerator, _ = fraction(text)
    except UnitError as error:
        raise UnitError(error.code, error.message, f"/{name}") from None
    if not numerator:
        raise UnitError(
            "BAD_QUANTITY", f"{name} is 0; a decimal above zero is accepted.", f"/{name}"
        )
    return text
