"""Rotation of the node's key: every payload's key is wrapped anew, payloads stay as they are.

The key file holds the old and the new key until the last head is rewritten, each batch synced;
then the old key is dropped. A crash in between leaves two keys and some heads under each, all
readable, and the next opening goes on from there.
"""

from __future__ import annotations

import logging

from nodes.payloads import envelope
from nodes.payloads.database import HEAD
from nodes.payloads.errors import PayloadCorrupted
from nodes.payloads.keyring import KEY_ID_BYTES
from nodes.payloads.vault import Vault

BATCH = 1000

_log = logging.getLogger(__name__)


def rotate(vault: Vault) -> int:
    """Wrap every payload's key by a new node key and destroy the old; returns how many.

    Raises PayloadCorrupted when some head cannot be unwrapped: the others are rewritten, and
    the old key is kept so that the damaged ones can still be restored from a backup.
    """
    with vault.writers.alone():  # nobody wraps by the old key after this
        vault.keyring.add()
    return finish(vault)


def finish(vault: Vault) -> int:
    """Complete a rotation; returns the number of heads rewritten. Raises as :func:`rotate`."""
    rewritten, damaged, keys = 0, list[str](), list[bytes]()
    for key, _ in vault.db.rows(HEAD):
        keys.append(key)
        if len(keys) == BATCH:
            rewritten += _rewrap(vault, keys, damaged)
            keys = []
    rewritten += _rewrap(vault, keys, damaged)
    if damaged:
        raise PayloadCorrupted(
            f"{len(damaged)} payloads cannot be rewrapped, the first is {damaged[0]}; "
            "the old key is kept: restore them from a backup, then rotate again",
            damaged[0],
        )
    with vault.lock:
        vault.keyring.retire()
    _log.info("node key rotated", extra={"payloads": rewritten})
    return rewritten


def _rewrap(vault: Vault, keys: list[bytes], damaged: list[str]) -> int:
    # Heads are read again under the lock: one may have been erased since the walk saw it.
    rewritten = 0
    with vault.lock:
        batch = vault.db.batch()
        for key, stored in zip(keys, vault.db.get_many(HEAD, keys), strict=True):
            if stored is None or stored[:1] != envelope.PRESENT:
                continue
            if stored[1 : 1 + KEY_ID_BYTES] == vault.keyring.active:
                continue
            try:
                head = envelope.open_head(key, stored)
                payload_key = envelope.payload_key_of(key, head, vault.keyring)
            except PayloadCorrupted:
                damaged.append(key.hex())
                continue
            batch.put(HEAD, key, envelope.head_of(key, head.terms, payload_key, vault.keyring))
            rewritten += 1
        if rewritten:
            vault.db.write(batch, sync=True)
    return rewritten
