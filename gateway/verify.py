"""The one certificate verifier: the API, the page and the command line all call :func:`verify`.

Eight numbered checks, each with a verdict and a sentence:

    1 schema       complete and readable (VC Data Model 2.0 §4, the certificate's profile)
    2 issuer       the party behind the issuer, and that it was entitled when it issued
    3 signature    Data Integrity proof over the whole document (VC Data Integrity 1.0 §4)
    4 anchoring    the digest of these very bytes is on the ledger
    5 validity     now lies within the validity period
    6 status       not revoked, suspended or superseded
    7 facts        what it says was read from the ledger still reads the same there
    8 product      not recalled, stolen, destroyed, expired or already dispensed

It is a pure function over a credential, an evidence provider and a time; where evidence comes from
(the ledger, a bundle, nothing at all) is the provider's business. Unknown is never green: one
unknown makes the whole not proven.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from gateway.credentials import document, profiles, proof
from gateway.credentials.document import Certificate
from gateway.credentials.errors import (
    ContextUnknown,
    CredentialError,
    MalformedCredential,
    UnsupportedProof,
)
from gateway.credentials.port import Anchor, Evidence, EvidenceUnavailable, ProductState
from gateway.credentials.sentences import CHECK_NAMES, SENTENCES, Verdict, Weight

Overall = Literal["valid", "valid-but-old", "not-proven", "invalid"]


@dataclass(frozen=True, slots=True)
class Check:
    """One numbered check: its finding's code, and the parameters of its sentence."""

    number: int
    code: str
    params: Mapping[str, str]

    @property
    def name(self) -> str:
        """What the check is about, in English."""
        return CHECK_NAMES[self.number]

    @property
    def verdict(self) -> Verdict:
        """pass, fail, unknown or not-applicable."""
        return SENTENCES[self.code].verdict

    @property
    def weight(self) -> Weight:
        """What the finding does to the overall answer."""
        return SENTENCES[self.code].weight

    @property
    def sentence(self) -> str:
        """The finding in English."""
        return SENTENCES[self.code].text % self.params

    def as_json(self) -> dict[str, Any]:
        """The check as the API tells it."""
        return {
            "number": self.number,
            "name": self.name,
            "verdict": self.verdict,
            "code": self.code,
            "sentence": self.sentence,
            **({"params": dict(self.params)} if self.params else {}),
        }


@dataclass(frozen=True, slots=True)
class Verification:
    """The answer: overall, and the eight checks in order."""

    overall: Overall
    checks: tuple[Check, ...]
    checked_ms: int
    height: int | None
    as_of_ms: int | None
    certificate: Certificate | None

    @property
    def deciding(self) -> Check | None:
        """The check that decided against `valid`: the heaviest, the first of equals."""
        for weight in ("stop", "open", "old"):
            for check in self.checks:
                if check.weight == weight and check.code != "NOT_REACHED":
                    return check
        return None

    def as_json(self) -> dict[str, Any]:
        """The verification as the API tells it; times are ISO 8601 UTC."""
        found = self.certificate
        return {
            "overall": self.overall,
            "certificate": found.id if found else None,
            "type": found.type if found else None,
            "subject": found.subject if found else None,
            "issuer": {"id": found.issuer, "name": found.issuer_name, "party": found.party}
            if found
            else None,
            "checkedAt": document.iso(self.checked_ms),
            "asOf": {
                "height": self.height,
                "time": document.iso(self.as_of_ms) if self.as_of_ms is not None else None,
            },
            "checks": [check.as_json() for check in self.checks],
        }


def verify(credential: Mapping[str, Any], evidence: Evidence, now_ms: int) -> Verification:
    """Run the eight checks on a parsed credential. Never raises for anything in the credential."""
    checks: list[Check] = []
    # 1 schema
    try:
        document.check_depth(dict(credential))
        found = document.read(credential)
    except MalformedCredential as error:
        checks.append(_check(1, "SCHEMA_MALFORMED", detail=f"{error} {error.where}".strip()))
        checks += [_check(number, "NOT_REACHED") for number in range(2, 9)]
        return _conclude(checks, evidence, now_ms, None)
    checks.append(_schema(found))
    # 4 anchoring is asked first, because 2, 5 and 6 read the same record
    anchor, anchoring = _anchoring(found, evidence)
    checks.append(_issuer(found, anchor, evidence))
    checks.append(_signature(found))
    checks.append(anchoring)
    checks.append(_validity(found, anchor, now_ms))
    checks.append(_status(anchor))
    checks.append(_facts(found, evidence))
    checks.append(_product(found, evidence, now_ms))
    return _conclude(checks, evidence, now_ms, found)


def _schema(found: Certificate) -> Check:
    profile = profiles.by_type(found.type)
    if profile is None:
        return _check(1, "SCHEMA_TYPE_UNKNOWN")
    stated = {fact.field for fact in found.facts}
    for field in profile.fields:
        if field.required and field.name not in stated:
            return _check(1, "SCHEMA_INCOMPLETE", field=field.name)
    return _check(1, "SCHEMA_OK")


def _issuer(found: Certificate, anchor: Anchor | None, evidence: Evidence) -> Check:
    """2: the anchor was written by the issuer's own ledger identity, so it names the party."""
    if anchor is None or found.party is None:
        return _check(2, "ISSUER_UNPROVEN")
    if anchor.issuer != found.party:
        return _check(2, "ISSUER_DIFFERS", actual=anchor.issuer)
    try:
        issuer = evidence.issuer(found.party, anchor.licence, anchor.anchored_ms)
    except EvidenceUnavailable:
        return _check(2, "ISSUER_UNPROVEN")
    if issuer is None:
        return _check(2, "ISSUER_UNKNOWN")
    code = "ISSUER_OK" if issuer.entitled else "ISSUER_NOT_ENTITLED"
    return _check(2, code, issuer=issuer.name, date=_date(anchor.anchored_ms))


def _signature(found: Certificate) -> Check:
    try:
        proof.check(dict(found.raw))
    except (UnsupportedProof, ContextUnknown):
        return _check(3, "SIGNATURE_UNSUPPORTED")
    except CredentialError as error:
        return _check(3, "SIGNATURE_WRONG", detail=str(error))
    return _check(3, "SIGNATURE_OK")


def _anchoring(found: Certificate, evidence: Evidence) -> tuple[Anchor | None, Check]:
    try:
        anchor = evidence.anchor(found.id)
    except EvidenceUnavailable:
        return None, _check(4, "ANCHOR_UNPROVEN")
    if anchor is None:
        return None, _check(4, "ANCHOR_MISSING")
    try:
        digest = proof.digest(dict(found.raw))
    except MalformedCredential:
        return anchor, _check(4, "ANCHOR_DIFFERS")
    if digest != anchor.digest:
        return anchor, _check(4, "ANCHOR_DIFFERS")
    if found.subject != anchor.subject:
        return anchor, _check(4, "ANCHOR_SUBJECT")
    return anchor, _check(4, "ANCHOR_OK", date=_date(anchor.anchored_ms))


def _validity(found: Certificate, anchor: Anchor | None, now_ms: int) -> Check:
    start, end = found.valid_from_ms, found.valid_until_ms
    if anchor is not None and (
        (anchor.valid_from_ms is not None and anchor.valid_from_ms != start)
        or (anchor.valid_until_ms != end and anchor.valid_until_ms is not None)
    ):
        return _check(5, "VALIDITY_DIFFERS")
    if now_ms < start:
        return _check(5, "VALIDITY_NOT_YET", start=_date(start))
    if end is None:
        return _check(5, "VALIDITY_OPEN_END", start=_date(start))
    code = "VALIDITY_OK" if now_ms < end else "VALIDITY_ENDED"
    return _check(5, code, start=_date(start), end=_date(end))


def _status(anchor: Anchor | None) -> Check:
    if anchor is None:
        return _check(6, "STATUS_UNPROVEN")
    code = {
        "active": "STATUS_OK",
        "revoked": "STATUS_REVOKED",
        "suspended": "STATUS_SUSPENDED",
        "superseded": "STATUS_SUPERSEDED",
    }.get(anchor.status, "STATUS_UNPROVEN")
    if SENTENCES[code].verdict != "fail":
        return _check(6, code)
    return _check(6, code, date=_date(anchor.changed_ms), reason=anchor.reason or "-")


def _facts(found: Certificate, evidence: Evidence) -> Check:
    sourced = [fact for fact in found.facts if not fact.self_declared or fact.event]
    if not sourced:
        return _check(7, "FACTS_NONE")
    changed = ""
    try:
        for fact in sourced:
            state = evidence.fact(fact, found.subject)
            if state == "withdrawn":
                return _check(7, "FACTS_WITHDRAWN", field=fact.field)
            if state == "differs":
                return _check(7, "FACTS_DIFFER", field=fact.field)
            if state == "changed":
                changed = changed or fact.field
    except EvidenceUnavailable:
        return _check(7, "FACTS_UNPROVEN")
    if changed:
        return _check(7, "FACTS_CHANGED", field=changed)
    return _check(7, "FACTS_OK", count=str(len(sourced)))


def _product(found: Certificate, evidence: Evidence, now_ms: int) -> Check:
    try:
        state = evidence.product(found.subject, now_ms)
    except EvidenceUnavailable:
        return _check(8, "PRODUCT_UNPROVEN")
    return product_check(state)


def product_check(state: ProductState | None) -> Check:
    """Check 8 alone, for a product that has no certificate."""
    if state is None:
        return _check(8, "PRODUCT_UNKNOWN")
    code = f"PRODUCT_{state.state.upper()}"
    if code not in SENTENCES:
        return _check(8, "PRODUCT_UNPROVEN")
    if SENTENCES[code].verdict != "fail":
        return _check(8, code)
    printed = state.expiry if state.state == "expired" else None
    return _check(8, code, date=printed or (_date(state.since_ms) if state.since_ms else "-"))


def _conclude(
    checks: list[Check], evidence: Evidence, now_ms: int, found: Certificate | None
) -> Verification:
    height, as_of_ms = evidence.as_of
    return Verification(
        check_overall(checks), tuple(checks), now_ms, height, as_of_ms, certificate=found
    )


def check_overall(checks: list[Check] | tuple[Check, ...]) -> Overall:
    """invalid over not-proven over valid-but-old over valid."""
    weights = {check.weight for check in checks}
    if "stop" in weights:
        return "invalid"
    if "open" in weights:
        return "not-proven"
    return "valid-but-old" if "old" in weights else "valid"


def _check(number: int, code: str, **params: str) -> Check:
    return Check(number, code, params)


def _date(ms: int) -> str:
    return document.iso(ms)[:10]
