"""The gateway's HTTP API as the commands use it: requests, retries, and errors by kind.

A read is tried again when the connection breaks or the gateway says it is not ready yet
(``Retry-After`` is honoured, three tries, at most five seconds apart); so is a write where that
cannot do harm, because the gateway and the contract treat a repeated capture as the same one.
Errors arrive as ``application/problem+json`` (RFC 9457) and become :mod:`cli.errors`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from cli.errors import CliError, NotAllowed, NotFound, Refused, Unexpected, Unreachable, UsageFault
from cli.profile import Profile

if TYPE_CHECKING:
    import httpx

TRIES: Final = 3
LONGEST_PAUSE_S: Final = 5.0
RETRIED: Final = frozenset({429, 502, 503})


class Client:
    """One gateway, one key. Close it, or use it as a context manager.

    `transport` replaces the network by an httpx transport (in-process tests and the demo).
    """

    def __init__(
        self,
        profile: Profile,
        *,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        import httpx

        self.profile = profile
        headers = {"User-Agent": "tracemark-cli", "Accept": "application/json"}
        if profile.api_key:
            headers["Authorization"] = f"Bearer {profile.api_key}"
        try:
            self._http = httpx.Client(
                base_url=profile.url,
                headers=headers,
                timeout=httpx.Timeout(timeout_s, connect=10.0),
                verify=_verify(profile),
                transport=transport,
                trust_env=not _is_local(profile.url),
                follow_redirects=False,
            )
        except (OSError, ValueError) as error:
            raise UsageFault(f"the profile cannot be used: {error}") from error

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def get(self, path: str, params: Mapping[str, Any] | None = None, **kwargs: Any) -> Any:
        """GET a JSON resource."""
        return self._read(self.request("GET", path, params=_present(params), **kwargs))

    def post(self, path: str, body: Any = None, **kwargs: Any) -> Any:
        """POST a JSON body; returns the JSON answer, or None where there is none."""
        answer = self.request("POST", path, json=body, **kwargs)
        return self._read(answer) if answer.content else None

    def delete(self, path: str, **kwargs: Any) -> Any:
        """DELETE a resource."""
        answer = self.request("DELETE", path, **kwargs)
        return self._read(answer) if answer.content else None

    def records(self, path: str, params: Mapping[str, Any] | None = None) -> Iterator[Any]:
        """Every record of a paged list (``{"records", "bookmark"}``, read on with it)."""
        query = dict(params or {})
        while True:
            page = self.get(path, query)
            yield from page["records"]
            if not page.get("bookmark"):
                return
            query["bookmark"] = page["bookmark"]

    def put(self, path: str, body: Any) -> Any:
        """PUT a JSON body; returns the JSON answer."""
        return self._read(self.request("PUT", path, json=body))

    def probe(self, path: str) -> httpx.Response:
        """GET once, whatever the status; raises Unreachable where nothing answers."""
        import httpx

        try:
            return self._http.get(path)
        except httpx.HTTPError as error:
            raise self._unreachable(error) from error

    def request(self, method: str, path: str, **kwargs: Any) -> httpx.Response:
        """One request with retries; raises a CliError for every answer from 400 on."""
        import httpx

        for attempt in range(TRIES):
            last = attempt == TRIES - 1
            try:
                answer = self._http.request(method, path, **kwargs)
            except (httpx.ConnectError, httpx.RemoteProtocolError, httpx.ReadError) as error:
                if last or isinstance(error, httpx.ConnectError):
                    raise self._unreachable(error) from error
                time.sleep(0.2 * (attempt + 1))
                continue
            except httpx.HTTPError as error:
                raise self._unreachable(error) from error
            except httpx.InvalidURL as error:
                raise UsageFault(
                    f"{self.profile.url}{path} is not a usable URL: {error}"
                ) from error
            if answer.status_code in RETRIED and not last:
                time.sleep(_pause(answer, attempt))
                continue
            break
        if answer.status_code >= 400:
            raise problem(answer)
        return answer

    def _read(self, answer: httpx.Response) -> Any:
        """The JSON of an answer; another web server's page is no answer of a gateway."""
        try:
            return answer.json()
        except ValueError as error:
            raise Unexpected(
                f"{self.profile.url} answered {answer.status_code} without JSON",
                code="NO_GATEWAY",
                hint="is this the address of a Tracemark gateway?",
            ) from error

    def _unreachable(self, error: Exception) -> Unreachable:
        what = str(error) or type(error).__name__
        return Unreachable(
            f"no gateway answers at {self.profile.url}: {what}",
            code="UNREACHABLE",
            hint="start one with `tracemark network up`, or name one with --url",
        )


def path_segment(identifier: str) -> str:
    """`identifier` as one path segment: everything but unreserved characters is escaped."""
    return quote(identifier, safe="")


def problem(answer: httpx.Response) -> CliError:
    """The error that an answer of 400 or more means."""
    try:
        body = answer.json()
    except ValueError:
        body = {}
    if not isinstance(body, dict):
        body = {}
    detail = body.get("detail") or body.get("title") or answer.reason_phrase
    message = detail if isinstance(detail, str) else str(detail)
    errors = body.get("errors") or []
    code = str(body.get("code") or "")
    kind, hint = _kind(answer.status_code, code)
    return kind(
        message or f"the gateway answered {answer.status_code}",
        code=code or f"HTTP_{answer.status_code}",
        where=str(body.get("where") or ""),
        errors=errors if isinstance(errors, list) else [],
        hint=hint,
    )


def _kind(status: int, code: str) -> tuple[type[CliError], str]:
    if status == 401:
        return NotAllowed, "give a key with --api-key or TRACEMARK_API_KEY"
    if status == 403:
        return NotAllowed, ""
    if status in (404, 410):
        return NotFound, ""
    if status in (502, 503, 504, 408, 429):
        return Unreachable, "nothing is lost; the command may be run again"
    if status >= 500:
        return Unexpected, "the gateway's log has the request id"
    return Refused, ""


def _pause(answer: httpx.Response, attempt: int) -> float:
    try:
        asked = float(answer.headers.get("Retry-After", ""))
    except ValueError:
        asked = 0.5 * (attempt + 1)
    return max(0.0, min(asked, LONGEST_PAUSE_S))


def _present(params: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (params or {}).items() if value not in (None, "")}


def _verify(profile: Profile) -> Any:
    if not profile.ca:
        return profile.url.startswith("https://")
    import ssl

    return ssl.create_default_context(cafile=profile.ca)


def _is_local(url: str) -> bool:
    from urllib.parse import urlsplit

    return urlsplit(url).hostname in {"127.0.0.1", "localhost", "::1"}
