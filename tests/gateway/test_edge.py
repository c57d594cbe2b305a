"""The outermost layer: limits, hostile requests, headers, logs, metrics, and what it costs."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.edge import Edge
from gateway.logging_setup import AccessLog, JsonFormatter, describe
from gateway.metrics import Metrics
from gateway.ratelimit import ClientAddress, RateLimiter, address_bucket
from gateway.settings import Settings
from tests.gateway.running import Gateway, serving
from tests.gateway.test_access import code


@pytest.fixture
def raw(gateway: Gateway) -> Any:
    """Send bytes as they are; returns the answer's bytes."""

    def send(data: bytes, wait_s: float = 5) -> bytes:
        host, port = gateway.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=wait_s) as sock:
            sock.sendall(data)
            sock.shutdown(socket.SHUT_WR)
            received = b""
            try:
                while part := sock.recv(65536):
                    received += part
            except TimeoutError:
                pass
            return received

    return send


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/trace/not%20an%20identifier", 400),
        ("/v1/trace/https://id.gs1.org/01/09521234543214", 400),  # wrong check digit
        ("/v1/trace/urn:x:%E2%80%AEevil", 400),  # right-to-left override
        ("/v1/trace/urn:x:%00", 400),
        ("/v1/trace/%FF%FE", 400),
        ("/v1/trace/https://id.gs1.org/01/09521234543213/21/" + "9" * 600, 422),
        ("/v1/trace/urn:never:seen?direction=sideways", 422),
        ("/v1/trace/urn:never:seen?depth=-1", 422),
        ("/v1/trace/urn:never:seen?depth=1e9", 422),
        ("/v1/trace/urn:never:seen", 404),
        ("/v1/audit/urn:never:seen", 404),
        ("/v1/carbon/urn:never:seen", 404),
        ("/v1/products/notdigits", 422),
        ("/v1/products/09521234543213", 404),
        ("/v1/participants/urn:tracemark:party:nobody", 404),
        ("/v1/participants?limit=0", 422),
        ("/v1/participants?role=king", 422),
        ("/v1/ledger/blocks/-1", 422),
        ("/v1/ledger/blocks/99999999999999999999999", 422),
        ("/v1/ledger/transactions/ABC", 422),
        ("/v1/ledger/transactions/" + "0" * 64, 404),
        ("/v1/grants?scope=%27%3B--", 400),
    ],
)
def test_hostile_paths_get_a_clear_problem(gateway: Gateway, path: str, status: int) -> None:
    answer = gateway.client("auditor").get(path)
    assert answer.status_code == status, answer.text
    assert code(answer)
    assert "Traceback" not in answer.text
    assert "detail" in answer.json()


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"slug":1}', "application/json", 422),
        (b'{"slug":"x","extra":1}', "application/json", 422),
        (b"\xff\xfe\x00", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"a":' * 2000 + b"1" + b"}" * 2000, "application/json", 400),
        (b"<xml/>", "application/xml", 422),
        (b'{"name":"' + b"a" * (1 << 20) + b'"}', "application/json", 413),
    ],
)
def test_hostile_bodies_get_a_clear_problem(
    gateway: Gateway, body: bytes, content_type: str, status: int
) -> None:
    answer = gateway.client("regulator").post(
        "/v1/participants", content=body, headers={"Content-Type": content_type}
    )
    assert answer.status_code == status, answer.text[:300]
    assert code(answer)


def test_a_body_that_lies_about_its_length_is_cut_off(gateway: Gateway) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(40):
            yield b"x" * 65_536

    client = gateway.client("regulator")
    try:
        answer = client.post(
            "/v1/participants", content=endless(), headers={"Content-Type": "application/json"}
        )
        assert answer.status_code == 413
        assert code(answer) == "BODY_TOO_LARGE"
    except (httpx.WriteError, httpx.RemoteProtocolError):
        pass  # the server hung up while the client was still sending: as good


@pytest.mark.parametrize("declared", [b"-1", b"1e3", b"99999999999999999999"])
def test_absurd_content_lengths_are_refused(raw: Any, declared: bytes) -> None:
    answer = raw(
        b"POST /v1/participants HTTP/1.1\r\nHost: x\r\nContent-Length: " + declared + b"\r\n\r\n"
    )
    assert answer.split(b" ", 2)[1] in (b"400", b"413")


def test_too_long_urls_and_headers_are_refused(gateway: Gateway) -> None:
    client = gateway.client()
    assert client.get("/v1/trace/" + "a" * 9000).status_code == 414
    assert client.get("/healthz", headers={"X-Filler": "a" * 40_000}).status_code == 431
    many = [(f"X-{n}", "1") for n in range(150)]
    assert client.get("/healthz", headers=many).status_code == 431


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: b\x00c\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /v1/participants HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
        b"Content-Length: 5\r\n\r\nZZ\r\n",
        b"\r\n" * 1000,
    ],
)
def test_broken_http_is_answered_or_dropped(
    gateway: Gateway, raw: Any, request_bytes: bytes
) -> None:
    answer = raw(request_bytes)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4"), answer[:80]
    assert gateway.client().get("/healthz").status_code == 200


def test_every_answer_carries_the_security_headers(gateway: Gateway) -> None:
    for path in ("/healthz", "/nowhere", "/v1/participants"):
        headers = gateway.client().get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["referrer-policy"]
        assert headers["content-security-policy"]
        assert headers["cache-control"]
        assert len(headers["x-request-id"]) == 20
        assert "server" not in headers


def test_a_body_or_head_that_stops_arriving_is_cut_off(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.serve.HEADER_TIMEOUT_S", 0.5)
    before = gateway.container.settings
    gateway.container.settings = before.model_copy(update={"body_timeout_s": 0.3})
    try:
        with serving(gateway.container) as served:
            host, port = served.url.removeprefix("http://").split(":")
            token = served.token("regulator")
            head = (
                f"POST /v1/participants HTTP/1.1\r\nHost: x\r\nX-API-Key: {token}\r\n"
                "Content-Type: application/json\r\nContent-Length: 500\r\n\r\n{"
            ).encode()
            with socket.create_connection((host, int(port)), timeout=10) as sock:
                sock.sendall(head)
                assert b" 408 " in sock.recv(65536).split(b"\r\n")[0]
            with socket.create_connection((host, int(port)), timeout=10) as sock:
                sock.sendall(b"GET /healthz HTTP/1.1\r\nX-Slow: ")
                began = time.monotonic()
                assert sock.recv(10) == b""
                assert time.monotonic() - began < 5
    finally:
        gateway.container.settings = before


def test_methods_a_path_does_not_take(gateway: Gateway) -> None:
    answer = gateway.client("auditor").put("/v1/participants", json={})
    assert answer.status_code == 405
    assert code(answer) == "METHOD_NOT_ALLOWED"


def test_concurrent_requests_do_not_mix(gateway: Gateway) -> None:
    async def ask() -> list[tuple[str, str]]:
        async with httpx.AsyncClient(base_url=gateway.url, trust_env=False) as client:
            users = ["farm", "mill", "roaster", "auditor"] * 15
            tokens = {user: gateway.token(user) for user in set(users)}
            answers = await asyncio.gather(
                *(
                    client.get("/v1/keys/self", headers={"X-API-Key": tokens[user]})
                    for user in users
                )
            )
            return [(user, a.json()["user"]) for user, a in zip(users, answers, strict=True)]

    assert all(asked == got for asked, got in asyncio.run(ask()))


# -- rate limits ------------------------------------------------------------------------------


def test_addresses_and_keys_are_limited(gateway: Gateway) -> None:
    limited = gateway.container.settings.model_copy(
        update={"rate_per_address": 5.0, "rate_per_key": 8.0, "rate_burst_s": 1.0,
                "rate_limit_loopback": True}
    )  # fmt: skip
    before = gateway.container.settings
    gateway.container.settings = limited
    try:
        with serving(gateway.container) as served:
            client = served.client()
            statuses = [client.get("/v1/participants").status_code for _ in range(8)]
            assert statuses[0] == 401
            assert statuses[-1] == 429
            answer = client.get("/v1/participants")
            assert code(answer) == "RATE_LIMITED"
            assert int(answer.headers["retry-after"]) >= 1
            assert client.get("/healthz").status_code == 200  # never limited
            with_key = served.client("farm")
            while with_key.get("/v1/keys/self").status_code == 429:
                time.sleep(0.3)  # the first one is charged to the address
            statuses = [with_key.get("/v1/keys/self").status_code for _ in range(20)]
            assert statuses[0] == 200
            assert 429 in statuses
            assert "tracemark_http_rate_limited_total" in client.get("/metrics").text
    finally:
        gateway.container.settings = before


@settings(max_examples=200, deadline=None)
@given(
    st.floats(0.5, 100),
    st.floats(1, 10),
    st.lists(st.floats(0, 5), min_size=1, max_size=60),
)
def test_a_bucket_never_gives_more_than_its_rate_and_burst(
    rate: float, burst_s: float, pauses: list[float]
) -> None:
    limiter = RateLimiter(rate, burst_s)
    now, given_away = 0.0, 0
    for pause in pauses:
        now += pause
        wait_s = limiter.take("a", now=now)
        if wait_s == 0:
            given_away += 1
        else:
            assert limiter.take(f"other{now}", now=now) == 0  # somebody else is not concerned
            assert limiter.take("a", now=now + wait_s + 1e-6) == 0
            given_away += 1
            now += wait_s + 1e-6
    assert given_away <= rate * now + limiter.capacity + 1e-6


def test_the_table_of_buckets_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.ratelimit.MOST_BUCKETS", 100)
    limiter = RateLimiter(1, 1)
    for number in range(1000):
        limiter.take(str(number), now=0.0)
    assert len(limiter._buckets) == 100


@pytest.mark.parametrize(
    ("trusted", "peer", "forwarded", "expected"),
    [
        ((), "203.0.113.9", b"1.2.3.4", "203.0.113.9"),
        (("10.0.0.0/8",), "203.0.113.9", b"1.2.3.4", "203.0.113.9"),
        (("10.0.0.0/8",), "10.1.1.1", b"1.2.3.4", "1.2.3.4"),
        (("10.0.0.0/8",), "10.1.1.1", b"6.6.6.6, 1.2.3.4, 10.9.9.9", "1.2.3.4"),
        (("10.0.0.0/8",), "10.1.1.1", b"garbage", "10.1.1.1"),
        (("10.0.0.0/8",), "10.1.1.1", None, "10.1.1.1"),
        (("::1/128",), "::1", b"2001:db8::5", "2001:db8::5"),
    ],
)
def test_only_trusted_proxies_may_name_the_client(
    trusted: tuple[str, ...], peer: str, forwarded: bytes | None, expected: str
) -> None:
    assert ClientAddress(trusted).of(peer, forwarded) == expected


def test_an_ipv6_network_shares_one_bucket() -> None:
    assert address_bucket("2001:db8::1") == address_bucket("2001:db8::ffff")
    assert address_bucket("2001:db8:0:1::1") != address_bucket("2001:db8::1")
    assert address_bucket("::ffff:192.0.2.1") == "192.0.2.1"


# -- logs and metrics -------------------------------------------------------------------------


def test_logs_carry_ids_and_codes_and_nothing_of_the_request(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def run() -> None:
        access = AccessLog(as_json=True)
        access.add("GET", "/v1/trace/{identifier}", 200, 0.0123, "r1", "k1")
        access.flush()

    asyncio.run(run())
    line = json.loads(capsys.readouterr().err)
    assert line["route"] == "/v1/trace/{identifier}"
    assert line["ms"] == 12.3
    assert line["key_id"] == "k1"

    def fail(secret: str) -> None:
        raise ValueError(f"payload {secret}")

    with pytest.raises(ValueError, match="price") as raised:
        fail("price=42")
    record = logging.LogRecord("x", 40, "f", 1, "request failed", (), None)
    record.exc_info = (raised.type, raised.value, raised.value.__traceback__)
    text = JsonFormatter().format(record)
    assert "price=42" not in text
    assert "ValueError" in text
    assert "fail" in describe(raised.value)


def test_no_request_makes_a_new_metric_series(gateway: Gateway) -> None:
    client = gateway.client("auditor")

    def series() -> int:
        text = client.get("/metrics").text
        return sum(not line.startswith("#") for line in text.splitlines())

    for _ in range(2):
        client.get("/v1/trace/urn:never:seen")
        client.get("/unheard/of")
    series()
    before = series()
    for number in range(20):
        client.get(f"/v1/trace/urn:never:seen:{number}")
        client.get(f"/unheard/of/{number}")
        client.request(f"ODD{number}", "/healthz")
    client.request("ODD", "/healthz")
    after = series()
    assert after - before < 40  # the odd methods share "other"
    for number in range(20, 40):
        client.get(f"/v1/trace/urn:never:seen:{number}")
        client.request(f"ODD{number}", "/healthz")
    assert series() == after


def test_an_unexpected_error_tells_the_caller_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = FastAPI()

    @app.get("/boom")
    async def boom() -> None:
        raise RuntimeError("secret inside")

    @app.get("/slow")
    async def slow() -> None:
        await asyncio.sleep(5)

    @app.get("/slow-thread")
    def slow_thread() -> None:
        time.sleep(0.3)

    @app.get("/stubborn")
    async def stubborn() -> None:
        try:
            await asyncio.sleep(5)
        except asyncio.CancelledError:
            raise ValueError("what a library makes of it") from None

    metrics = Metrics()
    options: Any = {"log_level": "error", "request_timeout_s": 0.05}
    edge = Edge(app, Settings(home=tmp_path, **options), lambda: metrics, lambda token: False)

    async def ask(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(edge)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            return await client.get(path)

    # Starlette's own error middleware stands outside in the application; here it is inside.
    app.add_exception_handler(Exception, _reraise)
    failed = asyncio.run(ask("/boom"))
    assert failed.status_code == 500
    assert code(failed) == "INTERNAL"
    assert "secret inside" not in failed.text + caplog.text
    for path in ("/slow", "/slow-thread", "/stubborn"):  # one answer each, never a second
        timed_out = asyncio.run(ask(path))
        assert timed_out.status_code == 504
        assert code(timed_out) == "TIMEOUT"


async def _reraise(_request: Any, error: Exception) -> Any:
    raise error


def test_the_layer_is_thin(tmp_path: Path) -> None:
    """Requests/s through the layer, against the same endpoint bare: at least half."""
    app = FastAPI()

    @app.get("/x")
    async def endpoint() -> dict[str, int]:
        return {"a": 1}

    metrics = Metrics()
    options: Any = {"log_level": "error"}
    edge = Edge(app, Settings(home=tmp_path, **options), lambda: metrics, lambda token: False)
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET",
        "path": "/x", "raw_path": b"/x", "query_string": b"", "root_path": "", "scheme": "http",
        "headers": [(b"host", b"x"), (b"accept", b"*/*")], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }  # fmt: skip

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        pass

    async def measure(target: Any) -> float:
        for _ in range(200):
            await target({**scope, "headers": list(scope["headers"])}, receive, send)
        began = time.process_time()
        for _ in range(2000):
            await target({**scope, "headers": list(scope["headers"])}, receive, send)
        return time.process_time() - began

    bare = min(asyncio.run(measure(app)) for _ in range(3))
    layered = min(asyncio.run(measure(edge)) for _ in range(3))
    assert layered < 2 * bare, f"{layered / 2:.3f} ms a request instead of {bare / 2:.3f} ms"
