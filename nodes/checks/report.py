"""What a check says: findings with stable codes, notes, counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

MAX_OF_A_KIND: Final = 20

Progress = Callable[[str, int, int], None]
"""Called with (what is being checked, done, total); total is 0 where it is not known."""

CODES: Final[dict[str, str]] = {
    "HOME_UNUSABLE": "A file or folder that every home has is missing or cannot be read.",
    "IDENTITY_DAMAGED": "A certificate or key is missing, damaged, or does not belong.",
    "ORDER_LOG_DAMAGED": "The sequencer's log has a record that is damaged or out of place.",
    "LEDGER_UNREADABLE": "A node's ledger cannot be opened or read.",
    "BLOCK_DAMAGED": "A block cannot be decoded, or its data hash does not cover its data.",
    "CHAIN_BROKEN": "A block does not follow the block before it.",
    "ORDERER_SIGNATURE": "No orderer's signature on the block is valid.",
    "BLOCKS_DIFFER": "An organisation holds another block than the others.",
    "VALIDITY_CODE": "A recorded validation code is not what the block's content gives.",
    "BLOCK_METADATA": "A block's metadata or commit hash is not what its content gives.",
    "STATE_DIFFERS": "A record of the state is not what replaying the blocks gives.",
    "HISTORY_DIFFERS": "A record's history is not what replaying the blocks gives.",
    "INDEX_DIFFERS": "An index of blocks or transactions is not what replaying gives.",
    "NODE_KEY": "The key of a node's payloads is missing, damaged or readable by others.",
    "PAYLOAD_STORE": "A payload store cannot be opened or read.",
    "PAYLOAD_MISSING": "An anchored event's payload is not at the node that anchored it.",
    "PAYLOAD_CORRUPTED": "A stored payload does not match its commitment.",
    "RECEIPT_INVALID": "The receipt of an erased payload does not verify.",
    "PROJECTION_DIFFERS": "The projection on the chain is not what the payload gives.",
    "EVENT_HASH": "The event hash on the chain is not the payload's.",
    "READ_LOG": "The read log's chain or signature is broken.",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Something is wrong: `code` of :data:`CODES`, `where` (organisation and place), a sentence."""

    code: str
    where: str
    message: str


@dataclass(slots=True)
class Report:
    """The outcome. No findings: everything verified. `notes` say what is unusual but sound.

    Of each kind of finding the first MAX_OF_A_KIND are kept; `counts` has how many there were,
    beside how many things of each kind were checked.
    """

    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings

    def add(self, code: str, where: str, message: str = "") -> None:
        """Note a finding; the code's own sentence comes first."""
        self.kinds[code] += 1
        if self.kinds[code] <= MAX_OF_A_KIND:
            sentence = " ".join(f"{CODES[code]} {message}".split())
            self.findings.append(Finding(code, where, sentence))

    def codes(self) -> set[str]:
        """The distinct codes found."""
        return set(self.kinds)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object."""
        return {
            "ok": self.ok,
            "findings": [
                {"code": f.code, "where": f.where, "message": f.message} for f in self.findings
            ],
            "kinds": dict(self.kinds),
            "notes": self.notes,
            "counts": dict(self.counts),
        }
