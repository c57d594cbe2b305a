"""``tracemark certificate``: issue from ledger facts, read, suspend, revoke, supersede."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import click

from cli.client import Client, path_segment
from cli.command import CONTEXT, command, connected
from cli.errors import NotFound, UsageFault
from cli.output import clean, fields, print_json, table

DAY = click.DateTime(["%Y-%m-%d"])
OUTPUT = click.Path(dir_okay=False, writable=True, path_type=Path)


@click.group(context_settings=CONTEXT)
def certificate() -> None:
    """Issue, show and revoke certificates."""


@command(certificate, "issue")
@click.argument("subject", metavar="ID")
@click.option("--type", "kind", required=True, help="Certificate type: food, drug or luxury.")
@click.option("--claim", "claims", multiple=True, metavar="NAME=VALUE",
              help="A fact on your own word; may be given several times.")  # fmt: skip
@click.option("--valid-until", type=DAY, help="Day on which it ends [the type's usual].")
@click.option("--issuer", default="", metavar="PARTY", help="Issuer, when acting by delegation.")
@click.option("--supersedes", default="", metavar="CERTIFICATE", help="The one it replaces.")
@click.option("--out", type=OUTPUT, help="Write the credential to a file.")
@connected
def issue(
    subject: str,
    kind: str,
    claims: tuple[str, ...],
    valid_until: datetime | None,
    issuer: str,
    supersedes: str,
    out: Path | None,
    as_json: bool,
    client: Client,
) -> None:
    """Issue a certificate on the item or lot ID from what the ledger shows.

    A claim typed in is marked as self-declared; a fact that the ledger shows cannot be declared
    over it. `tracemark certificate types` lists the fields.

    \b
    Example:
      tracemark certificate issue https://id.gs1.org/01/09521105000012/10/AL260318 \\
          --type food --claim "storage=dry, below 25 degrees" --out coffee.vc.json
    """
    body: dict[str, Any] = {"type": kind, "subject": subject, "claims": dict(map(_claim, claims))}
    if valid_until:
        body["validUntil"] = valid_until.date().isoformat()
    if issuer:
        body["issuer"] = issuer
    if supersedes:
        body["supersedes"] = supersedes
    made = client.post("/v1/certificates", body)
    if out is not None:
        text = json.dumps(made["credential"], indent=2, ensure_ascii=False)
        out.write_text(text + "\n", encoding="utf-8")
    if as_json:
        print_json(made)
        return
    fields(
        (
            ("certificate", made["id"]),
            ("digest", made["digest"]),
            ("transaction", made["txId"]),
            ("address", made["url"]),
            ("scan", made["scanUrl"]),
            ("file", out),
        )
    )


@command(certificate, "show")
@click.argument("number", metavar="CERTIFICATE")
@click.option("--out", type=OUTPUT, help="Write the credential to a file.")
@connected
def show(number: str, out: Path | None, as_json: bool, client: Client) -> None:
    """Show a certificate: what it states, who issued it, and its status on the ledger."""
    path = f"/v1/certificates/{certificate_uuid(number)}"
    status = client.get(f"{path}/status")
    try:
        credential = client.get(path)
    except NotFound:
        credential = None
    if out is not None:
        if credential is None:
            raise NotFound("this gateway knows the certificate's record but not its document")
        text = json.dumps(credential, indent=2, ensure_ascii=False)
        out.write_text(text + "\n", encoding="utf-8")
    if as_json:
        print_json({"status": status, "credential": credential})
        return
    _print_status(status)
    if credential is not None:
        _print_facts(credential)


@command(certificate, "list")
@click.argument("subject", metavar="ID")
@connected
def list_(subject: str, as_json: bool, client: Client) -> None:
    """List the certificates anchored for the item or lot ID, newest first."""
    found = client.get("/v1/certificates", {"subject": subject})
    if as_json:
        print_json(found)
        return
    table(
        ("certificate", "type", "status", "valid until", "issuer"),
        (
            (c["id"], c["type"], c["status"], (c["validUntil"] or "")[:10], c["issuer"])
            for c in found["certificates"]
        ),
    )


@command(certificate, "types")
@connected
def types(as_json: bool, client: Client) -> None:
    """List the certificate types with their fields; * marks a required one."""
    found = client.get("/v1/certificate-types")
    if as_json:
        print_json(found)
        return
    table(
        ("type", "field", "from", "asked for by"),
        (
            (
                kind["name"],
                field["name"] + ("*" if field["required"] else ""),
                "ledger" if field["fromLedger"] else "issuer",
                field["clause"],
            )
            for kind in found["types"]
            for field in kind["fields"]
        ),
    )


@command(certificate, "revoke")
@click.argument("number", metavar="CERTIFICATE")
@click.option("--reason", required=True, help="Why; it goes on the ledger.")
@connected
def revoke(number: str, reason: str, as_json: bool, client: Client) -> None:
    """Revoke a certificate for good.

    \b
    Example:
      tracemark certificate revoke urn:uuid:0b8e... --reason "wrong lot"
    """
    _change(client, number, "revoke", {"reason": reason}, as_json)


@command(certificate, "suspend")
@click.argument("number", metavar="CERTIFICATE")
@click.option("--reason", required=True, help="Why; it goes on the ledger.")
@connected
def suspend(number: str, reason: str, as_json: bool, client: Client) -> None:
    """Suspend a certificate until it is reinstated."""
    _change(client, number, "suspend", {"reason": reason}, as_json)


@command(certificate, "reinstate")
@click.argument("number", metavar="CERTIFICATE")
@click.option("--reason", required=True, help="Why; it goes on the ledger.")
@connected
def reinstate(number: str, reason: str, as_json: bool, client: Client) -> None:
    """Bring a suspended certificate back into force."""
    _change(client, number, "reinstate", {"reason": reason}, as_json)


@command(certificate, "supersede")
@click.argument("number", metavar="CERTIFICATE")
@click.option("--by", required=True, metavar="CERTIFICATE", help="The one that replaces it.")
@click.option("--reason", required=True, help="Why; it goes on the ledger.")
@connected
def supersede(number: str, by: str, reason: str, as_json: bool, client: Client) -> None:
    """Mark a certificate as replaced by another."""
    _change(client, number, "supersede", {"reason": reason, "by": by}, as_json)


def certificate_uuid(text: str) -> str:
    """The bare UUID in a certificate's number or address; raises UsageFault."""
    tail = text.strip().rstrip("/").rpartition("/")[2].removeprefix("urn:uuid:")
    try:
        return str(UUID(tail))
    except ValueError:
        raise UsageFault(
            f"{clean(text)!r} is not a certificate's number: urn:uuid:... or its address is"
        ) from None


def _claim(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name or not value:
        raise click.UsageError(f"--claim {text!r} is not NAME=VALUE")
    return name, value


def _change(
    client: Client, number: str, change: str, body: Mapping[str, str], as_json: bool
) -> None:
    path = f"/v1/certificates/{path_segment(certificate_uuid(number))}/{change}"
    answer = client.post(path, body)
    if as_json:
        print_json(answer)
    else:
        _print_status(answer)


def _print_status(status: Mapping[str, Any]) -> None:
    names = (
        "id", "type", "status", "reason", "supersededBy", "subject", "issuer", "validFrom",
        "validUntil", "anchoredAt", "changedAt", "digest", "txId",
    )  # fmt: skip
    fields((name, status.get(name)) for name in names)


def _print_facts(credential: Mapping[str, Any]) -> None:
    facts = credential.get("credentialSubject", {}).get("facts", [])
    table(
        ("fact", "value", "source"),
        (
            (
                fact.get("field"),
                " ".join(str(fact[n]) for n in ("value", "unit") if fact.get(n)),
                "declared by the issuer" if fact.get("selfDeclared") else "ledger",
            )
            for fact in facts
        ),
    )
