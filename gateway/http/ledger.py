"""The ledger itself: offline signing, so that private keys stay with their users, and the chain.

Offline signing goes through the stages of Fabric's client protocol. Each answer holds the bytes to
carry on with (base64) and the SHA-256 digest to sign (base64, 32 bytes); a signature is DER ECDSA
P-256 with low S, base64. The signature is the authentication: no API key is needed to send one.

    POST /v1/ledger/proposals      function, argument, certificate -> proposal, digest
    POST /v1/ledger/evaluations    proposal, signature             -> result (a query ends here)
    POST /v1/ledger/endorsements   proposal, signature             -> result, transaction, digest
    POST /v1/ledger/submissions    transaction, signature          -> transaction id
    GET  /v1/ledger/transactions/{tx_id}                           -> its outcome
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from typing import Annotated, Any

import orjson
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from starlette.concurrency import run_in_threadpool

from chaincode.codec import dumps
from gateway.container import Container
from gateway.errors import Problem
from gateway.http.deps import AdminDep, CallerDep, ContainerDep, OptionalCallerDep
from gateway.ledger.errors import validation_code_name
from gateway.readmodel import tables

router = APIRouter(prefix="/v1/ledger", tags=["ledger"])

MOST_BASE64 = 16 * 1024 * 1024
Bytes = Annotated[str, Field(min_length=4, max_length=MOST_BASE64, description="Base64.")]
TxId = Annotated[str, Path(pattern=r"^[0-9a-f]{64}$", description="Transaction id, 64 hex.")]
_POLL_S = 0.05


class ProposalRequest(BaseModel):
    """What to propose, and as whom."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [{"function": "item:get", "argument": {"id": "urn:epc:id:sgtin:..."}}]
        },
    )

    function: str = Field(pattern=r"^[a-z]{1,32}:[A-Za-z]{1,32}$", description="Contract function.")
    argument: dict[str, Any] = Field(default={}, description="Its one argument.")
    certificate: str | None = Field(
        None, max_length=16_384, description="PEM of the signer; default: the caller's own."
    )
    transient: dict[str, str] = Field(
        default={}, max_length=32, description="Data the ledger never stores, base64 by name."
    )


class SignedRequest(BaseModel):
    """The bytes of the stage before, and the signature over its digest."""

    model_config = ConfigDict(extra="forbid")

    proposal: Bytes
    signature: Annotated[str, Field(min_length=4, max_length=512, description="DER, base64.")]


class SignedTransaction(BaseModel):
    """An endorsed transaction and its creator's signature."""

    model_config = ConfigDict(extra="forbid")

    transaction: Bytes
    signature: Annotated[str, Field(min_length=4, max_length=512, description="DER, base64.")]


@router.post("/proposals", summary="Prepare a proposal to be signed offline")
async def propose(
    request: ProposalRequest, caller: OptionalCallerDep, container: ContainerDep
) -> dict[str, str]:
    """Nothing is sent to the ledger yet."""
    certificate = request.certificate or (caller.certificate if caller else None)
    if certificate is None:
        raise Problem("VALIDATION", "whose certificate is to sign?", where="/certificate")
    identity = container.members.accept_any(_der(certificate))
    proposal = container.ledger.new_proposal(
        identity.serialized,
        request.function,
        dumps(request.argument),
        transient={
            name: _bytes(value, f"/transient/{name}") for name, value in request.transient.items()
        },
    )
    return {
        "tx_id": proposal.tx_id,
        "proposal": _text(proposal.to_bytes()),
        "digest": _text(proposal.digest),
    }


@router.post("/evaluations", summary="Run a signed proposal as a query")
def evaluate(request: SignedRequest, container: ContainerDep) -> dict[str, Any]:
    """One node answers; nothing changes."""
    proposal = container.ledger.proposal_from(
        _bytes(request.proposal, "/proposal"), _bytes(request.signature, "/signature")
    )
    return {"tx_id": proposal.tx_id, **_result(proposal.evaluate())}


@router.post("/endorsements", summary="Have a signed proposal endorsed")
def endorse(request: SignedRequest, container: ContainerDep) -> dict[str, Any]:
    """Enough organisations ran it and agree; sign the digest and submit it."""
    proposal = container.ledger.proposal_from(
        _bytes(request.proposal, "/proposal"), _bytes(request.signature, "/signature")
    )
    transaction = proposal.endorse()
    return {
        "tx_id": transaction.tx_id,
        **_result(transaction.result),
        "transaction": _text(transaction.to_bytes()),
        "digest": _text(transaction.digest),
    }


@router.post("/submissions", status_code=202, summary="Submit a signed transaction")
def submit(request: SignedTransaction, container: ContainerDep) -> dict[str, Any]:
    """It is ordered now; ask for its status. Sending the same bytes again is harmless."""
    transaction = container.ledger.transaction_from(
        _bytes(request.transaction, "/transaction"), _bytes(request.signature, "/signature")
    )
    transaction.submit()
    return {"tx_id": transaction.tx_id, "status": f"/v1/ledger/transactions/{transaction.tx_id}"}


@router.get("/transactions/{tx_id}", summary="What became of a transaction")
async def transaction(
    tx_id: TxId,
    container: ContainerDep,
    wait_s: Annotated[float, Query(ge=0, le=30, description="Wait this long for it.")] = 0,
) -> dict[str, Any]:
    """Its block and validation code; NOT_FOUND while it is in no block."""
    deadline = time.monotonic() + wait_s
    while True:
        found = await run_in_threadpool(_transaction, container, tx_id)
        if found is not None:
            return found
        if time.monotonic() >= deadline:
            raise Problem("NOT_FOUND", f"transaction {tx_id} is in no block yet")
        await asyncio.sleep(_POLL_S)


@router.get("", summary="Height of the ledger and of the read model")
def info(caller: CallerDep, container: ContainerDep) -> dict[str, Any]:
    """Also the hashes of the newest block, and the contract's version."""
    chain = container.ledger.chain_info(container.signer)
    contract = container.ledger.evaluate(container.signer, "network:info", {})
    return {
        "channel": container.settings.channel,
        "height": int(chain.height),
        "current_block_hash": bytes(chain.currentBlockHash).hex(),
        "previous_block_hash": bytes(chain.previousBlockHash).hex(),
        "readmodel_height": container.readmodel.height(),
        "contract": contract,
    }


@router.post("/readmodel/rebuild", status_code=202, summary="Rebuild the read model from block 0")
async def rebuild(caller: AdminDep, container: ContainerDep) -> dict[str, Any]:
    """For administrators of the gateway's own organisation. Readers see it grow; watch /readyz."""
    if caller.msp_id != container.msp_id:
        raise Problem("FORBIDDEN", "only the gateway's own organisation may rebuild its read model")
    container.follower.rebuild()
    return {"status": "/readyz"}


@router.get("/blocks", summary="Blocks, newest first")
def blocks(
    caller: CallerDep,
    container: ContainerDep,
    before: Annotated[
        int | None, Query(ge=0, lt=2**63, description="Blocks below this number.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> list[dict[str, Any]]:
    """Number, header hashes, transactions and valid ones, time."""
    query = select(tables.blocks).order_by(tables.blocks.c.number.desc()).limit(limit)
    if before is not None:
        query = query.where(tables.blocks.c.number < before)
    with container.readmodel.read() as connection:
        return [dict(row._mapping) for row in connection.execute(query)]


@router.get("/blocks/{number}", summary="One block and its transactions")
def block(
    number: Annotated[int, Path(ge=0, lt=2**63)], caller: CallerDep, container: ContainerDep
) -> dict[str, Any]:
    """Every transaction with its validation code, the invalid ones too."""
    transactions = tables.transactions
    with container.readmodel.read() as connection:
        row = connection.execute(
            select(tables.blocks).where(tables.blocks.c.number == number)
        ).first()
        if row is None:
            raise Problem("NOT_FOUND", f"block {number} is not in the read model")
        entries = connection.execute(
            select(transactions)
            .where(transactions.c.block == number)
            .order_by(transactions.c.position)
        ).all()
    return {**row._mapping, "transactions": [_outcome(entry) for entry in entries]}


def _transaction(container: Container, tx_id: str) -> dict[str, Any] | None:
    with container.readmodel.read() as connection:
        row = connection.execute(
            select(tables.transactions).where(tables.transactions.c.tx_id == tx_id)
        ).first()
    return None if row is None else _outcome(row)


def _outcome(row: Any) -> dict[str, Any]:
    return {
        "tx_id": row.tx_id,
        "block": row.block,
        "position": row.position,
        "valid": row.code == 0,
        "validation_code": validation_code_name(row.code),
        "msp": row.msp,
        "time_ms": row.time_ms,
        "events": row.events,
    }


def _der(pem: str) -> bytes:
    try:
        return x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    except ValueError:
        raise Problem("VALIDATION", "not a PEM certificate", where="/certificate") from None


def _bytes(text: str, where: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        raise Problem("VALIDATION", "not base64", where=where) from None


def _text(data: bytes) -> str:
    return b64encode(data).decode()


def _result(data: bytes) -> dict[str, Any]:
    """`result`; of a system chaincode, whose answers are no JSON, `result_base64` beside null."""
    try:
        return {"result": orjson.loads(data) if data else None}
    except orjson.JSONDecodeError:
        return {"result": None, "result_base64": _text(data)}
