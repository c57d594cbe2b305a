"""Audit, trace and carbon over real captures: what holds, what is missing, what was altered."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gateway.carbon import recompute
from gateway.database import writing
from gateway.mass_balance import lot_balance
from tests.gateway.running import Gateway, make_home, party, running
from tests.gateway.supply import CHERRY, GREEN, PALLET, ROASTED, STEPS, capture_all, events
from tests.gateway.test_access import code

Json = dict[str, Any]


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway of its own with the whole supply chain captured."""
    with running(make_home(tmp_path_factory.mktemp("audit"))) as served:
        served.register_parties()
        capture_all(served)
        yield served


def audit(gateway: Gateway, identifier: str, user: str = "auditor") -> Json:
    answer = gateway.client(user).get(f"/v1/audit/{identifier}")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def outcome(found: Json, name: str) -> str:
    return next(str(check["outcome"]) for check in found["checks"] if check["name"] == name)


def test_a_complete_chain_passes_every_check(chain: Gateway) -> None:
    found = audit(chain, ROASTED)
    assert [(c["name"], c["outcome"]) for c in found["checks"] if c["outcome"] != "pass"] == []
    assert [check["number"] for check in found["checks"]] == list(range(1, 11))
    assert found["verdict"] == "pass"
    assert found["gaps"] == []
    assert len(found["history"]) == 9
    assert {event["check"] for event in found["history"]} == {"verified"}
    assert found["completeness"]["payloads_verified"] == 9


def test_the_mass_balance_can_be_recomputed_by_hand(chain: Gateway) -> None:
    found = audit(chain, ROASTED)["mass_balance"]
    lots = {lot["lot"]: lot for lot in found["lots"]}
    assert lots[CHERRY]["produced"] == "1000"
    assert lots[GREEN]["consumed"] == "150" or lots[GREEN]["consumed"] == "180"
    for lot in lots.values():
        out = sum(float(lot[n]) for n in ("on_hand", "incoming", "consumed", "lost", "removed"))
        assert out == float(lot["produced"]) + float(lot["adopted"])
    milling, roasting = found["transformations"]
    assert milling["yield"] == {"mass": "0.1800"}
    assert roasting["losses"]["mass"] == {"qty": "30", "unit": "KGM"}


def test_any_form_of_the_identifier_finds_it(chain: Gateway) -> None:
    client = chain.client("auditor")
    whole = client.get(f"/v1/trace/{ROASTED}").json()
    for form in (
        "urn:epc:class:lgtin:9521234.000003.ROAST-1",
        "(01)09521234000037(10)ROAST-1",
        "https://example.com/some/01/9521234000037/10/ROAST-1?x=1",
    ):
        answer = client.get("/v1/trace/" + form.replace("?", "%3F"))
        if answer.status_code == 200:
            assert answer.json()["nodes"] == whole["nodes"]
        else:
            assert form.startswith("urn:epc:class"), answer.text


def test_the_trace_names_who_when_what_where_and_evidence(chain: Gateway) -> None:
    body = chain.client("auditor").get(f"/v1/trace/{ROASTED}", params={"direction": "up"}).json()
    nodes = {node["id"]: node for node in body["nodes"]}
    assert {CHERRY, GREEN, ROASTED, PALLET} <= nodes.keys()
    assert body["parties"][party("mill")]["country"] == "CO"
    shipped = next(
        node for node in body["nodes"]
        if node["node"] == "event" and node["what"].get("step") == "shipping"
    )  # fmt: skip
    assert shipped["when"]["time"] == "2026-03-02T08:00:00.000-05:00"
    assert shipped["who"]["party"] == party("farm")
    assert shipped["who"]["destinations"][0]["id"] == party("mill")
    assert shipped["evidence"]["state"] == "anchored"
    assert shipped["evidence"]["payload"] == "available"
    assert {(edge["from"] in nodes, edge["to"] in nodes) for edge in body["edges"]} == {
        (True, True)
    }
    assert body["as_of"]["height"] == chain.container.readmodel.height()


def test_what_the_caller_may_not_read_is_unknown_and_not_wrong(chain: Gateway) -> None:
    confidential = {
        **events()["harvest"],
        "eventTime": "2026-03-01T09:00:00.000-05:00",
        "quantityList": [
            {"epcClass": CHERRY.replace("CHERRY-1", "SECRET"), "quantity": 5, "uom": "KGM"}
        ],
        "tm:disclosure": "confidential",
    }
    chain.capture("farm", confidential)
    lot = CHERRY.replace("CHERRY-1", "SECRET")
    assert outcome(audit(chain, lot, "farm"), "payloads") == "pass"
    other = audit(chain, lot, "shop")
    assert outcome(other, "payloads") == "unknown"
    assert other["history"][0]["check"] == "payload-denied"


def test_a_tampered_read_model_is_found(chain: Gateway) -> None:
    container = chain.container
    with container.readmodel.read() as connection:
        row = connection.execute(
            text("SELECT seq, record FROM events WHERE step = 'shipping' ORDER BY seq LIMIT 1")
        ).one()
    record = orjson.loads(row.record)
    record["projection"]["quantities"][0]["qty"] = "999"
    change = text("UPDATE events SET record = :record WHERE seq = :seq")
    with writing(container.engine) as connection:
        connection.execute(change, {"record": orjson.dumps(record), "seq": row.seq})
    found = audit(chain, ROASTED)
    assert outcome(found, "payloads") == "fail"
    assert found["verdict"] == "fail"
    with writing(container.engine) as connection:
        connection.execute(change, {"record": row.record, "seq": row.seq})
        connection.execute(
            text("UPDATE transactions SET code = 11 WHERE tx_id = :tx"), {"tx": record["tx_id"]}
        )
    assert outcome(audit(chain, ROASTED), "on-ledger") == "fail"
    with writing(container.engine) as connection:
        connection.execute(
            text("UPDATE transactions SET code = 0 WHERE tx_id = :tx"), {"tx": record["tx_id"]}
        )
        connection.execute(text("DELETE FROM lots WHERE id = :id"), {"id": ROASTED})
    assert outcome(audit(chain, ROASTED), "state") == "fail"
    container.follower.rebuild()
    chain.settled()
    assert audit(chain, ROASTED)["verdict"] == "pass"


def test_an_erased_payload_leaves_the_proof(chain: Gateway) -> None:
    body = chain.client("auditor").get(f"/v1/trace/{CHERRY}").json()
    harvest = next(n for n in body["nodes"] if n["node"] == "event")
    path, why = f"/v1/payloads/{harvest['id']}", {"reason": "data-subject-request"}
    path = path.replace("?", "%3F")
    assert code(chain.client("shop").delete(path, params=why)) == "PAYLOAD_DENIED"
    assert code(chain.client("farm").get(path + "/receipt")) == "NOT_FOUND"
    assert chain.client("farm").delete(path).status_code == 422
    erased = chain.client("farm").delete(path, params=why)
    assert erased.status_code == 200, erased.text
    assert erased.json()["receipt"]["commitment"] == harvest["evidence"]["commitment"]
    assert chain.client("farm").get(path + "/receipt").json() == erased.json()
    log = chain.client("auditor").get(path + "/reads").json()
    assert log[-1]["action"] == "erase"
    found = audit(chain, ROASTED)
    assert outcome(found, "payloads") == "unknown"
    assert outcome(found, "on-ledger") == "pass"
    assert found["history"][0]["check"] == "payload-erased"
    body = chain.client("auditor").get(f"/v1/trace/{CHERRY}").json()
    harvest = next(n for n in body["nodes"] if n["node"] == "event")
    assert harvest["evidence"]["payload"] == "erased"


def test_missing_events_are_gaps_and_warnings(tmp_path: Path) -> None:
    with running(make_home(tmp_path), log_level="error") as served:
        served.register_parties()
        for gtin in ("09521234000013", "09521234000020", "09521234000037"):
            made = served.client("roaster").post(
                "/v1/products", json={"gtin": gtin, "name": gtin, "mode": "report"}
            )
            assert made.status_code == 201
        capture_all(served, without=("harvest", "at_mill"))
        found = audit(served, ROASTED)
        assert {gap["kind"] for gap in found["gaps"]} >= {"no-origin", "not-received"}
        assert outcome(found, "origin") == "warn"
        assert outcome(found, "custody") == "warn"
        assert outcome(found, "rules") == "warn"
        assert found["findings"]


def test_a_footprint_shows_its_records_and_their_arithmetic(tmp_path: Path) -> None:
    with running(make_home(tmp_path), log_level="error") as served:
        served.register_parties()
        carbon = {
            "stage": "raw-material",
            "activity": {"amount": "1000", "unit": "KGM"},
            "factor": {"id": "cherry", "version": "1", "value_mg_per_unit": "250000"},
            "co2e_mg": 250_000_000,
        }
        bodies = events()
        bodies["harvest"]["tm:carbon"] = [carbon]
        for name, body in bodies.items():
            served.capture(STEPS[name][0], body)
        found = served.client("auditor").get(f"/v1/carbon/{ROASTED}").json()
        assert found["co2e_mg"] == 250_000_000
        [record] = found["records"]
        assert record["matches"] is True
        assert record["activity"] == carbon["activity"]
        assert record["stated_by"] == party("farm")
        assert found["recomputation"]["allocated_within_recorded"] is True
        verified = served.client("certifier").post(
            "/v1/carbon/verifications",
            json={"event": record["event"], "index": 0, "statement": "seen the scale"},
        )
        if verified.status_code == 201:
            again = served.client("auditor").get(f"/v1/carbon/{ROASTED}").json()
            assert again["records"][0]["verified"] is True
        else:  # certifiers need a licence for this
            assert code(verified) in ("LICENCE_MISSING", "ROLE_NOT_ALLOWED")
        own = served.client("farm").post(
            "/v1/carbon/verifications",
            json={"event": record["event"], "index": 0, "statement": "trust me"},
        )
        assert own.status_code == 403


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                name: st.integers(0, 10**18)
                for name in ("produced", "adopted", "on_hand", "consumed", "lost", "removed")
            }
        ),
        min_size=1,
        max_size=5,
    )
)
def test_a_lot_balances_exactly_when_its_holders_do(holders: list[dict[str, int]]) -> None:
    records = [
        {"holder": str(n), "dimension": "mass"} | {k: str(v) for k, v in holder.items()}
        for n, holder in enumerate(holders)
    ]
    found = lot_balance("lot", "KGM", records)
    into = sum(h["produced"] + h["adopted"] for h in holders)
    out = sum(h[n] for h in holders for n in ("on_hand", "consumed", "lost", "removed"))
    assert found["balanced"] is (into == out)
    assert int(found["difference_base"]) == out - into


@pytest.mark.parametrize(
    ("amounts", "expected"),
    [
        (("12.5", "2"), (25, 25)),
        (("0.3", "0.5"), (0, 1)),
        (("1000", None), None),
        (("x", "1"), None),
    ],
)
def test_activity_times_factor(
    amounts: tuple[str, str | None], expected: tuple[int, int] | None
) -> None:
    factor: Json = {"id": "f", "version": "1"}
    if amounts[1] is not None:
        factor["value_mg_per_unit"] = amounts[1]
    record = {"activity": {"amount": amounts[0], "unit": "KGM"}, "factor": factor}
    assert recompute(record) == expected
