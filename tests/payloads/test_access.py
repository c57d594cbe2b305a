"""The access rules, one by one, against the table in the documentation, and as properties."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodes.payloads import Grant, PayloadMeta, Reader, RecordedBasis, Relation, Residency, decide
from nodes.payloads.access import AUTHORITIES, LEGAL_BASIS_VALID_MS, RULES

NOW = 1_790_000_000_000
OWNER, MILL, OFFICE = (f"urn:tracemark:party:{name}" for name in ("farm", "mill", "office"))
DOCUMENT = Path(__file__).parents[2] / "docs" / "design" / "payloads.md"


def meta(residency: str, country: str = "CO") -> PayloadMeta:
    return PayloadMeta(
        "ab" * 32, "cd" * 32, OWNER, Residency(residency), country, "application/json", 9, 1
    )


def reader(party: str | None = MILL, *roles: str, country: str = "CO", basis: str = "") -> Reader:
    return Reader(party, "MillMSP", frozenset(roles), country, legal_basis=basis)


GRANT = Grant(OWNER, MILL, "cd" * 32, NOW + 1)
BASIS = RecordedBasis(OFFICE, "EU 2023/1115 Art. 16", NOW - 1, "f" * 64)

# Who asks, as the rows of the table in docs/design/payloads.md are named.
ROWS: dict[str, dict[str, object]] = {
    "owner": {"reader": reader(OWNER)},
    "named party": {"reader": reader(), "relations": {Relation.NAMED}},
    "granted": {"reader": reader(), "grants": [GRANT]},
    "partner": {"reader": reader(), "relations": {Relation.DOWNSTREAM}},
    "customs": {"reader": reader(OFFICE, "customs")},
    "regulator": {"reader": reader(OFFICE, "regulator")},
    "authority with legal basis": {
        "reader": reader(OFFICE, "regulator", basis=BASIS.legal_basis),
        "bases": [BASIS],
    },
    "other member": {"reader": reader(MILL, "retailer", "auditor")},
    "suspended": {"reader": replace(reader(OWNER), active=False)},
    "no party": {"reader": reader(None)},
}


def documented() -> dict[tuple[str, str], tuple[bool, str]]:
    """(residency, reader) -> allowed and rule, from the table under "Who may read"."""
    section = DOCUMENT.read_text().split("## Who may read")[1].split("\n## ")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in section.splitlines()
        if line.startswith("|") and not line.startswith("|-")
    ]
    table = {}
    for row in rows[1:]:
        for residency, cell in zip(rows[0][1:], row[1:], strict=True):
            found = re.match(r"(yes|no): `([A-Z_]+)`", cell)
            assert found, cell
            table[residency, row[0]] = (found[1] == "yes", found[2])
    return table


def ask(residency: str, case: dict[str, object], country: str = "CO") -> tuple[bool, str]:
    decision = decide(
        case["reader"],  # type: ignore[arg-type]
        meta(residency, country),
        case.get("relations", set()),  # type: ignore[arg-type]
        case.get("grants", []),  # type: ignore[arg-type]
        case.get("bases", []),  # type: ignore[arg-type]
        now_ms=NOW,
    )
    return decision.allowed, decision.rule


@pytest.mark.parametrize("residency", list(Residency))
@pytest.mark.parametrize("row", ROWS)
def test_the_table_in_the_documentation_is_what_happens(residency: str, row: str) -> None:
    """Documentation that promises another rule than the code is worse than none."""
    table = documented()
    assert {key[1] for key in table} == set(ROWS)
    assert ask(residency, ROWS[row]) == table[residency, row]


def test_every_rule_is_documented() -> None:
    """A rule a refused reader cannot look up explains nothing."""
    text = DOCUMENT.read_text()
    assert [rule for rule in RULES if f"`{rule}`" not in text] == []


@pytest.mark.parametrize("row", ["named party", "granted", "partner", "customs", "regulator"])
def test_in_country_data_stays_there(row: str) -> None:
    """Neither a grant nor an authority of another country takes it over the border."""
    case = dict(ROWS[row])
    case["reader"] = replace(case["reader"], country="DE")  # type: ignore[type-var]
    assert ask("in-country", case) == (False, "OTHER_COUNTRY")
    assert ask("in-country", ROWS[row], country="") == (False, "OTHER_COUNTRY")
    assert ask("in-country", ROWS["owner"], country="DE") == (True, "OWNER")


@pytest.mark.parametrize(
    "grant",
    [
        replace(GRANT, expires_ms=NOW),
        replace(GRANT, revoked=True),
        replace(GRANT, grantor=MILL),
        replace(GRANT, grantee=OFFICE),
    ],
)
def test_grants_that_do_not_count(grant: Grant) -> None:
    """Expired, revoked, given by somebody else than the owner, or to somebody else."""
    case = {"reader": reader(), "grants": [grant]}
    assert ask("confidential", case) == (False, "CONFIDENTIAL")


@pytest.mark.parametrize(
    "basis",
    [
        replace(BASIS, party=MILL),
        replace(BASIS, legal_basis="another act"),
        replace(BASIS, recorded_ms=NOW - LEGAL_BASIS_VALID_MS - 1),
    ],
)
def test_legal_bases_that_do_not_count(basis: RecordedBasis) -> None:
    """Another authority's, another provision, or one recorded for an earlier visit."""
    case = {**ROWS["authority with legal basis"], "bases": [basis]}
    assert ask("confidential", case) == (False, "NEEDS_LEGAL_BASIS")


def test_a_basis_is_asked_for_only_where_one_was_named() -> None:
    """Recording an empty basis on the chain would be noise, so the refusal does not invite it."""
    for basis, needs in (("", False), ("Art. 16", True)):
        who = reader(OFFICE, "regulator", basis=basis)
        assert decide(who, meta("confidential"), (), now_ms=NOW).needs_record is needs
    auditor = reader(OFFICE, "auditor", basis=BASIS.legal_basis)
    assert ask("confidential", {"reader": auditor, "bases": [BASIS]}) == (False, "CONFIDENTIAL")


readers = st.builds(
    Reader,
    party=st.sampled_from([None, OWNER, MILL, OFFICE]),
    msp_id=st.just("M"),
    roles=st.frozensets(st.sampled_from(["regulator", "customs", "retailer", "auditor"])),
    country=st.sampled_from(["CO", "DE", ""]),
    active=st.booleans(),
    administrator=st.booleans(),
    legal_basis=st.sampled_from(["", BASIS.legal_basis]),
)
relation_sets = st.frozensets(st.sampled_from(Relation))
grant_lists = st.lists(
    st.builds(
        Grant,
        st.sampled_from([OWNER, MILL]),
        st.sampled_from([MILL, OFFICE]),
        st.just("x"),
        st.sampled_from([None, NOW - 1, NOW + 1]),
        st.booleans(),
    ),
    max_size=3,
)
metas = st.builds(meta, st.sampled_from(list(Residency)), st.sampled_from(["CO", "DE", ""]))


@given(readers, metas, relation_sets, grant_lists, st.booleans())
def test_no_way_around_the_basic_promises(
    who: Reader, of: PayloadMeta, held: frozenset[Relation], grants: list[Grant], basis: bool
) -> None:
    """Whatever the facts: no party or a suspended one reads nothing; confidential data need a
    tie to the event, a grant or a recorded basis; in-country data stay."""
    decision = decide(who, of, held, grants, [BASIS] if basis else [], now_ms=NOW)
    assert decision.rule in RULES
    if not decision.allowed:
        return
    assert who.party is not None
    assert who.active
    own = who.party == OWNER or Relation.MADE in held
    if of.residency is Residency.IN_COUNTRY and not own:
        assert who.country == of.country != ""
    if of.residency is Residency.CONFIDENTIAL and not own and Relation.NAMED not in held:
        granted = any(g.grantor == OWNER and g.grantee == who.party for g in grants)
        assert granted or (basis and who.roles & AUTHORITIES and decision.tx_id)


@given(readers, metas, relation_sets, relation_sets, grant_lists)
def test_more_ties_never_close_a_door(
    who: Reader,
    of: PayloadMeta,
    some: frozenset[Relation],
    more: frozenset[Relation],
    grants: list[Grant],
) -> None:
    """Gaining a relation or a grant must not take a right away."""
    before = decide(who, of, some, (), now_ms=NOW).allowed
    after = decide(who, of, some | more, grants, now_ms=NOW).allowed
    assert after or not before
