"""The EPCIS event hash of CBV 2.0 §8.9: what an event says, whatever its spelling.

The event is written as one pre-hash string (properties in the standard's canonical order, lists
sorted, times in UTC milliseconds, numbers without trailing zeros, vocabulary and identifiers as
Web URIs, names of extensions with their namespace in braces) and that string is hashed with
SHA-256: ``ni:///sha-256;<64 hex>?ver=CBV2.0``. ``recordTime``, ``eventID``, ``errorDeclaration``
and comments take no part, so an error declaration has the hash of the event it corrects.

Input is a neutral tree, the EPCIS 2.0 data model as ``json.loads`` gives it: dict, list, str,
int, float, Decimal, bool, None. Extension names are CURIEs whose prefixes the document's or the
event's ``@context`` declares, full IRIs, or ``{namespace}local`` as an XML reader writes them, so
either syntax gives the same hash. Pure: no I/O, no clock; a remote context is never fetched.

Where readings of the standard differ, :class:`Profile` names the difference.
"""

from __future__ import annotations

import re
from hashlib import sha256
from typing import Any

from gateway.epcis.hash_writer import Event, Profile, Writer
from gateway.epcis.namespaces import Namespaces

__all__ = [
    "CBV_2_0",
    "CBV_2_1",
    "Hasher",
    "Profile",
    "event_hash",
    "hash_hex",
    "pre_hash",
]

_NI = re.compile(r"ni:///sha-256;([0-9a-f]{64})\?ver=CBV2\.\d+")

CBV_2_0 = Profile("CBV2.0", inline_extensions=False, sensor_list_name=False)
CBV_2_1 = Profile("CBV2.1", inline_extensions=True, sensor_list_name=True)


def event_hash(event: Event, context: Any = None, profile: Profile = CBV_2_0) -> str:
    """``ni:///sha-256;<64 hex>?ver=CBV2.0`` of one event.

    event: the event's tree. context: the document's ``@context`` as parsed, or None.
    """
    return Hasher(context, profile).hash(event)


def pre_hash(event: Event, context: Any = None, profile: Profile = CBV_2_0) -> str:
    """The pre-hash string `event_hash` digests."""
    return Hasher(context, profile).pre_hash(event)


def hash_hex(ni_uri: str) -> str:
    """The 64 hex digits of an event hash URI, "" where it is none."""
    match = _NI.fullmatch(ni_uri)
    return match[1] if match else ""


class Hasher:
    """Hashes the events of one document: its ``@context`` is read once."""

    __slots__ = ("_namespaces", "_profile")

    def __init__(self, context: Any = None, profile: Profile = CBV_2_0) -> None:
        self._namespaces = context if isinstance(context, Namespaces) else Namespaces.of(context)
        self._profile = profile

    def hash(self, event: Event) -> str:
        """The event's hash URI."""
        digest = sha256(self.pre_hash(event).encode("utf-8", "surrogatepass")).hexdigest()
        return f"ni:///sha-256;{digest}?ver={self._profile.version}"

    def pre_hash(self, event: Event) -> str:
        """The event's pre-hash string."""
        local = event.get("@context")
        namespaces = self._namespaces.extended(local) if local is not None else self._namespaces
        return Writer(namespaces, self._profile).event(event)
