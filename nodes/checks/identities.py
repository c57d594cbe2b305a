"""Certificates and keys of a home: present, readable, and belonging together.

Per organisation: both certificate authorities are their own and have their keys; every MSP
folder carries exactly those roots; node and users have keys that belong to certificates that the
authority issued; TLS material likewise; the revocation list is signed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from nodes.checks.report import Report
from nodes.errors import IdentityError
from nodes.identity.certificates import load_key
from nodes.identity.folders import OrganisationFolder, organisation_folder, read_authority
from nodes.identity.signer import Signer, signer_from_msp
from nodes.network import NetworkDescription

T = TypeVar("T")


def check_identities(home: Path, desc: NetworkDescription, report: Report) -> dict[str, Signer]:
    """Check every organisation's CA, node and users; returns the nodes' signers by name."""
    nodes = {org.name: org.node.name for org in desc.organisations}
    nodes[desc.orderer.name] = desc.orderer.node.name
    signers = dict[str, Signer]()
    for name, node in nodes.items():
        folder = _guarded(report, name, partial(organisation_folder, home, name))
        if folder is None:
            continue
        signer = _Organisation(folder, report).check(node)
        if signer is not None:
            signers[name] = signer
    return signers


class _Organisation:
    """The checks of one organisation's folder."""

    def __init__(self, folder: OrganisationFolder, report: Report) -> None:
        self._folder = folder
        self._report = report

    def check(self, node: str) -> Signer | None:
        """Check everything; returns the node's signer if it is sound."""
        path = self._folder.path
        root = self._guarded("ca", partial(_authority, path / "ca"))
        tls_root = self._guarded("tlsca", partial(_authority, path / "tlsca"))
        for msp in (self._folder.msp, self._folder.node(node) / "msp", *self._users()):
            where = str(msp.relative_to(path))
            self._guarded(where, partial(_same_roots, msp, root, tls_root))
        tls = self._folder.node(node) / "tls"
        self._guarded("tls", partial(_tls, tls, tls_root))
        if self._folder.crl.exists():
            self._guarded("crl", partial(_revocations, self._folder.crl, root))
        for msp in self._users():
            self._signer(msp, root)
        return self._signer(self._folder.node(node) / "msp", root)

    def _users(self) -> list[Path]:
        return [user / "msp" for user in sorted((self._folder.path / "users").glob("*"))]

    def _signer(self, msp: Path, root: x509.Certificate | None) -> Signer | None:
        self._report.counts["identities"] += 1
        where = str(msp.parent.relative_to(self._folder.path))
        return self._guarded(where, partial(_signer, self._folder.msp_id, msp, root))

    def _guarded(self, where: str, look: Callable[[], T]) -> T | None:
        return _guarded(self._report, f"{self._folder.name}, {where}", look)


def _guarded(report: Report, where: str, look: Callable[[], T]) -> T | None:
    """What `look` returns; whatever it raises becomes a finding."""
    try:
        return look()
    except InvalidSignature:
        report.add("IDENTITY_DAMAGED", where, "The signature is not its authority's.")
    except Exception as error:  # a damaged file makes parsers raise what they like
        report.add("IDENTITY_DAMAGED", where, str(error))
    return None


def _authority(folder: Path) -> x509.Certificate:
    authority = read_authority(folder)
    root = authority.certificate
    if root.public_key() != authority.key.public_key():
        raise IdentityError("the CA's key does not belong to its certificate")
    root.verify_directly_issued_by(root)
    return root


def _same_roots(msp: Path, root: x509.Certificate | None, tls: x509.Certificate | None) -> None:
    for name, expected in (("cacerts", root), ("tlscacerts", tls)):
        files = sorted((msp / name).glob("*.pem"))
        if not files:
            raise IdentityError(f"{name} is empty")
        for file in files:
            if expected not in (None, x509.load_pem_x509_certificate(file.read_bytes())):
                raise IdentityError(f"{name}/{file.name} is not the organisation's authority")


def _signer(msp_id: str, msp: Path, root: x509.Certificate | None) -> Signer:
    signer = signer_from_msp(msp_id, msp)
    if root is not None:
        x509.load_pem_x509_certificate(signer.certificate).verify_directly_issued_by(root)
    return signer


def _tls(folder: Path, root: x509.Certificate | None) -> None:
    certificate = x509.load_pem_x509_certificate((folder / "server.crt").read_bytes())
    if certificate.public_key() != load_key((folder / "server.key").read_bytes()).public_key():
        raise IdentityError("the TLS key does not belong to its certificate")
    if root is not None:
        certificate.verify_directly_issued_by(root)
        if x509.load_pem_x509_certificate((folder / "ca.crt").read_bytes()) != root:
            raise IdentityError("ca.crt is not the organisation's TLS authority")


def _revocations(file: Path, root: x509.Certificate | None) -> None:
    revoked = x509.load_pem_x509_crl(file.read_bytes())
    if root is not None:
        key = root.public_key()
        if not isinstance(key, ec.EllipticCurvePublicKey) or not revoked.is_signature_valid(key):
            raise InvalidSignature
