"""A document's prepared events onto the chain: payloads first, then the transactions.

An orphan payload is harmless, a dangling hash is not, so every payload is durable at the
organisation's node before its hash is proposed. The same event captured again changes nothing:
the contract answers `duplicate` and the run counts it as captured, so a run may be repeated.

    rollback  one transaction of up to `ROLLBACK_EVENTS` events: all or nothing. Longer documents
              take several transactions in order; where a later one is refused, the earlier ones
              stay, and the outcome says so.
    proceed   transactions of up to `BATCH_EVENTS` events; what one event does wrong concerns no
              other.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from chaincode.codec import encode
from gateway.epcis.errors import CaptureRefused
from gateway.epcis.prepare import PreparedEvent
from gateway.ledger.errors import EndorseError
from nodes.payloads import NewPayload

if TYPE_CHECKING:
    from gateway.ledger.client import LedgerClient
    from gateway.payloads import PayloadPort
    from nodes.identity.signer import Signer

ROLLBACK_EVENTS = 5000
BATCH_EVENTS = 1000
BATCH_BYTES = 12 << 20
SALT_BYTES = 32
ROLLBACK, PROCEED = "rollback", "proceed"


@dataclass(frozen=True, slots=True)
class Anchored:
    """One event on the chain: its place in the document, hash, transaction, findings."""

    index: int
    hash: str
    tx_id: str
    duplicate: bool
    findings: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Refused:
    """One event (or, with index -1, all that were left) the chain did not take."""

    index: int
    pointer: str
    code: str
    message: str
    where: str = ""


@dataclass(slots=True)
class Outcome:
    """What a run did. `block`: height at which a reader sees all of it."""

    anchored: list[Anchored] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    block: int = 0


Progress = Callable[[int], None]
Known = Callable[[Sequence[PreparedEvent]], Mapping[int, str]]
"""Commitments of those events (by index) that are known to be on the chain already."""


@dataclass(frozen=True, slots=True)
class Capturer:
    """Who captures: `signer` signs for `party` in `msp_id`; `actor`: the party acted for, or "".

    known: spares the payloads of events that are on the chain; what it misses does no harm.
    """

    ledger: LedgerClient
    payloads: PayloadPort
    signer: Signer
    msp_id: str
    party: str
    actor: str = ""
    known: Known | None = None

    def run(
        self,
        events: Sequence[PreparedEvent],
        behaviour: str = ROLLBACK,
        progress: Progress | None = None,
    ) -> Outcome:
        """Anchor `events`. Refusals by rule are in the outcome; failures of parts raise.

        :raises LedgerError, PayloadError: a part does not work; running again is safe.
        """
        outcome = Outcome()
        limit = ROLLBACK_EVENTS if behaviour == ROLLBACK else BATCH_EVENTS
        for batch in batches(events, limit):
            if progress is not None and outcome.anchored:
                progress(len(outcome.anchored))
            if not self._batch(batch, behaviour, outcome):
                self._stopped(batch, behaviour, outcome)
                break
        return outcome

    def _batch(self, batch: Sequence[PreparedEvent], behaviour: str, outcome: Outcome) -> bool:
        """One transaction; False where nothing more should be tried."""
        commitments = self._store(batch)
        argument: dict[str, Any] = {
            "events": [_entry(event, commitments[event.index]) for event in batch],
            "on_error": behaviour,
        }
        if self.actor:
            argument["actor"] = self.actor
        try:
            committed = self.ledger.submit_and_wait(self.signer, "event:capture", encode(argument))
        except EndorseError as error:
            if error.refusal is None:
                raise
            if error.code == "TOO_LARGE" and behaviour == PROCEED and len(batch) > 1:
                half = len(batch) // 2
                first = self._batch(batch[:half], behaviour, outcome)
                return first and self._batch(batch[half:], behaviour, outcome)
            return self._refusal(error, batch, behaviour, outcome)
        outcome.block = committed.block_number + 1
        for item in committed.result["anchored"]:
            event = batch[item["index"]]
            outcome.anchored.append(
                Anchored(
                    event.index,
                    event.hash,
                    committed.tx_id,
                    bool(item.get("duplicate")),
                    list(item.get("findings", ())),
                )
            )
        for item in committed.result["refused"]:
            event = batch[item["index"]]
            outcome.refused.append(
                Refused(event.index, event.pointer, item["code"], item["message"], item["where"])
            )
        return True

    def _store(self, batch: Sequence[PreparedEvent]) -> dict[int, str]:
        """Make payloads durable; commitments by event index."""
        commitments = dict(self.known(batch)) if self.known is not None else {}
        fresh = [event for event in batch if event.index not in commitments]
        for part in _by_payload_bytes(fresh):
            payloads = [self._payload(event) for event in part]
            stored = self.payloads.put_many(self.msp_id, payloads, signer=self.signer)
            commitments.update(zip((event.index for event in part), stored, strict=True))
        return commitments

    def _payload(self, event: PreparedEvent) -> NewPayload:
        return NewPayload(
            event.payload,
            os.urandom(SALT_BYTES),
            event.hash,
            self.actor or self.party,
            event.disclosure,
            event.country,
        )

    def _refusal(
        self,
        error: EndorseError,
        batch: Sequence[PreparedEvent],
        behaviour: str,
        outcome: Outcome,
    ) -> bool:
        for item in error.errors:
            event = batch[item.index]
            outcome.refused.append(
                Refused(event.index, event.pointer, item.code, item.message, item.where)
            )
        if error.errors:
            # Proceeding goes on where each refusal names its event; all of this batch was refused.
            return behaviour == PROCEED
        assert error.refusal is not None
        outcome.refused.append(
            Refused(-1, "", error.code, error.refusal.message, error.refusal.where)
        )
        return False

    def _stopped(self, batch: Sequence[PreparedEvent], behaviour: str, outcome: Outcome) -> None:
        if behaviour == ROLLBACK and outcome.anchored:
            message = (
                f"{len(outcome.anchored)} events before {batch[0].pointer} are on the chain and "
                f"stay there: all or nothing holds for up to {ROLLBACK_EVENTS} events"
            )
            outcome.refused.append(Refused(-1, batch[0].pointer, "ROLLBACK_IN_PART", message))


def batches(events: Sequence[PreparedEvent], limit: int) -> Iterator[Sequence[PreparedEvent]]:
    """`events` in order, as transactions: cut by count and by bytes."""
    return _cut(events, limit, lambda event: event.size)


def _by_payload_bytes(events: Sequence[PreparedEvent]) -> Iterator[Sequence[PreparedEvent]]:
    return _cut(events, len(events), lambda event: len(event.payload))


def _cut(
    events: Sequence[PreparedEvent], limit: int, size_of: Callable[[PreparedEvent], int]
) -> Iterator[Sequence[PreparedEvent]]:
    start = total = 0
    for position, event in enumerate(events):
        size = size_of(event)
        if position > start and (position - start >= limit or total + size > BATCH_BYTES):
            yield events[start:position]
            start, total = position, 0
        total += size
    if start < len(events):
        yield events[start:]


def require_party(party: str | None) -> str:
    """The caller's party. :raises CaptureRefused: it has none."""
    if not party:
        raise CaptureRefused(
            "CALLER_UNKNOWN",
            "the caller acts for no registered party; a participant must be registered first",
        )
    return party


def _entry(event: PreparedEvent, commitment: str) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "hash": event.hash,
        "commitment": commitment,
        "projection": event.projection,
    }
    if event.carbon:
        entry["carbon"] = event.carbon
    return entry
