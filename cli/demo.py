"""``tracemark demo``: a whole network on this machine with three product stories in it.

    1 network       made from network-config/demo.yaml, once
    2 gateway       opened on the home and served
    3 parties       registered by the regulator, delegations granted
    4 stories       products defined, documents anchored by the parties that made them
    5 certificates  issued, one for each story

Each step does only what is missing, so a run that was interrupted is simply started again.
"""

from __future__ import annotations

import shutil
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, Final

import click

from cli.command import CONTEXT, command, home_option
from cli.errors import NEGATIVE, UsageFault
from cli.output import line, note, print_json, progress, table

if TYPE_CHECKING:
    from cli.demonstration import Result, Told
    from cli.running import Running
    from nodes.network import NetworkDescription

NETWORK: Final = Path(__file__).resolve().parent.parent / "network-config" / "demo.yaml"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group(context_settings=CONTEXT)
def demo() -> None:
    """Load and show the demonstration stories."""


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
    from cli.demonstration import Demonstration
    from cli.running import running_gateway
    from gateway.logging_setup import configure
    from gateway.settings import Settings

    signal.signal(signal.SIGTERM, _as_interrupt)
    shown = Demonstration.of(home, stories)
    if reset:
        _reset(home)
    options: dict[str, Any] = {
        "home": home,
        "host": host,
        "port": port,
        "organisation": shown.parties[0].organisation,
        "log_level": "warning",
        "log_format": "text",
    }
    settings = Settings(**options)
    configure(settings)
    try:
        description = _network(home)
        with running_gateway(settings) as gateway:
            with _steps_told() as told:
                result = shown.load(
                    description, gateway.container, gateway.url, gateway.public_url, told
                )
            _show(result, as_json, codes=not once, served=not once)
            if not once:
                _serve_until_stopped(gateway)
    except KeyboardInterrupt:
        note("interrupted; what is on the ledger stays, and the next start goes on from there")
        raise
    return None if result.valid else NEGATIVE


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
    from cli.demonstration import Demonstration
    from cli.local_keys import open_parts
    from cli.profile import load_profile
    from nodes.network import load_network

    description = load_network(home)
    shown = Demonstration.of(home, stories)
    address = load_profile(url=url).url
    with open_parts(home) as parts, _steps_told() as told:
        result = shown.load(description, parts, address, address, told)
    _show(result, as_json, codes=False, served=True)
    return None if result.valid else NEGATIVE


@contextmanager
def _steps_told() -> Iterator[Told]:
    """A line for each step done, over a bar on a terminal."""
    from rich.text import Text

    with progress() as bar:
        task = bar.add_task("loading the stories", total=None)

        def told(text: str, steps: int) -> None:
            bar.console.print(Text(f"  {text}", style="dim"))
            bar.update(task, total=steps, advance=1)

        yield told


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


def _show(result: Result, as_json: bool, *, codes: bool, served: bool) -> None:
    """The result; with QR codes, and with the way to a gateway where one stays."""
    if as_json:
        print_json(result.to_json())
    else:
        _print(result, codes)
        _print_way(result, served)
    sys.stdout.flush()


def _print(result: Result, codes: bool) -> None:
    for story in result.stories:
        line()
        line(story.title, "bold")
        line(f"  {story.events} events, certificate {story.certificate}")
        style = "bold green" if story.verdict == "valid" else "bold red"
        line(f"  {story.verdict.upper()}", style)
        line(f"  {story.scan}")
        if codes:
            from gateway.qr import terminal

            click.echo(terminal(story.scan), nl=False)
    line()
    line("API keys of this demonstration, one for each role", "bold")
    table(("role", "party", "key"), ((k.role, k.party, k.key) for k in result.keys))


def _print_way(result: Result, served: bool) -> None:
    line()
    if not served:
        line("No server was left running: scripts/demo starts the gateway on the same data.")
        return
    line(f"Gateway {result.url}    interface description {result.url}/openapi.json")
    line(f"  export TRACEMARK_URL={result.url} TRACEMARK_API_KEY={result.key('auditor')}")
    line(f"  .venv/bin/tracemark trace {result.stories[0].scan}")


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
