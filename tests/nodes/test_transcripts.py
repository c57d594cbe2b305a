"""Conflict and recovery stories, told line by line and compared with tests/transcripts/*.txt.

Run with REWRITE_TRANSCRIPTS=1 to write them anew after an intended change, and read the diff.
A story is a list of commands (lines starting with ">"); what the network answers follows each.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from fabric_protos.common import common_pb2

from nodes.embedded import EmbeddedNetwork
from nodes.errors import GatewayError
from nodes.identity import revoke_user
from nodes.network import add_organisation
from nodes.orderlog import FILE
from tests.nodes.client import Client, agree, new_organisation, open_home, order

FOLDER = Path(__file__).parents[1] / "transcripts"


class Story:
    """Runs commands on a network; names transactions by the story's own words."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.network: EmbeddedNetwork | None = None
        self.endorsed: dict[str, common_pb2.Envelope] = {}

    def run(self, line: str) -> str:
        command, *args = line.split()
        return getattr(self, f"do_{command.replace('-', '_')}")(*args)  # type: ignore[no-any-return]

    @property
    def open(self) -> EmbeddedNetwork:
        assert self.network is not None
        return self.network

    def do_open(self) -> str:
        self.network = open_home(self.home)
        return f"height {self.network.height}"

    def do_close(self) -> str:
        self.open.close()
        return "closed"

    def do_endorse(self, name: str, who: str, *args: str) -> str:
        org, user = who.split("/")
        try:
            self.endorsed[name] = Client.of(self.open, org, user).signed(*args)
        except GatewayError as error:
            return f"{error.status.name}: {error.details[0].message}"
        return "endorsed"

    def do_order(self, *names: str) -> str:
        codes = order(self.open, *(self.endorsed[name] for name in names))
        told = (f"{name} {code}" for name, code in zip(names, codes, strict=True))
        return f"block {self.open.height - 1}: " + ", ".join(told)

    def do_get(self, key: str) -> str:
        return Client.of(self.open).evaluate("get", key).decode() or "(nothing)"

    def do_heights(self) -> str:
        return ", ".join(f"{n.name} {n.ledger.height}" for n in self.open.nodes.values())

    def do_agree(self) -> str:
        agree(self.open)
        return "every node has the same state"

    def do_fail_disk(self, org: str) -> str:
        next(n for n in self.open.nodes.values() if n.name == org).ledger.close()
        return f"the storage of {org} is gone"

    def do_running(self) -> str:
        return ", ".join(node.name for node in self.open.running_nodes())

    def do_lose(self, what: str) -> str:
        if what == "log":
            (self.home / "orderer" / FILE).unlink()
        else:
            shutil.rmtree(self.home / "nodes" / what / "ledger")
        return "lost"

    def do_tear_log(self, size: str) -> str:
        log = self.home / "orderer" / FILE
        data = log.read_bytes()
        log.write_bytes(data[: len(data) - int(size)])
        return f"the last {size} bytes of the log are gone"

    def do_revoke(self, org: str, user: str) -> str:
        revoke_user(self.home, org, user)
        self.open.reconcile()
        return f"configuration {self.open.config.config.sequence} in block {self.open.height - 1}"

    def do_add(self, org: str) -> str:
        add_organisation(self.home, new_organisation(org))
        self.open.reconcile()
        return f"members {', '.join(self.open.config.application_msps)}"


@pytest.fixture
def story(home: Path) -> Story:
    return Story(home)


def tell(story: Story, name: str, before: Callable[[], None] | None = None) -> None:
    """Run the commands of a transcript and compare, or rewrite, its answers."""
    file = FOLDER / f"{name}.txt"
    lines = file.read_text(encoding="utf-8").splitlines()
    told: list[str] = []
    try:
        for line in lines:
            if line.startswith(">"):
                told += [line, f"  {story.run(line[1:])}"]
            elif not line.startswith("  "):
                told.append(line)
    finally:
        if story.network is not None:
            story.network.close()
    text = "\n".join(told) + "\n"
    if os.environ.get("REWRITE_TRANSCRIPTS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.txt")))
def test_transcript(story: Story, name: str) -> None:
    tell(story, name)
