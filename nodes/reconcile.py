"""Bring the channel in line with the home: organisations, revocation lists, endorsement policy.

The home is what an administrator changes (`network add-org`, revocation); the channel is what
all nodes agree on. Differences become ordinary signed blocks: 1. an organisation in
``network.json`` that the channel does not have: a configuration update signed by a majority of
the present administrators, then its node is started and catches up; 2. an organisation's public
MSP (revocation list) that differs: a configuration update signed by its own administrator; 3. an
endorsement policy or organisation list that differs from the chaincode's definition: a new
definition, endorsed by a majority of nodes.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from fabric_protos.common import common_pb2
from fabric_protos.gateway import gateway_pb2
from fabric_protos.peer import transaction_pb2

from nodes import lifecycle
from nodes.config import (
    APPLICATION,
    member_msp,
    msp_of_folder,
    organisation_folder_of,
    organisation_group,
)
from nodes.config_update import organisation_update, sign_update, update_envelope
from nodes.endorse import now_ms
from nodes.errors import ConfigError
from nodes.identity.signer import Signer, signer_from_msp
from nodes.messages import new_proposal, sign_envelope, signed_proposal
from nodes.network import NetworkDescription, Organisation
from nodes.policy import n_of
from nodes.transaction import parse_transaction

if TYPE_CHECKING:
    from nodes.embedded import EmbeddedNetwork

_VERSION = "1.0"


def home_stamp(home: Path, description: NetworkDescription) -> tuple[object, ...]:
    """Changes when the description or a revocation list of the home changes."""
    files = [home / "network.json"]
    files += [organisation_folder_of(home, org).crl for org in description.organisations]
    return tuple((str(file), _stamp(file)) for file in files)


def bring_in_line(network: EmbeddedNetwork) -> None:
    """Make the blocks that are missing; raises ConfigError, GatewayError, LedgerError."""
    for organisation in network.description.organisations:
        group = network.config.group.groups[APPLICATION].groups
        if organisation.msp_id not in group:
            _add(network, organisation)
        elif member_msp(group[organisation.msp_id]) != msp_of_folder(
            organisation_folder_of(network.home, organisation)
        ):
            _update(network, organisation, [_admin(network.home, organisation)])
        network.attach(organisation)
    _define(network)


def _add(network: EmbeddedNetwork, organisation: Organisation) -> None:
    present = [
        entry
        for entry in network.description.organisations
        if entry.msp_id in network.config.application_msps
    ]
    majority = len(present) // 2 + 1
    _update(network, organisation, [_admin(network.home, entry) for entry in present[:majority]])


def _update(network: EmbeddedNetwork, organisation: Organisation, signers: list[Signer]) -> None:
    group = organisation_group(network.home, organisation)
    update = organisation_update(network.config, organisation.msp_id, group)
    envelope = update_envelope(
        signers[0], network.config.channel, sign_update(update, signers), now_ms()
    )
    network.update_config(parse_transaction(envelope.SerializeToString()))


def _define(network: EmbeddedNetwork) -> None:
    description = network.description
    wanted = n_of(description.policy.n, sorted(org.msp_id for org in description.organisations))
    present = network.running_nodes()[0].definitions.by_name.get(description.chaincode)
    if present is not None and present.policy == wanted:
        return
    sequence = present.sequence + 1 if present else 1
    version = present.version if present else _VERSION
    admin = _admin(network.home, description.organisations[0])
    proposal, tx_id = new_proposal(
        admin.serialized,
        description.channel,
        lifecycle.NAMESPACE,
        lifecycle.definition_arguments(description.chaincode, version, sequence, wanted),
        timestamp_ms=now_ms(),
    )
    service = network.service
    endorsed = service.endorse(
        gateway_pb2.EndorseRequest(
            transaction_id=tx_id,
            channel_id=description.channel,
            proposed_transaction=signed_proposal(admin.sign, proposal),
        )
    )
    future = service.commit_future(tx_id)
    service.submit(
        gateway_pb2.SubmitRequest(
            transaction_id=tx_id,
            channel_id=description.channel,
            prepared_transaction=_signed(admin, endorsed.prepared_transaction),
        )
    )
    code = future.result().result
    if code != transaction_pb2.TxValidationCode.VALID:
        name = transaction_pb2.TxValidationCode.Name(code)
        raise ConfigError(f"the definition of {description.chaincode} was not accepted: {name}")


def _signed(signer: Signer, envelope: common_pb2.Envelope) -> common_pb2.Envelope:
    return sign_envelope(signer.sign, envelope)


def _admin(home: Path, organisation: Organisation) -> Signer:
    folder = organisation_folder_of(home, organisation).user(organisation.admin) / "msp"
    return signer_from_msp(organisation.msp_id, folder)


def _stamp(file: Path) -> tuple[int, int] | None:
    try:
        status = file.stat()
    except FileNotFoundError:
        return None
    return status.st_mtime_ns, status.st_size
