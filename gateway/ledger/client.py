"""The ledger as callers see it: evaluate, submit, wait, follow.

    evaluate          propose -> Evaluate
    submit            propose -> Endorse -> sign -> Submit, and a future for the outcome
    submit_and_wait   the same, waited for; a read conflict is answered by a NEW transaction
    new_proposal      the same stages one by one, for keys that stay with the user

The client holds no state; it is thread-safe where its transport is.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc
import orjson
from fabric_protos.common import common_pb2, ledger_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import events_pb2
from google.protobuf.message import DecodeError

from gateway.ledger.commit import Commit, CommitStatus, wait
from gateway.ledger.errors import CommitError, CommitStatusError, EndorseError, LedgerError
from gateway.ledger.port import LedgerTransport, SigningIdentity
from gateway.ledger.proposal import Proposal, new_proposed_transaction
from gateway.ledger.stream import BlockStream, EventStream
from gateway.ledger.transaction import Transaction

CONFLICT_ATTEMPTS = 5
COMMIT_TIMEOUT_S = 60.0
FIRST_PAUSE_S = 0.02
LONGEST_PAUSE_S = 0.5
AWAY_PAUSE_S = 0.2
NODES_DISAGREE = "ProposalResponsePayloads do not match"

Arg = Mapping[str, Any] | Sequence[Any] | bytes | str
Message = TypeVar("Message")


@dataclass(frozen=True, slots=True)
class Submitted:
    """A transaction handed over for ordering: its answer, and a future for its outcome."""

    tx_id: str
    result: Any
    commit: Future[CommitStatus]


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction that took effect, in which block, and at which attempt (1 = the first)."""

    tx_id: str
    result: Any
    block_number: int
    attempts: int


class LedgerClient:
    """One channel and chaincode of a ledger, over any transport."""

    def __init__(
        self,
        transport: LedgerTransport,
        channel: str = "trace",
        chaincode: str = "tracemark",
        *,
        commit_timeout_s: float = COMMIT_TIMEOUT_S,
    ) -> None:
        self.transport = transport
        self.channel = channel
        self.chaincode = chaincode
        self._commit_timeout_s = commit_timeout_s

    def evaluate(
        self,
        signer: SigningIdentity,
        function: str,
        arg: Arg = b"{}",
        *,
        transient: Mapping[str, bytes] | None = None,
    ) -> Any:
        """Ask one node, changing nothing.

        :param arg: the function's one argument; an object is sent as compact JSON, bytes and
            text as they are. :returns: the decoded JSON answer, None where it is empty.
        :raises EvaluateError:
        """
        proposal = self.new_proposal(signer.serialized, function, arg, transient=transient)
        return _decode(proposal.sign(signer).evaluate())

    def submit(
        self,
        signer: SigningIdentity,
        function: str,
        arg: Arg = b"{}",
        *,
        transient: Mapping[str, bytes] | None = None,
        organizations: Sequence[str] = (),
    ) -> Submitted:
        """Endorse and send one transaction; returns before it is in a block.

        :raises EndorseError: refused, nothing was sent. :raises SubmitError: not taken, or in
            doubt. The future resolves with a CommitStatus, which may be invalid.
        """
        transaction = self._endorsed(signer, function, arg, transient, organizations)
        return Submitted(
            transaction.tx_id,
            _decode(transaction.result),
            _sent(transaction, signer).future(),
        )

    def submit_and_wait(
        self,
        signer: SigningIdentity,
        function: str,
        arg: Arg = b"{}",
        *,
        transient: Mapping[str, bytes] | None = None,
        organizations: Sequence[str] = (),
        attempts: int = CONFLICT_ATTEMPTS,
        timeout_s: float | None = None,
    ) -> Committed:
        """Endorse, send, and wait until it took effect.

        After MVCC_READ_CONFLICT or PHANTOM_READ_CONFLICT, or when nodes at different heights
        disagree, up to `attempts` new transactions are tried, a short random pause apart. When
        the node goes away while this waits, the same envelope is sent again.

        :raises EndorseError, SubmitError, CommitStatusError:
        :raises CommitError: in a block but invalid, after the last attempt.
        """
        limit_s = self._commit_timeout_s if timeout_s is None else timeout_s
        for attempt in range(1, attempts + 1):
            try:
                transaction = self._endorsed(signer, function, arg, transient, organizations)
                status = _settled(transaction, signer, limit_s).require_valid()
                result = _decode(transaction.result)
                return Committed(status.tx_id, result, status.block_number, attempt)
            except (CommitError, EndorseError) as error:
                if attempt == attempts or not _is_conflict(error):
                    raise
            pause_s = min(FIRST_PAUSE_S * 2 ** (attempt - 1), LONGEST_PAUSE_S)
            time.sleep(pause_s * (0.5 + random.random()))  # noqa: S311 - spreads load, no secret
        raise LedgerError("attempts must be at least 1")

    def _endorsed(
        self,
        signer: SigningIdentity,
        function: str,
        arg: Arg,
        transient: Mapping[str, bytes] | None,
        organizations: Sequence[str],
    ) -> Transaction:
        proposal = self.new_proposal(
            signer.serialized, function, arg, transient=transient, organizations=organizations
        )
        return proposal.sign(signer).endorse().sign(signer)

    # -- one stage at a time, for keys that stay with the user ---------------------------------

    def new_proposal(
        self,
        creator: bytes,
        function: str,
        arg: Arg = b"{}",
        *,
        transient: Mapping[str, bytes] | None = None,
        organizations: Sequence[str] = (),
    ) -> Proposal:
        """An unsigned proposal by `creator` (``msp.SerializedIdentity`` bytes)."""
        proposed = new_proposed_transaction(
            self.channel,
            self.chaincode,
            creator,
            (function.encode(), _encode(arg)),
            transient,
            organizations,
        )
        return Proposal(self.transport, self.channel, proposed)

    def proposal_from(self, data: bytes, signature: bytes | None = None) -> Proposal:
        """Take up a proposal again from `Proposal.to_bytes`, adding a signature made elsewhere."""
        proposed = _parse(gateway_pb2.ProposedTransaction, data, "proposal")
        proposal = Proposal(self.transport, self.channel, proposed)
        return proposal if signature is None else proposal.set_signature(signature)

    def transaction_from(self, data: bytes, signature: bytes | None = None) -> Transaction:
        """Take up an endorsed transaction again from `Transaction.to_bytes`."""
        prepared = _parse(gateway_pb2.PreparedTransaction, data, "transaction")
        transaction = Transaction(self.transport, self.channel, prepared)
        return transaction if signature is None else transaction.set_signature(signature)

    def commit_from(self, data: bytes, signature: bytes | None = None) -> Commit:
        """Take up a commit status request again from `Commit.to_bytes`."""
        signed = _parse(gateway_pb2.SignedCommitStatusRequest, data, "commit status request")
        request = _parse(gateway_pb2.CommitStatusRequest, signed.request, "commit status request")
        commit = Commit(
            self.transport,
            request.channel_id,
            request.transaction_id,
            request.identity,
            signed=signed,
        )
        return commit if signature is None else commit.set_signature(signature)

    # -- following -----------------------------------------------------------------------------

    def blocks(
        self, signer: SigningIdentity, start_block: int | None = None, stop_block: int | None = None
    ) -> BlockStream[common_pb2.Block]:
        """Blocks from `start_block` (None = the next one) on, or up to and with `stop_block`.

        The stream reconnects by itself and goes on where it was. :raises StreamError: on
        iteration, where waiting would not help. :raises EvaluateError: here, where the start is
        open and the node cannot say its height.
        """
        start = self._start(signer, start_block)
        return BlockStream(self.transport, self.channel, signer, start, stop_block, filtered=False)

    def filtered_blocks(
        self, signer: SigningIdentity, start_block: int | None = None, stop_block: int | None = None
    ) -> BlockStream[events_pb2.FilteredBlock]:
        """Like `blocks`, but only transaction ids, validation codes and event names."""
        start = self._start(signer, start_block)
        return BlockStream(self.transport, self.channel, signer, start, stop_block, filtered=True)

    def chaincode_events(
        self,
        signer: SigningIdentity,
        start_block: int | None = None,
        after_tx_id: str = "",
    ) -> EventStream:
        """This chaincode's events from `start_block` (None = the next one), after `after_tx_id`.

        Both together are `EventStream.checkpoint` of an earlier stream.
        """
        start = self._start(signer, start_block)
        return EventStream(self.transport, self.channel, self.chaincode, signer, start, after_tx_id)

    def _start(self, signer: SigningIdentity, start_block: int | None) -> int:
        # An open start is pinned to a height now, so that a reconnect before the first block
        # cannot skip what was committed meanwhile.
        return int(self.chain_info(signer).height) if start_block is None else start_block

    # -- the chain itself ----------------------------------------------------------------------

    def chain_info(self, signer: SigningIdentity) -> ledger_pb2.BlockchainInfo:
        """Height, and the hashes of the last block (system chaincode ``qscc``)."""
        return ledger_pb2.BlockchainInfo.FromString(self._qscc(signer, "GetChainInfo"))

    def block(self, signer: SigningIdentity, number: int) -> common_pb2.Block:
        """One block by number. :raises EvaluateError: there is none (yet)."""
        answer = self._qscc(signer, "GetBlockByNumber", str(number))
        return common_pb2.Block.FromString(answer)

    def block_of(self, signer: SigningIdentity, tx_id: str) -> common_pb2.Block:
        """The block that holds a transaction. :raises EvaluateError: none does."""
        return common_pb2.Block.FromString(self._qscc(signer, "GetBlockByTxID", tx_id))

    def _qscc(self, signer: SigningIdentity, function: str, *args: str) -> bytes:
        texts = (function, self.channel, *args)
        proposed = new_proposed_transaction(
            self.channel, "qscc", signer.serialized, tuple(text.encode() for text in texts)
        )
        return Proposal(self.transport, self.channel, proposed).sign(signer).evaluate()

    def close(self) -> None:
        self.transport.close()


def _encode(arg: Arg) -> bytes:
    if isinstance(arg, bytes):
        return arg
    if isinstance(arg, str):
        return arg.encode()
    return orjson.dumps(arg)


def _decode(result: bytes) -> Any:
    return orjson.loads(result) if result else None


def _sent(transaction: Transaction, signer: SigningIdentity) -> Commit:
    commit = transaction.submit()
    return commit.sign(signer) if commit.needs_signature else commit


def _settled(transaction: Transaction, signer: SigningIdentity, timeout_s: float) -> CommitStatus:
    deadline = time.monotonic() + timeout_s
    while True:
        commit = _sent(transaction, signer)
        try:
            return wait(commit.future(), commit.tx_id, deadline - time.monotonic())
        except CommitStatusError as error:
            if error.status is not grpc.StatusCode.UNAVAILABLE or time.monotonic() > deadline:
                raise
        # The node went away and may have forgotten what it had not yet ordered.
        time.sleep(AWAY_PAUSE_S)


def _is_conflict(error: CommitError | EndorseError) -> bool:
    if isinstance(error, CommitError):
        return error.is_conflict
    told = (error.message, *(detail.message for detail in error.details))
    return error.refusal is None and any(NODES_DISAGREE in text for text in told)


def _parse(kind: Callable[[], Message], data: bytes, name: str) -> Message:
    message: Any = kind()
    try:
        message.ParseFromString(data)
    except DecodeError as error:
        raise LedgerError(f"these bytes are no {name}") from error
    return message  # type: ignore[no-any-return]
