"""``tracemark demo``: a whole network on this machine with three product stories in it.

    1 network    made from network-config/demo.yaml, once
    2 gateway    opened on the home and served
    3 parties    registered by the regulator, delegations granted
    4 stories    products defined, documents anchored by the parties that made them
    5 certificates issued, one for each story

Each step does only what is missing, so a run that was interrupted is simply started again.
``<home>/gateway/demo.json`` says that all of it is there; then a start only opens and serves.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from cli.command import CONTEXT, command, home_option
from cli.errors import NEGATIVE, UsageFault
from cli.output import line, note, print_json, progress, table

if TYPE_CHECKING:
    from cli.loading import Loader
    from cli.running import Running
    from cli.stories import Participant, Story
    from nodes.network import NetworkDescription

ROLES: Final = (
    "producer", "processor", "carrier", "warehouse", "certifier",
    "customs", "brand", "retailer", "regulator", "auditor",
)  # fmt: skip
ROOT: Final = Path(__file__).resolve().parent.parent
NETWORK: Final = ROOT / "network-config" / "demo.yaml"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(context_settings=CONTEXT)
def demo() -> None:
    """Load and show the demonstration stories."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One story as the demo shows it: its certificate's number and verdict."""

    name: str
    title: str
    events: int
    scan: str
    certificate: str
    verdict: str


@command(demo, "run")
@home_option
@click.option("--once", is_flag=True, help="Verify the certificates, print a summary and end.")
@click.option("--reset", is_flag=True, help="Delete the home first and start anew.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True,
              help="Port to bind; 0 picks a free one.")  # fmt: skip
@click.option("--stories", type=FOLDER, default=None, help="Folder of stories [the project's].")
def run(
    home: Path,
    once: bool,
    reset: bool,
    host: str,
    port: int,
    stories: Path | None,
    as_json: bool,
) -> int | None:
    """Make the demonstration network, load it, and serve it until Ctrl-C.

    A second start keeps the data and takes seconds; an interrupted one goes on where it was.

    \b
    Examples:
      tracemark demo run
      tracemark demo run --once
      tracemark demo run --reset --port 8080

    To scan with a phone in the same network, bind an address it reaches and say so:

    \b
      TRACEMARK_ALLOW_PLAIN_HTTP=1 TRACEMARK_PUBLIC_URL=http://192.168.1.5:8000 \\
          tracemark demo run --host 0.0.0.0
    """
    signal.signal(signal.SIGTERM, _as_interrupt)
    try:
        result = _run(home, host, port, once, reset, stories, as_json)
    except KeyboardInterrupt:
        note("interrupted; what is on the ledger stays, and the next start goes on from there")
        raise
    return None if all(story["verdict"] == "valid" for story in result["stories"]) else NEGATIVE


def _run(
    home: Path, host: str, port: int, once: bool, reset: bool, stories: Path | None, as_json: bool
) -> dict[str, Any]:
    """Make, load, show, and unless `once` serve until stopped; returns what was shown."""
    from cli.loading import Keys
    from cli.running import running_gateway
    from cli.stories import default_folder, load_network_parties, load_stories
    from gateway.logging_setup import configure
    from gateway.settings import Settings

    folder = stories or default_folder()
    told, parties = load_stories(folder), load_network_parties(folder)
    if reset:
        _reset(home)
    description = _network(home)
    options: dict[str, Any] = {
        "home": home,
        "host": host,
        "port": port,
        "organisation": parties[0].organisation,
        "log_level": "warning",
        "log_format": "text",
    }
    settings = Settings(**options)
    configure(settings)
    with running_gateway(settings) as gateway:
        msp_ids = {o.name: o.msp_id for o in description.organisations}
        keys = Keys(home / "gateway" / "demo-keys.json", gateway.container, msp_ids)
        loader = _loader(gateway, keys, msp_ids)
        try:
            shown = _load(home, loader, folder, parties, told)
            roles = _keys_by_role(
                keys, [*parties, *(p for story in told for p in story.participants)]
            )
        finally:
            loader.close()
        result = _result(gateway.public_url, home, shown, roles)
        if as_json:
            print_json(result)
        else:
            _print(result, codes=not once)
        if not once:
            _serve_until_stopped(gateway)
    return result


@command(demo, "load")
@home_option
@click.option("--url", default="", metavar="URL", help="Base URL of the home's running gateway.")
@click.option("--stories", type=FOLDER, default=None, help="Folder of stories [the project's].")
def load(home: Path, url: str, stories: Path | None, as_json: bool) -> int | None:
    """Load stories into a network whose gateway is running.

    The users of the stories have to be in the network, as they are in network-config/demo.yaml.
    API keys are made in HOME, so this runs on the gateway's own machine.

    \b
    Example:
      tracemark network up & tracemark demo load
    """
    from cli.loading import Keys, Loader
    from cli.local_keys import open_parts
    from cli.profile import load_profile
    from cli.stories import default_folder, load_network_parties, load_stories
    from nodes.network import load_network

    description = load_network(home)
    folder = stories or default_folder()
    told, parties = load_stories(folder), load_network_parties(folder)
    msp_ids = {o.name: o.msp_id for o in description.organisations}
    profile = load_profile(url=url)
    with open_parts(home) as parts:
        keys = Keys(home / "gateway" / "demo-keys.json", parts, msp_ids)
        loader = Loader(profile.url, keys, msp_ids)
        try:
            shown = _load(home, loader, folder, parties, told)
            roles = _keys_by_role(
                keys, [*parties, *(p for story in told for p in story.participants)]
            )
        finally:
            loader.close()
    result = _result(profile.url, home, shown, roles)
    if as_json:
        print_json(result)
    else:
        _print(result, codes=False)
    return None if all(story.verdict == "valid" for story in shown) else NEGATIVE


def _load(
    home: Path,
    loader: Loader,
    folder: Path,
    parties: Sequence[Participant],
    stories: Sequence[Story],
) -> list[Shown]:
    """Bring everything onto the ledger that is not there; returns what to show."""
    marker = home / "gateway" / "demo.json"
    digest = _digest(folder)
    known = _marker(marker, digest)
    if known is None:
        known = _load_all(loader, home, parties, stories)
        marker.write_text(json.dumps({"stories": digest, "certificates": known}), "utf-8")
    shown = []
    for story in stories:
        number = known[story.name]
        client = loader.as_party(story.party(story.certificates[0].by))
        verdict = client.post("/v1/verify", {"id": number})["overall"]
        events = len(story.events())
        shown.append(Shown(story.name, story.title, events, story.scan, number, verdict))
    return shown


def _load_all(
    loader: Loader, home: Path, parties: Sequence[Participant], stories: Sequence[Story]
) -> dict[str, str]:
    from cli.anchoring import Journal

    everyone = [party for story in stories for party in story.participants]
    steps = len(parties) + len(everyone)
    steps += sum(
        len(s.delegations) + len(s.products) + len(s.captures) + len(s.certificates)
        for s in stories
    )
    journal = Journal.at(home / "gateway" / "demo-anchored.jsonl")
    certificates: dict[str, str] = {}
    with progress() as bar:
        task = bar.add_task("loading the stories", total=steps)

        def told(text: str) -> None:
            bar.console.print(f"  {text}", style="dim", markup=False)
            bar.advance(task)

        loader.told = told
        loader.register(parties, everyone)
        for story in stories:
            note(story.title)
            loader.prepare(story)
            loader.anchor(story, journal)
            for issue in story.certificates:
                number = loader.certify(story, issue)
                certificates.setdefault(story.name, number)
    return certificates


def _network(home: Path) -> NetworkDescription:
    """The home's network, made where there is none; an interrupted making is repeated."""
    from nodes.network import init_network, load_network, read_description

    if not (home / "network.json").exists():
        note(f"making the network of {NETWORK.name} below {home}")
        init_network(read_description(NETWORK), home)
    return load_network(home)


def _reset(home: Path) -> None:
    """Delete a home; refuses a folder that is none, or that another process has open."""
    if not home.exists():
        return
    made = any((home / name).exists() for name in ("network.json", "organizations"))
    if not made and any(home.iterdir()):
        raise UsageFault(f"{home} is not a network's home; it was not deleted")
    from nodes.checks.lock import home_lock

    with home_lock(home):
        note(f"deleting {home}")
    shutil.rmtree(home)


def _loader(gateway: Running, keys: Any, msp_ids: dict[str, str]) -> Loader:
    from cli.loading import Loader

    return Loader(gateway.url, keys, msp_ids)


def _keys_by_role(keys: Any, parties: Sequence[Participant]) -> list[dict[str, str]]:
    """One key for each role: of the first party that plays it, preferring one not shown yet."""
    chosen: list[dict[str, str]] = []
    taken: set[str] = set()
    for role in ROLES:
        playing = [party for party in parties if role in party.roles and party.user]
        fresh = [party for party in playing if party.key not in taken]
        for party in (fresh or playing)[:1]:
            taken.add(party.key)
            token = keys.token(party.organisation, party.user)
            chosen.append({"role": role, "party": party.name, "user": party.user, "key": token})
    return chosen


def _result(
    url: str, home: Path, shown: Sequence[Shown], roles: list[dict[str, str]]
) -> dict[str, Any]:
    return {
        "url": url,
        "home": str(home),
        "stories": [
            {
                "name": story.name,
                "title": story.title,
                "events": story.events,
                "scan": url + story.scan.removeprefix("https://id.gs1.org"),
                "certificate": story.certificate,
                "verdict": story.verdict,
            }
            for story in shown
        ],
        "keys": roles,
    }


def _print(result: dict[str, Any], codes: bool) -> None:
    for story in result["stories"]:
        good = story["verdict"] == "valid"
        line()
        line(story["title"], "bold")
        line(f"  {story['events']} events, certificate {story['certificate']}")
        line(f"  {story['verdict'].upper()}", "bold green" if good else "bold red")
        line(f"  {story['scan']}")
        if codes:
            from gateway.qr import terminal

            click.echo(terminal(story["scan"]), nl=False)
    line()
    line("API keys of this demonstration, one for each role", "bold")
    table(("role", "party", "key"), ((k["role"], k["party"], k["key"]) for k in result["keys"]))
    line()
    line(f"Gateway {result['url']}    interface description {result['url']}/openapi.json")
    auditor = next((k["key"] for k in result["keys"] if k["role"] == "auditor"), "tmk_...")
    line(f"  export TRACEMARK_URL={result['url']} TRACEMARK_API_KEY={auditor}")
    line(f"  .venv/bin/tracemark trace {result['stories'][0]['scan']}")


def _serve_until_stopped(gateway: Running) -> None:
    line("Ctrl-C stops the network; its data stays.")
    sys.stdout.flush()
    try:
        while not gateway.stopped.wait(0.5):
            pass
    except KeyboardInterrupt:
        note("stopping")


def _as_interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _digest(folder: Path) -> str:
    """Changes when any story's file does."""
    digest = hashlib.sha256()
    for file in sorted(folder.rglob("*")):
        if file.suffix in (".yaml", ".jsonld"):
            digest.update(file.relative_to(folder).as_posix().encode() + b"\0")
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()


def _marker(file: Path, digest: str) -> dict[str, str] | None:
    """The certificates by story, when all of it was loaded from the same files."""
    try:
        held = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    if held.get("stories") != digest:
        return None
    found: dict[str, str] = held["certificates"]
    return found
