"""ECDSA P-256 signatures in the one form Fabric takes: DER with the lower of the two S values.

A signature (r, s) has a twin (r, n - s) that verifies as well; Fabric refuses the higher one
(``bccsp/sw/ecdsa.go``) so that a signature has a single form.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)

ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
HALF_ORDER: Final = ORDER // 2
_SHA256: Final = ec.ECDSA(hashes.SHA256())
_DIGEST: Final = ec.ECDSA(Prehashed(hashes.SHA256()))


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Low-S DER signature over the SHA-256 of `message`."""
    return _lower(key.sign(message, _SHA256))


def sign_digest(key: ec.EllipticCurvePrivateKey, digest: bytes) -> bytes:
    """Low-S DER signature over a message's 32-byte SHA-256."""
    return _lower(key.sign(digest, _DIGEST))


def verify_digest(key: ec.EllipticCurvePublicKey, digest: bytes, signature: bytes) -> bool:
    """Whether a DER signature over a 32-byte SHA-256 digest is valid and low-S."""
    if not is_low_s(signature):
        return False
    try:
        key.verify(signature, digest, _DIGEST)
    except InvalidSignature:
        return False
    return True


def is_low_s(signature: bytes) -> bool:
    """Whether a DER ECDSA signature decodes and its S is in the lower half."""
    try:
        _, s = decode_dss_signature(signature)
    except ValueError:
        return False
    return 0 < s <= HALF_ORDER


def _lower(signature: bytes) -> bytes:
    r, s = decode_dss_signature(signature)
    return signature if s <= HALF_ORDER else encode_dss_signature(r, ORDER - s)
