"""Client of the one ledger protocol, Fabric's Gateway: stages, streams, transports.

LedgerClient   evaluate, submit, wait, follow            client.py
stages         proposal -> transaction -> commit          proposal.py transaction.py commit.py
streams        blocks and events, resumed after a break   stream.py
the port       LedgerTransport                            port.py
transports     in this process; over gRPC with TLS        inprocess.py grpc.py follower.py
errors         one exception per stage                    errors.py
"""

from gateway.ledger.client import Committed, LedgerClient, Submitted
from gateway.ledger.commit import Commit, CommitStatus
from gateway.ledger.errors import (
    CommitError,
    CommitStatusError,
    EndorseError,
    ErrorDetail,
    EvaluateError,
    LedgerError,
    Refusal,
    RefusalItem,
    StreamError,
    SubmitError,
    TransactionMismatchError,
    TransportError,
)
from gateway.ledger.port import LedgerTransport, SigningIdentity, Subscription
from gateway.ledger.proposal import Proposal
from gateway.ledger.stream import BlockStream, ChaincodeEvent, EventStream
from gateway.ledger.transaction import Transaction

__all__ = [
    "BlockStream",
    "ChaincodeEvent",
    "Commit",
    "CommitError",
    "CommitStatus",
    "CommitStatusError",
    "Committed",
    "EndorseError",
    "ErrorDetail",
    "EvaluateError",
    "EventStream",
    "LedgerClient",
    "LedgerError",
    "LedgerTransport",
    "Proposal",
    "Refusal",
    "RefusalItem",
    "SigningIdentity",
    "StreamError",
    "SubmitError",
    "Submitted",
    "Subscription",
    "Transaction",
    "TransactionMismatchError",
    "TransportError",
]
