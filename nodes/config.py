"""The channel configuration: genesis block, updates, and what a node takes from it.

Fabric's ``common/configtx.proto``: a tree of groups with values and policies. The part of the
tree used here: /Channel/Application/<org> (MSP, AnchorPeers), /Channel/Orderer (ConsensusType,
BatchSize, BatchTimeout) and /Channel/Orderer/<org>. An update names what it read and what it
writes, by versions; each element it changes must be allowed by that element's ``mod_policy``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

from fabric_protos.common import common_pb2, configtx_pb2, configuration_pb2, policies_pb2
from fabric_protos.msp import msp_config_pb2
from fabric_protos.orderer import configuration_pb2 as orderer_pb2
from fabric_protos.peer import configuration_pb2 as peer_pb2
from google.protobuf.message import DecodeError

from nodes import policy
from nodes.errors import ConfigError
from nodes.identity.folders import OrganisationFolder, only_file
from nodes.identity.msp import Msp, MspSet
from nodes.messages import CONFIG, block_data_hash, channel_header, signature_header
from nodes.network import NetworkDescription, NodeAddress, Orderer, Organisation

APPLICATION: Final = "Application"
ORDERER: Final = "Orderer"
ADMINS: Final = "Admins"
CONSENSUS: Final = "embedded"
_GENESIS_TIME_MS: Final = 0
_Role = policy.Role
_Rule = policies_pb2.ImplicitMetaPolicy.Rule
_FABRIC_MSP_TYPE: Final = 0


@dataclass(frozen=True, slots=True)
class BatchRules:
    """When the sequencer cuts a block: transactions, bytes, milliseconds."""

    max_message_count: int
    absolute_max_bytes: int
    preferred_max_bytes: int
    batch_timeout_ms: int


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """One committed configuration, parsed once and shared by all nodes of this process."""

    channel: str
    config: configtx_pb2.Config
    msps: MspSet
    application_msps: tuple[str, ...]
    orderer_msps: tuple[str, ...]
    batch: BatchRules
    digest: bytes

    @property
    def group(self) -> configtx_pb2.ConfigGroup:
        """The channel group."""
        return self.config.channel_group

    def lifecycle_policy(self) -> policies_pb2.SignaturePolicyEnvelope:
        """Who must endorse a chaincode definition: a majority of the application's nodes."""
        return policy.n_of(len(self.application_msps) // 2 + 1, self.application_msps)


# -- reading -------------------------------------------------------------------------------------


def parse_config(channel: str, config: configtx_pb2.Config) -> ChannelConfig:
    """Take a configuration over; raises ConfigError when a node could not work with it."""
    group = config.channel_group
    try:
        application = group.groups[APPLICATION].groups
        orderers = group.groups[ORDERER].groups
        values = group.groups[ORDERER].values
        size = orderer_pb2.BatchSize.FromString(values["BatchSize"].value)
        timeout = orderer_pb2.BatchTimeout.FromString(values["BatchTimeout"].value)
        members = [*application.values(), *orderers.values()]
        msps = [Msp(_msp_config(member)) for member in members]
        batch = BatchRules(
            max_message_count=size.max_message_count,
            absolute_max_bytes=size.absolute_max_bytes,
            preferred_max_bytes=size.preferred_max_bytes,
            batch_timeout_ms=_duration_ms(timeout.timeout),
        )
    except (DecodeError, ValueError) as error:
        raise ConfigError(f"the configuration of {channel} cannot be read: {error}") from error
    if not msps or not batch.max_message_count:
        raise ConfigError(f"the configuration of {channel} lacks organisations or batch rules")
    return ChannelConfig(
        channel=channel,
        config=config,
        msps=MspSet(msps),
        application_msps=tuple(sorted(_msp_config(member).name for member in application.values())),
        orderer_msps=tuple(sorted(_msp_config(member).name for member in orderers.values())),
        batch=batch,
        digest=sha256(config.SerializeToString(deterministic=True)).digest(),
    )


def config_of_envelope(data: bytes) -> ChannelConfig:
    """The configuration in a serialized CONFIG envelope; raises ConfigError."""
    channel, envelope = config_envelope_of(data)
    return parse_config(channel, envelope.config)


def config_envelope_of(data: bytes) -> tuple[str, configtx_pb2.ConfigEnvelope]:
    """Channel name and ``ConfigEnvelope`` of a serialized CONFIG envelope; raises ConfigError."""
    try:
        payload = common_pb2.Payload.FromString(common_pb2.Envelope.FromString(data).payload)
        header = common_pb2.ChannelHeader.FromString(payload.header.channel_header)
        envelope = configtx_pb2.ConfigEnvelope.FromString(payload.data)
    except DecodeError as error:
        raise ConfigError(f"a configuration envelope cannot be read: {error}") from error
    if header.type != CONFIG:
        raise ConfigError(f"header type {header.type} is not CONFIG")
    return header.channel_id, envelope


# -- genesis -------------------------------------------------------------------------------------


def genesis_block(home: Path, desc: NetworkDescription) -> common_pb2.Block:
    """Block 0: the first configuration, unsigned as in Fabric (trust starts with this file)."""
    group = _group(_readers_writers_admins(_Rule.MAJORITY))
    group.values["HashingAlgorithm"].CopyFrom(
        _value(configuration_pb2.HashingAlgorithm(name="SHA256"))
    )
    group.values["BlockDataHashingStructure"].CopyFrom(
        _value(configuration_pb2.BlockDataHashingStructure(width=2**32 - 1))
    )
    group.values["Capabilities"].CopyFrom(_value(_capabilities("V3_0")))
    group.groups[APPLICATION].CopyFrom(_application(home, desc.organisations))
    group.groups[ORDERER].CopyFrom(_orderer(home, desc.orderer))
    envelope = configtx_pb2.ConfigEnvelope(config=configtx_pb2.Config(channel_group=group))
    payload = common_pb2.Payload(
        header=common_pb2.Header(
            channel_header=channel_header(CONFIG, desc.channel, timestamp_ms=_GENESIS_TIME_MS),
            signature_header=signature_header(b"", b"\0" * 24),
        ),
        data=envelope.SerializeToString(deterministic=True),
    )
    data = [common_pb2.Envelope(payload=payload.SerializeToString()).SerializeToString()]
    return common_pb2.Block(
        header=common_pb2.BlockHeader(number=0, data_hash=block_data_hash(data)),
        data=common_pb2.BlockData(data=data),
        metadata=common_pb2.BlockMetadata(metadata=[b""] * 5),
    )


def organisation_group(home: Path, org: Organisation) -> configtx_pb2.ConfigGroup:
    """An application organisation's group, with the MSP as its folder holds it now."""
    folder = organisation_folder_of(home, org)
    group = _member_group(folder, _Role.PEER)
    anchors = peer_pb2.AnchorPeers(
        anchor_peers=[peer_pb2.AnchorPeer(host=org.node.host, port=org.node.port)]
    )
    group.values["AnchorPeers"].CopyFrom(_value(anchors))
    return group


def organisation_folder_of(home: Path, org: Organisation | Orderer) -> OrganisationFolder:
    """The folder of an organisation that the description names."""
    return OrganisationFolder(
        org.name, org.msp_id, org.domain, org.country, home / "organizations" / org.name
    )


def _application(home: Path, organisations: Iterable[Organisation]) -> configtx_pb2.ConfigGroup:
    policies = _readers_writers_admins(_Rule.MAJORITY)
    for name in ("Endorsement", "LifecycleEndorsement"):
        policies[name] = _implicit("Endorsement", _Rule.MAJORITY)
    group = _group(policies)
    group.values["Capabilities"].CopyFrom(_value(_capabilities("V2_5")))
    for org in organisations:
        group.groups[org.msp_id].CopyFrom(organisation_group(home, org))
    return group


def _orderer(home: Path, orderer: Orderer) -> configtx_pb2.ConfigGroup:
    policies = _readers_writers_admins(_Rule.MAJORITY)
    policies["BlockValidation"] = _implicit("Writers", _Rule.ANY)
    group = _group(policies)
    size = orderer_pb2.BatchSize(
        max_message_count=orderer.max_message_count,
        absolute_max_bytes=orderer.absolute_max_bytes,
        preferred_max_bytes=orderer.preferred_max_bytes,
    )
    group.values["ConsensusType"].CopyFrom(_value(orderer_pb2.ConsensusType(type=CONSENSUS)))
    group.values["BatchSize"].CopyFrom(_value(size))
    timeout = orderer_pb2.BatchTimeout(timeout=f"{orderer.batch_timeout_ms}ms")
    group.values["BatchTimeout"].CopyFrom(_value(timeout))
    group.values["Capabilities"].CopyFrom(_value(_capabilities("V2_0")))
    member = _member_group(organisation_folder_of(home, orderer), _Role.ORDERER)
    endpoints = configuration_pb2.OrdererAddresses(addresses=[_endpoint(orderer.node)])
    member.values["Endpoints"].CopyFrom(_value(endpoints))
    group.groups[orderer.msp_id].CopyFrom(member)
    return group


def _member_group(folder: OrganisationFolder, node_role: int) -> configtx_pb2.ConfigGroup:
    msp_id = folder.msp_id
    anyone = (_Role.ADMIN, node_role, _Role.CLIENT)
    group = _group(
        {
            "Readers": _signature(msp_id, anyone),
            "Writers": _signature(msp_id, anyone),
            ADMINS: _signature(msp_id, (_Role.ADMIN,)),
            "Endorsement": _signature(msp_id, (node_role,)),
        }
    )
    config = msp_config_pb2.MSPConfig(
        type=_FABRIC_MSP_TYPE, config=msp_of_folder(folder).SerializeToString(deterministic=True)
    )
    group.values["MSP"].CopyFrom(_value(config))
    return group


def msp_of_folder(folder: OrganisationFolder) -> msp_config_pb2.FabricMSPConfig:
    """``FabricMSPConfig`` of an organisation's public MSP folder, revocation list included."""
    root = only_file(folder.msp / "cacerts")

    def unit(name: str) -> msp_config_pb2.FabricOUIdentifier:
        return msp_config_pb2.FabricOUIdentifier(
            certificate=root, organizational_unit_identifier=name
        )

    return msp_config_pb2.FabricMSPConfig(
        name=folder.msp_id,
        root_certs=[root],
        tls_root_certs=[only_file(folder.msp / "tlscacerts")],
        revocation_list=[folder.crl.read_bytes()] if folder.crl.exists() else [],
        crypto_config=msp_config_pb2.FabricCryptoConfig(
            signature_hash_family="SHA2", identity_identifier_hash_function="SHA256"
        ),
        fabric_node_ous=msp_config_pb2.FabricNodeOUs(
            enable=True,
            client_ou_identifier=unit("client"),
            peer_ou_identifier=unit("peer"),
            admin_ou_identifier=unit("admin"),
            orderer_ou_identifier=unit("orderer"),
        ),
    )


def member_msp(group: configtx_pb2.ConfigGroup) -> msp_config_pb2.FabricMSPConfig:
    """The ``FabricMSPConfig`` in an organisation's group; raises ConfigError."""
    try:
        return _msp_config(group)
    except (DecodeError, ValueError) as error:
        raise ConfigError(f"an organisation's MSP cannot be read: {error}") from error


def _msp_config(group: configtx_pb2.ConfigGroup) -> msp_config_pb2.FabricMSPConfig:
    if "MSP" not in group.values:
        raise ValueError("an organisation has no MSP")
    outer = msp_config_pb2.MSPConfig.FromString(group.values["MSP"].value)
    return msp_config_pb2.FabricMSPConfig.FromString(outer.config)


def _endpoint(node: NodeAddress) -> str:
    return node.address


def _group(policies: dict[str, policies_pb2.Policy]) -> configtx_pb2.ConfigGroup:
    group = configtx_pb2.ConfigGroup(mod_policy=ADMINS)
    for name, value in policies.items():
        group.policies[name].CopyFrom(configtx_pb2.ConfigPolicy(policy=value, mod_policy=ADMINS))
    return group


def _value(message: object) -> configtx_pb2.ConfigValue:
    data = message.SerializeToString(deterministic=True)  # type: ignore[attr-defined]
    return configtx_pb2.ConfigValue(value=data, mod_policy=ADMINS)


def _capabilities(name: str) -> configuration_pb2.Capabilities:
    return configuration_pb2.Capabilities(capabilities={name: configuration_pb2.Capability()})


def _readers_writers_admins(admins: int) -> dict[str, policies_pb2.Policy]:
    return {
        "Readers": _implicit("Readers", _Rule.ANY),
        "Writers": _implicit("Writers", _Rule.ANY),
        ADMINS: _implicit(ADMINS, admins),
    }


def _implicit(name: str, rule: int) -> policies_pb2.Policy:
    meta = policies_pb2.ImplicitMetaPolicy(sub_policy=name, rule=rule)
    return policies_pb2.Policy(
        type=policies_pb2.Policy.PolicyType.IMPLICIT_META, value=meta.SerializeToString()
    )


def _signature(msp_id: str, roles: Sequence[int]) -> policies_pb2.Policy:
    envelope = policy.n_of_principals(1, [policy.role_principal(msp_id, role) for role in roles])
    return policies_pb2.Policy(
        type=policies_pb2.Policy.PolicyType.SIGNATURE, value=envelope.SerializeToString()
    )


def _duration_ms(text: str) -> int:
    if text.endswith("ms"):
        return int(text[:-2])
    if text.endswith("s"):
        return int(float(text[:-1]) * 1000)
    raise ValueError(f"{text!r} is not a duration")
