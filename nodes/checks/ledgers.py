"""Replay every block from nothing and compare each organisation's ledger with the outcome.

The replay is an empty node that takes the blocks through the same validation as any node:
decoding, chain of hashes, data hash, the orderer's signature, creators' and endorsers'
signatures, policies, read conflicts. A block may come from any organisation: the first sound
copy is replayed, and every other copy is compared with it. Where an organisation's ledger ends,
its whole database (state, history, indexes) is compared with the replay's, entry by entry.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from nodes.blocks import COMMIT_HASH, TRANSACTIONS_FILTER, metadata_slots, parse_body
from nodes.checks.report import Progress, Report
from nodes.config import ChannelConfig
from nodes.errors import LedgerCorrupt, LedgerError, NodeError
from nodes.ledger import Ledger
from nodes.node import Node
from nodes.transaction import Code
from nodes.validate import BlockChecker, Definitions

_PARTS: Final = {
    b"s": "STATE_DIFFERS",
    b"h": "HISTORY_DIFFERS",
    b"t": "INDEX_DIFFERS",
    b"x": "INDEX_DIFFERS",
    b"H": "INDEX_DIFFERS",
}


@dataclass(frozen=True, slots=True)
class Copy:
    """One organisation's copy of a block: body and metadata as stored."""

    holder: str
    body: bytes
    metadata: bytes


@dataclass(frozen=True, slots=True)
class Ground:
    """What a block is judged on: the hash before it, the configuration and the definitions."""

    header_hash: bytes
    config: ChannelConfig | None
    definitions: Definitions


class Replay:
    """Replays the blocks of several ledgers onto an empty node, reporting as it goes."""

    def __init__(
        self,
        node: Node,
        checker: BlockChecker,
        ledgers: dict[str, Ledger],
        report: Report,
    ) -> None:
        """`node`: empty; `ledgers`: by organisation, opened for reading alone."""
        self.node = node
        self._checker = checker
        self._ledgers = ledgers
        self._report = report

    def run(self, progress: Progress) -> None:
        """Replay up to the highest block anybody has; the node then holds the true state."""
        heights = {org: ledger.height for org, ledger in self._ledgers.items()}
        top = max(heights.values(), default=0)
        for org, height in heights.items():
            if height < top:
                self._report.notes.append(
                    f"{org} is {top - height} block(s) behind; it catches up when it is opened"
                )
        for number in range(top):
            progress("blocks", number, top)
            if not self._replay(number):
                self._report.add(
                    "CHAIN_BROKEN", f"block {number}", "No sound copy is left; nothing after it"
                    " can be checked.",
                )  # fmt: skip
                return
            for org, height in heights.items():
                if height == number + 1:
                    progress(f"state of {org}", number, top)
                    self._compare_database(org)
        progress("blocks", top, top)
        self._report.counts["blocks"] += top

    # -- one block -------------------------------------------------------------------------------

    def _replay(self, number: int) -> bool:
        copies = list(self._copies(number))
        node = self.node
        ground = Ground(node.ledger.tip.header_hash, node.config, node.definitions)
        chosen = next((copy for copy in copies if self._sound(copy, number, ground)), None)
        if chosen is None:
            return False
        committed = node.commit(parse_body(chosen.body), metadata_slots(chosen.metadata))
        self._report.counts["transactions"] += len(committed.codes)
        expected = node.ledger.block_metadata(number)
        for copy in copies:
            if copy.body == chosen.body:
                if copy.metadata != expected:
                    self._compare_metadata(copy, number, committed.codes)
            elif copies.index(copy) > copies.index(chosen) and self._sound(copy, number, ground):
                self._report.add("BLOCKS_DIFFER", f"{copy.holder}, block {number}")
        return True

    def _copies(self, number: int) -> Iterator[Copy]:
        for org, ledger in self._ledgers.items():
            if number < ledger.height:
                try:
                    yield Copy(org, ledger.block_body(number), ledger.block_metadata(number))
                except LedgerError as error:
                    self._report.add("LEDGER_UNREADABLE", f"{org}, block {number}", str(error))

    def _sound(self, copy: Copy, number: int, ground: Ground) -> bool:
        """Whether a copy can be the block; reports why not."""
        where = f"{copy.holder}, block {number}"
        try:
            body = parse_body(copy.body)
            if body.computed_data_hash() != body.data_hash:
                raise LedgerCorrupt("the data hash does not cover the data")
        except LedgerCorrupt as error:
            self._report.add("BLOCK_DAMAGED", where, str(error))
            return False
        if body.number != number or body.previous_hash != ground.header_hash:
            self._report.add("CHAIN_BROKEN", where)
            return False
        try:
            slots = metadata_slots(copy.metadata)
            self._checker.check(body, slots, ground.config, ground.definitions)
        except LedgerCorrupt as error:
            self._report.add("ORDERER_SIGNATURE", where, str(error))
            return False
        except NodeError as error:
            self._report.add("BLOCK_DAMAGED", where, str(error))
            return False
        return True

    def _compare_metadata(self, copy: Copy, number: int, codes: bytes) -> None:
        where = f"{copy.holder}, block {number}"
        try:
            recorded = metadata_slots(copy.metadata)
        except LedgerCorrupt as error:
            self._report.add("BLOCK_METADATA", where, str(error))
            return
        found = recorded[TRANSACTIONS_FILTER]
        if found == codes:
            true = metadata_slots(self.node.ledger.block_metadata(number))
            what = "commit hash" if recorded[COMMIT_HASH] != true[COMMIT_HASH] else "metadata"
            self._report.add("BLOCK_METADATA", where, f"Its {what} differs.")
        for index in range(max(len(found), len(codes))):
            told, true_code = found[index : index + 1], codes[index : index + 1]
            if told != true_code:
                self._report.add(
                    "VALIDITY_CODE",
                    f"{where}, transaction {index}",
                    f"Recorded is {_name(told)}, the content gives {_name(true_code)}.",
                )

    # -- the database ----------------------------------------------------------------------------

    def _compare_database(self, org: str) -> None:
        stored, true = self._ledgers[org], self.node.ledger
        for first, code in _PARTS.items():
            end = bytes([first[0] + 1])
            try:
                for key, told in differences(stored.scan(first, end), true.scan(first, end)):
                    self._report.add(code, f"{org}, {_readable(key)}", told)
            except LedgerError as error:
                self._report.add("LEDGER_UNREADABLE", org, str(error))
        self._report.counts["ledgers compared"] += 1


def differences(
    stored: Iterator[tuple[bytes, bytes]], true: Iterator[tuple[bytes, bytes]]
) -> Iterator[tuple[bytes, str]]:
    """Keys in which two ordered sequences differ, and how."""
    left, right = next(stored, None), next(true, None)
    while left is not None or right is not None:
        if right is None or (left is not None and left[0] < right[0]):
            assert left is not None
            yield left[0], "It should not be there."
            left = next(stored, None)
        elif left is None or right[0] < left[0]:
            yield right[0], "It is missing."
            right = next(true, None)
        else:
            if left[1] != right[1]:
                yield left[0], "Its value differs."
            left, right = next(stored, None), next(true, None)


def _name(code: Sequence[int]) -> str:
    return Code.Name(code[0]) if code else "nothing"


def _readable(key: bytes) -> str:
    text = key[1:].replace(b"\0", b"/").decode("utf-8", "backslashreplace")
    return "".join(char if char.isprintable() else "." for char in text)[:200]
