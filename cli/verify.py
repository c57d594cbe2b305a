"""``tracemark verify``: the eight numbered checks of a certificate (see ``gateway.verify``).

What is named may be a credential (file, ``-``, or a web address that serves one), a certificate's
number, or an item: then every certificate of the item that is not superseded is verified. The
checks that need the ledger are made by the gateway; ``--offline`` makes those that the document
itself allows, here, and leaves the others unknown.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import click

from cli.certificate import certificate_uuid
from cli.client import Client
from cli.command import command, connected
from cli.errors import NEGATIVE, NotFound, Unreachable, UsageFault
from cli.output import clean, fields, line, print_json

MOST_BYTES: Final = 4 << 20
POSITIVE: Final = frozenset({"valid", "valid-but-old"})
MARKS: Final = {
    "pass": ("pass", "green"),
    "fail": ("FAIL", "red"),
    "unknown": ("?", "yellow"),
    "not-applicable": ("-", "dim"),
}


@command(name="verify")
@click.argument("what", metavar="FILE|URL|ID")
@click.option("--offline", is_flag=True, help="Ask no gateway; check the document alone.")
@connected
def verify(what: str, offline: bool, as_json: bool, client: Client) -> int | None:
    """Verify a certificate, or every certificate of an item.

    Ends with 0 when valid, with 1 when invalid or not proven, with 6 when there is none.

    \b
    Examples:
      tracemark verify coffee.vc.json
      tracemark verify http://127.0.0.1:8000/01/09521105000012/10/AL260318
      tracemark verify urn:epc:id:sgtin:9521301.000001.MC26-0087
      tracemark verify urn:uuid:6f1c2f0e-6f3c-4c36-8a0b-2f3f6f2b9c11 --json
    """
    documents = _credentials(what, client, offline)
    verifications = [_offline(d) if offline else _online(client, d) for d in documents]
    if as_json:
        print_json(verifications)
    else:
        for verification in verifications:
            print_verification(verification)
    good = all(v["overall"] in POSITIVE for v in verifications)
    return None if good else NEGATIVE


def print_verification(verification: Mapping[str, Any]) -> None:
    """The verdict first, then the checks, one line each."""
    overall = verification["overall"]
    line(overall.upper(), "bold green" if overall in POSITIVE else "bold red")
    issuer = verification.get("issuer") or {}
    fields(
        (
            ("certificate", verification.get("certificate")),
            ("type", verification.get("type")),
            ("subject", verification.get("subject")),
            ("issuer", issuer.get("name")),
            ("as of", _as_of(verification.get("asOf") or {})),
        )
    )
    for check in verification["checks"]:
        mark, style = MARKS.get(check["verdict"], (check["verdict"], "yellow"))
        line(f"{check['number']} {mark:<4} {check['name']}: {clean(check['sentence'])}", style)


def _as_of(as_of: Mapping[str, Any]) -> str:
    if as_of.get("height") is None:
        return "no ledger was asked"
    return f"block {as_of['height']}, {as_of.get('time') or ''}"


def _credentials(what: str, client: Client, offline: bool) -> list[bytes]:
    """The documents that `what` names, byte for byte; raises a CliError where there is none."""
    if what == "-":
        return [_bounded(sys.stdin.buffer.read(MOST_BYTES + 1), "standard input")]
    path = Path(what)
    if path.exists():
        return [_bounded(_bytes(path), what)]
    if "://" not in what and (path.suffix or "/" in what) and not what.startswith("("):
        raise UsageFault(f"{clean(what)} does not exist")
    if offline:
        raise UsageFault("--offline verifies a document: give a file or - (standard input)")
    if (number := _number(what)) is not None:
        place = f"/v1/certificates/{number}"
        elsewhere = _other_origin(what, client)
        return [_fetched(elsewhere + place) if elsewhere else client.request("GET", place).content]
    subject = _subject(what)
    if subject is not None:
        return _of_item(client, subject)
    return [_fetched(what)]


def _other_origin(what: str, client: Client) -> str:
    """Scheme and authority of a web address that is not the client's gateway, or ""."""
    parts = urlsplit(what)
    origin = f"{parts.scheme}://{parts.netloc}"
    return origin if parts.netloc and not client.profile.url.startswith(origin) else ""


def _number(what: str) -> str | None:
    """The UUID in a certificate's number, address or verify page's address."""
    query = parse_qs(urlsplit(what).query)
    try:
        return certificate_uuid(query["id"][0] if "id" in query else what.partition("?")[0])
    except UsageFault:
        return None


def _subject(what: str) -> str | None:
    """The canonical identifier in any form of one, a scan address included."""
    from chaincode.errors import IdentifierError
    from chaincode.identifiers import parse

    try:
        found = parse(what)
    except IdentifierError as error:
        raise UsageFault(error.message, code=error.code) from error
    return None if found.kind == "other" and what.startswith("http") else found.uri


def _of_item(client: Client, subject: str) -> list[bytes]:
    listed = client.get("/v1/certificates", {"subject": subject})["certificates"]
    found = [entry for entry in listed if entry["status"] != "superseded"]
    if not found:
        raise NotFound(f"{clean(subject)} has no certificate", code="NOT_FOUND")
    return [client.request("GET", entry["href"]).content for entry in found]


def _fetched(url: str) -> bytes:
    """A credential from any web address; the gateway then judges it."""
    import httpx

    try:
        with httpx.stream(
            "GET", url, timeout=20.0, follow_redirects=True,
            headers={"Accept": "application/vc, application/json"},
        ) as answer:  # fmt: skip
            if answer.status_code == 404:
                raise NotFound(f"{clean(url)} is not there", code="NOT_FOUND")
            if answer.status_code >= 400:
                raise Unreachable(f"{clean(url)} answered {answer.status_code}")
            body = b""
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > MOST_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Unreachable(f"{clean(url)} cannot be fetched: {error}") from error
    return _bounded(body, url)


def _bytes(path: Path) -> bytes:
    if path.is_dir():
        raise UsageFault(f"{path} is a folder; a certificate's file is expected")
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)


def _bounded(data: bytes, name: str) -> bytes:
    if len(data) > MOST_BYTES:
        raise UsageFault(f"{clean(name)} is larger than any certificate ({MOST_BYTES} bytes)")
    if not data.lstrip().startswith(b"{"):
        raise UsageFault(f"{clean(name)} is not a certificate: a JSON object is expected")
    return data


def _online(client: Client, credential: bytes) -> Any:
    headers = {"Content-Type": "application/vc"}
    return client.request("POST", "/v1/verify", content=credential, headers=headers).json()


def _offline(credential: bytes) -> Any:
    import time

    from gateway.credentials import document
    from gateway.credentials.errors import MalformedCredential
    from gateway.credentials.evidence import NoEvidence
    from gateway.verify import verify as check

    try:
        parsed = document.parse_json(credential)
    except MalformedCredential as error:
        raise UsageFault(str(error), code="CREDENTIAL_MALFORMED") from error
    return check(parsed, NoEvidence(), time.time_ns() // 1_000_000).as_json()
