"""The asking side of the payload service: one connection to one organisation's node.

Every payload that arrives is compared with the commitment asked for before it is returned.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any

import grpc

from nodes.payloads.errors import PayloadCorrupted, PayloadError, RemoteError
from nodes.payloads.model import (
    NewPayload,
    PayloadMeta,
    PayloadState,
    StoredPayload,
    commitment_of,
    residency_of,
)
from nodes.payloads.readlog import ReadEntry
from nodes.payloads.receipt import ErasureReceipt
from nodes.payloads.remote_messages import (
    MAX_COMMITMENTS,
    MAX_MESSAGE_BYTES,
    SERVICE,
    RequestSigner,
    cut,
    error_from_json,
    open_frame,
    signed_request,
)

STATES_S = 5.0
"""Longest wait for an answer that only decorates another one."""

Answer = tuple[dict[str, Any], bytes]


class RemotePayloadStore:
    """The store of `holder` (an MSP id), reached at `target` ("host:port") over TLS."""

    def __init__(
        self,
        target: str,
        holder: str,
        channel: str,
        root_certificates: bytes,
        *,
        server_name: str = "",
        timeout_s: float = 30.0,
    ) -> None:
        """`root_certificates`: PEM of the holder's TLS CA; `server_name`: if not in `target`."""
        self._holder = holder
        self._channel_name = channel
        self._timeout_s = timeout_s
        options: list[tuple[str, Any]] = [
            ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
            ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ]
        if server_name:
            options.append(("grpc.ssl_target_name_override", server_name))
        credentials = grpc.ssl_channel_credentials(root_certificates)
        self._connection = grpc.secure_channel(target, credentials, options)

    def put_many(self, payloads: Sequence[NewPayload], signer: RequestSigner) -> list[str]:
        """Store payloads, all or none; the commitments, which this side computed as well."""
        rows = [
            {
                "size": len(new.payload),
                "salt": new.salt.hex(),
                "event_hash": new.event_hash,
                "owner_party": new.owner_party,
                "residency": new.residency,
                "country": new.country,
                "media_type": new.media_type,
            }
            for new in payloads
        ]
        expected = [commitment_of(new.payload, new.salt) for new in payloads]
        parts = [new.payload for new in payloads]
        body, _ = self._call(signer, "put", {"payloads": rows}, parts)
        if body.get("commitments") != expected:
            raise RemoteError(f"the node of {self._holder} stored something else than was sent")
        return expected

    def get_many(
        self, commitments: Sequence[str], signer: RequestSigner, legal_basis: str = ""
    ) -> list[StoredPayload | PayloadError]:
        """Per commitment the payload, checked, or the error that stands for it."""
        found: list[StoredPayload | PayloadError] = []
        while len(found) < len(commitments):
            asked = list(commitments[len(found) :])
            request = {"commitments": asked, "legal_basis": legal_basis}
            body, parts = self._call(signer, "get", request)
            try:
                results = body["results"]
                sizes = [row["size"] for row in results if "error" not in row]
                payloads = iter(cut(parts, sizes))
                for commitment, row in zip(asked, results, strict=False):
                    found.append(_result(commitment, row, payloads))
            except (KeyError, TypeError, ValueError) as exc:
                raise RemoteError(f"the node of {self._holder} gave no usable answer") from exc
            if not results:
                raise RemoteError(f"the node of {self._holder} gave an empty answer")
        return found

    def states(
        self, commitments: Sequence[str], signer: RequestSigner, *, timeout_s: float = STATES_S
    ) -> list[PayloadState]:
        """What the holder says it has, in order; `timeout_s` for each 10,000 asked about."""
        found: list[PayloadState] = []
        for start in range(0, len(commitments), MAX_COMMITMENTS):
            asked = list(commitments[start : start + MAX_COMMITMENTS])
            body, _ = self._call(signer, "states", {"commitments": asked}, timeout_s=timeout_s)
            try:
                told = [PayloadState(state) for state in body["states"]]
            except (KeyError, TypeError, ValueError) as exc:
                raise RemoteError(f"the node of {self._holder} gave no usable answer") from exc
            if len(told) != len(asked):
                raise RemoteError(f"the node of {self._holder} answered for other payloads")
            found += told
        return found

    def erase(self, commitment: str, reason: str, signer: RequestSigner) -> ErasureReceipt:
        """Erase a payload at its holder; the signed receipt."""
        body, _ = self._call(signer, "erase", {"commitment": commitment, "reason": reason})
        return ErasureReceipt.from_json(body["receipt"])

    def receipt(self, commitment: str, signer: RequestSigner) -> ErasureReceipt | None:
        """The receipt of an erased payload, None while it is present."""
        body, _ = self._call(signer, "receipt", {"commitment": commitment})
        return ErasureReceipt.from_json(body["receipt"]) if body.get("receipt") else None

    def reads(
        self, commitment: str | None, start: int, limit: int, signer: RequestSigner
    ) -> list[ReadEntry]:
        """The entries of the holder's read log that the signer may see."""
        request = {"commitment": commitment, "start": start, "limit": limit}
        body, _ = self._call(signer, "reads", request)
        try:
            return [ReadEntry(**{f.name: e[f.name] for f in fields(ReadEntry)})
                    for e in body["entries"]]  # fmt: skip
        except (KeyError, TypeError) as exc:
            raise RemoteError(f"the node of {self._holder} gave no usable answer") from exc

    def close(self) -> None:
        """End the connection."""
        self._connection.close()

    def _call(
        self,
        signer: RequestSigner,
        method: str,
        request: Mapping[str, Any],
        parts: Sequence[bytes] = (),
        *,
        timeout_s: float | None = None,
    ) -> Answer:
        body = {"method": method, "holder": self._holder, **request}
        now = time.time_ns() // 1_000_000
        raw = signed_request(signer, self._channel_name, body, parts, timestamp_ms=now)
        call = self._connection.unary_unary(f"/{SERVICE}/{method}")
        try:
            answer = call(raw, timeout=timeout_s or self._timeout_s)
        except grpc.RpcError as exc:
            state = exc.code() if hasattr(exc, "code") else "failed"
            detail = exc.details() if hasattr(exc, "details") else str(exc)
            raise RemoteError(f"the node of {self._holder}: {state}: {detail}") from exc
        found, rest = open_frame(answer)
        if "error" in found:
            raise error_from_json(found["error"])
        return found, rest


def _result(
    commitment: str, row: dict[str, Any], payloads: Iterator[bytes]
) -> StoredPayload | PayloadError:
    if "error" in row:
        return error_from_json(row["error"])
    payload, salt = next(payloads), bytes.fromhex(row["salt"])
    if len(salt) != 32 or commitment_of(payload, salt) != commitment:
        return PayloadCorrupted(
            f"the holder's answer does not match commitment {commitment}; it is refused", commitment
        )
    terms = {field.name: row["meta"][field.name] for field in fields(PayloadMeta)}
    meta = PayloadMeta(**terms | {"residency": residency_of(terms["residency"])})
    return StoredPayload(payload, salt, meta)
