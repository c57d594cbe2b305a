"""Where a network home keeps its organisations, and Fabric's MSP folder layout.

::

    <home>/organizations/<org>/ca/{ca-cert.pem, ca-key.pem}
                              /tlsca/{ca-cert.pem, ca-key.pem}
                              /msp                                  the public MSP
                              /peers/<node>/{msp, tls}
                              /users/<user>/msp
    an msp folder: config.yaml (NodeOUs), cacerts/, tlscacerts/, signcerts/, keystore/ (0600), crls/

The revocation lists live once per organisation, in its public MSP. Keys are 0600, folders 0700.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509

from nodes.errors import DescriptionError, IdentityError
from nodes.identity.certificates import Authority, Issued, certificate_pem, key_pem, load_key


@dataclass(frozen=True, slots=True)
class OrganisationFolder:
    """One organisation's folder under <home>/organizations."""

    name: str
    msp_id: str
    domain: str
    country: str
    path: Path

    @property
    def msp(self) -> Path:
        """The public MSP: certificates and revocation lists, no keys."""
        return self.path / "msp"

    @property
    def crl(self) -> Path:
        """The organisation's revocation list (PEM), absent while nothing is revoked."""
        return self.msp / "crls" / "crl.pem"

    def node(self, name: str) -> Path:
        """Folder of a node: msp/ and tls/ below it."""
        return self.path / "peers" / name

    def user(self, name: str) -> Path:
        """Folder of a user: msp/ below it."""
        return self.path / "users" / name


def organisation_folder(home: Path, org: str) -> OrganisationFolder:
    """Find an organisation of a home by name or by MSP id; raises DescriptionError."""
    file = home / "network.json"
    try:
        network = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise DescriptionError(f"{home} holds no network (network.json is missing)") from None
    known = [*network["organisations"], network["orderer"]]
    for entry in known:
        if org in (entry["name"], entry["msp_id"]):
            return OrganisationFolder(
                name=entry["name"],
                msp_id=entry["msp_id"],
                domain=entry["domain"],
                country=entry["country"],
                path=home / "organizations" / entry["name"],
            )
    names = ", ".join(entry["name"] for entry in known)
    raise DescriptionError(f"no organisation {org!r} in {home}; it has {names}")


def write_authority(folder: Path, authority: Authority) -> None:
    """Keep a CA: certificate and private key."""
    write_public(folder / "ca-cert.pem", certificate_pem(authority.certificate))
    write_secret(folder / "ca-key.pem", key_pem(authority.key))


def read_authority(folder: Path) -> Authority:
    """Read a CA back; raises IdentityError when it is not there."""
    try:
        certificate = x509.load_pem_x509_certificate((folder / "ca-cert.pem").read_bytes())
        return Authority(certificate, load_key((folder / "ca-key.pem").read_bytes()))
    except (OSError, ValueError) as error:
        raise IdentityError(f"no usable certificate authority in {folder}: {error}") from error


def write_msp(folder: Path, domain: str, ca: bytes, tls_ca: bytes) -> None:
    """Write the public part of an MSP folder: roots and NodeOU configuration."""
    write_public(folder / "cacerts" / f"ca.{domain}-cert.pem", ca)
    write_public(folder / "tlscacerts" / f"tlsca.{domain}-cert.pem", tls_ca)
    write_public(folder / "config.yaml", _node_ous(f"cacerts/ca.{domain}-cert.pem").encode())


def write_signing_identity(folder: Path, common_name: str, issued: Issued) -> None:
    """Add a signing certificate and its key to an MSP folder."""
    write_public(
        folder / "signcerts" / f"{common_name}-cert.pem", certificate_pem(issued.certificate)
    )
    write_secret(folder / "keystore" / "priv_sk", key_pem(issued.key))


def write_tls(folder: Path, issued: Issued, tls_ca: bytes) -> None:
    """Write a TLS folder as Fabric's peers have it: server.crt, server.key, ca.crt."""
    write_public(folder / "server.crt", certificate_pem(issued.certificate))
    write_secret(folder / "server.key", key_pem(issued.key))
    write_public(folder / "ca.crt", tls_ca)


def only_file(folder: Path) -> bytes:
    """The content of the single file in a folder; raises IdentityError."""
    files = sorted(path for path in folder.glob("*") if path.is_file())
    if len(files) != 1:
        raise IdentityError(f"{folder} holds {len(files)} files instead of one")
    return files[0].read_bytes()


def write_public(path: Path, data: bytes) -> None:
    """Replace a file whole (0644)."""
    _write(path, data, 0o644)


def write_secret(path: Path, data: bytes) -> None:
    """Replace a file whole, readable by its owner alone (0600)."""
    _write(path, data, 0o600)


def _write(path: Path, data: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _node_ous(certificate: str) -> str:
    lines = ["NodeOUs:", "  Enable: true"]
    for role in ("client", "peer", "admin", "orderer"):
        lines += [
            f"  {role.capitalize()}OUIdentifier:",
            f"    Certificate: {certificate}",
            f"    OrganizationalUnitIdentifier: {role}",
        ]
    return "\n".join(lines) + "\n"
