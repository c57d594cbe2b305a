"""Signature policies: who has to sign (Fabric ``common/cauthdsl`` and ``common/policies``).

A ``SignaturePolicyEnvelope`` is a tree of "n of these" over principals; each signature counts
once. An ``ImplicitMetaPolicy`` asks ANY, ALL or a MAJORITY of the sub-groups' policies of one
name. Signatures are checked elsewhere: here only the identities that signed are judged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fabric_protos.common import configtx_pb2, policies_pb2
from fabric_protos.msp import msp_principal_pb2
from google.protobuf.message import DecodeError

from nodes.errors import PolicyError
from nodes.identity.msp import Identity

Role = msp_principal_pb2.MSPRole
Principal = msp_principal_pb2.MSPPrincipal
_ROLE_NAMES = {
    Role.ADMIN: "admin",
    Role.CLIENT: "client",
    Role.PEER: "peer",
    Role.ORDERER: "orderer",
}
_DEEPEST = 16


def role_principal(msp_id: str, role: int) -> msp_principal_pb2.MSPPrincipal:
    """The principal "anyone with this role in this MSP"."""
    return Principal(
        principal_classification=Principal.Classification.ROLE,
        principal=Role(msp_identifier=msp_id, role=role).SerializeToString(),
    )


def n_of(
    n: int, msp_ids: Iterable[str], role: int = Role.PEER
) -> policies_pb2.SignaturePolicyEnvelope:
    """A policy: `n` of these MSPs, each by an identity of `role`."""
    principals = [role_principal(msp_id, role) for msp_id in msp_ids]
    return n_of_principals(n, principals)


def n_of_principals(
    n: int, principals: Sequence[msp_principal_pb2.MSPPrincipal]
) -> policies_pb2.SignaturePolicyEnvelope:
    """A policy: `n` of these principals."""
    rules = [policies_pb2.SignaturePolicy(signed_by=index) for index in range(len(principals))]
    return policies_pb2.SignaturePolicyEnvelope(
        rule=policies_pb2.SignaturePolicy(
            n_out_of=policies_pb2.SignaturePolicy.NOutOf(n=n, rules=rules)
        ),
        identities=principals,
    )


def satisfied(policy: policies_pb2.SignaturePolicyEnvelope, signers: Sequence[Identity]) -> bool:
    """Whether the identities satisfy the policy; each counts once, repeats not at all.

    Like Fabric's evaluator it goes through rules and signers in order and never goes back.
    Raises PolicyError when the policy refers to a principal it does not have.
    """
    unique = list({signer.serialized: signer for signer in signers}.values())
    return _rule(policy.rule, policy.identities, unique, [False] * len(unique), 0)


def organisations_of(policy: policies_pb2.SignaturePolicyEnvelope) -> list[str]:
    """The MSP ids that the policy names, in its order."""
    return list(dict.fromkeys(msp_id for msp_id in map(_msp_of, policy.identities) if msp_id))


def minimal_choice(
    policy: policies_pb2.SignaturePolicyEnvelope, candidates: Sequence[Identity]
) -> list[Identity] | None:
    """The first few of `candidates`, in their order, that together satisfy the policy.

    None when even all of them do not.
    """
    if not satisfied(policy, candidates):
        return None
    chosen = list(candidates)
    for candidate in reversed(candidates):
        fewer = [signer for signer in chosen if signer is not candidate]
        if satisfied(policy, fewer):
            chosen = fewer
    return chosen


def matches(principal: msp_principal_pb2.MSPPrincipal, identity: Identity) -> bool:
    """Whether an identity is one that the principal means."""
    kinds = Principal.Classification
    try:
        match principal.principal_classification:
            case kinds.ROLE:
                role = Role.FromString(principal.principal)
                return identity.msp_id == role.msp_identifier and (
                    role.role == Role.MEMBER or _ROLE_NAMES.get(role.role) == identity.role
                )
            case kinds.ORGANIZATION_UNIT:
                unit = msp_principal_pb2.OrganizationUnit.FromString(principal.principal)
                return (
                    identity.msp_id == unit.msp_identifier
                    and unit.organizational_unit_identifier in identity.units
                )
            case kinds.IDENTITY:
                return bool(principal.principal == identity.serialized)
            case kinds.COMBINED:
                parts = msp_principal_pb2.CombinedPrincipal.FromString(principal.principal)
                return bool(parts.principals) and all(
                    matches(part, identity) for part in parts.principals
                )
    except DecodeError as error:
        raise PolicyError(f"a principal cannot be decoded: {error}") from error
    return False


def group_policy_satisfied(
    root: configtx_pb2.ConfigGroup, path: Sequence[str], name: str, signers: Sequence[Identity]
) -> bool:
    """Whether signers satisfy the policy `name` of the configuration group at `path`.

    `path` are group names below the channel group; an absolute `name` such as
    ``/Channel/Application/Admins`` starts from the channel group. Missing policies refuse.
    """
    if name.startswith("/"):
        _, _, *path, name = name.split("/")
    group = root
    for step in path:
        if step not in group.groups:
            return False
        group = group.groups[step]
    return _group_policy(group, name, signers)


def _group_policy(group: configtx_pb2.ConfigGroup, name: str, signers: Sequence[Identity]) -> bool:
    if name not in group.policies:
        return False
    policy = group.policies[name].policy
    kinds = policies_pb2.Policy.PolicyType
    try:
        if policy.type == kinds.SIGNATURE:
            envelope = policies_pb2.SignaturePolicyEnvelope.FromString(policy.value)
            return satisfied(envelope, signers)
        if policy.type == kinds.IMPLICIT_META:
            meta = policies_pb2.ImplicitMetaPolicy.FromString(policy.value)
        else:
            return False
    except DecodeError as error:
        raise PolicyError(f"policy {name} cannot be decoded: {error}") from error
    below = [child for child in group.groups.values() if meta.sub_policy in child.policies]
    agreed = sum(_group_policy(child, meta.sub_policy, signers) for child in below)
    return agreed >= _needed(meta.rule, len(below))


def _needed(rule: int, children: int) -> int:
    rules = policies_pb2.ImplicitMetaPolicy.Rule
    if rule == rules.ANY:
        return 1
    # A channel without sub-groups cannot be satisfied by nobody.
    return max(1, children if rule == rules.ALL else children // 2 + 1)


def _rule(
    rule: policies_pb2.SignaturePolicy,
    principals: Sequence[msp_principal_pb2.MSPPrincipal],
    signers: Sequence[Identity],
    used: list[bool],
    depth: int,
) -> bool:
    if depth > _DEEPEST:
        raise PolicyError(f"the policy is nested more than {_DEEPEST} deep")
    kind = rule.WhichOneof("Type")
    if kind == "signed_by":
        if not 0 <= rule.signed_by < len(principals):
            raise PolicyError(f"the policy has no principal {rule.signed_by}")
        principal = principals[rule.signed_by]
        for index, signer in enumerate(signers):
            if not used[index] and matches(principal, signer):
                used[index] = True
                return True
        return False
    if kind != "n_out_of":
        raise PolicyError("the policy has an empty rule")
    verified = 0
    for child in rule.n_out_of.rules:
        attempt = list(used)
        if _rule(child, principals, signers, attempt, depth + 1):
            verified += 1
            used[:] = attempt
    return bool(verified >= rule.n_out_of.n)


def _msp_of(principal: msp_principal_pb2.MSPPrincipal) -> str:
    kinds = Principal.Classification
    if principal.principal_classification == kinds.ROLE:
        return str(Role.FromString(principal.principal).msp_identifier)
    if principal.principal_classification == kinds.ORGANIZATION_UNIT:
        unit = msp_principal_pb2.OrganizationUnit.FromString(principal.principal)
        return str(unit.msp_identifier)
    return ""
