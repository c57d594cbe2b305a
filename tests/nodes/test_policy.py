"""Endorsement policies against a second, slower way to decide them."""

from __future__ import annotations

from itertools import combinations, permutations

import pytest
from fabric_protos.common import policies_pb2
from fabric_protos.msp import msp_principal_pb2
from hypothesis import given
from hypothesis import strategies as st

from nodes.errors import PolicyError
from nodes.identity.msp import Identity
from nodes.policy import Role, matches, n_of, n_of_principals, role_principal, satisfied

MSPS = ("A", "B", "C", "D")
Rule = policies_pb2.SignaturePolicy


def identity(msp_id: str, role: str = "peer", number: int = 0) -> Identity:
    """An identity as an MSP would have accepted it; no key is needed to judge a policy."""
    return Identity(
        msp_id=msp_id,
        role=role,
        units=(role, "traceability"),
        certificate=b"",
        serialized=f"{msp_id}/{role}/{number}".encode(),
        serial=number,
        subject="",
        valid_from_ms=0,
        valid_until_ms=0,
        point=b"",
        key=None,  # type: ignore[arg-type]
        attributes={},
    )


identities = st.builds(
    identity,
    st.sampled_from(MSPS),
    st.sampled_from(["peer", "client", "admin"]),
    st.integers(0, 1),
)


@given(
    n=st.integers(0, 5),
    msps=st.lists(st.sampled_from(MSPS), unique=True, max_size=4),
    signers=st.lists(identities, max_size=6),
)
def test_n_of_organisations(n: int, msps: list[str], signers: list[Identity]) -> None:
    distinct = {signer.msp_id for signer in signers if signer.role == "peer"}
    assert satisfied(n_of(n, msps), signers) == (len(distinct & set(msps)) >= n)


@given(
    n=st.integers(1, 3),
    principals=st.lists(
        st.tuples(st.sampled_from(MSPS), st.sampled_from([Role.PEER, Role.ADMIN, Role.CLIENT])),
        min_size=1,
        max_size=3,
    ),
    signers=st.lists(identities, max_size=4),
)
def test_no_signature_counts_twice(
    n: int, principals: list[tuple[str, int]], signers: list[Identity]
) -> None:
    """With exact roles a principal takes the same signers whatever the order, so trying all
    assignments of distinct signers to distinct principals decides the same."""
    wanted = [role_principal(*principal) for principal in principals]
    unique = list({signer.serialized: signer for signer in signers}.values())
    possible = any(
        all(matches(p, s) for p, s in zip(some, chosen, strict=True))
        for some in combinations(wanted, n)
        for chosen in permutations(unique, n)
    )
    assert satisfied(n_of_principals(n, wanted), signers) == possible


@given(st.lists(identities, max_size=5), st.integers(1, 3))
def test_more_signatures_never_hurt(signers: list[Identity], n: int) -> None:
    policy = n_of(n, MSPS)
    if satisfied(policy, signers):
        assert satisfied(policy, [*signers, identity("Z")])


def test_nested_policy() -> None:
    """A, and one of B and C."""
    policy = policies_pb2.SignaturePolicyEnvelope(
        identities=[role_principal(msp, Role.MEMBER) for msp in ("A", "B", "C")],
        rule=Rule(
            n_out_of=Rule.NOutOf(
                n=2,
                rules=[
                    Rule(signed_by=0),
                    Rule(n_out_of=Rule.NOutOf(n=1, rules=[Rule(signed_by=1), Rule(signed_by=2)])),
                ],
            )
        ),
    )
    assert satisfied(policy, [identity("A"), identity("C", "client")])
    assert not satisfied(policy, [identity("B"), identity("C")])
    assert not satisfied(policy, [identity("A"), identity("A", number=1)])


def test_principals_by_unit_identity_and_combination() -> None:
    kinds = msp_principal_pb2.MSPPrincipal.Classification
    unit = msp_principal_pb2.MSPPrincipal(
        principal_classification=kinds.ORGANIZATION_UNIT,
        principal=msp_principal_pb2.OrganizationUnit(
            msp_identifier="A", organizational_unit_identifier="traceability"
        ).SerializeToString(),
    )
    exact = msp_principal_pb2.MSPPrincipal(
        principal_classification=kinds.IDENTITY, principal=identity("A").serialized
    )
    both = msp_principal_pb2.MSPPrincipal(
        principal_classification=kinds.COMBINED,
        principal=msp_principal_pb2.CombinedPrincipal(
            principals=[unit, role_principal("A", Role.PEER)]
        ).SerializeToString(),
    )
    assert matches(unit, identity("A", "client"))
    assert not matches(unit, identity("B"))
    assert matches(exact, identity("A"))
    assert not matches(exact, identity("A", number=1))
    assert matches(both, identity("A"))
    assert not matches(both, identity("A", "client"))


@pytest.mark.parametrize(
    "rule", [Rule(signed_by=7), Rule(), Rule(signed_by=-1)], ids=["beyond", "empty", "negative"]
)
def test_malformed_policies(rule: policies_pb2.SignaturePolicy) -> None:
    """A policy that cannot be read satisfies nobody; above all it does not satisfy everybody."""
    with pytest.raises(PolicyError):
        satisfied(policies_pb2.SignaturePolicyEnvelope(rule=rule), [identity("A")])


def test_bottomless_policy() -> None:
    rule = Rule(signed_by=0)
    for _ in range(50):
        rule = Rule(n_out_of=Rule.NOutOf(n=1, rules=[rule]))
    with pytest.raises(PolicyError):
        satisfied(
            policies_pb2.SignaturePolicyEnvelope(
                rule=rule, identities=[role_principal("A", Role.PEER)]
            ),
            [identity("A")],
        )
