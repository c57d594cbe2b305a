"""The demonstration as a whole: which stories, into which home, and what to show of them.

``<home>/gateway/demo.json`` says which files were loaded and with which certificates; while it
matches, nothing is loaded again. ``demo-keys.json`` beside it (0600) holds the users' API keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.anchoring import Journal
from cli.loading import Keys, Loader
from cli.stories import (
    Participant,
    Story,
    default_folder,
    load_network_parties,
    load_stories,
)

if TYPE_CHECKING:
    from gateway.access_keys import KeyParts
    from nodes.network import NetworkDescription

ROLES: Final = (
    "producer", "processor", "carrier", "warehouse", "certifier",
    "customs", "brand", "retailer", "regulator", "auditor",
)  # fmt: skip
STEM: Final = "https://id.gs1.org"

Told = Callable[[str, int], None]
"""Called with what was done, in a few words, and the number of steps in all."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One story as it is shown: scan address, its certificate's number and verdict."""

    name: str
    title: str
    events: int
    scan: str
    certificate: str
    verdict: str


@dataclass(frozen=True, slots=True)
class RoleKey:
    """An API key to try a role with."""

    role: str
    party: str
    user: str
    key: str


@dataclass(frozen=True, slots=True)
class Result:
    """What a demonstration ends with."""

    url: str
    home: str
    stories: tuple[Shown, ...]
    keys: tuple[RoleKey, ...]

    @property
    def valid(self) -> bool:
        """Whether every story's certificate verifies."""
        return all(story.verdict == "valid" for story in self.stories)

    def key(self, role: str) -> str:
        """The API key for a role."""
        return next(entry.key for entry in self.keys if entry.role == role)

    def to_json(self) -> dict[str, Any]:
        """As ``tracemark demo --json`` prints it."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Demonstration:
    """The stories of a folder for the network of a home."""

    folder: Path
    home: Path
    parties: tuple[Participant, ...]
    stories: tuple[Story, ...]

    @classmethod
    def of(cls, home: Path, folder: Path | None = None) -> Demonstration:
        """Read the stories; raises UsageFault."""
        folder = folder or default_folder()
        parties, stories = load_network_parties(folder), load_stories(folder)
        return cls(folder, home, tuple(parties), tuple(stories))

    @property
    def everyone(self) -> list[Participant]:
        """The network's own parties, then those of the stories."""
        return [*self.parties, *(party for story in self.stories for party in story.participants)]

    @property
    def steps(self) -> int:
        """How many things a load does at most."""
        return len(self.everyone) + sum(
            len(s.delegations) + len(s.products) + len(s.captures) + len(s.certificates)
            for s in self.stories
        )

    def load(
        self,
        description: NetworkDescription,
        parts: KeyParts,
        url: str,
        public_url: str,
        told: Told,
    ) -> Result:
        """Bring onto the ledger what is not there, through the gateway at `url`."""
        msp_ids = {o.name: o.msp_id for o in description.organisations}
        keys = Keys(self.home / "gateway" / "demo-keys.json", parts, msp_ids)
        loader = Loader(url, keys, msp_ids, lambda text: told(text, self.steps))
        try:
            certificates = self._known() or self._load(loader)
            shown = tuple(self._show(loader, s, certificates, public_url) for s in self.stories)
            return Result(public_url, str(self.home), shown, self._keys_by_role(keys))
        finally:
            loader.close()

    def _load(self, loader: Loader) -> dict[str, str]:
        journal = Journal.at(self.home / "gateway" / "demo-anchored.jsonl")
        certificates: dict[str, str] = {}
        loader.register(self.parties, self.everyone[len(self.parties) :])
        for story in self.stories:
            loader.prepare(story)
            loader.anchor(story, journal)
            for issue in story.certificates:
                certificates.setdefault(story.name, loader.certify(story, issue))
        marker = {"stories": self._digest(), "certificates": certificates}
        self._marker.write_text(json.dumps(marker, indent=2) + "\n", "utf-8")
        return certificates

    def _show(
        self, loader: Loader, story: Story, certificates: dict[str, str], public_url: str
    ) -> Shown:
        number = certificates[story.name]
        issuer = loader.as_party(story.party(story.certificates[0].by))
        verdict = str(issuer.post("/v1/verify", {"id": number})["overall"])
        scan = public_url + story.scan.removeprefix(STEM)
        return Shown(story.name, story.title, len(story.events()), scan, number, verdict)

    def _keys_by_role(self, keys: Keys) -> tuple[RoleKey, ...]:
        """One key for each role: of the first party that plays it and has not been shown yet."""
        chosen: list[RoleKey] = []
        taken: set[str] = set()
        for role in ROLES:
            playing = [party for party in self.everyone if role in party.roles and party.user]
            fresh = [party for party in playing if party.key not in taken]
            for party in (fresh or playing)[:1]:
                taken.add(party.key)
                token = keys.token(party.organisation, party.user)
                chosen.append(RoleKey(role, party.name, party.user, token))
        return tuple(chosen)

    @property
    def _marker(self) -> Path:
        return self.home / "gateway" / "demo.json"

    def _known(self) -> dict[str, str] | None:
        """The certificates by story, when all of it was loaded from the same files."""
        try:
            held = json.loads(self._marker.read_text("utf-8"))
        except (OSError, ValueError):
            return None
        if held.get("stories") != self._digest():
            return None
        found: dict[str, str] = held["certificates"]
        return found

    def _digest(self) -> str:
        """Changes when any of the stories' files does."""
        return digest_of(sorted(self.folder.rglob("*")), self.folder)


def digest_of(files: Sequence[Path], folder: Path) -> str:
    """SHA-256 (hex) over names and contents of the stories' files."""
    digest = hashlib.sha256()
    for file in files:
        if file.suffix in (".yaml", ".jsonld"):
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()
