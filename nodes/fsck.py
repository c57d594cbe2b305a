"""fsck: verify everything a network home holds, from nothing but the home itself.

1. identities: certificates and keys present and belonging together;
2. blocks: replayed onto an empty node (hashes, signatures, policies, conflicts), every
   organisation's copies and recorded verdicts compared, each whole database compared with the
   replayed one: :mod:`nodes.checks.ledgers`;
3. the sequencer's log and the genesis file: :mod:`nodes.checks.orderer`;
4. payloads of every anchored event, receipts, projections, read logs:
   :mod:`nodes.checks.contents`.

Nothing in the home is changed. The home must not be open in another process: the check takes
the home's lock. It needs free space of the size of one node's ledger for the replay.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from yaml import YAMLError

from nodes.checks.contents import Contents, EventCheck, open_store
from nodes.checks.identities import check_identities
from nodes.checks.ledgers import Replay
from nodes.checks.lock import home_lock
from nodes.checks.orderer import check_genesis, check_log
from nodes.checks.report import CODES, Finding, Progress, Report
from nodes.errors import LedgerError, NodeError
from nodes.identity.folders import organisation_folder
from nodes.identity.signer import Signer
from nodes.ledger import Ledger
from nodes.network import NetworkDescription, load_network
from nodes.node import Node
from nodes.payloads import PayloadStore
from nodes.payloads.chain_state import ViewReader
from nodes.validate import BlockChecker
from nodes.verification import SignatureVerifier

__all__ = ["CODES", "EventCheck", "Finding", "Progress", "Report", "check"]


def check(
    home: Path,
    progress: Progress | None = None,
    *,
    event_check: EventCheck | None = None,
    scratch: Path | None = None,
) -> Report:
    """Verify the network home `home`; what is wrong stands in the report, nothing is raised for it.

    `progress`: told what is being checked; `event_check`: compares an event hash with a payload;
    `scratch`: folder for the replay, the system's temporary folder without it. Raises AlreadyOpen
    when another process has the home open.
    """
    report = Report()
    told = progress or (lambda stage, done, total: None)
    try:
        desc = load_network(home)
    except (NodeError, OSError, ValueError, YAMLError) as error:
        report.add("HOME_UNUSABLE", str(home), str(error))
        return report
    with ExitStack() as stack:
        stack.enter_context(home_lock(home))
        told("identities", 0, 0)
        signers = check_identities(home, desc, report)
        folder = stack.enter_context(tempfile.TemporaryDirectory(dir=scratch, prefix="fsck-"))
        node = _replay(home, desc, signers, Path(folder), stack, report, told)
        if node is None:
            return report
        check_genesis(home / "orderer" / "genesis.block", node.ledger, report)
        check_log(home / "orderer", node.ledger, report)
        _contents(home, desc, signers, node, stack, event_check, report, told)
    told("done", 1, 1)
    return report


def _replay(
    home: Path,
    desc: NetworkDescription,
    signers: dict[str, Signer],
    folder: Path,
    stack: ExitStack,
    report: Report,
    progress: Progress,
) -> Node | None:
    ledgers = dict[str, Ledger]()
    for org in desc.organisations:
        path = home / "nodes" / org.name / "ledger"
        try:
            if (path / "CURRENT").exists():
                ledgers[org.name] = Ledger(path, read_only=True)
                stack.callback(ledgers[org.name].close)
            else:
                report.notes.append(f"{org.name} has no ledger yet; it is made at the next opening")
        except LedgerError as error:
            report.add("LEDGER_UNREADABLE", org.name, str(error))
    signer = next(iter(signers.values()), None)
    if signer is None:
        return None
    checker = BlockChecker(SignatureVerifier())
    node = Node(
        name="replay",
        address="",
        signer=signer,
        folder=folder,
        chaincode=desc.chaincode,
        checker=checker,
    )
    stack.callback(node.close)
    Replay(node, checker, ledgers, report).run(progress)
    return node


def _contents(
    home: Path,
    desc: NetworkDescription,
    signers: dict[str, Signer],
    node: Node,
    stack: ExitStack,
    event_check: EventCheck | None,
    report: Report,
    progress: Progress,
) -> None:
    stores, unusable = dict[str, PayloadStore](), set[str]()
    for org in desc.organisations:
        if org.name not in signers:
            unusable.add(org.msp_id)
            continue
        before = len(report.findings)
        store = open_store(home / "nodes" / org.name / "payloads", org.name,
                           signers[org.name], report)  # fmt: skip
        if store is not None:
            stores[org.msp_id] = store
            stack.callback(store.close)
        elif len(report.findings) > before:
            unusable.add(org.msp_id)
    trusted = Authorities(home, desc)
    state = ViewReader(node.view, desc.chaincode)
    Contents(stores, unusable, trusted, event_check, report).run(state, progress)


class Authorities:
    """Says whether an organisation's certificate authority issued a certificate valid at a time."""

    def __init__(self, home: Path, desc: NetworkDescription) -> None:
        self._roots = {
            org.msp_id: list(_roots(organisation_folder(home, org.name).msp / "cacerts"))
            for org in desc.organisations
        }

    def __call__(self, msp_id: str, pem: bytes, when: datetime) -> bool:
        """Whether a root of `msp_id` issued the PEM certificate and it was valid at `when`."""
        try:
            certificate = x509.load_pem_x509_certificate(pem)
        except ValueError:
            return False
        if not certificate.not_valid_before_utc <= when <= certificate.not_valid_after_utc:
            return False
        for root in self._roots.get(msp_id, ()):
            try:
                certificate.verify_directly_issued_by(root)
            except (InvalidSignature, ValueError, TypeError):
                continue
            return True
        return False


def _roots(folder: Path) -> Iterator[x509.Certificate]:
    for file in sorted(folder.glob("*.pem")):
        with suppress(ValueError, OSError):  # a damaged one was reported with the identities
            yield x509.load_pem_x509_certificate(file.read_bytes())
