"""A gateway in this process: opened, served on a background thread, closed in order."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from cli.errors import Unreachable, UsageFault

if TYPE_CHECKING:
    from gateway.container import Container
    from gateway.settings import Settings

START_S: Final = 60.0
STOP_S: Final = 20.0


@dataclass(frozen=True, slots=True)
class Running:
    """A gateway that accepts connections at `url`; `stopped` is set when it has ended.

    public_url: where others reach it (the setting of that name, else the address bound).
    """

    url: str
    public_url: str
    container: Container
    stopped: threading.Event


@contextmanager
def running_gateway(settings: Settings) -> Iterator[Running]:
    """Open the home's network and serve it while the block runs.

    Raises nodes.errors.NodeError (no network, or open elsewhere) and UsageFault (port taken).
    """
    from gateway.container import open_container
    from gateway.serve import server_of
    from nodes.checks.lock import home_lock

    with home_lock(settings.home):
        pass  # a home that is open elsewhere is the better reason than a port that is taken
    with contextlib.ExitStack() as parts:
        listening = parts.enter_context(_bind(settings.host, settings.port))
        port = listening.getsockname()[1]
        settings = settings.model_copy(update={"port": port})
        container = parts.enter_context(open_container(settings))
        server = server_of(settings, container)
        ready, stopped = threading.Event(), threading.Event()
        server.announce = ready.set

        def run() -> None:
            try:
                server.run(sockets=[listening])
            finally:
                stopped.set()
                ready.set()

        thread = threading.Thread(target=run, name="gateway")
        thread.start()
        try:
            if not ready.wait(START_S) or stopped.is_set():
                raise Unreachable("the gateway did not start; its log says why")
            reached = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)  # noqa: S104
            yield Running(f"http://{reached}:{port}", settings.base_url, container, stopped)
        finally:
            server.should_exit = True
            thread.join(STOP_S)


def _bind(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise UsageFault(
            f"{host}:{port} cannot be bound: {error.strerror}",
            hint="another program uses the port: choose one with --port",
        ) from error
    return listening
