"""Quantities: exact in every unit, refused where they are not plain decimals.

Would catch: a float's rounding, a negative or exponent quantity, pounds taken for kilograms.
"""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaincode.errors import UnitError
from chaincode.units import PACKAGING, UNITS, amount, decimal, fraction, unit_of

units = st.sampled_from(sorted(UNITS))
plain = st.decimals(
    min_value="0.001", max_value="99999999", places=3, allow_nan=False, allow_infinity=False
).map(lambda number: format(number, "f"))


# UN/CEFACT Recommendation 20, revision 17, conversion factors
@pytest.mark.parametrize(
    ("unit", "quantity", "other", "equal"),
    [
        ("LBR", "1", "KGM", "0.45359237"),
        ("ONZ", "1", "GRM", "28.349523125"),
        ("STN", "1", "LBR", "2000"),
        ("LTN", "1", "LBR", "2240"),
        ("TNE", "1", "KGM", "1000"),
        ("CTM", "5", "GRM", "1"),
        ("GLL", "1", "LTR", "3.785411784"),
        ("GLI", "1", "LTR", "4.54609"),
        ("OZA", "128", "GLL", "1"),
        ("MTQ", "1", "HLT", "10"),
        ("INH", "12", "FOT", "1"),
        ("SMI", "1", "MTR", "1609.344"),
        ("H18", "1", "MTK", "10000"),
        ("HAR", "1", "H18", "1"),
        ("DJ", "1", "GRM", "10"),
        ("ACR", "1", "YDK", "4840"),
        ("KWH", "1", "3B", "3.6"),
        ("DZN", "1", "EA", "12"),
        ("C62", "1", "H87", "1"),
        ("NAR", "1", "H87", "1"),
        ("XCS", "1", "CS", "1"),
        ("XBO", "1", "BO", "1"),
    ],
)
def test_published_conversions(unit: str, quantity: str, other: str, equal: str) -> None:
    assert amount(quantity, unit) == amount(equal, other)


@pytest.mark.parametrize(
    "text",
    [
        "-1",
        "+1",
        "1e3",
        "NaN",
        "Infinity",
        "",
        " 1",
        "1 ",
        "01",
        ".5",
        "5.",
        "1,5",
        "٣",
        "1_000",
        "0x10",
        "1" * 30,
        "0",
        "0.0",
    ],
)
def test_other_quantities_are_refused(text: str) -> None:
    with pytest.raises(UnitError) as caught:
        amount(text, "KGM")
    assert caught.value.code == "BAD_QUANTITY"


def test_a_quantity_finer_than_the_ledger_counts_is_refused() -> None:
    with pytest.raises(UnitError, match="finer"):
        amount("0.0000000000000000001", "KGM")
    with pytest.raises(UnitError, match="finer"):
        amount("0.0000001", "EA")


@pytest.mark.parametrize("code", ["kgm", "KG", "", "PARSEC", "EA ", "MC2", "KIT", "XKT", "XXCS"])
def test_unknown_units_are_refused(code: str) -> None:
    with pytest.raises(UnitError) as caught:
        unit_of(code)
    assert caught.value.code == "UNKNOWN_UNIT"


def test_each_packaging_code_is_its_own_dimension() -> None:
    assert unit_of("CS")[0] != unit_of("BX")[0] != unit_of("EA")[0]
    assert not PACKAGING & set(UNITS)


@given(plain, units)
def test_amounts_are_exact(quantity: str, unit: str) -> None:
    numerator, denominator = fraction(quantity)
    exact = Fraction(numerator, denominator) * unit_of(unit)[1]
    try:
        _, base = amount(quantity, unit)
    except UnitError:
        assert exact.denominator != 1 or exact == 0
        return
    assert exact == base


@given(st.integers(1, 10**24), units)
def test_shown_amounts_never_say_more_than_there_is(base: int, unit: str) -> None:
    shown = decimal(base, unit)
    numerator, denominator = (
        (int(shown.replace(".", "")), 10 ** len(shown.partition(".")[2]))
        if "." in shown
        else (int(shown), 1)
    )
    exact = Fraction(numerator, denominator) * unit_of(unit)[1]
    assert 0 <= base - exact < Fraction(unit_of(unit)[1], 10**12) + 1
