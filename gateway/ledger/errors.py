"""What can go wrong between a caller and the ledger, one exception per stage.

    LedgerError
    ├── TransportError            the call itself: status code, message, details per node
    ├── StageError                the same, told by stage and transaction id
    │   ├── EvaluateError         a query was refused or could not be asked
    │   ├── EndorseError          the contract or the endorsers refused the proposal
    │   ├── SubmitError           the ordering service did not (provably) take the transaction
    │   ├── CommitStatusError     the outcome of a submitted transaction could not be learned
    │   └── StreamError           a block or event stream was refused or broke off for good
    ├── CommitError               the transaction is in a block, marked invalid
    └── TransactionMismatchError  a gateway handed back another transaction than was proposed

The stage names and the form of the details are those of the Hyperledger Fabric Gateway clients:
each detail is a ``gateway.ErrorDetail`` (address, MSP id, message). Where a detail carries the
contract's own refusal, ``chaincode response 500, {"code", "message", "where"}``, it is decoded
into :class:`Refusal`, so that callers never search for text.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import grpc
from fabric_protos.peer import transaction_pb2


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """What one node said: its address "host:port", its MSP id, its message."""

    address: str
    msp_id: str
    message: str


@dataclass(frozen=True, slots=True)
class RefusalItem:
    """The refusal of one element of a list argument, by its zero-based index."""

    index: int
    code: str
    message: str
    where: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The contract's refusal: stable UPPER_SNAKE code, sentence, JSON pointer ("" = the whole).

    `errors` lists the refused elements; `omitted` more were left out to fit the wire.
    """

    code: str
    message: str
    where: str = ""
    errors: tuple[RefusalItem, ...] = ()
    omitted: int = 0


class LedgerError(Exception):
    """Any failure of a call to the ledger."""


class TransportError(LedgerError):
    """A call failed: gRPC status code, the server's message, what each node said."""

    def __init__(
        self, status: grpc.StatusCode, message: str, details: Iterable[ErrorDetail] = ()
    ) -> None:
        super().__init__(f"{status.name}: {message}")
        self.status = status
        self.message = message
        self.details = tuple(details)

    @property
    def in_doubt(self) -> bool:
        """The server may have done what was asked although no answer came."""
        return self.status in IN_DOUBT

    @property
    def is_passing(self) -> bool:
        """The same call may succeed later without anybody changing anything."""
        return self.status in PASSING


class StageError(LedgerError):
    """A stage of a transaction failed; `refusal` is set where the contract said no."""

    stage = "call"

    def __init__(self, cause: TransportError, tx_id: str = "") -> None:
        self.tx_id = tx_id
        self.status = cause.status
        self.message = cause.message
        self.details = cause.details
        self.refusal = refusal_in(cause)
        super().__init__(self._sentence())

    @property
    def code(self) -> str:
        """The contract's refusal code, else the gRPC status name."""
        return self.refusal.code if self.refusal else self.status.name

    @property
    def where(self) -> str:
        return self.refusal.where if self.refusal else ""

    @property
    def errors(self) -> tuple[RefusalItem, ...]:
        return self.refusal.errors if self.refusal else ()

    def _sentence(self) -> str:
        if self.refusal:
            return f"{self.refusal.code}: {self.refusal.message}"
        said = "; ".join(f"{d.msp_id} at {d.address}: {d.message}" for d in self.details)
        return f"{self.stage} failed, {self.status.name}: {self.message}" + (
            f" ({said})" if said else ""
        )


class EvaluateError(StageError):
    """A query failed."""

    stage = "evaluate"


class EndorseError(StageError):
    """The proposal was not endorsed; nothing reached the ledger."""

    stage = "endorse"


class SubmitError(StageError):
    """The transaction was not taken for ordering; with `in_doubt` it may still commit."""

    stage = "submit"

    @property
    def in_doubt(self) -> bool:
        """True where no answer came: submit the same envelope again, or ask for its status."""
        return self.status in IN_DOUBT


class CommitStatusError(StageError):
    """The transaction was submitted, but its outcome could not be learned."""

    stage = "commit status"


class StreamError(StageError):
    """A stream of blocks or events ended in an error that waiting does not mend."""

    stage = "stream"


class CommitError(LedgerError):
    """The transaction is in a block but invalid: Fabric's TxValidationCode number."""

    def __init__(self, tx_id: str, code: int, block_number: int) -> None:
        self.tx_id = tx_id
        self.code = code
        self.block_number = block_number
        super().__init__(
            f"transaction {tx_id} is in block {block_number} but did not take effect: "
            f"validation code {code} ({validation_code_name(code)})"
        )

    @property
    def code_name(self) -> str:
        return validation_code_name(self.code)

    @property
    def is_conflict(self) -> bool:
        """Another transaction changed what this one had read: a new one may succeed."""
        return self.code in CONFLICTS


class TransactionMismatchError(LedgerError):
    """What a gateway handed back is not the transaction that was proposed: do not sign it."""


IN_DOUBT = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.UNKNOWN,
        grpc.StatusCode.INTERNAL,
    }
)
PASSING = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
    }
)
CONFLICTS = frozenset({transaction_pb2.MVCC_READ_CONFLICT, transaction_pb2.PHANTOM_READ_CONFLICT})


def validation_code_name(code: int) -> str:
    """Fabric's name of a validation code, e.g. 11 -> "MVCC_READ_CONFLICT"."""
    try:
        return str(transaction_pb2.TxValidationCode.Name(code))
    except ValueError:
        return f"CODE_{code}"


def refusal_in(error: TransportError) -> Refusal | None:
    """The contract's refusal among the details (or the message) of a failed call, if any."""
    for text in (*(detail.message for detail in error.details), error.message):
        refusal = parse_refusal(text)
        if refusal is not None:
            return refusal
    return None


def parse_refusal(text: str) -> Refusal | None:
    """Decode ``chaincode response 500, {json}``; None where `text` holds no such JSON object."""
    start, end = text.find("{"), text.rfind("}")
    if start < 0 or end < start:
        return None
    try:
        told = json.loads(text[start : end + 1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(told, dict) or not isinstance(told.get("code"), str):
        return None
    return Refusal(
        code=told["code"],
        message=str(told.get("message", "")),
        where=str(told.get("where", "")),
        errors=_items(told.get("errors")),
        omitted=told["more"] if isinstance(told.get("more"), int) else 0,
    )


def _items(told: Any) -> tuple[RefusalItem, ...]:
    entries: Sequence[Any] = told if isinstance(told, list) else ()
    return tuple(
        RefusalItem(
            index=entry["index"] if isinstance(entry.get("index"), int) else position,
            code=str(entry.get("code", "")),
            message=str(entry.get("message", "")),
            where=str(entry.get("where", "")),
        )
        for position, entry in enumerate(entries)
        if isinstance(entry, dict)
    )
