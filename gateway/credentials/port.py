"""The evidence port: what the verifier asks, and the shapes of the answers.

Providers: :class:`gateway.credentials.evidence.LedgerEvidence` (the ledger, by the read model) and
:class:`gateway.credentials.evidence.NoEvidence` (nothing within reach).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from gateway.credentials.document import Fact

FactState = Literal["same", "differs", "withdrawn", "changed"]


class EvidenceUnavailable(Exception):
    """The provider cannot say: no ledger within reach."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """What the ledger holds about a certificate; `licence` is the one it was issued under."""

    issuer: str
    digest: str
    subject: str
    status: str
    anchored_ms: int
    changed_ms: int
    reason: str
    superseded_by: str | None
    valid_from_ms: int | None
    valid_until_ms: int | None
    tx_id: str
    licence: str | None = None


@dataclass(frozen=True, slots=True)
class Issuer:
    """A party as the ledger knows it, and whether its licence covered the time asked about."""

    name: str
    entitled: bool


@dataclass(frozen=True, slots=True)
class ProductState:
    """The product behind an identifier: a state code of check 8 and since when (ms UTC).

    state: ok, recalled, source_recalled, stolen, destroyed, expired, dispensed or consumed.
    """

    state: str
    since_ms: int | None = None
    expiry: str | None = None


class Evidence(Protocol):
    """What a verifier may ask. Every method raises EvidenceUnavailable where it cannot know."""

    def anchor(self, certificate_id: str) -> Anchor | None:
        """The ledger's record of a certificate; None when the ledger knows none."""

    def issuer(self, party: str, licence: str | None, at_ms: int) -> Issuer | None:
        """The party, and whether `licence` covered `at_ms`; None for an unknown party."""

    def fact(self, fact: Fact, subject: str) -> FactState:
        """Whether a ledger fact still reads the same."""

    def product(self, subject: str, now_ms: int) -> ProductState | None:
        """The present state of a product; None when the ledger has no record of it."""

    @property
    def as_of(self) -> tuple[int | None, int | None]:
        """(block height, ms UTC) the evidence stands at; (None, None) for none."""
