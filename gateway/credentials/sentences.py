"""What the verifier says: one row per finding, with its verdict, its weight and its sentence.

The sentence is also the message id of the page's catalogues, so API, CLI and page say the same.
Weight decides the overall answer: ``stop`` makes it invalid, ``old`` valid but old, ``open`` not
proven; ``none`` changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["pass", "fail", "unknown", "not-applicable"]
Weight = Literal["none", "old", "open", "stop"]


@dataclass(frozen=True, slots=True)
class Sentence:
    """One finding: stable code, verdict, weight, English text with ``%(name)s`` parameters."""

    code: str
    verdict: Verdict
    weight: Weight
    text: str


def N_(text: str) -> str:
    """Marks `text` for the message catalogues."""
    return text


CHECK_NAMES: Mapping[int, str] = {
    1: N_("Complete and readable"),
    2: N_("Issuer was entitled"),
    3: N_("Signature"),
    4: N_("Written on the ledger"),
    5: N_("Within its validity period"),
    6: N_("Not withdrawn"),
    7: N_("Facts still match the ledger"),
    8: N_("Product may be used"),
}

_PASS: tuple[Verdict, Weight] = ("pass", "none")
_STOP: tuple[Verdict, Weight] = ("fail", "stop")
_OLD: tuple[Verdict, Weight] = ("fail", "old")
_OPEN: tuple[Verdict, Weight] = ("unknown", "open")
_SKIP: tuple[Verdict, Weight] = ("not-applicable", "none")


def _table(*rows: tuple[str, tuple[Verdict, Weight], str]) -> dict[str, Sentence]:
    return {code: Sentence(code, *kind, text) for code, kind, text in rows}


SENTENCES: Mapping[str, Sentence] = _table(
    ("NOT_REACHED", _OPEN, N_("This was not checked because an earlier check failed.")),
    # 1
    ("SCHEMA_OK", _PASS, N_("It is a complete certificate of a known type.")),
    ("SCHEMA_MALFORMED", _STOP, N_("It is not a certificate this network can read.")),
    ("SCHEMA_INCOMPLETE", _STOP, N_("It lacks a fact that its type must state: %(field)s.")),
    ("SCHEMA_TYPE_UNKNOWN", _OPEN, N_("Its type is not known here, so it may be incomplete.")),
    # 2
    ("ISSUER_OK", _PASS, N_("%(issuer)s was entitled to issue it on %(date)s.")),
    ("ISSUER_DIFFERS", _STOP, N_("The ledger names another issuer: %(actual)s.")),
    ("ISSUER_UNKNOWN", _STOP, N_("The issuer is not a participant of this network.")),
    ("ISSUER_NOT_ENTITLED", _STOP, N_("%(issuer)s had no valid licence for it on %(date)s.")),
    ("ISSUER_UNPROVEN", _OPEN, N_("Without the ledger it is not known who the issuer is.")),
    # 3
    ("SIGNATURE_OK", _PASS, N_("The issuer's signature is intact: nothing was changed since.")),
    ("SIGNATURE_WRONG", _STOP, N_("The signature does not match: it was changed or forged.")),
    ("SIGNATURE_UNSUPPORTED", _OPEN, N_("Its kind of signature cannot be checked here.")),
    # 4
    ("ANCHOR_OK", _PASS, N_("Its fingerprint has been on the ledger since %(date)s.")),
    ("ANCHOR_DIFFERS", _STOP, N_("The ledger holds another fingerprint under its number.")),
    ("ANCHOR_SUBJECT", _STOP, N_("The ledger says it was issued for another product.")),
    ("ANCHOR_MISSING", _STOP, N_("The ledger knows no certificate of this number.")),
    ("ANCHOR_UNPROVEN", _OPEN, N_("The ledger could not be asked about it.")),
    # 5
    ("VALIDITY_OK", _PASS, N_("It is valid from %(start)s to %(end)s.")),
    ("VALIDITY_OPEN_END", _PASS, N_("It is valid since %(start)s, without an end.")),
    ("VALIDITY_NOT_YET", _STOP, N_("It is valid only from %(start)s.")),
    ("VALIDITY_ENDED", _OLD, N_("It ended on %(end)s.")),
    ("VALIDITY_DIFFERS", _STOP, N_("The ledger states another validity period.")),
    # 6
    ("STATUS_OK", _PASS, N_("It is in force: neither withdrawn nor suspended nor replaced.")),
    ("STATUS_REVOKED", _STOP, N_("It was withdrawn on %(date)s: %(reason)s")),
    ("STATUS_SUSPENDED", _STOP, N_("It is suspended since %(date)s: %(reason)s")),
    ("STATUS_SUPERSEDED", _OLD, N_("A newer certificate has replaced it since %(date)s.")),
    ("STATUS_UNPROVEN", _OPEN, N_("Whether it was withdrawn could not be checked.")),
    # 7
    ("FACTS_OK", _PASS, N_("All %(count)s facts taken from the ledger are the same today.")),
    ("FACTS_DIFFER", _STOP, N_("A fact is not what the ledger says: %(field)s.")),
    ("FACTS_WITHDRAWN", _STOP, N_("The event behind a fact was declared an error: %(field)s.")),
    ("FACTS_CHANGED", _OLD, N_("The ledger has newer information about: %(field)s.")),
    ("FACTS_NONE", _SKIP, N_("It states no fact taken from the ledger.")),
    ("FACTS_UNPROVEN", _OPEN, N_("Its facts could not be compared with the ledger.")),
    # 8
    ("PRODUCT_OK", _PASS, N_("No recall, theft, destruction or expiry is recorded.")),
    ("PRODUCT_RECALLED", _STOP, N_("The product was recalled on %(date)s.")),
    ("PRODUCT_SOURCE_RECALLED", _STOP, N_("Something it was made from was recalled.")),
    ("PRODUCT_STOLEN", _STOP, N_("The product was reported stolen on %(date)s.")),
    ("PRODUCT_DESTROYED", _STOP, N_("The product was recorded as destroyed on %(date)s.")),
    ("PRODUCT_EXPIRED", _STOP, N_("The product expired on %(date)s.")),
    ("PRODUCT_DATE_DIFFERS", _STOP, N_("The printed date is not the recorded one, %(date)s.")),
    ("PRODUCT_DISPENSED", _OLD, N_("The pack was handed out to a patient on %(date)s.")),
    ("PRODUCT_CONSUMED", _OLD, N_("The product was used up or taken apart on %(date)s.")),
    ("PRODUCT_UNKNOWN", _OPEN, N_("The ledger has no record of this product.")),
    ("PRODUCT_UNPROVEN", _OPEN, N_("Whether it was recalled could not be checked.")),
)  # fmt: skip
