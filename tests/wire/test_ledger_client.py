"""LedgerClient over every transport: the same calls, the same answers, the same errors."""

from __future__ import annotations

import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import transaction_pb2

from gateway.ledger import (
    CommitError,
    CommitStatusError,
    EndorseError,
    EvaluateError,
    LedgerClient,
    LedgerError,
    StreamError,
    SubmitError,
    TransactionMismatchError,
    TransportError,
)
from gateway.ledger.port import LedgerTransport
from nodes.identity import Signer, signer_from_pem
from nodes.identity.certificates import (
    certificate_pem,
    issue_identity,
    key_pem,
    new_authority,
)
from nodes.identity.signature import HALF_ORDER, ORDER
from tests.wire.conftest import CHAINCODE, CHANNEL, MSP_IDS, Side


def unique(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4()}"


def stranger() -> Signer:
    """The same names under a CA nobody knows."""
    authority = new_authority("ca.farm.example", "farm.example", "PT")
    issued = issue_identity(authority, "alice@farm.example", "client", {})
    return signer_from_pem(MSP_IDS[0], certificate_pem(issued.certificate), key_pem(issued.key))


def sign_digest(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """What a hardware key does: it is handed 32 bytes and knows nothing of messages."""
    r, s = decode_dss_signature(key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256()))))
    return encode_dss_signature(r, s if s <= HALF_ORDER else ORDER - s)


# -- the main path -------------------------------------------------------------------------------


def test_evaluate_answers_decoded_json(side: Side) -> None:
    """Catches a client that hands out the envelope around the result."""
    answer = side.client.evaluate(side.signer(), "whoami")
    assert answer == {"msp": "FarmMSP", "channel": CHANNEL}


def test_submit_is_seen_by_the_next_query(side: Side) -> None:
    """Catches a commit that is announced before its effect can be read."""
    signer, key = side.signer(), unique("submit")
    for value in ("one", "two", "雪"):
        done = side.client.submit_and_wait(signer, "put", {"key": key, "value": value})
        assert done.result == {"key": key, "tx_id": done.tx_id}
        assert side.client.evaluate(signer, "get", {"key": key}) == {"value": value}


def test_submit_returns_before_the_commit(side: Side) -> None:
    """Catches a submit that waits, or a future that never resolves."""
    signer = side.signer()
    sent = [
        side.client.submit(signer, "put", {"key": unique("many"), "value": str(i)})
        for i in range(30)
    ]
    told = [one.commit.result(15) for one in sent]
    assert [status.tx_id for status in told] == [one.tx_id for one in sent]
    assert all(status.successful and status.code_name == "VALID" for status in told)
    assert all(status.require_valid() is status for status in told)
    blocks = [status.block_number for status in told]
    assert blocks == sorted(blocks)
    assert blocks[0] > 0


def test_transient_data_reaches_the_contract(side: Side) -> None:
    """Catches the loss of transient data on the way."""
    answer = side.client.evaluate(side.signer(), "transient", transient={"price": b"4.20"})
    assert answer == {"price": "4.20"}


def test_named_organisations_endorse(side: Side) -> None:
    """Catches endorsing organisations that are ignored."""
    signer = side.signer()
    arg = {"key": unique("orgs"), "value": "x"}
    done = side.client.submit_and_wait(signer, "put", arg, organizations=["MillMSP", "ShopMSP"])
    block = side.client.block_of(signer, done.tx_id)
    assert block.header.number == done.block_number


def test_large_arguments_and_results(side: Side) -> None:
    """Catches a message limit left at gRPC's default of 4 MB."""
    signer, key, value = side.signer(), unique("large"), "ä" * 2_500_000
    side.client.submit_and_wait(signer, "put", {"key": key, "value": value})
    assert side.client.evaluate(signer, "get", {"key": key}) == {"value": value}


# -- refusals and errors -------------------------------------------------------------------------


def test_refusal_is_decoded(side: Side) -> None:
    """Catches callers having to search error texts for the contract's reason."""
    with pytest.raises(EndorseError) as caught:
        side.client.submit(side.signer(), "refuse", {"message": "the seal is broken"})
    error = caught.value
    assert (error.code, error.where) == ("BAD_ARGUMENT", "/mass_g")
    assert error.refusal is not None
    assert error.refusal.message == "the seal is broken"
    assert error.status is grpc.StatusCode.ABORTED
    assert len(error.tx_id) == 64
    assert error.details[0].msp_id in MSP_IDS
    assert ":" in error.details[0].address


def test_refused_query_is_decoded(side: Side) -> None:
    """Catches evaluate errors that lose the refusal."""
    with pytest.raises(EvaluateError) as caught:
        side.client.evaluate(side.signer(), "get", {"key": unique("absent")})
    assert (caught.value.code, caught.value.where) == ("NOT_FOUND", "/key")
    assert caught.value.status is grpc.StatusCode.UNKNOWN


def test_stranger_is_refused_everywhere(side: Side) -> None:
    """Catches a service that checks who calls in some methods only."""
    unknown = stranger()
    with pytest.raises(EndorseError) as endorse:
        side.client.submit(unknown, "whoami")
    assert endorse.value.refusal is None
    assert endorse.value.details
    with pytest.raises(EvaluateError):
        side.client.evaluate(unknown, "whoami")
    with pytest.raises(StreamError) as blocks:
        next(iter(side.client.blocks(unknown, 0)))
    assert blocks.value.status is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(StreamError) as events:
        next(iter(side.client.chaincode_events(unknown, 0)))
    assert events.value.status is grpc.StatusCode.PERMISSION_DENIED


def test_unknown_channel_is_named(side: Side) -> None:
    """Catches an unknown channel that hangs or is answered from another one."""
    client = LedgerClient(side.client.transport, "nowhere", CHAINCODE)
    with pytest.raises(EvaluateError, match="nowhere"):
        client.evaluate(side.signer(), "whoami")
    with pytest.raises(EndorseError, match="nowhere"):
        client.submit(side.signer(), "whoami")
    with pytest.raises(StreamError) as blocks:
        next(iter(client.blocks(side.signer(), 0)))
    assert blocks.value.status is grpc.StatusCode.NOT_FOUND


def test_status_request_of_another_signer_is_refused(side: Side) -> None:
    """Catches a commit status that is told to whoever asks."""
    signer = side.signer()
    sent = side.client.submit(signer, "put", {"key": unique("status"), "value": "x"})
    sent.commit.result(15)
    request = gateway_pb2.CommitStatusRequest(
        transaction_id=sent.tx_id, channel_id=CHANNEL, identity=signer.serialized
    ).SerializeToString()
    signed = gateway_pb2.SignedCommitStatusRequest(request=request)
    commit = side.client.commit_from(signed.SerializeToString(), stranger().sign(request))
    with pytest.raises(CommitStatusError) as caught:
        commit.status(10)
    assert caught.value.status is grpc.StatusCode.PERMISSION_DENIED


def test_unfinished_commit_times_out_with_advice(side: Side) -> None:
    """Catches a wait without an end for a transaction that never comes."""
    signer = side.signer()
    proposal = side.client.new_proposal(signer.serialized, "put", {"key": "k", "value": "v"})
    transaction = proposal.sign(signer).endorse()
    request = gateway_pb2.CommitStatusRequest(
        transaction_id=transaction.tx_id, channel_id=CHANNEL, identity=signer.serialized
    )
    signed = gateway_pb2.SignedCommitStatusRequest(request=request.SerializeToString())
    commit = side.client.commit_from(signed.SerializeToString()).sign(signer)
    with pytest.raises(CommitStatusError, match="in no block"):
        commit.status(0.3)


# -- conflicts -----------------------------------------------------------------------------------


def endorsed_pair(side: Side, function: str, *args: dict[str, Any]) -> list[Any]:
    signer = side.signer()
    proposals = [side.client.new_proposal(signer.serialized, function, arg) for arg in args]
    return [proposal.sign(signer).endorse().sign(signer) for proposal in proposals]


@pytest.mark.parametrize(
    ("function", "args", "code"),
    [
        ("add", [{"key": "pair-{}"}, {"key": "pair-{}"}], transaction_pb2.MVCC_READ_CONFLICT),
        (
            "countBelow",
            [{"prefix": "below-{}-", "name": "a"}, {"prefix": "below-{}-", "name": "b"}],
            transaction_pb2.PHANTOM_READ_CONFLICT,
        ),
    ],
)
def test_conflict_is_a_commit_error(
    side: Side, function: str, args: list[dict[str, str]], code: int
) -> None:
    """Catches a lost update: both transactions saw the same state, one may count."""
    mark = uuid.uuid4().hex
    filled = [{name: value.format(mark) for name, value in arg.items()} for arg in args]
    first, second = endorsed_pair(side, function, *filled)
    commits = [first.submit(), second.submit()]
    for commit in commits:
        if commit.needs_signature:
            commit.sign(side.signer())
    assert commits[0].status(15).successful
    status = commits[1].status(15)
    assert status.code == code
    with pytest.raises(CommitError) as caught:
        status.require_valid()
    assert caught.value.is_conflict
    assert (caught.value.tx_id, caught.value.code) == (second.tx_id, code)


def test_conflicts_are_retried_as_new_transactions(side: Side) -> None:
    """Catches a retry that resends the conflicting transaction, or counts twice."""
    signer, key = side.signer(), unique("counter")

    def count(_: int) -> Any:
        return side.client.submit_and_wait(signer, "add", {"key": key}, attempts=40)

    with ThreadPoolExecutor(6) as pool:
        done = list(pool.map(count, range(18)))
    assert sorted(one.result["value"] for one in done) == list(range(1, 19))
    assert len({one.tx_id for one in done}) == 18
    assert max(one.attempts for one in done) > 1
    assert side.client.evaluate(signer, "get", {"key": key}) == {"value": "18"}


def test_retries_are_bounded(side: Side) -> None:
    """Catches an endless retry: with one attempt the conflict is the caller's to see."""
    signer, key = side.signer(), unique("bounded")

    def count(_: int) -> Any:
        try:
            return side.client.submit_and_wait(signer, "add", {"key": key}, attempts=1)
        except CommitError as error:
            return error

    with ThreadPoolExecutor(8) as pool:
        ended = list(pool.map(count, range(24)))
    conflicts = [one for one in ended if isinstance(one, CommitError)]
    assert conflicts
    assert all(one.is_conflict for one in conflicts)


# -- doubt ---------------------------------------------------------------------------------------


class LossyTransport:
    """The real transport, whose first answers to Submit are lost on the way back."""

    def __init__(self, real: LedgerTransport, lost: int) -> None:
        self._real = real
        self._lost = lost
        self.submitted: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def submit(self, request: gateway_pb2.SubmitRequest) -> gateway_pb2.SubmitResponse:
        self.submitted.append(request.SerializeToString())
        answer = self._real.submit(request)
        if len(self.submitted) <= self._lost:
            raise TransportError(grpc.StatusCode.UNAVAILABLE, "connection reset")
        return answer


def test_doubtful_submission_is_repeated_unchanged(side: Side) -> None:
    """Catches a second effect, or a false failure, when only the answer was lost."""
    lossy = LossyTransport(side.client.transport, lost=2)
    client = LedgerClient(lossy, CHANNEL, CHAINCODE, commit_timeout_s=15)  # type: ignore[arg-type]
    key = unique("doubt")
    done = client.submit_and_wait(side.signer(), "add", {"key": key})
    assert len(set(lossy.submitted)) == 1
    assert len(lossy.submitted) == 3
    assert done.attempts == 1
    assert side.client.evaluate(side.signer(), "get", {"key": key}) == {"value": "1"}


def test_lasting_doubt_is_told(side: Side) -> None:
    """Catches a client that calls an unanswered submission a failure."""
    lossy = LossyTransport(side.client.transport, lost=99)
    client = LedgerClient(lossy, CHANNEL, CHAINCODE)  # type: ignore[arg-type]
    with pytest.raises(SubmitError) as caught:
        client.submit(side.signer(), "put", {"key": unique("lost"), "value": "x"})
    assert caught.value.in_doubt
    assert len(lossy.submitted) == 4


class SwappingTransport(LossyTransport):
    """A gateway that answers Endorse with another transaction than was asked for."""

    def __init__(self, real: LedgerTransport, other: common_pb2.Envelope) -> None:
        super().__init__(real, 0)
        self._other = other

    def endorse(self, request: gateway_pb2.EndorseRequest) -> gateway_pb2.EndorseResponse:
        return gateway_pb2.EndorseResponse(prepared_transaction=self._other)


def test_swapped_transaction_is_not_signed(side: Side) -> None:
    """Catches a dishonest gateway that gets a signature for what the caller never proposed."""
    signer = side.signer()
    proposal = side.client.new_proposal(signer.serialized, "put", {"key": "a", "value": "b"})
    other = gateway_pb2.PreparedTransaction.FromString(
        proposal.sign(signer).endorse().to_bytes()
    ).envelope
    swapping = SwappingTransport(side.client.transport, other)
    client = LedgerClient(swapping, CHANNEL, CHAINCODE)  # type: ignore[arg-type]
    with pytest.raises(TransactionMismatchError):
        client.submit(signer, "put", {"key": "a", "value": "mine"})


# -- offline signing -----------------------------------------------------------------------------


def test_every_stage_can_be_signed_elsewhere(side: Side) -> None:
    """Catches a stage that needs the key at hand, or bytes that do not survive the trip."""
    signer, client, key = side.signer(), side.client, unique("offline")

    proposal = client.new_proposal(signer.serialized, "put", {"key": key, "value": "kept"})
    assert not proposal.is_signed
    signature = sign_digest(signer.key, proposal.digest)
    transaction = client.proposal_from(proposal.to_bytes(), signature).endorse()

    assert not transaction.is_signed
    assert transaction.tx_id == proposal.tx_id
    signature = sign_digest(signer.key, transaction.digest)
    commit = client.transaction_from(transaction.to_bytes(), signature).submit()

    signature = sign_digest(signer.key, commit.digest)
    status = client.commit_from(commit.to_bytes(), signature).status(15)
    assert status.successful
    assert status.tx_id == proposal.tx_id

    query = client.new_proposal(signer.serialized, "get", {"key": key})
    signature = sign_digest(signer.key, query.digest)
    assert b"kept" in client.proposal_from(query.to_bytes(), signature).evaluate()


def test_same_envelope_twice_takes_effect_once(side: Side) -> None:
    """Catches a replay that counts: the copy is DUPLICATE_TXID and its status the first's."""
    signer, key = side.signer(), unique("twice")
    (transaction,) = endorsed_pair(side, "add", {"key": key})
    for _ in range(2):
        commit = side.client.transaction_from(transaction.to_bytes()).submit()
        if commit.needs_signature:
            commit.sign(signer)
        assert commit.status(15).successful
    side.client.submit_and_wait(signer, "put", {"key": unique("after"), "value": "x"})
    assert side.client.evaluate(signer, "get", {"key": key}) == {"value": "1"}


@pytest.mark.parametrize("junk", [b"\xff\xff\xff", b"not a message", b"\x0a\xff"])
def test_bytes_that_are_no_stage_are_refused(side: Side, junk: bytes) -> None:
    """Catches a crash on bytes that came from outside."""
    for take_up in (side.client.proposal_from, side.client.transaction_from):
        with pytest.raises(LedgerError):
            take_up(junk)
    with pytest.raises(LedgerError):
        side.client.commit_from(junk)


# -- following -----------------------------------------------------------------------------------


def test_blocks_come_whole_and_in_order(side: Side) -> None:
    """Catches gaps, repeats and a stop block that is not honoured."""
    done = side.client.submit_and_wait(side.signer(), "put", {"key": unique("block"), "value": "x"})
    blocks = list(side.client.blocks(side.signer(), 0, done.block_number))
    assert [block.header.number for block in blocks] == list(range(done.block_number + 1))
    filtered = list(side.client.filtered_blocks(side.signer(), 1, done.block_number))
    assert done.tx_id in {t.txid for t in filtered[-1].filtered_transactions}
    assert side.client.chain_info(side.signer()).height > done.block_number
    again = side.client.block(side.signer(), done.block_number)
    assert again.header.SerializeToString() == blocks[-1].header.SerializeToString()


def test_open_start_misses_nothing(side: Side) -> None:
    """Catches a stream that starts only when the server gets round to it."""
    stream = side.client.filtered_blocks(side.signer())
    done = side.client.submit_and_wait(side.signer(), "put", {"key": unique("n"), "value": "x"})
    assert any(
        transaction.txid == done.tx_id
        for block in stream_until(stream, done.block_number)
        for transaction in block.filtered_transactions
    )


def stream_until(stream: Any, number: int) -> Any:
    for block in stream:
        yield block
        if block.number >= number:
            stream.close()


def test_closing_ends_a_waiting_stream(side: Side) -> None:
    """Catches a follower thread that cannot be stopped."""
    stream = side.client.blocks(side.signer())
    seen: list[Any] = []
    thread = threading.Thread(target=lambda: seen.extend(stream))
    thread.start()
    threading.Timer(0.4, stream.close).start()
    thread.join(10)
    assert not thread.is_alive()


def test_events_resume_at_a_checkpoint(side: Side) -> None:
    """Catches an event that comes twice or never after a restart of the reader."""
    signer = side.signer()
    start = int(side.client.chain_info(signer).height)
    keys = [unique(f"event-{i}") for i in range(6)]
    sent = [side.client.submit(signer, "put", {"key": key, "value": "x"}) for key in keys]
    for one in sent:
        one.commit.result(15)
    seen, block, after = [], start, ""
    for _ in keys:
        stream = side.client.chaincode_events(signer, block, after)
        event = next(iter(stream))
        stream.close()
        block, after = stream.checkpoint  # type: ignore[assignment]
        assert (event.name, event.chaincode) == ("put", CHAINCODE)
        seen.append(event.payload.decode())
    assert sorted(seen) == sorted(keys)
