"""How fields, values and units read on a page."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation

from gateway.credentials.document import Fact
from gateway.credentials.sentences import N_, Verdict
from gateway.digital_link import DigitalLink
from gateway.web.catalogues import Speech

FIELDS: Mapping[str, str] = {
    "productName": N_("Product"),
    "brand": N_("Brand"),
    "productCode": N_("Product code"),
    "serialNumber": N_("Serial number"),
    "lot": N_("Lot number"),
    "expiryDate": N_("Expiry or best-before date"),
    "netQuantity": N_("Quantity made"),
    "originCountry": N_("Country of origin"),
    "harvestDate": N_("Harvested or produced on"),
    "producer": N_("Producer"),
    "madeBy": N_("Made by"),
    "madeCountry": N_("Made in"),
    "madeDate": N_("Made on"),
    "carbonFootprint": N_("Carbon footprint"),
    "material": N_("Material"),
    "colour": N_("Colour"),
    "dimensions": N_("Dimensions"),
    "organic": N_("Organic"),
    "species": N_("Species"),
    "storage": N_("Storage"),
    "authorisationNumber": N_("Authorisation number"),
    "authorisationHolder": N_("Authorisation holder"),
    "citesPermit": N_("CITES permit"),
}
"""Field name -> label; a field that is not here is shown by its own name."""

TITLES: Mapping[str, str] = {
    "FoodCertificate": N_("Food certificate"),
    "DrugCertificate": N_("Medicine certificate"),
    "LuxuryCertificate": N_("Certificate of authenticity"),
}
VERDICTS: Mapping[Verdict, str] = {
    "pass": N_("passed"),
    "fail": N_("failed"),
    "unknown": N_("unknown"),
    "not-applicable": N_("does not apply"),
}
_UNITS: Mapping[str, str] = {
    "KGM": "kg", "GRM": "g", "MGM": "mg", "TNE": "t", "LTR": "l", "MLT": "ml", "MTR": "m",
    "CMT": "cm", "MMT": "mm", "MTK": "m²", "LBR": "lb", "ONZ": "oz",
}  # fmt: skip
_PIECES = frozenset({"EA", "C62", "H87"})
_DATES = frozenset({"expiryDate", "harvestDate", "madeDate"})
_COUNTRIES = frozenset({"originCountry", "madeCountry"})
PIECE = N_("per piece")
PER_KG = N_("per %(unit)s")
PIECES = N_("%(number)s pieces")


def label(field: str, t: Speech) -> str:
    """A field's name in a language."""
    return t(FIELDS[field]) if field in FIELDS else field


def value(fact: Fact, t: Speech) -> str:
    """A fact's value in a language: dates and countries in words, numbers with units."""
    if fact.field in _DATES:
        return t.iso_day(fact.value)
    if fact.field in _COUNTRIES:
        return t.country(fact.value)
    if fact.field == "carbonFootprint" and fact.unit:
        return footprint((fact.value, fact.unit), t)
    if fact.unit:
        return quantity(fact.value, fact.unit, t)
    return fact.value


def quantity(amount: str, unit: str, t: Speech) -> str:
    """A decimal string and a UN/CEFACT Rec 20 unit in words."""
    number = _number(amount, t)
    if unit in _PIECES:
        return t(PIECES, number=number)
    return f"{number} {_UNITS.get(unit, unit)}"


def footprint(amount: tuple[str, str], t: Speech) -> str:
    """A carbon amount ("12300000", "mg CO2e/EA") in grams or kilograms."""
    mg, unit = amount
    try:
        grams = Decimal(mg) / 1000
    except InvalidOperation:
        return f"{mg} {unit}"
    if abs(grams) >= 1000:
        text = f"{t.number(str((grams / 1000).quantize(Decimal('0.01')).normalize()))} kg CO₂e"
    else:
        text = f"{t.number(str(grams.quantize(Decimal('0.1'))))} g CO₂e"
    _, _, per = unit.partition("/")
    if not per:
        return text
    return f"{text} {t(PIECE) if per in _PIECES else t(PER_KG, unit=_UNITS.get(per, per))}"


def element_string(link: DigitalLink) -> str:
    """The code as it is printed for people: ``(01)09521234543213(21)ABC`` (GenSpecs, HRI rules)."""
    return "".join(f"({ai}){text}" for ai, text in ((link.primary, link.value), *link.qualifiers))


def _number(amount: str, t: Speech) -> str:
    try:
        return t.number(str(Decimal(amount).normalize())) if "E" not in amount else amount
    except InvalidOperation:
        return amount
