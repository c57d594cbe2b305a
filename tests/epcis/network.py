"""A running gateway on a small embedded network: two organisations, four parties, their keys."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from gateway.app import create_app
from gateway.container import Container, open_container
from gateway.settings import Settings
from nodes.identity.signer import load_signer
from nodes.network import init_network, parse_description

MAKER = "https://id.gs1.org/417/9521234000013"
CARRIER = "https://id.gs1.org/417/9521235000012"
BUYER = "https://id.gs1.org/417/9521236000011"
FARMER = "urn:tracemark:party:hill-farm"

USERS = {
    # user: (organisation, party, roles)
    "maker": ("makers", MAKER, ["producer", "processor", "brand"]),
    "carrier": ("traders", CARRIER, ["carrier", "warehouse"]),
    "buyer": ("traders", BUYER, ["retailer"]),
    "inspector": ("makers", "urn:tracemark:party:inspectorate", ["regulator"]),
}


def description() -> dict[str, Any]:
    def organisation(name: str, port: int) -> dict[str, Any]:
        users = [
            {"name": user, "party": party} for user, (org, party, _) in USERS.items() if org == name
        ]
        return {
            "name": name,
            "msp_id": name.capitalize() + "MSP",
            "domain": f"{name}.example",
            "country": "NL",
            "node": {"name": "node", "host": "localhost", "port": port},
            "users": [{"name": "admin", "ou": "admin"}, {"name": "gateway"}, *users],
        }

    return {
        "name": "epcis",
        "channel": "trace",
        "chaincode": "tracemark",
        "policy": {"n": 2, "of": 2},
        "orderer": {"max_message_count": 100, "batch_timeout_ms": 5},
        "organisations": [organisation("makers", 17051), organisation("traders", 17052)],
    }


@dataclass
class Gateway:
    """The running gateway: its container, a client, and an API key per user."""

    container: Container
    client: TestClient
    keys: dict[str, str]

    def headers(self, user: str = "maker", **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.keys[user]}", **more}

    def get(self, path: str, user: str = "maker", headers: Any = None, **params: Any) -> Any:
        return self.client.get(
            "/epcis/v2" + path, params=params, headers={**self.headers(user), **(headers or {})}
        )

    def events(self, path: str = "/events", user: str = "maker", **params: Any) -> list[Any]:
        """Every event of a query, following its pages."""
        answer = self.get(path, user, **params)
        found: list[Any] = []
        while True:
            assert answer.status_code == 200, answer.text
            found += answer.json()["epcisBody"]["queryResults"]["resultsBody"]["eventList"]
            if "next" not in answer.links:
                return found
            answer = self.client.get(answer.links["next"]["url"], headers=self.headers(user))

    def post(self, path: str, body: Any, user: str = "maker", **headers: str) -> Any:
        content = body if isinstance(body, bytes) else None
        return self.client.post(
            "/epcis/v2" + path,
            content=content,
            json=None if content is not None else body,
            headers={"Content-Type": "application/json", **self.headers(user, **headers)},
        )

    def capture(self, body: Any, user: str = "maker", **headers: str) -> dict[str, Any]:
        """Capture a document and wait for its job."""
        answer = self.post("/capture", body, user, **headers)
        assert answer.status_code == 202, answer.text
        path = answer.headers["Location"].removeprefix("/epcis/v2")
        self.container.parts["capture_jobs"].wait(path.rpartition("/")[2], 60)
        job: dict[str, Any] = self.get(path, user).json()
        assert not job["running"], job
        return job


@contextmanager
def running_gateway(home: Path, database_url: str = "") -> Iterator[Gateway]:
    """Make (or reopen) the network below `home` and serve it."""
    fresh = not (home / "network.json").exists()
    if fresh:
        init_network(parse_description(description()), home)
    settings = Settings(home=home, organisation="makers", database_url=database_url)
    with open_container(settings) as container:
        if fresh:
            register(container)
        keys = {user: api_key(container, user) for user in USERS}
        with TestClient(create_app(container.settings, container)) as client:
            yield Gateway(container, client, keys)


def register(container: Container) -> None:
    def submit(org: str, user: str, function: str, argument: dict[str, Any]) -> None:
        signer = load_signer(container.home, org, user)
        done = container.ledger.submit_and_wait(signer, function, argument)
        container.readmodel.wait_for(done.block_number + 1, 10)

    inspector = USERS["inspector"]
    parties = [inspector, *(entry for entry in USERS.values() if entry is not inspector)]
    parties.append(("makers", FARMER, ["producer"]))
    for org, party, roles in parties:
        name = party.rpartition(":")[2] if party.startswith("urn:") else party[-13:]
        given = {"slug": name} if party.startswith("urn:") else {"gln": name}
        argument = {
            **given,
            "name": name,
            "msp": org.capitalize() + "MSP",
            "roles": roles,
            "country": "NL",
        }
        if party == inspector[1]:
            submit("makers", "admin", "participant:register", argument)
        else:
            submit("makers", "inspector", "participant:register", argument)
    submit(
        "makers",
        "admin",
        "delegation:grant",
        {
            "principal": FARMER,
            "delegate": MAKER,
            "scopes": ["event:capture"],
            "expires_ms": int(time.time() * 1000) + 86_400_000,
        },
    )


def api_key(container: Container, user: str) -> str:
    org, party, _ = USERS[user]
    signer = load_signer(container.home, org, user)
    container.wallet.put(user, signer)
    _, token = container.keys.create(
        label=user,
        msp=signer.msp_id,
        org=org,
        user=user,
        party=party,
        ou="client",
        certificate=signer.certificate.decode(),
        created_by="test",
    )
    return token
