"""Relations, grants, bases and readers as the real contract's records give them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Any

import pytest

from chaincode.codec import dumps, loads
from chaincode.contract import invoke
from chaincode.memory import MemoryLedger, MemoryStub
from chaincode.projection import project
from nodes.identity.certificates import certificate_pem, issue_identity, new_authority
from nodes.payloads import PayloadMeta, Relation, Residency
from nodes.payloads.ledger_facts import StateFacts, reader_of

FARM, COOP, MILL, CARRIER, SHOP, OFFICE, STRANGER = (
    f"urn:tracemark:party:{name}"
    for name in ("farm", "coop", "mill", "carrier", "shop", "office", "stranger")
)
ROLES = {
    OFFICE: ("OfficeMSP", "regulator"),
    FARM: ("GrowMSP", "producer"),
    COOP: ("GrowMSP", "producer"),
    MILL: ("MillMSP", "processor"),
    CARRIER: ("RoadMSP", "carrier"),
    SHOP: ("ShopMSP", "retailer"),
    STRANGER: ("OtherMSP", "retailer"),
}
CHERRIES = "https://id.gs1.org/01/09521234000013/10/C1"
COFFEE = "https://id.gs1.org/01/09521234000020/10/G1"
BAG = "https://id.gs1.org/01/09521234000037/21/B1"
PALLET = "https://id.gs1.org/00/095212340000000017"
DOCK = "https://id.gs1.org/414/9521234000006"


@dataclass
class Chain:
    """The contract on a ledger in memory, called by people with real certificates."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    certificates: dict[str, bytes] = field(default_factory=dict)
    time_ms: int = 1_790_000_000_000
    count: int = 0

    def __post_init__(self) -> None:
        authorities = {
            msp: new_authority(f"ca.{msp}", f"{msp.lower()}.example", "CO")
            for msp, _ in ROLES.values()
        }
        for party, (msp, _) in ROLES.items():
            unit = "admin" if party == OFFICE else "client"
            issued = issue_identity(authorities[msp], "x", unit, {"tracemark.party": party})
            self.certificates[party] = certificate_pem(issued.certificate)
        bare = issue_identity(authorities["ShopMSP"], "x", "client")
        self.certificates["bare"] = certificate_pem(bare.certificate)
        for party, (msp, role) in ROLES.items():
            self.call(
                OFFICE, "participant:register",
                id=party, name="x", msp=msp, roles=[role], country="CO", default=party != COOP,
                **({"locations": [DOCK]} if party == SHOP else {}),
            )  # fmt: skip
        for gtin in ("09521234000013", "09521234000020", "09521234000037"):
            self.call(MILL, "product:define", gtin=gtin, name="x", mode="report")

    def call(self, party: str, function: str, **argument: Any) -> Any:
        self.count += 1
        self.time_ms += 60_000
        stub = self.ledger.begin(
            f"{self.count:064x}", self.time_ms, ROLES[party][0], self.certificates[party]
        )
        result = loads(invoke(stub, function, [dumps(argument).decode()]))
        stub.commit()
        return result

    def capture(self, party: str, kind: str, step: str = "", actor: str = "", **fields: Any) -> str:
        """Anchor one event; returns its hash."""
        event = {
            "type": kind, "eventTime": f"2026-01-01T08:{self.count:02}:00Z",
            "eventTimeZoneOffset": "+00:00", "bizStep": step, **fields,
        }  # fmt: skip
        digest = hashlib.sha256(repr(event).encode()).hexdigest()
        event_hash = f"ni:///sha-256;{digest}?ver=CBV2.0"
        entry = {"hash": event_hash, "commitment": digest, "projection": project(event)}
        extra = {"actor": actor} if actor else {}
        result = self.call(party, "event:capture", events=[entry], **extra)
        assert not result["refused"], result
        return event_hash

    def reader(self) -> MemoryStub:
        return self.ledger.begin("0" * 64, 0, "", b"")


def kilos(identifier: str, amount: float) -> list[dict[str, Any]]:
    return [{"epcClass": identifier, "quantity": amount, "uom": "KGM"}]


def meta(event_hash: str, residency: str = "partners", owner: str = FARM) -> PayloadMeta:
    digest = event_hash[14:78]
    return PayloadMeta(digest, event_hash, owner, Residency(residency), "CO", "x", 1, 1)


@pytest.fixture(scope="module")
def story() -> tuple[Chain, dict[str, str]]:
    """Cherries of the farm, milled, bagged, put on a pallet, shipped to the shop, unpacked."""
    chain = Chain()
    chain.call(
        FARM, "delegation:grant",
        delegate=COOP, scopes=["event:capture"], expires_ms=chain.time_ms + 10**10,
    )  # fmt: skip
    to_mill = {
        "sourceList": [{"type": "possessing_party", "source": FARM}],
        "destinationList": [{"type": "possessing_party", "destination": MILL}],
    }
    to_shop = {
        "sourceList": [{"type": "possessing_party", "source": MILL}],
        "destinationList": [
            {"type": "possessing_party", "destination": SHOP},
            {"type": "location", "destination": DOCK},
        ],
    }
    seen = {"action": "OBSERVE"}
    cherries = {"quantityList": kilos(CHERRIES, 100)}
    hashes = {
        "harvest": chain.capture(
            COOP, "ObjectEvent", "commissioning", FARM, action="ADD", **cherries
        ),
        "sent": chain.capture(FARM, "ObjectEvent", "shipping", **seen, **cherries, **to_mill),
        "got": chain.capture(MILL, "ObjectEvent", "receiving", **seen, **cherries, **to_mill),
        "milled": chain.capture(
            MILL, "TransformationEvent", "creating_class_instance",
            inputQuantityList=kilos(CHERRIES, 100), outputQuantityList=kilos(COFFEE, 20),
        ),
        "bagged": chain.capture(
            MILL, "TransformationEvent", "creating_class_instance",
            inputQuantityList=kilos(COFFEE, 20), outputEPCList=[BAG],
        ),
        "packed": chain.capture(
            MILL, "AggregationEvent", "packing", action="ADD", parentID=PALLET, childEPCs=[BAG]
        ),
        "left": chain.capture(
            MILL, "ObjectEvent", "shipping", action="OBSERVE", epcList=[PALLET], **to_shop
        ),
        "arrived": chain.capture(
            SHOP, "ObjectEvent", "receiving", action="OBSERVE", epcList=[PALLET], **to_shop
        ),
        "unpacked": chain.capture(
            SHOP, "AggregationEvent", "unpacking", action="DELETE", parentID=PALLET, childEPCs=[BAG]
        ),
    }  # fmt: skip
    return chain, hashes


@pytest.mark.parametrize(
    ("event", "party", "expected"),
    [
        ("harvest", FARM, "made"),
        ("harvest", COOP, "made"),
        ("harvest", MILL, "held"),
        ("harvest", SHOP, "downstream"),
        ("harvest", STRANGER, None),
        ("sent", MILL, "named"),
        ("milled", FARM, "held"),
        ("milled", SHOP, "downstream"),
        ("bagged", FARM, "upstream"),
        ("bagged", SHOP, "held"),
        ("left", SHOP, "named"),
        ("left", FARM, "upstream"),
        ("left", STRANGER, None),
        ("unpacked", MILL, "held"),
        ("unpacked", FARM, "upstream"),
        ("unpacked", CARRIER, None),
    ],
)
def test_relations_from_the_contracts_records(
    story: tuple[Chain, dict[str, str]], event: str, party: str, expected: str | None
) -> None:
    """Who is concerned by which event, through lots, transformations and pallets."""
    chain, hashes = story
    facts = StateFacts(chain.reader)
    found = set(facts.relations(party, meta(hashes[event])))
    assert found == ({Relation(expected)} if expected else set())


def test_confidential_asks_for_the_event_alone(story: tuple[Chain, dict[str, str]]) -> None:
    """A holder of the goods is no party of a confidential event."""
    chain, hashes = story
    facts = StateFacts(chain.reader)
    assert not facts.relations(MILL, meta(hashes["harvest"], "confidential"))
    assert facts.relations(MILL, meta(hashes["sent"], "confidential")) == {Relation.NAMED}


def test_a_container_counts_only_while_the_goods_are_in_it() -> None:
    """A pallet used again for other goods must not make its later holder a partner."""
    chain = Chain()
    events = {"epcList": [BAG]}
    made = chain.capture(MILL, "ObjectEvent", "commissioning", action="ADD", **events)
    pack = {"parentID": PALLET, "childEPCs": [BAG]}
    chain.capture(MILL, "AggregationEvent", "packing", action="ADD", **pack)
    chain.capture(MILL, "AggregationEvent", "unpacking", action="DELETE", **pack)
    to_shop = {"destinationList": [{"type": "possessing_party", "destination": SHOP}]}
    ship = {"action": "OBSERVE", "epcList": [PALLET], **to_shop}
    chain.capture(MILL, "ObjectEvent", "shipping", **ship)
    chain.capture(SHOP, "ObjectEvent", "receiving", **ship)
    facts = StateFacts(chain.reader)
    assert not facts.relations(SHOP, meta(made, owner=MILL))


def test_an_event_not_on_the_chain_relates_to_nobody(
    story: tuple[Chain, dict[str, str]],
) -> None:
    """Neither an unknown event nor a known one with another payload opens anything."""
    chain, hashes = story
    facts = StateFacts(chain.reader)
    unknown = meta(f"ni:///sha-256;{'ab' * 32}?ver=CBV2.0")
    known = meta(hashes["harvest"])
    other = PayloadMeta("ff" * 32, known.event_hash, FARM, known.residency, "CO", "x", 1, 1)
    for payload in (unknown, other):
        assert not facts.relations(FARM, payload)
    pairs = [(m.event_hash, m.commitment) for m in (known, unknown, other)]
    assert facts.anchored(pairs) == [True, False, False]


def test_grants_for_event_identifier_and_class() -> None:
    """Each scope a grant may have covers the event, only from its owner, until it is revoked."""
    chain = Chain()
    made = chain.capture(MILL, "ObjectEvent", "commissioning", action="ADD", epcList=[BAG])
    facts, payload = StateFacts(chain.reader), meta(made, owner=MILL)
    for scope in (made, BAG, "https://id.gs1.org/01/09521234000037"):
        assert not facts.grants(SHOP, payload)
        chain.call(MILL, "grant:give", grantee=SHOP, scope=scope, expires_ms=chain.time_ms + 10**9)
        (grant,) = facts.grants(SHOP, payload)
        assert (grant.grantor, grant.grantee, grant.revoked) == (MILL, SHOP, False)
        assert grant.expires_ms
        assert not facts.grants(STRANGER, payload)
        chain.call(MILL, "grant:revoke", grantee=SHOP, scope=scope)
        assert [g.revoked for g in facts.grants(SHOP, payload)] == [True]
        chain.ledger.state = {
            k: v for k, v in chain.ledger.state.items() if not k.startswith("\0grant\0")
        }


def test_recorded_bases() -> None:
    """What a regulator left on the chain is found, for that event and that party."""
    chain = Chain()
    made = chain.capture(MILL, "ObjectEvent", "commissioning", action="ADD", epcList=[BAG])
    chain.call(OFFICE, "access:record", event=made, legal_basis="EU 2023/1115 Art. 16")
    facts, payload = StateFacts(chain.reader), meta(made, owner=MILL)
    (basis,) = facts.legal_bases(OFFICE, payload)
    assert (basis.legal_basis, basis.recorded_ms) == ("EU 2023/1115 Art. 16", chain.time_ms)
    assert len(basis.tx_id) == 64
    assert not facts.legal_bases(STRANGER, payload)


def test_readers_are_who_the_registry_says() -> None:
    """Party, roles and country come from the ledger; a borrowed name is worth nothing."""
    chain = Chain()
    state, certificates = chain.reader(), chain.certificates
    farm = reader_of(state, "GrowMSP", certificates[FARM], "Art. 16")
    assert (farm.party, farm.roles, farm.country) == (FARM, {"producer"}, "CO")
    assert (farm.active, farm.administrator, farm.legal_basis) == (True, False, "Art. 16")
    assert reader_of(state, "OfficeMSP", certificates[OFFICE]).administrator
    assert reader_of(state, "ShopMSP", certificates["bare"]).party == SHOP
    assert reader_of(state, "OtherMSP", certificates[FARM]).party is None
    assert reader_of(state, "NoMSP", certificates["bare"]).party is None
    assert reader_of(state, "GrowMSP", b"nonsense").party is None
    chain.call(OFFICE, "participant:suspend", id=FARM, reason="x")
    assert not reader_of(chain.reader(), "GrowMSP", certificates[FARM]).active


def test_a_declaration_s_payload_is_found_on_the_chain() -> None:
    """Defect: declarations lie below their party, were not found, and their payloads collected."""
    chain = Chain()
    made = chain.capture(FARM, "ObjectEvent", "commissioning", action="ADD", epcList=[BAG])
    record = loads(chain.reader().get_state(f"\0event\0{made[14:78]}\0") or b"")
    projection = record["projection"] | {"error": {"time_ms": chain.time_ms}}
    entry = {"hash": made, "commitment": "ab" * 32, "projection": projection}
    assert not chain.call(FARM, "event:capture", events=[entry])["refused"]
    facts = StateFacts(chain.reader)
    asked = [(made, made[14:78]), (made, "ab" * 32), (made, "cd" * 32)]
    assert facts.anchored(asked) == [True, True, False]
    declaration = PayloadMeta("ab" * 32, made, COOP, Residency.PARTNERS, "CO", "x", 1, 1)
    assert Relation.MADE in facts.relations(FARM, declaration)
    assert not facts.relations(STRANGER, declaration)


OTHER = "https://id.gs1.org/01/09521234000020/10/MINE"
CASE = "https://id.gs1.org/00/095212340000000024"
CLAIMS: dict[str, dict[str, Any]] = {
    "observe": {"kind": "ObjectEvent", "action": "OBSERVE", "quantityList": kilos(CHERRIES, 1)},
    "receive": {
        "kind": "ObjectEvent", "step": "receiving", "action": "OBSERVE",
        "quantityList": kilos(CHERRIES, 1), "epcList": [BAG],
    },
    "ship": {
        "kind": "ObjectEvent", "step": "shipping", "action": "OBSERVE", "epcList": [BAG],
        "destinationList": [{"type": "possessing_party", "destination": STRANGER}],
    },
    "make again": {
        "kind": "ObjectEvent", "step": "commissioning", "action": "ADD", "epcList": [BAG],
        "quantityList": kilos(CHERRIES, 1),
    },
    "consume": {
        "kind": "TransformationEvent", "step": "creating_class_instance",
        "inputQuantityList": kilos(CHERRIES, 1), "outputQuantityList": kilos(OTHER, 1),
    },
    "turn out": {
        "kind": "TransformationEvent", "step": "creating_class_instance",
        "inputQuantityList": kilos(OTHER, 1), "outputQuantityList": kilos(CHERRIES, 1),
    },
    "pack": {
        "kind": "AggregationEvent", "step": "packing", "action": "ADD", "parentID": CASE,
        "childEPCs": [BAG], "childQuantityList": kilos(CHERRIES, 1),
    },
    "fasten": {
        "kind": "AssociationEvent", "action": "ADD", "parentID": CASE, "childEPCs": [BAG],
    },
    "trade": {
        "kind": "TransactionEvent", "action": "ADD", "epcList": [BAG],
        "quantityList": kilos(CHERRIES, 1), "bizTransactionList": [{"bizTransaction": "urn:x:1"}],
    },
}  # fmt: skip


def made_goods(chain: Chain) -> list[PayloadMeta]:
    made = {"kind": "ObjectEvent", "step": "commissioning", "action": "ADD"}
    return [
        meta(chain.capture(FARM, **made, quantityList=kilos(CHERRIES, 100))),
        meta(chain.capture(FARM, **made, epcList=[BAG])),
    ]


@pytest.mark.parametrize("claim", CLAIMS)
def test_a_claim_to_goods_makes_no_partner(claim: str) -> None:
    """Defect: under policy `report` a stranger claimed the goods and read the partners' payloads.

    Neither does it help to hand what was claimed on to a friend, and no true partner loses by it.
    """
    chain = Chain()
    payloads = made_goods(chain)
    chain.capture(STRANGER, **CLAIMS[claim])
    ends = {
        "sourceList": [{"type": "possessing_party", "source": STRANGER}],
        "destinationList": [{"type": "possessing_party", "destination": CARRIER}],
    }
    goods = {"action": "OBSERVE", "epcList": [BAG], "quantityList": kilos(CHERRIES, 1), **ends}
    chain.capture(STRANGER, "ObjectEvent", "shipping", **goods)
    chain.capture(CARRIER, "ObjectEvent", "receiving", **goods)
    ends = {
        "sourceList": [{"type": "possessing_party", "source": FARM}],
        "destinationList": [{"type": "possessing_party", "destination": MILL}],
    }
    goods = {"action": "OBSERVE", "quantityList": kilos(CHERRIES, 50), **ends}
    chain.capture(FARM, "ObjectEvent", "shipping", **goods)
    chain.capture(MILL, "ObjectEvent", "receiving", **goods)
    facts = StateFacts(chain.reader)
    for payload in payloads:
        assert not facts.relations(STRANGER, payload)
        assert not facts.relations(CARRIER, payload)
    assert facts.relations(MILL, payloads[0])
