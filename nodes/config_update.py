"""Change the channel configuration: write, sign, check and apply a ``ConfigUpdate``.

Fabric ``common/configtx``: an update holds the parts it read (by version) and the parts it
writes. 1. Everything in the read set must still have the version named there. 2. Every element
of the write set whose version is not the present one is a change: an existing element goes up by
exactly one and its ``mod_policy`` must be satisfied by the signatures; a new one has version 0
and its group is itself a change. 3. The result is the write set over the present tree.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from fabric_protos.common import common_pb2, configtx_pb2
from google.protobuf.message import DecodeError

from nodes.config import (
    ADMINS,
    APPLICATION,
    ChannelConfig,
    config_envelope_of,
    parse_config,
)
from nodes.errors import ConfigError, IdentityRefused, PolicyError
from nodes.identity.msp import Identity
from nodes.identity.signer import Signer
from nodes.messages import (
    CONFIG,
    CONFIG_UPDATE,
    channel_header,
    new_nonce,
    signature_header,
    signed_envelope,
)
from nodes.policy import group_policy_satisfied
from nodes.verification import SignatureVerifier

_DEEPEST: Final = 8


def organisation_update(
    current: ChannelConfig, msp_id: str, group: configtx_pb2.ConfigGroup
) -> bytes:
    """A serialized ConfigUpdate that adds an application organisation, or replaces its values.

    `group` is the organisation's new group; versions are filled in here.
    """
    application = current.group.groups[APPLICATION]
    update = configtx_pb2.ConfigUpdate(channel_id=current.channel)
    update.read_set.version = current.group.version
    update.write_set.version = current.group.version
    present_names = update.read_set.groups[APPLICATION]
    wanted = update.write_set.groups[APPLICATION]
    present_names.version = wanted.version = application.version
    wanted.mod_policy = application.mod_policy
    update.write_set.mod_policy = current.group.mod_policy
    if msp_id in application.groups:
        _replace_values(wanted, present_names, msp_id, application.groups[msp_id], group)
    else:
        # A group's list of members changed, so the group itself goes up by one and names
        # every member and policy it keeps.
        wanted.version += 1
        for name, member in application.groups.items():
            wanted.groups[name].version = member.version
            present_names.groups[name].version = member.version
        for name, value in application.values.items():
            wanted.values[name].version = value.version
        for name, policy in application.policies.items():
            wanted.policies[name].version = policy.version
        wanted.groups[msp_id].CopyFrom(group)
    return bytes(update.SerializeToString(deterministic=True))


def _replace_values(
    wanted: configtx_pb2.ConfigGroup,
    read: configtx_pb2.ConfigGroup,
    msp_id: str,
    present: configtx_pb2.ConfigGroup,
    group: configtx_pb2.ConfigGroup,
) -> None:
    member = wanted.groups[msp_id]
    member.version = read.groups[msp_id].version = present.version
    for name, value in group.values.items():
        if present.values[name].value != value.value:
            member.values[name].CopyFrom(value)
            member.values[name].version = present.values[name].version + 1


def sign_update(update: bytes, signers: Sequence[Signer]) -> configtx_pb2.ConfigUpdateEnvelope:
    """The update with administrators' signatures (over signature header and update)."""
    signatures = []
    for signer in signers:
        header = signature_header(signer.serialized, new_nonce())
        signatures.append(
            configtx_pb2.ConfigSignature(
                signature_header=header, signature=signer.sign(header + update)
            )
        )
    return configtx_pb2.ConfigUpdateEnvelope(config_update=update, signatures=signatures)


def update_envelope(
    signer: Signer, channel: str, update: configtx_pb2.ConfigUpdateEnvelope, timestamp_ms: int
) -> common_pb2.Envelope:
    """The CONFIG_UPDATE envelope that is submitted."""
    return signed_envelope(
        signer.sign,
        channel_header(CONFIG_UPDATE, channel, timestamp_ms=timestamp_ms),
        signature_header(signer.serialized, new_nonce()),
        update.SerializeToString(),
    )


def config_envelope(
    orderer: Signer,
    current: ChannelConfig,
    update: common_pb2.Envelope,
    verifier: SignatureVerifier,
    timestamp_ms: int,
) -> bytes:
    """The serialized CONFIG envelope an orderer makes of an update; raises ConfigError."""
    content = configtx_pb2.ConfigEnvelope(
        config=_apply(current, update, verifier), last_update=update
    )
    envelope = signed_envelope(
        orderer.sign,
        channel_header(CONFIG, current.channel, timestamp_ms=timestamp_ms),
        signature_header(orderer.serialized, new_nonce()),
        content.SerializeToString(deterministic=True),
    )
    return bytes(envelope.SerializeToString())


def next_config(current: ChannelConfig, data: bytes, verifier: SignatureVerifier) -> ChannelConfig:
    """The configuration that an ordered CONFIG envelope makes; raises ConfigError."""
    channel, envelope = config_envelope_of(data)
    if channel != current.channel:
        raise ConfigError(f"the configuration is for channel {channel!r}")
    expected = _apply(current, envelope.last_update, verifier)
    if expected.SerializeToString(deterministic=True) != envelope.config.SerializeToString(
        deterministic=True
    ):
        raise ConfigError("the configuration is not what its update makes of the present one")
    return parse_config(channel, envelope.config)


def _apply(
    current: ChannelConfig, envelope: common_pb2.Envelope, verifier: SignatureVerifier
) -> configtx_pb2.Config:
    try:
        payload = common_pb2.Payload.FromString(envelope.payload)
        signed = configtx_pb2.ConfigUpdateEnvelope.FromString(payload.data)
        update = configtx_pb2.ConfigUpdate.FromString(signed.config_update)
        signers = list(_signers(current, signed, verifier))
    except DecodeError as error:
        raise ConfigError(f"the configuration update cannot be decoded: {error}") from error
    if update.channel_id != current.channel:
        raise ConfigError(f"the update is for channel {update.channel_id!r}")
    _check_read(update.read_set, current.group, "/Channel", 0)
    changes = list(_changes(update.write_set, current.group, (), 0))
    if not changes:
        raise ConfigError("the update changes nothing")
    for change in changes:
        try:
            allowed = group_policy_satisfied(current.group, change.path, change.mod_policy, signers)
        except PolicyError as error:
            raise ConfigError(str(error)) from error
        if not allowed:
            raise ConfigError(
                f"the update of {change.name} is not signed by enough of {change.mod_policy}"
            )
    result = configtx_pb2.Config(sequence=current.config.sequence + 1)
    result.channel_group.CopyFrom(current.group)
    _merge(result.channel_group, update.write_set)
    return result


def _signers(
    current: ChannelConfig,
    signed: configtx_pb2.ConfigUpdateEnvelope,
    verifier: SignatureVerifier,
) -> Iterator[Identity]:
    for entry in signed.signatures:
        header = common_pb2.SignatureHeader.FromString(entry.signature_header)
        try:
            identity = current.msps.accept(header.creator)
        except IdentityRefused:
            continue
        digest = sha256(entry.signature_header + signed.config_update).digest()
        if verifier.verify_digest((identity, digest, entry.signature)):
            yield identity


@dataclass(frozen=True, slots=True)
class _Change:
    name: str
    path: tuple[str, ...]
    mod_policy: str


def _check_read(
    read: configtx_pb2.ConfigGroup, present: configtx_pb2.ConfigGroup, name: str, depth: int
) -> None:
    _refuse_depth(depth)
    if read.version != present.version:
        raise ConfigError(f"{name} has version {present.version}, the update read {read.version}")
    for kind in ("values", "policies"):
        for key, element in getattr(read, kind).items():
            there = getattr(present, kind)
            if key not in there or there[key].version != element.version:
                raise ConfigError(f"{name}/{key} is not what the update read")
    for key, group in read.groups.items():
        if key not in present.groups:
            raise ConfigError(f"{name}/{key} is not in the configuration")
        _check_read(group, present.groups[key], f"{name}/{key}", depth + 1)


def _changes(
    write: configtx_pb2.ConfigGroup,
    present: configtx_pb2.ConfigGroup,
    path: tuple[str, ...],
    depth: int,
) -> Iterator[_Change]:
    _refuse_depth(depth)
    name = "/".join(("/Channel", *path))
    changed = _is_change(name, write, present)
    if changed:
        yield _Change(name, path, present.mod_policy or ADMINS)
    for kind in ("values", "policies"):
        there = getattr(present, kind)
        for key, element in getattr(write, kind).items():
            place = f"{name}/{key}"
            if key not in there:
                _refuse_new(place, element.version, changed)
            elif _is_change(place, element, there[key]):
                yield _Change(place, path, there[key].mod_policy or ADMINS)
    for key, group in write.groups.items():
        if key not in present.groups:
            _refuse_new(f"{name}/{key}", group.version, changed)
        else:
            yield from _changes(group, present.groups[key], (*path, key), depth + 1)


def _is_change(name: str, write: Any, present: Any) -> bool:
    if write.version == present.version:
        return False
    if write.version != present.version + 1:
        raise ConfigError(f"{name} goes from version {present.version} to {write.version}")
    return True


def _refuse_new(name: str, version: int, group_changes: bool) -> None:
    if version != 0 or not group_changes:
        raise ConfigError(f"{name} is new, so its group must change and its version be 0")


def _refuse_depth(depth: int) -> None:
    if depth > _DEEPEST:
        raise ConfigError("the configuration is nested too deep")


def _merge(target: configtx_pb2.ConfigGroup, write: configtx_pb2.ConfigGroup) -> None:
    if write.version != target.version:
        # A changed group consists of what the write set names, and of nothing else.
        for kind in ("groups", "values", "policies"):
            entries = getattr(target, kind)
            for key in set(entries) - set(getattr(write, kind)):
                del entries[key]
        target.version = write.version
        target.mod_policy = write.mod_policy or target.mod_policy
    for kind in ("values", "policies"):
        entries = getattr(target, kind)
        for key, element in getattr(write, kind).items():
            if key not in entries or entries[key].version != element.version:
                entries[key].CopyFrom(element)
    for key, group in write.groups.items():
        if key in target.groups:
            _merge(target.groups[key], group)
        else:
            target.groups[key].CopyFrom(group)
