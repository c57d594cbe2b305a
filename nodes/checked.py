"""A block with the verdicts that all nodes share, and what a node writes for its final codes.

Encoding is the same work on every node, so it is done once per distinct verdict. The update bytes
are Fabric's (``kvledger/txmgmt/txmgr/update_batch_bytes.go``); the commit hash covers them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha256

from nodes import lifecycle
from nodes.blocks import Body
from nodes.config import ChannelConfig
from nodes.ledger import Ledger
from nodes.ledger_keys import Operation, history_entry, transaction_entry, varint
from nodes.lifecycle import Definition
from nodes.rwset import pack_version
from nodes.transaction import VALID, Code, ParsedTransaction


@dataclass(frozen=True, slots=True)
class Definitions:
    """The chaincode definitions committed before a block; `digest` stands for all of them."""

    by_name: dict[str, Definition]
    digest: bytes

    @classmethod
    def load(cls, ledger: Ledger) -> Definitions:
        """Read them from a node's committed state; raises PolicyError."""
        state = {key: value for key, _, value in ledger.state(lifecycle.NAMESPACE)}
        found = {}
        for key in state:
            parts = key.split("/")
            if key.startswith("namespaces/fields/") and parts[-1] == "Sequence":
                definition = lifecycle.read_definition(state.get, parts[2])
                if definition is not None:
                    found[definition.name] = definition
        digest = sha256(b"".join(found[name].digest for name in sorted(found)))
        return cls(found, digest.digest())


@dataclass(slots=True)
class CheckedBlock:
    """A block with the verdicts that every node shares.

    `codes` holds one TxValidationCode per transaction; `identified[i]` says that creator and
    transaction id of transaction i are proven, so that it may enter the index.
    """

    body: Body
    slots: list[bytes]
    config_block: int
    transactions: list[ParsedTransaction]
    codes: list[int]
    identified: list[bool]
    new_config: ChannelConfig | None
    _compiled: dict[bytes, tuple[list[Operation], bytes]] = field(default_factory=dict)

    @property
    def number(self) -> int:
        """The block's number."""
        return self.body.number

    def touches_definitions(self) -> bool:
        """Whether any transaction may have changed a chaincode definition."""
        return any(
            entry.namespace == lifecycle.NAMESPACE and entry.writes
            for transaction in self.transactions
            for entry in transaction.sets
        )

    def compile(self, codes: bytes) -> tuple[list[Operation], bytes]:
        """What a node with these final codes writes, and the update bytes its commit hash covers.

        Computed once per distinct verdict: nodes that agree share the result.
        """
        known = self._compiled.get(codes)
        if known is None:
            known = self._compiled[codes] = (self._operations(codes), self._updates(codes))
        return known

    def _operations(self, codes: bytes) -> list[Operation]:
        number = self.number
        operations: list[Operation] = []
        for index, transaction in enumerate(self.transactions):
            code = codes[index]
            if self.identified[index] and code != Code.DUPLICATE_TXID:
                offset, length = self.body.places[index]
                operations.append(
                    transaction_entry(transaction.tx_id, number, index, code, offset, length)
                )
            if code != VALID:
                continue
            version = pack_version(number, index)
            tx_id = transaction.tx_id.encode()
            for entry in transaction.sets:
                for key, state, value in entry.writes:
                    operations.append((state, None if value is None else version + value))
                    operations.append(
                        history_entry(
                            entry.namespace,
                            key,
                            number,
                            index,
                            transaction.timestamp_ms,
                            tx_id,
                            value,
                        )
                    )
        return operations

    def _updates(self, codes: bytes) -> bytes:
        latest: dict[str, dict[bytes, tuple[int, bytes | None]]] = {}
        for index, transaction in enumerate(self.transactions):
            if codes[index] == VALID:
                for entry in transaction.sets:
                    if entry.writes:
                        writes = latest.setdefault(entry.namespace, {})
                        for key, _, value in entry.writes:
                            writes[key] = (index, value)
        return update_bytes(self.number, latest)


def update_bytes(number: int, latest: dict[str, dict[bytes, tuple[int, bytes | None]]]) -> bytes:
    """Fabric's deterministic update bytes (``txmgr/update_batch_bytes.go``), public writes only."""
    out: list[bytes] = []
    block = _order_preserving(number)
    for namespace in sorted(latest):
        named = namespace.encode()
        head = b"\x0a" + varint(len(named)) + named
        writes = latest[namespace]
        for key in sorted(writes):
            index, value = writes[key]
            version = block + _order_preserving(index)
            content = b"%b\x1a%b%b%b\x32%b%b" % (
                head,
                varint(len(key)),
                key,
                b"\x20\x01" if value is None else b"\x2a" + varint(len(value)) + value,
                varint(len(version)),
                version,
            )
            out.append(b"\x0a" + varint(len(content)) + content)
            head = b""
    return b"".join(out)


def _order_preserving(value: int) -> bytes:
    body = value.to_bytes((value.bit_length() + 7) // 8, "big")
    return bytes((len(body),)) + body
