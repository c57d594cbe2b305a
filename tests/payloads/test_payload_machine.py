"""Any order of storing, reading, erasing, rotating, collecting and reopening, against a dict."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
)

from nodes.identity import Signer
from nodes.identity.certificates import certificate_pem, issue_identity, new_authority
from nodes.payloads import (
    ErasureReceipt,
    NewPayload,
    NoFacts,
    PayloadErased,
    PayloadRefused,
    PayloadStore,
    PayloadUnknown,
    Reader,
    StoredPayload,
)
from tests.payloads.conftest import FARM, Clock, new_payload

_AUTHORITY = new_authority("ca.farm.example", "farm.example", "CO")
_ISSUED = issue_identity(_AUTHORITY, "node.farm.example", "peer")
SIGNER = Signer("FarmMSP", certificate_pem(_ISSUED.certificate), _ISSUED.key)
OWNER = Reader(FARM, "FarmMSP")
STRANGER = Reader("urn:tracemark:party:stranger", "OtherMSP")
HOUR_MS = 3600 * 1000


class Chain(NoFacts):
    """Which commitments reached the chain."""

    def __init__(self) -> None:
        self.known: set[str] = set()

    def anchored(self, pairs: object) -> list[bool]:
        return [commitment in self.known for _, commitment in pairs]  # type: ignore[attr-defined]


class StoreMachine(RuleBasedStateMachine):
    """The model: payloads present, receipts given, number of log entries."""

    commitments: Bundle[str] = Bundle("commitments")

    @initialize()
    def begin(self) -> None:
        # In memory where there is such a file system: thousands of syncs prove nothing here.
        quick = "/dev/shm" if Path("/dev/shm").is_dir() else None
        self.folder = Path(tempfile.mkdtemp(prefix="payload-machine-", dir=quick))
        self.clock, self.chain = Clock(), Chain()
        self.present: dict[str, NewPayload] = {}
        self.stored_ms: dict[str, int] = {}
        self.erased: dict[str, ErasureReceipt] = {}
        self.log_size = 0
        self.open()

    def open(self) -> None:
        self.store = PayloadStore(self.folder, SIGNER, self.chain, self.clock)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            shutil.rmtree(self.folder)

    @rule(target=commitments, residency=st.sampled_from(["open", "partners", "confidential"]))
    def put(self, residency: str) -> str:
        new = new_payload(residency=residency)
        commitment = self.store.put(new)
        self.present[commitment] = new
        self.stored_ms[commitment] = self.clock.now_ms
        return commitment

    @rule(commitment=commitments)
    def put_again(self, commitment: str) -> None:
        if commitment in self.present:
            assert self.store.put(self.present[commitment]) == commitment

    @rule(commitment=commitments)
    def anchor(self, commitment: str) -> None:
        self.chain.known.add(commitment)

    @rule(commitment=commitments, reader=st.sampled_from([OWNER, STRANGER]))
    def read(self, commitment: str, reader: Reader) -> None:
        outcome = self.store.get_many([commitment], reader)[0]
        if commitment in self.present:
            new = self.present[commitment]
            self.log_size += 1
            if reader is OWNER or new.residency == "open":
                assert isinstance(outcome, StoredPayload)
                assert (outcome.payload, outcome.salt) == (new.payload, new.salt)
            else:
                assert isinstance(outcome, PayloadRefused)
        elif commitment in self.erased:
            self.log_size += 1
            assert isinstance(outcome, PayloadErased)
            assert outcome.receipt == self.erased[commitment]
        else:
            assert isinstance(outcome, PayloadUnknown)

    @rule(commitment=commitments)
    def erase(self, commitment: str) -> None:
        if commitment in self.present:
            self.erased[commitment] = self.store.erase(commitment, OWNER)
            del self.present[commitment]
            self.log_size += 1
        elif commitment in self.erased:
            assert self.store.erase(commitment, OWNER, "mistake") == self.erased[commitment]

    @rule()
    def rotate(self) -> None:
        assert self.store.rotate_key() == len(self.present)

    @rule(hours=st.integers(0, 3))
    def wait_and_collect(self, hours: int) -> None:
        self.clock.now_ms += hours * HOUR_MS
        due = {
            commitment
            for commitment in self.present
            if commitment not in self.chain.known
            and self.stored_ms[commitment] <= self.clock.now_ms - HOUR_MS
        }
        assert {orphan.commitment for orphan in self.store.collect_orphans(HOUR_MS)} == due
        for commitment in due:
            del self.present[commitment]
        self.log_size += len(due)

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.open()

    @invariant()
    def agrees(self) -> None:
        if hasattr(self, "store"):
            assert set(self.store.commitments()) == set(self.present) | set(self.erased)
            assert self.store.log_faults() == []
            head = self.store.log_head()
            assert (head.size if head else 0) == self.log_size


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=20, stateful_step_count=25, deadline=None)
