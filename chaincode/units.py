"""Quantities: plain decimals with UN/CEFACT Recommendation 20 (and 21) unit codes.

Every unit is an exact integer number of its dimension's base unit, so conversion never rounds:
mass in femtograms, volume in 10^-21 litres, length in femtometres, area in square nanometres,
energy in femtojoules, time in nanoseconds, freight and counts in millionths. Inch, foot, yard,
mile, pound and gallon are the international definitions of 1959 and 1964. Each packaging code
(case, box, pallet ...) is a dimension of its own: how many pieces a case holds is the product's
business.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from chaincode.errors import UnitError

DEFAULT_UNIT: Final = "EA"
MASS: Final = "mass"
COUNT: Final = "count"
BASE_PER_GRAM: Final = 10**15
BASE_PER_MILLIGRAM: Final = 10**12
MAX_DIGITS: Final = 24

_MILLION: Final = 10**6

_EXACT: Final[dict[str, tuple[str, int]]] = {
    # mass: nanograms here
    "KGM": (MASS, 10**12),
    "GRM": (MASS, 10**9),
    "HGM": (MASS, 10**11),
    "DG": (MASS, 10**8),
    "CGM": (MASS, 10**7),
    "MGM": (MASS, 10**6),
    "MC": (MASS, 10**3),
    "TNE": (MASS, 10**15),
    "DTN": (MASS, 10**14),
    "KTN": (MASS, 10**18),
    "LBR": (MASS, 453_592_370_000),
    "ONZ": (MASS, 28_349_523_125),
    "APZ": (MASS, 31_103_476_800),
    "GRN": (MASS, 64_798_910),
    "CWA": (MASS, 45_359_237_000_000),
    "CWI": (MASS, 50_802_345_440_000),
    "STI": (MASS, 6_350_293_180_000),
    "STN": (MASS, 907_184_740_000_000),
    "LTN": (MASS, 1_016_046_908_800_000),
    "CTM": (MASS, 200_000_000),
    "DJ": (MASS, 10**10),
    # volume: femtolitres
    "LTR": ("volume", 10**15),
    "DLT": ("volume", 10**14),
    "CLT": ("volume", 10**13),
    "MLT": ("volume", 10**12),
    "4G": ("volume", 10**9),
    "HLT": ("volume", 10**17),
    "MTQ": ("volume", 10**18),
    "DMQ": ("volume", 10**15),
    "CMQ": ("volume", 10**12),
    "MMQ": ("volume", 10**9),
    "GLL": ("volume", 3_785_411_784_000_000),
    "GLI": ("volume", 4_546_090_000_000_000),
    "BLL": ("volume", 158_987_294_928_000_000),
    "OZA": ("volume", 29_573_529_562_500),
    "OZI": ("volume", 28_413_062_500_000),
    "PTL": ("volume", 473_176_473_000_000),
    "PTI": ("volume", 568_261_250_000_000),
    "QTL": ("volume", 946_352_946_000_000),
    "QTI": ("volume", 1_136_522_500_000_000),
    "INQ": ("volume", 16_387_064_000_000),
    "FTQ": ("volume", 28_316_846_592_000_000),
    "YDQ": ("volume", 764_554_857_984_000_000),
    # length: nanometres
    "MTR": ("length", 10**9),
    "DMT": ("length", 10**8),
    "CMT": ("length", 10**7),
    "MMT": ("length", 10**6),
    "4H": ("length", 10**3),
    "KMT": ("length", 10**12),
    "INH": ("length", 25_400_000),
    "FOT": ("length", 304_800_000),
    "YRD": ("length", 914_400_000),
    "SMI": ("length", 1_609_344_000_000),
    "NMI": ("length", 1_852_000_000_000),
    # area: square micrometres
    "MTK": ("area", 10**12),
    "DMK": ("area", 10**10),
    "CMK": ("area", 10**8),
    "MMK": ("area", 10**6),
    "KMK": ("area", 10**18),
    "H18": ("area", 10**16),
    "H16": ("area", 10**14),
    "HAR": ("area", 10**16),  # HAR, ARE: hectare and are of earlier revisions, now H18 and H16
    "ARE": ("area", 10**14),
    "ACR": ("area", 4_046_856_422_400_000),
    "FTK": ("area", 92_903_040_000),
    "INK": ("area", 645_160_000),
    "YDK": ("area", 836_127_360_000),
    # energy: nanojoules
    "JOU": ("energy", 10**9),
    "KJO": ("energy", 10**12),
    "3B": ("energy", 10**15),
    "GV": ("energy", 10**18),
    "WHR": ("energy", 3_600 * 10**9),
    "KWH": ("energy", 3_600_000 * 10**9),
    "MWH": ("energy", 3_600_000_000 * 10**9),
    "GWH": ("energy", 3_600_000_000_000 * 10**9),
    "BTU": ("energy", 1_055_055_852_620),
    # freight: tonne-kilometres
    "TKM": ("freight", 1),
    # time: milliseconds
    "SEC": ("time", 1_000),
    "MIN": ("time", 60_000),
    "HUR": ("time", 3_600_000),
    "DAY": ("time", 86_400_000),
    # counts: pieces
    "EA": (COUNT, 1),
    "C62": (COUNT, 1),
    "H87": (COUNT, 1),
    "NAR": (COUNT, 1),
    "NMB": (COUNT, 1),
    "PR": (COUNT, 2),
    "DZN": (COUNT, 12),
    "GRO": (COUNT, 144),
    "CEN": (COUNT, 100),
    "MIL": (COUNT, 1_000),
}

# A millionth of each: any unit's quantity may have six decimal places, most many more.
UNITS: Final[dict[str, tuple[str, int]]] = {
    code: (dimension, exact * _MILLION) for code, (dimension, exact) in _EXACT.items()
}

# UN/CEFACT Recommendation 21 packaging. Left out: KG (keg), since whoever writes it means
# kilograms, which are KGM; and DJ (demijohn), which Recommendation 20 has for the decagram
_PACKAGES: Final = frozenset(
    """
    AE AM AT AV BA BC BE BG BJ BK BL BN BO BQ BR BS BU BV BX CA CG CH CJ CK CL CN CR CS CT CU CX
    CY DR EC EN FB FD FI FR GB HG HR IN JC JG JR JT JY KI LG LT LV LZ MB MT MX NE NT OT PA PC PE
    PF PG PH PK PL PO PP PT PU PX RG RL RO RT RZ SA SC SE SH SK SM SO ST SU SW SX TB TC TD TI TK
    TN TO TR TS TU TV TY TZ UN VA VI VO VP VR WB WR 5L
    """.split()  # noqa: SIM905 - a table reads better than 150 quoted words
)
# Recommendation 20 codes that count things of no fixed size, and what it writes for a package:
# X and the code of Recommendation 21
PACKAGING: Final = (
    _PACKAGES
    | frozenset("D64 KT LF LO RM SET SYR TMS U2".split())  # noqa: SIM905
    | frozenset("X" + code for code in _PACKAGES)
)

_DECIMAL: Final = re.compile(r"(0|[1-9]\d*)(?:\.(\d+))?\Z", re.ASCII)


@lru_cache(maxsize=1_024)
def unit_of(code: str) -> tuple[str, int]:
    """Dimension and base units per unit. Raises UnitError UNKNOWN_UNIT."""
    found = UNITS.get(code)
    if found is not None:
        return found
    if code in PACKAGING:
        return (code.removeprefix("X"), _MILLION)
    raise UnitError(
        "UNKNOWN_UNIT",
        f"{code[:20]!a} is no unit the contract knows; UN/CEFACT Recommendation 20 codes such as "
        "KGM, LTR, MTR, EA or CS are accepted.",
    )


@lru_cache(maxsize=65_536)
def amount(quantity: str, unit: str) -> tuple[str, int]:
    """Dimension and exact base amount (> 0) of a plain decimal such as "12.5" and a unit code.

    Raises UnitError BAD_QUANTITY (negative, zero, NaN, exponent, too long, finer than the base
    unit) or UNKNOWN_UNIT.
    """
    dimension, per_unit = unit_of(unit)
    numerator, denominator = fraction(quantity)
    found, rest = divmod(numerator * per_unit, denominator)
    if rest:
        raise UnitError(
            "BAD_QUANTITY",
            f"{quantity} {unit} is finer than the ledger counts; at most "
            f"{len(str(per_unit)) - 1} decimal places of {unit} are accepted.",
        )
    if not found:
        raise UnitError(
            "BAD_QUANTITY",
            "The quantity is 0; a quantity above zero, or none where it is unknown, is accepted.",
        )
    return dimension, found


def fraction(quantity: str) -> tuple[int, int]:
    """Numerator and power-of-ten denominator of a plain decimal. Raises UnitError BAD_QUANTITY."""
    match = _DECIMAL.match(quantity)
    if match is None or len(quantity) > MAX_DIGITS:
        raise UnitError(
            "BAD_QUANTITY",
            f"{quantity[:40]!a} is no quantity; a plain decimal of at most {MAX_DIGITS} characters "
            'without sign or exponent, such as "12.5", is accepted.',
        )
    whole, decimals = match.groups()
    if decimals is None:
        return int(whole), 1
    return int(whole + decimals), 10 ** len(decimals)


def decimal(base: int, unit: str) -> str:
    """A base amount in `unit` as a plain decimal, cut after 12 places where it does not end."""
    _, per_unit = unit_of(unit)
    whole, rest = divmod(base, per_unit)
    places = f"{rest * 10**12 // per_unit:012d}".rstrip("0")
    return f"{whole}.{places}" if places else str(whole)
