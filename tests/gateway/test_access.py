"""Keys, wallet, certificates, roles, offline signing: who may do what, and how they lose it."""

from __future__ import annotations

import base64
import os
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.api_keys import split_token
from gateway.wallet import Wallet, WalletError
from nodes.identity import signature
from nodes.identity.issue import issue_user, revoke_user
from nodes.identity.signer import Signer, load_signer
from tests.gateway.running import Gateway, party


def code(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == f"/problems/{body['code']}"
    assert body["status"] == answer.status_code
    return str(body["code"])


def test_a_key_is_bound_to_a_ledger_identity(gateway: Gateway) -> None:
    me = gateway.client("farm").get("/v1/keys/self").json()
    assert me["msp"] == "GrowersMSP"
    assert me["party"] == party("farm")
    assert me["roles"] == ["producer"]
    assert me["signs"] == "gateway"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "UNAUTHENTICATED"),
        ({"Authorization": "Bearer nonsense"}, "KEY_INVALID"),
        ({"Authorization": "Basic dXNlcjpwYXNz"}, "KEY_INVALID"),
        ({"Authorization": f"Bearer tmk_{'0' * 16}_{'0' * 43}"}, "KEY_INVALID"),
        ({"X-API-Key": "tmk_\u00e9"}, "KEY_INVALID"),
        ({"X-API-Key": "a" * 30_000}, "KEY_INVALID"),
        ({"Authorization": "Bearer tmk_' OR 1=1 --"}, "KEY_INVALID"),
    ],
)
def test_wrong_credentials_are_refused(
    gateway: Gateway, headers: dict[str, str], expected: str
) -> None:
    encoded = {name: value.encode("latin-1") for name, value in headers.items()}
    answer = gateway.client().get("/v1/participants", headers=encoded)
    assert answer.status_code == 401
    assert code(answer) == expected
    assert "www-authenticate" in answer.headers


def test_two_different_keys_in_one_request_are_refused(gateway: Gateway) -> None:
    answer = gateway.client("farm").get(
        "/v1/keys/self", headers={"X-API-Key": gateway.token("mill")}
    )
    assert code(answer) == "KEY_INVALID"


def test_the_right_id_with_a_wrong_secret_is_refused(gateway: Gateway) -> None:
    token = gateway.token("farm")
    flipped = token[:-1] + ("A" if token[-1] != "A" else "B")
    answer = gateway.client(headers={"X-API-Key": flipped}).get("/v1/keys/self")
    assert code(answer) == "KEY_INVALID"


def test_an_expired_key_is_dead(gateway: Gateway) -> None:
    token = gateway.token("farm", expires_ms=int(time.time() * 1000) - 1)
    answer = gateway.client(headers={"X-API-Key": token}).get("/v1/keys/self")
    assert answer.status_code == 401
    assert code(answer) == "KEY_EXPIRED"


def test_admins_make_list_and_revoke_keys(gateway: Gateway) -> None:
    admin = gateway.client("growers/admin")
    made = admin.post("/v1/keys", json={"label": "line 2", "user": "mill", "valid_days": 1})
    assert made.status_code == 201
    key = made.json()
    holder = gateway.client(headers={"X-API-Key": key["key"]})
    assert holder.get("/v1/keys/self").json()["party"] == party("mill")
    listed = {entry["id"]: entry for entry in admin.get("/v1/keys").json()}
    assert listed[key["id"]]["label"] == "line 2"
    assert key["key"].split("_")[2] not in str(listed)
    assert admin.delete(f"/v1/keys/{key['id']}").status_code == 204
    assert code(holder.get("/v1/keys/self")) == "KEY_INVALID"


def test_keys_are_the_organisation_s_own_business(gateway: Gateway) -> None:
    assert code(gateway.client("farm").get("/v1/keys")) == "FORBIDDEN"
    assert code(gateway.client("farm").post("/v1/keys", json={"label": "x", "user": "y"})) == (
        "FORBIDDEN"
    )
    admin = gateway.client("growers/admin")
    stranger = split_token(gateway.token("roaster"))
    assert stranger is not None
    assert code(admin.delete(f"/v1/keys/{stranger[0]}")) == "NOT_FOUND"
    assert all(entry["msp"] == "GrowersMSP" for entry in admin.get("/v1/keys").json())
    assert "key" not in admin.get("/v1/keys").json()[0]


def test_a_new_user_is_issued_for_a_party(gateway: Gateway) -> None:
    admin = gateway.client("growers/admin")
    made = admin.post("/v1/keys", json={"label": "x", "user": "newcomer", "party": party("farm")})
    token = made.json()["key"]
    me = gateway.client(headers={"X-API-Key": token}).get("/v1/keys/self").json()
    assert (me["user"], me["party"]) == ("newcomer", party("farm"))
    wrong = admin.post("/v1/keys", json={"label": "x", "user": "newcomer", "party": party("mill")})
    assert code(wrong) == "VALIDATION"


def test_a_foreign_certificate_makes_no_key(gateway: Gateway) -> None:
    foreign = load_signer(gateway.container.home, "trade", "roaster").certificate.decode()
    body = {"label": "x", "user": "roaster", "certificate": foreign}
    answer = gateway.client("growers/admin").post("/v1/keys", json=body)
    assert code(answer) == "CERTIFICATE_INVALID"


def test_a_revoked_user_loses_the_gateway_too(gateway: Gateway) -> None:
    home = gateway.container.home
    issue_user(home, "growers", "leaver", attrs={"tracemark.party": party("farm")})
    admin = gateway.client("growers/admin")
    token = admin.post("/v1/keys", json={"label": "x", "user": "leaver"}).json()["key"]
    leaver = gateway.client(headers={"X-API-Key": token})
    assert leaver.get("/v1/keys/self").status_code == 200
    revoke_user(home, "growers", "leaver")
    deadline = time.monotonic() + 10
    while leaver.get("/v1/keys/self").status_code == 200:
        assert time.monotonic() < deadline, "a revoked user still reads"
        time.sleep(0.2)
    assert code(leaver.get("/v1/keys/self")) == "CERTIFICATE_INVALID"


def test_a_wrong_role_is_refused_by_the_contract(gateway: Gateway) -> None:
    answer = gateway.client("farm").post(
        f"/v1/participants/{party('mill')}/suspend", json={"reason": "because"}
    )
    assert answer.status_code == 403
    assert code(answer) == "ROLE_NOT_ALLOWED"


def test_suspension_takes_the_roles_at_once(gateway: Gateway) -> None:
    regulator = gateway.client("regulator")
    path = f"/v1/participants/{party('shop')}"
    assert regulator.post(f"{path}/suspend", json={"reason": "audit"}).status_code == 200
    me = gateway.client("shop").get("/v1/keys/self").json()
    assert me["suspended"] is True
    assert me["roles"] == []
    assert regulator.post(f"{path}/reinstate", json={"reason": "done"}).status_code == 200
    assert gateway.client("shop").get("/v1/keys/self").json()["roles"] == ["retailer"]


# -- offline signing --------------------------------------------------------------------------


def sign_digest(signer: Signer, digest: str) -> str:
    """What a user's own key does: ECDSA over a given digest, low S."""
    return base64.b64encode(signature.sign_digest(signer.key, base64.b64decode(digest))).decode()


@pytest.fixture
def offline(gateway: Gateway) -> tuple[httpx.Client, Signer]:
    """A user whose key the gateway does not hold, without any API key."""
    return gateway.client(), load_signer(gateway.container.home, "growers", "farm")


def propose(client: httpx.Client, signer: Signer, function: str, argument: Any) -> dict[str, str]:
    body = {
        "function": function,
        "argument": argument,
        "certificate": signer.certificate.decode(),
    }
    answer = client.post("/v1/ledger/proposals", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, str] = answer.json()
    return found


def test_a_key_that_never_leaves_its_user_can_transact(
    offline: tuple[httpx.Client, Signer],
) -> None:
    client, signer = offline
    product = {"gtin": "09521234000099", "name": "Offline cherries", "mode": "enforce"}
    proposal = propose(client, signer, "product:define", product)
    endorsed = client.post(
        "/v1/ledger/endorsements",
        json={
            "proposal": proposal["proposal"],
            "signature": sign_digest(signer, proposal["digest"]),
        },
    ).json()
    assert endorsed["result"]["gtin"] == product["gtin"]
    sent = {
        "transaction": endorsed["transaction"],
        "signature": sign_digest(signer, endorsed["digest"]),
    }
    submitted = client.post("/v1/ledger/submissions", json=sent)
    assert submitted.status_code == 202
    status = client.get(submitted.json()["status"], params={"wait_s": 10}).json()
    assert status["valid"] is True
    assert status["tx_id"] == proposal["tx_id"]


def test_an_offline_query(offline: tuple[httpx.Client, Signer]) -> None:
    client, signer = offline
    proposal = propose(client, signer, "network:info", {})
    body = {
        "proposal": proposal["proposal"],
        "signature": sign_digest(signer, proposal["digest"]),
    }
    assert client.post("/v1/ledger/evaluations", json=body).json()["result"]["contract"] == (
        "tracemark"
    )


def test_forged_signatures_and_garbage_are_refused(
    gateway: Gateway, offline: tuple[httpx.Client, Signer]
) -> None:
    client, signer = offline
    stranger = load_signer(gateway.container.home, "trade", "roaster")
    proposal = propose(client, signer, "network:info", {})["proposal"]
    digest = base64.b64encode(os.urandom(32)).decode()
    for forged in (sign_digest(stranger, digest), base64.b64encode(b"junk").decode()):
        for stage in ("endorsements", "evaluations"):
            answer = client.post(
                f"/v1/ledger/{stage}", json={"proposal": proposal, "signature": forged}
            )
            assert answer.status_code in (400, 401, 403, 502), answer.text
            assert answer.status_code != 500
    for body in (
        {"proposal": "!!!!", "signature": "AAAA"},
        {"proposal": "AAAA", "signature": "AAAA"},
    ):
        answer = client.post("/v1/ledger/endorsements", json=body)
        assert answer.status_code in (400, 422), answer.text
        answer = client.post(
            "/v1/ledger/submissions",
            json={"transaction": body["proposal"], "signature": body["signature"]},
        )
        assert answer.status_code in (400, 422, 502), answer.text


def test_a_foreign_certificate_prepares_nothing(gateway: Gateway) -> None:
    body = {"function": "network:info", "argument": {}, "certificate": "not a certificate"}
    assert code(gateway.client().post("/v1/ledger/proposals", json=body)) == "VALIDATION"


def test_a_key_without_a_wallet_entry_reads_and_signs_offline(gateway: Gateway) -> None:
    home = gateway.container.home
    signer = issue_user(home, "trade", "careful", attrs={"tracemark.party": party("roaster")})
    body = {"label": "x", "user": "careful", "certificate": signer.certificate.decode()}
    token = gateway.client("trade/admin").post("/v1/keys", json=body).json()["key"]
    client = gateway.client(headers={"X-API-Key": token})
    assert client.get("/v1/keys/self").json()["signs"] == "caller"
    product = {"gtin": "09521234000044", "name": "x", "mode": "report"}
    answer = client.post("/v1/products", json=product)
    assert answer.status_code == 403
    assert code(answer) == "KEY_NOT_HELD"
    prepared = client.post(
        "/v1/ledger/proposals", json={"function": "network:info", "argument": {}}
    )
    assert prepared.status_code == 200


# -- the wallet -------------------------------------------------------------------------------


def test_the_wallet_keeps_keys_encrypted(gateway: Gateway, tmp_path: Path) -> None:
    signer = load_signer(gateway.container.home, "trade", "roaster")
    wallet = Wallet(tmp_path)
    wallet.put("roaster", signer)
    again = Wallet(tmp_path).get("TradeMSP", "roaster")
    assert again is not None
    assert again.certificate == signer.certificate
    stored = b"".join(path.read_bytes() for path in tmp_path.rglob("*.json"))
    assert b"PRIVATE KEY" not in stored
    assert b"CERTIFICATE" not in stored
    for path in (*tmp_path.rglob("*.json"), tmp_path / "wallet.key"):
        assert path.stat().st_mode & 0o077 == 0
    assert wallet.users() == [("TradeMSP", "roaster")]
    assert wallet.get("TradeMSP", "somebody") is None
    assert wallet.remove("TradeMSP", "roaster")
    assert wallet.get("TradeMSP", "roaster") is None


def test_wallet_entries_cannot_be_swapped_or_altered(gateway: Gateway, tmp_path: Path) -> None:
    wallet = Wallet(tmp_path)
    for org, user in (("trade", "roaster"), ("growers", "farm")):
        wallet.put(user, load_signer(gateway.container.home, org, user))
    one, two = sorted((tmp_path / "wallet").glob("*.json"))
    first, second = one.read_bytes(), two.read_bytes()
    one.write_bytes(second)
    two.write_bytes(first)
    fresh = Wallet(tmp_path)
    for msp, user in (("TradeMSP", "roaster"), ("GrowersMSP", "farm")):
        with pytest.raises(WalletError):
            fresh.get(msp, user)
    one.write_bytes(b"{")
    with pytest.raises(WalletError):
        fresh.users()


def test_a_wallet_key_others_can_read_is_refused(tmp_path: Path) -> None:
    Wallet(tmp_path)
    (tmp_path / "wallet.key").chmod(0o644)
    with pytest.raises(WalletError, match="chmod 600"):
        Wallet(tmp_path)


def test_a_lost_wallet_key_opens_nothing(gateway: Gateway, tmp_path: Path) -> None:
    Wallet(tmp_path).put("farm", load_signer(gateway.container.home, "growers", "farm"))
    (tmp_path / "wallet.key").unlink()
    with pytest.raises(WalletError):
        Wallet(tmp_path).get("GrowersMSP", "farm")


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80))
def test_no_text_but_a_token_splits(text: str) -> None:
    parts = split_token(text)
    assert parts is None or text == f"tmk_{parts[0]}_{parts[1]}"
