"""Signing with a key that stays here: what is signed is what was asked for, or nothing is."""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import CliRunner
from fabric_protos.gateway import gateway_pb2

from chaincode.codec import dumps
from cli import signing
from cli.client import Client
from cli.errors import Refused, Unexpected
from cli.main import tracemark
from cli.profile import Profile
from nodes.identity.signer import Signer, load_signer
from nodes.messages import new_proposal, parse_proposal
from tests.stories.loaded import Loaded

Json = dict[str, Any]
INFO = signing.Call("network:info", {}, "trace", "tracemark")


def product(gtin: str, name: str) -> signing.Call:
    argument = {"gtin": gtin, "name": name, "mode": "report"}
    return signing.Call("product:define", argument, "trace", "tracemark")


class Between(httpx.BaseTransport):
    """The way to the gateway, with somebody on it who changes requests and answers."""

    def __init__(
        self, ask: Callable[[str, Json], Json] | None, answer: Callable[[str, Json], Json] | None
    ) -> None:
        self._inner = httpx.HTTPTransport()
        self._ask, self._answer = ask, answer
        self.seen: list[tuple[str, Json]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.rpartition("/")[2]
        body = json.loads(request.content or b"{}")
        self.seen.append((path, body))
        if self._ask is not None:
            body = self._ask(path, body)
        sent = httpx.Request(request.method, request.url, json=body)
        found = self._inner.handle_request(sent)
        told = json.loads(found.read())
        if self._answer is not None and found.status_code < 400:
            told = self._answer(path, told)
        return httpx.Response(found.status_code, json=told)


def between(
    network: Loaded,
    ask: Callable[[str, Json], Json] | None = None,
    answer: Callable[[str, Json], Json] | None = None,
) -> tuple[Client, Between]:
    way = Between(ask, answer)
    return Client(Profile(network.url), transport=way), way


@pytest.fixture
def signer(network: Loaded) -> Signer:
    return load_signer(network.home, "brands", "roaster")


def run(network: Loaded, *args: str, stdin: str | None = None) -> tuple[int, str, str]:
    folder = network.home / "organizations" / "brands" / "users" / "roaster" / "msp"
    words = ["ledger", *args, "--msp", str(folder), "--url", network.url]
    done = CliRunner().invoke(tracemark, words, input=stdin)
    assert "Traceback" not in done.output
    return done.exit_code, done.stdout, done.stderr


def test_a_transaction_is_signed_here_and_committed(network: Loaded) -> None:
    """An offline path that needs an API key, or that loses the contract's answer."""
    argument = json.dumps(product("9521105000036", "Filter, 250 g").argument)
    code, out, err = run(network, "submit", "product:define", "-", "--json", stdin=argument)
    assert code == 0, err
    done = json.loads(out)
    assert done["result"]["name"] == "Filter, 250 g"
    status = ["ledger", "status", done["tx_id"], "--url", network.url, "--json"]
    found = json.loads(CliRunner().invoke(tracemark, status).stdout)
    assert (found["block"], found["validation_code"]) == (done["block"], "VALID")
    code, out, _ = run(network, "query", "product:get", '{"gtin":"09521105000036"}')
    assert code == 0
    assert json.loads(out)["name"] == "Filter, 250 g"


def test_refusals_and_wrong_arguments_have_their_exit_codes(network: Loaded) -> None:
    code, _, err = run(network, "submit", "product:get", '{"gtin":"09521105000050"}')
    assert code in (3, 6), err
    foreign = '{"id":"urn:tracemark:party:halo-ridge-farm","reason":"because"}'
    code, _, err = run(network, "submit", "participant:suspend", foreign)
    assert code == 5
    assert "ROLE_NOT_ALLOWED" in err
    for argument in ("[]", "{", '{"a":1.5}', '{"a":1,"a":2}'):
        assert run(network, "query", "network:info", argument)[0] == 2, argument
    assert run(network, "query", "network:info", "{}", "--channel", "other")[0] == 70
    assert run(network, "query", "network:info", "{}", "--chaincode", "other")[0] == 70
    assert run(network, "query", "network:info", "{}", "--msp-id", "GrowersMSP")[0] == 70
    assert run(network, "query", "network:info", "{}", "--msp-id", "BrandsMSP")[0] == 0
    nothing = ["ledger", "status", "0" * 64, "--url", network.url]
    assert CliRunner().invoke(tracemark, nothing).exit_code == 6


def test_the_key_does_not_travel(network: Loaded, signer: Signer) -> None:
    client, way = between(network)
    signing.submit(client, signer, product("9521105000043", "Ristretto"))
    stages = [path for path, _ in way.seen]
    assert stages[:3] == ["proposals", "endorsements", "submissions"]
    assert "PRIVATE" not in json.dumps([body for _, body in way.seen])


def proposal_instead(network: Loaded, change: Callable[[Any, Signer], bytes]) -> Any:
    """An answer to `proposals` that is consistent in itself but another proposal."""
    signer = load_signer(network.home, "brands", "roaster")

    def answer(path: str, body: Json) -> Json:
        if path != "proposals":
            return body
        proposed = gateway_pb2.ProposedTransaction.FromString(b64decode(body["proposal"]))
        parsed = parse_proposal(proposed.proposal.proposal_bytes)
        made = change(parsed, signer)
        proposed.proposal.proposal_bytes = made
        proposed.transaction_id = parse_proposal(made).tx_id
        text = b64encode(proposed.SerializeToString()).decode()
        return body | {"proposal": text, "tx_id": proposed.transaction_id}

    return answer


def remade(parsed: Any, **other: Any) -> bytes:
    values = {
        "creator": parsed.creator,
        "channel": parsed.channel,
        "chaincode": parsed.chaincode,
        "args": parsed.args,
        "nonce": parsed.nonce,
        "timestamp_ms": parsed.timestamp_ms,
        **other,
    }
    return new_proposal(**values)[0]


@pytest.mark.parametrize(
    "change",
    [
        lambda p, _: remade(p, args=[b"grant:give", dumps({"grantee": "x", "scope": "y"})]),
        lambda p, _: remade(p, args=[p.args[0], dumps({"gtin": "09521105000043", "name": "Hers"})]),
        lambda p, _: remade(p, args=[*p.args, b"more"]),
        lambda p, _: remade(p, channel="other"),
        lambda p, _: remade(p, chaincode="other"),
        lambda p, _: remade(p, transient={"a": b"b"}),
        lambda p, _: remade(p, timestamp_ms=p.timestamp_ms - 16 * 60_000),
        lambda p, _: remade(p, timestamp_ms=p.timestamp_ms + 16 * 60_000),
        lambda p, _: remade(p) + b"\x5a\x01x",  # a field of a later protocol
        lambda p, _: b"noise",
    ],
)  # fmt: skip
def test_another_proposal_is_not_signed(network: Loaded, signer: Signer, change: Any) -> None:
    """A gateway that has the user sign a grant to somebody instead of a product."""

    def safe(parsed: Any, own: Signer) -> bytes:
        made: bytes = change(parsed, own)
        return made

    client, way = between(network, answer=proposal_instead_or_noise(network, safe))
    with pytest.raises(Unexpected) as refused:
        signing.submit(client, signer, product("9521105000043", "Ristretto"))
    assert refused.value.code == "NOT_AS_ASKED"
    assert [path for path, _ in way.seen] == ["proposals"]


def proposal_instead_or_noise(network: Loaded, change: Callable[[Any, Signer], bytes]) -> Any:
    whole = proposal_instead(network, change)

    def answer(path: str, body: Json) -> Json:
        try:
            found: Json = whole(path, body)
        except Exception:
            return body | {"proposal": b64encode(b"\xff\xff noise").decode()}
        return found

    return answer


def test_another_user_s_certificate_is_not_signed_for(network: Loaded, signer: Signer) -> None:
    other = load_signer(network.home, "brands", "watchmaker").certificate.decode()
    client, way = between(network, ask=lambda path, body: body | {"certificate": other})
    with pytest.raises(Unexpected, match="another certificate"):
        signing.query(client, signer, INFO)
    assert len(way.seen) == 1


def test_another_transaction_is_not_signed(network: Loaded, signer: Signer) -> None:
    """An endorsed transaction of the same user, but not the one just proposed."""
    earlier: list[str] = []

    def remember(path: str, body: Json) -> Json:
        if path == "endorsements":
            earlier.append(body["transaction"])
        return body

    client, _ = between(network, answer=remember)
    signing.submit(client, signer, product("9521105000043", "first"))

    def swap(path: str, body: Json) -> Json:
        return body | {"transaction": earlier[0]} if path == "endorsements" else body

    client, way = between(network, answer=swap)
    with pytest.raises(Unexpected, match="differ"):
        signing.submit(client, signer, product("9521105000043", "second"))
    assert "submissions" not in [path for path, _ in way.seen]

    def noise(path: str, body: Json) -> Json:
        return body | {"transaction": "AAAA"} if path == "endorsements" else body

    client, _ = between(network, answer=noise)
    with pytest.raises(Unexpected):
        signing.submit(client, signer, product("9521105000043", "third"))


def test_an_invalid_transaction_is_told(network: Loaded, signer: Signer) -> None:
    """A transaction in a block that changed nothing, shown as done."""

    def invalid(path: str, body: Json) -> Json:
        late = {"valid": False, "validation_code": "MVCC_READ_CONFLICT"}
        return body | late if "validation_code" in body else body

    client, _ = between(network, answer=invalid)
    with pytest.raises(Refused) as refused:
        signing.submit(client, signer, product("9521105000043", "late"))
    assert refused.value.code == "MVCC_READ_CONFLICT"


def test_a_folder_without_a_key_is_usage(network: Loaded, tmp_path: Path) -> None:
    words = ["ledger", "query", "network:info", "{}", "--msp", str(tmp_path), "--url", network.url]
    assert CliRunner().invoke(tracemark, words).exit_code == 2
