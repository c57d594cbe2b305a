"""Whose certificates belong to this network: the organisations' public MSP folders in the home.

Read anew within a second of a change (an organisation added, a revocation list written), so that
a revoked user loses the gateway as soon as the ledger.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from fabric_protos.msp import msp_config_pb2

from nodes.errors import IdentityRefused
from nodes.identity.folders import organisation_folder
from nodes.identity.msp import Identity, Msp, MspSet
from nodes.messages import serialized_identity
from nodes.network import load_network

CHECK_EVERY_S = 1.0


class Members:
    """The organisations of a home; safe to share between threads."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._lock = threading.Lock()
        self._checked = 0.0
        self._stamp: tuple[tuple[str, int], ...] = ()
        self._msps = MspSet(())
        self._names: dict[str, str] = {}
        self._refresh()

    def accept(self, msp_id: str, certificate: bytes) -> Identity:
        """The identity of a PEM certificate, in force now.

        :raises IdentityRefused: unknown organisation, foreign, expired or revoked.
        """
        self._refresh()
        identity = self._msps.accept(serialized_identity(msp_id, certificate))
        identity.refuse_outside_validity(int(time.time() * 1000))
        return identity

    def accept_any(self, certificate_der: bytes) -> Identity:
        """The same for a DER certificate whose organisation is found by its issuer."""
        self._refresh()
        try:
            pem = x509.load_der_x509_certificate(certificate_der).public_bytes(Encoding.PEM)
        except ValueError as error:
            raise IdentityRefused(f"not a certificate: {error}") from error
        refusals = []
        for msp_id in self._msps.by_id:
            try:
                return self.accept(msp_id, pem)
            except IdentityRefused as refusal:
                refusals.append(str(refusal))
        revoked = [text for text in refusals if "was not issued by" not in text]
        raise IdentityRefused((revoked or refusals or ["the network has no organisation"])[0])

    def organisation(self, msp_id: str) -> str | None:
        """The organisation's name in the home, by its MSP id."""
        self._refresh()
        return self._names.get(msp_id)

    def msp_ids(self) -> list[str]:
        """Every organisation's MSP id, in the description's order."""
        self._refresh()
        return list(self._names)

    def roots(self) -> str:
        """PEM of every organisation's identity CA: whom TLS accepts as client."""
        network = load_network(self._home)
        return "".join(
            path.read_text()
            for org in network.organisations
            for path in sorted(
                (organisation_folder(self._home, org.name).msp / "cacerts").glob("*")
            )
        )

    def _refresh(self) -> None:
        now = time.monotonic()
        if self._stamp and now - self._checked < CHECK_EVERY_S:
            return
        with self._lock:
            stamp = self._present_stamp()
            self._checked = now
            if stamp == self._stamp:
                return
            network = load_network(self._home)
            msps = []
            for org in network.organisations:
                folder = organisation_folder(self._home, org.name).msp
                config = msp_config_pb2.FabricMSPConfig(
                    name=org.msp_id,
                    root_certs=_files(folder / "cacerts"),
                    revocation_list=_files(folder / "crls"),
                )
                msps.append(Msp(config))
            self._names = {org.msp_id: org.name for org in network.organisations}
            self._msps = MspSet(msps)
            self._stamp = stamp

    def _present_stamp(self) -> tuple[tuple[str, int], ...]:
        watched = [
            self._home / "network.json",
            *(self._home / "organizations").glob("*/msp/crls/*"),
            *(self._home / "organizations").glob("*/msp/cacerts/*"),
        ]
        return tuple((str(path), path.stat().st_mtime_ns) for path in sorted(watched))


def _files(folder: Path) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob("*")) if path.suffix != ".new"]
