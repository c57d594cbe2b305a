"""Upkeep of a home on this machine: node keys, orphan payloads, users of an organisation.

Commands of ``tracemark network``. Those that open payload stores need the gateway stopped.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.command import command, home_option
from cli.errors import UsageFault
from cli.output import fields, line, note, print_json, table

if TYPE_CHECKING:
    from nodes.embedded import EmbeddedNetwork

HOUR_MS = 3_600_000


@command(name="rotate-key")
@click.argument("organisation", metavar="ORG")
@home_option
def rotate_key(organisation: str, home: Path, as_json: bool) -> None:
    """Give ORG's node a new payload key and destroy the old; the gateway must be stopped.

    Every payload's own key is wrapped anew, the payloads stay as they are. An interrupted run is
    finished by the next opening. Backups made before still hold the old key.

    \b
    Example:
      tracemark network rotate-key growers
    """
    with _opened(home) as network:
        msp_id = network.description.organisation(organisation).msp_id
        count = network.node(msp_id).payloads.rotate_key()
    if as_json:
        print_json({"msp_id": msp_id, "rewrapped": count})
    else:
        line(f"the node of {msp_id} has a new key; {count} payloads are under it")


@command(name="orphans")
@click.option("--collect", is_flag=True, help="Delete them.")
@click.option("--grace-hours", type=click.FloatRange(1), default=24.0, show_default=True,
              help="Only payloads stored longer ago than this.")  # fmt: skip
@home_option
def orphans(collect: bool, grace_hours: float, home: Path, as_json: bool) -> None:
    """List payloads whose event never reached the chain; the gateway must be stopped.

    A running gateway deletes them by itself: see TRACEMARK_ORPHANS_EVERY_S.

    \b
    Examples:
      tracemark network orphans
      tracemark network orphans --collect --grace-hours 48
    """
    grace_ms = int(grace_hours * HOUR_MS)
    with _opened(home) as network:
        found = [
            (msp_id, orphan)
            for msp_id, node in network.nodes.items()
            for orphan in (node.payloads.collect_orphans if collect else node.payloads.orphans)(
                grace_ms
            )
        ]
    if as_json:
        listed = [
            {"msp_id": msp_id, "commitment": o.commitment, "event_hash": o.event_hash,
             "stored_ms": o.stored_ms}
            for msp_id, o in found
        ]  # fmt: skip
        print_json({"orphans": listed, "collected": collect})
        return
    if found:
        table(
            ("MSP", "commitment", "stored"),
            ((msp_id, o.commitment, _time(o.stored_ms)) for msp_id, o in found),
        )
    line(f"{len(found)} orphans {'deleted' if collect else 'found'}")


@command(name="issue-user")
@click.argument("organisation", metavar="ORG")
@click.argument("user", metavar="USER")
@click.option("--party", default="", metavar="ID", help="Party the user acts for.")
@click.option("--admin", is_flag=True, help="Make the user an administrator.")
@click.option("--renew", is_flag=True, help="Give an existing user a new certificate.")
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER",
              help="Put the MSP folder there; its private key leaves the home.")  # fmt: skip
@home_option
def issue_user(
    organisation: str,
    user: str,
    party: str,
    admin: bool,
    renew: bool,
    out: Path | None,
    home: Path,
    as_json: bool,
) -> None:
    """Issue USER of ORG a certificate by the organisation's authority in the home.

    The MSP folder signs with `tracemark ledger submit` and with Fabric's clients. A running
    gateway knows the user at once.

    \b
    Examples:
      tracemark network issue-user growers line2 --party urn:tracemark:party:finca-alta
      tracemark network issue-user growers line2 --renew --out ./line2-msp
    """
    from chaincode.errors import Refusal
    from chaincode.identifiers import as_party
    from nodes.identity.folders import organisation_folder
    from nodes.identity.issue import issue_user as issue

    kept = organisation_folder(home, organisation).user(user) / "msp"
    if kept.exists() and not renew:
        raise UsageFault(
            f"{organisation} has a user {user!r}", hint="--renew issues a new certificate"
        )
    if out is not None and out.exists():
        raise UsageFault(f"{out} exists; an MSP folder is written to a new one")
    try:
        attrs = {"tracemark.party": as_party(party)} if party else {}
    except Refusal as error:
        raise UsageFault(str(error), code=error.code) from error
    signer = issue(home, organisation, user, "admin" if admin else "client", attrs)
    if out is not None:
        shutil.copytree(kept, out)
        shutil.rmtree(kept / "keystore")
    shown = {"msp_id": signer.msp_id, "user": user, "folder": str(out or kept)} | attrs
    if as_json:
        print_json(shown)
        return
    fields(shown.items())
    note("the private key in it is not encrypted: keep the folder to its owner")


@command(name="revoke-user")
@click.argument("organisation", metavar="ORG")
@click.argument("user", metavar="USER")
@home_option
def revoke_user(organisation: str, user: str, home: Path, as_json: bool) -> None:
    """Put USER's present certificate on ORG's revocation list.

    A running network takes the list over within a second.

    \b
    Example:
      tracemark network revoke-user growers line2
    """
    from nodes.identity.issue import revoke_user as revoke

    revoke(home, organisation, user)
    if as_json:
        print_json({"organisation": organisation, "user": user, "revoked": True})
    else:
        line(f"the certificate of {user} of {organisation} is revoked")


@contextmanager
def _opened(home: Path) -> Iterator[EmbeddedNetwork]:
    from nodes.embedded import EmbeddedNetwork

    network = EmbeddedNetwork.open(home)
    try:
        yield network
    finally:
        network.close()


def _time(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
