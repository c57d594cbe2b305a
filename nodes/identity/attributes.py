"""Attributes inside a certificate, as Fabric CA writes them for attribute-based access control.

Extension OID 1.2.3.4.5.6.7.8.1, not critical, value = UTF-8 JSON ``{"attrs": {name: value}}``
(``fabric-ca/lib/attrmgr``). Values are strings.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from cryptography import x509

OID: Final = x509.ObjectIdentifier("1.2.3.4.5.6.7.8.1")
PARTY: Final = "tracemark.party"
ENROLLMENT_ID: Final = "hf.EnrollmentID"


def encode(attributes: Mapping[str, str]) -> x509.UnrecognizedExtension:
    """The extension that carries `attributes`."""
    text = json.dumps({"attrs": dict(attributes)}, separators=(",", ":"), ensure_ascii=False)
    return x509.UnrecognizedExtension(OID, text.encode())


def decode(certificate: x509.Certificate) -> dict[str, str]:
    """The attributes of a certificate; {} where it carries none or they are not readable."""
    try:
        extension = certificate.extensions.get_extension_for_oid(OID).value
    except (x509.ExtensionNotFound, ValueError):
        return {}
    if not isinstance(extension, x509.UnrecognizedExtension):
        return {}
    try:
        attributes = json.loads(extension.value)["attrs"]
        return {str(name): str(value) for name, value in attributes.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}
