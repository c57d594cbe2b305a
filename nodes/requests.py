"""What a request to the service must show before anything is done for it.

Who asks, whether the signature is theirs, whether it is for this channel and not too old. Faults
are GatewayError with the status a Fabric peer or orderer answers; a Deliver request gets a
``common.Status`` instead, which the stream sends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import grpc
from fabric_protos.common import common_pb2
from fabric_protos.orderer import ab_pb2
from fabric_protos.peer import proposal_pb2
from google.protobuf.message import DecodeError

from nodes.endorse import (
    CheckedProposal,
    ProposalRefused,
    accept_creator,
    check_proposal,
    now_ms,
    refuse_old,
)
from nodes.errors import GatewayError
from nodes.identity.msp import Identity
from nodes.messages import DELIVER_SEEK_INFO, ENDORSER_TRANSACTION, milliseconds
from nodes.node import Node
from nodes.transaction import VALID, ParsedTransaction

if TYPE_CHECKING:
    from nodes.embedded import EmbeddedNetwork

M = TypeVar("M")
Status = grpc.StatusCode
_EARLIER_THAN_SIGNATURE: Final = "the transaction is malformed"


def check_endorsable(
    network: EmbeddedNetwork, signed: proposal_pb2.SignedProposal
) -> CheckedProposal:
    """A proposal that may be run; raises GatewayError, ProposalRefused."""
    if not signed.proposal_bytes:
        raise GatewayError(
            Status.INVALID_ARGUMENT,
            "the proposed transaction must contain a signed proposal",
        )
    network.refuse_when_closed()
    return check_proposal(signed, network.config, network.verifier, now_ms())


def check_submitted(network: EmbeddedNetwork, transaction: ParsedTransaction) -> None:
    """A transaction that may be ordered; raises GatewayError."""
    network.refuse_when_closed()
    if transaction.code != VALID or transaction.header_type != ENDORSER_TRANSACTION:
        raise GatewayError(Status.INVALID_ARGUMENT, _EARLIER_THAN_SIGNATURE)
    config = network.config
    if transaction.channel != config.channel:
        raise GatewayError(Status.NOT_FOUND, f"channel '{transaction.channel}' not found")
    clock_ms = now_ms()
    try:
        creator = accept_creator(config, transaction.creator, clock_ms)
        if not network.verifier.verify_digest(
            (creator, transaction.creator_digest, transaction.creator_signature)
        ):
            raise ProposalRefused("the transaction's signature is not valid")
        refuse_old(transaction.timestamp_ms, clock_ms)
    except ProposalRefused as error:
        raise GatewayError(Status.PERMISSION_DENIED, str(error)) from error
    if transaction.later_code != VALID:
        raise GatewayError(Status.INVALID_ARGUMENT, _EARLIER_THAN_SIGNATURE)


def check_reader(
    network: EmbeddedNetwork, channel: str, identity: bytes, message: bytes, signature: bytes
) -> Identity:
    """Who signed a status or events request; raises GatewayError."""
    network.refuse_when_closed()
    if not identity:
        raise GatewayError(Status.INVALID_ARGUMENT, "no identity provided")
    if channel != network.config.channel:
        what = "no channel ID provided" if not channel else f"channel '{channel}' not found"
        kind = Status.INVALID_ARGUMENT if not channel else Status.NOT_FOUND
        raise GatewayError(kind, what)
    try:
        reader = accept_creator(network.config, identity, now_ms())
    except ProposalRefused as error:
        raise GatewayError(Status.PERMISSION_DENIED, str(error)) from error
    if not network.verifier.verify(reader, message, signature):
        raise GatewayError(Status.PERMISSION_DENIED, "the request's signature is not valid")
    return reader


def check_seek(
    network: EmbeddedNetwork, envelope: common_pb2.Envelope
) -> tuple[ab_pb2.SeekInfo, Node] | int:
    """The SeekInfo and the node to read from, or the Status that refuses it."""
    network.refuse_when_closed()
    try:
        payload = common_pb2.Payload.FromString(envelope.payload)
        header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        creator = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
        seek = ab_pb2.SeekInfo.FromString(payload.data)
    except DecodeError:
        return int(common_pb2.Status.BAD_REQUEST)
    if header.type != DELIVER_SEEK_INFO:
        return int(common_pb2.Status.BAD_REQUEST)
    if header.channel_id != network.config.channel:
        return int(common_pb2.Status.NOT_FOUND)
    clock_ms = now_ms()
    try:
        refuse_old(milliseconds(header.timestamp), clock_ms)
    except ProposalRefused:
        return int(common_pb2.Status.BAD_REQUEST)
    try:
        reader = accept_creator(network.config, creator.creator, clock_ms)
    except ProposalRefused:
        return int(common_pb2.Status.FORBIDDEN)
    if not network.verifier.verify(reader, envelope.payload, envelope.signature):
        return int(common_pb2.Status.FORBIDDEN)
    return seek, network.node_for(reader.msp_id)


def decode_request(kind: type[M], data: bytes, what: str) -> M:
    """A decoded inner message; raises GatewayError INVALID_ARGUMENT."""
    if not data:
        raise GatewayError(Status.INVALID_ARGUMENT, f"{what} is required")
    try:
        return kind.FromString(data)  # type: ignore[attr-defined, no-any-return]
    except DecodeError as error:
        raise GatewayError(Status.INVALID_ARGUMENT, f"{what} cannot be decoded: {error}") from error
