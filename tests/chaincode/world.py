"""A small network in memory for the contract's tests: real certificates, the real entry point.

Nothing is mocked: parties sign nothing here (engines verify signatures), but their certificates
are real X.509 with Fabric's attribute extension, and every call goes through
``chaincode.contract.invoke`` on ``chaincode.memory``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from chaincode import codec, contract
from chaincode.caller import ATTRIBUTES_OID
from chaincode.errors import Refusal
from chaincode.gs1_keys import with_check_digit
from chaincode.memory import MemoryLedger
from chaincode.projection import project

T0 = 1_767_225_600_000  # 2026-01-01T00:00:00Z
DAY = 86_400_000
GTIN = "09521234543213"


def gln(number: int) -> str:
    """A valid 13-digit GLN."""
    return with_check_digit(f"{952000000000 + number}")


def party_id(number: int) -> str:
    """The canonical party id of a test party."""
    return f"https://id.gs1.org/417/{gln(number)}"


def sgtin(serial: str, gtin: str = GTIN) -> str:
    """A canonical serialised trade item."""
    return f"https://id.gs1.org/01/{gtin}/21/{serial}"


def lot(number: str, gtin: str = GTIN) -> str:
    """A canonical lot."""
    return f"https://id.gs1.org/01/{gtin}/10/{number}"


def sscc(number: int) -> str:
    """A canonical logistic unit."""
    return "https://id.gs1.org/00/" + with_check_digit(f"{95200000000000000 + number}")


def gtin(number: int) -> str:
    """A valid 14-digit GTIN."""
    return with_check_digit(f"{9521000000000 + number:013d}")


@lru_cache(maxsize=256)
def certificate(msp: str, party: str | None, unit: str = "client") -> bytes:
    """A self-signed PEM certificate with the attribute extension."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(NameOID.COMMON_NAME, f"{unit}@{msp}"),
        ]
    )
    now = datetime(2026, 1, 1, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=3650))
    )
    if party is not None:
        attributes = json.dumps({"attrs": {"tracemark.party": party}}).encode()
        builder = builder.add_extension(
            x509.UnrecognizedExtension(ATTRIBUTES_OID, attributes), critical=False
        )
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@dataclass
class World:
    """A ledger, its parties and a clock that moves a second a transaction."""

    ledger: MemoryLedger = field(default_factory=MemoryLedger)
    now_ms: int = T0
    count: int = 0
    users: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    last_writes: dict[str, bytes | None] = field(default_factory=dict)

    # calls

    def call(self, user: str, function: str, argument: Any = None, commit: bool = True) -> Any:
        """Run a function as a user and commit it; raises Refusal."""
        msp, pem = self.users[user]
        self.count += 1
        self.now_ms += 1_000
        stub = self.ledger.begin(
            hashlib.sha256(str(self.count).encode()).hexdigest(), self.now_ms, msp, pem
        )
        args = [] if argument is None else [codec.dumps(argument).decode()]
        result = contract.invoke(stub, function, args)
        self.last_writes = stub.writes
        if commit:
            stub.commit()
        return codec.loads(result)

    def refused(self, user: str, function: str, argument: Any = None) -> Refusal:
        """The refusal of a call that must be refused, leaving no trace."""
        before = dict(self.ledger.state)
        try:
            result = self.call(user, function, argument)
        except Refusal as refusal:
            assert self.ledger.state == before
            return refusal
        raise AssertionError(f"{function} was accepted: {result}")

    # parties

    def open(self) -> World:
        """Register the regulator, who opens the registry."""
        self.user("regulator", "RegulatorMSP", party_id(0), "admin")
        self.call(
            "regulator",
            "participant:register",
            {
                "gln": gln(0),
                "name": "Food and Medicine Authority",
                "msp": "RegulatorMSP",
                "roles": ["regulator"],
                "country": "CH",
            },
        )
        return self

    def user(self, name: str, msp: str, party: str | None, unit: str = "client") -> None:
        """A user with a certificate."""
        self.users[name] = (msp, certificate(msp, party, unit))

    def party(self, name: str, number: int, *roles: str, **more: Any) -> str:
        """Register a party with one user of the same name; returns the party id."""
        msp = more.pop("msp", f"{name.title()}MSP")
        self.user(name, msp, party_id(number))
        self.call(
            "regulator",
            "participant:register",
            {
                "gln": gln(number),
                "name": name.title(),
                "msp": msp,
                "roles": list(roles),
                "country": more.pop("country", "CH"),
                **more,
            },
        )
        return party_id(number)

    def product(self, owner: str, mode: str = "enforce", gtin: str = GTIN, **more: Any) -> None:
        """Define a product."""
        argument = {"gtin": gtin, "name": f"Product {gtin}", "mode": mode, **more}
        self.call(owner, "product:define", argument)

    # events

    def event(self, carbon: list[Any] | None = None, **projection: Any) -> dict[str, Any]:
        """A capture entry from projection fields; its hash is unique to its content and order."""
        self.count += 1
        body = {"v": 1, "type": "ObjectEvent", "time_ms": self.now_ms, **projection}
        if "source" in body:
            body["from"] = body.pop("source")
        return entry(body, str(self.count), carbon)

    def capture(self, user: str, *events: dict[str, Any], **more: Any) -> Any:
        """Capture events; returns the result."""
        return self.call(user, "event:capture", {"events": list(events), **more})

    def do(self, user: str, carbon: list[Any] | None = None, **projection: Any) -> Any:
        """Capture one event; returns its entry of `anchored`."""
        return self.capture(user, self.event(carbon, **projection))["anchored"][0]

    def no(self, user: str, **projection: Any) -> Refusal:
        """The refusal of one event."""
        carbon = projection.pop("carbon", None)
        event = self.event(carbon, **projection)
        return self.refused(user, "event:capture", {"events": [event]})

    def codes(self, user: str, **projection: Any) -> list[str]:
        """The codes of the findings of one accepted event."""
        return [f["code"] for f in self.do(user, **projection)["findings"]]

    # reading

    def item(self, uri: str) -> Any:
        """item:get"""
        return self.call("regulator", "item:get", {"id": uri}, commit=False)

    def balances(self, uri: str) -> Any:
        """item:balances"""
        return self.call("regulator", "item:balances", {"id": uri}, commit=False)

    def on_hand(self, uri: str, holder: str) -> str:
        """A holder's quantity of a lot, in the lot's unit."""
        rows = [b for b in self.balances(uri)["balances"] if b["holder"] == holder]
        return rows[0]["on_hand"] if rows else "0"

    def footprint(self, uri: str) -> Any:
        """carbon:footprint"""
        return self.call("regulator", "carbon:footprint", {"id": uri}, commit=False)


def entry(
    projection: dict[str, Any], nonce: str = "", carbon: list[Any] | None = None
) -> dict[str, Any]:
    """A capture entry with a hash of the projection (and a nonce)."""
    digest = hashlib.sha256(codec.dumps(projection) + nonce.encode()).hexdigest()
    found = {
        "hash": f"ni:///sha-256;{digest}?ver=CBV2.0",
        "commitment": hashlib.sha256(digest.encode()).hexdigest(),
        "projection": projection,
    }
    if carbon:
        found["carbon"] = carbon
    return found


def entry_of(event: dict[str, Any]) -> dict[str, Any]:
    """A capture entry of an EPCIS event; like CBV's, the hash leaves errorDeclaration out."""
    projection = project(event)
    hashed = {name: value for name, value in projection.items() if name != "error"}
    found = entry(hashed)
    found["projection"] = projection
    return found


def to(*ends: tuple[str, str]) -> list[dict[str, str]]:
    """Sources or destinations: (type, id) pairs."""
    return [{"type": kind, "id": target} for kind, target in ends]


def receiver(party: str) -> list[dict[str, str]]:
    """A destination that names the receiving party."""
    return to(("possessing_party", party))


def qty(uri: str, amount: str, unit: str = "KGM") -> dict[str, str]:
    """A quantity element."""
    return {"id": uri, "qty": amount, "unit": unit}


def co2(
    co2e_mg: int, stage: str = "transport", amount: str = "1", unit: str = "TKM", **more: Any
) -> dict[str, Any]:
    """A carbon record."""
    return {
        "stage": stage,
        "activity": {"amount": amount, "unit": unit},
        "factor": {"id": "test-factor", "version": "2026"},
        "co2e_mg": co2e_mg,
        **more,
    }
