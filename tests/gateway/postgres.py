"""A real PostgreSQL server of the tests' own: made, started, stopped and thrown away."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

CANDIDATES = (
    "/usr/lib/postgresql",
    "/usr/pgsql",
    "/opt/homebrew/opt/postgresql",
    "/usr/local/pgsql",
)


def binaries() -> Path | None:
    """The folder with initdb and pg_ctl, newest version first; None where there is none."""
    for root in CANDIDATES:
        for folder in sorted(Path(root).glob("*/bin"), reverse=True):
            if (folder / "initdb").exists() and (folder / "pg_ctl").exists():
                return folder
    found = shutil.which("initdb")
    return Path(found).parent if found and (Path(found).parent / "pg_ctl").exists() else None


class Postgres:
    """One server on a free loopback port, run as an unprivileged user when the tests are root."""

    def __init__(self) -> None:
        folder = binaries()
        if folder is None:
            raise FileNotFoundError("no PostgreSQL binaries")
        self._bin = folder
        self._user = _unprivileged()
        self.home = Path(tempfile.mkdtemp(prefix="tracemark-pg-"))
        if self._user:
            shutil.chown(self.home, self._user)
        self.port = _free_port()
        self._run(
            "initdb", "-D", str(self.home / "data"), "-U", "postgres", "-A", "trust", "-N",
            "-E", "UTF8", "--locale=C",
        )  # fmt: skip
        with (self.home / "data" / "postgresql.conf").open("a") as conf:
            conf.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\n"
                f"unix_socket_directories = '{self.home}'\nfsync = off\nmax_connections = 60\n"
            )

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        data, log = str(self.home / "data"), str(self.home / "log")
        self._run("pg_ctl", "-D", data, "-l", log, "-w", "-t", "60", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-D", str(self.home / "data"), "-m", "immediate", "-w", "stop")

    def database(self, name: str, template: str = "template1") -> str:
        """Create a database; returns its URL."""
        admin = self.url.rsplit("/", 1)[0]
        self._run(
            "psql", "-q", "-d", self.url, "-c", f'CREATE DATABASE "{name}" TEMPLATE "{template}"'
        )
        return f"{admin}/{name}"

    @property
    def is_running(self) -> bool:
        return (self.home / "data" / "postmaster.pid").exists()

    def close(self) -> None:
        if self.is_running:
            self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def _run(self, name: str, *arguments: str) -> None:
        command: Sequence[str] = (str(self._bin / name), *arguments)
        if self._user:
            command = ("setpriv", *_drop_to(self._user), *command)
        done = subprocess.run(
            command,
            cwd=self.home,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE if name != "pg_ctl" else subprocess.DEVNULL,
            stderr=subprocess.STDOUT if name != "pg_ctl" else subprocess.DEVNULL,
            timeout=120,
        )
        if done.returncode:
            log = self.home / "log"
            said = (done.stdout or b"").decode() + (log.read_text() if log.exists() else "")
            raise RuntimeError(f"{name} failed: {said[-2000:]}")


def _unprivileged() -> str | None:
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            pwd.getpwnam(name)
        except KeyError:
            continue
        return name
    raise FileNotFoundError("no unprivileged user to run PostgreSQL as")


def _drop_to(user: str) -> Sequence[str]:
    entry = pwd.getpwnam(user)
    return (f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups")


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
