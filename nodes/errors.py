"""Every exception of ``nodes``.

::

    NodeError
     ├── DescriptionError          a network description or a home folder that cannot be used
     │    └── AlreadyOpen          another process holds the home's lock
     ├── IdentityError             a certificate, key or MSP folder that cannot be used
     │    └── IdentityRefused      a well-formed identity that an MSP does not accept
     ├── MessageError              bytes that are not the Fabric message they should be
     ├── PolicyError               a signature policy that cannot be evaluated
     ├── ConfigError               a channel configuration or update that is refused
     ├── LedgerError               the storage failed; nothing acknowledged is lost
     │    └── LedgerCorrupt        what is stored contradicts itself
     └── GatewayError              what the service answers a client: gRPC status + ErrorDetails

A transaction that is ordered but not valid is no exception: it stands in its block with a
``TxValidationCode``.
"""

from __future__ import annotations

from collections.abc import Sequence

import grpc
from fabric_protos.gateway import gateway_pb2


class NodeError(Exception):
    """Root of everything this package raises on purpose."""


class DescriptionError(NodeError):
    """The network description or the home folder cannot be used; the message says why."""


class AlreadyOpen(DescriptionError):
    """The home is open in another process."""

    def __init__(self, home: str, pid: int) -> None:
        super().__init__(f"{home} is already open by process {pid}; connect to it with grpc")
        self.pid = pid


class IdentityError(NodeError):
    """A certificate, key or MSP folder cannot be used."""


class IdentityRefused(IdentityError):
    """An MSP does not accept the identity: unknown, foreign, expired or revoked."""


class MessageError(NodeError):
    """Bytes are not the Fabric message they are said to be."""


class PolicyError(NodeError):
    """A signature policy is malformed."""


class ConfigError(NodeError):
    """A channel configuration or an update of it is refused."""


class LedgerError(NodeError):
    """The ledger's storage failed: the node stops accepting until it is opened again."""


class LedgerCorrupt(LedgerError):
    """Stored records contradict each other; run fsck or rebuild the node from its peers."""


class GatewayError(NodeError):
    """An error answered to a client of the Gateway or Deliver service.

    `status` is the gRPC status, `message` its text, `details` one ``gateway.ErrorDetail`` per
    node that refused (address ``host:port``, MSP id, the node's own message).
    """

    def __init__(
        self,
        status: grpc.StatusCode,
        message: str,
        details: Sequence[gateway_pb2.ErrorDetail] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.details = tuple(details)

    def __str__(self) -> str:
        lines = [f"{self.status.name}: {self.message}"]
        lines += [f"  {d.msp_id} ({d.address}): {d.message}" for d in self.details]
        return "\n".join(lines)
