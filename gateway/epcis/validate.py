"""Whether a document says something EPCIS 2.0 and CBV 2.0 allow.

Goes past the JSON schema: vocabulary words, identifiers with their check digits, times with a
zone, which properties an event type and action allow or need, quantities, units of sensor values,
namespaces of extensions. Every fault is a :class:`Finding` with a JSON pointer; nothing raises.
What only the ledger can know (who holds what) is the contract's.

Codes: MISSING, NOT_ALLOWED, WRONG_TYPE, BAD_VALUE, BAD_TIME, TIME_WITHOUT_ZONE, BAD_OFFSET,
BAD_URI, UNKNOWN_WORD, BAD_QUANTITY, DUPLICATE, EMPTY, UNKNOWN_PROPERTY, UNKNOWN_NAMESPACE,
ILMD_NOT_ALLOWED, CLASS_AS_INSTANCE, INSTANCE_AS_CLASS, UNIT_MISMATCH, TOO_MANY_FAULTS, and the
identifier codes of :mod:`chaincode.errors`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gateway.epcis import checks
from gateway.epcis.checks import MAX_FINDINGS, Checker
from gateway.epcis.document import Document, pointer_token
from gateway.epcis.errors import Finding
from gateway.epcis.event_rules import check_event
from gateway.epcis.namespaces import Namespaces
from gateway.epcis.vocabulary import (
    EPCIS_CONTEXTS,
    ERROR_REASON,
    EVENT_TYPES,
    PROPERTIES,
)

TRACEMARK = "urn:tracemark:ns:"
DISCLOSURES = ("open", "partners", "confidential", "in-country")

_ANY_STANDARD = frozenset().union(*PROPERTIES.values())
_DOCUMENT_NAMES = frozenset(
    (
        *("@context", "id", "type", "schemaVersion", "creationDate"),
        *("instanceIdentifier", "sender", "receiver", "epcisHeader", "epcisBody"),
    )
)


def validate_document(document: Document) -> list[Finding]:
    """Every fault of a document and its events, at most `MAX_FINDINGS`; empty if there is none."""
    findings = validate_header(document)
    namespaces = document_namespaces(document)
    for index, event in enumerate(document.events):
        validate_event(event, namespaces, document.pointer(index), findings)
        if len(findings) >= MAX_FINDINGS:
            del findings[MAX_FINDINGS:]
            message = f"only the first {MAX_FINDINGS} faults are listed"
            findings.append(Finding(document.pointer(index), "TOO_MANY_FAULTS", message))
            break
    return findings


def validate_header(document: Document) -> list[Finding]:
    """Faults of the document around its events."""
    findings: list[Finding] = []
    if document.kind in ("EPCISDocument", "EPCISQueryDocument"):
        _document(Checker(findings, document_namespaces(document)), document)
    return findings


def document_namespaces(document: Document) -> Namespaces:
    """The prefixes a document's own ``@context`` declares."""
    return Namespaces.of(document.context)


def validate_event(
    event: Mapping[str, Any],
    namespaces: Namespaces,
    pointer: str = "",
    findings: list[Finding] | None = None,
) -> list[Finding]:
    """Append the faults of one event at `pointer` to `findings`, and return them."""
    found: list[Finding] = [] if findings is None else findings
    local = event.get("@context")
    check = Checker(found, namespaces.extended(local) if local is not None else namespaces)
    if local is not None:
        _own_prefix(check, pointer)
    kind = event.get("type")
    if not isinstance(kind, str):
        check.add(pointer + "/type", "MISSING", "type is missing: an EPCIS event type is expected")
        return found
    _when(check, event, pointer)
    if kind not in PROPERTIES:
        _extended_type(check, kind, pointer)
        return found
    _names(check, event, kind, pointer)
    check_event(check, event, kind, pointer)
    return found


# -- the document ---------------------------------------------------------------------------------


def _document(check: Checker, document: Document) -> None:
    root = document.root
    if "@context" not in root:
        check.add("/@context", "MISSING", "@context is missing: the EPCIS context is expected")
    elif not _names_epcis(document.context):
        check.add(
            "/@context",
            "BAD_VALUE",
            f"the EPCIS context is not among the contexts; {EPCIS_CONTEXTS[0]}epcis-context.jsonld "
            "is expected",
        )
    required = document.kind == "EPCISDocument"
    version = root.get("schemaVersion")
    if version is None:
        if required:
            check.add("/schemaVersion", "MISSING", 'schemaVersion is missing: "2.0" is expected')
    elif not isinstance(version, str) or version.split(".")[0] != "2":
        check.add("/schemaVersion", "BAD_VALUE", f'schemaVersion {version!r}: "2.0" is accepted')
    if required or "creationDate" in root:
        check.time(root, "creationDate", "", required=required)
    _own_prefix(check, "")
    for name in root:
        if name not in _DOCUMENT_NAMES and not name.startswith(("_", "@")):
            check.extension_name(name, "/" + pointer_token(name))


def _own_prefix(check: Checker, pointer: str) -> None:
    """The projection reads Tracemark's extensions by the prefix ``tm``, so it must mean them."""
    for prefix, namespace in check.namespaces.declared.items():
        if (prefix == "tm") != (namespace == TRACEMARK):
            check.add(
                pointer + "/@context",
                "UNKNOWN_NAMESPACE",
                f"the prefix {prefix[:40]!r} is declared as {namespace[:80]!r}; "
                f'"tm" stands for {TRACEMARK} and nothing else does',
            )


def _names_epcis(context: Any) -> bool:
    if isinstance(context, str):
        return context.startswith(EPCIS_CONTEXTS)
    if isinstance(context, list):
        return any(_names_epcis(item) for item in context)
    return isinstance(context, Mapping) and context.get("epcis") == "https://ref.gs1.org/epcis/"


# -- any event ------------------------------------------------------------------------------------


def _when(check: Checker, event: Mapping[str, Any], pointer: str) -> None:
    check.time(event, "eventTime", pointer, required=True)
    if "recordTime" in event:
        check.time(event, "recordTime", pointer)
    offset = event.get("eventTimeZoneOffset")
    if offset is None:
        check.add(
            pointer + "/eventTimeZoneOffset",
            "MISSING",
            'eventTimeZoneOffset is missing: an offset such as "+02:00" is expected',
        )
    elif not checks.is_offset(offset):
        check.add(
            pointer + "/eventTimeZoneOffset",
            "BAD_OFFSET",
            f'{str(offset)[:40]!r} is no zone offset; "-14:00" to "+14:00" is accepted',
        )
    if "eventID" in event:
        check.uri(event, "eventID", pointer)
    if "certificationInfo" in event:
        info = event["certificationInfo"]
        for index, item in enumerate(info if isinstance(info, list) else [info]):
            check.uri_text(item, f"{pointer}/certificationInfo/{index}")
    if "errorDeclaration" in event:
        _error_declaration(check, event["errorDeclaration"], pointer + "/errorDeclaration")


def _error_declaration(check: Checker, value: Any, pointer: str) -> None:
    declaration = check.mapping(value, pointer)
    if declaration is None:
        return
    check.time(declaration, "declarationTime", pointer, required=True)
    if "reason" in declaration:
        check.term(ERROR_REASON, declaration["reason"], pointer + "/reason")
    if "correctiveEventIDs" in declaration:
        base = pointer + "/correctiveEventIDs"
        for index, item in enumerate(check.items(declaration["correctiveEventIDs"], base)):
            check.uri_text(item, f"{base}/{index}")
    check.extensions(
        declaration, frozenset(("declarationTime", "reason", "correctiveEventIDs")), pointer
    )


def _extended_type(check: Checker, kind: str, pointer: str) -> None:
    if ":" not in kind:
        hint = checks.nearest(kind, EVENT_TYPES)
        check.add(
            pointer + "/type",
            "UNKNOWN_WORD",
            f"{kind[:60]!r} is no event type{hint}; {', '.join(EVENT_TYPES)} or a URI is accepted",
        )
    else:
        check.extension_name(kind, pointer + "/type")


def _names(check: Checker, event: Mapping[str, Any], kind: str, pointer: str) -> None:
    allowed = PROPERTIES[kind]
    if allowed.issuperset(event):
        return
    for name, value in event.items():
        if name in allowed:
            continue
        where = f"{pointer}/{pointer_token(name)}"
        if name in _ANY_STANDARD:
            code = "ILMD_NOT_ALLOWED" if name == "ilmd" else "NOT_ALLOWED"
            check.add(where, code, f"{name} is no property of {kind}")
        elif check.extension_name(name, where):
            _own(check, name, value, where)


def _own(check: Checker, name: str, value: Any, pointer: str) -> None:
    """Tracemark's own extensions, as far as the contract does not judge them."""
    clark = check.namespaces.clark_name(name)
    if clark == f"{{{TRACEMARK}}}country":
        if not (isinstance(value, str) and len(value) == 2 and value.isascii() and value.isupper()):
            check.add(pointer, "BAD_VALUE", "country is an ISO 3166-1 alpha-2 code such as BR")
    elif clark == f"{{{TRACEMARK}}}disclosure" and value not in DISCLOSURES:
        check.add(pointer, "BAD_VALUE", f"disclosure is one of {', '.join(DISCLOSURES)}")
