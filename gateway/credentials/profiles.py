"""Certificate profiles: which fields a food, drug or luxury certificate holds, and which law asks.

Profiles are data (``data/*.json``): each field names the clause that asks for it and how it is
read from the ledger (``reading``, see :mod:`gateway.credentials.readings`); a field without a
reading can only be declared by the issuer, and the certificate says so.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from gateway.credentials.errors import ProfileUnknown

NAMES = ("food", "drug", "luxury")


@dataclass(frozen=True, slots=True)
class Field:
    """One field: its name, whether it must be present, its reading ("" for none), its clause."""

    name: str
    required: bool
    reading: str
    clause: str


@dataclass(frozen=True, slots=True)
class Profile:
    """One certificate profile. `type` is the credential's second type; `subjects` the identifier
    kinds it may speak about; `validity_days` how long it is valid unless the issuer says."""

    name: str
    type: str
    title: str
    subjects: tuple[str, ...]
    validity_days: int
    fields: tuple[Field, ...]

    def field(self, name: str) -> Field | None:
        """The field of that name, or None."""
        return next((field for field in self.fields if field.name == name), None)


@cache
def load(name: str) -> Profile:
    """The profile called `name`; ProfileUnknown otherwise."""
    if name not in NAMES:
        raise ProfileUnknown(f"there is no certificate type {name!r}; known: {', '.join(NAMES)}")
    text = files("gateway").joinpath("credentials", "data", f"{name}.json").read_bytes()
    data = json.loads(text)
    return Profile(
        name=data["name"],
        type=data["type"],
        title=data["title"],
        subjects=tuple(data["subjects"]),
        validity_days=data["validity_days"],
        fields=tuple(Field(**field) for field in data["fields"]),
    )


@cache
def by_type(credential_type: str) -> Profile | None:
    """The profile whose credential type is `credential_type`, or None."""
    return next((p for p in map(load, NAMES) if p.type == credential_type), None)
