"""Requests between an organisation's gateway and another's node, as bytes.

**Frame**: 4-byte big-endian length, that many bytes of JSON, then binary parts one after the
other; the JSON says how long each is. **Request**: a ``common.Envelope`` as Fabric signs them:
ChannelHeader of type MESSAGE with channel and client time, SignatureHeader with the caller's
``SerializedIdentity`` and a random nonce, and a frame as data. The JSON's ``method`` is signed
with the rest, so a signed read cannot be replayed as an erasure. **Answer**: a bare frame; TLS
protects it, and payloads are checked against their commitments by the asking side.

======= ============================================== =======================================
method  request JSON (and parts)                        answer JSON (and parts)
======= ============================================== =======================================
put     holder, payloads: [terms, size, salt] (bytes)   commitments
get     holder, commitments, legal_basis                results: [terms, size, salt or error]
                                                        for the first n (bytes)
states  holder, commitments                             states: present, erased or missing
erase   holder, commitment, reason                      receipt
receipt holder, commitment                              receipt or null
reads   holder, commitment or null, start, limit        entries
======= ============================================== =======================================

`holder` is the MSP id of the node asked. Any answer may be ``{"error": ...}`` instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final, Protocol

import orjson
from fabric_protos.common import common_pb2
from google.protobuf.message import DecodeError

from nodes.messages import (
    channel_header,
    milliseconds,
    new_nonce,
    signature_header,
    signed_envelope,
)
from nodes.payloads.access import Decision
from nodes.payloads.errors import (
    LegalBasisMissing,
    PayloadConflict,
    PayloadCorrupted,
    PayloadErased,
    PayloadError,
    PayloadInvalid,
    PayloadRefused,
    PayloadUnknown,
    RemoteError,
    StoreUnavailable,
)
from nodes.payloads.receipt import ErasureReceipt

SERVICE: Final = "tracemark.Payloads"
METHODS: Final = ("put", "get", "states", "erase", "receipt", "reads")
MAX_MESSAGE_BYTES: Final = 100 * 1024 * 1024
MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
MAX_COMMITMENTS: Final = 10_000

_MESSAGE: Final = common_pb2.HeaderType.MESSAGE
_PLAIN_ERRORS: Final[dict[str, type[PayloadError]]] = {
    kind.code: kind
    for kind in (PayloadConflict, PayloadCorrupted, PayloadInvalid, PayloadUnknown,
                 StoreUnavailable, RemoteError)
}  # fmt: skip


class RequestSigner(Protocol):
    """Who asks: ``nodes.identity.Signer`` or anything that reaches a key."""

    @property
    def serialized(self) -> bytes:
        """``msp.SerializedIdentity``."""

    def sign(self, message: bytes) -> bytes:
        """DER ECDSA signature over SHA-256(message), low S."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request taken apart: not trusted before its signature was checked over `signed`."""

    channel: str
    timestamp_ms: int
    creator: bytes
    nonce: bytes
    body: dict[str, Any]
    parts: bytes
    signed: bytes
    signature: bytes


def frame(body: Mapping[str, Any], parts: Sequence[bytes] = ()) -> bytes:
    """JSON and binary parts as one frame."""
    head = orjson.dumps(body)
    return b"".join([len(head).to_bytes(4, "big"), head, *parts])


def open_frame(raw: bytes) -> tuple[dict[str, Any], bytes]:
    """The JSON object of a frame and the bytes after it; raises PayloadInvalid."""
    end = 4 + int.from_bytes(raw[:4], "big")
    if len(raw) < end or len(raw) < 4:
        raise PayloadInvalid("the message is cut short")
    try:
        body = orjson.loads(raw[4:end])
    except orjson.JSONDecodeError as exc:
        raise PayloadInvalid("the message holds no JSON") from exc
    if not isinstance(body, dict):
        raise PayloadInvalid("the message holds no JSON object")
    return body, raw[end:]


def cut(parts: bytes, sizes: Sequence[int]) -> list[bytes]:
    """The binary parts of the given sizes; raises PayloadInvalid when they do not add up."""
    if any(not isinstance(size, int) or size < 0 for size in sizes) or sum(sizes) != len(parts):
        raise PayloadInvalid("the message's parts are not as long as it says")
    found, place = [], 0
    for size in sizes:
        found.append(parts[place : place + size])
        place += size
    return found


def signed_request(
    signer: RequestSigner,
    channel: str,
    body: Mapping[str, Any],
    parts: Sequence[bytes] = (),
    *,
    timestamp_ms: int,
) -> bytes:
    """A serialized, signed request."""
    header = channel_header(_MESSAGE, channel, timestamp_ms=timestamp_ms)
    creator = signature_header(signer.serialized, new_nonce())
    envelope = signed_envelope(signer.sign, header, creator, frame(body, parts))
    return bytes(envelope.SerializeToString())


def open_request(raw: bytes) -> Request:
    """Take a request apart; raises PayloadInvalid."""
    try:
        envelope = common_pb2.Envelope.FromString(raw)
        payload = common_pb2.Payload.FromString(envelope.payload)
        channel = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        signature = common_pb2.SignatureHeader.FromString(payload.header.signature_header)
    except DecodeError as exc:
        raise PayloadInvalid("the request is not a signed envelope") from exc
    if channel.type != _MESSAGE:
        raise PayloadInvalid("the request's envelope is of another kind")
    body, parts = open_frame(payload.data)
    return Request(
        channel=channel.channel_id,
        timestamp_ms=milliseconds(channel.timestamp),
        creator=signature.creator,
        nonce=signature.nonce,
        body=body,
        parts=parts,
        signed=envelope.payload,
        signature=envelope.signature,
    )


def error_to_json(error: PayloadError) -> dict[str, Any]:
    """An error as it travels: code, message, commitment, and what the kind carries."""
    found: dict[str, Any] = {
        "code": error.code,
        "message": error.message,
        "commitment": error.commitment,
    }
    if isinstance(error, PayloadErased):
        found["receipt"] = error.receipt.to_json()
    if isinstance(error, PayloadRefused):
        found |= {"decision": asdict(error.decision), "event_hash": error.event_hash}
    return found


def error_from_json(found: Mapping[str, Any]) -> PayloadError:
    """The error that travelled; what cannot be read becomes a RemoteError."""
    try:
        commitment, message = str(found["commitment"]), str(found["message"])
        if found["code"] == PayloadErased.code:
            return PayloadErased(commitment, ErasureReceipt.from_json(found["receipt"]))
        for refusal in (PayloadRefused, LegalBasisMissing):
            if found["code"] == refusal.code:
                decision = Decision(**found["decision"])
                return refusal(commitment, decision, str(found["event_hash"]))
        return _PLAIN_ERRORS.get(str(found["code"]), RemoteError)(message, commitment)
    except (KeyError, TypeError, PayloadError) as exc:
        return RemoteError(f"the node answered an error that cannot be read: {exc}")
