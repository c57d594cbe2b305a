"""The first line of the page, and what to do next, for every way a scan can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from gateway.credentials.sentences import N_
from gateway.verify import Overall

Tone = Literal["good", "warn", "bad", "open"]


@dataclass(frozen=True, slots=True)
class Headline:
    """Verdict in plain words (`title`), what to do (`advice`), and the colour and icon's tone."""

    code: str
    tone: Tone
    title: str
    advice: str


_RETURN = N_("Do not use it. Take it back to where you got it, or ask the contact below.")
_ASK = N_("Do not rely on it. Ask the seller for another proof, and report it below.")

_ROWS: tuple[tuple[str, Tone, str, str], ...] = (
    ("GENUINE", "good", N_("The record of this product is genuine"),
     N_("Compare the facts below with what you hold. If they match, no problem is known.")),
    ("PRODUCT_DISPENSED", "warn", N_("This pack was already handed out"),
     N_("If it is offered to you as new, do not take it. If it was handed to you, all is well.")),
    ("PRODUCT_CONSUMED", "warn", N_("This product was used up or taken apart"),
     N_("It should no longer be on offer. If it is, do not buy it and report it below.")),
    ("VALIDITY_ENDED", "warn", N_("Genuine record, but its certificate has ended"),
     N_("Nothing bad is known. Ask the seller or the issuer for a current certificate.")),
    ("STATUS_SUPERSEDED", "warn", N_("Genuine record, replaced by a newer certificate"),
     N_("Ask the seller or the issuer for the newer certificate.")),
    ("FACTS_CHANGED", "warn", N_("Genuine record, with newer information"),
     N_("A detail changed after the certificate was issued. The journey below is up to date.")),
    ("NO_CERTIFICATE", "open", N_("On record, but not certified"),
     N_("Its journey is recorded, but nobody vouches for this product. Ask the seller for proof.")),
    ("CLASS_ONLY", "open", N_("This code names a kind of product, not this one"),
     N_("Look for a code with a lot or serial number on it: only that can be checked.")),
    ("NO_RECORD", "open", N_("Not proven: we have no record of this"),
     N_("That is no proof of a fake. Check the code for typing errors, or ask the seller.")),
    ("PARTY", "open", N_("A participant of this network"),
     N_("This code names a company or a place, not a product.")),
    ("NOT_PROVEN", "open", N_("Not proven"),
     N_("Something could not be checked; the details below say what. Do not rely on it yet.")),
    ("PRODUCT_RECALLED", "bad", N_("Recalled: do not use it"), _RETURN),
    ("PRODUCT_SOURCE_RECALLED", "bad", N_("Made from recalled goods: do not use it"), _RETURN),
    ("PRODUCT_EXPIRED", "bad", N_("Past its date: do not use it"), _RETURN),
    ("PRODUCT_STOLEN", "bad", N_("Reported stolen: do not buy it"),
     N_("Do not pay for it. Report where it is offered to the contact below.")),
    ("PRODUCT_DESTROYED", "bad", N_("Recorded as destroyed: it should not exist"),
     N_("Do not use or buy it: the code is probably copied. Report it below.")),
    ("PRODUCT_DATE_DIFFERS", "bad", N_("The printed date is not the recorded one"),
     N_("The pack may have been tampered with. Do not use it, and report it below.")),
    ("STATUS_REVOKED", "bad", N_("Its certificate was withdrawn"), _ASK),
    ("STATUS_SUSPENDED", "bad", N_("Its certificate is suspended"), _ASK),
    ("INVALID", "bad", N_("This certificate cannot be trusted"), _ASK),
    ("BAD_CODE", "open", N_("This code cannot be read"),
     N_("Scan it again, or type the digits printed next to it.")),
    # the page that checks a certificate given to it
    ("VERIFIED", "good", N_("This certificate is valid"),
     N_("Make sure that the product it names is the one you hold.")),
)  # fmt: skip

HEADLINES: Mapping[str, Headline] = {row[0]: Headline(*row) for row in _ROWS}


def headline(overall: Overall, code: str | None, *, certificate_only: bool = False) -> Headline:
    """The headline of a verification that `code` (a finding's) decided."""
    if overall == "valid":
        return HEADLINES["VERIFIED" if certificate_only else "GENUINE"]
    fallback = "NOT_PROVEN" if overall == "not-proven" else "INVALID"
    return HEADLINES.get(code or "", HEADLINES[fallback])
