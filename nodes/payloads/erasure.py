"""Erasure by destroying the key (crypto-shredding), with a receipt.

1. Only the owner's party, or an administrator of the node's own organisation, may erase.
2. One synced batch replaces the head by the signed receipt, deletes the body, writes the read
   log and notes the unfinished shredding. From here on the payload cannot be read.
3. The old head, which held the wrapped key, is made to leave the database's files. A crash
   before that is made good at the next opening, because the note is still there.

Backups made earlier still hold the wrapped key: a rotation of the node's key after the erasure
takes the last use from them, unless a backup also holds the old key file.
"""

from __future__ import annotations

from nodes.payloads import envelope
from nodes.payloads.access import Decision
from nodes.payloads.database import BODY, HEAD, META
from nodes.payloads.errors import PayloadRefused
from nodes.payloads.model import Reader, commitment_key
from nodes.payloads.receipt import ErasureReason, ErasureReceipt, issue
from nodes.payloads.vault import Vault

NOTE = b"shred/"


def erase(
    vault: Vault, commitment: str, requester: Reader, reason: ErasureReason
) -> ErasureReceipt:
    """Erase a payload for good; returns the receipt (the first one, if it was erased before)."""
    key = commitment_key(commitment)
    with vault.writers.writing([key]), vault.lock:
        head = vault.head(commitment)
        if head.receipt is not None:
            return head.receipt
        meta = head.meta
        assert meta is not None
        # 1. who asks
        if not _may_erase(requester, meta.owner_party, vault.signer.msp_id):
            vault.append(
                [vault.entry("refuse", "NOT_OWNER", commitment, meta.event_hash, requester)],
                sync=True,
            )
            raise PayloadRefused(commitment, _NOT_OWNER)
        # 2. receipt for head, atomically
        receipt = issue(
            ErasureReceipt(
                commitment=commitment,
                event_hash=meta.event_hash,
                owner_party=meta.owner_party,
                stored_ms=meta.stored_ms,
                erased_ms=vault.clock_ms(),
                reason=str(reason),
                requested_by=requester.party or "",
                msp_id="",
                certificate="",
            ),
            vault.signer,
        )
        batch = vault.db.batch()
        batch.put(HEAD, key, envelope.erased_head(receipt))
        batch.delete(BODY, key)
        batch.put(META, NOTE + key, b"")
        line = vault.entry("erase", str(reason), commitment, meta.event_hash, requester)
        vault.commit(batch, [line], sync=True)
        # 3. off the disk
        finish(vault)
    return receipt


def finish(vault: Vault) -> None:
    """Complete the shredding of every payload noted as erased; harmless when there is none."""
    prefix, keys = NOTE, []
    for name, _ in vault.db.rows(META, prefix):
        if not name.startswith(prefix):
            break
        keys.append(name[len(prefix) :])
    if keys:
        vault.db.shred(keys)
        batch = vault.db.batch()
        for key in keys:
            batch.delete(META, prefix + key)
        vault.db.write(batch, sync=True)


_NOT_OWNER = Decision(
    False,
    "NOT_OWNER",
    "only the party that owns the payload, or an administrator of the organisation whose node "
    "keeps it, may erase it",
)


def _may_erase(requester: Reader, owner_party: str, node_msp: str) -> bool:
    if requester.administrator and requester.msp_id == node_msp:
        return True
    return requester.active and requester.party is not None and requester.party == owner_party
