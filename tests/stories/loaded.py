"""One gateway with all three stories in it, shared by every test of the run that asks for it.

The real thing: the demonstration network opened in this process, served over HTTP on a free port,
loaded by the parties' own keys.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cli.anchoring import Journal
from cli.client import Client
from cli.loading import Keys, Loader
from cli.profile import Profile
from cli.running import Running, running_gateway
from cli.stories import (
    Participant,
    Story,
    default_folder,
    load_network_parties,
    load_stories,
)
from gateway.settings import Settings
from nodes.network import init_network, load_network, read_description

NETWORK = Path(__file__).resolve().parents[2] / "network-config" / "demo.yaml"


@dataclass(frozen=True, slots=True)
class Loaded:
    """The gateway, who is in it, and the certificate issued in each story."""

    gateway: Running
    home: Path
    loader: Loader
    stories: dict[str, Story]
    parties: list[Participant]
    certificates: dict[str, str]
    events: dict[str, int]

    @property
    def url(self) -> str:
        """Base URL."""
        return self.gateway.url

    def key(self, organisation: str, user: str) -> str:
        """A user's API key."""
        return self.loader.keys.token(organisation, user)

    def client(self, organisation: str, user: str) -> Client:
        """A client that speaks as the user."""
        return self.loader.client(organisation, user)

    @property
    def auditor(self) -> Client:
        """A client that may read everything."""
        return self.client("authority", "auditor")

    def as_party(self, story: str, key: str) -> Client:
        """The client of a story's party."""
        return self.loader.as_party(self.stories[story].party(key))


_STASH: pytest.StashKey[Loaded] = pytest.StashKey()


def loaded(config: pytest.Config, folder: Path) -> Loaded:
    """The shared gateway, made below `folder` by the first caller and closed with the run."""
    if _STASH in config.stash:
        return config.stash[_STASH]
    home = folder / "home"
    init_network(read_description(NETWORK), home)
    options: dict[str, Any] = {
        "home": home,
        "port": 0,
        "organisation": "authority",
        "log_level": "warning",
    }
    with contextlib.ExitStack() as opening:
        gateway = opening.enter_context(running_gateway(Settings(**options)))
        msp_ids = {o.name: o.msp_id for o in load_network(home).organisations}
        keys = Keys(home / "gateway" / "keys.json", gateway.container, msp_ids)
        loader = Loader(gateway.url, keys, msp_ids)
        opening.callback(loader.close)
        stories = load_stories(default_folder())
        parties = load_network_parties(default_folder())
        loader.register(parties, [party for story in stories for party in story.participants])
        journal = Journal.at(folder / "journal.jsonl")
        events: dict[str, int] = {}
        certificates: dict[str, str] = {}
        for story in stories:
            loader.prepare(story)
            events[story.name] = loader.anchor(story, journal)
            certificates[story.name] = loader.certify(story, story.certificates[0])
        config.add_cleanup(opening.pop_all().close)
    made = Loaded(
        gateway, home, loader, {s.name: s for s in stories}, parties, certificates, events
    )
    config.stash[_STASH] = made
    return made


def anonymous(url: str) -> Client:
    """A client without a key."""
    return Client(Profile(url))
