"""``tracemark network``: make, start, check, back up an embedded network.

``init``, ``add-org``, ``fsck``, ``backup`` and ``restore`` work on a data home of this machine;
``status`` asks a running gateway, or reads the home where none is running.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from cli import upkeep
from cli.command import CONTEXT, command, home_option
from cli.errors import NEGATIVE, Unreachable, UsageFault
from cli.network_view import describe, print_home, print_status
from cli.output import clean, fields, line, note, print_json, progress

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(context_settings=CONTEXT)
def network() -> None:
    """Make, start and check a network."""


@command(network, "init")
@click.argument("file", type=FILE, metavar="FILE")
@home_option
def init(file: Path, home: Path, as_json: bool) -> None:
    """Make a network from the description FILE.

    Writes every organisation's certificate authority, node and user keys, and the channel's first
    block. A home that already holds a network is refused; an interrupted run may be repeated.

    \b
    Example:
      tracemark network init network-config/demo.yaml --home .tracemark
    """
    from nodes.network import init_network, read_description

    description = read_description(file)
    note(f"making {len(description.organisations)} organisations below {home}")
    init_network(description, home)
    print_home(home, as_json)


@command(network, "add-org")
@click.argument("file", type=FILE, metavar="FILE")
@home_option
def add_org(file: Path, home: Path, as_json: bool) -> None:
    """Add the organisation described in FILE to a network.

    FILE is one entry of a description's `organisations` list. The organisation gets its own node,
    which catches up from the first block; a running network takes it in within a second.

    \b
    Example:
      tracemark network add-org network-config/roasters.yaml
    """
    import yaml

    from nodes.network import Organisation, add_organisation

    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise UsageFault(f"{file} cannot be read: {error}") from error
    add_organisation(home, Organisation.model_validate(data))
    print_home(home, as_json)


@command(network, "up")
@home_option
@click.option("--host", default=None, metavar="ADDRESS", help="Address to bind [127.0.0.1].")
@click.option("--port", type=click.IntRange(0, 65535), default=None, help="Port to bind [8000].")
@click.option(
    "--grpc",
    default=None,
    metavar="HOST:PORT|all",
    help="Serve Fabric's Gateway protocol there too; all: at every node's own address.",
)
def up(home: Path, host: str | None, port: int | None, grpc: str | None, as_json: bool) -> None:
    """Start the network of a home and its gateway, and run until stopped.

    Everything else is set by TRACEMARK_ variables: see docs/reference/settings.md.

    \b
    Examples:
      tracemark network up
      tracemark network up --port 8080 --grpc 127.0.0.1:7050
      tracemark network up --grpc all
    """
    from nodes.network import load_network

    load_network(home)

    from gateway.serve import serve
    from gateway.settings import Settings

    given = {"home": home, "host": host, "port": port, "grpc_listen": grpc}
    options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "home": str(home)})
            sys.stdout.flush()
        else:
            note(f"the gateway of {home} serves {url} (Ctrl-C stops it)")

    serve(Settings(**options), on_ready=ready)


@command(network, "status")
@home_option
@click.option("--url", default="", metavar="URL", help="Base URL of the gateway.")
@click.option("--profile", default="", metavar="NAME", help="Profile of config.toml.")
def status(home: Path, url: str, profile: str, as_json: bool) -> int | None:
    """Show the network: organisations, policy, and how the gateway is.

    Ends with 1 when a gateway answers but is not ready, with 4 when none answers.
    """
    from cli.client import Client
    from cli.profile import load_profile

    shown: dict[str, Any] = describe(home)
    with Client(load_profile(profile, url)) as client:
        try:
            answer = client.probe("/readyz")
            shown["gateway"] = {"url": client.profile.url, "ready": answer.status_code == 200}
            shown["gateway"] |= _object(answer)
        except Unreachable as error:
            shown["gateway"] = {"url": client.profile.url, "ready": None, "error": error.message}
    if as_json:
        print_json(shown)
    else:
        print_status(shown)
    ready = shown["gateway"]["ready"]
    return None if ready else (Unreachable.exit_code if ready is None else NEGATIVE)


@command(network, "fsck")
@home_option
def fsck(home: Path, as_json: bool) -> int | None:
    """Re-verify everything a home holds; the gateway must be stopped.

    Hash chain, signatures, endorsement policies, the replay of every block to the same state,
    payload commitments, and that all organisations agree. Ends with 1 when anything is found.
    """
    from nodes.fsck import check

    with progress() as shown:
        task = shown.add_task("checking", total=None)

        def told(stage: str, done: int, total: int) -> None:
            shown.update(task, description=stage, completed=done, total=total or None)

        report = check(home, told, event_check=_hash_differs).to_json()
    if as_json:
        print_json(report)
    else:
        fields((name, count) for name, count in sorted(report["counts"].items()))
        for text in report["notes"]:
            note(clean(text))
        for finding in report["findings"]:
            where, message = clean(finding["where"]), clean(finding["message"])
            line(f"{finding['code']}  {where}  {message}", "red")
        found = sum(report["kinds"].values())
        line(f"{found} findings" if found else "everything verified", "red" if found else "green")
    return None if report["ok"] else NEGATIVE


@command(network, "backup")
@click.argument("target", type=click.Path(path_type=Path))
@click.option("--live", is_flag=True, help="Of a running network; TARGET's disk holds two copies.")
@home_option
def backup(target: Path, live: bool, home: Path, as_json: bool) -> None:
    """Copy a home, keys included, into the new file TARGET.

    The gateway must be stopped, or --live given: then everything acknowledged before the backup
    began is in it, and what came in meanwhile may be.

    \b
    Examples:
      tracemark network backup /backups/tracemark-2026-11-21.tar
      tracemark network backup --live /backups/tracemark-2026-11-21.tar
    """
    from nodes.backup import backup as make

    with _bytes_told("backup") as told:
        made = asdict(make(home, target, told, live=live))
    if as_json:
        print_json({"home": str(home), "archive": str(target)} | made)
    else:
        line(f"{made['files']} files, {made['size']} bytes of {home} are in {target}")
        note("it holds private keys: keep it like them")


@command(network, "restore")
@click.argument("archive", type=FILE)
@home_option
def restore(archive: Path, home: Path, as_json: bool) -> None:
    """Bring the home in ARCHIVE back; HOME must not exist yet.

    \b
    Example:
      tracemark network restore /backups/tracemark-2026-11-21.tar --home .tracemark
    """
    from nodes.backup import restore as bring_back

    with _bytes_told("restore") as told:
        made = asdict(bring_back(archive, home, told))
    if as_json:
        print_json({"home": str(home), "archive": str(archive)} | made)
    else:
        line(f"{made['files']} files are back in {home}")
        note(f"`tracemark network fsck --home {home}` re-verifies all of it")


for _made in (
    upkeep.rotate_key,
    upkeep.orphans,
    upkeep.issue_user,
    upkeep.revoke_user,
):
    network.add_command(_made)


@contextmanager
def _bytes_told(what: str) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar over bytes, fed by the function it gives."""
    with progress() as shown:
        task = shown.add_task(what, total=None)
        yield lambda path, done, total: shown.update(task, completed=done, total=total or None)


def _object(answer: Any) -> dict[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _hash_differs(payload: bytes, record: dict[str, Any]) -> str:
    """The gateway layer's part of fsck: CBV 2.0 event hash of a stored payload."""
    import json

    from gateway.epcis.hash import event_hash

    stored = json.loads(payload)
    found = event_hash(stored["event"], stored.get("@context"))
    return "" if found == record["hash"] else f"The payload hashes to {found}."
