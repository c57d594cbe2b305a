"""The table of problems: every code this gateway answers with, its status, title and meaning.

``docs/reference/http.md`` prints it and ``/problems/<code>`` serves it; tests hold the three
together. The contract's refusal codes are in it with the contract's own sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chaincode.errors import CODES


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

_CONTRACT_STATUS: Mapping[int, frozenset[str]] = {
    400: frozenset(
        [
            "UNKNOWN_FUNCTION",
            "BAD_ARGUMENT",
            "BAD_JSON",
            "BAD_IDENTIFIER",
            "BAD_CHECK_DIGIT",
            "UNSAFE_CHARACTERS",
            "NOT_CANONICAL",
        ]
    ),
    403: frozenset(
        [
            "BAD_CERTIFICATE",
            "CALLER_UNKNOWN",
            "CALLER_MSP_MISMATCH",
            "PARTY_SUSPENDED",
            "ROLE_NOT_ALLOWED",
            "ADMIN_REQUIRED",
            "NOT_DELEGATED",
            "LICENCE_MISSING",
            "PRODUCT_OWNED",
            "GRANT_NOT_YOURS",
            "CERTIFICATE_NOT_YOURS",
            "SELF_VERIFICATION",
            "VOID_NOT_ALLOWED",
        ]
    ),
    404: frozenset({"NOT_FOUND", "PARTY_UNKNOWN"}),
    409: frozenset(
        [
            "PARTY_EXISTS",
            "BAD_STATE",
            "LOCATION_TAKEN",
            "LICENCE_EXISTS",
            "CERTIFICATE_EXISTS",
            "BOOTSTRAP_REQUIRED",
            "CARBON_VERIFIED",
            "HASH_CONFLICT",
        ]
    ),
    413: frozenset({"TOO_LARGE"}),
}
_REFUSED = 422

CONTRACT_PROBLEMS: Mapping[str, ProblemType] = {
    code: ProblemType(
        code,
        next((status for status, codes in _CONTRACT_STATUS.items() if code in codes), _REFUSED),
        "Refused by the contract",
        sentence,
    )
    for code, sentence in CODES.items()
}
"""The contract's refusal codes; statuses: 403 who, 404 what, 409 state, 400 form, 422 rules."""

EXTRA_PROBLEMS: dict[str, ProblemType] = {}
"""Rows other gateway modules add at import by :func:`add_problem_types`."""


def add_problem_types(*rows: tuple[str, int, str, str]) -> None:
    """Add rows (code, status, title, meaning) of a module's own problems to the table."""
    for row in rows:
        known = GATEWAY_PROBLEMS.get(row[0]) or EXTRA_PROBLEMS.get(row[0])
        if known is not None and known != ProblemType(*row):
            raise ValueError(f"problem code {row[0]} is already defined otherwise")
        EXTRA_PROBLEMS[row[0]] = ProblemType(*row)


def problem_type(code: str) -> ProblemType:
    """The row of `code`; an unknown code reads as a refusal of a newer contract."""
    row = GATEWAY_PROBLEMS.get(code) or EXTRA_PROBLEMS.get(code) or CONTRACT_PROBLEMS.get(code)
    return row or ProblemType(code, _REFUSED, "Refused by the contract", "The contract refused.")


def all_problem_types() -> dict[str, ProblemType]:
    """Every documented problem by code."""
    return {**CONTRACT_PROBLEMS, **EXTRA_PROBLEMS, **GATEWAY_PROBLEMS}
