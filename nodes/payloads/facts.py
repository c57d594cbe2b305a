"""What the access rules need to know from the ledger, as one small port.

The store asks these questions with a reader and a payload's terms in hand. The implementation
over ledger state is :mod:`nodes.payloads.ledger_facts`; a store with no ledger behind it knows
only its own owners (:class:`NoFacts`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from nodes.payloads.access import Grant, RecordedBasis, Relation
from nodes.payloads.model import PayloadMeta


class LedgerFacts(Protocol):
    """Answers from committed ledger state; thread-safe; never from the asking party."""

    def relations(self, party: str, meta: PayloadMeta) -> Collection[Relation]:
        """How `party` stands to the event of `meta`."""

    def grants(self, party: str, meta: PayloadMeta) -> Collection[Grant]:
        """Grants to `party` that cover the event of `meta`."""

    def legal_bases(self, party: str, meta: PayloadMeta) -> Collection[RecordedBasis]:
        """Legal bases `party` recorded on the chain for the event of `meta`."""

    def anchored(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        """For each (event hash, commitment): does the chain hold that event with it?"""


class NoFacts:
    """A ledger that knows nothing: owners read their own payloads, open ones are open."""

    def relations(self, party: str, meta: PayloadMeta) -> Collection[Relation]:
        return ()

    def grants(self, party: str, meta: PayloadMeta) -> Collection[Grant]:
        return ()

    def legal_bases(self, party: str, meta: PayloadMeta) -> Collection[RecordedBasis]:
        return ()

    def anchored(self, pairs: Sequence[tuple[str, str]]) -> list[bool]:
        return [False] * len(pairs)
