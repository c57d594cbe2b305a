"""The certificate parts of one running gateway, made once from its container."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from typing import Any

import grpc

from gateway.certify import Certifier, certificate_id
from gateway.container import Container
from gateway.credentials import document
from gateway.credentials.evidence import LedgerEvidence
from gateway.credentials.history import Record
from gateway.credentials.port import EvidenceUnavailable
from gateway.ledger.errors import EvaluateError, LedgerError
from gateway.verify import Verification, verify
from gateway.web import render
from gateway.web.cache import PageCache
from gateway.web.scan import Scanner

_creating = threading.Lock()


class CertificateService:
    """Issuing, verifying and scanning over one container's ledger and read model."""

    def __init__(self, container: Container) -> None:
        settings = container.settings
        self._container = container
        self.certifier = Certifier(
            container.ledger,
            container.readmodel,
            container.state,
            settings.gateway_home,
            settings.base_url,
        )
        self.scanner = Scanner(self.certifier.store, self.footprint)
        self.readmodel = container.readmodel
        self.pages = PageCache()
        render.warm()

    def footprint(self, subject: str) -> Record | None:
        """The contract's footprint of an identifier; None when there is none.

        :raises EvidenceUnavailable: the ledger cannot be asked.
        """
        try:
            found = self._container.ledger.evaluate(
                self._container.signer, "carbon:footprint", {"id": subject}
            )
        except EvaluateError as error:
            if error.refusal is not None or error.status == grpc.StatusCode.NOT_FOUND:
                return None
            raise EvidenceUnavailable from error
        except LedgerError as error:
            raise EvidenceUnavailable from error
        return found if isinstance(found, dict) else None

    def verify(self, credential: Mapping[str, Any], now_ms: int | None = None) -> Verification:
        """Verify a parsed credential against this gateway's ledger."""
        with self.readmodel.read() as connection:
            evidence = LedgerEvidence(connection, self.footprint)
            return verify(credential, evidence, clock_ms() if now_ms is None else now_ms)

    def stored(self, certificate_id: str) -> dict[str, Any] | None:
        """An issued credential by its id, parsed; None where this gateway holds none."""
        text = self.certifier.store.get(certificate_id)
        return None if text is None else json.loads(text)

    def verify_text(self, text: str) -> Verification | None:
        """Verify what a person gave: a credential's JSON, or the number or address of one.

        None when it is a number that this gateway does not hold. :raises MalformedCredential:
        """
        if text.lstrip("\ufeff \r\n\t").startswith("{"):
            return self.verify(document.parse_json(text))
        found = self.stored(certificate_id(text.strip().rstrip("/").rpartition("/")[2]))
        return None if found is None else self.verify(found)


def clock_ms() -> int:
    """Now, ms UTC."""
    return time.time_ns() // 1_000_000


def service_of(container: Container) -> CertificateService:
    """The container's certificate service, made on first use."""
    if container.verifier is None:
        with _creating:
            if container.verifier is None:
                container.verifier = CertificateService(container)
    found = container.verifier
    if not isinstance(found, CertificateService):
        raise TypeError("the container's verifier is another object")
    return found
