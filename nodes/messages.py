"""Build and take apart Fabric's messages: proposal, endorsement, transaction, block.

Pure: no keys, no clock, no storage. Every function works on serialized bytes and keeps them as
they are, because signatures and hashes cover bytes and not their meaning. Whoever signs passes a
``sign`` callable (message bytes -> low-S DER signature over their SHA-256).

Formats: ``fabric-protos`` (``peer/proposal.proto``, ``peer/transaction.proto``,
``common/common.proto``); transaction id and proposal hash as in Fabric's ``protoutil``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, TypeVar

from fabric_protos.common import common_pb2
from fabric_protos.msp import identities_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import (
    chaincode_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf.message import DecodeError, Message
from google.protobuf.timestamp_pb2 import Timestamp

from nodes.errors import MessageError

NONCE_BYTES: Final = 24
ENDORSER_TRANSACTION: Final = common_pb2.HeaderType.ENDORSER_TRANSACTION
CONFIG: Final = common_pb2.HeaderType.CONFIG
CONFIG_UPDATE: Final = common_pb2.HeaderType.CONFIG_UPDATE
DELIVER_SEEK_INFO: Final = common_pb2.HeaderType.DELIVER_SEEK_INFO

Sign = Callable[[bytes], bytes]
M = TypeVar("M", bound=Message)


def new_nonce() -> bytes:
    """A fresh random nonce, 24 bytes."""
    return os.urandom(NONCE_BYTES)


def transaction_id(nonce: bytes, creator: bytes) -> str:
    """Fabric's transaction id: hex SHA-256 of nonce and serialized creator."""
    return sha256(nonce + creator).hexdigest()


def timestamp(timestamp_ms: int) -> Timestamp:
    """Milliseconds UTC since 1970 as a protobuf timestamp."""
    return Timestamp(seconds=timestamp_ms // 1000, nanos=timestamp_ms % 1000 * 1_000_000)


def milliseconds(stamp: Timestamp) -> int:
    """A protobuf timestamp as milliseconds UTC, rounded down."""
    return int(stamp.seconds) * 1000 + int(stamp.nanos) // 1_000_000


def serialized_identity(msp_id: str, certificate: bytes) -> bytes:
    """``msp.SerializedIdentity`` of a PEM certificate: what Fabric calls a creator."""
    return bytes(
        identities_pb2.SerializedIdentity(mspid=msp_id, id_bytes=certificate).SerializeToString()
    )


# -- headers -------------------------------------------------------------------------------------


def channel_header(
    kind: int, channel: str, tx_id: str = "", *, timestamp_ms: int, extension: bytes = b""
) -> bytes:
    """A serialized ``common.ChannelHeader`` with epoch 0."""
    header = common_pb2.ChannelHeader(
        type=kind,
        channel_id=channel,
        tx_id=tx_id,
        timestamp=timestamp(timestamp_ms),
        extension=extension,
    )
    return bytes(header.SerializeToString())


def signature_header(creator: bytes, nonce: bytes) -> bytes:
    """A serialized ``common.SignatureHeader``."""
    return bytes(common_pb2.SignatureHeader(creator=creator, nonce=nonce).SerializeToString())


def signed_envelope(
    sign: Sign, header: bytes, creator_header: bytes, data: bytes
) -> common_pb2.Envelope:
    """A signed ``common.Envelope`` from serialized channel and signature headers and data."""
    payload = common_pb2.Payload(
        header=common_pb2.Header(channel_header=header, signature_header=creator_header),
        data=data,
    ).SerializeToString()
    return common_pb2.Envelope(payload=payload, signature=sign(payload))


# -- proposals -----------------------------------------------------------------------------------


def new_proposal(
    creator: bytes,
    channel: str,
    chaincode: str,
    args: Sequence[bytes],
    transient: Mapping[str, bytes] | None = None,
    nonce: bytes | None = None,
    timestamp_ms: int = 0,
) -> tuple[bytes, str]:
    """A serialized ``protos.Proposal`` and its transaction id.

    `creator` is a SerializedIdentity; `args` are the function name and its arguments in bytes;
    `transient` never reaches the ledger; `timestamp_ms` is the client's clock, UTC.
    """
    nonce = nonce or new_nonce()
    tx_id = transaction_id(nonce, creator)
    chaincode_id = chaincode_pb2.ChaincodeID(name=chaincode)
    extension = proposal_pb2.ChaincodeHeaderExtension(chaincode_id=chaincode_id)
    invocation = chaincode_pb2.ChaincodeInvocationSpec(
        chaincode_spec=chaincode_pb2.ChaincodeSpec(
            chaincode_id=chaincode_id, input=chaincode_pb2.ChaincodeInput(args=args)
        )
    )
    header = common_pb2.Header(
        channel_header=channel_header(
            ENDORSER_TRANSACTION,
            channel,
            tx_id,
            timestamp_ms=timestamp_ms,
            extension=extension.SerializeToString(),
        ),
        signature_header=signature_header(creator, nonce),
    )
    payload = proposal_pb2.ChaincodeProposalPayload(
        input=invocation.SerializeToString(), TransientMap=transient or {}
    )
    proposal = proposal_pb2.Proposal(
        header=header.SerializeToString(), payload=payload.SerializeToString()
    )
    return bytes(proposal.SerializeToString()), tx_id


def signed_proposal(sign: Sign, proposal: bytes) -> proposal_pb2.SignedProposal:
    """``protos.SignedProposal`` over the serialized proposal."""
    return proposal_pb2.SignedProposal(proposal_bytes=proposal, signature=sign(proposal))


@dataclass(frozen=True, slots=True)
class ParsedProposal:
    """A proposal taken apart; the byte fields are exactly the bytes that were signed."""

    channel_header_bytes: bytes
    signature_header_bytes: bytes
    header_type: int
    epoch: int
    channel: str
    tx_id: str
    timestamp_ms: int
    creator: bytes
    nonce: bytes
    chaincode: str
    input: bytes
    args: tuple[bytes, ...]
    transient: dict[str, bytes]

    @property
    def payload_for_transaction(self) -> bytes:
        """The ``ChaincodeProposalPayload`` as the ledger sees it: without transient data."""
        visible = proposal_pb2.ChaincodeProposalPayload(input=self.input)
        return bytes(visible.SerializeToString())

    @property
    def proposal_hash(self) -> bytes:
        """32-byte SHA-256 that ties an endorsement to this proposal."""
        return proposal_hash(
            self.channel_header_bytes, self.signature_header_bytes, self.payload_for_transaction
        )


def proposal_hash(channel_header: bytes, signature_header: bytes, payload: bytes) -> bytes:
    """SHA-256 over both serialized headers and the payload without transient data."""
    return sha256(channel_header + signature_header + payload).digest()


def parse_proposal(proposal_bytes: bytes) -> ParsedProposal:
    """Take a serialized ``protos.Proposal`` apart; raises MessageError naming the bad part."""
    proposal = _decode(proposal_pb2.Proposal, proposal_bytes, "proposal")
    header = _decode(common_pb2.Header, proposal.header, "header")
    channel = _decode(common_pb2.ChannelHeader, header.channel_header, "channel header")
    creator = _decode(common_pb2.SignatureHeader, header.signature_header, "signature header")
    extension = _decode(
        proposal_pb2.ChaincodeHeaderExtension, channel.extension, "chaincode header extension"
    )
    payload = _decode(
        proposal_pb2.ChaincodeProposalPayload, proposal.payload, "chaincode proposal payload"
    )
    invocation = _decode(
        chaincode_pb2.ChaincodeInvocationSpec, payload.input, "chaincode invocation"
    )
    return ParsedProposal(
        channel_header_bytes=header.channel_header,
        signature_header_bytes=header.signature_header,
        header_type=channel.type,
        epoch=channel.epoch,
        channel=channel.channel_id,
        tx_id=channel.tx_id,
        timestamp_ms=milliseconds(channel.timestamp),
        creator=creator.creator,
        nonce=creator.nonce,
        chaincode=extension.chaincode_id.name,
        input=payload.input,
        args=tuple(invocation.chaincode_spec.input.args),
        transient=dict(payload.TransientMap),
    )


# -- endorsements and transactions ---------------------------------------------------------------


def response_payload(
    proposal_hash: bytes, chaincode: str, version: str, results: bytes, events: bytes,
    response: proposal_response_pb2.Response,
) -> bytes:  # fmt: skip
    """A serialized ``ProposalResponsePayload``: the part that all endorsers must agree on.

    `results` is a serialized TxReadWriteSet, `events` a serialized ChaincodeEvent or empty.
    """
    action = proposal_pb2.ChaincodeAction(
        results=results,
        events=events,
        response=response,
        chaincode_id=chaincode_pb2.ChaincodeID(name=chaincode, version=version),
    )
    payload = proposal_response_pb2.ProposalResponsePayload(
        proposal_hash=proposal_hash, extension=action.SerializeToString()
    )
    return bytes(payload.SerializeToString())


def endorse_payload(
    sign: Sign, endorser: bytes, response_payload: bytes
) -> proposal_response_pb2.Endorsement:
    """Fabric's ESCC: a signature over the response payload followed by the endorser."""
    return proposal_response_pb2.Endorsement(
        endorser=endorser, signature=sign(response_payload + endorser)
    )


def prepared_transaction(
    proposal: ParsedProposal,
    response_payload: bytes,
    endorsements: Sequence[proposal_response_pb2.Endorsement],
) -> common_pb2.Envelope:
    """The unsigned Envelope that a client signs and submits (Fabric Gateway ``Endorse``)."""
    action = transaction_pb2.ChaincodeActionPayload(
        chaincode_proposal_payload=proposal.payload_for_transaction,
        action=transaction_pb2.ChaincodeEndorsedAction(
            proposal_response_payload=response_payload, endorsements=endorsements
        ),
    )
    transaction = transaction_pb2.Transaction(
        actions=[
            transaction_pb2.TransactionAction(
                header=proposal.signature_header_bytes, payload=action.SerializeToString()
            )
        ]
    )
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=proposal.channel_header_bytes,
            signature_header=proposal.signature_header_bytes,
        ),
        data=transaction.SerializeToString(),
    )
    return common_pb2.Envelope(payload=payload.SerializeToString())


def sign_envelope(sign: Sign, envelope: common_pb2.Envelope) -> common_pb2.Envelope:
    """The same envelope with the creator's signature over its payload."""
    return common_pb2.Envelope(payload=envelope.payload, signature=sign(envelope.payload))


def chaincode_response(envelope: common_pb2.Envelope) -> proposal_response_pb2.Response:
    """The contract's response inside a prepared transaction; raises MessageError."""
    return chaincode_action(envelope).response


def chaincode_action(envelope: common_pb2.Envelope) -> proposal_pb2.ChaincodeAction:
    """The ``ChaincodeAction`` inside a transaction envelope; raises MessageError."""
    payload = _decode(common_pb2.Payload, envelope.payload, "payload")
    transaction = _decode(transaction_pb2.Transaction, payload.data, "transaction")
    if len(transaction.actions) != 1:
        raise MessageError(f"transaction has {len(transaction.actions)} actions, not 1")
    action = _decode(
        transaction_pb2.ChaincodeActionPayload, transaction.actions[0].payload, "action payload"
    )
    response = _decode(
        proposal_response_pb2.ProposalResponsePayload,
        action.action.proposal_response_payload,
        "proposal response payload",
    )
    return _decode(proposal_pb2.ChaincodeAction, response.extension, "chaincode action")


# -- deliver and status requests -----------------------------------------------------------------


def seek_envelope(
    sign: Sign,
    creator: bytes,
    channel: str,
    start: int | None,
    stop: int | None = None,
    *,
    timestamp_ms: int,
) -> common_pb2.Envelope:
    """A signed SeekInfo envelope for ``Deliver``.

    `start` None means the newest block; `stop` None means never; both inclusive block numbers.
    """
    last = 2**64 - 1 if stop is None else stop
    seek = ab_pb2.SeekInfo(
        start=seek_position(start),
        stop=seek_position(last),
        behavior=ab_pb2.SeekInfo.SeekBehavior.BLOCK_UNTIL_READY,
    )
    return signed_envelope(
        sign,
        channel_header(DELIVER_SEEK_INFO, channel, timestamp_ms=timestamp_ms),
        signature_header(creator, new_nonce()),
        seek.SerializeToString(),
    )


def seek_position(number: int | None) -> ab_pb2.SeekPosition:
    """A SeekPosition at block `number`, or the newest block for None."""
    if number is None:
        return ab_pb2.SeekPosition(newest=ab_pb2.SeekNewest())
    return ab_pb2.SeekPosition(specified=ab_pb2.SeekSpecified(number=number))


# -- blocks --------------------------------------------------------------------------------------


def block_header_hash(header: common_pb2.BlockHeader) -> bytes:
    """SHA-256 over the header's DER form (``protoutil.BlockHeaderHash``)."""
    return sha256(block_header_bytes(header)).digest()


def block_header_bytes(header: common_pb2.BlockHeader) -> bytes:
    """DER ``SEQUENCE { INTEGER number, OCTET STRING previous, OCTET STRING data }``."""
    number = int(header.number)
    integer = number.to_bytes(number.bit_length() // 8 + 1, "big")
    body = _der(0x02, integer) + _der(0x04, header.previous_hash) + _der(0x04, header.data_hash)
    return _der(0x30, body)


def block_data_hash(envelopes: Sequence[bytes]) -> bytes:
    """SHA-256 over the concatenated envelopes (``protoutil.ComputeBlockDataHash``)."""
    digest = sha256()
    for envelope in envelopes:
        digest.update(envelope)
    return digest.digest()


def _der(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + body


def _decode(kind: type[M], data: bytes, what: str) -> M:
    try:
        return kind.FromString(data)
    except DecodeError as error:
        raise MessageError(f"the {what} cannot be decoded: {error}") from error
