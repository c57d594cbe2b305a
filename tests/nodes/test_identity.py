"""Certificates, MSP folders and descriptions: what Fabric's own MSP would accept of them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from nodes.errors import DescriptionError, IdentityError
from nodes.identity import issue_user, load_signer, revoke_user, signer_from_pem
from nodes.identity.certificates import key_pem, new_authority
from nodes.identity.folders import organisation_folder
from nodes.identity.signature import ORDER, is_low_s, sign, verify_digest
from nodes.network import init_network, load_network, parse_description, read_description
from tests.nodes.client import description

KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(path: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def test_keys_are_private(pristine: Path) -> None:
    """A readable key file would let any local user sign for the organisation."""
    keys = [*pristine.rglob("priv_sk"), *pristine.rglob("*.key"), *pristine.rglob("*-key.pem")]
    assert len(keys) > 15
    for key in keys:
        assert stat.S_IMODE(key.stat().st_mode) == 0o600, key


def test_msp_folder_layout(pristine: Path) -> None:
    msp = pristine / "organizations" / "farm" / "users" / "alice" / "msp"
    config = yaml.safe_load((msp / "config.yaml").read_text())["NodeOUs"]
    assert config["Enable"] is True
    for role in ("Client", "Peer", "Admin", "Orderer"):
        entry = config[f"{role}OUIdentifier"]
        assert entry["OrganizationalUnitIdentifier"] == role.lower()
        assert (msp / entry["Certificate"]).is_file()
    assert {path.name for path in msp.iterdir()} == {
        "cacerts",
        "config.yaml",
        "keystore",
        "signcerts",
        "tlscacerts",
    }


def test_certificates_carry_role_and_low_s(pristine: Path) -> None:
    """Fabric rewrites a high-S certificate, after which identities no longer compare equal."""
    for path in pristine.rglob("*.pem"):
        if b"BEGIN CERTIFICATE" in path.read_bytes():
            assert is_low_s(certificate(path).signature), path
    node = certificate(next((pristine / "organizations/farm/peers/node/msp/signcerts").iterdir()))
    units = node.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    assert [unit.value for unit in units] == ["peer"]


def test_tls_names(pristine: Path) -> None:
    tls = certificate(pristine / "organizations/farm/peers/node/tls/server.crt")
    names = tls.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert "127.0.0.1" in [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]
    root = certificate(pristine / "organizations/farm/tlsca/ca-cert.pem")
    tls.verify_directly_issued_by(root)


def test_abac_extension(home: Path) -> None:
    signer = issue_user(home, "farm", "dora", attrs={"tracemark.party": "urn:x", "é": "ü"})
    extension = x509.load_pem_x509_certificate(signer.certificate).extensions
    value = extension.get_extension_for_oid(x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")).value
    assert isinstance(value, x509.UnrecognizedExtension)
    expected = '{"attrs":{"hf.EnrollmentID":"dora","tracemark.party":"urn:x","é":"ü"}}'
    assert value.value == expected.encode()


def test_revocation_lists_grow(home: Path) -> None:
    for name in ("alice", "bob"):
        revoke_user(home, "farm", name)
    revoke_user(home, "farm", "alice")
    folder = organisation_folder(home, "farm")
    crl = x509.load_pem_x509_crl(folder.crl.read_bytes())
    assert len(list(crl)) == 2
    number = crl.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert number == 2
    with pytest.raises(IdentityError, match="no user"):
        revoke_user(home, "farm", "nobody")


@pytest.mark.parametrize("name", ["", "../evil", "a/b", "x" * 65, "-dash"])
def test_user_names_cannot_leave_their_folder(home: Path, name: str) -> None:
    with pytest.raises(IdentityError):
        issue_user(home, "farm", name)


def test_unknown_names(home: Path) -> None:
    with pytest.raises(IdentityError, match="it has admin, alice, bob"):
        load_signer(home, "farm", "zoe")
    with pytest.raises(DescriptionError, match="farm, mill, shop"):
        load_signer(home, "ghost", "zoe")
    with pytest.raises(IdentityError, match="no NodeOU"):
        issue_user(home, "farm", "zoe", ou="king")


def test_key_of_another_certificate(home: Path) -> None:
    alice = load_signer(home, "farm", "alice")
    with pytest.raises(IdentityError, match="does not belong"):
        signer_from_pem("FarmMSP", alice.certificate, key_pem(KEY))
    p384 = new_authority("ca", "x", "NO").key.__class__
    assert p384
    other = ec.generate_private_key(ec.SECP384R1())
    with pytest.raises(IdentityError, match="P-256"):
        signer_from_pem("FarmMSP", alice.certificate, key_pem(other))


@given(st.binary(max_size=300))
def test_signatures_are_low_s_and_their_twins_refused(message: bytes) -> None:
    from hashlib import sha256

    signature = sign(KEY, message)
    digest = sha256(message).digest()
    assert verify_digest(KEY.public_key(), digest, signature)
    r, s = decode_dss_signature(signature)
    assert not verify_digest(KEY.public_key(), digest, encode_dss_signature(r, ORDER - s))
    assert not verify_digest(KEY.public_key(), sha256(message + b"x").digest(), signature)


def test_init_refuses_a_used_home(home: Path) -> None:
    with pytest.raises(DescriptionError, match="already holds"):
        init_network(description(), home)
    assert load_network(home) == description()


def test_interrupted_init_can_be_repeated(tmp_path: Path) -> None:
    init_network(description(), tmp_path)
    (tmp_path / "network.json").unlink()
    init_network(description(), tmp_path)
    assert load_signer(tmp_path, "farm", "alice").msp_id == "FarmMSP"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"policy": {"n": 4, "of": 3}}, "policy.n"),
        ({"policy": {"n": 2, "of": 4}}, "policy.of"),
        ({"channel": "Bad Name"}, "channel"),
        ({"organisations": []}, "organisations"),
        ({"surprise": 1}, "surprise"),
        ({"orderer": {"max_message_count": 0}}, "max_message_count"),
    ],
)
def test_faulty_descriptions(change: dict[str, object], reason: str) -> None:
    data = {**description().model_dump(mode="json"), **change}
    with pytest.raises(DescriptionError, match=reason):
        parse_description(data)


def test_duplicate_organisations() -> None:
    data = description().model_dump(mode="json")
    data["organisations"][1]["msp_id"] = "FarmMSP"
    with pytest.raises(DescriptionError, match="msp_id used twice: FarmMSP"):
        parse_description(data)


def test_description_files(tmp_path: Path) -> None:
    file = tmp_path / "network.yaml"
    file.write_text(yaml.safe_dump(description().model_dump(mode="json")))
    assert read_description(file) == description()
    file.write_text("organisations: [")
    with pytest.raises(DescriptionError, match="cannot be read"):
        read_description(file)
    with pytest.raises(DescriptionError, match="cannot be read"):
        read_description(tmp_path / "missing.yaml")


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[]", b'{"name": 3}'])
def test_a_damaged_network_file_is_a_description_error(tmp_path: Path, damage: bytes) -> None:
    """Not a parser's own exception, which a command line would show as a fault of the program."""
    (tmp_path / "network.json").write_bytes(damage)
    with pytest.raises(DescriptionError, match=r"network"):
        load_network(tmp_path)
