"""The engine against a plain dictionary: any order of proposals, blocks, crashes, reopenings.

The machine keeps a dict of committed values, their write counts and histories. Transactions are
endorsed at one time and ordered at another, in any grouping; the model says which must be VALID
and which conflict. A crash copies the home as it stands, without closing, and goes on from the
copy; one node's ledger or the sequencer's log may be lost on the way.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from fabric_protos.common import common_pb2
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    rule,
)

from nodes.network import init_network
from nodes.orderlog import FILE
from tests.nodes.client import Client, agree, description, open_home, order

KEYS = ("a", "b", "c", "d")
_template: list[Path] = []


def template() -> Path:
    """One network's home for all examples, made once."""
    if not _template:
        home = Path(tempfile.mkdtemp(prefix="machine-")) / "home"
        init_network(description(), home)
        open_home(home).close()
        _template.append(home)
    return _template[0]


def copy_at_rest(home: Path, copy: Path) -> None:
    """Copy an open home between two moments at which no background job changed its files."""
    while True:
        before = sorted(home.rglob("*"))
        try:
            shutil.copytree(home, copy)
        except shutil.Error:
            shutil.rmtree(copy)
            continue
        if sorted(home.rglob("*")) == before:
            return
        shutil.rmtree(copy)


@dataclass
class Pending:
    """An endorsed transaction: what it read (key -> version or None), what it writes."""

    envelope: common_pb2.Envelope
    reads: dict[str, int | None]
    counted: dict[str, int | None] | None
    writes: dict[str, str | None]
    done: bool = False


class Engine(RuleBasedStateMachine):
    pending = Bundle("pending")

    @initialize()
    def open(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="machine-"))
        self.home = Path(shutil.copytree(template(), self.folder / "home0"))
        self.generation = 0
        self.values: dict[str, str] = {}
        self.counts = dict.fromkeys(KEYS, 0)
        self.history: dict[str, list[str | None]] = {key: [] for key in KEYS}
        self.network = open_home(self.home)

    def teardown(self) -> None:
        if hasattr(self, "network"):
            self.network.close()
            shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def client(self) -> Client:
        return Client.of(self.network)

    @rule(target=pending, key=st.sampled_from(KEYS), value=st.text("xyz", min_size=1, max_size=3))
    def propose_set(self, key: str, value: str) -> Pending:
        envelope = self.client.signed("set", key, value)
        return Pending(envelope, {key: self._version(key)}, None, {key: value})

    @rule(target=pending, key=st.sampled_from(KEYS), value=st.text("xyz", min_size=1, max_size=3))
    def propose_blind_put(self, key: str, value: str) -> Pending:
        return Pending(self.client.signed("put", key, value), {}, None, {key: value})

    @rule(target=pending, key=st.sampled_from(KEYS))
    def propose_delete(self, key: str) -> Pending:
        envelope = self.client.signed("delete", key)
        return Pending(envelope, {key: self._version(key)}, None, {key: None})

    @rule(target=pending, key=st.sampled_from(KEYS))
    def propose_count(self, key: str) -> Pending:
        """Counts a, b and c, and writes the number at `key`."""
        envelope = self.client.signed("count", "a", "d", key)
        present = [name for name in KEYS[:3] if name in self.values]
        counted = {name: self._version(name) for name in present}
        return Pending(envelope, {}, counted, {key: str(len(present))})

    @rule(batch=st.lists(consumes(pending), min_size=1, max_size=4))
    def order_block(self, batch: list[Pending]) -> None:
        codes = order(self.network, *(entry.envelope for entry in batch))
        written: set[str] = set()
        assert codes == [self._expected(entry, written) for entry in batch]

    @rule(entry=pending)
    def order_again(self, entry: Pending) -> None:
        """The bundle keeps it: the second time it is a duplicate."""
        expected = self._expected(entry, set())
        assert order(self.network, entry.envelope) == [expected]
        assert order(self.network, entry.envelope) == ["DUPLICATE_TXID"]

    @rule()
    def close_and_reopen(self) -> None:
        self.network.close()
        self.network = open_home(self.home)

    @rule(lost=st.sampled_from([None, "farm", "mill", "log"]))
    def crash(self, lost: str | None) -> None:
        """Go on from a copy taken while everything is open, as a killed process leaves it."""
        self.generation += 1
        copy = self.folder / f"home{self.generation}"
        copy_at_rest(self.home, copy)
        if lost == "log":
            (copy / "orderer" / FILE).unlink()
        elif lost:
            shutil.rmtree(copy / "nodes" / lost / "ledger")
        self.network.close()
        shutil.rmtree(self.home)
        self.home = copy
        self.network = open_home(copy)

    @invariant()
    def state_is_the_models(self) -> None:
        if not hasattr(self, "network"):
            return
        for key in KEYS:
            assert self.client.evaluate("get", key).decode() == self.values.get(key, "")
        agree(self.network)

    @invariant()
    def history_is_the_models(self) -> None:
        if not hasattr(self, "network"):
            return
        for key in KEYS:
            entries = json.loads(self.client.evaluate("history", key))
            told = [None if deleted else value for _, _, value, deleted in reversed(entries)]
            assert told == self.history[key]

    def _version(self, key: str) -> int | None:
        """An absent key has no version: deleting restores what a reader of nothing saw."""
        return self.counts[key] if key in self.values else None

    def _expected(self, entry: Pending, written: set[str]) -> str:
        """The code on top of `written`, the keys that this block has written before."""
        if entry.done:
            return "DUPLICATE_TXID"
        entry.done = True
        if written & set(entry.reads) or any(
            self._version(key) != version for key, version in entry.reads.items()
        ):
            return "MVCC_READ_CONFLICT"
        if entry.counted is not None:
            now = {name: self._version(name) for name in KEYS[:3] if name in self.values}
            if now != entry.counted:
                return "PHANTOM_READ_CONFLICT"
        for key, value in entry.writes.items():
            written.add(key)
            self.counts[key] += 1
            self.history[key].append(value)
            if value is None:
                self.values.pop(key, None)
            else:
                self.values[key] = value
        return "VALID"


Engine.TestCase.settings = settings(
    max_examples=int(os.environ.get("MACHINE_EXAMPLES", "6")),
    stateful_step_count=18,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestEngine = Engine.TestCase
