"""Certificates and keys of a home: present, readable, and belonging together."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from nodes.checks.report import Report
from nodes.errors import IdentityError, NodeError
from nodes.identity.folders import OrganisationFolder, organisation_folder, read_authority
from nodes.identity.signer import Signer, signer_from_msp
from nodes.network import NetworkDescription


def check_identities(home: Path, desc: NetworkDescription, report: Report) -> dict[str, Signer]:
    """Check every organisation's CA, node and users; returns the nodes' signers by name."""
    signers = dict[str, Signer]()
    nodes = {org.name: org.node.name for org in desc.organisations}
    nodes[desc.orderer.name] = desc.orderer.node.name
    for name, node in nodes.items():
        try:
            folder = organisation_folder(home, name)
        except (NodeError, OSError) as error:
            report.add("HOME_UNUSABLE", name, str(error))
            continue
        root = _authority(folder, report)
        signer = _check(folder, f"{name}, node", folder.node(node) / "msp", root, report)
        if signer is not None:
            signers[name] = signer
        for user in sorted((folder.path / "users").glob("*")):
            _check(folder, f"{name}, user {user.name}", user / "msp", root, report)
    return signers


def _authority(folder: OrganisationFolder, report: Report) -> x509.Certificate | None:
    try:
        authority = read_authority(folder.path / "ca")
        root = authority.certificate
        if root.public_key() != authority.key.public_key():
            raise IdentityError("the CA's key does not belong to its certificate")
        root.verify_directly_issued_by(root)
    except (NodeError, OSError, ValueError, TypeError, InvalidSignature) as error:
        report.add("IDENTITY_DAMAGED", f"{folder.name}, ca", str(error))
        return None
    return root


def _check(
    folder: OrganisationFolder,
    where: str,
    msp: Path,
    root: x509.Certificate | None,
    report: Report,
) -> Signer | None:
    report.counts["identities"] += 1
    try:
        signer = signer_from_msp(folder.msp_id, msp)
        if root is not None:
            x509.load_pem_x509_certificate(signer.certificate).verify_directly_issued_by(root)
    except (NodeError, OSError, ValueError, TypeError) as error:
        report.add("IDENTITY_DAMAGED", where, str(error))
        return None
    except InvalidSignature:
        report.add("IDENTITY_DAMAGED", where, "The organisation's CA did not issue it.")
        return None
    return signer
