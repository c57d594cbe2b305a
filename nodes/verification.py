"""Signature checks: once per process, many at a time.

Every node of an embedded network sees the same signatures, so a (key, digest, signature) that
was found good is remembered, within bounds. Batches run on a small thread pool: verification
releases the interpreter lock, so two threads use two cores.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from typing import Final

from nodes.identity.msp import Identity
from nodes.identity.signature import verify_digest

Claim = tuple[Identity, bytes, bytes]
"""Who is said to have signed, the 32-byte digest, the signature."""

_GENERATION: Final = 20_000
_CHUNK: Final = 16


class SignatureVerifier:
    """Verifies ECDSA P-256 signatures; thread-safe; remembers the last good ones."""

    def __init__(self, threads: int | None = None) -> None:
        self._threads = threads or min(4, os.cpu_count() or 1)
        self._pool: ThreadPoolExecutor | None = None
        self._recent: set[tuple[bytes, bytes, bytes]] = set()
        self._older: set[tuple[bytes, bytes, bytes]] = set()

    def verify(self, identity: Identity, message: bytes, signature: bytes) -> bool:
        """Whether `identity` signed `message` (low-S DER over its SHA-256)."""
        return self.verify_digest((identity, sha256(message).digest(), signature))

    def verify_digest(self, claim: Claim) -> bool:
        """Whether the claim is true."""
        identity, digest, signature = claim
        if self._known(identity.point, digest, signature):
            return True
        if not verify_digest(identity.key, digest, signature):
            return False
        self.remember(identity.point, digest, signature)
        return True

    def verify_all(self, claims: Sequence[Claim]) -> list[bool]:
        """One verdict per claim, in order; unknown ones are checked on the pool."""
        verdicts = [self._known(claim[0].point, claim[1], claim[2]) for claim in claims]
        missing = [index for index, known in enumerate(verdicts) if not known]
        if len(missing) <= _CHUNK:
            for index in missing:
                verdicts[index] = self.verify_digest(claims[index])
            return verdicts
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self._threads, thread_name_prefix="verify")
        chunks = [missing[start : start + _CHUNK] for start in range(0, len(missing), _CHUNK)]

        def check(chunk: list[int]) -> list[bool]:
            return [self.verify_digest(claims[index]) for index in chunk]

        for chunk, results in zip(chunks, self._pool.map(check, chunks), strict=True):
            for index, result in zip(chunk, results, strict=True):
                verdicts[index] = result
        return verdicts

    def remember(self, point: bytes, digest: bytes, signature: bytes) -> None:
        """Take a signature as good: it was verified, or made by a key of this process."""
        if len(self._recent) >= _GENERATION:
            self._older, self._recent = self._recent, set()
        self._recent.add((point, digest, signature))

    def close(self) -> None:
        """Stop the pool."""
        if self._pool is not None:
            self._pool.shutdown()
            self._pool = None

    def _known(self, point: bytes, digest: bytes, signature: bytes) -> bool:
        entry = (point, digest, signature)
        return entry in self._recent or entry in self._older
