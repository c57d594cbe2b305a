"""The outermost layer of every request: limits, headers, ids, metrics, access lines.

Pure ASGI and thin, since the scan page passes through it. For a GET it costs one closure around
`send`; request bodies are counted and timed as they arrive. Order: 1. sizes of URL and headers;
2. rate limit, by key once the key is known, else by address; 3. body limit; 4. the application,
within its time; 5. what is noted about the answer.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson

from gateway.auth import remembered_name, token_in
from gateway.errors import PROBLEM_JSON, Problem, to_problem
from gateway.logging_setup import AccessLog, describe
from gateway.metrics import Metrics
from gateway.ratelimit import ClientAddress, RateLimiter, address_bucket
from gateway.settings import Settings, is_loopback

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

MOST_URL_BYTES = 8 * 1024
MOST_HEADER_BYTES = 32 * 1024
MOST_HEADERS = 100
FAILED_LOGIN_COST = 10.0
DOCUMENT_PATH = "/epcis/v2"
LEDGER_PATH = "/v1/ledger"
LEDGER_BODY_BYTES = 16 << 20  # a signed transaction; orderers take no larger ones by far
UNLIMITED_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
_BODY_METHODS = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_SECURITY = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
]
_POLICY = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
_NO_STORE = (b"cache-control", b"no-store")
_HSTS = (b"strict-transport-security", b"max-age=31536000")

log = logging.getLogger("gateway.edge")


class Edge:
    """ASGI middleware around the whole application."""

    def __init__(
        self,
        app: App,
        settings: Settings,
        metrics: Callable[[], Metrics],
        known: Callable[[str], bool],
    ) -> None:
        """`known` tells whether an API key was accepted lately; `metrics` may change at start."""
        self._app = app
        self._settings = settings
        self._metrics = metrics
        self._known = known
        self._keys = RateLimiter(settings.rate_per_key, settings.rate_burst_s)
        self._addresses = RateLimiter(settings.rate_per_address, settings.rate_burst_s)
        self._client = ClientAddress(settings.trusted_proxies)
        self._access = AccessLog(settings.log_format == "json")
        self._access_on = settings.log_level in ("debug", "info")
        self._security = [*_SECURITY, *([_HSTS] if settings.base_url.startswith("https") else [])]
        self._prefix = os.urandom(6).hex()
        self._counter = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            if scope["type"] == "lifespan":
                self._access.flush()
            return
        exchange = _Exchange(self, scope, receive, send)
        began = time.perf_counter()
        try:
            await self._serve(exchange)
        finally:
            seconds = time.perf_counter() - began
            route = exchange.route()
            method, status = scope["method"], exchange.status or 499
            self._metrics().request(method, route, status, seconds)
            if self._access_on:
                key_id = scope.get("tracemark.key_id", "")
                self._access.add(method, route, status, seconds, exchange.request_id, key_id)

    async def _serve(self, exchange: _Exchange) -> None:
        scope = exchange.scope
        try:
            _check_sizes(scope)  # 1
            bucket = self._check_rate(scope)  # 2
            receive = self._limited_body(exchange)  # 3
            exchange.start_clock(self._time_limit(scope))  # 4
            await self._app(scope, receive, exchange.send)
            if exchange.status == 401 and bucket:
                self._addresses.charge(bucket, FAILED_LOGIN_COST)
        except asyncio.CancelledError:
            if not exchange.timed_out:
                raise
            await exchange.finish_late()
        except Exception as error:
            if exchange.timed_out:  # raised because of the cancellation: the answer is out
                await exchange.finish_late()
            else:
                await exchange.fail(error)
        finally:
            exchange.stop_clock()

    def _check_rate(self, scope: Scope) -> str:
        """Charge the request; returns the address bucket to charge for a failed login, or ""."""
        if scope["path"] in UNLIMITED_PATHS:
            return ""
        token = _token_quietly(scope)
        if token is not None and self._known(token):
            self._limit(self._keys, remembered_name(token), "key")
            return ""
        peer = scope["client"][0] if scope.get("client") else "unknown"
        forwarded = _header(scope, b"x-forwarded-for") if self._client.looks else None
        address = self._client.of(peer, forwarded)
        if not self._settings.rate_limit_loopback and is_loopback(address):
            return ""
        bucket = address_bucket(address)
        self._limit(self._addresses, bucket, "address")
        return bucket

    def _limit(self, limiter: RateLimiter, who: str, kind: str) -> None:
        wait_s = limiter.take(who)
        if wait_s:
            self._metrics().limited.labels(kind).inc()
            seconds = max(1, int(wait_s + 0.999))
            raise Problem("RATE_LIMITED", headers={"Retry-After": str(seconds)})

    def _time_limit(self, scope: Scope) -> float:
        if scope["path"].startswith(DOCUMENT_PATH):
            return self._settings.document_timeout_s
        return self._settings.request_timeout_s

    def _limited_body(self, exchange: _Exchange) -> Receive:
        scope, receive = exchange.scope, exchange.receive
        if scope["method"] not in _BODY_METHODS:
            return receive
        settings = self._settings
        most = self._most_body(scope["path"])
        declared = _header(scope, b"content-length")
        if declared is not None and (not declared.isdigit() or int(declared) > most):
            raise _too_large(most)
        left = most

        async def limited() -> Message:
            nonlocal left
            if exchange.body_complete:
                return await receive()
            try:
                async with asyncio.timeout(settings.body_timeout_s):
                    message = await receive()
            except TimeoutError:
                raise Problem("BODY_TIMEOUT", headers={"Connection": "close"}) from None
            if message["type"] == "http.request":
                left -= len(message.get("body", b""))
                if left < 0:
                    raise _too_large(most)
                exchange.body_complete = not message.get("more_body", False)
            return message

        return limited

    def _most_body(self, path: str) -> int:
        if path.startswith(DOCUMENT_PATH):
            return self._settings.max_document_bytes
        if path.startswith(LEDGER_PATH):
            return max(LEDGER_BODY_BYTES, self._settings.max_body_bytes)
        return self._settings.max_body_bytes

    def stamp(self, scope: Scope, headers: list[tuple[bytes, bytes]], request_id: str) -> None:
        """Add what every answer carries, unless the route said otherwise."""
        policy = store = False
        for name, _ in headers:
            if name == b"content-security-policy":
                policy = True
            elif name == b"cache-control":
                store = True
        headers.append((b"x-request-id", request_id.encode()))
        headers.extend(self._security)
        if not policy:
            headers.append(_POLICY)
        if not store:
            headers.append(_NO_STORE)

    def new_id(self) -> str:
        """A request id, unique in the process and unguessable in its first half."""
        return f"{self._prefix}{next(self._counter):08x}"


class _Exchange:
    """One request and its answer."""

    __slots__ = (
        "_clock", "_edge", "_late", "_send", "_task", "body_complete", "receive", "request_id",
        "scope", "status", "timed_out",
    )  # fmt: skip

    def __init__(self, edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        self._edge = edge
        self._send = send
        self.scope = scope
        self.receive = receive
        self.status = 0
        self.timed_out = False
        self._clock: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[object] | None = None
        self._late: asyncio.Task[None] | None = None
        self.body_complete = False
        self.request_id = edge.new_id()
        scope["tracemark.request_id"] = self.request_id

    def start_clock(self, seconds: float) -> None:
        """Cancel the request's task when no answer has begun after `seconds`."""
        self._task = asyncio.current_task()
        self._clock = asyncio.get_running_loop().call_later(seconds, self._expire)

    def stop_clock(self) -> None:
        """The answer has begun, or there will be none."""
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _expire(self) -> None:
        """Answer now: work in a thread cannot be stopped, and what it sends later is dropped."""
        self.timed_out = True
        self._clock = None
        self._late = asyncio.get_running_loop().create_task(self._answer(Problem("TIMEOUT")))
        if self._task is not None:
            self._task.cancel()

    async def finish_late(self) -> None:
        """The cancellation was the clock's: the task goes on once the answer is out."""
        if self._task is not None:
            self._task.uncancel()
        if self._late is not None:
            await self._late

    async def send(self, message: Message) -> None:
        """What the application sends."""
        if not self.timed_out:
            await self._pass_on(message)

    async def _pass_on(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = list(message.get("headers", ()))
            self._edge.stamp(self.scope, headers, self.request_id)
            message["headers"] = headers
            self.stop_clock()  # a long download is not a slow answer
        await self._send(message)

    async def fail(self, error: Exception) -> None:
        self.stop_clock()
        problem = to_problem(error)
        if problem.status >= 500 and not isinstance(error, Problem):
            log.error(
                "request failed",
                extra={
                    "request_id": self.request_id,
                    "route": self.route(),
                    "code": problem.code,
                    "error": describe(error),
                },
            )
        if not self.status:  # else the answer is under way; uvicorn closes the connection
            await self._answer(problem)

    async def _answer(self, problem: Problem) -> None:
        body = orjson.dumps(problem.body())
        headers = [
            (b"content-type", PROBLEM_JSON.encode()),
            (b"content-length", str(len(body)).encode()),
            *((name.lower().encode(), value.encode()) for name, value in problem.headers.items()),
        ]
        if not self.body_complete and self.scope["method"] in _BODY_METHODS:
            headers.append((b"connection", b"close"))
        await self._pass_on(
            {"type": "http.response.start", "status": problem.status, "headers": headers}
        )
        await self._pass_on({"type": "http.response.body", "body": body})

    def route(self) -> str:
        """The matched route's template; never the path itself."""
        route = self.scope.get("route")
        return getattr(route, "path", None) or "unmatched"


def _check_sizes(scope: Scope) -> None:
    if len(scope.get("raw_path") or b"") + len(scope["query_string"]) > MOST_URL_BYTES:
        raise Problem("HEADER_TOO_LARGE", f"the URL is longer than {MOST_URL_BYTES} bytes", 414)
    if b"%00" in scope["query_string"] or "\0" in scope["path"]:
        raise Problem("BAD_REQUEST", "the URL holds the character U+0000, which no text here has")
    headers = scope["headers"]
    if len(headers) > MOST_HEADERS:
        raise Problem("HEADER_TOO_LARGE", f"more than {MOST_HEADERS} header fields")
    if sum([len(name) + len(value) for name, value in headers]) > MOST_HEADER_BYTES:
        raise Problem("HEADER_TOO_LARGE", f"the header is longer than {MOST_HEADER_BYTES} bytes")


def _token_quietly(scope: Scope) -> str | None:
    try:
        return token_in(scope)
    except Problem:
        return None  # refused later, by the route that needs a caller


def _header(scope: Scope, wanted: bytes) -> bytes | None:
    for name, value in scope["headers"]:
        if name == wanted:
            return bytes(value)
    return None


def _too_large(most: int) -> Problem:
    return Problem("BODY_TOO_LARGE", f"this path takes at most {most} bytes")
