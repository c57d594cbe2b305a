"""One organisation's node: its identity, its ledger, its payloads; commits blocks in order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from threading import Lock

from fabric_protos.common import common_pb2

from nodes.blocks import (
    COMMIT_HASH,
    TRANSACTIONS_FILTER,
    Body,
    metadata_bytes,
    metadata_slots,
    parse_body,
)
from nodes.checked import CheckedBlock, Definitions
from nodes.config import ChannelConfig, config_of_envelope
from nodes.errors import LedgerCorrupt, LedgerError
from nodes.identity.signer import Signer
from nodes.ledger import Ledger, Tip
from nodes.ledger_keys import varint
from nodes.mvcc import final_codes
from nodes.payloads.chain_state import ViewReader
from nodes.payloads.ledger_facts import StateFacts
from nodes.payloads.store import PayloadStore
from nodes.transaction import ParsedTransaction
from nodes.validate import BlockChecker

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CommittedBlock:
    """A block as a node committed it: shared verdicts, final codes, metadata slots."""

    checked: CheckedBlock
    codes: bytes
    slots: tuple[bytes, ...]

    @property
    def number(self) -> int:
        """The block's number."""
        return self.checked.number


class Node:
    """A node: one writer (`commit`), any number of readers. Safe to share between threads."""

    def __init__(
        self,
        *,
        name: str,
        address: str,
        signer: Signer,
        folder: Path,
        chaincode: str,
        checker: BlockChecker,
    ) -> None:
        """Open the node's stores under `folder`; raises LedgerError."""
        self.name = name
        self.address = address
        self.signer = signer
        self.folder = folder
        self.ledger = Ledger(folder / "ledger")
        self.failure: LedgerError | None = None
        self.config: ChannelConfig | None = None
        self.definitions = Definitions.load(self.ledger)
        self._chaincode = chaincode
        self._checker = checker
        self._payloads: PayloadStore | None = None
        self._payloads_lock = Lock()
        if self.ledger.height:
            self.config = self._committed_config()
        self.view = self.ledger.view()
        """The state after the last committed block."""

    @property
    def msp_id(self) -> str:
        """The organisation's MSP id."""
        return self.signer.msp_id

    @property
    def payloads(self) -> PayloadStore:
        """The organisation's off-chain payloads; opened when first used."""
        with self._payloads_lock:
            if self._payloads is None:
                facts = StateFacts(lambda: ViewReader(self.view, self._chaincode))
                self._payloads = PayloadStore(self.folder / "payloads", self.signer, facts)
            return self._payloads

    def commit(
        self,
        body: Body,
        slots: Sequence[bytes],
        parsed: Sequence[ParsedTransaction] | None = None,
    ) -> CommittedBlock:
        """Validate the next block and write it; it is durable after `sync`, and read from then.

        Raises LedgerError, after which the node takes no more blocks until it is opened again;
        the ledger then stands before this block or, if the disk had it, after it.
        """
        if self.failure is not None:
            raise self.failure
        try:
            committed = self._commit(body, slots, parsed)
        except LedgerError as error:
            self.failure = error
            log.error("node %s stopped at block %d: %s", self.msp_id, body.number, error)
            raise
        if committed.checked.new_config is not None:
            self.config = committed.checked.new_config
        if committed.checked.touches_definitions():
            self.definitions = Definitions.load(self.ledger)
        return committed

    def sync(self) -> None:
        """Make the committed blocks durable, then let readers see them; raises LedgerError."""
        try:
            self.ledger.sync()
            self.view = self.ledger.view()
        except LedgerError as error:
            self.failure = error
            log.error("node %s stopped: %s", self.msp_id, error)
            raise

    def close(self) -> None:
        """Close ledger and payloads."""
        try:
            with self._payloads_lock:
                if self._payloads is not None:
                    self._payloads.close()
                    self._payloads = None
        finally:
            self.ledger.close()

    def _commit(
        self, body: Body, slots: Sequence[bytes], parsed: Sequence[ParsedTransaction] | None
    ) -> CommittedBlock:
        tip = self.ledger.tip
        if body.number != tip.height or body.previous_hash != tip.header_hash:
            raise LedgerCorrupt(
                f"block {body.number} does not follow block {tip.height - 1} of {self.msp_id}"
            )
        checked = self._checker.check(body, slots, self.config, self.definitions, parsed)
        codes = final_codes(self.ledger, checked)
        operations, updates = checked.compile(codes)
        commit_hash = next_commit_hash(tip, body.number, codes, updates)
        filled = list(checked.slots)
        filled[TRANSACTIONS_FILTER] = codes
        filled[COMMIT_HASH] = commit_slot(commit_hash)
        new_tip = Tip(body.number + 1, body.header_hash, checked.config_block, commit_hash)
        self.ledger.append(new_tip, body.data, metadata_bytes(filled), operations)
        return CommittedBlock(checked, codes, tuple(filled))

    def _committed_config(self) -> ChannelConfig:
        number = self.ledger.tip.config_block
        return config_of_envelope(parse_body(self.ledger.block_body(number)).envelopes()[0])

    def codes(self, number: int) -> bytes:
        """The validation codes of a committed block, one byte per transaction."""
        return metadata_slots(self.ledger.block_metadata(number))[TRANSACTIONS_FILTER]


def next_commit_hash(tip: Tip, number: int, codes: bytes, updates: bytes) -> bytes:
    """Fabric's chained commit hash (``kvledger.addBlockCommitHash``), empty for block 0."""
    if number == 0:
        return b""
    return sha256(varint(len(codes)) + codes + updates + tip.commit_hash).digest()


def commit_slot(commit_hash: bytes) -> bytes:
    """The COMMIT_HASH metadata slot."""
    if not commit_hash:
        return b""
    return bytes(common_pb2.Metadata(value=commit_hash).SerializeToString())
