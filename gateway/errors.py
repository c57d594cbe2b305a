"""Errors of the gateway, and the one table that turns every package's errors into answers.

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
from typing import Any

import grpc

from chaincode.errors import BatchRefusal, Refusal
from gateway.ledger.errors import (
    CommitError,
    CommitStatusError,
    LedgerError,
    StageError,
    SubmitError,
    TransactionMismatchError,
    TransportError,
)
from gateway.problem_types import add_problem_types, all_problem_types, problem_type
from nodes.errors import IdentityError

__all__ = [
    "PROBLEM_JSON",
    "DatabaseUnavailable",
    "GatewayFault",
    "NotReady",
    "Problem",
    "add_problem_types",
    "all_problem_types",
    "problem_type",
    "to_problem",
    "translates",
]

PROBLEM_JSON = "application/problem+json"


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


# -- the table: which error reads as which problem (the codes are in gateway.problem_types) -----


def _refusal(error: Refusal) -> Problem:
    errors = error.errors if isinstance(error, BatchRefusal) else ()
    return Problem(error.code, error.message, where=error.where, errors=errors)


def _transport(error: TransportError | StageError) -> Problem:
    if error.status in _AWAY:
        return Problem("LEDGER_UNAVAILABLE", headers=_RETRY)
    if error.status in _NOT_ACCEPTED:
        return Problem("CERTIFICATE_INVALID", f"the ledger did not accept it: {error.message}")
    said = [
        {"address": detail.address, "msp": detail.msp_id, "message": detail.message}
        for detail in error.details
    ]
    return Problem("ENDORSEMENT_FAILED", error.message, errors=said)


def _stage(error: StageError) -> Problem:
    told = error.refusal
    extra = {"tx_id": error.tx_id} if error.tx_id else {}
    if told is None:
        problem = _transport(error)
        problem.extra.update(extra)
        return problem
    errors = [
        {"index": item.index, "code": item.code, "message": item.message, "where": item.where}
        for item in told.errors
    ]
    return Problem(told.code, told.message, where=told.where, errors=errors, extra=extra)


def _submit(error: SubmitError) -> Problem:
    extra = {"tx_id": error.tx_id}
    if error.in_doubt:
        return Problem("COMMIT_UNKNOWN", extra=extra)
    return Problem("SUBMIT_FAILED", error.message, extra=extra)


def _commit(error: CommitError) -> Problem:
    extra = {
        "tx_id": error.tx_id,
        "block": error.block_number,
        "validation_code": error.code_name,
    }
    return Problem("COMMIT_CONFLICT" if error.is_conflict else "COMMIT_INVALID", extra=extra)


_RETRY = {"Retry-After": "2"}
_AWAY = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.CANCELLED,
    }
)
_NOT_ACCEPTED = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})

translates(DatabaseUnavailable, lambda e: Problem("DATABASE_UNAVAILABLE", headers=_RETRY))
translates(NotReady, lambda e: Problem("NOT_READY", str(e), headers=_RETRY))
translates(IdentityError, lambda e: Problem("CERTIFICATE_INVALID", str(e)))
translates(Refusal, _refusal)
translates(LedgerError, lambda e: Problem("BAD_REQUEST", str(e)))
translates(TransportError, _transport)
translates(StageError, _stage)
translates(SubmitError, _submit)
translates(CommitStatusError, lambda e: Problem("COMMIT_UNKNOWN", extra={"tx_id": e.tx_id}))
translates(CommitError, _commit)
translates(TransactionMismatchError, lambda e: Problem("SUBMIT_FAILED", str(e)))
