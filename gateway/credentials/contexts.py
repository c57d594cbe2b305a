"""The JSON-LD contexts credentials may use: all bundled, none fetched (VC Data Model 2.0 §4.3)."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

VC_V2 = "https://www.w3.org/ns/credentials/v2"
CERTIFICATE_V1 = "urn:tracemark:ns:certificate:v1"

FILES = {CERTIFICATE_V1: "certificate-v1.jsonld"}
"""Context name -> file below ``gateway/contexts`` (also its name below ``/contexts/``)."""


@cache
def context_bytes(file: str) -> bytes:
    """The bytes of a bundled context file; KeyError for a name that is not bundled."""
    if file not in FILES.values():
        raise KeyError(file)
    return files("gateway").joinpath("contexts", file).read_bytes()


@cache
def bundled() -> dict[str, dict[str, Any]]:
    """Our contexts by name, parsed; the W3C base context is added by the proof library."""
    return {name: json.loads(context_bytes(file)) for name, file in FILES.items()}


def known(context: object) -> bool:
    """Whether `context` (one entry of ``@context``) is bundled."""
    return isinstance(context, str) and (context == VC_V2 or context in FILES)
