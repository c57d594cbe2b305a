"""Errors of the EPCIS part.

    EpcisError
    ├── DocumentError      the bytes are no EPCIS document: syntax, limits, duplicate keys
    ├── ValidationFailed   a document whose content breaks the standard: one Finding per fault
    ├── CaptureRefused     the whole capture cannot be taken (no signer, no party ...)
    └── QueryError         a query parameter is unknown, malformed or contradicts another

Each carries a stable code, a sentence, and where it was: a JSON pointer (RFC 6901), a line and
column, or a parameter's name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gateway.errors import Problem, add_problem_types, translates

EXCEPTION = "epcisException:"
"""Names of EPCIS 2.0 REST exceptions: the ``type`` of this part's problems."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault of a document: JSON pointer, stable UPPER_SNAKE code, sentence."""

    pointer: str
    code: str
    message: str

    def to_json(self) -> dict[str, Any]:
        return {"where": self.pointer, "code": self.code, "message": self.message}


class EpcisError(Exception):
    """Base of this package's errors."""

    def __init__(self, code: str, message: str, where: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.where = where


class DocumentError(EpcisError):
    """The bytes are no EPCIS document. `line`, `column`: 1-based, 0 where a pointer says it."""

    def __init__(
        self, code: str, message: str, where: str = "", line: int = 0, column: int = 0
    ) -> None:
        super().__init__(code, message, where)
        self.line = line
        self.column = column


class ValidationFailed(EpcisError):
    """A document whose content breaks the standard."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        first = findings[0]
        more = f" ({len(findings) - 1} more)" if len(findings) > 1 else ""
        super().__init__(first.code, first.message + more, first.pointer)
        self.findings = list(findings)


class CaptureRefused(EpcisError):
    """The whole capture cannot be taken."""


class QueryError(EpcisError):
    """A query parameter is unknown, malformed or contradicts another; `where` is its name."""


add_problem_types(
    ("DOCUMENT_TOO_LARGE", 413, "Document too large",
     "The document has more bytes or events than this gateway takes in one request; split it."),
    ("DOCUMENT_SYNTAX", 400, "Not JSON", "The body is not well-formed JSON in UTF-8."),
    ("DUPLICATE_KEY", 400, "Duplicate key", "An object names the same key twice."),
    ("TOO_DEEP", 400, "Nested too deep", "Objects and lists are nested deeper than accepted."),
    ("CONTROL_CHARACTER", 400, "Control character", "A text holds a control character."),
    ("NOT_EPCIS", 400, "Not an EPCIS document",
     "The body is neither an EPCISDocument, an EPCISQueryDocument, an event nor a list of events."),
    ("EPCIS_INVALID", 400, "Invalid EPCIS document",
     "Events break EPCIS 2.0 or CBV 2.0; errors lists each fault with its place."),
    ("CAPTURE_REFUSED", 422, "Capture refused", "The capture as a whole cannot be taken."),
    ("STORAGE_UNAVAILABLE", 507, "Storage unavailable",
     "The gateway's disk is full or broken; nothing was taken."),
    ("QUERY_PARAMETER", 400, "Query parameter",
     "A query parameter is unknown, malformed or contradicts another."),
    ("QUERY_TOO_LARGE", 413, "Query result too large",
     "More events match than maxEventCount allows; narrow the query."),
    ("QUERY_EXISTS", 409, "Query exists", "A named query of this name exists already."),
    ("NOT_IMPLEMENTED", 501, "Not implemented", "This optional part of EPCIS is not offered."),
)  # fmt: skip


def _document(error: DocumentError) -> Problem:
    at = {"line": error.line, "column": error.column} if error.line else {}
    limit = error.code == "DOCUMENT_TOO_LARGE"
    name = "CaptureLimitExceededException" if limit else "ValidationException"
    return Problem(
        error.code,
        error.message,
        where=error.where,
        extra=at,
        type_uri=EXCEPTION + name,
    )


def _invalid(error: ValidationFailed) -> Problem:
    return Problem(
        "EPCIS_INVALID",
        error.message,
        where=error.where,
        errors=[finding.to_json() for finding in error.findings[:1000]],
        type_uri=EXCEPTION + "ValidationException",
    )


def _query(error: QueryError) -> Problem:
    too_large = error.code == "QUERY_TOO_LARGE"
    name = "QueryTooLargeException" if too_large else "QueryParameterException"
    return Problem(error.code, error.message, where=error.where, type_uri=EXCEPTION + name)


translates(DocumentError, _document)
translates(ValidationFailed, _invalid)
translates(CaptureRefused, lambda e: Problem(e.code, e.message, where=e.where))
translates(QueryError, _query)
