"""The demonstration stories as data: who takes part, what is defined, who captures which document.

A folder of stories holds ``network.yaml`` (parties of the network itself) and one folder per
story with ``story.yaml`` and its EPCIS 2.0 documents. Dates are ISO 8601 calendar days, meaning
00:00 UTC; money and secrets have no place here. The shape is checked on reading, and references
(a party named but not described, a document that is not there) are refused with their place.
"""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cli.errors import UsageFault

M = TypeVar("M", bound=BaseModel)
Key = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{1,40}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Licence(_Strict):
    """A licence or accreditation: `kind` is the role or certificate type it covers."""

    number: str
    kind: str
    issuer: str
    valid_from: date
    valid_until: date

    def argument(self) -> dict[str, Any]:
        """As the contract takes it."""
        return {
            "number": self.number,
            "kind": self.kind,
            "issuer": self.issuer,
            "valid_from_ms": epoch_ms(self.valid_from),
            "valid_until_ms": epoch_ms(self.valid_until),
        }


class Participant(_Strict):
    """A party of a story. `user` signs for it; without one, `recorded_by` captures for it."""

    key: Key
    id: str
    name: str
    organisation: Key
    country: str = Field(pattern=r"^[A-Z]{2}$")
    roles: tuple[str, ...]
    locations: tuple[str, ...] = ()
    licences: tuple[Licence, ...] = ()
    default: bool = False
    user: str = ""
    recorded_by: str = ""


class Delegation(_Strict):
    """`delegate` may do `scopes` for `principal` until `expires`."""

    principal: Key
    delegate: Key
    scopes: tuple[str, ...]
    expires: date


class Product(_Strict):
    """A product definition; `mass_g` is grams per unit, `makers` may commission it too."""

    gtin: str = Field(pattern=r"^\d{14}$")
    name: str
    brand: str = ""
    defined_by: Key
    mode: Literal["enforce", "report"] = "enforce"
    unit: str = "EA"
    mass_g: str | int | None = None
    max_yield: str | None = None
    makers: tuple[Key, ...] = ()
    disclosure: str = "open"


class Capture(_Strict):
    """One document, captured by the party `by`, for `actor` where that is another party."""

    file: str
    by: Key
    actor: Key | None = None


class Claim(_Strict):
    """What the issuer states on its own word; `checked_by` is the party that checked it."""

    value: str
    unit: str | None = None
    checked_by: str | None = None


class Issue(_Strict):
    """A certificate to issue: on what, of which type, by whom, and what is typed in."""

    subject: str
    type: str
    by: Key
    valid_until: date
    claims: dict[str, Claim] = {}


class Story(_Strict):
    """One product's way from its materials to its last owner."""

    name: Key
    title: str
    summary: str
    countries: tuple[str, ...]
    participants: tuple[Participant, ...]
    delegations: tuple[Delegation, ...] = ()
    products: tuple[Product, ...]
    captures: tuple[Capture, ...]
    certificates: tuple[Issue, ...]
    scan: str
    folder: Path

    @model_validator(mode="after")
    def _references(self) -> Story:
        known = {party.key for party in self.participants}
        named = [capture.by for capture in self.captures]
        named += [capture.actor for capture in self.captures if capture.actor]
        named += [product.defined_by for product in self.products]
        named += [maker for product in self.products for maker in product.makers]
        named += [issue.by for issue in self.certificates]
        named += [key for entry in self.delegations for key in (entry.principal, entry.delegate)]
        for key in named:
            if key not in known:
                raise ValueError(f"{key!r} is named but is no participant of this story")
        for capture in self.captures:
            if not (self.folder / capture.file).is_file():
                raise ValueError(f"document {capture.file} does not exist")
        return self

    def party(self, key: str) -> Participant:
        """The participant with this key."""
        return next(party for party in self.participants if party.key == key)

    def document(self, capture: Capture) -> bytes:
        """The document's bytes as they are stored."""
        return (self.folder / capture.file).read_bytes()

    def events(self) -> list[dict[str, Any]]:
        """Every event of the story in the order captured."""
        found: list[dict[str, Any]] = []
        for capture in self.captures:
            found += json.loads(self.document(capture))["epcisBody"]["eventList"]
        return found


def load_story(folder: Path) -> Story:
    """Read one story; raises UsageFault naming the file and the field."""
    file = folder / "story.yaml"
    return _parse(Story, _yaml(file) | {"folder": folder}, file)


def load_stories(folder: Path) -> list[Story]:
    """Every story below `folder`, by name."""
    stories = [load_story(file.parent) for file in sorted(folder.glob("*/story.yaml"))]
    if not stories:
        raise UsageFault(f"{folder} holds no stories (folders with a story.yaml)")
    return stories


def load_network_parties(folder: Path) -> list[Participant]:
    """The parties of the network itself; the first is the regulator that opens the registry."""
    file = folder / "network.yaml"
    entries = _yaml(file).get("participants", [])
    return [_parse(Participant, entry, file) for entry in entries]


def epoch_ms(day: date) -> int:
    """Midnight UTC at the start of `day`, in milliseconds."""
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp() * 1000)


def default_folder() -> Path:
    """The stories that come with the source tree."""
    return Path(__file__).resolve().parent.parent / "tests" / "data" / "stories"


def _yaml(file: Path) -> dict[str, Any]:
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageFault(f"{file} cannot be read: {error}") from error
    if not isinstance(data, dict):
        raise UsageFault(f"{file} is not a mapping")
    return data


def _parse(kind: type[M], data: dict[str, Any], file: Path) -> M:
    try:
        return kind.model_validate(data)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, fault['loc'])) or 'story'}: {fault['msg']}"
            for fault in error.errors()
        )
        raise UsageFault(f"{file}: {'; '.join(faults)}") from error
