"""Take an ordered envelope apart and check its form (Fabric ``core/common/validation``).

Pure: no keys and no state. Steps, each with the code of the transaction that fails it:

1. the envelope decodes                                    INVALID_OTHER_REASON / NIL_ENVELOPE
2. its payload decodes                                     BAD_PAYLOAD
3. headers: known type, epoch 0, nonce and creator         BAD_COMMON_HEADER
4. (the creator's signature: :mod:`nodes.validate`)        BAD_CREATOR_SIGNATURE
5. an endorser transaction's id is SHA-256(nonce, creator) BAD_PROPOSAL_TXID
6. one action, bound to its proposal by the proposal hash  INVALID_ENDORSER_TRANSACTION
7. a type that is no transaction                           UNSUPPORTED_TX_PAYLOAD
8. header extension, response payload, read-write set      BAD_HEADER_EXTENSION,
                                                           BAD_RESPONSE_PAYLOAD, BAD_RWSET
9. chaincode and event agree everywhere                    INVALID_CHAINCODE,
                                                           INVALID_OTHER_REASON
10. each namespace once, writes with keys                  ILLEGAL_WRITESET, INVALID_WRITESET

Step 4 stands between 3 and 5: a signature is judged before what it covers. So a fault found in
steps 5 to 10 is kept as `later_code` and counts once step 4 has passed.
"""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from fabric_protos.common import common_pb2
from fabric_protos.peer import (
    chaincode_event_pb2,
    proposal_pb2,
    proposal_response_pb2,
    transaction_pb2,
)
from google.protobuf.message import DecodeError

from nodes.errors import MessageError
from nodes.messages import (
    CONFIG,
    CONFIG_UPDATE,
    ENDORSER_TRANSACTION,
    milliseconds,
    proposal_hash,
    transaction_id,
)
from nodes.rwset import NamespaceSet, parse_transaction_set

Code: Final = transaction_pb2.TxValidationCode
VALID: Final = int(Code.VALID)


@dataclass(frozen=True, slots=True)
class Content:
    """What a serialized ``ProposalResponsePayload`` holds, known from having made it."""

    payload: bytes
    chaincode: str
    version: str
    sets: tuple[NamespaceSet, ...]
    event: bytes


class ParsedTransaction:
    """An envelope taken apart. `data` are its bytes; only what could be decoded is filled in."""

    __slots__ = (
        "chaincode",
        "channel",
        "code",
        "creator",
        "creator_digest",
        "creator_signature",
        "data",
        "endorsements",
        "event",
        "header_type",
        "later_code",
        "sets",
        "timestamp_ms",
        "tx_id",
        "version",
    )

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.code = VALID
        self.later_code = VALID
        self.header_type = -1
        self.channel = ""
        self.tx_id = ""
        self.timestamp_ms = 0
        self.creator = b""
        self.creator_signature = b""
        self.creator_digest = b""
        self.chaincode = ""
        self.version = ""
        self.sets: tuple[NamespaceSet, ...] = ()
        self.event = b""
        self.endorsements: list[tuple[bytes, bytes, bytes]] = []
        """(endorser, 32-byte digest, signature) per endorsement."""


def parse_transaction(data: bytes, known: Content | None = None) -> ParsedTransaction:
    """Take a serialized Envelope apart; never raises, faults become codes.

    `known` spares decoding the endorsed content once more, where it is byte for byte the same.
    """
    parsed = ParsedTransaction(data)
    if not data:
        parsed.code = Code.NIL_ENVELOPE
        return parsed
    try:  # 1
        envelope = common_pb2.Envelope.FromString(data)
    except DecodeError:
        parsed.code = Code.INVALID_OTHER_REASON
        return parsed
    try:  # 2
        payload = common_pb2.Payload.FromString(envelope.payload)
    except DecodeError:
        parsed.code = Code.BAD_PAYLOAD
        return parsed
    parsed.creator_signature = envelope.signature
    parsed.creator_digest = sha256(envelope.payload).digest()
    try:  # 3
        channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        signature = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    except DecodeError:
        parsed.code = Code.BAD_COMMON_HEADER
        return parsed
    parsed.code = _headers(parsed, channel, signature)
    if parsed.code == VALID:
        parsed.later_code = _content(parsed, payload, channel.extension, known)
    return parsed


def _headers(
    parsed: ParsedTransaction,
    channel: common_pb2.ChannelHeader,
    signature: common_pb2.SignatureHeader,
) -> int:
    parsed.header_type = channel.type
    parsed.channel = channel.channel_id
    parsed.tx_id = channel.tx_id
    parsed.timestamp_ms = milliseconds(channel.timestamp)
    parsed.creator = signature.creator
    known = channel.type in (ENDORSER_TRANSACTION, CONFIG_UPDATE, CONFIG)
    if not known or channel.epoch or not signature.nonce or not signature.creator:
        return int(Code.BAD_COMMON_HEADER)
    if channel.type == ENDORSER_TRANSACTION and channel.tx_id != transaction_id(
        signature.nonce, signature.creator
    ):  # 5, decided after the signature
        parsed.later_code = Code.BAD_PROPOSAL_TXID
    return VALID


def _content(
    parsed: ParsedTransaction, payload: common_pb2.Payload, header: bytes, known: Content | None
) -> int:
    if parsed.later_code != VALID:
        return parsed.later_code
    if parsed.header_type == CONFIG:
        return VALID
    if parsed.header_type != ENDORSER_TRANSACTION:
        return int(Code.UNSUPPORTED_TX_PAYLOAD)  # 7
    try:  # 6
        action, response = _bound_action(payload)
    except (DecodeError, MessageError):
        return int(Code.INVALID_ENDORSER_TRANSACTION)
    response_bytes = action.proposal_response_payload
    parsed.endorsements = [
        (
            endorsement.endorser,
            sha256(response_bytes + endorsement.endorser).digest(),
            endorsement.signature,
        )
        for endorsement in action.endorsements
    ]
    if known is not None and known.payload == response_bytes:
        # Made here from a checked proposal, to which the proposal hash just bound it.
        parsed.chaincode, parsed.version = known.chaincode, known.version
        parsed.sets, parsed.event = known.sets, known.event
        return VALID
    return _response(parsed, header, response.extension)


def _bound_action(
    payload: common_pb2.Payload,
) -> tuple[transaction_pb2.ChaincodeEndorsedAction, proposal_response_pb2.ProposalResponsePayload]:
    transaction = transaction_pb2.Transaction.FromString(payload.data)
    if len(transaction.actions) != 1:
        raise MessageError("only one action per transaction")
    action = transaction.actions[0]
    if action.header != payload.header.signature_header:
        signature = common_pb2.SignatureHeader.FromString(action.header)
        if not signature.nonce or not signature.creator:
            raise MessageError("the action's header has no nonce or creator")
    content = transaction_pb2.ChaincodeActionPayload.FromString(action.payload)
    response = proposal_response_pb2.ProposalResponsePayload.FromString(
        content.action.proposal_response_payload
    )
    expected = proposal_hash(
        payload.header.channel_header, action.header, content.chaincode_proposal_payload
    )
    if response.proposal_hash != expected:
        raise MessageError("the endorsed proposal is another one")
    return content.action, response


def _response(parsed: ParsedTransaction, header: bytes, extension: bytes) -> int:
    try:  # 8
        chaincode = proposal_pb2.ChaincodeHeaderExtension.FromString(header)
    except DecodeError:
        return int(Code.BAD_HEADER_EXTENSION)
    try:
        action = proposal_pb2.ChaincodeAction.FromString(extension)
    except DecodeError:
        return int(Code.BAD_RESPONSE_PAYLOAD)
    try:
        parsed.sets = parse_transaction_set(action.results)
    except MessageError:
        return int(Code.BAD_RWSET)
    if not chaincode.HasField("chaincode_id") or not action.HasField("chaincode_id"):  # 9
        return int(Code.INVALID_OTHER_REASON)
    parsed.chaincode = chaincode.chaincode_id.name
    parsed.version = action.chaincode_id.version
    if not parsed.chaincode or parsed.chaincode != action.chaincode_id.name or not parsed.version:
        return int(Code.INVALID_CHAINCODE)
    if action.events:
        try:
            event = chaincode_event_pb2.ChaincodeEvent.FromString(action.events)
        except DecodeError:
            return int(Code.INVALID_OTHER_REASON)
        if event.chaincode_id != parsed.chaincode:
            return int(Code.INVALID_OTHER_REASON)
        parsed.event = action.events
    return _writes(parsed.sets)


def _writes(sets: tuple[NamespaceSet, ...]) -> int:  # 10
    names = [entry.namespace for entry in sets]
    if len(set(names)) != len(names):
        return int(Code.ILLEGAL_WRITESET)
    for entry in sets:
        keys = [key for key, _, _ in entry.writes]
        if not entry.namespace or not all(keys) or len(set(keys)) != len(keys):
            return int(Code.INVALID_WRITESET)
    return VALID
