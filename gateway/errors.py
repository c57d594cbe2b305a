"""Every problem this gateway answers with, and the one table that turns errors into them.

    GatewayFault
    ├── Problem             carries its row of the table: raise it from routes and use cases
    ├── DatabaseUnavailable the SQL database does not answer
    └── NotReady            a part this request needs is still starting or catching up

Answers are ``application/problem+json`` (RFC 9457). ``type`` is ``/problems/<CODE>``, a page this
gateway serves; ``code`` repeats the last part; ``where`` is a JSON pointer (RFC 6901) into the
request; ``errors`` lists the parts of a request that failed, one object each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

PROBLEM_JSON = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ProblemType:
    """One row: stable code, HTTP status, short title, and the sentence documented for it."""

    code: str
    status: int
    title: str
    meaning: str


def _rows(*rows: tuple[str, int, str, str]) -> dict[str, ProblemType]:
    return {row[0]: ProblemType(*row) for row in rows}


GATEWAY_PROBLEMS: Mapping[str, ProblemType] = _rows(
    ("BAD_REQUEST", 400, "Malformed request", "The request is not valid HTTP or not valid JSON."),
    ("VALIDATION", 422, "Invalid input", "A field is missing, unknown or out of range."),
    ("UNAUTHENTICATED", 401, "Not authenticated", "This needs an API key or a client certificate."),
    ("KEY_INVALID", 401, "API key refused", "The API key is unknown, mistyped or revoked."),
    ("KEY_EXPIRED", 401, "API key expired", "The API key's validity has ended; ask for a new one."),
    ("CERTIFICATE_INVALID", 401, "Certificate refused",
     "The client certificate is not from an organisation of this network, or was revoked."),
    ("FORBIDDEN", 403, "Not allowed", "The caller's roles do not allow this."),
    ("KEY_NOT_HELD", 403, "Signing key not held here",
     "The caller's private key is not in this gateway's wallet; sign offline under /v1/ledger."),
    ("NOT_FOUND", 404, "Not found", "Nothing is known under this identifier or path."),
    ("METHOD_NOT_ALLOWED", 405, "Method not allowed", "This path does not answer this method."),
    ("NOT_ACCEPTABLE", 406, "Not acceptable", "No representation matches the Accept header."),
    ("CONFLICT", 409, "Conflict", "The request contradicts the present state; see detail."),
    ("GONE", 410, "Gone", "It existed and was erased or withdrawn; its proof may remain."),
    ("BODY_TOO_LARGE", 413, "Body too large", "The request body is larger than this path takes."),
    ("UNSUPPORTED_MEDIA_TYPE", 415, "Unsupported media type",
     "The body's Content-Type is not understood here."),
    ("HEADER_TOO_LARGE", 431, "Header too large", "A header or the URL is longer than taken."),
    ("RATE_LIMITED", 429, "Too many requests", "Wait as long as Retry-After says, then try again."),
    ("IDENTIFIER_INVALID", 400, "Invalid identifier",
     "The identifier is malformed, or its check digit is wrong; see detail."),
    ("PAYLOAD_DENIED", 403, "Payload not disclosed",
     "Role, relation to the product, grants and residency do not let this caller read it."),
    ("PAYLOAD_MISSING", 404, "Payload not held", "No node reachable from here holds the payload."),
    ("PAYLOAD_ERASED", 410, "Payload erased",
     "The payload was erased with a receipt; its proof of existence still verifies."),
    ("PAYLOAD_MISMATCH", 502, "Payload does not match",
     "The bytes fetched do not match the commitment on the chain; they were refused."),
    ("REFUSED", 422, "Refused by the contract",
     "The contract refused the transaction; code names the rule."),
    ("ENDORSEMENT_FAILED", 502, "Not endorsed",
     "The organisations' nodes did not endorse the transaction; nothing was submitted."),
    ("SUBMIT_FAILED", 502, "Not ordered",
     "The ordering service did not take the transaction; it may be sent again."),
    ("COMMIT_CONFLICT", 409, "Conflicting transaction",
     "Another transaction changed the same records first; the request may be sent again."),
    ("COMMIT_INVALID", 409, "Transaction invalid",
     "The transaction is in a block but was found invalid; it changed nothing."),
    ("COMMIT_UNKNOWN", 504, "Commit status unknown",
     "The transaction was submitted and its outcome is not known yet: ask for its status."),
    ("LEDGER_UNAVAILABLE", 503, "Ledger unavailable", "The ledger cannot be reached; try again."),
    ("DATABASE_UNAVAILABLE", 503, "Database unavailable",
     "The read model's database does not answer; nothing is lost, try again."),
    ("NOT_READY", 503, "Not ready", "The gateway is starting or catching up; try again."),
    ("TIMEOUT", 504, "Timed out", "The answer took longer than allowed."),
    ("BODY_TIMEOUT", 408, "Body too slow", "The request body stopped arriving."),
    ("INTERNAL", 500, "Internal error", "A defect of the gateway; the log has the request id."),
)  # fmt: skip

EXTRA_PROBLEMS: dict[str, ProblemType] = {}
"""Rows other gateway modules add at import by :func:`add_problem_types`."""


def add_problem_types(*rows: tuple[str, int, str, str]) -> None:
    """Add rows (code, status, title, meaning) of a module's own problems to the table."""
    for row in rows:
        known = GATEWAY_PROBLEMS.get(row[0]) or EXTRA_PROBLEMS.get(row[0])
        if known is not None and known != ProblemType(*row):
            raise ValueError(f"problem code {row[0]} is already defined otherwise")
        EXTRA_PROBLEMS[row[0]] = ProblemType(*row)


class GatewayFault(Exception):
    """Base of this package's errors."""


class Problem(GatewayFault):
    """An answer that is an error.

    code: a code of the table, or a contract refusal code. detail: one sentence about this case.
    status: HTTP status where it differs from the table's. where: JSON pointer or "".
    errors: per-part objects. headers: extra response headers. extra: extension members.
    type_uri: a standard's own type (EPCIS 2.0 names exceptions) instead of ``/problems/<code>``.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        status: int | None = None,
        where: str = "",
        errors: Sequence[Mapping[str, Any]] = (),
        *,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
        type_uri: str = "",
    ) -> None:
        row = problem_type(code)
        super().__init__(f"{code}: {detail or row.meaning}")
        self.code = code
        self.status = status or row.status
        self.title = row.title
        self.detail = detail or row.meaning
        self.where = where
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})
        self.type_uri = type_uri or f"/problems/{code}"

    def body(self) -> dict[str, Any]:
        """The problem+json object."""
        out: dict[str, Any] = {
            "type": self.type_uri,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        if self.where:
            out["where"] = self.where
        if self.errors:
            out["errors"] = self.errors
        return out | self.extra


class DatabaseUnavailable(GatewayFault):
    """The SQL database does not answer."""


class NotReady(GatewayFault):
    """A part this request needs is still starting or catching up."""


def problem_type(code: str) -> ProblemType:
    """The row of `code`; an unknown code reads as a refusal of the contract."""
    row = GATEWAY_PROBLEMS.get(code) or EXTRA_PROBLEMS.get(code) or contract_problems().get(code)
    return row or ProblemType(code, 422, "Refused by the contract", "The contract refused this.")


def all_problem_types() -> dict[str, ProblemType]:
    """Every documented problem by code."""
    return {**contract_problems(), **EXTRA_PROBLEMS, **GATEWAY_PROBLEMS}


def contract_problems() -> dict[str, ProblemType]:
    """The contract's refusal codes as problems."""
    return {}


Translator = Callable[[Any], Problem]
_TRANSLATORS: list[tuple[type[BaseException], Translator]] = []


def translates(kind: type[BaseException], translator: Translator) -> None:
    """Register how errors of `kind` (and subclasses) read as a problem; later ones come first."""
    _TRANSLATORS.insert(0, (kind, translator))


def to_problem(error: BaseException) -> Problem:
    """The problem for any error; what no row knows is INTERNAL and tells nothing."""
    if isinstance(error, Problem):
        return error
    for kind, translator in _TRANSLATORS:
        if isinstance(error, kind):
            return translator(error)
    return Problem("INTERNAL")


translates(DatabaseUnavailable, lambda e: Problem("DATABASE_UNAVAILABLE", headers=_retry(2)))
translates(NotReady, lambda e: Problem("NOT_READY", str(e), headers=_retry(2)))


def _retry(seconds: int) -> dict[str, str]:
    return {"Retry-After": str(seconds)}
