"""Load stories into a network, each step by the party whose step it is, over the HTTP interface.

Every step looks first and does only what is missing, so an interrupted load goes on where it was:
participants and products are listed, documents have a journal (:mod:`cli.anchoring`) and are
idempotent anyway, and a certificate is issued where the item has none of that type in force.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cli.anchoring import Journal, anchor
from cli.client import Client, path_segment
from cli.errors import Refused
from cli.profile import Profile
from cli.stories import Delegation, Issue, Participant, Product, Story, epoch_ms

if TYPE_CHECKING:
    import httpx

    from gateway.access_keys import KeyParts

ADMIN: Final = "admin"
REGULATOR: Final = "regulator"

Told = Callable[[str], None]
"""Called with what was just done, in a few words."""


class Keys:
    """API keys of the stories' users, made on first use and kept in a file of the home (0600).

    `file` holds ``{"<organisation>/<user>": token}``.
    """

    def __init__(self, file: Path, parts: KeyParts, msp_ids: dict[str, str]) -> None:
        self._file = file
        self._parts = parts
        self._msp_ids = msp_ids
        try:
            self._tokens: dict[str, str] = json.loads(file.read_text())
        except (OSError, ValueError):
            self._tokens = {}

    def token(self, organisation: str, user: str) -> str:
        """The user's token."""
        name = f"{organisation}/{user}"
        known = self._tokens.get(name)
        held = self._parts.keys.find(known) if known else None
        if known and held is not None and held.revoked_ms is None:
            return known
        from cli.local_keys import make_key
        from gateway.access_keys import NewKey
        from nodes.identity.folders import write_secret

        wanted = NewKey(
            label=f"demonstration: {user}",
            msp_id=self._msp_ids[organisation],
            user=user,
            created_by="demo",
        )
        self._tokens[name] = str(make_key(self._parts, wanted)["key"])
        text = json.dumps(self._tokens, indent=2, sort_keys=True)
        write_secret(self._file, text.encode() + b"\n")
        return self._tokens[name]


@dataclass(slots=True)
class Loader:
    """Loads parties, products, documents and certificates through one gateway.

    `transport` replaces the network for in-process use.
    """

    url: str
    keys: Keys
    msp_ids: dict[str, str]
    told: Told = lambda _: None
    transport: httpx.BaseTransport | None = None
    _clients: dict[tuple[str, str], Client] = field(default_factory=dict)

    def close(self) -> None:
        """Close every connection."""
        for client in self._clients.values():
            client.close()
        self._clients.clear()

    def client(self, organisation: str, user: str) -> Client:
        """The client that speaks as this user."""
        found = self._clients.get((organisation, user))
        if found is None:
            profile = Profile(self.url, self.keys.token(organisation, user))
            found = Client(profile, transport=self.transport)
            self._clients[(organisation, user)] = found
        return found

    def as_party(self, party: Participant) -> Client:
        """The client of the user that signs for `party`."""
        return self.client(party.organisation, party.user)

    def register(self, network: Sequence[Participant], parties: Sequence[Participant]) -> None:
        """Open the registry with the first of `network`, then register everyone missing."""
        opener = network[0]
        opening = self.client(opener.organisation, ADMIN)
        known = {record["id"] for record in opening.records("/v1/participants")}
        if opener.id not in known:
            opening.post("/v1/participants", self._registration(opener))
            self.told(f"{opener.name} opens the registry")
        regulator = self.as_party(opener)
        for party in [*network[1:], *parties]:
            if party.id not in known:
                regulator.post("/v1/participants", self._registration(party))
                self.told(f"{party.name} ({party.country}) is registered")

    def prepare(self, story: Story) -> None:
        """The story's delegations and products."""
        for delegation in story.delegations:
            self._delegate(story, delegation)
        known: set[str] | None = None
        for product in story.products:
            client = self.as_party(story.party(product.defined_by))
            if known is None:
                known = {record["gtin"] for record in client.records("/v1/products")}
            if product.gtin not in known:
                client.post("/v1/products", _definition(story, product))
                self.told(f"{product.name} is defined")

    def anchor(self, story: Story, journal: Journal | None) -> int:
        """Anchor the story's documents in order; returns the number of events. Raises Refused."""
        events = 0
        for capture in story.captures:
            client = self.as_party(story.party(capture.by))
            actor = story.party(capture.actor).id if capture.actor else ""
            outcome = anchor(
                client,
                f"{story.name}/{capture.file}",
                story.document(capture),
                actor=actor,
                journal=journal,
            )
            if not outcome.accepted:
                raise Refused(
                    f"{outcome.name} was refused", code="STORY_REFUSED", errors=outcome.errors
                )
            events += outcome.anchored
            self.told(f"{story.party(capture.by).name}: {capture.file}")
        return events

    def certify(self, story: Story, issue: Issue) -> str:
        """The number of the story's certificate, issued where there is none in force."""
        client = self.as_party(story.party(issue.by))
        issuer = story.party(issue.by)
        listed = client.get("/v1/certificates", {"subject": issue.subject})["certificates"]
        for entry in listed:
            same = entry["type"] == issue.type and entry["issuer"] == issuer.id
            if same and entry["status"] == "active":
                return str(entry["id"])
        claims = {
            name: {k: v for k, v in (("value", c.value), ("unit", c.unit),
                                     ("checkedBy", c.checked_by)) if v}
            for name, c in issue.claims.items()
        }  # fmt: skip
        made = client.post(
            "/v1/certificates",
            {
                "type": issue.type,
                "subject": issue.subject,
                "claims": claims,
                "validUntil": issue.valid_until.isoformat(),
            },
        )
        self.told(f"{issuer.name} issues a {issue.type} certificate")
        return str(made["id"])

    def _registration(self, party: Participant) -> dict[str, Any]:
        body: dict[str, Any] = {
            "id": party.id,
            "name": party.name,
            "msp": self.msp_ids[party.organisation],
            "roles": list(party.roles),
            "country": party.country,
        }
        if party.default:
            body["default"] = True
        if party.locations:
            body["locations"] = list(party.locations)
        if party.licences:
            body["licences"] = [licence.argument() for licence in party.licences]
        return body

    def _delegate(self, story: Story, delegation: Delegation) -> None:
        """By the principal, or for one without a key by its organisation's administrator."""
        principal, delegate = story.party(delegation.principal), story.party(delegation.delegate)
        client = self.client(principal.organisation, principal.user or ADMIN)
        path = f"/v1/participants/{path_segment(principal.id)}/delegations"
        for entry in client.get(path)["given"]:
            if entry["delegate"] == delegate.id and entry["status"] == "active":
                return
        body = {
            "delegate": delegate.id,
            "scopes": list(delegation.scopes),
            "expires_ms": epoch_ms(delegation.expires),
            "principal": principal.id,
        }
        client.post("/v1/delegations", body)
        self.told(f"{delegate.name} may act for {principal.name}")


def _definition(story: Story, product: Product) -> dict[str, Any]:
    body: dict[str, Any] = {
        "gtin": product.gtin,
        "name": product.name,
        "mode": product.mode,
        "unit": product.unit,
    }
    for name in ("brand", "mass_g", "max_yield"):
        if value := getattr(product, name):
            body[name] = str(value)
    if product.makers:
        body["makers"] = [story.party(maker).id for maker in product.makers]
    return body
