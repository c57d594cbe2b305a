"""Chaincode definitions on the ledger, in the ``_lifecycle`` namespace as Fabric keeps them.

Keys ``namespaces/metadata/<name>`` and ``namespaces/fields/<name>/<field>`` with
``lifecycle.StateMetadata`` and ``lifecycle.StateData`` values. A definition carries the version,
a sequence number that grows by one, and the endorsement policy. It is committed by an ordinary
transaction that a majority of the organisations' nodes endorse; a separate approval step per
organisation does not exist here: endorsing is approving.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from fabric_protos.common import policies_pb2
from fabric_protos.peer import policy_pb2
from fabric_protos.peer.lifecycle import chaincode_definition_pb2, db_pb2, lifecycle_pb2
from google.protobuf.message import DecodeError

from nodes.errors import PolicyError
from nodes.simulation import Simulation

NAMESPACE: Final = "_lifecycle"
COMMIT: Final = "CommitChaincodeDefinition"
QUERY: Final = "QueryChaincodeDefinition"
_DATATYPE: Final = "ChaincodeDefinition"
_FIELDS: Final = ("Collections", "EndorsementInfo", "Sequence", "ValidationInfo")
_VSCC: Final = "vscc"
_ESCC: Final = "escc"

Read = Callable[[str], bytes | None]
"""Reads the value at a key of the ``_lifecycle`` namespace."""


@dataclass(frozen=True, slots=True)
class Definition:
    """A committed chaincode definition."""

    name: str
    version: str
    sequence: int
    policy: policies_pb2.SignaturePolicyEnvelope
    digest: bytes


def sequence_key(name: str) -> str:
    """The key whose version changes with every new definition."""
    return f"namespaces/fields/{name}/Sequence"


def read_definition(read: Read, name: str) -> Definition | None:
    """The committed definition of a chaincode, or None; raises PolicyError when it is unusable."""
    raw = read(sequence_key(name))
    if raw is None:
        return None
    endorsement_raw = read(f"namespaces/fields/{name}/EndorsementInfo") or b""
    validation_raw = read(f"namespaces/fields/{name}/ValidationInfo") or b""
    try:
        endorsement = chaincode_definition_pb2.ChaincodeEndorsementInfo.FromString(
            db_pb2.StateData.FromString(endorsement_raw).Bytes
        )
        validation = chaincode_definition_pb2.ChaincodeValidationInfo.FromString(
            db_pb2.StateData.FromString(validation_raw).Bytes
        )
        policy = policy_pb2.ApplicationPolicy.FromString(validation.validation_parameter)
        sequence = db_pb2.StateData.FromString(raw).Int64
    except DecodeError as error:
        raise PolicyError(f"the definition of {name} cannot be read: {error}") from error
    return Definition(
        name=name,
        version=endorsement.version,
        sequence=sequence,
        policy=policy.signature_policy,
        digest=sha256(raw + endorsement_raw + validation_raw).digest(),
    )


def definition_arguments(
    name: str, version: str, sequence: int, policy: policies_pb2.SignaturePolicyEnvelope
) -> list[bytes]:
    """The arguments of a CommitChaincodeDefinition proposal."""
    application = policy_pb2.ApplicationPolicy(signature_policy=policy)
    arguments = lifecycle_pb2.CommitChaincodeDefinitionArgs(
        name=name,
        version=version,
        sequence=sequence,
        endorsement_plugin=_ESCC,
        validation_plugin=_VSCC,
        validation_parameter=application.SerializeToString(),
    )
    return [COMMIT.encode(), arguments.SerializeToString()]


def invoke(simulation: Simulation, args: Sequence[bytes]) -> bytes:
    """The ``_lifecycle`` system chaincode; raises ValueError with the reason of a refusal."""
    functions: Mapping[bytes, Callable[[Simulation, bytes], bytes]] = {
        COMMIT.encode(): _commit,
        QUERY.encode(): _query,
    }
    if len(args) != 2 or args[0] not in functions:
        names = ", ".join(name.decode() for name in functions)
        raise ValueError(f"_lifecycle takes one of {names} and one argument")
    try:
        return functions[args[0]](simulation, args[1])
    except DecodeError as error:
        raise ValueError(f"the argument cannot be decoded: {error}") from error


def _commit(simulation: Simulation, argument: bytes) -> bytes:
    wanted = lifecycle_pb2.CommitChaincodeDefinitionArgs.FromString(argument)
    if simulation.creator.role != "admin":
        raise ValueError("only an administrator may commit a chaincode definition")
    if not wanted.name or not wanted.version:
        raise ValueError("a definition needs a name and a version")
    policy = policy_pb2.ApplicationPolicy.FromString(wanted.validation_parameter)
    if not policy.HasField("signature_policy"):
        raise ValueError("a definition needs a signature policy")
    present = read_definition(simulation.get_state, wanted.name)
    expected = present.sequence + 1 if present else 1
    if wanted.sequence != expected:
        raise ValueError(f"requested sequence is {wanted.sequence}, but it must be {expected}")
    endorsement = chaincode_definition_pb2.ChaincodeEndorsementInfo(
        version=wanted.version, endorsement_plugin=wanted.endorsement_plugin
    )
    validation = chaincode_definition_pb2.ChaincodeValidationInfo(
        validation_plugin=wanted.validation_plugin,
        validation_parameter=wanted.validation_parameter,
    )
    fields = {
        "Collections": db_pb2.StateData(Bytes=b""),
        "EndorsementInfo": db_pb2.StateData(Bytes=endorsement.SerializeToString()),
        "Sequence": db_pb2.StateData(Int64=wanted.sequence),
        "ValidationInfo": db_pb2.StateData(Bytes=validation.SerializeToString()),
    }
    for field, value in fields.items():
        key = f"namespaces/fields/{wanted.name}/{field}"
        simulation.put_state(key, value.SerializeToString())
    metadata = db_pb2.StateMetadata(datatype=_DATATYPE, fields=_FIELDS)
    simulation.put_state(f"namespaces/metadata/{wanted.name}", metadata.SerializeToString())
    return b""


def _query(simulation: Simulation, argument: bytes) -> bytes:
    asked = lifecycle_pb2.QueryChaincodeDefinitionArgs.FromString(argument)
    definition = read_definition(simulation.get_state, asked.name)
    if definition is None:
        raise ValueError(f"namespace {asked.name} is not defined")
    policy = policy_pb2.ApplicationPolicy(signature_policy=definition.policy)
    result = lifecycle_pb2.QueryChaincodeDefinitionResult(
        sequence=definition.sequence,
        version=definition.version,
        endorsement_plugin=_ESCC,
        validation_plugin=_VSCC,
        validation_parameter=policy.SerializeToString(),
    )
    return bytes(result.SerializeToString())
