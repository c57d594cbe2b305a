"""Servers in processes of their own, as a user runs them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_TIMEOUT_S = 60.0
TRACEMARK = Path(sys.executable).with_name("tracemark")


def free_port() -> int:
    """A loopback port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def gateway(home: Path) -> Iterator[int]:
    """``tracemark network up`` on `home`; yields its port once it is ready."""
    port = free_port()
    command = [str(TRACEMARK), "network", "up", "--home", str(home), "--port", str(port)]
    environment = {**os.environ, "TRACEMARK_LOG_LEVEL": "error"}
    with _running(command, environment, f"http://127.0.0.1:{port}/readyz"):
        yield port


@contextmanager
def bare_endpoint() -> Iterator[int]:
    """The yardstick application under the same server settings."""
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "bare:app", "--port", str(port)]
    command += ["--no-access-log", "--log-level", "error"]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    with _running(command, environment, f"http://127.0.0.1:{port}/bare"):
        yield port


@contextmanager
def _running(command: list[str], environment: dict[str, str], probe: str) -> Iterator[None]:
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        _wait(process, probe)
        yield
    finally:
        process.terminate()
        process.wait(timeout=30)


def _wait(process: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise RuntimeError(f"the server ended with exit code {process.returncode}")
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise RuntimeError(f"{url} did not answer within {START_TIMEOUT_S:.0f} s")
