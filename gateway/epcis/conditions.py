"""The conditions of a query that SQL decides on the read model's tables.

Identifiers in a query may be spelt in any way; the tables hold the canonical form.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Boolean, ColumnElement, Select, and_, literal, or_, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from chaincode.errors import IdentifierError
from chaincode.identifiers import as_party, canonical
from gateway.epcis.canonical_uri import canonical_uri
from gateway.epcis.hash import hash_hex
from gateway.epcis.parameters import Query
from gateway.readmodel.tables import event_documents, event_ids, event_parties, events

_ROLES: dict[str, tuple[str, ...]] = {
    "MATCH_epc": ("epc", "child"),
    "MATCH_parentID": ("parent",),
    "MATCH_inputEPC": ("input",),
    "MATCH_outputEPC": ("output",),
    "MATCH_anyEPC": ("epc", "child", "parent", "input", "output"),
    "MATCH_epcClass": ("qty", "child_qty"),
    "MATCH_inputEPCClass": ("input_qty",),
    "MATCH_outputEPCClass": ("output_qty",),
    "MATCH_anyEPCClass": ("qty", "child_qty", "input_qty", "output_qty"),
}
_WORD_COLUMNS = {
    "EQ_action": events.c.action,
    "EQ_bizStep": events.c.step,
    "EQ_disposition": events.c.disposition,
    "EQ_errorReason": events.c.error_reason,
    "EQ_transformationID": events.c.transformation_id,
}
_RANGE_COLUMNS = {
    "eventTime": events.c.time_ms,
    "recordTime": events.c.record_ms,
    "errorDeclarationTime": events.c.error_ms,
}


def conditions(query: Query) -> list[ColumnElement[bool]]:
    """What of `query` SQL decides."""
    found: list[ColumnElement[bool]] = []
    if query.event_types:
        found.append(events.c.type.in_(query.event_types))
    for name, moment in query.ranges.items():
        comparison, _, column_name = name.partition("_")
        column = _RANGE_COLUMNS[column_name]
        found.append(column >= moment if comparison == "GE" else column < moment)
    for name, words in query.words.items():
        values = (
            [identifier_form(word) for word in words] if name == "EQ_transformationID" else words
        )
        found.append(_WORD_COLUMNS[name].in_(values))
    for name, places in query.places.items():
        found.append(_at(name, places))
    for name, patterns in query.matches.items():
        found.append(_with_identifier(_ROLES[name], patterns))
    for kind, ids in query.documents:
        rows = select(event_documents.c.event_seq).where(
            event_documents.c.id.in_([identifier_form(text) for text in ids])
        )
        if kind is not None:
            rows = rows.where(event_documents.c.type == kind)
        found.append(events.c.seq.in_(rows))
    for direction, kind, ids in query.ends:
        found.append(events.c.seq.in_(_ends(direction, kind, ids)))
    if query.event_ids:
        digests = [hash_hex(text) for text in query.event_ids]
        found.append(
            or_(
                events.c.event_id.in_(query.event_ids),
                events.c.hash.in_([digest for digest in digests if digest]),
            )
        )
    if query.exists_error:
        found.append(events.c.error_ms.is_not(None))
    return found


def _at(name: str, places: Sequence[str]) -> ColumnElement[bool]:
    comparison, _, which = name.partition("_")
    column = events.c.read_point if which == "readPoint" else events.c.location
    values = [identifier_form(text) for text in places]
    if comparison == "EQ":
        return column.in_(values)
    # With descendants: a GLN holds its own sub-locations (GLN extensions).
    return or_(column.in_(values), *(_below(column, value + "/254/") for value in values))


class _Below(FunctionElement[bool]):
    """Texts that start with a prefix.

    A range, which SQLite's index serves; LIKE on PostgreSQL, whose ranges follow its collation.
    """

    type = Boolean()
    inherit_cache = True


@compiles(_Below)
def _below_as_range(element: _Below, compiler: Any, **options: Any) -> str:
    column, prefix, end, _ = element.clauses
    return str(compiler.process(and_(column >= prefix, column < end), **options))


@compiles(_Below, "postgresql")
def _below_as_like(element: _Below, compiler: Any, **options: Any) -> str:
    column, _, _, pattern = element.clauses
    return str(compiler.process(column.like(pattern, escape="!"), **options))


def _below(column: Any, prefix: str) -> ColumnElement[bool]:
    end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
    pattern = re.sub("[!%_]", r"!\g<0>", prefix) + "%"  # a foreign URI may hold both wildcards
    return _Below(column, literal(prefix), literal(end), literal(pattern))


def _ends(direction: str, kind: str, ids: Sequence[str]) -> Select[Any]:
    values: set[str] = set()
    for text in ids:
        values.add(identifier_form(text))
        try:
            values.add(as_party(text))
        except IdentifierError:
            continue
    return select(event_parties.c.event_seq).where(
        event_parties.c.direction == direction,
        event_parties.c.type == kind,
        event_parties.c.id.in_(sorted(values)),
    )


_WIDE = re.compile(r"urn:epc:idpat:(sgtin|sscc):(\d{6,12})\.\*(?:\.\*)?")
_CLASS = re.compile(r"https://id\.gs1\.org/01/\d{14}")
_LOTS = re.compile(r"urn:epc:class:lgtin:\d+\.\d+\.\*")


def identifier_form(text: str) -> str:
    """The form in which the read model has an identifier."""
    try:
        return canonical(text)
    except IdentifierError:
        return canonical_uri(text)


def _with_identifier(roles: Sequence[str], patterns: Sequence[str]) -> ColumnElement[bool]:
    column = event_ids.c.identifier
    choices: list[ColumnElement[bool]] = []
    exact: list[str] = []
    for text in patterns:
        if wide := _WIDE.fullmatch(text):
            # Any indicator or extension digit, then the company prefix.
            key = "00" if wide[1] == "sscc" else "01"
            choices.append(column.like(f"https://id.gs1.org/{key}/_{wide[2]}%"))
        elif _LOTS.fullmatch(text):
            choices.append(_below(column, identifier_form(text[:-1] + "X")[:-1]))
        else:
            uri = identifier_form(text)
            exact.append(uri)
            if _CLASS.fullmatch(uri):
                choices.append(_below(column, uri + "/21/"))  # a class matches its things
    if exact:
        choices.append(column.in_(exact))
    rows = select(event_ids.c.event_seq).where(or_(*choices), event_ids.c.role.in_(roles))
    return events.c.seq.in_(rows)
