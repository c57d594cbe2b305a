"""What a scan page shows, in no language yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.credentials.document import Fact
from gateway.credentials.history import Record
from gateway.digital_link import DigitalLink
from gateway.verify import Check, Verification
from gateway.web.headlines import Headline
from gateway.web.journey import Step


@dataclass(frozen=True, slots=True)
class View:
    """Everything a page shows. `status` is the HTTP status; `expires_ms` the first instant at which
    the passing of time alone could change the verdict."""

    status: int
    headline: Headline
    link: DigitalLink | None
    subject: str
    kind: str
    name: str
    brand: str
    lot: str | None
    serial: str | None
    gtin: str | None
    expiry: str | None
    compare: tuple[Fact, ...] = ()
    steps: tuple[Step, ...] = ()
    names: Mapping[str, str] = field(default_factory=dict)
    footprint: tuple[str, str] | None = None
    footprint_verified: bool = False
    verification: Verification | None = None
    product: Check | None = None
    certificates: tuple[Record, ...] = ()
    contact: str = ""
    height: int = 0
    expires_ms: int | None = None
    watch: tuple[str, ...] = ()
    events: int = 0
    cut: bool = False

    @property
    def ledger_facts(self) -> tuple[Fact, ...]:
        """Facts read from the ledger, without those already shown for comparison."""
        shown = {fact.field for fact in self.compare if not fact.event}
        return tuple(
            f for f in self._facts if not f.self_declared and (f.event or f.field not in shown)
        )

    @property
    def checked_facts(self) -> tuple[Fact, ...]:
        """Facts the issuer declared that somebody named checked."""
        return tuple(f for f in self._facts if f.self_declared and f.checked_by)

    @property
    def declared_facts(self) -> tuple[Fact, ...]:
        """Facts on the issuer's word alone."""
        return tuple(f for f in self._facts if f.self_declared and not f.checked_by)

    @property
    def _facts(self) -> tuple[Fact, ...]:
        found = self.verification.certificate if self.verification else None
        return found.facts if found else ()
