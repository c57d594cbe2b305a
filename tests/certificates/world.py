"""The demonstration stories on a real network, in this process: what these tests stand on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.stories import Participant, Story, default_folder, load_network_parties, load_stories
from gateway.certify import Issued, Order
from gateway.container import Container, open_container
from gateway.credentials.facts import Claim
from gateway.credentials.service import CertificateService, clock_ms, service_of
from gateway.epcis.capture import Capturer
from gateway.epcis.document import read_document
from gateway.epcis.prepare import prepare
from gateway.settings import Settings
from nodes.identity import Signer, load_signer
from nodes.network import init_network, parse_description

COFFEE = "/01/09521105000012/10/AL260318"
INSULIN = "/01/09521201000015/21/GLY26A1093"
WATCH = "/01/09521301000014/21/MC26-0087"
REGULATOR = "https://id.gs1.org/417/9521900000002"


@dataclass
class World:
    """An open gateway over a network on which the stories happened."""

    home: Path
    container: Container
    stories: dict[str, Story]
    users: dict[str, tuple[str, str]]  # party id -> (organisation, user)

    @property
    def service(self) -> CertificateService:
        return service_of(self.container)

    def signer(self, party: str) -> Signer:
        return load_signer(self.home, *self.users[party])

    def submit(self, party: str, function: str, **argument: Any) -> Any:
        """A transaction by a party, visible in the read model when this returns."""
        done = self.container.ledger.submit_and_wait(self.signer(party), function, argument)
        assert self.container.readmodel.wait_for(done.tx_id, 10)
        return done.result

    def capture(self, party: str, data: bytes, actor: str = "") -> None:
        """Capture a document as a party."""
        prepared, faults = prepare(read_document(data))
        assert not faults, faults
        organisation, _ = self.users[party]
        capturer = Capturer(
            self.container.ledger,
            self.container.payloads,
            self.signer(party),
            msp(organisation),
            party,
            actor,
        )
        outcome = capturer.run(prepared)
        assert not outcome.refused, outcome.refused
        assert self.container.readmodel.wait_for(outcome.block, 10)

    def issue(self, story: str, **changes: Any) -> Issued:
        """The certificate a story asks for."""
        found = self.stories[story]
        wanted = found.certificates[0]
        issuer = found.party(wanted.by).id
        claims = {n: Claim(c.value, c.unit, c.checked_by) for n, c in wanted.claims.items()}
        terms = {"type": wanted.type, "subject": wanted.subject, "claims": claims} | changes
        order = Order(issuer=issuer, **terms)
        issued = self.service.certifier.issue(
            self.signer(issuer), order, clock_ms(), self.service.footprint
        )
        assert self.container.readmodel.wait_for(issued.committed.tx_id, 10)
        return issued


def msp(organisation: str) -> str:
    return f"{organisation.capitalize()}MSP"


def description(parties: list[Participant]) -> dict[str, Any]:
    """One organisation per name the stories use, with a user for every party that signs."""
    organisations = list(dict.fromkeys(party.organisation for party in parties))
    return {
        "name": "stories",
        "policy": {"n": 2, "of": len(organisations)},
        "orderer": {"batch_timeout_ms": 5, "max_message_count": 200},
        "organisations": [
            {
                "name": name,
                "msp_id": msp(name),
                "domain": f"{name}.example",
                "country": "NL",
                "node": {"host": "localhost", "port": 7051 + place},
                "users": [
                    {"name": "admin", "ou": "admin"},
                    {"name": "gateway"},
                    *(
                        {"name": party.user or party.key, "party": party.id}
                        for party in parties
                        if party.organisation == name and (party.user or party.default)
                    ),
                ],
            }
            for place, name in enumerate(organisations)
        ],
    }


def build(home: Path) -> None:
    """A home in which every story's documents are captured and no certificate issued."""
    folder = default_folder()
    common = load_network_parties(folder)
    stories = load_stories(folder)
    parties = [*common, *(party for story in stories for party in story.participants)]
    init_network(parse_description(description(parties)), home)
    with opened(home) as world:
        for party in parties:
            register(world, party)
        for story in stories:
            tell(world, story)


def register(world: World, party: Participant) -> None:
    """Enter a party; the regulator enters itself first, as its organisation's administrator."""
    first = party.id == REGULATOR
    signer = load_signer(world.home, party.organisation if first else "authority", "admin")
    argument = {
        "id": party.id,
        "name": party.name,
        "msp": msp(party.organisation),
        "roles": list(party.roles),
        "country": party.country,
    }
    if party.locations:
        argument["locations"] = list(party.locations)
    if party.licences:
        argument["licences"] = [licence.argument() for licence in party.licences]
    if party.default:
        argument["default"] = True
    world.container.ledger.submit_and_wait(signer, "participant:register", argument)


def tell(world: World, story: Story) -> None:
    """Delegations, products and documents of one story, in order."""
    from cli.stories import epoch_ms

    for entry in story.delegations:
        principal, delegate = story.party(entry.principal), story.party(entry.delegate)
        world.container.ledger.submit_and_wait(
            load_signer(world.home, principal.organisation, "admin"),
            "delegation:grant",
            {
                "principal": principal.id,
                "delegate": delegate.id,
                "scopes": list(entry.scopes),
                "expires_ms": epoch_ms(entry.expires),
            },
        )
    for product in story.products:
        argument = {"gtin": product.gtin, "name": product.name, "mode": product.mode,
                    "unit": product.unit}  # fmt: skip
        for name in ("brand", "max_yield", "mass_g"):
            value = getattr(product, name)
            if value not in ("", None):
                argument[name] = str(value)
        if product.makers:
            argument["makers"] = [story.party(maker).id for maker in product.makers]
        world.container.ledger.submit_and_wait(
            world.signer(story.party(product.defined_by).id), "product:define", argument
        )
    for capture in story.captures:
        actor = story.party(capture.actor).id if capture.actor else ""
        world.capture(story.party(capture.by).id, story.document(capture), actor)


@contextmanager
def opened(home: Path, **settings: Any) -> Iterator[World]:
    """The home's gateway, open in this process."""
    folder = default_folder()
    stories = {story.name: story for story in load_stories(folder)}
    parties = [*load_network_parties(folder)]
    parties += [party for story in stories.values() for party in story.participants]
    users = {p.id: (p.organisation, p.user or p.key) for p in parties if p.user or p.default}
    configured = Settings(home=home, organisation="brands", log_level="error", **settings)
    with open_container(configured) as container:
        yield World(home, container, stories, users)
