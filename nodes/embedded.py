"""The embedded network: every organisation's node and the sequencer in one process.

Opening a home: 1. take its lock; 2. open the sequencer's log and every node's ledger; 3. bring
each node to the log's height; 4. start the thread that orders and commits; 5. bring the channel
in line with the home's description and revocation lists (see :mod:`nodes.reconcile`). The same
comparison is made every second while the network is open.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType

import grpc
from fabric_protos.common import common_pb2

from nodes import reconcile
from nodes.blocks import split_block
from nodes.commits import Commits
from nodes.config import ChannelConfig
from nodes.config_update import config_envelope
from nodes.endorse import Endorser, Handler, now_ms
from nodes.errors import (
    AlreadyOpen,
    DescriptionError,
    GatewayError,
    LedgerCorrupt,
    LedgerError,
    NodeError,
)
from nodes.identity.signer import Signer, signer_from_msp
from nodes.ledger import View
from nodes.network import NetworkDescription, Organisation, load_network
from nodes.node import CommittedBlock, Node
from nodes.orderlog import OrderLog
from nodes.sequencer import Sequencer
from nodes.service import GatewayService
from nodes.streams import Progress
from nodes.transaction import ParsedTransaction, parse_transaction
from nodes.validate import BlockChecker
from nodes.verification import SignatureVerifier

log = logging.getLogger(__name__)
_WATCH_SECONDS = 1.0
_DEFAULT_THRESHOLD = 700

BlockCallback = Callable[[CommittedBlock], None]


class EmbeddedNetwork:
    """All nodes of a home. Open it with :meth:`open`; usable as a context manager."""

    def __init__(self, home: Path, handlers: Mapping[str, Handler], lock: int) -> None:
        self.home = home
        self.description = load_network(home)
        self.verifier = SignatureVerifier()
        self.progress = Progress()
        self.nodes: dict[str, Node] = {}
        self.endorsers: dict[str, Endorser] = {}
        self.views: dict[str, View] = {}
        """Of each running node, the state after the same, last block."""
        self._handlers = handlers
        self._lock = lock
        self.checker = BlockChecker(self.verifier)
        self._callbacks: list[BlockCallback] = []
        self._config: ChannelConfig | None = None
        self._disks = ThreadPoolExecutor(16, thread_name_prefix="sync")
        self._closing = Event()
        self._reconciling = Lock()
        self.sequencer = Sequencer(
            OrderLog(home / "orderer"), _orderer_signer(home, self.description), self.verifier
        )
        self.commits = Commits(self)
        self.service = GatewayService(self)
        self._worker = Thread(target=self._work, name="sequencer", daemon=True)
        self._watcher = Thread(target=self._watch, name="home-watcher", daemon=True)

    @classmethod
    def open(cls, home: Path, handlers: Mapping[str, Handler] | None = None) -> EmbeddedNetwork:
        """Open a home; `handlers` maps chaincode names to contracts (default: the product's).

        Raises AlreadyOpen, DescriptionError, LedgerError.
        """
        home = home.resolve()
        description = load_network(home)
        if handlers is None:
            from chaincode.contract import invoke

            handlers = {description.chaincode: invoke}
        lock = _take_lock(home)
        try:
            network = cls(home, handlers, lock)
            network._start()
        except BaseException:
            os.close(lock)
            raise
        return network

    # -- what others use -------------------------------------------------------------------------

    @property
    def height(self) -> int:
        """Number of blocks that every running node has committed."""
        return self.progress.height

    @property
    def config(self) -> ChannelConfig:
        """The channel configuration in force."""
        config = self._config
        if config is None:
            raise GatewayError(grpc.StatusCode.UNAVAILABLE, "no node is running")
        return config

    def node(self, msp_id: str) -> Node:
        """The node of an organisation; raises KeyError."""
        return self.nodes[msp_id]

    def node_for(self, msp_id: str) -> Node:
        """The node that serves a member of `msp_id`: its own, or else the first that runs."""
        own = self.nodes.get(msp_id)
        return own if own is not None and own.failure is None else self.running_nodes()[0]

    def running_nodes(self) -> list[Node]:
        """The nodes that have not stopped; raises GatewayError when there is none."""
        running = [node for node in self.nodes.values() if node.failure is None]
        if not running:
            raise GatewayError(
                grpc.StatusCode.UNAVAILABLE,
                "every node has stopped; free the disk or repair the cause, and open again",
            )
        return running

    def subscribe_blocks(self, callback: BlockCallback) -> Callable[[], None]:
        """Call `callback` with each committed block, on the committing thread: be quick.

        Returns the function that ends the subscription.
        """
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback) if callback in self._callbacks else None

    def refuse_when_closed(self) -> None:
        """Raise GatewayError UNAVAILABLE once the network is closing."""
        if self._closing.is_set():
            raise GatewayError(grpc.StatusCode.UNAVAILABLE, "the network is shutting down")

    def reconcile(self) -> None:
        """Bring the channel in line with the home now; raises NodeError when it cannot be."""
        with self._reconciling:
            self.description = load_network(self.home)
            reconcile.bring_in_line(self)

    def close(self) -> None:
        """Commit what is queued, end the streams, close the stores, release the lock."""
        if self._closing.is_set():
            return
        self._closing.set()
        self.sequencer.close()
        for thread in (self._worker, self._watcher):
            if thread.is_alive():
                thread.join()
        self.commits.fail_all("the network was closed")
        self.progress.close()
        self.views = {}
        with ExitStack() as rest:
            rest.callback(os.close, self._lock)
            rest.callback(self._disks.shutdown)
            rest.callback(self.verifier.close)
            rest.callback(self.sequencer.log.close)
            for node in self.nodes.values():
                rest.callback(node.close)

    def __enter__(self) -> EmbeddedNetwork:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    # -- changing the network --------------------------------------------------------------------

    def update_config(self, update: ParsedTransaction) -> None:
        """Order a CONFIG_UPDATE envelope and wait until it is in force; raises NodeError."""
        self.on_worker(lambda: self._order_config(update))

    def attach(self, organisation: Organisation) -> None:
        """Start an organisation's node, let it catch up from block 0, and let it serve."""
        self.on_worker(lambda: self._attach(organisation))

    def on_worker(self, task: Callable[[], None]) -> None:
        """Run `task` between two blocks on the ordering thread; raises what it raises."""
        done = Event()
        failures: list[BaseException] = []

        def run() -> None:
            try:
                task()
            except BaseException as error:
                failures.append(error)
            finally:
                done.set()

        self.sequencer.call(run)
        while not done.wait(0.5):
            if not self._worker.is_alive():
                raise LedgerError("the network stopped")
        if failures:
            raise failures[0]

    def _order_config(self, update: ParsedTransaction) -> None:
        envelope = common_pb2.Envelope.FromString(update.data)
        data = config_envelope(
            self.sequencer.signer, self.config, envelope, self.verifier, now_ms()
        )
        self.process([parse_transaction(data)])

    # -- opening ---------------------------------------------------------------------------------

    def _start(self) -> None:
        try:
            for organisation in self.description.organisations:
                if (self.home / "organizations" / organisation.name / "peers").is_dir():
                    self._open_node(organisation)
            self._extend_log()
            for node in self.nodes.values():
                self._catch_up(node)
            self._publish(None)
        except BaseException:
            for node in self.nodes.values():
                node.close()
            self.sequencer.log.close()
            raise
        self.sequencer.use(self.config.batch)
        self._worker.start()
        try:
            self.reconcile()
        except BaseException:
            self.close()
            raise
        self._watcher.start()
        _spare_the_collector()

    def _open_node(self, organisation: Organisation) -> Node:
        folder = self.home / "organizations" / organisation.name / "peers" / organisation.node.name
        node = Node(
            name=organisation.name,
            address=organisation.node.address,
            signer=signer_from_msp(organisation.msp_id, folder / "msp"),
            folder=self.home / "nodes" / organisation.name,
            chaincode=self.description.chaincode,
            checker=self.checker,
        )
        self.nodes[node.msp_id] = node
        self.endorsers[node.msp_id] = Endorser(node, self._handlers, self.verifier)
        return node

    def _extend_log(self) -> None:
        """A lost or older log is completed from the node that is furthest ahead."""
        ahead = max(self.nodes.values(), key=lambda node: node.ledger.height)
        for number in range(self.sequencer.log.height, ahead.ledger.height):
            body, slots = split_block(ahead.ledger.block_bytes(number))
            self.sequencer.log.append(body, [*slots[:2], b"", *slots[3:4], b""])

    def _catch_up(self, node: Node) -> None:
        if node.ledger.height == 0:
            genesis = (self.home / "orderer" / "genesis.block").read_bytes()
            node.commit(*split_block(genesis))
        for number in range(node.ledger.height, self.sequencer.log.height):
            node.commit(*self.sequencer.log.read(number))
        node.sync()

    def _attach(self, organisation: Organisation) -> None:
        if organisation.msp_id in self.nodes:
            return
        node = self._open_node(organisation)
        try:
            self._catch_up(node)
        except LedgerError:
            del self.nodes[node.msp_id], self.endorsers[node.msp_id]
            node.close()
            raise
        self._publish(None)

    # -- ordering and committing -----------------------------------------------------------------

    def _work(self) -> None:
        while (item := self.sequencer.take()) is not None:
            if callable(item):
                item()
                continue
            try:
                self.process(item)
            except LedgerError as error:
                log.error("ordering stopped: %s", error)
                self.sequencer.stop(error)
                self.commits.fail_all(str(error))
            except Exception as error:  # a defect here must not leave callers waiting
                log.exception("ordering stopped")
                self.sequencer.stop(LedgerError(f"internal error: {error}"))
                self.commits.fail_all(f"internal error: {error}")

    def process(self, batch: list[ParsedTransaction]) -> None:
        """Order one block and commit it on every node; on the ordering thread only."""
        tip = self.running_nodes()[0].ledger.tip
        body, slots = self.sequencer.order(
            [transaction.data for transaction in batch], tip.header_hash, tip.config_block
        )
        self.sequencer.remember_own_signature(self.config)
        committed: dict[str, CommittedBlock] = {}
        cause = ""
        for node in self.running_nodes():
            try:
                committed[node.msp_id] = node.commit(body, slots, batch)
            except LedgerError as error:
                # The others go on; this one catches up when the network is opened again.
                cause = str(error)
        for msp_id, failure in self._sync(committed):
            del committed[msp_id]
            cause = str(failure)
        if not committed:
            raise LedgerError(f"every node has stopped: {cause}")
        first = self._agreed(committed)
        if first.checked.new_config is not None:
            self.sequencer.use(first.checked.new_config.batch)
        self._publish(first)
        self.commits.resolve(first)
        for callback in list(self._callbacks):
            try:
                callback(first)
            except Exception:
                log.exception("a block subscriber failed")

    def _sync(self, committed: Iterable[str]) -> list[tuple[str, LedgerError]]:
        """Sync the nodes at the same time; returns those that could not."""
        running = {msp_id: self._disks.submit(self.nodes[msp_id].sync) for msp_id in committed}
        failures = ((msp_id, done.exception()) for msp_id, done in running.items())
        return [(msp_id, error) for msp_id, error in failures if isinstance(error, LedgerError)]

    def _agreed(self, committed: dict[str, CommittedBlock]) -> CommittedBlock:
        """What most nodes came to; a node that came to something else stops."""
        results = Counter(block.slots for block in committed.values())
        agreed, _ = results.most_common(1)[0]
        for msp_id, block in committed.items():
            if block.slots != agreed:
                error = LedgerCorrupt(
                    f"at block {block.number} the node of {msp_id} came to another result"
                )
                self.nodes[msp_id].failure = error
                log.critical("%s", error)
        return next(block for block in committed.values() if block.slots == agreed)

    def _publish(self, block: CommittedBlock | None) -> None:
        running = self.running_nodes()
        self._config = running[0].config
        self.views = {node.msp_id: node.view for node in running}
        height = min(node.ledger.height for node in running)
        self.progress.advance(height, block.checked.transactions if block else None)

    def _watch(self) -> None:
        seen = reconcile.home_stamp(self.home, self.description)
        while not self._closing.wait(_WATCH_SECONDS):
            try:
                stamp = reconcile.home_stamp(self.home, self.description)
                if stamp != seen:
                    self.reconcile()
                    seen = stamp
            except (NodeError, OSError) as error:
                log.error("the home's changes cannot be taken over: %s", error)


def _spare_the_collector() -> None:
    """Let the cyclic garbage collector of this process run seldom.

    A transaction makes some hundred short-lived containers and no cycles; with the default
    threshold of 700 the collector takes a tenth of the time. What exists now lives on anyway.
    """
    if gc.get_threshold()[0] == _DEFAULT_THRESHOLD:
        gc.freeze()
        gc.set_threshold(20_000, 20, 50)


def _orderer_signer(home: Path, description: NetworkDescription) -> Signer:
    orderer = description.orderer
    folder = home / "organizations" / orderer.name / "peers" / orderer.node.name / "msp"
    return signer_from_msp(orderer.msp_id, folder)


def _take_lock(home: Path) -> int:
    file = home / "lock"
    try:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise DescriptionError(f"{home} cannot be locked: {error}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        holder = os.read(descriptor, 32).decode(errors="replace").strip()
        os.close(descriptor)
        raise AlreadyOpen(str(home), int(holder) if holder.isdigit() else 0) from error
    os.ftruncate(descriptor, 0)
    os.write(descriptor, f"{os.getpid()}\n".encode())
    return descriptor
